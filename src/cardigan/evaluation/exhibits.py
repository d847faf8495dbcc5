"""Pictures for the report: sample grids, nearest neighbours, best and worst samples."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from cardigan.data.base import Codec, Dataset
from cardigan.evaluation.excerpts import excerpts
from cardigan.evaluation.measures import NEIGHBOURS
from cardigan.evaluation.result import Exhibit
from cardigan.evaluation.scene import Scene
from cardigan.metrics.manifold import realism

SHOWN = 64
"""Samples in a grid."""
BEST = 36
"""Best samples, and as many worst."""
ROWS = 8
"""Samples shown with their nearest train samples: a grid of as many columns."""


def exhibits(scene: Scene, pairs: Sequence[tuple[int, int]], train: Dataset, codec: Codec) -> list[Exhibit]:
    """What is shown of the subject; nothing for kinds of samples that are neither pictures nor sentences.

    Args:
        pairs: generated and train samples that look most like copies.
    """
    if scene.language is not None:
        return excerpts(scene, scene.language)
    if codec.extension != ".png":
        return []
    made, real = scene.generated.samples, scene.reference.samples
    shown = _translated(scene, codec)
    shown += [
        Exhibit(
            "Samples", f"The first {min(SHOWN, len(made))} of those judged; none chosen.", _png(made[:SHOWN], codec)
        ),
        Exhibit("Real samples", f"Of the {scene.reference.name} split, for comparison.", _png(real[:SHOWN], codec)),
    ]
    return (
        shown + _neighbours(scene, train, codec) + _copies(scene, pairs, train, codec) + _best_and_worst(scene, codec)
    )


def _translated(scene: Scene, codec: Codec) -> list[Exhibit]:
    """Sources beside what was made of them and, where it is known, what should have been made."""
    if scene.likeness is None:
        return []
    panels = scene.likeness.panels
    which = "Evenly spread over those judged; none chosen, large ones cut out of the middle."
    caption = f"Of each sample: {', '.join(panels)}. {which}"
    return [Exhibit("Translated", caption, _written(lambda path: codec.exhibit(panels, path)))]


def _neighbours(scene: Scene, train: Dataset, codec: Codec) -> list[Exhibit]:
    """The first samples, and beside each those train samples whose features are nearest."""
    features = scene.generated.features[:ROWS]
    nearest = torch.cdist(features, scene.train.features).topk(min(ROWS - 1, len(scene.train.features)), largest=False)
    rows = []
    for sample, places in zip(scene.generated.samples[:ROWS], nearest.indices.tolist(), strict=True):
        rows += [sample, *(_train(train, place) for place in places)]
    if len(rows) != ROWS * ROWS:
        return []
    caption = (
        f"In each row a sample (left) and the {ROWS - 1} train samples whose features are nearest to it. A copy would "
        "show as two equal pictures side by side."
    )
    return [Exhibit("Nearest train samples", caption, _png(torch.stack(rows), codec))]


def _copies(scene: Scene, pairs: Sequence[tuple[int, int]], train: Dataset, codec: Codec) -> list[Exhibit]:
    """The samples that come nearest to a train sample for what is around it, each beside that train sample."""
    shown = [(mine, theirs) for mine, theirs in pairs if mine < len(scene.generated.samples)]
    fitting = next((count for count in (18, 8, 2) if count <= len(shown)), 0)  # so that no pair is torn by the grid
    if not fitting:
        return []
    shown = shown[:fitting]
    rows = [each for mine, theirs in shown for each in (scene.generated.samples[mine], _train(train, theirs))]
    caption = (
        f"The {len(shown)} pairs of {len(scene.generated.samples):,} samples that look most like copies: a sample and "
        "behind it the train sample. Two equal pictures are a copy; two alike are not."
    )
    return [Exhibit("Nearest pairs", caption, _png(torch.stack(rows), codec))]


def _train(train: Dataset, place: int) -> Tensor:
    return train.draw(place, 1).sample[0].cpu()


def _best_and_worst(scene: Scene, codec: Codec) -> list[Exhibit]:
    """By realism (Kynkäänniemi et al. 2019, section 5), among the samples kept."""
    samples = scene.generated.samples
    half = min(BEST, len(samples) // 2)
    if half == 0 or len(scene.reference.features) <= NEIGHBOURS:
        return []
    order = realism(scene.generated.features[: len(samples)], scene.reference.features, NEIGHBOURS).argsort()
    of = f"of {len(samples):,} samples by realism (how deep they lie among real ones in feature space)"
    return [
        Exhibit("Best samples", f"The highest {half} {of}.", _png(samples[order.flip(0)[:half]], codec)),
        Exhibit("Worst samples", f"The lowest {half} {of}.", _png(samples[order[:half]], codec)),
    ]


def _png(samples: Tensor, codec: Codec) -> bytes:
    """(N, *form.shape) as the bytes of one picture."""
    return _written(lambda path: codec.render(samples, path))


def _written(write: Callable[[Path], None]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "grid.png"
        write(path)
        return path.read_bytes()
