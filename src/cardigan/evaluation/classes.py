"""The share of each class among generated and among real samples, seen by the same classifier."""

import torch
from torch import Tensor

from cardigan.evaluation.measures import per_class, predicted
from cardigan.evaluation.result import ClassShare
from cardigan.evaluation.scene import Scene
from cardigan.metrics.jackknife import wilson


def shares_of_classes(scene: Scene) -> tuple[ClassShare, ...]:
    """One entry a class; none where the extractor knows no classes."""
    if not scene.classes or scene.generated.logits is None:
        return ()
    generated, real = predicted(scene.generated), predicted(scene.reference)
    distances = per_class(scene)
    asked = _obeyed(scene, generated)
    return tuple(
        _share(scene, index, name, generated, real, distances.get(name), asked.get(name))
        for index, name in enumerate(scene.classes)
    )


def _share(
    scene: Scene, index: int, name: str, generated: Tensor, real: Tensor, fd: float | None, asked: float | None
) -> ClassShare:
    count = int((generated == index).sum())
    low, high = wilson(count, len(generated))
    share = float((real == index).float().mean())
    return ClassShare(name, count / len(generated), low, high, share, fd, asked)


def _obeyed(scene: Scene, generated: Tensor) -> dict[str, float]:
    """Class -> share of the samples made for it in which the classifier sees it."""
    if not scene.asked or scene.generated.labels is None:
        return {}
    labels = scene.generated.labels[: len(generated)]
    right = generated == labels
    present = torch.unique(labels).tolist()
    return {scene.classes[label]: float(right[labels == label].float().mean()) for label in present}
