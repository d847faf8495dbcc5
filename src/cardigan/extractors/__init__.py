"""Networks that turn samples into features: for metrics, perceptual terms, health. Judge is never trainer."""

from pathlib import Path
from typing import TYPE_CHECKING

from cardigan.errors import CardiganError
from cardigan.settings import allowed

if TYPE_CHECKING:
    from cardigan.data.base import Data, Watch
    from cardigan.extractors.base import Extractor
    from cardigan.sample import Form

NAMES = ("local", "inception", "dinov2", "clip", "minilm", "raw")
"""Extractors known by name."""
FILES = (".onnx", ".pt2")
"""Endings of a user's own; the second is answered by why it is not loaded."""


def usual(form: "Form") -> str:
    """The extractor for samples of `form` where none is named: points are their own features."""
    return "local" if len(form.shape) == 3 or form.vocabulary else "raw"


def open_extractor(name: str, data: "Data", form: "Form", watch: "Watch") -> "Extractor":
    """The extractor called `name`, or the user's own in the file `name`, for samples of `form`.

    Args:
        data: the real data, on which the local extractor is trained.

    Raises:
        CardiganError: an unknown name, missing weights, or samples that it cannot look at; in one line.
    """
    if Path(name).suffix in FILES:
        from cardigan.extractors.foreign import foreign

        return foreign(name)
    if name == "raw":
        from cardigan.extractors.raw import Raw

        return Raw(form)
    if name == "local":
        from cardigan.extractors.local import local

        return local(data, "judge", watch)
    if name not in NAMES:
        raise CardiganError(f"--extractor: unknown {name!r}; {allowed(name, NAMES)}, or a file ending in .onnx")
    if name == "minilm":
        from cardigan.extractors.sentence_embeddings import minilm

        return minilm(data, form, watch)
    if len(form.shape) != 3:
        raise CardiganError(f"--extractor: {name} looks at pictures only; allowed here: local, raw")
    if name == "inception":
        from cardigan.extractors.inception import inception

        return inception(watch=watch)
    from cardigan.extractors.huggingface import clip, dinov2

    return dinov2(watch=watch) if name == "dinov2" else clip(watch=watch)
