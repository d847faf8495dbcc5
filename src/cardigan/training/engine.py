"""What the engine chooses by itself: precision, memory layout, matmul backend, threads, fused optimizer, compilation.

The choice is made by a short probe on a throw-away copy of the players, remembered (`choices`), recorded in the run and
taken over on resume: equal seed and equal choice give equal bits.
"""

import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import DoublePrecision, MixedPrecision, Precision
from lightning_fabric.strategies import DDPStrategy

from cardigan.data.workers import usable_cores
from cardigan.errors import CardiganError
from cardigan.machine import Matmul, bf16_pays, fastest_exact_matmul
from cardigan.training.processes import gather, placed
from cardigan.training.settings import Engine


@dataclass(frozen=True)
class EngineChoice:
    """What the engine settled on; see the fields of `Engine`."""

    precision: Literal["fp32", "bf16", "fp16", "fp64"] = "fp32"
    memory_format: Literal["contiguous", "channels_last"] = "contiguous"
    matmul: Matmul = "highest"
    threads: int = 1
    fused: bool = True
    compile: bool = False

    @property
    def dtype(self) -> torch.dtype:
        """Of weights and samples."""
        return torch.float64 if self.precision == "fp64" else torch.float32

    @property
    def layout(self) -> torch.memory_format:
        """Of networks and samples with height and width."""
        return torch.channels_last if self.memory_format == "channels_last" else torch.contiguous_format

    def describe(self) -> str:
        """One line for people."""
        return (
            f"{self.precision}, {self.memory_format.replace('_', ' ')}, matmul {self.matmul}, "
            f"{self.threads} thread{'s' if self.threads > 1 else ''}{', fused optimizer' if self.fused else ''}"
            f"{', compiled' if self.compile else ''}"
        )

    def apply(self) -> None:
        """Set the process-wide switches."""
        torch.set_num_threads(self.threads)
        torch.set_float32_matmul_precision(self.matmul)

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def precision_plugin(choice: EngineChoice, device: torch.device) -> Precision:
    """Fabric's handling of autocast, backward and loss scaling for `choice` on `device`."""
    if choice.precision == "bf16":
        return MixedPrecision("bf16-mixed", device.type)
    if choice.precision == "fp16":
        return MixedPrecision("16-mixed", device.type)
    return DoublePrecision() if choice.precision == "fp64" else Precision()


def start_fabric(engine: Engine) -> Fabric:
    """Launch the processes that `engine` asks for, or join those that torchrun or SLURM has started.

    Raises:
        CardiganError: a device that is not there, a precision that it cannot do, processes that do not come together.
    """
    cuda = torch.cuda.is_available() if engine.device == "auto" else engine.device == "cuda"
    if cuda and not torch.cuda.is_available():
        raise CardiganError("engine.device: no CUDA device is available here; allowed: auto, cpu")
    if engine.precision == "fp16" and not cuda:
        raise CardiganError("engine.precision: fp16 needs a CUDA device; allowed here: auto, fp32, bf16, fp64")
    here, machines = placed(engine)
    many = here * machines > 1
    fabric = Fabric(
        accelerator="cuda" if cuda else "cpu",
        devices=here,
        num_nodes=machines,
        strategy=DDPStrategy(timeout=timedelta(seconds=engine.timeout)) if many else "auto",
    )
    if many:
        gather(fabric, here, machines, engine.timeout)
    return fabric


def choose(
    engine: Engine, play: Callable[[EngineChoice], Callable[[], None]], fabric: Fabric, pictures: bool = True
) -> EngineChoice:
    """Settle every field that is "auto": by measuring rounds where the answer depends on network and machine.

    Args:
        play: given a choice, builds a throw-away loop and returns what plays one round of it.
        pictures: whether samples have height and width, so that the memory layout matters.

    Raises:
        CardiganError: compilation was asked for and fails.
    """
    choice = _first_choice(engine, fabric)
    if choice.compile:
        _must_compile(choice, play)
    if fabric.world_size == 1:
        for field, values in _open_questions(engine, choice, pictures, fabric).items():
            choice = _fastest([replace(choice, **{field: value}) for value in values], play)
    agreed: EngineChoice = fabric.broadcast(choice)  # every process must round alike
    return agreed


