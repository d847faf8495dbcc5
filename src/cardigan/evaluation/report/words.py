"""A summary in words: what the scores and classes mean, no more than they show, and how far to trust them."""

from collections.abc import Mapping, Sequence

from cardigan.evaluation.protocol import Score
from cardigan.evaluation.report.numbers import beside, percent, places, with_interval
from cardigan.evaluation.report.scale import position_of, scale_of
from cardigan.evaluation.result import ClassShare

FEW = 1000
"""Samples below which a score is called one of few samples."""
WIDE = 0.25
"""Half width of an interval, as a share of the value, from which it is called wide."""
_WAY = (
    (0.95, "nearly all of the way"),
    (0.7, "most of the way"),
    (0.55, "more than half of the way"),
    (0.45, "about half of the way"),
    (0.2, "less than half of the way"),
    (0.05, "a small part of the way"),
    (-0.05, "about where a trivial generator is"),
    (float("-inf"), "worse than a trivial generator"),
)
"""From which position on what is said."""


def summarise(scores: Sequence[Score], classes: Sequence[ClassShare]) -> tuple[str, ...]:
    """What was found, a sentence or two each: the distance to the real data, classes, variety, copies, certainty.

    Args:
        scores: of one evaluation; the first Fréchet distance, else the first score, stands for the whole.
        classes: their shares; empty where there are none.
    """
    found = {score.protocol.metric: score for score in reversed(scores)}  # the first of each metric
    said = [_headline(found.get("fd", scores[0]))] if scores else []
    said += _classes(classes)
    said += _balance(found.get("precision"), found.get("recall"))
    said += _memorised(found.get("memorisation"))
    said += _written(found)
    said += _certainty(scores)
    return tuple(said)


def _headline(score: Score) -> str:
    known = []
    if score.floor is not None:
        known.append(f"real samples reach {beside(score, score.floor)}")
    if score.ceiling is not None:
        known.append(f"a trivial generator {'' if known else 'reaches '}{beside(score, score.ceiling)}")
    if not known:
        return f"{score.name} {with_interval(score)}; what real samples reach is not known."
    return f"{score.name} {with_interval(score)}: {', '.join(known)}{_way(score)}."


def _way(score: Score) -> str:
    """How far a score has come from a trivial generator to real data, as the end of a sentence."""
    scale, position = scale_of(score), position_of(score)
    if scale is None or position is None:
        known = score.floor is not None and score.ceiling is not None
        return "; this score does not tell a trivial generator from real data here" if known else ""
    if _reaches_floor(score):
        return "; within its interval the same as real samples"
    if position > 1:
        return "; beyond what real samples reach: look for copies and for too little variety"
    words = next(words for limit, words in _WAY if position >= limit)
    return f"; {words}{', counted in factors' if scale.logarithmic and position >= 0.05 else ''}"


def _reaches_floor(score: Score) -> bool:
    return None not in (score.low, score.high, score.floor) and score.low <= score.floor <= score.high  # type: ignore[operator]


def _classes(classes: Sequence[ClassShare]) -> list[str]:
    wanted = [each for each in classes if each.real > 0]
    if not wanted:
        return []
    missing = [each.name for each in wanted if each.generated == 0]
    if missing:
        names = ", ".join(missing[:5]) + (f" and {len(missing) - 5:,} more" if len(missing) > 5 else "")
        return [f"{len(wanted) - len(missing):,} of {_counted(len(wanted))} appear; missing: {names}."]
    rarest = min(wanted, key=lambda each: each.generated / each.real)
    shares = f"{percent(rarest.generated, rarest.low, rarest.high)} against {percent(rarest.real)} of the real ones"
    if rarest.low <= rarest.real <= rarest.high:
        verdict = f"{rarest.name} falls short most, yet within its interval ({shares})"
    else:
        verdict = f"{rarest.name} falls short most ({shares})"
    return [f"All {_counted(len(wanted))} appear; {verdict}."]


def _counted(classes: int) -> str:
    return f"{classes:,} class" if classes == 1 else f"{classes:,} classes"


