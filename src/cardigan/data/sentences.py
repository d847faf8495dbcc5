"""Sentences of any text as a data set: lines, windows, columns, translations, replies."""

from hashlib import blake2b
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, model_validator

from cardigan.data.base import Data, Watch, silent
from cardigan.data.sentence_codec import SentenceCodec
from cardigan.data.sources import absolute
from cardigan.data.sources.source import Split, shown
from cardigan.data.text.places import NAMES
from cardigan.data.text.prepared import Prepared, prepare
from cardigan.data.text.texts import Wanted, input_file
from cardigan.data.text.tokenised import Tokenised
from cardigan.data.text.tokenizer import SMALLEST, Tokens
from cardigan.errors import CardiganError
from cardigan.sample import Form
from cardigan.settings import Count

Length = Annotated[int, Field(ge=2, le=2**16)] | None
"""Tokens of a sentence at most, its END among them; None: those of the longest."""


class Sentences(Data):
    """Sentences of any text: a name, a text file, JSON lines, CSV, TSV, each also .gz, or a folder of them."""

    kind: Literal["sentences"] = "sentences"
    """This kind of data."""
    source: str
    """A name (captions, poems, shakespeare, multi30k, dialogue, qm9) or a path."""
    unit: Literal["line", "window"] = "line"
    """What a sample is: a line (a row of a table), or a window of `length` tokens out of a long text, without END."""
    column: str | None = None
    """The column of a CSV file, the key of JSON lines. None: the only one that holds texts."""
    inputs: str | None = None
    """What samples are made from: the ending of parallel files in a folder (de), a column, or a file of as many."""
    outputs: str | None = None
    """Beside `inputs`, the samples: an ending (en) or a column. None: the source itself."""
    context: Annotated[int, Field(ge=1, le=64)] | None = None
    """Of a column of conversations (lists of strings): each reply is made from so many turns before it, a line each.
    None: each turn is a sample by itself."""
    tokens: Tokens = "characters"
    """What a token is: a character, a word (what white space parts), or a byte pair."""
    vocabulary: Count | None = None
    """Tokens, the special ones among them: the most frequent of train; others are unknown. None: all, of bpe 8000."""
    rare: Annotated[int, Field(ge=1)] = 1
    """Occurrences in train below which a character or word is unknown; not of bpe."""
    length: Length = None
    """Most tokens of a sample, with its END. None: those of the longest of train, within 512; of a window 128."""
    source_length: Length = None
    """The same of what samples are made from."""
    longer: Literal["drop", "cut"] = "drop"
    """What becomes of a text that has more: it is left out, or cut, without END."""
    lowercase: bool = False
    """Bring everything to lower case."""
    test: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the texts set aside as test, where the source has no test split of its own."""
    validation: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Share of the training texts set aside as validation, where the source has none of its own."""

    @model_validator(mode="after")
    def _agrees(self) -> "Sentences":
        least = SMALLEST[self.tokens]
        if self.vocabulary is not None and self.vocabulary < least:
            what = "the special tokens and all bytes" if self.tokens == "bpe" else "the special tokens and one more"
            raise ValueError(f"data.vocabulary={self.vocabulary} is too small; allowed: {least} or more ({what})")
        if self.unit == "window" and (self.inputs or self.context):
            raise ValueError("windows of a long text are made from nothing; allowed with inputs, context: unit=line")
        if self.context is not None and (self.inputs or self.outputs):
            raise ValueError("replies are made from the turns before them; allowed: data.context, or data.inputs")
        return self

    @property
    def wanted(self) -> Wanted:
        """Which texts of the source."""
        return Wanted(self.source, self.column, self.inputs, self.outputs, self.context)

    def anchored(self) -> dict[str, Any]:
        """See `Data.anchored`."""
        if self.source in NAMES:
            return {}
        try:
            beside = input_file(self.wanted)
        except CardiganError:  # no such source, to be complained about later
            beside = None
        inputs = self.inputs if beside is None else absolute(str(self.inputs))
        return {"source": absolute(self.source), "inputs": inputs}

    def load(self, split: Split = "train", seed: int = 0, watch: Watch = silent) -> Tokenised:
        """Read one split; `seed` shuffles it.

        A split of the source is honoured. What it lacks is cut from its train split by a hash of each text, so that
        equal texts never lie in two splits and adding texts moves no other one; of a long text, contiguous parts are.
        The vocabulary is that of train.

        Raises:
            CardiganError: in one line, what is wrong with the source and where.
        """
        try:
            prepared = prepare(self, watch)
        except OSError as error:
            raise CardiganError(f"{shown(error.filename or self.source)}: cannot be read: {error.strerror}") from None
        rows = prepared.splits.get(split)
        if rows is None or len(rows.tokens) == 0:
            share = f": data.{split}={getattr(self, split)}" if rows is None and split != "train" else ""
            raise CardiganError(f"{shown(self.source)}: nothing in its {split} split{share}")
        width = None if rows.inputs is None else (rows.inputs.shape[1],)
        dataset = Tokenised(
            torch.from_numpy(rows.tokens),
            None if rows.inputs is None else torch.from_numpy(rows.inputs),
            texts=rows.texts,
            input_texts=rows.input_texts,
            form=Form((rows.tokens.shape[1],), source=width, vocabulary=prepared.tokenizer.size),
            codec=self._codec(prepared),
            fingerprint=_fingerprint(prepared, split),
            seed=seed,
            ids=torch.from_numpy(rows.places),
        )
        dataset.remarks = rows.remarks
        return dataset

    def _codec(self, prepared: Prepared) -> SentenceCodec:
        paired = self.inputs is not None or self.context is not None
        codec = SentenceCodec(tokens=self.tokens, lowercase=self.lowercase, paired=paired, context=self.context)
        return codec.using(prepared.tokenizer)


def _fingerprint(prepared: Prepared, split: Split) -> str:
    rows = prepared.splits[split]
    whole = blake2b(f"{prepared.tokenizer.identity()} {rows.tokens.shape}".encode(), digest_size=16)
    whole.update(rows.tokens.data)
    whole.update(b"" if rows.inputs is None else rows.inputs.data)
    return whole.hexdigest()
