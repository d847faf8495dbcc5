"""What Hugging Face's `datasets` notes about columns: in a table's own metadata, or in files beside the tables."""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

Features = Mapping[str, Mapping[str, Any]]
"""Column -> what is noted about it; "_type" is "Image", "ClassLabel" (then with "names"), "Value" and so on."""

_LARGEST = 2**22
"""Bytes of a file of notes beyond which it is passed over: 4 MiB."""
_FAULTS = (OSError, ValueError, TypeError, LookupError, RecursionError, AttributeError)


def schema_features(metadata: Mapping[bytes, bytes] | None) -> Features:
    """The notes in the metadata of a parquet or Arrow schema; empty where there are none that make sense."""
    try:
        return _mapping(json.loads((metadata or {})[b"huggingface"])["info"]["features"])
    except _FAULTS:
        return {}


def noted_features(folders: Sequence[Path], columns: Collection[str]) -> tuple[Features, Path | None]:
    """The notes about `columns` in the first dataset_info.json, dataset_infos.json or README.md of `folders`.

    Returns:
        The notes and the file they stand in; empty and None where no file has any that make sense.
    """
    for folder in folders:
        for name, reader in _NOTES.items():
            for features in _candidates(folder / name, reader):
                if any(column in features for column in columns):
                    return features, folder / name
    return {}, None


def class_names(feature: Mapping[str, Any] | None) -> tuple[str, ...] | None:
    """The names of a column of classes, empty where they have none; None for any other column."""
    if not feature or feature.get("_type") != "ClassLabel":
        return None
    names = feature.get("names")
    if isinstance(names, Mapping):  # README.md counts them: {"0": "cat", "1": "dog"}
        numbered = {str(number): name for number, name in names.items()}
        names = [numbered.get(str(number)) for number in range(len(numbered))]
    valid = isinstance(names, list) and all(isinstance(name, (str, int, float)) for name in names)
    return tuple(map(str, names)) if valid and names else ()


def is_picture(feature: Mapping[str, Any] | None) -> bool:
    """Whether a column of pictures is noted."""
    return bool(feature) and feature.get("_type") == "Image"  # type: ignore[union-attr]


def _candidates(path: Path, reader: Any) -> list[Features]:
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST:
            return []
        return [_mapping(each) for each in reader(path.read_text("utf-8"))]
    except _FAULTS:
        return []


def _one(text: str) -> list[Any]:
    return [json.loads(text)["features"]]


def _several(text: str) -> list[Any]:
    """One entry for each configuration; the one called default first."""
    infos = json.loads(text)
    return [infos[name]["features"] for name in sorted(infos, key=lambda name: name != "default")]


def _front_matter(text: str) -> list[Any]:
    import yaml

    lines = text.splitlines()
    if not lines or lines[0].strip() != "---":
        return []
    end = next((number for number, line in enumerate(lines[1:], 1) if line.strip() == "---"), None)
    try:
        # Not libyaml's loader, although it is faster: deep nesting makes it run off its stack.
        info = yaml.safe_load("\n".join(lines[1:end]))["dataset_info"] if end else []
    except yaml.YAMLError:
        return []
    infos = sorted(info, key=lambda each: each.get("config_name") != "default") if isinstance(info, list) else [info]
    return [each["features"] for each in infos]


_NOTES = {"dataset_info.json": _one, "dataset_infos.json": _several, "README.md": _front_matter}


def _mapping(features: Any) -> Features:
    """The notes by column, from either notation: JSON's mapping or the list of README.md."""
    if isinstance(features, list):
        return {str(each["name"]): _from_readme(each.get("dtype")) for each in features if "name" in each}
    return {str(name): each for name, each in features.items() if isinstance(each, Mapping)}


def _from_readme(kind: Any) -> Mapping[str, Any]:
    if isinstance(kind, Mapping) and isinstance(kind.get("class_label"), Mapping):
        return {**kind["class_label"], "_type": "ClassLabel"}
    return {"_type": "Image"} if kind == "image" else {"_type": "Value"}
