"""Batches for a device that the data do not fit on: made ahead on the CPU, and sent."""

import weakref
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from cardigan.data.base import Codec, Dataset
from cardigan.sample import Batch


class Moved(Dataset):
    """Another data set whose batches are made on the CPU and then sent to `device`.

    What is expected is made by a thread while the device is busy, in memory that the device can read by itself
    (pinned), so that sending it takes no time of whoever asks. One thread makes everything, as data sets ask for.
    """

    def __init__(self, dataset: Dataset, device: torch.device) -> None:
        self.dataset, self.device = dataset, device
        self._maker = ThreadPoolExecutor(1, "batches")
        self._made: dict[tuple[int, int], Future[Batch]] = {}
        weakref.finalize(self, self._maker.shutdown, wait=False, cancel_futures=True)
        self.form, self.fingerprint, self.settled = dataset.form, dataset.fingerprint, dataset.settled
        self.paired, self.domains = dataset.paired, dataset.domains

    @property
    def codec(self) -> Codec:  # type: ignore[override]
        """See `Dataset.codec`."""
        return self.dataset.codec

    @property
    def remarks(self) -> tuple[str, ...]:  # type: ignore[override]
        """See `Dataset.remarks`."""
        return self.dataset.remarks

    def close(self) -> None:
        """See `Dataset.close`."""
        self._maker.shutdown(cancel_futures=True)
        self.dataset.close()

    def __len__(self) -> int:
        return len(self.dataset)

    def expect(self, start: int, count: int) -> None:
        """See `Dataset.expect`."""
        self._made[start, count] = self._maker.submit(self._make, start, count)

    def draw(self, start: int, count: int) -> Batch:
        """See `Dataset.draw`."""
        if (start, count) not in self._made:
            self._forget()  # others than these are coming
            self.expect(start, count)
        return self._made.pop((start, count)).result().to(self.device)

    def _make(self, start: int, count: int) -> Batch:
        batch = self.dataset.draw(start, count)
        return batch.pinned() if self.device.type == "cuda" else batch

    def _forget(self) -> None:
        for future in self._made.values():
            future.cancel()
        self._made.clear()

    def take(self, indices: Tensor) -> Batch:
        """See `Dataset.take`."""
        return self._maker.submit(self.dataset.take, indices.cpu()).result().to(self.device)

    def wholes(self) -> Iterator[Batch]:
        """See `Dataset.wholes`."""
        wholes = self.dataset.wholes()
        while (batch := self._maker.submit(next, wholes, None).result()) is not None:
            yield batch.to(self.device)

    @property
    def sources(self) -> int:
        """See `Dataset.sources`."""
        return self.dataset.sources

    @property
    def baselines(self) -> Mapping[str, Callable[[Tensor], Tensor]]:
        """See `Dataset.baselines`."""
        return self.dataset.baselines
