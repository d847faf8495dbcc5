"""Discriminators that look for groups of words: convolutions over a sentence and the maximum over its places."""

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from cardigan.networks.base import Judgement, Units
from cardigan.networks.layers.dropout import Dropout
from cardigan.networks.layers.spectral import normalise_spectrally
from cardigan.networks.sequences.base import SentenceDiscriminator, SentenceDiscriminatorFamily, Share
from cardigan.networks.sequences.judging import LogitHead, Reading, most_over
from cardigan.networks.sequences.vocabulary import check_sentences, required
from cardigan.sample import Form

Window = Annotated[int, Field(ge=1, le=1024)]


class TextConvolution(SentenceDiscriminatorFamily):
    """Convolutions of several windows, maxima over time, one highway layer: SeqGAN's discriminator.

    Kim, 2014 (arXiv:1408.5882), Zhang & LeCun, 2015 (arXiv:1502.01710), Yu et al., 2017 (arXiv:1609.05473), whose
    windows for sentences of 20 tokens are 1 to 10, 15 and 20 with 100 to 200 filters each. Here those that pay.
    """

    family: Literal["text-convolution"] = "text-convolution"
    windows: Annotated[tuple[Window, ...], Field(min_length=1, max_length=64)] = (1, 2, 3, 4, 5)
    """Tokens that a filter sees; longer than a sentence, it sees zeros after its end."""
    filters: Units = 128
    """Filters of each window."""
    dropout: Share = 0.25
    """Probability with which what the logit is made of is dropped."""
    spectral: bool = False
    """Whether weights, embeddings among them, are spectrally normalised (Miyato et al., 2018, arXiv:1802.05957)."""

    def build(self, form: Form, conditional: bool) -> "ConvolutionJudge":
        """A freshly initialised discriminator.

        Raises:
            CardiganError: samples, or sources where they are judged, that are no sentences.
        """
        form = check_sentences(form, "game.discriminator.family", self.family, conditional or None)
        network = ConvolutionJudge(form, conditional, self)
        if self.spectral:
            normalise_spectrally(network)
        return network


class WindowMaxima(nn.Module):
    """For each window, the greatest value of every filter over all places of a sentence.

    Args:
        width: D, numbers in an embedding.
        windows: tokens of each.
        filters: F of each.
    """

    def __init__(self, width: int, windows: tuple[int, ...], filters: int) -> None:
        super().__init__()
        self.windows = windows
        self.filters = nn.ModuleList(nn.Linear(window * width, filters) for window in windows)

    def forward(self, embedded: Tensor, counts: Tensor) -> Tensor:
        """(N, T, D), 0 after END, and (N, T) bool, True up to it -> (N, windows * F), rectified.

        Windows begin at every token up to END, so that the length to which a batch is padded changes nothing.
        """
        maxima = []
        for window, linear in zip(self.windows, self.filters, strict=True):
            seen = F.pad(embedded, (0, 0, 0, window - 1)).unfold(1, window, 1).transpose(2, 3).flatten(2)
            maxima.append(most_over(linear(seen), counts))
        return F.relu(torch.cat(maxima, dim=1))


class Highway(nn.Module):
    """gate * relu(W x) + (1 - gate) * x (Srivastava et al., 2015, arXiv:1505.00387).

    Args:
        width: D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.change, self.gate = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.constant_(self.gate.bias, -2.0)

    def forward(self, x: Tensor) -> Tensor:
        """(N, D) -> (N, D)."""
        return torch.lerp(x, F.relu(self.change(x)), torch.sigmoid(self.gate(x)))


class ConvolutionJudge(SentenceDiscriminator):
    """(N, T) tokens or (N, T, V) weights -> logits (N,); features: the maxima, and what the highway makes of them.

    Sources have filters of their own; their maxima stand beside the sentence's.

    Args:
        form: of the sentences.
        conditional: whether it is called with their sources.
        settings: the fields.
    """

    def __init__(self, form: Form, conditional: bool, settings: TextConvolution) -> None:
        super().__init__()
        self.reading = Reading(form.vocabulary, settings.width)
        self.maxima = WindowMaxima(settings.width, settings.windows, settings.filters)
        self.sources = WindowMaxima(settings.width, settings.windows, settings.filters) if conditional else None
        found = len(settings.windows) * settings.filters * (2 if conditional else 1)
        self.highway = Highway(found)
        self.dropout = Dropout(settings.dropout)
        self.head = LogitHead(found)

    def forward(self, sample: Tensor, condition: Tensor | None = None, features: bool = False) -> Judgement:
        """(N, T) int64 or (N, T, V) float, and (N, S) int64 where it is conditional -> `Judgement`."""
        found = self.maxima(*self.reading(sample))
        if self.sources is not None:
            found = torch.cat([found, self.sources(*self.reading(required(condition)))], dim=1)
        hidden = self.highway(found)
        return Judgement((self.head(self.dropout(hidden)),), features=(found, hidden) if features else ())
