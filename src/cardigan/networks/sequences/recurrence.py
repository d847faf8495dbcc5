"""Recurrent layers over sentences: all tokens at once, or one step with the same weights."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, Self, cast

import torch
from torch import Tensor, nn

from cardigan.networks.layers.dropout import Dropout
from cardigan.networks.layers.precision import full, no_autocast

Cell = Literal["gru", "lstm"]
LAYERS: dict[Cell, type[nn.GRU | nn.LSTM]] = {"gru": nn.GRU, "lstm": nn.LSTM}


def _weights(layer: nn.Module) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of inputs and of the state, then both biases, of a layer of one direction."""
    inputs, state, input_bias, state_bias = cast(nn.RNNBase, layer).all_weights[0]
    return inputs, state, input_bias, state_bias


def _precision(x: Tensor) -> AbstractContextManager[object]:
    """Full on CPUs. In bfloat16, torch's LSTM fails where instructions for it lack, its GRU takes 7 times as long."""
    return no_autocast(x) if x.device.type == "cpu" else nullcontext()


def _wide(x: Tensor) -> Tensor:
    return full(x) if x.device.type == "cpu" else x


class Masks(nn.Module):
    """Masks of variational dropout: one of each sentence, the same at all of its tokens (Gal & Ghahramani, 2016).

    arXiv:1512.05287.

    Args:
        p: probability of zero.
        width: D.
        places: how many masks a sentence needs.
    """

    def __init__(self, p: float, width: int, places: int) -> None:
        super().__init__()
        self.dropout, self.width, self.places = Dropout(p), width, places

    def draw(self, count: int, like: Tensor) -> list[Tensor]:
        """`places` masks (count, D) of 0 and what keeps the mean; none in eval mode."""
        if not self.training or not self.dropout.dropped:
            return []
        return [
            self.dropout(torch.ones(count, self.width, dtype=like.dtype, device=like.device))
            for _ in range(self.places)
        ]


class Recurrence(nn.Module):
    """Layers of GRU (Cho et al., 2014, arXiv:1406.1078) or LSTM (Hochreiter & Schmidhuber, 1997), one on another.

    One torch module per layer, since masks that one sentence keeps (`Masks`) lie between them. Forget gates start open,
    with a bias of 1 (Jozefowicz et al., 2015).

    Args:
        cell: "gru" or "lstm".
        inputs: I, numbers in an input.
        width: D, numbers in a hidden state.
        depth: number of layers.
    """

    def __init__(self, cell: Cell, inputs: int, width: int, depth: int) -> None:
        super().__init__()
        self.cell, self.width = cell, width
        self.layers = nn.ModuleList(
            LAYERS[cell](inputs if layer == 0 else width, width, batch_first=True) for layer in range(depth)
        )
        self.parts = 2 if cell == "lstm" else 1
        """Tensors in a layer's state: hidden, and for LSTM its cell."""
        if cell == "lstm":
            for layer in self.layers:
                nn.init.ones_(_weights(layer)[2].data[width : 2 * width])

    def train(self, mode: bool = True) -> Self:
        """See torch. The layers, which have no dropout of their own, stay in training mode: out of it, cuDNN gives no
        gradients."""
        super().train(mode)
        self.layers.train()
        return self

    def zeros(self, count: int, like: Tensor) -> list[Tensor]:
        """A state of zeros: depth * parts tensors (count, D)."""
        return [torch.zeros(count, self.width, dtype=like.dtype, device=like.device)] * (len(self.layers) * self.parts)

    def forward(self, x: Tensor, state: Sequence[Tensor] = (), masks: Sequence[Tensor] = ()) -> list[Tensor]:
        """(N, T, I), the state before it and masks (N, D) on the output of each layer -> (N, T, D) of every layer."""
        hidden = []
        for index, layer in enumerate(self.layers):
            before = tuple(each[None].contiguous() for each in self._of(state, index))  # cuDNN takes no other
            with _precision(x):
                x, _ = layer(_wide(x), (before if self.parts == 2 else before[0]) if before else None)
            x = x * masks[index][:, None] if masks else x
            hidden.append(x)
        return hidden

    def step(self, x: Tensor, state: Sequence[Tensor], masks: Sequence[Tensor] = ()) -> tuple[Tensor, list[Tensor]]:
        """(N, I) and the state before it -> (N, D) of the last layer, and the state after it."""
        after: list[Tensor] = []
        for index, layer in enumerate(self.layers):
            before = self._of(state, index)
            with _precision(x):
                if self.parts == 2:
                    after += torch.lstm_cell(_wide(x), list(before), *_weights(layer))
                else:
                    after.append(torch.gru_cell(_wide(x), before[0], *_weights(layer)))
            x = after[index * self.parts]
            x = x * masks[index] if masks else x
        return x, after

    def _of(self, state: Sequence[Tensor], layer: int) -> Sequence[Tensor]:
        return state[layer * self.parts : (layer + 1) * self.parts]


class Bidirectional(nn.Module):
    """Layers that read sentences forwards and backwards (Schuster & Paliwal, 1997); each reads what both below said.

    The way back starts at END: tokens are reversed up to it, so that what stands behind changes nothing, without packed
    sequences, whose lengths would have to be known to the CPU.

    Args:
        cell: "gru" or "lstm".
        inputs: I, numbers in an input.
        width: D, numbers in what is returned: a linear map of both ways' D/2, rounded up.
        depth: number of layers.
        dropout: probability of zero on the output of each layer, one mask per sentence.
    """

    def __init__(self, cell: Cell, inputs: int, width: int, depth: int, dropout: float) -> None:
        super().__init__()
        half = -(-width // 2)
        sizes = [inputs, *[2 * half] * (depth - 1)]
        self.ahead = nn.ModuleList(Recurrence(cell, each, half, 1) for each in sizes)
        self.back = nn.ModuleList(Recurrence(cell, each, half, 1) for each in sizes)
        self.masks = Masks(dropout, 2 * half, depth)
        self.out = nn.Linear(2 * half, width)

    def forward(self, x: Tensor, counts: Tensor) -> Tensor:
        """(N, S, I) and (N, S) bool, True up to END -> (N, S, D); what stands after END is to be left unused."""
        masks, turned = self.masks.draw(len(x), x), reversal(counts)
        for index, (ahead, back) in enumerate(zip(self.ahead, self.back, strict=True)):
            backwards = reordered(back(reordered(x, turned))[-1], turned)
            x = torch.cat([ahead(x)[-1], backwards], dim=2)
            x = x * masks[index][:, None] if masks else x
        return self.out(x)


def reversal(counts: Tensor) -> Tensor:
    """(N, T) bool, True up to END -> (N, T) int64 indices that reverse each sentence up to END and keep the rest."""
    places = torch.arange(counts.shape[1], device=counts.device).expand_as(counts)
    return torch.where(counts, counts.sum(dim=1, keepdim=True) - 1 - places, places)


def reordered(x: Tensor, order: Tensor) -> Tensor:
    """(N, T, D) and (N, T) indices -> (N, T, D)."""
    return x.gather(1, order[..., None].expand_as(x))


def attend(query: Tensor, memory: Tensor, counts: Tensor) -> Tensor:
    """Dot-product attention (Luong et al., 2015, arXiv:1508.04025), to what counts of the memory.

    Args:
        query: (N, T, D).
        memory: (N, S, D), keys and values at once.
        counts: (N, S) bool.

    Returns:
        (N, T, D): mixtures of the memory.
    """
    scores = full(query @ memory.transpose(1, 2)).masked_fill(~counts[:, None], float("-inf"))
    return torch.softmax(scores, dim=2).to(memory.dtype) @ memory
