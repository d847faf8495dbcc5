"""All splits of a source as tokens, with the tokenizer of its train split: made once, kept in process and cache."""

import json
import shutil
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import BadZipFile

import numpy as np

from cardigan.data import store
from cardigan.data.base import Watch
from cardigan.data.sources.source import Split, shown
from cardigan.data.text.division import divided, divided_whole
from cardigan.data.text.filled import Rows, Side, filled, unknowns
from cardigan.data.text.rows import LONGEST, Ragged, windows
from cardigan.data.text.texts import SEPARATOR, Texts, files_asked, read_texts, read_whole
from cardigan.data.text.tokenizer import SMALLEST, Ids, Tokenizer
from cardigan.errors import CardiganError

if TYPE_CHECKING:
    from cardigan.data.sentences import Sentences

WINDOW = 128
"""Tokens of a window of a long text, where no length is asked for."""
_LARGE = 200_000
"""Bytes of files from which on their tokens are kept in the cache."""
_MOST = 4
"""Sources whose tokens are kept in the process."""
_PIECE = 10_000
"""Characters of a long text that are encoded together at most."""
_KEPT: "OrderedDict[str, Prepared]" = OrderedDict()


@dataclass(frozen=True)
class Prepared:
    """All splits that a source brings or that were cut from it, and the tokenizer of train."""

    tokenizer: Tokenizer
    splits: Mapping[Split, Rows]

    def save(self, folder: Path) -> None:
        """Write it to files of `folder`."""
        self.tokenizer.save(folder)
        for split, rows in self.splits.items():
            rows.save(folder, split)
        (folder / "splits.json").write_text(json.dumps(list(self.splits)), "utf-8")

    @classmethod
    def opened(cls, folder: Path, data: "Sentences") -> "Prepared":
        """What `save` wrote."""
        names = json.loads((folder / "splits.json").read_text("utf-8"))
        return cls(Tokenizer.opened(folder, data.tokens), {name: Rows.opened(folder, name) for name in names})


def prepare(data: "Sentences", watch: Watch) -> Prepared:
    """The tokens of all splits that `data` asks for.

    Raises:
        CardiganError: in one line, what is wrong with the source and where.
    """
    import tokenizers

    files, beside = files_asked(data.wanted)
    paths = [path for each in (files, beside or {}) for several in each.values() for path in several]
    settings = data.model_dump(mode="json", exclude={"source"})
    key = store.hashed("tokens", 1, tokenizers.__version__, store.stamp(paths), data.wanted.named_column, settings)
    if key not in _KEPT:
        _KEPT[key] = _kept(data, key, sum(path.stat().st_size for path in paths), watch)
        while len(_KEPT) > _MOST:
            _KEPT.popitem(last=False)
    _KEPT.move_to_end(key)
    return _KEPT[key]


def _kept(data: "Sentences", key: str, size: int, watch: Watch) -> Prepared:
    if size < _LARGE:
        return _made(data, watch)
    made = list[Prepared]()

    def make(folder: Path) -> None:
        try:
            made.append(_made(data, watch))
        except CardiganError:  # nothing to go on from
            shutil.rmtree(folder, ignore_errors=True)
            raise
        made[0].save(folder)

    try:
        folder = store.keep("tokens", key, make, {"source": data.source})
    except store.StoreError:  # only a convenience
        return made[0] if made else _made(data, watch)
    try:
        return made[0] if made else Prepared.opened(folder, data)
    except (CardiganError, OSError, ValueError, KeyError, EOFError, BadZipFile):  # damaged
        return _made(data, watch)


def _made(data: "Sentences", watch: Watch) -> Prepared:
    watch("reading text", 0, 0)
    if data.unit == "window":
        return _windows(data, watch)
    found = divided(read_texts(data.wanted), data.test, data.validation, data.source)
    if data.lowercase:
        found = {split: _lowered(texts) for split, texts in found.items()}
    train = found["train"]
    watch("learning the vocabulary", 0, 0)
    tokenizer = _trained(data, _learnt_from(data, train))
    watch("turning text into tokens", 0, 0)
    samples = {split: Ragged.of(tokenizer.encode(texts.samples)) for split, texts in found.items()}
    inputs = {
        split: Ragged.of(_encoded(tokenizer, texts.inputs, data.context))
        for split, texts in found.items()
        if texts.inputs is not None
    }
    width = data.length or min(LONGEST, samples["train"].longest)
    source_width = data.source_length or min(LONGEST, inputs["train"].longest if inputs else 0)
    known, splits = frozenset(map(tokenizer.normal, train.samples)), dict[Split, Rows]()
    for split, texts in found.items():
        side = Side(texts.samples, samples[split], width)
        beside = None if texts.inputs is None else Side(texts.inputs, inputs[split], source_width)
        cut = data.longer == "cut"
        splits[split] = filled(split, texts, side, beside, tokenizer, cut=cut, train=known)
        if split == "train" and len(splits[split].tokens) == 0:
            raise CardiganError(_too_short(data, side, beside))
    return Prepared(tokenizer, splits)


