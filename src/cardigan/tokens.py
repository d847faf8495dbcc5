"""Sentences as rows of whole numbers: the tokens that every vocabulary begins with, and where a sentence ends."""

from torch import Tensor

PAD, BEGIN, END, UNKNOWN = range(4)
"""Filling after the end; put before the first token; the last token of a sentence; what the vocabulary lacks."""
SPECIAL = ("<pad>", "<begin>", "<end>", "<unknown>")
"""Their names, in the order of their numbers."""


def content(tokens: Tensor) -> Tensor:
    """(N, T) tokens -> (N, T) bool, True up to the first END and on it; everywhere where there is none."""
    ended = (tokens == END).cumsum(dim=1)
    return (ended == 0) | ((ended == 1) & (tokens == END))


def lengths(tokens: Tensor) -> Tensor:
    """(N, T) tokens -> (N,) int64, tokens of each sentence, END among them."""
    return content(tokens).sum(dim=1)


def padded(tokens: Tensor) -> Tensor:
    """(N, T) tokens with PAD after the first END, whatever stood there."""
    return tokens.masked_fill(~content(tokens), PAD)


def rows(tokens: Tensor) -> list[list[int]]:
    """(N, T) tokens -> those of each sentence, without its END and what stands behind it."""
    ends = lengths(tokens) - (tokens == END).any(dim=1).long()
    return [row[:end] for row, end in zip(tokens.tolist(), ends.tolist(), strict=True)]
