"""Views of real samples: features are kept in the cache, since they are the same for every run on these data."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from cardigan.data import store
from cardigan.data.base import Data, Dataset, Watch
from cardigan.data.sources.source import Split
from cardigan.errors import CardiganError
from cardigan.evaluation.baseline import independent_pixels
from cardigan.evaluation.view import GROUPS, PIXELS, View, most_kept
from cardigan.extractors.base import CHUNK, Extractor
from cardigan.metrics.moments import Moments

SEED = 0
"""Which samples of a split are looked at where they are too many."""
LARGEST = 2**28
"""Bytes of features that are kept in the cache at once."""


FEW, MANY = 1_000, 10_000
"""Generated samples, if nothing else is asked for: as many as real ones, within these bounds."""
TRAIN = 50_000
"""Real samples of a split that are looked at, at most."""


@dataclass(frozen=True)
class Real:
    """The real samples.

    Attributes:
        data: of the reference split.
        train_data: of the train split.
        reference: what generated samples are compared with.
        train: what the generator has seen.
        held_out: neither train nor reference, where there is such a split; else the split that is not train.
        floor: stand-ins for generated samples, from the split that is not the reference.
        trivial: others, from a generator that knows nothing of structure.
        generated: how many samples are to be generated.
        remarks: what the reader should know, a sentence each.
    """

    data: Dataset
    train_data: Dataset
    reference: View
    train: View
    held_out: View
    floor: View
    trivial: View
    generated: int
    remarks: tuple[str, ...]


def look_at_real(
    data: Data, split: Split, asked: int | None, most: int | None, extractor: Extractor, watch: Watch
) -> Real:
    """Views of all real samples that scores need.

    Args:
        split: of the reference, "test" or "train".
        asked: how many samples are to be generated; None: as many as there are in the reference, within bounds.
        most: how many there are, of a folder.

    Raises:
        CardiganError: a split is too small, or more samples are asked for than there are.
    """
    sets = {name: data.load(name, SEED, watch) for name in ("train", "test")}
    views = {name: _view(name, dataset, extractor, watch) for name, dataset in sets.items()}
    count = _count(asked, _most(sets[split], most), views[split].count)
    other = "train" if split == "test" else "test"
    floor = first(views[other], min(count, views[other].count))
    remarks = []
    if floor.count < count:
        remarks.append(
            f"The floor is measured with {floor.count:,} real samples of {other}, fewer than the {count:,} generated "
            "ones: it lies too high."
        )
    if len(sets["train"]) > TRAIN:
        remarks.append(f"Copies were looked for among {TRAIN:,} of {len(sets['train']):,} train samples.")
    return Real(
        data=sets[split],
        train_data=sets["train"],
        reference=views[split],
        train=views["train"],
        held_out=_held_out(data, views["test"], extractor, watch),
        floor=floor,
        trivial=_trivial(sets["train"], min(count, TRAIN), extractor, watch),
        generated=count,
        remarks=tuple(remarks),
    )


def _most(dataset: Dataset, most: int | None) -> int | None:
    """How many samples there can be: of real sources, no more than there are of those."""
    if dataset.form.source is None:
        return most
    return min(most or dataset.sources, dataset.sources)


def _count(asked: int | None, most: int | None, reference: int) -> int:
    if most == 1:
        raise CardiganError("one sample cannot be judged; allowed: two or more")
    if asked is not None and (asked < 2 or (most is not None and asked > most)):
        raise CardiganError(f"--samples: {asked} cannot be had; allowed: 2 to {most or 'as many as you like'}")
    count = asked or min(max(reference, FEW), MANY)
    return min(count, most or count)


def _held_out(data: Data, test: View, extractor: Extractor, watch: Watch) -> View:
    try:
        validation = data.load("validation", SEED, watch)
    except CardiganError:  # a share of 0
        return test
    return _view("validation", validation, extractor, watch) if len(validation) >= FEW // 10 else test


def first(view: View, count: int) -> View:
    """The first `count` samples of `view`, whose features were all kept."""
    logits = None if view.logits is None else view.logits[:count]
    labels = None if view.labels is None else view.labels[:count]
    return View(
        view.name, count, _moments(view.features[:count]), view.features[:count], logits, labels, view.samples[:count]
    )


def _trivial(train: Dataset, count: int, extractor: Extractor, watch: Watch) -> View:
    """Independent pixels, or tokens, of the train split: like real samples, the same whoever is judged."""
    donors = train.draw(0, min(len(train), PIXELS)).sample.cpu()

    def batches() -> Iterator[Tensor]:
        return (train.codec.rounded(batch) for batch in independent_pixels(donors, count, SEED))

    name, kept = (
        "independent tokens" if train.form.vocabulary else "independent pixels",
        most_kept(bool(train.form.vocabulary)),
    )
    features, logits = _features(name, batches, count, train, extractor, watch)
    samples = torch.cat(list(islice(batches(), -(-kept // CHUNK))))
    return View(name, count, _moments(features), features, logits, None, samples[:kept])


def _view(name: str, dataset: Dataset, extractor: Extractor, watch: Watch) -> View:
    """The first samples of the shuffled sequence of `dataset`, none twice, as `extractor` sees them."""
    count = min(len(dataset), TRAIN)
    starts = range(0, count, CHUNK)

    def batches() -> Iterator[Tensor]:
        return (dataset.draw(start, min(CHUNK, count - start)).sample for start in starts)

    features, logits = _features(name, batches, count, dataset, extractor, watch)
    labels = None
    if dataset.form.classes:
        found = [dataset.draw(start, min(CHUNK, count - start)).label for start in starts]
        labels = torch.cat([each.cpu() for each in found if each is not None])
    kept = dataset.draw(0, min(count, most_kept(bool(dataset.form.vocabulary))))
    sources = kept.source.cpu() if dataset.form.vocabulary and kept.source is not None else None
    return View(name, count, _moments(features), features, logits, labels, kept.sample.cpu(), sources)


def _moments(features: Tensor) -> Moments:
    moments = Moments(features.shape[1], GROUPS)
    for chunk in features.split(CHUNK):
        moments.add(chunk)
    return moments


def _features(
    name: str,
    batches: Callable[[], Iterator[Tensor]],
    count: int,
    dataset: Dataset,
    extractor: Extractor,
    watch: Watch,
) -> tuple[Tensor, Tensor | None]:
    """Features and logits of `batches`, which follow from `dataset` and `name`: from the cache, or gathered now."""

    def gather() -> dict[str, Tensor]:
        found = []
        for number, batch in enumerate(batches()):
            watch(f"looking at real samples ({name})", number * CHUNK, count)
            found.append(extractor(batch))
        logits = [each.logits for each in found if each.logits is not None]
        whole = {"features": torch.cat([each.values for each in found]).contiguous()}
        return whole | ({"logits": torch.cat(logits).contiguous()} if logits else {})

    def make(place: Path) -> None:
        save_file(gather(), place / "features.safetensors")

    if 4 * count * extractor.dimension > LARGEST or extractor.digest == "none":
        tensors = gather()
    else:
        key = store.hashed("features", 2, name, extractor.name, extractor.digest, dataset.fingerprint, SEED, count)
        about = {"source": f"{count:,} samples ({name}) seen by {extractor.name}"}
        tensors = load_file(store.keep("features", key, make, about) / "features.safetensors")
    return tensors["features"], tensors.get("logits")
