"""Checkpoints: safetensors and JSON in a folder that appears whole or not at all.

    checkpoints/000200000/
        players.safetensors  average.safetensors  optimizers.safetensors  random.safetensors  recent.safetensors
        slow.safetensors                    weights that training.lookahead goes back to, where it does
        state.json                          clock, counters, the game's state; sha256 of the other files; written last

A checkpoint is written to a temporary name, synchronised to disk, then renamed. safetensors notices a truncated file
but not a flipped bit, hence the hashes; state.json holds its own as well. Nothing in it is code, and loading it
executes none.
"""

import hashlib
import json
import os
import random
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from cardigan.errors import CardiganError
from cardigan.parts import part_like, spread, whole
from cardigan.training.loop import Loop

STATE = "state.json"
TYPES: dict[str, type | tuple[type, ...]] = {
    "clock": int,
    "rounds": int,
    "counts": dict,
    "optimizers": dict,
    "precision": dict,
    "random": dict,
    "game": dict,
    "minutes": (int, float),
}
"""What is in state.json beside the hashes."""
KEEP_LAST = 3


class DamagedCheckpointError(CardiganError):
    """A checkpoint that is truncated or altered; the message names the file."""


def save_checkpoint(loop: Loop, folder: Path, **extra: Any) -> Path:
    """Write the whole state of `loop` as a checkpoint under `folder`; `extra` JSON values go into state.json.

    Raises:
        CardiganError: no space left or no right to write; what was there before is untouched.
    """
    return save_captured(folder, *capture(loop), **extra)


def save_captured(
    folder: Path, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any], **extra: Any
) -> Path:
    """The same of what `capture` has given."""
    return write_folder(folder / name_of(state["clock"]), tensors, {**state, **extra})


@torch.no_grad()
def set_aside(tensors: Mapping[str, Mapping[str, Tensor]]) -> dict[str, dict[str, Tensor]]:
    """Contiguous copies in main memory of what `capture` has given: training may go on while they are written."""
    return {
        name: {key: torch.empty(value.shape, dtype=value.dtype).copy_(value) for key, value in group.items()}
        for name, group in tensors.items()
    }


def capture(loop: Loop) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """The state of `loop` as tensors by file and name, and JSON values.

    Sharded tensors are put together, one after another: a collective call then, after which the first process has them
    in its main memory, and the others have nothing.
    """
    moments, numbers = _optimizer_state(loop)
    game_state = loop.game.state_dict()
    game_tensors = {name: value for name, value in game_state.items() if isinstance(value, Tensor)}
    random_tensors, random_numbers = _random_state()
    tensors = {
        "players": _named_state(loop.game.players),
        "average": _named_state(loop.average.players),
        "slow": {} if loop.lookahead is None else loop.lookahead.state_dict(),
        "optimizers": moments,
        "random": random_tensors,
        "game": game_tensors,
        "recent": {name: torch.stack(list(values)) for name, values in loop.meter.recent.items()},
    }
    state = {
        "clock": loop.clock,
        "rounds": loop.rounds,
        "counts": dict(loop.counts),
        "optimizers": numbers,
        "precision": loop.precision.state_dict(),
        "random": random_numbers,
        "game": {name: value for name, value in game_state.items() if name not in game_tensors},
    }
    keeps = loop.fabric.is_global_zero
    return {name: _together(group, keeps) for name, group in tensors.items() if group}, state


def load_checkpoint(loop: Loop, path: Path) -> dict[str, Any]:
    """Put the state saved at `path` into `loop`; returns what state.json says.

    Raises:
        DamagedCheckpointError: a file is missing, truncated or altered.
    """
    state = verify(path)
    tensors = {name: read_tensors(path, name) for name in state["files"]}
    try:
        _load_named(loop.game.players, tensors["players.safetensors"], path)
        _load_named(loop.average.players, tensors.get("average.safetensors", {}), path)
        if loop.lookahead is not None:
            loop.lookahead.load_state_dict(tensors["slow.safetensors"])
        _load_optimizers(loop, tensors.get("optimizers.safetensors", {}), state["optimizers"])
        loop.precision.load_state_dict(state["precision"])
        loop.game.load_state_dict({**state["game"], **tensors.get("game.safetensors", {})})
        for name, series in tensors.get("recent.safetensors", {}).items():
            loop.meter.recent[name].extend(series.to(loop.fabric.device).unbind())
        loop.clock, loop.rounds, loop.counts = state["clock"], state["rounds"], Counter(state["counts"])
        _restore_random(tensors["random.safetensors"], state["random"])
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise DamagedCheckpointError(f"{path}: it does not hold what this recipe needs: {error!r}") from error
    return state


