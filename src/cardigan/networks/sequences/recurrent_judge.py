"""Discriminators that read token after token."""

from typing import Literal

import torch
from torch import Tensor, nn

from cardigan.networks.base import Depth, Judgement
from cardigan.networks.sequences.base import SentenceDiscriminator, SentenceDiscriminatorFamily, Share
from cardigan.networks.sequences.judging import LogitHead, Reading, mean_over, most_over
from cardigan.networks.sequences.recurrence import Bidirectional, Masks, Recurrence, attend
from cardigan.networks.sequences.vocabulary import check_sentences, required
from cardigan.sample import Form


class TextRecurrent(SentenceDiscriminatorFamily):
    """GRUs (Cho et al., 2014, arXiv:1406.1078) over sentences.

    Per token, logit t judges the tokens up to and including t (d'Autume et al., 2019, arXiv:1905.09922; Fedus et al.,
    2018, arXiv:1801.07736). Per sentence, it is read in both ways and the maximum taken over its tokens (Conneau et
    al., 2017, arXiv:1705.02364). With sources, these are read in both ways and every token attends to them.
    """

    family: Literal["text-recurrent"] = "text-recurrent"
    per: Literal["token", "sentence"] = "token"
    """What gets a logit: "token" or "sentence"."""
    depth: Depth = 1
    """Layers."""
    dropout: Share = 0.0
    """Probability with which an embedding's or a layer's output is dropped, throughout a sentence."""

    def build(self, form: Form, conditional: bool) -> "RecurrentJudge":
        """A freshly initialised discriminator.

        Raises:
            CardiganError: samples, or sources where they are judged, that are no sentences.
        """
        form = check_sentences(form, "game.discriminator.family", self.family, conditional or None)
        return RecurrentJudge(form, conditional, self)


class RecurrentJudge(SentenceDiscriminator):
    """(N, T) tokens or (N, T, V) weights -> logits (N, T) with their mask, or (N,); features: means of each layer.

    Per sentence, the feature is what the logit is made of. On CUDA, second derivatives (gradient penalties) need
    `torch.backends.cudnn.flags(enabled=False)`: cuDNN's recurrent kernels have none.

    Args:
        form: of the sentences.
        conditional: whether it is called with their sources.
        settings: the fields.
    """

    def __init__(self, form: Form, conditional: bool, settings: TextRecurrent) -> None:
        super().__init__()
        width, depth, dropout = settings.width, settings.depth, settings.dropout
        self.reading = Reading(form.vocabulary, width)
        self.masks = Masks(dropout, width, depth + 1 if settings.per == "token" else 1)
        self.per_token = settings.per == "token"
        self.layers: nn.Module
        if self.per_token:
            self.layers = Recurrence("gru", width, width, depth)
        else:
            self.layers = Bidirectional("gru", width, width, depth, dropout)
        self.sources = Bidirectional("gru", width, width, 1, dropout) if conditional else None
        self.head = LogitHead(2 * width if conditional else width)

    def forward(self, sample: Tensor, condition: Tensor | None = None, features: bool = False) -> Judgement:
        """(N, T) int64 or (N, T, V) float, and (N, S) int64 where it is conditional -> `Judgement`."""
        x, counts = self.reading(sample)
        masks = self.masks.draw(len(x), x)
        x = x * masks[0][:, None] if masks else x
        if not self.per_token:
            pooled = most_over(self._beside_sources(self.layers(x, counts), condition), counts)
            return Judgement((self.head(pooled),), features=(pooled,) if features else ())
        hidden = self.layers(x, masks=masks[1:])
        logits = self.head(self._beside_sources(hidden[-1], condition))
        means = tuple(mean_over(each, counts) for each in hidden) if features else ()
        return Judgement((logits,), features=means, mask=counts)

    def _beside_sources(self, hidden: Tensor, condition: Tensor | None) -> Tensor:
        """(N, T, D) and (N, S) -> (N, T, 2D): beside each token what it attends to; unconditional: (N, T, D)."""
        if self.sources is None:
            return hidden
        embedded, counts = self.reading(required(condition))
        return torch.cat([hidden, attend(hidden, self.sources(embedded, counts), counts)], dim=2)
