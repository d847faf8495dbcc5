"""The processes of one run: who starts them, and how all of them end, with one line, when one is gone."""

import atexit
import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from itertools import count
from pathlib import Path

import torch.distributed as dist
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import ClusterEnvironment, SLURMEnvironment, TorchElasticEnvironment
from lightning_fabric.strategies import ParallelStrategy

from cardigan.errors import CardiganError
from cardigan.training.settings import Engine

ANSWER = 5.0
"""Seconds that a process has for answering when one is missed."""
FAREWELL = 1.0
"""Seconds that whoever holds the common store stays for the others to read it."""
FIRST = "CARDIGAN_FIRST_PROCESS"
"""Environment variable: the process that has started the others of its machine."""
_runs = count()


def placed(engine: Engine) -> tuple[int, int]:
    """Processes per machine, and machines: what torchrun or SLURM has started, else what `engine` asks for."""
    told = os.environ
    if TorchElasticEnvironment.detect():
        here = int(told["LOCAL_WORLD_SIZE"])
        return here, int(told["WORLD_SIZE"]) // here
    if SLURMEnvironment.detect():
        machines = int(told.get("SLURM_NNODES", "1"))
        return int(told["SLURM_NTASKS"]) // machines, machines
    return engine.devices, engine.nodes


def start_others(environment: ClusterEnvironment, here: int, machines: int) -> "list[subprocess.Popen[bytes]]":
    """Start the other processes of this machine, copies of this program, unless somebody else has.

    Fabric would do so too, but its observer kills the first process as soon as another is gone, without a word. Here
    the processes notice by themselves (`together`); when the first one ends, so do the others.
    """
    if environment.creates_processes_externally:
        return []
    os.environ |= {
        "MASTER_ADDR": environment.main_address,
        "MASTER_PORT": str(environment.main_port),
        "NODE_RANK": str(environment.node_rank()),
        "WORLD_SIZE": str(here * machines),
        "LOCAL_RANK": "0",
        FIRST: str(os.getpid()),
    }
    # Who is gone is said by us, in one line; torch warns of it with a stack of its own.
    common = {"TORCH_CPP_LOG_LEVEL": "ERROR", **os.environ}
    others = [subprocess.Popen(_this_program(), env={**common, "LOCAL_RANK": str(rank)}) for rank in range(1, here)]
    atexit.register(_end, others)
    return others


def gather(fabric: Fabric, here: int, machines: int, timeout: float) -> None:
    """Start what is to be started, and wait until all processes are there.

    Raises:
        CardiganError: they are not after `timeout` seconds.
    """
    strategy = fabric.strategy
    assert isinstance(strategy, ParallelStrategy) and strategy.cluster_environment is not None
    environment = strategy.cluster_environment
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it greets every process
    others, first = start_others(environment, here, machines), int(os.environ.get(FIRST, "0"))
    try:
        with _watched(first, others):
            fabric.launch()
    except dist.DistError as error:
        raise CardiganError(
            f"engine: {here * machines} processes did not come together at {environment.main_address}:"
            f"{environment.main_port} within {timeout:g} s (engine.timeout); allowed: as many as are started, on "
            "machines that reach each other"
        ) from error


def _first_gone(first: int) -> bool:
    """Whether the process that has started this one, `first` (0: nobody of ours), is no more."""
    return first not in (0, os.getpid(), os.getppid())