def load_modules(modules: Mapping[str, nn.Module], path: Path, group: str) -> None:
    """Put the weights in `group` ("players", "average") of the checkpoint at `path` into `modules`, by player.

    Raises:
        DamagedCheckpointError: a file is missing, truncated or altered.
    """
    verify(path)
    _load_named(modules, read_tensors(path, f"{group}.safetensors"), path)


def name_of(clock: int) -> str:
    """Folder name of the checkpoint at `clock`; names sort like the clock."""
    return f"{clock:09d}"


def clocks(folder: Path) -> list[int]:
    """Clocks of the checkpoints under `folder`, oldest first; unfinished ones do not count."""
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal() and path.is_dir())


def verify(path: Path) -> dict[str, Any]:
    """What state.json at `path` says, when every file has the hash written there.

    Raises:
        DamagedCheckpointError: a file is missing, truncated or altered.
    """
    try:
        state = json.loads((path / STATE).read_text("utf-8"))
        files, seal = dict(state["files"]), state.pop("sha256", None)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise DamagedCheckpointError(f"{path / STATE} is missing or damaged") from None
    if seal is not None and seal != _seal(state):  # checkpoints of the first days have none
        raise DamagedCheckpointError(f"{path / STATE} is damaged: its sha256 is not the one written in it")
    for name, kind in TYPES.items():
        if name in state and not isinstance(state[name], kind):
            raise DamagedCheckpointError(f"{path / STATE} is damaged: its {name} is {str(state[name])[:40]!r}")
    for name, digest in files.items():
        if Path(name).name != name or not (path / name).is_file():
            raise DamagedCheckpointError(f"{path / name} is missing")
        if _sha256(path / name) != digest:
            raise DamagedCheckpointError(f"{path / name} is damaged: its sha256 is not the one written in {STATE}")
    return dict(state)


def read_tensors(path: Path, name: str) -> dict[str, Tensor]:
    """The tensors in the file `name` of the checkpoint at `path`.

    Raises:
        DamagedCheckpointError: it is not a safetensors file (such as a pickle under another name).
    """
    try:
        return load_file(path / name)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise DamagedCheckpointError(f"{path / name} is not a sound safetensors file: {error}") from None


