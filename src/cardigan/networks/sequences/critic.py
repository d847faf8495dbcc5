"""The learned baseline of a policy gradient: what return a sentence will still bring, told before the next token."""

import torch
from torch import Tensor, nn

from cardigan.networks.layers.precision import full, no_autocast
from cardigan.tokens import BEGIN, content


class Critic(nn.Module):
    """(N, T) tokens -> (N, T) expected returns; the one at t is told by the tokens before t alone, and by the source.

    A baseline that saw token t would bias the gradient (Williams, 1992).
    """

    def __init__(self, vocabulary: int, width: int = 64, conditional: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.recurrent = nn.GRU(width, width, batch_first=True)
        self.end = nn.Linear(width, 1)
        self.conditional = conditional

    def forward(self, tokens: Tensor, source: Tensor | None = None) -> Tensor:
        """See the class; `source` (N, S) is seen as the mean of its tokens' embeddings."""
        before = torch.cat([torch.full_like(tokens[:, :1], BEGIN), tokens[:, :-1]], dim=1)
        start = None
        if self.conditional and source is not None:
            counts = content(source).unsqueeze(-1).to(self.embedding.weight.dtype)
            start = ((self.embedding(source) * counts).sum(1) / counts.sum(1).clamp(min=1))[None].contiguous()
        hidden, _ = self.recurrent(self.embedding(before), start)
        with no_autocast(hidden):
            values: Tensor = self.end(full(hidden)).squeeze(-1)
        return values
