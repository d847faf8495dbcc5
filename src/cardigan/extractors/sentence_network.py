"""The small convolutional network that is trained on the user's own sentences to judge by."""

import torch
from torch import Tensor, nn

from cardigan.extractors.network import FEATURES
from cardigan.tokens import UNKNOWN, content

WIDTH = 128
"""Numbers in the embedding of a token."""
STEPS = (1, 2)
"""From token to token of the three that each convolution looks at: three to each side are seen in all."""
DROPPED = 0.3
"""Share of the numbers that are dropped in training: without that a judge of few sentences knows its own by heart."""


class SentenceNetwork(nn.Module):
    """Two convolutions over tokens, then mean and maximum over those of the sentence; guesses tokens that are hidden.

    What stands after END, and how much of it, changes nothing. What the vocabulary lacks is looked at as if it were
    hidden: real sentences of other splits have such tokens, which in training there may have been none of.

    Args:
        vocabulary: V, number of tokens; one more stands for a hidden one.
    """

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.hidden = vocabulary
        self.embedding = nn.Embedding(vocabulary + 1, WIDTH)
        nn.init.normal_(self.embedding.weight, std=0.3)
        self.convolutions = nn.ModuleList(nn.Conv1d(WIDTH, WIDTH, 3, padding=step, dilation=step) for step in STEPS)
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in STEPS)
        self.dropout = nn.Dropout(DROPPED)
        self.narrow = nn.Linear(WIDTH, FEATURES // 2)
        self.head = nn.Linear(FEATURES // 2, vocabulary)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """(N, T) int64 -> features (N, FEATURES), and what is seen at each token, see `look`."""
        return self.look(tokens, content(tokens))

    def look(self, tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The same where `mask` (N, T) says which tokens count, since an END may be hidden.

        Returns:
            Features, and what is seen at each token, (N, L, FEATURES / 2) where the longest sentence has L tokens.
        """
        longest = int(mask.sum(1).max())
        tokens, there = tokens[:, :longest], mask[:, :longest, None]
        tokens = tokens.masked_fill(tokens == UNKNOWN, self.hidden)
        seen = self.dropout(self.embedding(tokens)) * there
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            seen = seen + torch.relu(convolution((norm(seen) * there).mT).mT) * there
        seen = torch.relu(self.narrow(self.dropout(seen))) * there
        mean = seen.sum(1) / there.sum(1).clamp(min=1)
        return torch.cat([mean, seen.amax(1)], dim=1), seen  # nothing is below 0: the maximum needs no mask
