"""Transformers of the Hugging Face hub as extractors: DINOv2 and CLIP, each with its own preparation of pictures."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cardigan.data.base import Watch, silent
from cardigan.errors import CardiganError
from cardigan.extractors.base import Extractor, Features
from cardigan.extractors.hub import CONFIG, PREPARATION, TENSORS, Found, find
from cardigan.extractors.weights import sha256
from cardigan.files import read_json
from cardigan.resizing import BYTES, COLOURS, pillow_bicubic, to_bytes, to_rgb

BATCH = 32
"""Samples in the network at once."""
Look = Callable[[nn.Module, Tensor], Tensor]
_BICUBIC = 3


@dataclass(frozen=True)
class Preparation:
    """What a model's own image processor does to a picture.

    Attributes:
        side: the picture is resized until its shorter side has so many pixels.
        crop: height and width of the part that is cut out of its middle.
        mean: of each colour, subtracted from values in [0, 1].
        deviation: of each colour, divided by.
    """

    side: int
    crop: tuple[int, int]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def __call__(self, samples: Tensor) -> Tensor:
        """(N, 1 | 2 | 3 | 4, H, W) in [-1, 1] -> (N, 3, *crop), as transformers' Pillow processor gives it."""
        pictures = to_rgb(to_bytes(samples))
        height, width = pictures.shape[2:]
        short = min(height, width)
        pictures = pillow_bicubic(pictures, self.side * height // short, self.side * width // short)
        top, left = ((size - part) // 2 for size, part in zip(pictures.shape[2:], self.crop, strict=True))
        pictures = pictures[:, :, top : top + self.crop[0], left : left + self.crop[1]] / 255
        return (pictures - _colours(self.mean, pictures)) / _colours(self.deviation, pictures)

    def __str__(self) -> str:
        return (
            f"{BYTES}; {COLOURS}; bicubic as Pillow (antialiased) to {self.side} at the shorter side; "
            f"{self.crop[0]}x{self.crop[1]} from the middle; mean {self.mean}, deviation {self.deviation}"
        )


def _colours(values: tuple[float, ...], like: Tensor) -> Tensor:
    return torch.tensor(values, device=like.device).view(3, 1, 1)


def preparation(path: Path) -> Preparation:
    """What the preprocessor_config.json at `path` says.

    Raises:
        CardiganError: it is missing or damaged, or asks for something else than bicubic resizing, cropping and scaling.
    """
    config = read_json(path)
    try:
        size, crop = config["size"], config["crop_size"]
        side = size if isinstance(size, int) else size["shortest_edge"]
        cut = (crop, crop) if isinstance(crop, int) else (crop["height"], crop["width"])
        found = Preparation(int(side), cut, tuple(config["image_mean"]), tuple(config["image_std"]))
    except (KeyError, TypeError, ValueError):
        raise CardiganError(f"{path} does not say how pictures are resized, cropped and scaled") from None
    steps = all(config.get(f"do_{step}", True) for step in ("resize", "center_crop", "rescale", "normalize"))
    usual = config.get("resample", _BICUBIC) == _BICUBIC and abs(config.get("rescale_factor", 1 / 255) * 255 - 1) < 1e-6
    if not (steps and usual and max(found.crop) <= found.side and len(found.mean) == len(found.deviation) == 3):
        raise CardiganError(f"{path} asks for another preparation than bicubic resizing, cropping and scaling")
    return found


class HuggingFace(Extractor):
    """A transformer of the Hugging Face hub with its own preparation of pictures; see `dinov2` and `clip`."""

    def __init__(
        self, name: str, found: Found, network: nn.Module, look: Look, device: torch.device | str = "cpu"
    ) -> None:
        """`look`: network, prepared pictures -> (N, D) features."""
        self.name, self.device = name, torch.device(device)
        self.prepare = preparation(found.folder / PREPARATION)
        self.resizing = str(self.prepare)
        self.digest = sha256(found.folder / TENSORS)
        self.facts = MappingProxyType({"model": found.model, "revision": found.revision})
        self.network, self._look = network.to(self.device).eval().requires_grad_(False), look
        self.dimension = self(torch.zeros(1, 3, *self.prepare.crop)).values.shape[1]

    def extract(self, samples: Tensor) -> Features:
        """(N, 1 | 2 | 3 | 4, H, W) in [-1, 1] -> features on the extractor's device; differentiable.

        Raises:
            CardiganError: the samples are no pictures.
        """
        parts = (self.prepare(part.to(self.device)) for part in samples.split(BATCH))
        return Features(torch.cat([self._look(self.network, part) for part in parts]))


def dinov2(
    watch: Watch = silent, *, model: str = "facebook/dinov2-base", device: torch.device | str = "cpu"
) -> HuggingFace:
    """DINOv2: the class token after the last layer norm, (N, 768) for dinov2-base.

    Oquab et al. 2023, "DINOv2: Learning robust visual features without supervision". This token is what Stein et al.
    2023, "Exposing flaws of generative model evaluation metrics", measure with. They take the large model and squeeze
    pictures to 224x224, where this one crops as the model's own processor does: scores of the two do not compare.

    Raises:
        CardiganError: a package or the model is missing and cannot be downloaded, or it is another kind of model.
    """
    found = find(model, watch)
    check_kind(found, "dinov2")
    from transformers import Dinov2Model

    return HuggingFace("dinov2", found, load(found, Dinov2Model), _class_token, device)


def clip(
    watch: Watch = silent, *, model: str = "openai/clip-vit-large-patch14", device: torch.device | str = "cpu"
) -> HuggingFace:
    """CLIP: image embeddings after the projection, of unit length, (N, 768) for ViT-L/14.

    Radford et al. 2021, "Learning transferable visual models from natural language supervision". Unit length is that of
    Jayasumana et al. 2024, "Rethinking FID: towards a better evaluation metric for image generation" (CMMD). They take
    the model for 336x336 and squeeze pictures, where this one crops: scores of the two do not compare.

    Raises:
        CardiganError: a package or the model is missing and cannot be downloaded, or it is another kind of model.
    """
    found = find(model, watch)
    check_kind(found, "clip", "clip_vision_model")
    from transformers import CLIPVisionModelWithProjection

    return HuggingFace("clip", found, load(found, CLIPVisionModelWithProjection), _unit_embedding, device)


def _class_token(network: nn.Module, pictures: Tensor) -> Tensor:
    token: Tensor = network(pixel_values=pictures).last_hidden_state[:, 0]
    return token


def _unit_embedding(network: nn.Module, pictures: Tensor) -> Tensor:
    return F.normalize(network(pixel_values=pictures).image_embeds, dim=1)


def check_kind(found: Found, *kinds: str) -> None:
    """Refuse a model of another kind.

    Raises:
        CardiganError: it is one.
    """
    kind = read_json(found.folder / CONFIG).get("model_type")
    if kind not in kinds:
        raise CardiganError(f"{found.folder / CONFIG} is of a {kind} model; allowed: {', '.join(kinds)}")


def load(found: Found, network: Any, **settings: Any) -> nn.Module:
    """The network with the folder's tensors, every one of its own among them.

    Attention is named so that the configuration cannot: transformers would fetch what it names.
    """
    try:
        with _quiet():
            loaded, told = network.from_pretrained(
                found.folder,
                dtype=torch.float32,
                attn_implementation="sdpa",
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                **settings,
            )
    except Exception as error:  # damaged files fail in many ways, all of them the files' fault
        raise CardiganError(f"{found.folder} cannot be loaded: {error}") from None
    if wrong := [*told["missing_keys"], *told["mismatched_keys"]]:
        raise CardiganError(f"{found.folder / TENSORS} lacks {len(wrong)} tensors of the network, such as {wrong[0]}")
    return loaded


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the progress bar and the warnings of transformers: what is left over (CLIP's text half) is no news."""
    from transformers.utils import logging

    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()
