"""Discriminators that attend to all tokens, or to all up to each."""

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from cardigan.networks.base import Depth, Judgement
from cardigan.networks.layers.dropout import Dropout
from cardigan.networks.layers.spectral import normalise_spectrally
from cardigan.networks.sequences.attention import Blocks, Pairs, Reader, Rotary, check_heads, norm
from cardigan.networks.sequences.base import SentenceDiscriminator, SentenceDiscriminatorFamily, Share
from cardigan.networks.sequences.judging import LogitHead, Reading, mean_over
from cardigan.networks.sequences.vocabulary import check_sentences, required
from cardigan.sample import Form


class TextTransformer(SentenceDiscriminatorFamily):
    """Transformers over sentences (Vaswani et al., 2017, arXiv:1706.03762).

    Per token they are causal: logit t judges the tokens up to and including t. Per sentence every token attends to all,
    and the logit is made of the mean. With sources, these are read by blocks of their own and attended to.
    """

    family: Literal["text-transformer"] = "text-transformer"
    per: Literal["token", "sentence"] = "sentence"
    """What gets a logit: "token" or "sentence"."""
    depth: Depth = 2
    """Blocks, of the judge and of the reader of sources each."""
    heads: Annotated[int, Field(ge=1, le=256)] = 4
    """Of attention; `width` must be a multiple of twice as many."""
    dropout: Share = 0.1
    """Probability with which the embeddings and the end of each part of a block are dropped."""
    spectral: bool = False
    """Whether weights, embeddings among them, are spectrally normalised (Miyato et al., 2018, arXiv:1802.05957)."""

    def build(self, form: Form, conditional: bool) -> "TransformerJudge":
        """A freshly initialised discriminator.

        Raises:
            CardiganError: samples, or sources where they are judged, that are no sentences; a width that heads cannot
                share.
        """
        form = check_sentences(form, "game.discriminator.family", self.family, conditional or None)
        check_heads(self.width, self.heads, "game.discriminator")
        network = TransformerJudge(form, conditional, self)
        if self.spectral:
            normalise_spectrally(network)
        return network


class TransformerJudge(SentenceDiscriminator):
    """(N, T) tokens or (N, T, V) weights -> logits (N, T) with their mask, or (N,); features: means after each block.

    Args:
        form: of the sentences.
        conditional: whether it is called with their sources.
        settings: the fields.
    """

    def __init__(self, form: Form, conditional: bool, settings: TextTransformer) -> None:
        super().__init__()
        width, depth, heads, dropout = settings.width, settings.depth, settings.heads, settings.dropout
        self.per_token = settings.per == "token"
        self.reading = Reading(form.vocabulary, width)
        self.dropout = Dropout(dropout)
        self.rotary = Rotary(width // heads)
        self.blocks = Blocks(depth, width, heads, dropout, conditional, fused=False)
        self.norm = norm(width)
        self.sources = Reader(width, depth, heads, dropout, fused=False) if conditional else None
        self.head = LogitHead(width)

    def forward(self, sample: Tensor, condition: Tensor | None = None, features: bool = False) -> Judgement:
        """(N, T) int64 or (N, T, V) float, and (N, S) int64 where it is conditional -> `Judgement`."""
        x, counts = self.reading(sample)
        x, angles = self.dropout(x), self.rotary(0, x.shape[1])
        memory, memory_counts = self._read(condition)
        hidden = []
        for block, pairs in zip(self.blocks, memory, strict=True):
            x, _ = block(x, angles, counts, causal=self.per_token, memory=pairs, memory_counts=memory_counts)
            hidden.append(x)
        seen = tuple(mean_over(each, counts) for each in hidden) if features else ()
        if self.per_token:
            return Judgement((self.head(self.norm(x)),), features=seen, mask=counts)
        return Judgement((self.head(mean_over(self.norm(x), counts)),), features=seen)

    def _read(self, condition: Tensor | None) -> tuple[list[Pairs | None], Tensor | None]:
        """Each block's keys and values of (N, S) sources, and where these count (N, S)."""
        if self.sources is None:
            return self.blocks.memories(None), None
        embedded, counts = self.reading(required(condition))
        return self.blocks.memories(self.sources(self.dropout(embedded), counts)), counts
