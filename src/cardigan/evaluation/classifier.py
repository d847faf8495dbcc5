"""A small classifier of labelled samples: what the audit and the usefulness of samples are measured with."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cardigan.data.base import Dataset, Watch, silent
from cardigan.errors import CardiganError
from cardigan.extractors import fitting
from cardigan.extractors.base import CHUNK
from cardigan.extractors.network import build
from cardigan.randomness import Random, derive_seed
from cardigan.sample import Batch, Form

MOST = 10_000
"""Real samples looked at, at most: the first of the shuffled sequence of a split."""


def classifier(
    form: Form,
    draw: fitting.Draw,
    steps: int,
    seed: int = 0,
    loss: fitting.Loss = fitting.classification,
    watch: Watch = silent,
) -> nn.Module:
    """A small network for samples and classes of `form`, trained for `steps` on the labelled batches of `draw`.

    Equal seeds give equal networks on one machine; the global random generators are left as they were.

    Raises:
        CardiganError: samples of a shape that no network is known for.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed("classifier", seed))
        network = build(form.shape, form.classes)
    fitting.fit(network, draw, loss, steps, seed, lambda _, done, total: watch("training a classifier", done, total))
    return network


@torch.no_grad()
def predicted(network: nn.Module, samples: Tensor) -> Tensor:
    """(N, *shape) -> (N,) class indices."""
    return torch.cat([network(chunk)[1].argmax(1) for chunk in samples.split(CHUNK)])


def each(dataset: Dataset, function: Callable[[Tensor], Tensor], most: int = MOST) -> tuple[Tensor, Tensor]:
    """What `function` makes of the first `most` samples of the shuffled sequence, none twice, and their labels.

    A chunk at a time, so that the samples themselves need not fit into memory.
    """
    found, labels, count = list[Tensor](), list[Tensor](), min(most, len(dataset))
    for start in range(0, count, CHUNK):
        batch = labelled(dataset.draw(start, min(CHUNK, count - start)))
        assert batch.label is not None
        found.append(function(batch.sample))
        labels.append(batch.label)
    return torch.cat(found), torch.cat(labels)


def labelled(batch: Batch) -> Batch:
    """The batch itself.

    Raises:
        CardiganError: it has no labels.
    """
    if batch.label is None:
        raise CardiganError(
            "the data carry no labels; allowed: data with classes, or a table of them: data.labels=FILE"
        )
    return batch


def accuracy(
    draw: fitting.Draw,
    form: Form,
    test: Batch,
    steps: int,
    seed: int,
    change: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    watch: Watch = silent,
) -> float:
    """Share of `test` that a classifier trained on `draw`, each batch changed by `change`, gives its class; 0..1."""

    def loss(network: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        samples = batch.sample if change is None else change(batch.sample, generator)
        assert batch.label is not None
        return cross_entropy(network(samples)[1].float(), batch.label, label_smoothing=0.05)

    network = classifier(form, draw, steps, seed, loss, watch)
    truth = labelled(test).label
    assert truth is not None
    return float((predicted(network, test.sample) == truth).float().mean())


def few(train: Dataset, per_class: int | None, seed: int) -> Batch:
    """`per_class` samples of each class, drawn by `seed`; None: all there are, as of a class that has fewer."""
    everything = torch.arange(len(train))
    found = [labelled(train.take(chunk)).label for chunk in everything.split(1000)]
    labels = torch.cat([label for label in found if label is not None])
    order = Random("few", seed).uniform(len(labels)).argsort()
    chosen = [order[labels[order] == group][:per_class] for group in range(train.form.classes)]
    return train.take(torch.cat(chosen))


def first(dataset: Dataset, most: int) -> Batch:
    """The first samples of the shuffled sequence, none twice: `most`, or all there are."""
    return Batch(*each(dataset, lambda samples: samples, most))


def endless(batch: Batch, size: int, seed: int) -> fitting.Draw:
    """Batches of `size` of an endless sequence of the samples of `batch`, shuffled anew in every pass."""
    count = len(batch)

    def draw(step: int) -> Batch:
        passes = range(step * size // count, ((step + 1) * size - 1) // count + 1)
        order = torch.cat([Random("pass", seed, number).uniform(count).argsort() for number in passes])
        begin = step * size - passes[0] * count
        chosen = order[begin : begin + size]
        return Batch(batch.sample[chosen], None if batch.label is None else batch.label[chosen])

    return draw


def joined(batches: Sequence[Batch]) -> Batch:
    """Labelled batches as one."""
    labels = [batch.label for batch in map(labelled, batches) if batch.label is not None]
    return Batch(torch.cat([batch.sample for batch in batches]), torch.cat(labels))
