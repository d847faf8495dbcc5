"""Playing a run: rounds until the budget is spent or a signal comes, with records, readings, scores and the guard."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from lightning_fabric import Fabric

from cardigan.distributed import largest
from cardigan.files import writable
from cardigan.health.diagnosis import Reading
from cardigan.health.history import History
from cardigan.health.interventions import Intervention
from cardigan.health.rules import diagnose
from cardigan.recipe import Recipe
from cardigan.run import Run
from cardigan.training import checkpoint
from cardigan.training.guard import Guard
from cardigan.training.loop import Loop
from cardigan.training.monitor import FIRST, Monitor
from cardigan.training.progress import Progress
from cardigan.training.records import Attendant, Recorder, TrainingFailedError, crossed, cut, next_mark
from cardigan.training.scoring import Scorer

OVER = -1
"""The budget is spent, or nothing is to be gained any more."""


class Play:
    """A run that is being trained.

    Attributes:
        loop: what is trained; another one after an intervention.
        rebuild: makes a loop with fresh weights for a changed recipe.
    """

    def __init__(
        self,
        run: Run,
        loop: Loop,
        scorer: Scorer | None,
        guard: Guard,
        minutes: float,
        progress: Progress,
        rebuild: Callable[[Recipe], Loop],
    ) -> None:
        self.run, self.loop, self.scorer, self.guard = run, loop, scorer, guard
        self.progress, self.rebuild = progress, rebuild
        self.start = time.monotonic() - 60 * minutes
        self.writes = loop.fabric.is_global_zero
        self.ended = False
        self.recorder: Recorder | Attendant | None = None

    @property
    def minutes(self) -> float:
        """Minutes of training until now."""
        return (time.monotonic() - self.start) / 60

    def play(self) -> int:
        """Train until it is over; then a checkpoint, whatever the reason.

        Returns:
            The number of the signal that came, or `OVER`.

        Raises:
            TrainingFailedError: training cannot go on, and the guard can do nothing or is not there.
        """
        run, fabric = self.run, self.loop.fabric
        with held(run, fabric), _signals() as caught, self.progress, writable(run.folder):
            try:
                while isinstance(met := self._stretch(caught), Intervention):
                    self._intervene(met)
                self._finish()
            finally:  # the run is let go of only when nothing is written to it any more
                if self.recorder:
                    self.recorder.leave()
        return met

    def _stretch(self, caught: list[int]) -> int | Intervention:
        """Rounds until it is over or the guard wants something done; opening is no time of training."""
        began = time.monotonic()
        self._open()
        self.start += time.monotonic() - began
        try:
            return self._rounds(caught)
        except TrainingFailedError as failure:
            if self.writes:
                last = Reading(self.loop.clock, {"not_finite": 1.0})
                self.history.add(last, diagnose([*self.history.readings, last]))
            return self._rescued(failure)

    def _open(self) -> None:
        """Everything that looks at the loop, for a loop that is new."""
        self.loop.reads_ahead = True
        self.recorder = self._new_recorder()
        self.monitor = Monitor(self.loop) if self.loop.recipe.health.interval else None
        self.history = History(self.run.health_file)
        if self.recorder and self.loop.clock == 0:
            self.recorder.grid()
        self.ended = self.scorer is not None and self.scorer.stalled(self.run)

    def _new_recorder(self) -> Recorder | Attendant | None:
        if self.writes:
            return Recorder(self.run, self.loop, self.loop.dataset.codec)
        return Attendant(self.loop) if self.loop.sharded else None

    def _rounds(self, caught: list[int]) -> int | Intervention:
        """Play round after round; why it is over, or what the guard wants to be done."""
        while not (over := self._over(caught, self.minutes)):
            before, minutes = self.loop.clock, self.minutes
            reads = self.monitor is not None and self.monitor.due()
            self.loop.round()
            self.progress.advance(self.loop.clock, minutes)
            if reads and (wanted := self._examine(minutes)):
                if wanted.back_to is None and self.recorder is not None:  # what was played until here stays
                    self.progress.scalars(self.loop.clock, minutes, self.recorder.scalars(minutes))
                return wanted
            if self.recorder is not None:
                self._record(self.recorder, before, minutes)
        return over

    def _record(self, recorder: Recorder | Attendant, before: int, minutes: float) -> None:
        """Write down what is due after a round that began at the clock `before`."""
        records, clock = self.loop.recipe.records, self.loop.clock
        interval = self.loop.recipe.scoring.interval
        scores = interval is not None and crossed(before, clock, interval)
        saves = scores or crossed(before, clock, records.checkpoint)
        if self.guard.settings.enabled:  # places to go back to, early ones too
            saves = saves or next_mark(before, FIRST) <= clock
        if saves or crossed(before, clock, records.scalars):
            self.progress.scalars(clock, minutes, recorder.scalars(minutes))
        if clock >= recorder.next_grid:
            recorder.grid()
        if scores:
            self._score(recorder, minutes)
        if saves:
            self._save(recorder, minutes)

    def _score(self, recorder: Recorder | Attendant, minutes: float) -> None:
        """Score and write it down; what it takes is no time of training."""
        if isinstance(recorder, Attendant):
            recorder.scored()
            return
        assert self.scorer is not None
        began = time.monotonic()
        value = self.scorer.score()
        recorder.score(self.scorer.name, value, minutes)
        self.progress.scored(self.loop.clock, self.scorer.name, value)
        self.start += time.monotonic() - began
        self.ended = self.scorer.stalled(self.run)

    def _save(self, recorder: Recorder | Attendant, minutes: float) -> None:
        recorder.checkpoint(minutes, self.ended, interventions=len(self.guard.entries), thrown=self.guard.thrown)

    def _settle(self) -> None:
        """Wait for the checkpoint that is being written: whoever asks which there are must be told alike every time."""
        if self.recorder:
            self.recorder.settle()

    def _examine(self, minutes: float) -> Intervention | None:
        """Take a reading, write it down with what it means, say what is new; what the guard wants to be done."""
        assert self.monitor is not None
        reading = Reading(self.loop.clock, self.monitor.read(minutes))
        wanted = None
        if self.writes:
            found = diagnose([*self.history.readings, reading])
            news = [each for each in found if self.history.is_new(each)]
            self.history.add(reading, found)
            for diagnosis in news:
                self.progress.diagnosed(diagnosis)
            if self.guard.settings.enabled:
                self._settle()
                self.guard.judge(self.history.readings)
                wanted = self.guard.decide(self.history.readings, self.run.clocks())
        return self._agreed(wanted)

    def _rescued(self, failure: TrainingFailedError) -> Intervention:
        """What the guard makes of a failure; else the failure goes on."""
        if not self.guard.settings.enabled or self.loop.fabric.world_size > 1:
            raise failure
        self._settle()
        wanted = self.guard.after_failure(self.loop.clock, failure.reason, self.run.clocks())
        if wanted is None:
            raise failure
        return wanted

    def _agreed(self, wanted: Intervention | None) -> Intervention | None:
        """Process 0 decides for all."""
        if self.loop.fabric.world_size == 1 or not self.guard.settings.enabled:
            return wanted
        told: Intervention | None = self.loop.fabric.broadcast(wanted)
        return told

    def _intervene(self, wanted: Intervention) -> None:
        """Do what the guard wants: other settings, from here, from an earlier checkpoint, or from the start.

        Raises:
            TrainingFailedError: training is ended, since nothing has helped.
        """
        if isinstance(self.recorder, Recorder):
            self.recorder.events.close()
        if self.writes:
            self.guard.add(wanted)
        else:
            self.guard.entries.append(wanted)
        self.progress.intervened(wanted)
        if wanted.ends:
            self._end(wanted)
        clock = self.loop.clock if wanted.back_to is None else wanted.back_to
        if wanted.back_to is None and self.recorder:
            self._save(self.recorder, self.minutes)
        self._settle()
        if self.recorder:
            self.recorder.leave()
        self.loop.fabric.barrier()
        self.loop = self.rebuild(self.guard.recipe)
        if clock:
            checkpoint.load_checkpoint(self.loop, self.run.checkpoint_folder / checkpoint.name_of(clock))
        if self.writes:
            cut(self.run, clock)
        self.loop.fabric.barrier()
        if self.scorer:
            self.scorer.loop = self.loop

    def _end(self, wanted: Intervention) -> None:
        self.ended = True
        if self.recorder:
            self._save(self.recorder, self.minutes)
        self._settle()
        raise TrainingFailedError(
            f"{self.run.folder}: ended at {self.loop.clock:,} samples, {len(self.guard.entries) - 1} interventions did "
            f"not help: {wanted.reason}",
            wanted.reason,
        )

    def _finish(self) -> None:
        if not self.recorder:
            return
        clock, minutes = self.loop.clock, self.minutes
        self._settle()
        self.progress.scalars(clock, minutes, self.recorder.scalars(minutes))
        missing = clock not in self.run.clocks()
        if self.loop.fabric.broadcast(missing) if self.loop.sharded else missing:  # all look, or none
            self._save(self.recorder, minutes)
        self.recorder.grid()
        self.recorder.close()

    def _over(self, caught: list[int], minutes: float) -> int:
        """0: go on; otherwise `OVER` or the number of the signal that came. All processes agree."""
        training = self.loop.recipe.training
        drawn = self.loop.clock + self.guard.thrown
        spent = self.ended or (training.samples is not None and drawn >= training.samples)
        spent = spent or (training.minutes is not None and minutes >= training.minutes)
        verdict = caught[0] if caught else OVER if spent else 0
        return verdict if self.loop.fabric.world_size == 1 else _agree(self.loop.fabric, verdict)


def _agree(fabric: Fabric, verdict: int) -> int:
    """The largest signal number over all processes; failing that, what process 0 says of the budget."""
    import torch

    told = torch.tensor([max(verdict, 0), int(verdict < 0 and fabric.global_rank == 0)], device=fabric.device)
    caught, spent = largest(told).tolist()
    return int(caught) or -int(spent)


@contextmanager
def _signals() -> Iterator[list[int]]:
    """SIGINT and SIGTERM are noted in the list; a second one acts as usual."""
    caught: list[int] = []
    before: dict[signal.Signals, Any] = {}

    def note(number: int, frame: FrameType | None) -> None:
        caught.append(number)
        signal.signal(number, before[signal.Signals(number)])

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, note)
    except ValueError:  # not in the main thread: whoever runs us handles signals
        pass
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def held(run: Run, fabric: Fabric) -> Iterator[None]:
    """The run's lock, held by the process that writes."""
    if not fabric.is_global_zero:
        yield
        return
    with run.locked():
        yield
