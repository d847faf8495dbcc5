"""A look at texts: how many, how long, in which scripts, what repeats; knows nothing of recipes."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cardigan.data.sources.decoding import SUFFIXES
from cardigan.data.sources.source import Split, shown
from cardigan.data.text.division import repeated
from cardigan.data.text.places import NAMES
from cardigan.data.text.reading import looks_like_text

EXAMPLES = 5
"""Texts that are shown."""
WIDTH = 110
_LABEL = 12
_TEXTS = (".txt", ".jsonl", ".ndjson", ".csv", ".tsv")
_OTHERS = (".parquet", ".arrow", ".feather", ".npy", ".npz", ".zip", ".tar")
_LOOK = 1000
"""Files of a folder that tell whether it holds text."""


def is_text(source: str) -> bool:
    """Whether `source` is text rather than pictures: known by name, a file of text, or a folder of such files alone."""
    if source in NAMES:
        return True
    path = Path(source).expanduser()
    try:
        if path.is_file():
            return _ending(path).endswith(_TEXTS) or looks_like_text(path)
        files = [each for each, _ in zip(path.rglob("*"), range(_LOOK), strict=False) if each.is_file()]
    except (OSError, ValueError):
        return False
    if any(_ending(each).endswith((*SUFFIXES, *_OTHERS)) for each in files):
        return False
    return any(looks_like_text(each) for each in files if each.parent == path)


def _ending(path: Path) -> str:
    return path.name.lower().removesuffix(".gz")


@dataclass(frozen=True)
class Spread:
    """How numbers are spread: the least, quantiles, the largest."""

    least: int
    median: int
    most: int
    """99.5% are no larger."""
    largest: int

    @classmethod
    def of(cls, values: Iterable[int]) -> "Spread":
        """Of those values."""
        each = np.fromiter(values, np.int64)
        low, middle, high = np.quantile(each, (0, 0.5, 0.995), method="higher").tolist()
        return cls(int(low), int(middle), int(high), int(each.max()))

    def __str__(self) -> str:
        return f"{self.least:,} to {self.largest:,}, median {self.median:,}, 99.5 % up to {self.most:,}"


@dataclass(frozen=True)
class TextSurvey:
    """What is known of the texts of a source.

    Attributes:
        source: as the user wrote it.
        counts: of each split.
        empty: empty lines, which are skipped.
        characters: of a sample of train.
        alphabet: different characters of train; `once` of them occur once.
        words: different words of train.
        spaces: 0..1, share of the characters of train that part words.
        unseen: split -> share of its words that do not occur in train.
        scripts: share of the letters of train, by script, the most frequent first.
        repeated: split -> texts that repeat another; empty where lines are no samples.
        leaked: split -> texts that are in train too; likewise.
        examples: some samples of train, beside what they are made from.
    """

    source: str
    counts: Mapping[Split, int]
    empty: int
    characters: Spread
    alphabet: int
    once: int
    words: int
    spaces: float
    unseen: Mapping[Split, float]
    scripts: Mapping[str, float]
    repeated: Mapping[Split, int]
    leaked: Mapping[Split, int]
    examples: Sequence[tuple[str, ...]]

    def problems(self) -> list[str]:
        """What should be mended first, a line each."""
        found = []
        for split, count in self.leaked.items():
            if count >= 0.01 * self.counts[split]:
                found.append(
                    f"{count:,} of {self.counts[split]:,} {split} texts are in train too: scores will be too good"
                )
        for split, count in self.repeated.items():
            if count > 0.05 * self.counts[split]:
                found.append(
                    f"{count:,} of {self.counts[split]:,} {split} texts repeat another: keep one of each, or mean it"
                )
        if self.counts["train"] < 1000:
            found.append(
                f"{self.counts['train']:,} texts to learn from are few: what is written will be learnt by heart"
            )
        return found

    def lines(self) -> list[str]:
        """The survey in words."""
        wrong = self.problems()
        lines = ["Problems", *(f"  {each}" for each in wrong)] if wrong else ["Problems: none found"]
        lines += ["", f"{shown(self.source)}: {sum(self.counts.values()):,} texts"]
        lines += [_line(split, f"{count:,}") for split, count in self.counts.items()]
        lines.append(_line("characters", f"{self.characters}"))
        lines.append(
            _line(
                "alphabet", f"{self.alphabet:,} different characters, {self.once:,} of them once; {self.words:,} words"
            )
        )
        lines.append(
            _line("scripts", ", ".join(f"{name} {share:.1%}" for name, share in self.scripts.items()) or "no letters")
        )
        if self.empty:
            lines.append(_line("empty", f"{self.empty:,} lines, which are skipped"))
        if self.repeated:
            lines.append(_line("repeated", _each(self.repeated)))
            lines.append(_line("in train", _each(self.leaked)))
        for number, texts in enumerate(self.examples):
            lines.append(_line("" if number else "examples", " -> ".join(map(repr, texts))))
        return lines

    def as_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return {**vars(self), "characters": vars(self.characters), "problems": self.problems()}


def survey_texts(
    source: str,
    texts: Mapping[Split, Sequence[str]],
    inputs: Mapping[Split, Sequence[str] | None],
    empty: int,
    whole: bool = False,
) -> TextSurvey:
    """Look at the samples of every split of `source`, and at what they are made from.

    Args:
        empty: empty texts that were skipped.
        whole: whether they are the lines of one long text.
    """
    train = texts["train"]
    letters = Counter[str]()
    for each in (train, inputs.get("train") or ()):
        for text in each:
            letters.update(text)
    known = {word for each in (train, inputs.get("train") or ()) for text in each for word in text.split()}
    seen, rest = frozenset(train), [split for split in texts if split != "train"]
    step = max(1, len(train) // EXAMPLES)
    beside = inputs.get("train")
    examples = [(train[at],) if beside is None else (beside[at], train[at]) for at in range(0, len(train), step)]
    return TextSurvey(
        source,
        {split: len(each) for split, each in texts.items()},
        empty,
        Spread.of(map(len, train)),
        len(letters),
        sum(count == 1 for count in letters.values()),
        len(known),
        sum(count for letter, count in letters.items() if letter.isspace()) / max(1, letters.total()),
        {split: _unseen(texts[split], known) for split in rest},
        _scripts(letters),
        {} if whole else {split: repeated(each) for split, each in texts.items()},
        {} if whole else {split: sum(text in seen for text in texts[split]) for split in rest},
        examples[:EXAMPLES],
    )


def _unseen(texts: Sequence[str], known: set[str]) -> float:
    words = Counter(word for text in texts for word in text.split())
    return sum(count for word, count in words.items() if word not in known) / max(1, words.total())


def _scripts(letters: Counter[str]) -> dict[str, float]:
    found = Counter[str]()
    for letter, count in letters.items():
        if letter.isalpha():
            name = unicodedata.name(letter, "OTHER").split()[0]
            found["Han" if name in ("CJK", "IDEOGRAPHIC") else name.title()] += count
    total = found.total()
    return {name: count / total for name, count in found.most_common(6) if count >= 0.001 * total}


def _each(counts: Mapping[Split, int]) -> str:
    return ", ".join(f"{count:,} of {split}" for split, count in counts.items() if count) or "none"


def _line(label: str, text: str) -> str:
    line = f"  {label:{_LABEL}}{text}"
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..."