def _first_choice(engine: Engine, fabric: Fabric) -> EngineChoice:
    cuda = fabric.device.type == "cuda"
    threads = usable_cores() // placed(engine)[0] or 1
    precision = engine.precision if engine.precision != "auto" else "fp32"
    memory_format = engine.memory_format if engine.memory_format != "auto" else "contiguous"
    torch.set_num_threads(threads if engine.threads == "auto" else engine.threads)
    return EngineChoice(
        precision=precision,
        memory_format=memory_format,
        matmul=fastest_exact_matmul() if engine.matmul == "auto" and not cuda else _matmul(engine),
        threads=threads if engine.threads == "auto" else engine.threads,
        fused=engine.fused if engine.fused != "auto" else precision != "fp16",
        compile=engine.compile is True,
    )


def _must_compile(choice: EngineChoice, play: Callable[[EngineChoice], Callable[[], None]]) -> None:
    """Fail here, in one line, where torch cannot compile: no compiler, say, or a network beyond it."""
    with applied(choice):
        try:
            play(choice)()
        except CardiganError:
            raise
        except Exception as error:  # no compiler, an operator that it does not know: the kinds have nothing in common
            reason = " ".join(str(error).split("\n")[:2]).strip() or type(error).__name__
            raise CardiganError(f"engine.compile: torch.compile fails ({reason}); allowed here: auto, false") from None


def _matmul(engine: Engine) -> Matmul:
    return "high" if engine.matmul == "auto" else engine.matmul


def _open_questions(engine: Engine, choice: EngineChoice, pictures: bool, fabric: Fabric) -> dict[str, list[Any]]:
    """Field -> values to be measured, in the order in which they are settled."""
    questions: dict[str, list[Any]] = {}
    if engine.precision == "auto":
        questions["precision"] = ["fp32", "bf16"] if fabric.device.type == "cuda" or bf16_pays() else ["fp32"]
    if engine.memory_format == "auto" and pictures:
        questions["memory_format"] = ["contiguous", "channels_last"]
    if engine.threads == "auto" and choice.threads > 1:
        questions["threads"] = [choice.threads, 1]
    if engine.compile == "auto" and compilation_may_pay(engine, fabric):
        questions["compile"] = [False, True]
    return questions


def compilation_may_pay(engine: Engine, fabric: Fabric) -> bool:
    """Whether compiled networks are worth a probe of a minute: on GPUs, where launching kernels costs most."""
    return fabric.device.type == "cuda" and engine.uncompilable is None


def _fastest(choices: list[EngineChoice], play: Callable[[EngineChoice], Callable[[], None]]) -> EngineChoice:
    """The choice whose rounds are shortest; a later one must win by a tenth, so that noise decides less.

    Compilation that fails is left out.
    """
    rounds, running = list[Callable[[], None]](), list[EngineChoice]()
    for choice in choices:
        with applied(choice):
            try:
                play_round = play(choice)
                play_round()
            except Exception:  # see `_must_compile`; of all else it is an error
                if not choice.compile or not rounds:
                    raise
            else:
                rounds.append(play_round)
                running.append(choice)
    choices, times = running, _interleaved_times(running, rounds)
    best = 0
    for index in range(1, len(choices)):
        if times[index] < 0.9 * times[best]:
            best = index
    return choices[best]


def _interleaved_times(choices: list[EngineChoice], rounds: list[Callable[[], None]]) -> list[float]:
    """Fewest seconds of a round under each choice: what it takes when no other program is in the way.

    The choices take turns, so that a machine that is busy for a while is busy for all of them alike.
    """
    times: list[list[float]] = [[] for _ in choices]
    began = time.perf_counter()
    while len(times[0]) < 3 or (len(times[0]) < 15 and time.perf_counter() - began < 1.0):
        for taken, choice, play_round in zip(times, choices, rounds, strict=True):
            with applied(choice):
                start = time.perf_counter()
                play_round()
                _wait()
                taken.append(time.perf_counter() - start)
    return [min(each) for each in times]


@contextmanager
def applied(choice: EngineChoice) -> Iterator[None]:
    """The process-wide switches of `choice`, and back to what was."""
    threads, matmul = torch.get_num_threads(), torch.get_float32_matmul_precision()
    choice.apply()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(matmul)


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def environment() -> dict[str, Any]:
    """What bits depend on beyond the recipe: versions and the machine's instruction set."""
    return {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
    }
