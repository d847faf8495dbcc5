"""How class labels enter generators and discriminators."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from cardigan.errors import CardiganError
from cardigan.networks.base import Judgement, Labels
from cardigan.networks.layers.precision import full, no_autocast
from cardigan.sample import Form


def classes_of(form: Form, labels: Labels) -> int:
    """Number of classes a network is conditional on; 0 where `labels` is "none".

    Raises:
        CardiganError: labels are asked for, and the samples carry none.
    """
    if labels == "none":
        return 0
    if form.classes < 1:
        raise CardiganError(
            f"game.labels: {labels!r} needs samples with class labels, and these carry none; allowed here: none"
        )
    return form.classes


def required(labels: Tensor | None) -> Tensor:
    """`labels`, which a conditional network cannot do without."""
    if labels is None:
        raise CardiganError("this network is conditional on class labels, and none were given")
    return labels


class LatentInput(nn.Module):
    """Latents, followed by an embedding of the label where there are classes (as in conditional GANs, and AC-GAN).

    The embedding is N(0, 1) and as long as the latent, so that neither drowns the other in the layer that reads them.

    Args:
        dimension: L, of the latents.
        classes: number of classes; 0: the latents alone.

    Attributes:
        size: numbers in one output vector.
    """

    def __init__(self, dimension: int, classes: int = 0) -> None:
        super().__init__()
        self.embedding = nn.Embedding(classes, dimension) if classes else None
        self.size = 2 * dimension if classes else dimension

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, L) latents and, with classes, (N,) labels -> (N, size)."""
        if self.embedding is None:
            return latents
        return torch.cat([latents, self.embedding(required(labels))], dim=1)


class Head(nn.Module):
    """What ends a discriminator: hidden features phi -> one logit per sample, and what it says of labels.

    "projection": the logit gains <embedding(y), phi> (Miyato & Koyama, 2018, arXiv:1802.05637).
    "auxiliary": class logits beside it (AC-GAN: Odena et al., 2017, arXiv:1610.09585); the condition is not read.
    Computed in full precision: losses subtract logits from one another.

    Args:
        hidden: number of hidden features, D.
        form: of the samples; its classes are those judged.
        labels: "none", "projection" or "auxiliary".

    Raises:
        CardiganError: labels are asked for, and the samples carry none.
    """

    def __init__(self, hidden: int, form: Form, labels: Labels) -> None:
        super().__init__()
        classes = classes_of(form, labels)
        self.logit = nn.Linear(hidden, 1)
        self.projection = nn.Embedding(classes, hidden) if labels == "projection" else None
        self.classifier = nn.Linear(hidden, classes) if labels == "auxiliary" else None
        if self.projection is not None:
            nn.init.xavier_uniform_(self.projection.weight)

    def forward(self, hidden: Tensor, condition: Tensor | None, features: Sequence[Tensor] = ()) -> Judgement:
        """(N, D) hidden features and (N,) labels -> logits (N,), class logits (N, classes), `features` as they are."""
        hidden = full(hidden)
        with no_autocast(hidden):
            logits = self.logit(hidden).squeeze(1)
            if self.projection is not None:
                logits = logits + (self.projection(required(condition)) * hidden).sum(dim=1)
            class_logits = None if self.classifier is None else self.classifier(hidden)
        return Judgement((logits,), class_logits, tuple(features))
