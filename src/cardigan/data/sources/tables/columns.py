"""Which column of a table holds the pictures, which the labels, which the sentences."""

from dataclasses import dataclass
from typing import Any, Literal

from cardigan.data.sources.tables.huggingface import Features, class_names, is_picture
from cardigan.errors import CardiganError

Kind = Literal["picture", "bytes", "integer", "word", "words", ""]
"""A struct of bytes and path; bytes; integers; strings; lists of strings; anything else."""

PICTURES = ("image", "img", "picture", "photo", "jpg", "jpeg", "png", "webp", "bytes", "image_bytes", "data")
LABELS = ("label", "labels", "class", "category", "target", "fine_label", "coarse_label")
SENTENCES = ("text", "caption", "captions", "sentence", "sentences")
_NO_SENTENCES = frozenset(
    {"id", "key", "name", "path", "file", "file_name", "filename", "image_id", "image_path", "url", "split", "hash"}
)
"""Names of columns of strings that are not what somebody says of a picture, even if there is no other."""


@dataclass(frozen=True)
class Columns:
    """The columns of a table that matter.

    Attributes:
        picture: name of the column of pictures.
        nested: whether it is a struct of bytes and path, rather than bytes.
        label: name of the column of labels; empty where there is none.
        classes: their names as noted in the table; empty where none are noted.
        sentences: name of the column of sentences; empty where there is none.
        remarks: what was chosen although something else could have been meant, a line each.
    """

    picture: str
    nested: bool
    label: str = ""
    classes: tuple[str, ...] = ()
    sentences: str = ""
    remarks: tuple[str, ...] = ()


def kind_of(arrow_type: Any) -> Kind:
    """What values of a pyarrow type are to us."""
    import pyarrow.types as types

    if types.is_dictionary(arrow_type):
        return kind_of(arrow_type.value_type)
    if types.is_struct(arrow_type):
        index = arrow_type.get_field_index("bytes")  # -1 where there is none, or more than one
        return "picture" if index >= 0 and kind_of(arrow_type.field(index).type) == "bytes" else ""
    if types.is_binary(arrow_type) or types.is_large_binary(arrow_type) or types.is_binary_view(arrow_type):
        return "bytes"
    if types.is_integer(arrow_type) or types.is_boolean(arrow_type):
        return "integer"
    if types.is_string(arrow_type) or types.is_large_string(arrow_type) or types.is_string_view(arrow_type):
        return "word"
    if types.is_list(arrow_type) or types.is_large_list(arrow_type):
        return "words" if kind_of(arrow_type.value_type) == "word" else ""
    return ""


def choose(schema: Any, features: Features, where: str) -> Columns:
    """The columns of a pyarrow `schema`, by what is noted about them in `features`, their names and their types.

    Raises:
        CardiganError: no column of pictures.
    """
    kinds = {name: kind_of(schema.field(name).type) for name in schema.names if schema.names.count(name) == 1}
    pictures = _pictures(kinds, features)
    if not pictures:
        columns = ", ".join(map(str, schema.names[:20])) or "none"
        raise CardiganError(
            f"{where}: no column of pictures; allowed: a struct of bytes and path, or a column of bytes called image "
            f"or the only one; columns: {columns}"
        )
    picture, remarks = pictures[0], [*_several("pictures", pictures)]
    labels = _labels(kinds, features)
    remarks += _several("labels", labels)
    label = labels[0] if labels else ""
    sentences, guess = _sentences(kinds, label)
    remarks += guess
    nested = kinds[picture] == "picture"
    names = class_names(features.get(label)) or () if label and kinds[label] == "integer" else ()
    return Columns(picture, nested, label, names, sentences, tuple(remarks))


def _pictures(kinds: dict[str, Kind], features: Features) -> list[str]:
    """Columns that may hold the pictures, the likeliest first."""
    noted = [name for name, kind in kinds.items() if kind in ("picture", "bytes") and is_picture(features.get(name))]
    structs = [name for name, kind in kinds.items() if kind == "picture"]
    plain = [name for name, kind in kinds.items() if kind == "bytes"]
    return noted or structs or _called(plain, PICTURES) or (plain if len(plain) == 1 else [])


def _labels(kinds: dict[str, Kind], features: Features) -> list[str]:
    noted = [name for name, kind in kinds.items() if kind == "integer" and class_names(features.get(name)) is not None]
    return noted or _called([name for name, kind in kinds.items() if kind in ("integer", "word")], LABELS)


def _sentences(kinds: dict[str, Kind], label: str) -> tuple[str, list[str]]:
    """The column of sentences, and a remark where it is only guessed."""
    strings = [name for name, kind in kinds.items() if kind in ("word", "words") and name != label]
    if called := _called(strings, SENTENCES):
        return called[0], _several("sentences", called)
    likely = [name for name in strings if name.lower() not in _NO_SENTENCES]
    if len(likely) == 1:
        return likely[0], [f"sentences are taken from the column {likely[0]!r}, the only one of strings"]
    return "", []


def _called(names: list[str], wanted: tuple[str, ...]) -> list[str]:
    """Those of `names` that are among `wanted`, in the order of `wanted`; their case does not matter."""
    found = [name for name in names if name.lower() in wanted]
    return sorted(found, key=lambda name: wanted.index(name.lower()))


def _several(what: str, names: list[str]) -> list[str]:
    if len(names) < 2:
        return []
    return [f"{what} are taken from the column {names[0]!r}; others that could be: {', '.join(map(repr, names[1:4]))}"]