def _too_short(data: "Sentences", samples: Side, inputs: Side | None) -> str:
    shortest = int(samples.tokens.lengths.min()) + 1
    if shortest > samples.width or inputs is None:
        return (
            f"data.length={samples.width}: no text of {shown(data.source)} has so few tokens, its end counted; "
            f"allowed: {shortest} or more"
        )
    return (
        f"data.source_length={inputs.width}: no input of {shown(data.source)} has so few tokens, its end counted, "
        f"beside a sample of {samples.width}; allowed: {int(inputs.tokens.lengths.min()) + 1} or more"
    )


def _trained(data: "Sentences", texts: Iterable[str]) -> Tokenizer:
    tokenizer = Tokenizer.train(data.tokens, texts, data.vocabulary, data.rare)
    if tokenizer.size < SMALLEST[data.tokens]:
        raise CardiganError(f"data.rare={data.rare}: nothing occurs so often in {shown(data.source)}; allowed: less")
    return tokenizer


def _learnt_from(data: "Sentences", train: Texts) -> Iterable[str]:
    """What the vocabulary is learnt from: samples and inputs; of conversations each turn once."""
    if data.context is None:
        return chain(train.samples, train.inputs or ())
    return dict.fromkeys(train.groups)


def _encoded(tokenizer: Tokenizer, inputs: list[str], context: int | None) -> Iterator[Ids]:
    """Inputs as tokens. A turn, which stands in several, is looked at once: no token reaches over a line end."""
    if context is None:
        yield from tokenizer.encode(inputs)
        return
    turns = list(dict.fromkeys(turn for text in inputs for turn in text.split(SEPARATOR)))
    known = dict(zip(turns, tokenizer.encode(turns), strict=True))
    between = next(tokenizer.encode([SEPARATOR]))
    for text in inputs:
        first, *others = text.split(SEPARATOR)
        yield np.concatenate([known[first], *(part for turn in others for part in (between, known[turn]))])


def _lowered(texts: Texts) -> Texts:
    inputs = None if texts.inputs is None else [each.lower() for each in texts.inputs]
    groups = [each.lower() for each in texts.groups]
    return Texts([each.lower() for each in texts.samples], inputs, groups, texts.places, texts.empty)


def _windows(data: "Sentences", watch: Watch) -> Prepared:
    found = divided_whole(read_whole(data.wanted), data.test, data.validation)
    if data.lowercase:
        found = {split: text.lower() for split, text in found.items()}
    watch("learning the vocabulary", 0, 0)
    tokenizer = _trained(data, _pieces(found["train"]))
    watch("turning text into tokens", 0, 0)
    width, splits = data.length or WINDOW, dict[Split, Rows]()
    for split, text in found.items():
        flat = Ragged.of(tokenizer.encode(_pieces(text))).flat
        tokens = windows(flat, width)
        if len(tokens) == 0 and split == "train":
            raise CardiganError(
                f"data.length={width}: {shown(data.source)} has only {len(flat):,} tokens in train; allowed: fewer"
            )
        texts = tokenizer.decode(tokens.tolist())
        left = len(flat) - tokens.size
        remarks = [f"{left:,} tokens at the end of {split} fill no window and are left out"] if left else []
        remarks += unknowns(split, tokens)
        splits[split] = Rows(tokens, None, np.arange(len(tokens)), texts, None, tuple(remarks))
    return Prepared(tokenizer, splits)


def _pieces(text: str) -> Iterable[str]:
    """A long text in lines, their ends on them; very long ones in stretches."""
    for line in _lines(text):
        for start in range(0, len(line), _PIECE):
            yield line[start : start + _PIECE]


def _lines(text: str) -> Iterable[str]:
    parts = text.split("\n")
    yield from (f"{part}\n" for part in parts[:-1])
    if parts[-1]:
        yield parts[-1]
