"""Data sets of the Hugging Face Hub, by name: downloaded by `datasets`, read from the Arrow files in its cache."""

import logging
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cardigan.data.sources.source import Source, shown
from cardigan.data.sources.tables.arrow import ArrowTable
from cardigan.data.sources.tables.columnar import short
from cardigan.data.sources.tables.columnar_source import columnar_source
from cardigan.data.sources.tables.shards import named_splits
from cardigan.errors import CardiganError

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95}(:[\w.,+-]{1,96})?", re.ASCII)
_FILES = (
    ".zip",
    ".tar",
    ".gz",
    ".tgz",
    ".parquet",
    ".arrow",
    ".feather",
    ".npy",
    ".npz",
    ".csv",
    ".json",
    ".png",
    ".jpg",
)
"""What looks like a file is one that is not there, rather than a data set."""
_BUILDERS = ("parquet", "arrow", "imagefolder", "cache")
"""The readers of `datasets` that are used: others read no pictures, or formats that may hold Python objects."""
_CARD = "https://huggingface.co/datasets/"


def looks_like_hub(name: str) -> bool:
    """Whether `name` is like owner/dataset or owner/dataset:configuration, and no path of this machine."""
    return bool(_NAME.fullmatch(name)) and not name.lower().endswith(_FILES) and not Path(name).exists()


def open_hub(name: str) -> Source:
    """The data set `name` of the Hub, owner/dataset or owner/dataset:configuration.

    What is not in the cache of `datasets` yet is downloaded into it (HF_HOME names another place). With
    HF_HUB_OFFLINE=1 nothing but that cache is looked at. No code of the data set is run.

    Raises:
        CardiganError: in one line what to do: the package is missing, the Hub out of reach, the name unknown, the data
            set gated, the configuration not chosen, or no column of pictures.
    """
    where = f"data source {shown(name)[:200]!r}"
    _import_datasets(where)
    repository, _, configuration = name.partition(":")
    with _quiet():
        try:
            kind, revision, files = _prepared(repository, configuration or None)
        except CardiganError:
            raise
        except Exception as error:  # of four libraries; each has its own kinds
            raise CardiganError(f"{where}: {_explained(error, repository)}") from None
    splits, remarks = named_splits([split for split, paths in files.items() if paths])
    if "train" not in splits:
        raise CardiganError(f"{where}: no rows in any of its splits")
    tables = {split: ArrowTable(files[key]) for split, key in splits.items()}
    loaded = f"from the Hugging Face Hub, revision {shown(revision)[:12]}"
    roots = _caches() if kind in ("imagefolder", "cache") else []
    return columnar_source(name, tables, tables["train"].files[0].parent, (loaded, *remarks), roots)


def _import_datasets(where: str) -> None:
    try:
        import datasets  # noqa: F401
    except ImportError as error:
        reason = "" if getattr(error, "name", None) == "datasets" else f" ({short(error)})"
        raise CardiganError(
            f"{where}: no such file or folder; data sets of the Hugging Face Hub need the package datasets{reason}: "
            f"pip install 'cardigan[hub]'"
        ) from None


def _prepared(repository: str, configuration: str | None) -> tuple[str, str, dict[str, list[Path]]]:
    """Kind of reader, revision, and the Arrow files of each split, after downloading what is missing."""
    import datasets

    builder = datasets.load_dataset_builder(repository, configuration)
    kind = type(builder).__module__.rpartition(".")[2]
    if kind not in _BUILDERS:
        raise CardiganError(
            f"data source {repository!r}: its files are read as {kind}; allowed: parquet, Arrow, folders of pictures; "
            f"download it and give the path of its pictures (--data PATH)"
        )
    builder.download_and_prepare()
    loaded = builder.as_dataset()
    splits = dict(loaded) if isinstance(loaded, dict) else {str(loaded.split): loaded}
    files = {str(name): [Path(each["filename"]) for each in split.cache_files] for name, split in splits.items()}
    return kind, str(builder.hash or "unknown"), files


def _caches() -> list[Path]:
    """Where files that a row names instead of holding a picture may lie."""
    import datasets.config
    from huggingface_hub import constants

    places = (datasets.config.HF_DATASETS_CACHE, datasets.config.DOWNLOADED_DATASETS_PATH, constants.HF_HUB_CACHE)
    return [Path(place) for place in places]


@contextmanager
def _quiet() -> Iterator[None]:
    """No warnings of the libraries, and progress bars only where somebody looks at a terminal."""
    import datasets
    import huggingface_hub.utils as hub

    with ExitStack() as stack:
        for logger in (datasets.utils.logging, hub.logging):
            stack.callback(logger.set_verbosity, logger.get_verbosity())
            logger.set_verbosity(logging.ERROR)
        for library in (datasets, hub):
            if not library.are_progress_bars_disabled() and not sys.stderr.isatty():
                library.disable_progress_bars()
                stack.callback(library.enable_progress_bars)
        yield


def _explained(error: Exception, repository: str) -> str:
    """What to do about `error`, told from its type or that of an error that led to it."""
    kinds = {kind.__name__ for each in _chain(error) for kind in type(each).__mro__}
    text = " ".join(str(each) for each in _chain(error))
    if "GatedRepoError" in kinds or "is a gated dataset" in text:
        return f"it is gated: accept its terms at {_CARD}{repository} and log in (hf auth login, or set HF_TOKEN)"
    if kinds & {"DatasetNotFoundError", "RepositoryNotFoundError"}:
        return (
            "no such file or folder, and no such data set on the Hugging Face Hub that is open to you; check the exact "
            "name owner/dataset, or log in if it is private (hf auth login)"
        )
    if kinds & {"OfflineModeIsEnabled"} or (_is_offline() and kinds & {"ConnectionError", "FileNotFoundError"}):
        return (
            "no such file or folder, and not among the data sets that were downloaded before; unset HF_HUB_OFFLINE to "
            "download it, or give a folder (--data FOLDER)"
        )
    if kinds & {"ConnectionError", "ConnectError", "TimeoutException", "TransportError"}:
        return (
            "no such file or folder, and the Hugging Face Hub cannot be reached; check the connection, use what was "
            "downloaded before (HF_HUB_OFFLINE=1), or give a folder (--data FOLDER)"
        )
    if "Config name is missing" in text or "BuilderConfig" in text or "Available configs" in text:
        choices = re.search(r"(?:configs|Available|in the cache): (\[.*?\])", text)
        listed = f": {choices[1][:200]}" if choices else ""
        return f"choose one of its configurations, {repository}:CONFIGURATION{listed}"
    if "don't belong to" in text:
        return "refused: its card names files outside of its repository"
    if "Dataset scripts" in text:
        return "it is made by a script, which is never run; download its pictures and give their folder (--data FOLDER)"
    if kinds & {"EmptyDatasetError", "DataFilesNotFoundError"}:
        return "it holds no files that can be read as a data set"
    return f"cannot be loaded: {type(error).__name__}: {short(error)}"


def _chain(error: BaseException) -> Sequence[BaseException]:
    found, each = list[BaseException](), error
    while each is not None and each not in found and len(found) < 16:
        found.append(each)
        each = each.__cause__ or each.__context__  # type: ignore[assignment]
    return found


def _is_offline() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE or os.environ.get("HF_DATASETS_OFFLINE"))
