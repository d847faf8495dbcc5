"""Transformer layers (Vaswani et al., 2017, arXiv:1706.03762), normalised first, with rotary positions."""

from collections.abc import Iterable, Iterator
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cardigan.errors import CardiganError
from cardigan.networks.layers.dropout import Dropout
from cardigan.networks.layers.precision import full
from cardigan.networks.layers.recomputation import recomputable

Pairs = tuple[Tensor, Tensor]
"""Keys and values, (N, heads, S, D / heads) each."""


def check_heads(width: int, heads: int, key: str) -> int:
    """`heads`, if `width` can be shared among them evenly, two numbers at a time as rotary positions need.

    Raises:
        CardiganError: naming `key` otherwise.
    """
    if width % (2 * heads):
        raise CardiganError(
            f"{key}.width: {width} is not a multiple of 2 * {heads} heads; "
            f"allowed: multiples of {2 * heads}, or other {key}.heads"
        )
    return heads


class Rotary(nn.Module):
    """Positions as angles by which pairs of numbers are turned (Su et al., 2021, arXiv:2104.09864).

    Products of queries and keys then depend on how far apart they are, and no longest sentence is built in.

    Args:
        width: numbers per head, even.
    """

    speeds: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("speeds", 10000.0 ** (-torch.arange(0, width, 2) / width), persistent=False)

    def forward(self, start: int, count: int) -> Pairs:
        """Cosine and sine (count, width / 2) of the positions from `start` on."""
        places = torch.arange(start, start + count, device=self.speeds.device).to(self.speeds.dtype)
        angles = places[:, None] * self.speeds
        return angles.cos(), angles.sin()


def turned(x: Tensor, angles: Pairs) -> Tensor:
    """(N, heads, T, d) and cosine and sine (T, d / 2) -> (N, heads, T, d)."""
    cosine, sine = (each.to(x.dtype) for each in angles)
    left, right = x.chunk(2, dim=3)
    return torch.cat([left * cosine - right * sine, left * sine + right * cosine], dim=3)


