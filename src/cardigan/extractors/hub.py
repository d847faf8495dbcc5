"""Models of the Hugging Face hub as folders on this machine: weights as safetensors, never code.

$CARDIGAN_WEIGHTS/NAME     looked for first (NAME: dinov2-base for facebook/dinov2-base)
the hub's own cache        then there (~/.cache/huggingface, or what HF_HOME says)
the hub                    then there, into its cache, at a fixed revision
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cardigan.data.base import Watch, silent
from cardigan.errors import CardiganError
from cardigan.extractors.weights import TIMEOUT, VARIABLE

INSTALL = "pip install 'cardigan[extractors]'"
CONFIG, PREPARATION, TENSORS, WORDS = "config.json", "preprocessor_config.json", "model.safetensors", "tokenizer.json"
FILES = (CONFIG, PREPARATION, TENSORS)
"""What a model of pictures consists of."""
FILES_OF_TEXT = (CONFIG, WORDS, TENSORS)
"""What a model of sentences consists of."""
REVISIONS = {
    "facebook/dinov2-small": "ed25f3a31f01632728cabb09d1542f84ab7b0056",
    "facebook/dinov2-base": "f9e44c814b77203eaa57a6bdbbd535f21ede1415",
    "facebook/dinov2-large": "47b73eefe95e8d44ec3623f8890bd894b6ea2d6c",
    "openai/clip-vit-large-patch14": "32bd64288804d66eefd0ccbe215aa642df71cc41",
}
"""Commits that are taken of a model, so that everybody sees the same one; of others, the newest when first used."""


@dataclass(frozen=True)
class Found:
    """A model on this machine.

    Attributes:
        folder: holds `FILES`.
        model: its name on the hub.
        revision: commit on the hub; "placed by hand" where it is not known.
    """

    folder: Path
    model: str
    revision: str


def find(model: str, watch: Watch = silent, files: Sequence[str] = FILES) -> Found:
    """The model called `model` ("facebook/dinov2-base"), downloaded if it is nowhere on this machine yet.

    Args:
        files: that it consists of.
        watch: told how many bytes have come.

    Raises:
        CardiganError: a package is missing, or the model can neither be found nor downloaded; says what to do.
    """
    if not (find_spec("transformers") and find_spec("huggingface_hub")):
        raise CardiganError(f"{model} needs the packages transformers and huggingface_hub: {INSTALL}")
    folder = _users_folder(model)
    if folder is None or not folder.is_dir():
        return _from_hub(model, watch, files)
    if missing := [file for file in files if not (folder / file).is_file()]:
        raise CardiganError(f"{folder} lacks {', '.join(missing)} of {model}")
    return Found(folder, model, "placed by hand")


def _users_folder(model: str) -> Path | None:
    chosen = os.environ.get(VARIABLE)
    return Path(chosen).expanduser().absolute() / model.rpartition("/")[2] if chosen else None


def _from_hub(model: str, watch: Watch, files: Sequence[str]) -> Found:
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError, RepositoryNotFoundError

    revision = REVISIONS.get(model, "main")
    try:
        config = _files(model, revision, watch, files)[0]
    except LocalEntryNotFoundError:
        raise CardiganError(_advice(model, revision, "the hub cannot be reached", files)) from None
    except EntryNotFoundError:
        raise CardiganError(
            f"{model} of the hub lacks one of {', '.join(files)}; pickled weights are not read"
        ) from None
    except RepositoryNotFoundError:
        raise CardiganError(f"the hub has no public model {model!r}") from None
    except Exception as error:  # the hub's client and its HTTP library raise classes of their own
        raise CardiganError(_advice(model, revision, str(error) or type(error).__name__, files)) from None
    return Found(config.parent, model, config.parent.name)


def _files(model: str, revision: str, watch: Watch, files: Sequence[str]) -> list[Path]:
    """The model's files, from the hub's cache without asking the hub if all are there."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return [Path(hf_hub_download(model, file, revision=revision, local_files_only=True)) for file in files]
    except LocalEntryNotFoundError:
        for file in files:  # says at once that there is no network, or no such file, where a download tries for long
            get_hf_file_metadata(hf_hub_url(model, file, revision=revision), timeout=TIMEOUT)
        bar: Any = _bar(f"downloading {model}", watch)
        return [Path(hf_hub_download(model, file, revision=revision, tqdm_class=bar)) for file in files]


def _bar(what: str, watch: Watch) -> type:
    """The hub's progress bar, which tells `watch` instead of drawing."""
    from huggingface_hub.utils import tqdm

    class Bar(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> None:
            self.n += n or 0
            watch(what, int(self.n), int(self.total or 0))

    return Bar


def _advice(model: str, revision: str, reason: str, files: Sequence[str]) -> str:
    folder = _users_folder(model) or f"NAME/{model.rpartition('/')[2]} and set {VARIABLE}=NAME"
    return (
        f"{model} could not be downloaded: {reason}; "
        f"place {', '.join(files)} of https://huggingface.co/{model}/tree/{revision} in {folder}"
    )