def _balance(precision: Score | None, recall: Score | None) -> list[str]:
    """Fidelity against variety."""
    if precision is None or recall is None:
        return []
    one, other = (f"{score.name} {with_interval(score)}{_of_real(score)}" for score in (precision, recall))
    verdict = ""
    gaps = [_gap(score) for score in (precision, recall)]
    if gaps[0] and gaps[1]:
        (least_precise, most_precise), (least_varied, most_varied) = gaps[0], gaps[1]
        if least_varied > most_precise:
            verdict = ": more is missing in variety than in fidelity"
        elif least_precise > most_varied:
            verdict = ": more is missing in fidelity than in variety"
    return [f"{_capital(one)}; {other}{verdict}."]


def _gap(score: Score) -> tuple[float, float] | None:
    """Least and most that is missing to real data."""
    if score.floor is None or score.low is None or score.high is None:
        return None
    return score.floor - score.high, score.floor - score.low


def _of_real(score: Score) -> str:
    return "" if score.floor is None else f", real samples {beside(score, score.floor)}"


def _memorised(score: Score | None) -> list[str]:
    if score is None:
        return []
    if score.floor is None:
        return [f"Memorised training samples: {score.name} {with_interval(score)}; nothing to hold it against."]
    against = f"{score.name} {with_interval(score)}, unseen real samples {beside(score, score.floor)}"
    if score.low is None or score.high is None:
        return [f"Memorised training samples: {against}; without an interval this does not decide it."]
    if _clearly_worse(score) if score.alarm is None else score.alarm:
        return [f"Signs of memorised training samples: {against}."]
    return [f"No sign of memorised training samples: {against}."]


def _written(found: Mapping[str, Score]) -> list[str]:
    """Of sentences: translations, likelihood, copies."""
    said = []
    if "sacrebleu" in found:
        beside_it = f", {found['chrf'].name} {with_interval(found['chrf'])}" if "chrf" in found else ""
        said.append(
            f"Against the true translations: {found['sacrebleu'].name} {with_interval(found['sacrebleu'])}{beside_it}."
        )
    if "recall-1" in found:
        said.append(f"Of ten replies the true one is the likeliest in {percent(found['recall-1'].value)} of cases.")
    if "nll" in found:
        said.append(
            f"Held-out sentences take {with_interval(found['nll'])} nats a token ({_after(found['nll'].note)})."
        )
    if "copies" in found:
        score = found["copies"]
        real = "" if score.floor is None else f"; of unseen real ones {percent(score.floor)}"
        said.append(
            f"{percent(score.value, score.low, score.high)} of the samples are train sentences word for word{real}."
        )
    return said


def _after(note: str) -> str:
    return note.partition("; ")[2] or note


def _clearly_worse(score: Score) -> bool:
    """Whether the whole interval lies on the wrong side of the floor."""
    assert score.floor is not None and score.low is not None and score.high is not None
    above, below = score.low > score.floor, score.high < score.floor
    return {"lower": above, "higher": below, "neither": above or below}[score.better]


def _certainty(scores: Sequence[Score]) -> list[str]:
    """How far to trust it: wide intervals, missing ones, few samples."""
    said = []
    wide = [score for score in scores if _is_wide(score)]
    if wide:
        which = ", ".join(f"{score.name} {with_interval(score)}" for score in wide[:3])
        more = f" and {len(wide) - 3} more" if len(wide) > 3 else ""
        said.append(f"Wide intervals: {which}{more}; differences within them mean nothing.")
    bare = [score.name for score in scores if score.low is None or score.high is None]
    if bare:
        said.append(f"Without an interval: {', '.join(bare)}.")
    for count, kind in ((_least(scores, "generated_count"), "generated"), (_least(scores, "reference_count"), "real")):
        if count is not None and count < FEW:
            said.append(f"Few samples: scores rest on as few as {count:,} {kind} ones.")
    return said


def _is_wide(score: Score) -> bool:
    if score.low is None or score.high is None or places(score.low, score.high) is None:
        return False
    scale = scale_of(score)
    if scale and not scale.logarithmic:
        return abs(scale.at(score.high) - scale.at(score.low)) / 2 > WIDE
    return (score.high - score.low) / 2 > WIDE * abs(score.value)


def _least(scores: Sequence[Score], field: str) -> int | None:
    counts = [getattr(score.protocol, field) for score in scores]
    return min((count for count in counts if count > 0), default=None)


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
