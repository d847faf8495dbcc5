"""What the files say: samples as strings, beside what each is made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cardigan.data.sources.source import Split, shown
from cardigan.data.text import places
from cardigan.data.text.places import NAMED, Files
from cardigan.data.text.reading import read_lines, read_text
from cardigan.data.text.tables import Table, form_of, read_table
from cardigan.errors import CardiganError

SEPARATOR = "\n"
"""Between the turns of a conversation."""


@dataclass(frozen=True)
class Texts:
    """The texts of some files.

    Attributes:
        samples: none is empty.
        inputs: what each is made from, none of them empty; None: of nothing.
        groups: what must stay together when splits are cut: texts of equal group lie in one split.
        places: of each, its position in the files, the empty ones counted.
        empty: texts left out because they, or what they are made from, are empty.
    """

    samples: list[str]
    inputs: list[str] | None
    groups: list[str]
    places: list[int]
    empty: int = 0

    def __len__(self) -> int:
        return len(self.samples)

    def chosen(self, rows: Sequence[int]) -> "Texts":
        """Some of them."""
        inputs = None if self.inputs is None else [self.inputs[row] for row in rows]
        return Texts(
            [self.samples[row] for row in rows],
            inputs,
            [self.groups[row] for row in rows],
            [self.places[row] for row in rows],
            self.empty,
        )


@dataclass(frozen=True)
class Wanted:
    """Which texts of a source are asked for; the fields of `Sentences` of the same names."""

    source: str
    column: str | None = None
    inputs: str | None = None
    outputs: str | None = None
    context: int | None = None

    @property
    def named_column(self) -> str | None:
        """The column asked for, or that of a source known by name."""
        return self.column or (NAMED[self.source].column if self.source in NAMED else None)


def input_file(wanted: Wanted) -> Path | None:
    """The file beside the source that holds what samples are made from, where it is one of lines."""
    if wanted.inputs is None or wanted.outputs is not None or places.is_folder(wanted.source):
        return None
    path = Path(wanted.inputs).expanduser()
    return path if form_of(places.locate(wanted.source)[0]) == "lines" else None


def files_asked(wanted: Wanted) -> tuple[Files, Files | None]:
    """The files of the samples, and where they are others those of what they are made from.

    Raises:
        CardiganError: they are not there, or there is a choice to be made.
    """
    if places.is_folder(wanted.source):
        found = places.texts_in(places.locate(wanted.source)[0])
        languages = places.endings(found)
        if found and form_of(found[0]) == "lines" and (wanted.inputs or wanted.outputs or languages):
            return _parallel(wanted, languages)
    files = places.files_of(wanted.source)
    beside = input_file(wanted)
    if beside is None:
        return files, None
    if not beside.is_file():
        raise CardiganError(
            f"data.inputs: there is no file {shown(beside)}; allowed: a file of as many lines as {shown(wanted.source)}"
        )
    return files, {"train": (beside,)}


def _parallel(wanted: Wanted, languages: tuple[str, ...]) -> tuple[Files, Files | None]:
    if wanted.outputs is None:
        raise CardiganError(
            f"{shown(wanted.source)} holds parallel files; say which are to be written: data.outputs=, one of "
            f"{', '.join(languages)} (and data.inputs=, another, where they are made from it)"
        )
    outputs = places.parallel(wanted.source, wanted.outputs)
    if wanted.inputs is None:
        return outputs, None
    inputs = places.parallel(wanted.source, wanted.inputs)
    for split in outputs.keys() ^ inputs.keys():
        have, lacks = (wanted.outputs, wanted.inputs) if split in outputs else (wanted.inputs, wanted.outputs)
        raise CardiganError(
            f"{shown(wanted.source)}: a {split} split of .{have}, but none of .{lacks}; parallel files have equal "
            "splits"
        )
    return outputs, inputs


def read_texts(wanted: Wanted) -> Mapping[Split, Texts]:
    """The texts of each split of the source, stripped of the space around them.

    Raises:
        CardiganError: in one line, what is wrong with a file and where.
    """
    files, beside = files_asked(wanted)
    found = {split: _read(wanted, paths, beside[split] if beside else None) for split, paths in files.items()}
    for split, texts in found.items():
        if not texts.samples:
            names = ", ".join(shown(path) for path in files[split][:3])
            nothing = f"{texts.empty:,} empty lines and nothing else" if texts.empty else "empty"
            raise CardiganError(f"{names}: {nothing}; allowed: a text a line")
    return found


def read_whole(wanted: Wanted) -> Mapping[Split, str]:
    """Each split of the source as one long text, for windows."""
    files, _ = files_asked(wanted)
    found = {split: "\n".join(_whole(wanted, path) for path in paths) for split, paths in files.items()}
    for split, text in found.items():
        if not text.strip():
            raise CardiganError(f"{', '.join(shown(path) for path in files[split][:3])}: empty; allowed: a long text")
    return found


def _whole(wanted: Wanted, path: Path) -> str:
    if form_of(path) == "lines":
        return read_text(path)
    table = read_table(path)
    return "\n".join(table.texts(wanted.named_column or table.only()))


def _read(wanted: Wanted, paths: Sequence[Path], beside: Sequence[Path] | None) -> Texts:
    forms = {form_of(path) for path in paths}
    if len(forms) > 1:
        raise CardiganError(
            f"{', '.join(map(shown, paths[:4]))}: files of several forms; allowed: all lines, or all tables"
        )
    if forms == {"lines"}:
        if wanted.context is not None or wanted.column is not None:
            what = "column" if wanted.column is not None else "context"
            raise CardiganError(f"data.{what}: only of tables (.jsonl, .csv, .tsv); {shown(paths[0])} is none")
        samples = [line for path in paths for line in read_lines(path)]
        if beside is None:
            return _without_empty(samples, None)
        inputs = [line for path in beside for line in read_lines(path)]
        if len(inputs) != len(samples):
            raise CardiganError(
                f"{', '.join(map(shown, beside))} has {len(inputs):,} lines, but {', '.join(map(shown, paths))} "
                f"{len(samples):,}; parallel files have equally many"
            )
        return _without_empty(samples, inputs)
    return _of_tables(wanted, [read_table(path) for path in paths])


def _of_tables(wanted: Wanted, tables: Sequence[Table]) -> Texts:
    column = wanted.outputs or wanted.named_column or tables[0].only(lists=wanted.context is not None)
    if wanted.inputs is not None:
        samples = [text for table in tables for text in table.texts(column)]
        return _without_empty(samples, [text for table in tables for text in table.texts(wanted.inputs)])
    if not any(table.holds_lists(column) for table in tables):
        if wanted.context is not None:
            raise CardiganError(f"data.context: {column!r} of {shown(tables[0].path)} holds no lists of strings")
        return _without_empty([text for table in tables for text in table.texts(column)], None)
    return _conversations([turns for table in tables for turns in table.lists(column)], wanted.context)


def _without_empty(samples: list[str], inputs: list[str] | None) -> Texts:
    samples = [text.strip() for text in samples]
    inputs = None if inputs is None else [text.strip() for text in inputs]
    full = [row for row, text in enumerate(samples) if text and (inputs is None or inputs[row])]
    kept = [samples[row] for row in full]
    sources = None if inputs is None else [inputs[row] for row in full]
    return Texts(kept, sources, kept, full, len(samples) - len(full))


def _conversations(conversations: Sequence[Sequence[str]], context: int | None) -> Texts:
    """Every turn by itself, or every reply to the `context` turns before it. A conversation stays in one split."""
    samples, inputs, groups, empty = list[str](), list[str](), list[str](), 0
    for turns in conversations:
        said = [" ".join(turn.split()) for turn in turns]
        empty += sum(not turn for turn in said)
        said = [turn for turn in said if turn]
        first = 0 if context is None else 1
        samples += said[first:]
        groups += [SEPARATOR.join(said)] * len(said[first:])
        if context is not None:
            inputs += [SEPARATOR.join(said[max(0, at - context) : at]) for at in range(1, len(said))]
    return Texts(samples, None if context is None else inputs, groups, list(range(len(samples))), empty)