def mix(query: Tensor, pairs: Pairs, counts: Tensor | None, causal: bool) -> Tensor:
    """Attention written out: fused kernels have no second derivative, which gradient penalties need.

    Args:
        query: (N, heads, T, d).
        pairs: keys and values.
        counts: (N, S) bool, what may be attended to; None: all.
        causal: whether each attends to those up to itself only.

    Returns:
        (N, heads, T, d).
    """
    scores = full(query @ pairs[0].transpose(2, 3)) * query.shape[3] ** -0.5
    if counts is not None:
        scores = scores.masked_fill(~counts[:, None, None], float("-inf"))
    if causal:
        later = torch.ones(scores.shape[2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(later, float("-inf"))
    return torch.softmax(scores, dim=3).to(query.dtype) @ pairs[1]


def mix_fused(query: Tensor, pairs: Pairs, counts: Tensor | None, causal: bool) -> Tensor:
    """`mix` by torch's fused kernel."""
    allowed = None if counts is None else counts[:, None, None]
    return F.scaled_dot_product_attention(query, *pairs, attn_mask=allowed, is_causal=causal)


def norm(width: int) -> nn.LayerNorm:
    """Layer normalisation without bias. Root mean squares would do, but torch's derive four times as slowly on CPUs."""
    return nn.LayerNorm(width, bias=False)


class Attention(nn.Module):
    """Several heads of attention, to the tokens themselves or to what was read of the source.

    Args:
        width: D.
        heads: a divisor of D.
        fused: whether by torch's fused kernel, which cannot be derived twice.
    """

    def __init__(self, width: int, heads: int, fused: bool) -> None:
        super().__init__()
        self.heads, self.mix = heads, mix_fused if fused else mix
        self.query = nn.Linear(width, width, bias=False)
        self.both = nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def pairs(self, x: Tensor) -> Pairs:
        """(N, S, D) -> keys and values of all heads."""
        keys, values = self.both(x).chunk(2, dim=2)
        return self._split(keys), self._split(values)

    def queries(self, x: Tensor) -> Tensor:
        """(N, T, D) -> (N, heads, T, D / heads)."""
        return self._split(self.query(x))

    def forward(self, query: Tensor, pairs: Pairs, counts: Tensor | None = None, causal: bool = False) -> Tensor:
        """Queries, pairs, (N, S) bool -> (N, T, D)."""
        return self.out(self.mix(query, pairs, counts, causal).transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class Block(nn.Module):
    """x + attention, + attention to the source where there is one, + two layers at each token; each normalised first.

    Pre-norm: Xiong et al., 2020 (arXiv:2002.04745).

    Args:
        width: D.
        heads: of attention.
        dropout: probability of zero at the end of each part.
        reads: whether it attends to a source.
        fused: whether attention uses the fused kernel.
    """

    def __init__(self, width: int, heads: int, dropout: float, reads: bool, fused: bool) -> None:
        super().__init__()
        self.own_norm, self.own = norm(width), Attention(width, heads, fused)
        self.read_norm = norm(width) if reads else None
        self.read = Attention(width, heads, fused) if reads else None
        self.inner_norm = norm(width)
        self.inner = nn.Linear(width, 4 * width, bias=False)
        self.out = nn.Linear(4 * width, width, bias=False)
        self.dropout = Dropout(dropout)

    @recomputable
    def forward(
        self,
        x: Tensor,
        angles: Pairs,
        counts: Tensor | None = None,
        causal: bool = False,
        past: Pairs | None = None,
        memory: Pairs | None = None,
        memory_counts: Tensor | None = None,
    ) -> tuple[Tensor, Pairs]:
        """One layer.

        Args:
            x: (N, T, D).
            angles: of the tokens' positions.
            counts: (N, T) bool, which tokens may be attended to; None: all.
            causal: whether each attends to those up to itself only.
            past: keys and values of the tokens before, all of which are attended to.
            memory: keys and values of the source.
            memory_counts: (N, S) bool.

        Returns:
            (N, T, D), and the keys and values of all tokens so far.
        """
        normed = self.own_norm(x)
        keys, values = self.own.pairs(normed)
        keys = turned(keys, angles)
        if past is not None:
            # A new tensor, not a write into a longer one: older states stay valid and gradients flow.
            keys, values = (torch.cat([a.to(b.dtype), b], dim=2) for a, b in zip(past, (keys, values), strict=True))
        attended = self.own(turned(self.own.queries(normed), angles), (keys, values), counts, causal)
        x = x + self.dropout(attended)
        if self.read is not None and self.read_norm is not None and memory is not None:
            x = x + self.dropout(self.read(self.read.queries(self.read_norm(x)), memory, memory_counts))
        x = x + self.dropout(self.out(F.gelu(self.inner(self.inner_norm(x)))))
        return x, (keys, values)


class Blocks(nn.Module):
    """`depth` blocks, one on another.

    Initial weights are N(0, 1 / inputs), those at the end of a residual part smaller by the root of how many parts
    there are (Radford et al., 2019).

    Args:
        depth: how many.
        width: D.
        heads: of attention.
        dropout: probability of zero at the end of each part.
        reads: whether they attend to a source.
        fused: whether attention uses the fused kernel.
    """

    def __init__(self, depth: int, width: int, heads: int, dropout: float, reads: bool, fused: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, heads, dropout, reads, fused) for _ in range(depth))
        parts = depth * (3 if reads else 2)
        for name, layer in self.named_modules():
            if isinstance(layer, nn.Linear):
                shrunk = parts if name.endswith("out") else 1
                nn.init.normal_(layer.weight, std=(layer.in_features * shrunk) ** -0.5)

    def __iter__(self) -> Iterator[Block]:
        return iter(cast(Iterable[Block], self.blocks))

    def memories(self, memory: Tensor | None) -> list[Pairs | None]:
        """(N, S, D) of the source -> each block's keys and values of it; None where there is no source."""
        return [None if memory is None or block.read is None else block.read.pairs(memory) for block in self]


class Reader(nn.Module):
    """Sentences -> what is known of each token after `depth` blocks that attend to all tokens up to END.

    Args:
        width: D.
        depth: number of blocks.
        heads: of attention.
        dropout: probability of zero at the end of each part of a block.
        fused: whether attention uses the fused kernel.
    """

    def __init__(self, width: int, depth: int, heads: int, dropout: float, fused: bool) -> None:
        super().__init__()
        self.rotary = Rotary(width // heads)
        self.blocks = Blocks(depth, width, heads, dropout, reads=False, fused=fused)
        self.norm = norm(width)

    def forward(self, x: Tensor, counts: Tensor) -> Tensor:
        """(N, S, D) and (N, S) bool -> (N, S, D)."""
        angles = self.rotary(0, x.shape[1])
        for block in self.blocks:
            x, _ = block(x, angles, counts)
        return self.norm(x)