def write_folder(target: Path, tensors: Mapping[str, Mapping[str, Tensor]], state: Mapping[str, Any]) -> Path:
    """Write tensors by file and JSON `state` as the folder `target`, whole or not at all.

    Raises:
        CardiganError: no space left, or no right to write.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir(parents=True)
        for name, group in tensors.items():
            save_file({key: value.contiguous() for key, value in group.items()}, temporary / f"{name}.safetensors")
        hashes = {path.name: _sha256(path) for path in sorted(temporary.iterdir())}
        content = json.loads(json.dumps({**state, "files": hashes}))
        (temporary / STATE).write_text(json.dumps({**content, "sha256": _seal(content)}, indent=1), "utf-8")
        for path in (*temporary.iterdir(), temporary):
            _synchronise(path)
        if target.exists():
            target.rename(temporary.with_suffix(".old"))
        temporary.rename(target)
        _synchronise(target.parent)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise CardiganError(f"{target}: the checkpoint could not be written: {reason}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(temporary.with_suffix(".old"), ignore_errors=True)
    return target


def kept(all_clocks: Iterable[int], best: int | None = None) -> set[int]:
    """Which of `all_clocks` stay: the last three, the best, and the first in each doubling of the clock."""
    ordered = sorted(all_clocks)
    history: dict[int, int] = {}
    for clock in ordered:
        history.setdefault(clock.bit_length(), clock)
    return {*ordered[-KEEP_LAST:], *history.values()} | ({best} if best in ordered else set())


def prune(folder: Path, best: int | None = None) -> None:
    """Remove the checkpoints that are not to be kept, and what a killed process left half-written."""
    staying = kept(clocks(folder), best)
    for clock in clocks(folder):
        if clock not in staying:
            shutil.rmtree(folder / name_of(clock), ignore_errors=True)
    for leftover in (*folder.glob(".*.tmp"), *folder.glob(".*.old")):
        shutil.rmtree(leftover, ignore_errors=True)


def _named_state(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    return {f"{name}.{key}": value for name, module in modules.items() for key, value in module.state_dict().items()}


def _together(tensors: Mapping[str, Tensor], keeps: bool) -> dict[str, Tensor]:
    """`tensors` by name, the sharded ones as whole ones in main memory, unless this process does not keep them."""
    found = dict[str, Tensor]()
    for name, value in tensors.items():
        if spread(value):
            gathered = whole(value)
            value = gathered.cpu() if keeps else gathered.new_empty(0)
        found[name] = value
    return found


def _load_named(modules: Mapping[str, nn.Module], tensors: Mapping[str, Tensor], path: Path) -> None:
    for name, module in modules.items():
        mine = {key.removeprefix(f"{name}."): value for key, value in tensors.items() if key.startswith(f"{name}.")}
        held = module.state_dict()
        parts = {key: part_like(held[key], value) if key in held else value for key, value in mine.items()}
        try:
            module.load_state_dict(parts)
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:200]
            raise DamagedCheckpointError(f"{path}: its weights do not fit the recipe's networks: {reason}") from None


def _optimizer_state(loop: Loop) -> tuple[dict[str, Tensor], dict[str, Any]]:
    moments: dict[str, Tensor] = {}
    numbers: dict[str, Any] = {}
    for player, optimizer in loop.optimizers.items():
        for index, parameter in enumerate(loop.parameters[player]):
            for name, value in optimizer.state.get(parameter, {}).items():
                key = f"{player}.{index}.{name}"
                (moments if isinstance(value, Tensor) else numbers)[key] = value
    return moments, numbers


def _load_optimizers(loop: Loop, moments: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
    for optimizer in loop.optimizers.values():
        optimizer.state.clear()
    for key, value in {**moments, **numbers}.items():
        player, index, name = key.split(".", 2)
        parameter, optimizer = loop.parameters[player][int(index)], loop.optimizers[player]
        fused = bool(optimizer.param_groups[0].get("fused"))
        optimizer.state[parameter][name] = _like(parameter, value, fused) if isinstance(value, Tensor) else value


def _like(parameter: Tensor, saved: Tensor, fused: bool) -> Tensor:
    """`saved` with the strides of `parameter`: fused steps on differing strides are silently wrong.

    The count of steps, a scalar, lies where the step is computed: beside the weights if it is fused, else on the CPU.
    """
    if saved.shape == parameter.shape and saved.dim():
        if spread(parameter):
            return part_like(parameter, saved)
        return torch.empty_like(parameter, dtype=saved.dtype, requires_grad=False).copy_(saved)
    return saved.to(parameter.device) if saved.dim() or fused else saved.clone()


def _random_state() -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Global generators: the loop draws from none of them, but a network of the user's own may."""
    tensors = {"torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors["cuda"] = torch.cuda.get_rng_state()
    name, keys, *rest = np.random.get_state(legacy=True)
    return tensors, {"python": random.getstate(), "numpy": [name, [int(key) for key in keys], *rest]}


def _restore_random(tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
    torch.set_rng_state(tensors["torch"])
    if "cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["cuda"])
    version, internal, following = numbers["python"]
    random.setstate((version, tuple(internal), following))
    name, keys, *rest = numbers["numpy"]
    np.random.set_state((name, np.array(keys, np.uint32), *rest))


def _seal(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _synchronise(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
