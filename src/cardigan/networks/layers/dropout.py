"""Dropout whose mask is drawn for the global batch."""

from torch import Tensor, nn

from cardigan.randomness import current


class Dropout(nn.Module):
    """Zero each activation with probability `p` while training (Srivastava et al., 2014).

    The mask comes from `cardigan.randomness.current()` as random bytes: processes that share a batch see their slices
    of one mask, a resumed run sees the mask it would have seen, and a byte costs a tenth of a Bernoulli draw. Hence `p`
    is honoured in steps of 1/256; what is kept is scaled by the probability in effect, so that the mean is exact.

    Args:
        p: probability of zero, in [0, 1).
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"p must lie in [0, 1), not {p}")
        self.dropped = min(round(p * 256), 255)
        """Of 256 equally likely bytes, those that give zero."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, ...) -> (N, ...), unchanged in eval mode."""
        if not self.training or not self.dropped:
            return x
        bytes_ = current().bytes(len(x), *x.shape[1:]).to(x.device)
        return x * ((bytes_ >= self.dropped).to(x.dtype) * (256 / (256 - self.dropped)))

    def extra_repr(self) -> str:
        """The probability in effect."""
        return f"p={self.dropped / 256}"
