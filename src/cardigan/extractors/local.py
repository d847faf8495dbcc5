"""The local extractor: a small network trained once on the real train split, kept in the cache.

Judge is never trainer. The train split is cut into two halves by a hash of each sample's position: one trains the
judge, from which scores come, the other the guide, which may be looked at while training (choice of the best
checkpoint, perceptual terms, health). They differ in seed and data; the guide is measured on validation only.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from cardigan.data import store
from cardigan.data.base import Data, Dataset, Watch, silent
from cardigan.errors import CardiganError
from cardigan.extractors import fitting
from cardigan.extractors.base import Extractor, Features
from cardigan.extractors.network import FEATURES, build
from cardigan.files import read_json, write_text
from cardigan.randomness import derive_seed
from cardigan.sample import Batch, Form

Role = Literal["judge", "guide"]
VERSION = 1
"""Of network and training: another one makes another extractor."""
MOST = 100_000
"""Samples seen in training, at most."""
PASSES = 40
"""Passes over its half of the data, at most."""
READ = 10
"""The same of sentences, which are known by heart sooner; where there are many, `MORE` times `MOST` are seen."""
MORE = 3
FEWEST = 10
"""Samples of each class, on average, below which labels are not learned from."""
HELD_OUT = 5_000
"""Sentences that tokens are guessed of to say how well it does, at most."""
EMBEDDING = 64
_WEIGHTS, _FACTS = "weights.safetensors", "facts.json"


class Local(Extractor):
    """A small network trained on the data at hand; its scores mean something on these data only."""

    def __init__(self, folder: Path, form: Form, classes: tuple[str, ...]) -> None:
        try:
            content = (folder / _WEIGHTS).read_bytes()
            self.facts = read_json(folder / _FACTS)
            self.labelled = bool(self.facts["labelled"])
            self.network = _network(form, len(classes) if self.labelled else EMBEDDING, 0)
            self.network.load_state_dict(load_file(folder / _WEIGHTS))
        except (OSError, KeyError, ValueError, RuntimeError, SafetensorError) as error:
            raise CardiganError(f"{folder} is damaged ({error}); cardigan cache clear {folder.name}") from None
        self.network.eval().requires_grad_(False)
        self.name, self.digest = "local", hashlib.sha256(content).hexdigest()[:16]
        self.resizing, self.dimension = "none", FEATURES
        self.classes = classes if self.labelled else ()
        self.has_maps = not form.vocabulary
        self._given = torch.int64 if form.vocabulary else torch.float32

    def extract(self, samples: Tensor) -> Features:
        """(N, *shape) as the data gives them -> features (N, 192) and, where classes are known, logits."""
        features, outputs = self.network(samples.to(self._given))
        return Features(features, outputs if self.labelled else None)

    def maps(self, samples: Tensor) -> tuple[Tensor, ...]:
        """See `Extractor.maps`: after every stage, computed where the samples lie."""
        found: list[Tensor] = []
        if not self.has_maps:
            return ()
        samples = samples.float()
        for layer in self.network.to(samples.device).trunk:  # type: ignore[union-attr]
            samples = layer(samples)
            if isinstance(layer, nn.ReLU):
                found.append(samples)
        return tuple(found)


def local(data: Data, role: Role = "judge", watch: Watch = silent) -> Local:
    """The local extractor of `data`: from the cache, or trained now (a minute or two, once).

    Args:
        role: "judge" gives scores, "guide" may steer training; neither has seen the other's samples.

    Raises:
        CardiganError: the data cannot be read, or the cache cannot be written.
    """
    data = data.samples()
    train = data.load("train", derive_seed("extractor", role), watch)
    key = store.hashed("local", VERSION, role, train.fingerprint, train.form)
    about = {"source": f"{data.source} ({role})"}
    folder = store.keep("extractors", key, lambda place: _make(place, data, train, role, watch), about)
    return Local(folder, train.form, class_names(train))


def class_names(dataset: Dataset) -> tuple[str, ...]:
    """Names of the classes, or their numbers."""
    return dataset.codec.classes or tuple(map(str, range(dataset.form.classes)))


@dataclass(frozen=True)
class Half:
    """The samples of `dataset` that belong to `role`, in batches of equal size."""

    dataset: Dataset
    role: Role

    @cached_property
    def parts(self) -> int:
        """Of how many that the source has each sample is made."""
        ids = self.dataset.draw(0, 1).id
        assert ids is not None
        return ids.numel()

    def draw(self, step: int) -> Batch:
        """The batch of `step`: about every other sample of twice as many, cut or filled up to equal size.

        Of samples that are made of several, those all of whose parts belong to `role`.
        """
        count = fitting.BATCH * 2**self.parts
        drawn = self.dataset.draw(step * count, count)
        assert drawn.id is not None
        mine = torch.nonzero(belongs(drawn.id, self.role).view(count, -1).all(1))[:, 0]
        if len(mine) == 0:
            mine = torch.arange(len(drawn))
        chosen = mine[torch.arange(fitting.BATCH) % len(mine)]
        return Batch(drawn.sample[chosen], None if drawn.label is None else drawn.label[chosen])


def belongs(ids: Tensor, role: Role) -> Tensor:
    """Bools of the shape of `ids`: whether what stands there is in the half of `role`; a hash, blind to order."""
    mixed = (ids * 2_654_435_761) & 0xFFFFFFFF
    return ((mixed >> 15) & 1).bool() == (role == "judge")


def _make(place: Path, data: Data, train: Dataset, role: Role, watch: Watch) -> None:
    classes, seed = train.form.classes, derive_seed("local", role, VERSION)
    sentences = bool(train.form.vocabulary)
    labelled = not sentences and classes > 1 and len(train) // 2 >= FEWEST * classes
    network = _network(train.form, classes if labelled else EMBEDDING, seed)
    most, passes = (MOST * MORE, READ) if sentences else (MOST, PASSES)
    seen = min(most, passes * len(train) // 2)
    loss = fitting.guess if sentences else fitting.classification if labelled else fitting.contrast
    fitting.fit(network, Half(train, role).draw, loss, max(50, seen // fitting.BATCH), seed, watch)
    held_out: Literal["test", "validation"] = "test" if role == "judge" else "validation"
    facts = _measured(network, data.load(held_out), labelled)
    facts |= {"trained on": f"half of the train split ({role})", "measured on": held_out, "labelled": labelled}
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, place / _WEIGHTS)
    write_text(place / _FACTS, json.dumps(facts, indent=1))


def _network(form: Form, outputs: int, seed: int) -> nn.Module:
    """Freshly initialised, without a trace in the global random numbers: training draws from them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(form.shape, outputs, form.vocabulary)


def _measured(network: nn.Module, held_out: Dataset, labelled: bool) -> dict[str, Any]:
    """How well the network does on samples that it has not seen; nothing where nobody tells their classes."""
    if labelled and not held_out.form.classes:
        return {"accuracy": "unknown: no labels"}
    if labelled:
        return {"accuracy": round(fitting.accuracy(network, _batches(held_out)), 4), "of": len(held_out)}
    if held_out.form.vocabulary:
        share, count = fitting.guessed(network, held_out.take(torch.arange(min(HELD_OUT, len(held_out)))).sample)
        return {"masked accuracy": round(share, 4), "of": count}
    some = held_out.take(torch.arange(min(500, len(held_out)))).sample
    return {"recognition": round(fitting.recognition(network, some), 4), "of": len(some)}


def _batches(dataset: Dataset) -> Iterator[Batch]:
    for start in range(0, len(dataset), 500):
        yield dataset.take(torch.arange(start, min(start + 500, len(dataset))))
