"""Splits of texts that bring none: by a hash of the text, or contiguous parts of a long one."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b

import numpy as np

from cardigan.data.sources.source import Split, shown
from cardigan.data.sources.split import DIGEST, assign, pack
from cardigan.data.text.places import ORDER
from cardigan.data.text.texts import Texts
from cardigan.errors import CardiganError


def divided(found: Mapping[Split, Texts], test: float, validation: float, name: str) -> dict[Split, Texts]:
    """What the source lacks, cut from its train split: equal texts (whatever case and space) never lie in two splits.

    Raises:
        CardiganError: too few different texts to be divided.
    """
    lacking = _lacking(found, test, validation)
    if not lacking:
        return dict(found)
    train = found["train"]
    digests = pack([digest(group) for group in train.groups])
    if len(np.unique(digests, axis=0)) < 1 + len(lacking):
        raise CardiganError(f"{shown(name)}: holds too few different texts to set aside {' and '.join(lacking)}")
    splits = assign(digests, lacking.get("test", 0.0), lacking.get("validation", 0.0))
    parts: tuple[Split, ...] = ("train", *lacking)
    cut = {split: train.chosen(np.flatnonzero(splits == split).tolist()) for split in parts}
    return {split: (cut if split in cut else found)[split] for split in ORDER if split in cut or split in found}


def divided_whole(found: Mapping[Split, str], test: float, validation: float) -> dict[Split, str]:
    """The same of long texts: what comes last is the test part, what comes before it validation; cut at line ends."""
    lacking = _lacking(found, test, validation)
    if not lacking:
        return dict(found)
    train = found["train"]
    share = lacking.get("test", 0.0)
    last = _line_start(train, round(len(train) * (1 - share)))
    middle = _line_start(train, round(last * (1 - lacking.get("validation", 0.0))))
    cut: dict[Split, str] = {"train": train[:middle], "validation": train[middle:last], "test": train[last:]}
    whole: dict[Split, str] = {**found, **{split: cut[split] for split in ("train", *lacking)}}
    return {split: whole[split] for split in ORDER if split in whole}


def _lacking(found: Mapping[Split, object], test: float, validation: float) -> dict[Split, float]:
    shares: dict[Split, float] = {"test": test, "validation": validation}
    return {split: share for split, share in shares.items() if split not in found and share > 0}


def _line_start(text: str, at: int) -> int:
    """The start of the line nearest before `at`; `at` itself where that would leave too little."""
    start = text.rfind("\n", 0, at) + 1
    return start if start > 0.9 * at else at


def digest(text: str) -> bytes:
    """Hash of a text, blind to case and to how its words are spaced."""
    return blake2b(" ".join(text.casefold().split()).encode(errors="surrogatepass"), digest_size=DIGEST).digest()


def repeated(texts: Sequence[str]) -> int:
    """How many of them stand there already."""
    return len(texts) - len(set(texts))
