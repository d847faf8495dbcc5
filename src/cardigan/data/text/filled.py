"""One split as rows of tokens: what fits, and what is to be said of the rest."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cardigan.data.sources.source import Split
from cardigan.data.text.division import repeated
from cardigan.data.text.rows import Ragged
from cardigan.data.text.texts import Texts
from cardigan.data.text.tokenizer import Ids, Tokenizer
from cardigan.tokens import END, PAD, UNKNOWN


@dataclass(frozen=True)
class Rows:
    """One split.

    Attributes:
        tokens: (N, T).
        inputs: (N, S), or None.
        places: (N,) position of each in its source.
        texts: the samples as text.
        input_texts: the inputs as text, or None.
        remarks: what was left out and the like, a line each.
    """

    tokens: Ids
    inputs: Ids | None
    places: NDArray[np.int64]
    texts: list[str]
    input_texts: list[str] | None
    remarks: tuple[str, ...]

    def save(self, folder: Path, name: str) -> None:
        """Write it to files of `folder`."""
        inputs = {} if self.inputs is None else {"inputs": self.inputs}
        np.savez(folder / f"{name}.npz", tokens=self.tokens, places=self.places, **inputs)  # type: ignore[arg-type]
        said = {"texts": self.texts, "input_texts": self.input_texts, "remarks": self.remarks}
        (folder / f"{name}.json").write_text(json.dumps(said, ensure_ascii=False), "utf-8")

    @classmethod
    def opened(cls, folder: Path, name: str) -> "Rows":
        """What `save` wrote."""
        said = json.loads((folder / f"{name}.json").read_text("utf-8"))
        with np.load(folder / f"{name}.npz") as arrays:
            inputs = arrays.get("inputs")
            tokens, places = arrays["tokens"], arrays["places"]
        return cls(tokens, inputs, places, said["texts"], said["input_texts"], tuple(said["remarks"]))


@dataclass(frozen=True)
class Side:
    """The samples of a split, or what they are made from.

    Attributes:
        texts: as text.
        tokens: the same as tokens.
        width: tokens that one may have, its END counted.
    """

    texts: list[str]
    tokens: Ragged
    width: int

    @property
    def fits(self) -> NDArray[np.bool_]:
        """(N,) which are not too long."""
        return self.tokens.lengths < self.width

    def as_read(self, rows: NDArray[np.int64], tokens: Ids, tokenizer: Tokenizer) -> list[str]:
        """The texts of `rows`; of those that were cut into `tokens`, what is left."""
        fits = self.fits
        return [
            tokenizer.normal(self.texts[row]) if fits[row] else tokenizer.decode([tokens[at].tolist()])[0]
            for at, row in enumerate(rows.tolist())
        ]


def filled(
    split: Split,
    texts: Texts,
    samples: Side,
    inputs: Side | None,
    tokenizer: Tokenizer,
    *,
    cut: bool,
    train: frozenset[str],
) -> Rows:
    """The rows of a split.

    Args:
        cut: whether what is too long is cut rather than left out.
        train: the samples of the train split.
    """
    whole = samples.fits & (inputs.fits if inputs else True)
    kept = np.arange(len(texts)) if cut else np.flatnonzero(whole)
    tokens = samples.tokens.rows(kept, samples.width)
    sources = inputs.tokens.rows(kept, inputs.width) if inputs else None
    said = samples.as_read(kept, tokens, tokenizer)
    remarks = [f"{texts.empty:,} empty texts are left out"] if texts.empty else []
    if long := int(len(texts) - whole.sum()):
        limits = f"{samples.width} tokens" + (f" (their inputs than {inputs.width})" if inputs else "")
        done = "cut" if cut else "left out"
        remarks.append(f"{long:,} of {len(texts):,} {split} texts are longer than {limits} and {done}")
    remarks += repeats(split, said, train) + unknowns(split, tokens, sources)
    return Rows(
        tokens,
        sources,
        np.array(texts.places, np.int64)[kept],
        said,
        inputs.as_read(kept, sources, tokenizer) if inputs is not None and sources is not None else None,
        tuple(remarks),
    )


def repeats(split: Split, texts: list[str], train: frozenset[str]) -> list[str]:
    """How many texts stand there more than once, and in train too: a remark each."""
    remarks = []
    if count := repeated(texts):
        remarks.append(f"{count:,} of {len(texts):,} {split} texts repeat another; they are kept")
    if split != "train" and (seen := sum(text in train for text in texts)):
        remarks.append(f"{seen:,} of {len(texts):,} {split} texts are in train too")
    return remarks


def unknowns(split: Split, *tokens: Ids | None) -> list[str]:
    """How many tokens the vocabulary lacks, as a remark."""
    there = [each[(each != PAD) & (each != END)] for each in tokens if each is not None]
    total, count = sum(map(len, there)), sum(int((each == UNKNOWN).sum()) for each in there)
    share = f"({count / total:.2%})" if total else ""
    return [f"{count:,} of {total:,} {split} tokens {share} are unknown to the vocabulary"] if count else []
