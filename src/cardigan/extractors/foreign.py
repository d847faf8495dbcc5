"""A user's own extractor: an ONNX file. ONNX is a graph of known operators, so that loading one runs nobody's code.

Programs of torch.export (.pt2) are refused. As of torch 2.13 `torch.export.load` unpickles whatever the archive's
sample inputs, weights and constants hold, and evaluates its symbolic sizes as Python; neither can be switched off.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from cardigan.errors import CardiganError
from cardigan.extractors.base import Extractor, Features
from cardigan.extractors.weights import sha256
from cardigan.resizing import BYTES, antialiased_bilinear, match_channels, to_bytes

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

INSTALL = "pip install 'cardigan[extractors]'"
PROBED = 224
"""Height and width tried to learn the number of features of a model that leaves both open."""
_OTHERS = (".pt2", ".pt", ".pth", ".ckpt", ".pkl", ".safetensors", ".keras", ".h5", ".pb", ".tflite")


@dataclass(frozen=True)
class Shape:
    """What a model sees, (N, channels, height, width); None: any number."""

    count: int | None
    channels: int | None
    height: int | None
    width: int | None


class Foreign(Extractor):
    """An ONNX model on the CPU; see `foreign`."""

    def __init__(self, path: Path, classes: Sequence[str] = (), value_range: tuple[float, float] = (-1.0, 1.0)) -> None:
        content, self.digest = _content(path)
        self.path, self.name, self.value_range = path, path.name, value_range
        self._session = _session(path, content)
        self._shape = _shape(path, self._session)
        self.resizing = self._resizing()
        probe = self._probe()
        self.dimension = probe.values.shape[1]
        self.classes = self._classes(tuple(classes), probe.logits)
        self.facts = MappingProxyType({"model": path.name, "format": "onnx"})

    def extract(self, samples: Tensor) -> Features:
        """(N, C, H, W) in [-1, 1] -> features on the CPU, without gradients.

        Raises:
            CardiganError: samples of channels the model cannot see, or features of another number than before.
        """
        shape, pictures = self._shape, to_bytes(samples.detach().cpu())
        if pictures.ndim != 4:
            raise CardiganError(f"samples of shape {tuple(samples.shape[1:])} are no pictures: {self.name} sees those")
        if shape.channels is not None:
            pictures = match_channels(pictures, shape.channels)
        height, width = shape.height or pictures.shape[2], shape.width or pictures.shape[3]
        low, high = self.value_range
        features = self._run(antialiased_bilinear(pictures, height, width) / 255 * (high - low) + low)
        if features.values.shape[1] != self.dimension:
            raise CardiganError(
                f"{self.path} gives {features.values.shape[1]} features for pictures of {height}x{width}, "
                f"but {self.dimension} for others; export it with its height and width fixed"
            )
        return features

    def _run(self, pictures: Tensor) -> Features:
        """As many at once as the model takes; what is missing from the last lot is made up and cut off."""
        count = self._shape.count or len(pictures)
        parts = [self._outputs(_filled(part, count)) for part in pictures.split(count)]
        values, *logits = (torch.cat(each)[: len(pictures)] for each in zip(*parts, strict=True))
        return Features(values, logits[0] if logits else None)

    def _outputs(self, pictures: Tensor) -> list[Tensor]:
        """Each output as (N, ...) float32, flattened."""
        try:
            outputs = self._session.run(None, {self._session.get_inputs()[0].name: pictures.numpy()})
        except Exception as error:  # onnxruntime raises classes of its own, none of which it promises
            raise CardiganError(f"{self.path} fails on pictures of {tuple(pictures.shape)}: {error}") from None
        for output in outputs:
            if not isinstance(output, np.ndarray) or output.ndim < 2 or len(output) != len(pictures):
                raise CardiganError(
                    f"{self.path}: outputs should be (N, features) and, if it knows classes, (N, classes); "
                    f"found {getattr(output, 'shape', type(output).__name__)} for {len(pictures)} pictures"
                )
        return [torch.from_numpy(output.astype(np.float32)).flatten(1) for output in outputs]

    def _probe(self) -> Features:
        shape = self._shape
        return self._run(
            torch.zeros(shape.count or 2, shape.channels or 3, shape.height or PROBED, shape.width or PROBED)
        )

    def _classes(self, names: tuple[str, ...], logits: Tensor | None) -> tuple[str, ...]:
        number = 0 if logits is None else logits.shape[1]
        if names and len(names) != number:
            raise CardiganError(f"{self.path} knows {number} classes, but {len(names)} names were given")
        return names or tuple(str(index) for index in range(number))

    def _resizing(self) -> str:
        channels, height, width = self._shape.channels, self._shape.height, self._shape.width
        size = f"antialiased bilinear to {height or 'its own'}x{width or 'its own'}" if height or width else "none"
        kind = {1: "grey", 3: "RGB", 4: "RGB and alpha"}.get(channels or 0, "channels as they are")
        low, high = self.value_range
        return f"{BYTES}; {kind}; {size}; values in [{low:g}, {high:g}]"


def foreign(
    path: Path | str, *, classes: Sequence[str] = (), value_range: tuple[float, float] = (-1.0, 1.0)
) -> Foreign:
    """An extractor from an ONNX file of the user's own.

    Its one input is (N, C, H, W) float32. Its first output, flattened, is the features; a second one, if there is one,
    the logits (N, classes). Where C is fixed, grey is repeated to three channels and alpha laid on white; where height
    and width are, samples are resized to them (bilinear, antialiased). N may be fixed too.

    Args:
        path: the model; tensors in files beside it are read as well.
        classes: their names; where none are given, their numbers.
        value_range: of the input: what black and white become.

    Raises:
        CardiganError: it is no such file, or one that onnxruntime cannot run by itself.
    """
    return Foreign(Path(path), classes, value_range)


def _content(path: Path) -> tuple[bytes, str]:
    """The model with all of its tensors inside, and the sha256 of the file (and of those beside it that it names).

    onnxruntime is given bytes, never a path: it cannot open any other file then.
    """
    _refuse_others(path)
    import onnx

    try:
        model = onnx.load(path, load_external_data=False)
    except Exception:
        raise CardiganError(f"{path} is no ONNX model") from None
    beside = sorted({_beside(path, tensor) for tensor in _external(model)})
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
        content = model.SerializeToString()
    except Exception as error:
        raise CardiganError(f"{path}: its tensors cannot be read: {error}") from None
    if any(True for _ in _external(model)):
        raise CardiganError(f"{path} keeps tensors in other files in a way that is not understood")
    hashes = list(map(sha256, [path, *beside]))
    return content, hashlib.sha256("".join(hashes).encode()).hexdigest() if beside else hashes[0]


def _refuse_others(path: Path) -> None:
    if not path.is_file():
        raise CardiganError(f"{path} is no file; an extractor of your own is an ONNX file")
    if path.suffix.lower() in _OTHERS:
        raise CardiganError(
            f"{path} is not taken: loading such a file can run code, or does not say what network it is of; "
            "an extractor of your own is an ONNX file (torch.onnx.export)"
        )
    if not (find_spec("onnx") and find_spec("onnxruntime")):
        raise CardiganError(f"{path} needs the packages onnx and onnxruntime: {INSTALL}")


def _external(message: Any) -> Iterator[Any]:
    """Every tensor in `message`, however deep, whose numbers lie in another file."""
    if message.DESCRIPTOR.name == "TensorProto" and (message.data_location == 1 or message.external_data):
        yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for each in [value] if hasattr(value, "DESCRIPTOR") else value:
                yield from _external(each)


def _beside(path: Path, tensor: Any) -> Path:
    """The file in the model's folder that holds the numbers of `tensor`."""
    location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
    folder = path.parent.resolve()
    file = (folder / location).resolve()
    if not file.is_relative_to(folder):
        raise CardiganError(f"{path} names a file outside its folder: {location}")
    if not file.is_file():
        raise CardiganError(f"{path} needs the file {file}, which is missing")
    return file


def _session(path: Path, content: bytes) -> "InferenceSession":
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise CardiganError(f"{path} cannot be run by onnxruntime as it is: {error}") from None


def _shape(path: Path, session: "InferenceSession") -> Shape:
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or inputs[0].type != "tensor(float)" or len(inputs[0].shape) != 4:
        found = ", ".join(f"{each.name} {each.type} {each.shape}" for each in inputs)
        raise CardiganError(f"{path}: its one input should be (N, C, H, W) float32; found {found or 'none'}")
    if len(outputs) not in (1, 2):
        raise CardiganError(f"{path}: it should give features and, if it knows classes, logits; found {len(outputs)}")
    count, *picture = (size if isinstance(size, int) else None for size in inputs[0].shape)
    return Shape(count, *picture)


def _filled(pictures: Tensor, count: int) -> Tensor:
    missing = count - len(pictures)
    return torch.cat([pictures, pictures[:1].expand(missing, -1, -1, -1)]) if missing else pictures
