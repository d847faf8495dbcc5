"""What a game remembers of its discriminator's logits from turn to turn, as a part of its state."""

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from cardigan.games.base import Step
from cardigan.networks.base import Judgement
from cardigan.objectives.adversarial import widen


class Memory(Protocol):
    """One thing that is remembered: a probability that follows the logits, their averages."""

    def forget(self) -> None:
        """Begin anew."""

    def update(self, real: Tensor, fake: Tensor, drawn: int) -> None:
        """Take in a turn's logits, (M,) each, of this process; called in all processes alike.

        Args:
            drawn: real samples of the turn, over all processes.
        """

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` takes back: tensors and JSON values by name; {}: nothing to remember yet."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave."""


class Memories:
    """Memories by name, which hear the slices of a turn one by one and move once it is over.

    So a turn cut into slices moves them as a whole one does, and all slices of a turn see the same.

    Args:
        memories: by name.
        known: names that there could be, under other settings.
    """

    def __init__(self, memories: Mapping[str, Memory], known: tuple[str, ...]) -> None:
        self.memories, self.known = memories, known
        self.heard: list[tuple[Tensor, Tensor]] = []
        self.clock, self.drawn, self.moved = 0, 0, -1

    def hear(self, real: Judgement, fake: Judgement, step: Step) -> None:
        """Keep the logits of `step`, a slice, until the turn is over.

        A second look at a batch by which all have moved (the extragradient method takes one) is passed over.
        """
        if self.memories and step.clock != self.moved:
            self.heard.append((_flat(real), _flat(fake)))
            self.clock, self.drawn = step.clock, len(step.batch) * step.random.shards

    @torch.no_grad()
    def update(self) -> None:
        """The turn is over: all move on."""
        if self.heard:
            real, fake = (torch.cat(each) for each in zip(*self.heard, strict=True))
            self.heard, self.moved = [], self.clock
            for memory in self.memories.values():
                memory.update(real, fake, self.drawn)

    def state_dict(self) -> dict[str, Any]:
        """Of all, as "name.key"."""
        states = {name: memory.state_dict() for name, memory in self.memories.items()}
        return {f"{name}.{key}": value for name, state in states.items() for key, value in state.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave; who finds nothing begins anew, and what nobody needs now is passed over.

        Raises:
            ValueError: names that no settings give.
            LookupError: a memory of which a part is missing.
        """
        self.heard, self.moved = [], -1
        unknown = [key for key in state if key.partition(".")[0] not in self.known]
        if unknown:
            raise ValueError(f"this game keeps {', '.join(self.known)}, so it cannot take back {sorted(unknown)}")
        for name, memory in self.memories.items():
            mine = {key.removeprefix(f"{name}."): state[key] for key in state if key.startswith(f"{name}.")}
            memory.load_state_dict(mine) if mine else memory.forget()


def _flat(judgement: Judgement) -> Tensor:
    """All logits of a judgement, (M,), in full precision and without their graph."""
    return torch.cat([widen(each.detach()).reshape(-1) for each in judgement.logits])
