"""Data sets of samples and what they are made from: joined by name, spoiled on the fly, or unpaired."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

import torch
from torch import Tensor

from cardigan.data.base import WHOLES, Codec, Dataset
from cardigan.data.degradations.base import Restorer
from cardigan.data.degradations.chain import Chain, factor, restorers, spoil, spoiled_shape
from cardigan.data.degradations.grey import greyed
from cardigan.randomness import derive_seed
from cardigan.sample import Batch


class Spoiled(Dataset):
    """Another data set with a source for every sample: the sample itself, degraded anew every time it is drawn.

    Args:
        clean: the samples.
        chain: what is done to them, one step after another.
        seed: of what is random about it.
    """

    def __init__(self, clean: Dataset, chain: Chain, codec: Codec, seed: int) -> None:
        self.clean, self.chain, self.codec, self.seed = clean, chain, codec, seed
        self.form = replace(clean.form, source=spoiled_shape(chain, clean.form.shape))  # type: ignore[arg-type]
        self.fingerprint = f"{clean.fingerprint}-{derive_seed(*(step.identity() for step in chain)):016x}"
        self.settled = clean.settled

    @property
    def remarks(self) -> tuple[str, ...]:  # type: ignore[override]
        """See `Dataset.remarks`."""
        return self.clean.remarks

    def __len__(self) -> int:
        return len(self.clean)

    def draw(self, start: int, count: int) -> Batch:
        """See `Dataset.draw`."""
        return self._spoiled(self.clean.draw(start, count), "draw", range(start, start + count))

    def take(self, indices: Tensor) -> Batch:
        """See `Dataset.take`; spoiled alike every time."""
        return self._spoiled(self.clean.take(indices), "take", indices.tolist())

    def wholes(self) -> Iterator[Batch]:
        """See `Dataset.wholes`; cropped at the right and at the bottom to what the degradation can be done to."""
        times, number = factor(self.chain), 0
        for batch in self.clean.wholes():
            height, width = (side // times * times for side in batch.sample.shape[2:])
            cropped = replace(batch, sample=batch.sample[:, :, :height, :width])
            yield self._spoiled(cropped, "whole", range(number, number + len(batch)))
            number += len(batch)

    @property
    def baselines(self) -> Mapping[str, Restorer]:
        """See `Dataset.baselines`: the classical ways back."""
        return restorers(self.chain)

    def close(self) -> None:
        """See `Dataset.close`."""
        self.clean.close()

    def _spoiled(self, batch: Batch, what: str, numbers: "range | list[int]") -> Batch:
        randoms = [torch.Generator().manual_seed(derive_seed(what, self.seed, number)) for number in numbers]
        return replace(batch, source=spoil(self.chain, batch.sample, randoms))


class Beside(Dataset):
    """Samples of one data set, sources of another, drawn in step; the samples carry no labels."""

    def __init__(self, outputs: Dataset, inputs: Dataset, codec: Codec) -> None:
        self.outputs, self.inputs, self.codec = outputs, inputs, codec
        self.form = replace(outputs.form, source=inputs.form.shape, classes=0)
        self.fingerprint = f"{outputs.fingerprint}-{inputs.fingerprint}"
        self.settled = {**inputs.settled, **outputs.settled}

    @property
    def remarks(self) -> tuple[str, ...]:  # type: ignore[override]
        """See `Dataset.remarks`."""
        return tuple(dict.fromkeys((*self.outputs.remarks, *self.inputs.remarks)))

    def __len__(self) -> int:
        return len(self.outputs)

    def draw(self, start: int, count: int) -> Batch:
        """See `Dataset.draw`."""
        return replace(self.outputs.draw(start, count), source=self.inputs.draw(start, count).sample, label=None)

    def take(self, indices: Tensor) -> Batch:
        """See `Dataset.take`; where there are fewer sources than samples, they come again."""
        beside = self.inputs.take(indices % len(self.inputs)).sample
        return replace(self.outputs.take(indices), source=beside, label=None)

    def close(self) -> None:
        """See `Dataset.close`."""
        self.outputs.close()
        self.inputs.close()


class Joined(Beside):
    """Two data sets of equal length, seed and mirroring, whose samples belong together one by one."""

    @property
    def baselines(self) -> Mapping[str, Restorer]:
        """See `Dataset.baselines`."""
        return {"copying the input": matched(self.form.shape[0])}


class Unpaired(Beside):
    """Samples of one domain beside sources of another, which have nothing to do with them one by one.

    The two go through their own passes, so that they meet in ever new pairs.
    """

    paired = False

    def __init__(
        self,
        outputs: Dataset,
        inputs: Dataset,
        codec: Codec,
        domains: tuple[str, ...] = (),
        baselines: Mapping[str, Restorer] = MappingProxyType({}),
    ) -> None:
        super().__init__(outputs, inputs, codec)
        self.domains, self._baselines = domains, baselines

    def wholes(self) -> Iterator[Batch]:
        """See `Dataset.wholes`: every source once, beside samples in turn."""
        for start in range(0, len(self.inputs), WHOLES):
            indices = torch.arange(start, min(start + WHOLES, len(self.inputs)))
            yield Batch(self.outputs.take(indices % len(self.outputs)).sample, source=self.inputs.take(indices).sample)

    @property
    def sources(self) -> int:
        """See `Dataset.sources`."""
        return len(self.inputs)

    @property
    def baselines(self) -> Mapping[str, Restorer]:
        """See `Dataset.baselines`."""
        return self._baselines


class Together(Dataset):
    """Two data sets as one of two classes, so that an extractor learns to tell them apart."""

    def __init__(self, first: Dataset, second: Dataset, codec: Codec, seed: int) -> None:
        self.both, self.codec, self.seed = (first, second), codec, seed
        self.form = replace(first.form, classes=2)
        self.fingerprint = f"{first.fingerprint}+{second.fingerprint}"
        self._cache: tuple[int, Tensor] | None = None

    def __len__(self) -> int:
        return sum(map(len, self.both))

    def draw(self, start: int, count: int) -> Batch:
        """See `Dataset.draw`."""
        numbers = (divmod(position, len(self)) for position in range(start, start + count))
        return self.take(torch.stack([self._order(number)[place] for number, place in numbers]))

    def take(self, indices: Tensor) -> Batch:
        """See `Dataset.take`."""
        first = len(self.both[0])
        label = (indices >= first).long()
        samples = torch.empty(len(indices), *self.form.shape)
        for which, each in enumerate(self.both):
            chosen = label == which
            if chosen.any():
                samples[chosen] = each.take(indices[chosen] - which * first).sample
        return Batch(samples, label, id=indices)

    def _order(self, number: int) -> Tensor:
        if self._cache is None or self._cache[0] != number:
            generator = torch.Generator().manual_seed(derive_seed("pass", self.seed, number))
            self._cache = (number, torch.randperm(len(self), generator=generator))
        return self._cache[1]


def matched(channels: int) -> Restorer:
    """Sources as samples of so many channels: grey repeated, colours as their luma, alpha dropped or opaque."""

    def restore(source: Tensor) -> Tensor:
        colours = source[:, :3] if source.shape[1] > 2 else source[:, :1]
        if channels == 1:
            return greyed(colours) if colours.shape[1] == 3 else colours
        alpha = source[:, 3:4] if source.shape[1] == 4 else torch.ones_like(source[:, :1])
        return torch.cat([colours.expand(-1, 3, -1, -1), *([alpha] if channels == 4 else [])], dim=1)

    return restore
