"""A pool of earlier fakes, so that a discriminator does not forget what it has once seen through."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from cardigan.randomness import Random

SIZE = 50
"""Pictures, as of CycleGAN."""


class Pool:
    """The last fakes, some of which the discriminator is shown in place of new ones.

    Shrivastava et al. 2017, "Learning from simulated and unsupervised images through adversarial training", section
    2.3, as Zhu et al. 2017, "Unpaired image-to-image translation using cycle-consistent adversarial networks", section
    4, has it.

    What is shown depends on the fakes and the random streams alone. Processes that share a batch take their shares of
    one stream, but each keeps a pool of its own fakes: two processes show other pictures than one does. A checkpoint
    holds the pool of the process that writes it, with which all of them go on: resumed, a run of one process is the
    same to the bit, a run of several is another one.

    Args:
        size: fakes that are kept; 0: fakes pass unchanged.
    """

    def __init__(self, size: int = SIZE) -> None:
        if size < 0:
            raise ValueError(f"a pool of {size} fakes; allowed: 0 or more")
        self.size = size
        self._kept: list[Tensor] = []

    def __len__(self) -> int:
        """Fakes in the pool."""
        return len(self._kept)

    def exchange(self, fakes: Tensor, random: Random) -> Tensor:
        """(N, ...) fakes -> (N, ...) what the discriminator is shown, detached; one fake after another.

        While the pool is not full, a fake is kept and shown. Then, with probability 1/2, it is kept in the place of a
        random one, which is shown; else it is shown and not kept.
        """
        shown = fakes.detach().clone()  # in the fakes' memory layout, whatever the pool's: resuming must not change it
        if not self.size:
            return shown
        coins, places = random.uniform(len(fakes)).tolist(), random.integers(self.size, len(fakes)).tolist()
        for index, (coin, place) in enumerate(zip(coins, places, strict=True)):
            fake = fakes[index].detach().clone(memory_format=torch.contiguous_format)
            if len(self._kept) < self.size:
                self._kept.append(fake)
            elif coin < 0.5:
                shown[index] = self._kept[place]
                self._kept[place] = fake
        return shown

    def state_dict(self) -> dict[str, Any]:
        """The fakes in their order, (K, ...) under "kept"; nothing while there are none."""
        return {"kept": torch.stack(self._kept)} if self._kept else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave.

        Raises:
            ValueError: it is of a larger pool, or not a pool's.
        """
        kept = state.get("kept", ())
        if len(kept) > self.size or set(state) - {"kept"}:
            raise ValueError(f"a pool of {self.size} fakes cannot take back {len(kept)}, and {sorted(state)}")
        self._kept = [each.clone() for each in kept]
