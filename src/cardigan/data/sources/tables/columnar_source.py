"""Files of columns -> a source of pictures: the same for parquet, Arrow and the Hugging Face Hub."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from cardigan.data.sources.source import Encoded, Labels, Part, Source, Split, shown
from cardigan.data.sources.tables.columnar import Columnar, Rows
from cardigan.data.sources.tables.columnar_cells import linked_files, picture_reader, spoken
from cardigan.data.sources.tables.columnar_labels import read_labels
from cardigan.data.sources.tables.columns import Columns, choose, kind_of
from cardigan.data.sources.tables.huggingface import Features, noted_features, schema_features
from cardigan.errors import CardiganError


def columnar_source(
    name: str,
    tables: Mapping[Split, Columnar],
    folder: Path,
    remarks: Sequence[str] = (),
    roots: Sequence[Path] = (),
) -> Source:
    """The pictures, labels and sentences in `tables`, "train" among them.

    Args:
        folder: where the tables lie, at any depth: names of classes may be noted there, or beside a table.
        remarks: what is known already about how the source was understood.
        roots: folders that files may lie in which rows name instead of holding a picture; by default that of the table.

    Raises:
        CardiganError: no column of pictures, or labels that make no sense.
    """
    train = tables["train"]
    where = shown(train.files[0])
    features, notes = _features(train, folder)
    columns = choose(train.schema, features, where)
    for table in tables.values():
        _check_alike(table, train, columns)
    labels, classes = read_labels(tables, columns, where)
    parts = {split: partial(_part, table, columns, labels.get(split), tuple(roots)) for split, table in tables.items()}
    files = dict.fromkeys(path for table in tables.values() for path in table.files)
    if columns.nested:
        for table in tables.values():
            files.update(dict.fromkeys(linked_files(table, columns.picture, roots)))
    files.update(dict.fromkeys(notes))
    return Source(name, parts, classes, tuple(files), (*remarks, *columns.remarks))


def _features(table: Columnar, folder: Path) -> tuple[Features, tuple[Path, ...]]:
    """What is noted about the columns, in the table itself or in a file beside it, and that file if it was needed."""
    if own := schema_features(table.schema.metadata):
        return own, ()
    above = [parent for parent in table.files[0].parents if parent.is_relative_to(folder)]
    noted, path = noted_features(above, table.schema.names)
    return noted, (path,) if path else ()


def _part(table: Columnar, columns: Columns, labels: Labels | None, roots: Sequence[Path]) -> Part:
    def name(index: int) -> str:
        path, row = table.where(index)
        return f"{shown(path)}: row {row}"

    names = Rows(len(table), name)
    read = picture_reader(table, columns.picture, columns.nested, names, roots)
    sentences = spoken(table, columns.sentences) if columns.sentences in table.schema.names else None
    return Encoded(names, read, labels, sentences)


def _check_alike(table: Columnar, train: Columnar, columns: Columns) -> None:
    """Refuse a table whose files do not have the columns of `train`; in other splits only the pictures are required."""
    optional = [name for name in (columns.label, columns.sentences) if name in table.schema.names]
    for path, schema in zip(table.files, table.schemas, strict=True):
        for name in (columns.picture, *optional):
            index = schema.get_field_index(name)
            if index < 0 or kind_of(schema.field(index).type) != kind_of(train.schema.field(name).type):
                raise CardiganError(f"{shown(path)}: column {name!r} is missing or of another type than in other files")