@contextmanager
def _watched(first: int, others: "list[subprocess.Popen[bytes]]") -> Iterator[None]:
    """Within this context, the process ends as soon as another one is gone, for which it would wait in vain."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.5):
            if _first_gone(first) or any(other.poll() is not None for other in others):
                for other in others:
                    other.kill()
                if others or os.environ.get("LOCAL_RANK") == "1":
                    print("error: engine: a process ended before all had come together", file=sys.stderr, flush=True)
                os._exit(2)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _this_program() -> list[str]:
    import __main__

    spec = getattr(__main__, "__spec__", None)
    what = [str(Path(sys.argv[0]).absolute())] if spec is None else ["-m", spec.name]
    return [sys.executable, *what, *sys.argv[1:]]


def _end(others: "list[subprocess.Popen[bytes]]") -> None:
    """Wait for `others` a moment; then they are killed, even those that are stopped."""
    deadline = time.monotonic() + 3 * FAREWELL
    for other in others:
        try:
            other.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            other.kill()


class Peers:
    """All processes of a run as one of them sees them, through a store beside the process group, which may be broken.

    Attributes:
        run: the folder of their run; None: there is none yet.
    """

    run: Path | None = None

    def __init__(self, fabric: Fabric) -> None:
        self.rank, self.count = fabric.global_rank, fabric.world_size
        self.first_here = fabric.local_rank == int(fabric.node_rank == 0)  # beside process 0
        agent = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
        self.hosts = self.rank == 0 and not agent
        store = _common_store(self.hosts) if self.count > 1 else dist.HashStore()
        self.store = dist.PrefixStore(f"cardigan/{next(_runs)}", store)

    def leave(self) -> None:
        """Tell the others that this process ends and says itself why."""
        with suppress(RuntimeError):
            self.store.set(f"left/{self.rank}", "")
        self._hang_up()

    def line(self, timeout: float) -> str | None:
        """What is to be said once a collective call has failed; None: another process says it.

        Args:
            timeout: seconds after which it has failed at the latest.
        """
        try:
            _knock()
            silent = self._silent()
            left = self._left(silent)
        except (RuntimeError, OSError):  # the store has gone, and process 0 with it
            return self._about([0], timeout) if self.first_here else None
        finally:
            self._hang_up()
        first = min(set(range(self.count)) - set(silent))
        return None if (silent and left) or self.rank != first else self._about(silent, timeout)

    def _silent(self) -> list[int]:
        """The processes that do not answer; all that do agree about that."""
        self.store.set(f"here/{self.rank}", "")
        _break_up()
        deadline = time.monotonic() + ANSWER
        while silent := [rank for rank in range(self.count) if not self.store.check([f"here/{rank}"])]:
            if self._left(silent) or self.store.check(["silent"]) or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        found: list[int] = json.loads(self.store.compare_set("silent", "", json.dumps(silent)))
        return found

    def _left(self, ranks: list[int]) -> bool:
        """Whether all of them have told that they would end."""
        return all(self.store.check([f"left/{rank}"]) for rank in ranks)

    def _hang_up(self) -> None:
        _break_up()
        if self.hosts:
            time.sleep(FAREWELL)

    def _about(self, silent: list[int], timeout: float) -> str:
        advice = "" if self.run is None else f"; to go on from the last checkpoint: cardigan resume {self.run}"
        noticed = f"noticed within engine.timeout, {timeout:g} s"
        if not silent:
            return f"the {self.count} processes lost touch with each other, though all are there ({noticed}){advice}"
        who = ", ".join(map(str, silent))
        verb = "es {} of {} have ended, hang" if len(silent) > 1 else " {} of {} has ended, hangs"
        return f"process{verb.format(who, self.count)} or cannot be reached ({noticed}){advice}"


def _common_store(hosts: bool) -> dist.Store:
    """The store through which the process group was made; `hosts`: it lives in this process."""
    return dist.TCPStore(
        os.environ["MASTER_ADDR"],
        int(os.environ["MASTER_PORT"]),
        is_master=hosts,
        wait_for_workers=False,
        timeout=timedelta(seconds=ANSWER),
        multi_tenant=True,
    )


def _knock() -> None:
    """Raise OSError where nobody is at the store any more: the store itself would say so at length."""
    socket.create_connection((os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])), ANSWER).close()


def _break_up() -> None:
    """Leave the process group, so that whoever waits for this process notices; NCCL may wait itself: only a moment."""

    def leave() -> None:
        with suppress(RuntimeError, ValueError, AssertionError):
            dist.destroy_process_group()

    if dist.is_initialized():
        leaving = threading.Thread(target=leave, daemon=True)
        leaving.start()
        leaving.join(FAREWELL)


@contextmanager
def together(fabric: Fabric, timeout: float) -> Iterator[Peers]:
    """Where one process of a run is gone, the others end too, and one of them says which it was.

    Args:
        timeout: seconds that any of them waits for the others.

    Raises:
        CardiganError: another process is gone; in the others SystemExit with code 2, without a word.
    """
    peers = Peers(fabric)
    try:
        yield peers
    except Exception as error:
        if peers.count == 1:
            raise
        if not _lost(error):
            peers.leave()
            raise
        line = peers.line(timeout)
        if line is None:
            raise SystemExit(2) from error
        raise CardiganError(line) from error


def _lost(error: Exception) -> bool:
    """Whether `error` says that another process was not to be reached."""
    if not isinstance(error, RuntimeError):
        return False
    return isinstance(error, dist.DistError) or "gloo" in str(error) or "NCCL" in str(error)
