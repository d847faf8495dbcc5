"""The codec as it lies in the run folder: all a run needs to turn what it generates into files, without its data."""

from pathlib import Path
from typing import Annotated

from pydantic import ValidationError

from cardigan.data import CODECS
from cardigan.data.base import Codec
from cardigan.errors import CardiganError
from cardigan.sample import Form
from cardigan.settings import Choice, Settings, explain

FILE = "codec.json"


class SavedCodec(Settings):
    """A codec and the form of the samples it decodes."""

    codec: Annotated[Codec, Choice("kind", CODECS)]
    shape: tuple[int, ...]
    """Of one sample."""
    label_count: int = 0
    """Number of class labels; 0: none."""
    source: tuple[int, ...] | None = None
    """Shape of what a sample is made from; None: of noise."""
    vocabulary: int = 0
    """Number of tokens; 0: samples are not made of tokens."""


def save_codec(codec: Codec, form: Form, folder: Path) -> None:
    """Write `codec` and `form` to the run's codec folder."""
    folder.mkdir(exist_ok=True)
    saved = SavedCodec(
        codec=codec, shape=form.shape, label_count=form.classes, source=form.source, vocabulary=form.vocabulary
    )
    (folder / FILE).write_text(saved.model_dump_json(indent=1), "utf-8")
    codec.save(folder)


def load_codec(folder: Path) -> tuple[Codec, Form]:
    """The codec and the form saved in `folder`.

    Raises:
        CardiganError: it is missing or damaged.
    """
    try:
        saved = SavedCodec.model_validate_json((folder / FILE).read_text("utf-8"))
    except ValidationError as error:
        raise CardiganError(f"{folder / FILE}: {explain(error, SavedCodec, {}, 'codec')}") from None
    except (OSError, ValueError) as error:
        raise CardiganError(f"{folder / FILE} cannot be read: {error}") from None
    return saved.codec.opened(folder), Form(saved.shape, saved.label_count, saved.source, saved.vocabulary)
