"""Sentences of one split as tokens, and as text."""

from dataclasses import replace

import torch
from torch import Tensor

from cardigan.data.base import Dataset
from cardigan.data.memory import InMemory
from cardigan.data.sentence_codec import SentenceCodec
from cardigan.sample import Batch, Form
from cardigan.tokens import content


class Tokenised(InMemory):
    """Tokens of one split, what each sentence is made from drawn in step.

    Batches have sample (N, T) int64, END then PAD behind it; source (N, S) alike, or None; length (N,) and mask (N, T)
    of the sample, END counted.

    Args:
        samples: (N, T) int32.
        inputs: (N, S) int32, or None.
        texts: the samples as people read them.
        input_texts: the inputs likewise, or None.
        ids: (N,) int64, the position of each in its source.
    """

    def __init__(
        self,
        samples: Tensor,
        inputs: Tensor | None,
        *,
        texts: list[str],
        input_texts: list[str] | None,
        form: Form,
        codec: SentenceCodec,
        fingerprint: str,
        seed: int = 0,
        ids: Tensor | None = None,
    ) -> None:
        super().__init__(samples, None, form=form, codec=codec, fingerprint=fingerprint, seed=seed, ids=ids)
        self.inputs = inputs
        self._texts, self._input_texts = texts, input_texts

    def texts(self) -> list[str]:
        """The samples as text, in order: as the data have them, unknown words too; cut where samples are cut."""
        return self._texts

    def input_texts(self) -> list[str] | None:
        """What each sample is made from as text, in order; None where samples are made from nothing."""
        return self._input_texts

    def to(self, device: torch.device | str) -> Dataset:
        """See `InMemory.to`."""
        moved = super().to(device)
        if isinstance(moved, Tokenised) and self.inputs is not None:
            moved.inputs = self.inputs.to(moved.device)
        return moved

    def _batch(self, indices: Tensor, flips: Tensor | None) -> Batch:
        batch = super()._batch(indices, flips)
        mask = content(batch.sample)
        source = None if self.inputs is None else self.inputs.index_select(0, indices).long()
        return replace(batch, source=source, mask=mask, length=mask.sum(dim=1))
