"""How long, with what and on what a recipe trains, and what it records."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeInt,
    PlainSerializer,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from cardigan.settings import Choice, Count, Settings
from cardigan.training.average import AverageSettings
from cardigan.training.lookahead import LookaheadSettings
from cardigan.training.moves import Order
from cardigan.training.optimizers import OPTIMIZERS, Adam, Optimizer, Schedule

AUTO_BATCH = 0
"""What `training.batch=auto` is until it is settled."""


def _parse_batch(value: Any) -> Any:
    if value == "auto":
        return AUTO_BATCH
    if value == AUTO_BATCH and not isinstance(value, bool):
        raise ValueError("a batch has one sample or more; allowed: auto, or 1 to 1,000,000")
    return value


def _show_batch(value: int) -> int | str:
    return value or "auto"


Batch = Annotated[
    int, BeforeValidator(_parse_batch), Field(ge=0, le=1_000_000), PlainSerializer(_show_batch, return_type=int | str)
]
"""Samples: a number, or "auto"."""


class Training(Settings):
    """Budget, batch, optimizers. Whichever of the two budgets is spent first ends the run."""

    samples: Count | None = 1_000_000
    """Budget in real samples drawn, whichever player used them; null: none."""
    minutes: PositiveFloat | None = None
    """Budget in minutes of training; null: none."""
    batch: Batch = 64
    """Real samples of one turn, over all processes. auto: settled before training, the smallest that keeps the machine
    busy and fits into its memory."""
    accumulate: PositiveInt = 1
    """Slices a batch is worked off in, one after another, to save memory."""
    seed: NonNegativeInt = 0
    """Decides initial weights, the order of the data and every random number."""
    optimizer: Annotated[Optimizer, Choice("kind", OPTIMIZERS)] = Adam()
    rates: dict[str, PositiveFloat] = Field(default_factory=dict)
    """Learning rate by player, where it differs from the optimizer's (two time-scale rule)."""
    clip: PositiveFloat | None = None
    """Largest norm of a player's gradient, which is shortened to it (Pascanu et al., 2013); null: none."""
    turns: Order = "alternating"
    """Whether the players of a round move one after another, each answering the one before it, or all at once."""
    extragradient: Literal["same", "new"] | None = None
    """All players step by the gradients that they would find after a step (Korpelevich, 1976; Gidel et al., 2019,
    ExtraAdam): looked up on the same batch, or on a new one, which the clock counts too. Takes twice the time, and
    needs turns: simultaneous. Null: they step by the gradients that they find."""
    lookahead: LookaheadSettings | None = None
    """All players go back, together, towards where they were some rounds ago (Chavdarova et al., 2021); null: never."""
    schedule: Schedule = Schedule()
    average: AverageSettings = AverageSettings()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.samples is None and self.minutes is None:
            raise ValueError("needs a budget: samples or minutes")
        if self.batch % self.accumulate:
            raise ValueError(f"accumulate ({self.accumulate}) must divide batch ({self.batch})")
        if self.extragradient and self.turns != "simultaneous":
            raise ValueError("extragradient: all players look ahead at once; allowed turns with it: simultaneous")
        if self.extragradient and self.optimizer.optimistic:
            plain = ", ".join(name for name in OPTIMIZERS if not name.startswith("optimistic"))
            raise ValueError(
                f"extragradient looks up what the optimizer {self.optimizer.kind} guesses; allowed optimizers with it: "
                f"{plain}"
            )
        return self


class Engine(Settings):
    """What trains; "auto" is decided by a short probe at the start and recorded in the run."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    devices: Annotated[int, Field(ge=1, le=4096)] = 1
    """Processes per machine, one per device; torchrun and SLURM say themselves how many they have started."""
    nodes: Annotated[int, Field(ge=1, le=4096)] = 1
    """Machines."""
    strategy: Literal["replicated", "sharded"] = "replicated"
    """Whether every process holds all weights, or each a part of weights, gradients, optimizer state and average, which
    saves memory and sends more (docs/scale.md)."""
    timeout: PositiveFloat = 600
    """Seconds that processes wait for each other, after which all end; more than process 0 takes to score."""
    precision: Literal["auto", "fp32", "bf16", "fp16", "fp64"] = "auto"
    """bf16 and fp16 keep weights, losses and penalties in fp32 (autocast); fp16 needs CUDA."""
    memory_format: Literal["auto", "contiguous", "channels_last"] = "auto"
    matmul: Literal["auto", "highest", "high", "medium"] = "auto"
    """Backend of fp32 matrix products, torch.set_float32_matmul_precision; auto: the fastest that stays exact."""
    threads: Literal["auto"] | Annotated[int, Field(ge=1, le=1024)] = "auto"
    """CPU threads per process."""
    fused: Literal["auto"] | bool = "auto"
    """One kernel for the whole optimizer step."""
    compile: Literal["auto"] | bool = "auto"
    """Networks are compiled by torch.compile: minutes at the start for faster rounds. auto: where the
    probe of one process on a CUDA device finds that it pays; never on CPUs by itself (docs/benchmarks.md)."""
    recompute: bool = False
    """Activation checkpointing: blocks of the networks compute their activations again in the backward pass instead of
    keeping them for it. Less memory for more time, the same bits; no run checkpoint has to do with it."""

    @property
    def uncompilable(self) -> str | None:
        """The field that keeps networks from being compiled; None: they may be."""
        return "recompute" if self.recompute else "strategy" if self.strategy == "sharded" else None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.compile is True and self.recompute:
            raise ValueError("compile: what is compiled decides itself what it keeps; allowed with recompute: false")
        if self.compile is True and self.strategy == "sharded":
            raise ValueError("compile: weights are gathered between the blocks; allowed with strategy sharded: false")
        if self.precision == "fp16" and self.fused is True:
            raise ValueError("fused: gradients are looked at before they are followed; allowed with fp16: auto, false")
        return self


class Records(Settings):
    """What is written while training, at intervals on the clock (in samples)."""

    scalars: Count = 5_000
    """Between two lines of scalars.jsonl."""
    checkpoint: Count = 100_000
    """Between two checkpoints; there is always one at the end."""
    first_grid: Count = 5_000
    """The first sample grid after the start; each next one 1.5 times later."""
    grid: Annotated[int, Field(ge=1, le=1024)] = 64
    """Samples in the grid."""


class Scoring(Settings):
    """Scores while training, on the validation split; they choose the best checkpoint."""

    interval: Count | None = None
    """Samples drawn between two scores, each with a checkpoint; null: none."""
    metric: Literal["fd", "kd"] = "fd"
    """Fréchet or kernel distance between features of generated and of real samples; lower is better."""
    samples: Annotated[int, Field(ge=50, le=50_000)] = 2_000
    """Generated samples of each score, and at most as many real ones."""
    patience: PositiveInt | None = None
    """Training ends early after so many scores without a better one; null: never."""
