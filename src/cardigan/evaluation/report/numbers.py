"""Numbers with as many digits as are known, and no more."""

from math import floor, isfinite, log10

from cardigan.evaluation.protocol import Score

DIGITS = 3
"""Significant digits of a number of which no interval is known."""
_TINY = 5
"""Decimals beyond which a number is written with a power of ten."""


def places(low: float | None, high: float | None) -> int | None:
    """Decimals down to the first digit of the interval's half width; negative: tens, hundreds. None: no interval."""
    if low is None or high is None or not isfinite(high - low) or high <= low:
        return None
    return -_magnitude((high - low) / 2)


def rounded(value: float, decimals: int | None = None) -> str:
    """`value` to that many decimals, thousands parted by commas; None: a whole number as it is, others to 3 digits.

    Decimals are negative for tens and hundreds: rounded(1414.2, -1) is "1,410".
    """
    if not isfinite(value):
        return "not a number" if value != value else "infinite"
    if decimals is None:
        whole = value == round(value) and abs(value) < 1e9
        decimals = 0 if whole else DIGITS - 1 - _magnitude(value)
        return _written(value, decimals, strip=True)
    return _written(value, decimals)


def bound(value: float, decimals: int | None) -> str:
    """A floor or ceiling beside a value of so many decimals: at most as fine and at most 3 digits, but always one."""
    if decimals is None or not isfinite(value) or (value == round(value) and abs(value) < 1000):
        return rounded(value)
    coarse = min(decimals, DIGITS - 1 - _magnitude(value))
    return _written(value, max(coarse, -_magnitude(value)))


def value_of(score: Score) -> str:
    """The value of a score: "4.1"."""
    return rounded(score.value, places(score.low, score.high))


def interval_of(score: Score) -> str:
    """The 95% interval of a score: "3.8 to 4.4"; empty where there is none."""
    if score.low is None or score.high is None:
        return ""
    decimals = places(score.low, score.high)
    return f"{rounded(score.low, decimals)} to {rounded(score.high, decimals)}"


def with_interval(score: Score) -> str:
    """Both: "4.1 (3.8 to 4.4)"."""
    interval = interval_of(score)
    return f"{value_of(score)} ({interval})" if interval else value_of(score)


def beside(score: Score, limit: float | None) -> str:
    """Floor or ceiling of a score, written to stand beside its value; a dash where it is not known."""
    return "–" if limit is None else bound(limit, places(score.low, score.high))


def percent(share: float, low: float | None = None, high: float | None = None) -> str:
    """A share in 0..1 as "7.8%", to the digits that its interval supports, at most two decimals."""
    if low is None or high is None:
        return f"{_written(100 * share, 1 if 100 * share < 99.95 else 0)}%" if isfinite(share) else rounded(share)
    decimals = places(100 * low, 100 * high)
    return f"{rounded(100 * share, 1 if decimals is None else max(0, min(2, decimals)))}%"


def compact(value: float) -> str:
    """A number for an axis: "0", "250k", "1.2M", "0.05"."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _magnitude(value: float) -> int:
    """Power of ten of the first digit; of 0, that of 1."""
    return floor(log10(abs(value)) + 1e-9) if value and isfinite(value) else 0


def _written(value: float, decimals: int, strip: bool = False) -> str:
    if decimals > _TINY and value:
        return f"{value:.{max(0, decimals + _magnitude(value))}e}"
    text = f"{round(value, decimals):,.{max(0, decimals)}f}"
    if strip and "." in text:
        text = text.rstrip("0").rstrip(".")
    return text.removeprefix("-") if not text.strip("-0.,") else text
