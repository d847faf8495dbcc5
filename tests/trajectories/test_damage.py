"""Damaged checkpoints, hostile files, full disks, two processes on one run: one clear line each, nothing lost."""

import errno
import hashlib
import json
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from runs import TINY, cardigan

from cardigan import CardiganError, load, open_run, resume, train
from cardigan.recipe import load_recipe
from cardigan.run import Run
from cardigan.training import checkpoint

BUDGET = ["training.samples=2560"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with checkpoints at 640, 1280, 1920 and 2560 samples."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    train("digits", [*TINY, *BUDGET], out=folder)
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Run:
    return Run(Path(shutil.copytree(finished, tmp_path / "run")))


def line(error: pytest.ExceptionInfo[CardiganError]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def newest(run: Run) -> Path:
    return run.checkpoint_folder / checkpoint.name_of(run.clocks()[-1])


def truncate(path: Path) -> None:
    file = path / "players.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def flip_a_bit(path: Path) -> None:
    file = path / "average.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def lose_a_file(path: Path) -> None:
    (path / "optimizers.safetensors").unlink()


def lose_the_state(path: Path) -> None:
    (path / "state.json").unlink()


def garble_the_state(path: Path) -> None:
    (path / "state.json").write_text('{"clock": 3')


def name_a_file_outside(path: Path) -> None:
    state = json.loads((path / "state.json").read_text())
    state["files"]["../../recipe.yaml"] = "0"
    (path / "state.json").write_text(json.dumps(state))


@pytest.mark.parametrize(
    "damage", [truncate, flip_a_bit, lose_a_file, lose_the_state, garble_the_state, name_a_file_outside]
)
def test_a_damaged_checkpoint_is_named_and_the_one_before_offered(damage: Any, run: Run) -> None:
    damage(newest(run))
    for use in (lambda: resume(run, ["training.samples=3200"]), lambda: load(run)):
        with pytest.raises(CardiganError) as error:
            use()
        assert "000002560" in line(error)
    with pytest.raises(CardiganError, match=r"the one before it: cardigan resume .* --at 1920"):
        resume(run)
    resume(run, at=1920)
    assert run.clocks()[-1] == 2560
    checkpoint.verify(newest(run))
    assert load(run).generate(2).shape == (2, 1, 16, 16)


def test_a_pickle_named_safetensors_is_refused_unread(run: Run, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "executed",))

    file = newest(run) / "average.safetensors"
    file.write_bytes(pickle.dumps(Trap()))
    state = json.loads((newest(run) / "state.json").read_text())
    state["files"][file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
    (newest(run) / "state.json").write_text(json.dumps(state))
    with pytest.raises(CardiganError, match="not a sound safetensors file"):
        load(run)
    with pytest.raises(CardiganError, match="not a sound safetensors file"):
        resume(run, ["training.samples=3200"])
    assert not (tmp_path / "executed").exists()


def test_weights_of_another_network_are_refused(run: Run) -> None:
    text = run.recipe_file.read_text()
    run.recipe_file.write_text(text.replace("width: 16", "width: 24"))
    with pytest.raises(CardiganError, match="do not fit"):
        load(Run(run.folder))


@pytest.mark.parametrize("name", ["os.system", "os:system"])
def test_a_run_whose_recipe_names_something_outside_is_refused(name: str, run: Run) -> None:
    run.recipe_file.write_text(run.recipe_file.read_text().replace("family: dcgan", f"family: {name}"))
    with pytest.raises(CardiganError, match=name):
        load(Run(run.folder))


def test_a_run_without_a_checkpoint_begins_at_zero_and_equals_a_fresh_one(run: Run, finished: Path) -> None:
    before = checkpoint.verify(newest(run))["files"]
    shutil.rmtree(run.checkpoint_folder)
    with pytest.raises(CardiganError, match="no checkpoint yet"):
        load(run)
    resume(run)
    assert checkpoint.verify(newest(run))["files"] == before


def test_a_finished_run_says_so(finished: Path) -> None:
    done = cardigan("resume", finished)
    assert done.returncode == 0 and "is finished" in done.stdout and not done.stderr


def test_what_may_not_change_is_refused_by_name(run: Run) -> None:
    with pytest.raises(CardiganError) as error:
        resume(run, ["training.optimizer.rate=1"])
    assert line(error).startswith("training.optimizer.rate may not change on resume; allowed: training.samples")
    resume(run, ["training.samples=2624", "records.scalars=64"])
    assert run.clocks()[-1] == 2624
    assert Run(run.folder).recipe.records.scalars == 64


def test_records_past_the_checkpoint_are_cut(run: Run) -> None:
    resume(run, at=1280)
    clocks = [row["samples"] for row in run.scalars()]
    assert clocks == sorted(set(clocks)) and clocks[-1] == 2560
    assert (run.checkpoint_folder / "put-aside" / "000001920").is_dir()


def test_other_data_are_refused(run: Run) -> None:
    environment = run.environment
    run.environment_file.write_text(json.dumps({**environment, "data": "something else"}))
    with pytest.raises(CardiganError, match="no longer the data"):
        resume(run, ["training.samples=3200"])


def test_a_second_process_on_one_run_is_refused(run: Run) -> None:
    with run.locked():
        assert run.is_held()
        second = cardigan("resume", run.folder, "training.samples=3200")
    assert second.returncode == 2
    assert "is being trained by process" in second.stderr and second.stderr.count("\n") == 1
    assert not run.is_held()


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def fail(*arguments: Any, **options: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", fail)
    return


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_is_one_line_and_loses_nothing(run: Run) -> None:
    before = {path.name: checkpoint.verify(path) for path in run.checkpoint_folder.iterdir()}
    with pytest.raises(CardiganError) as error:
        resume(run, ["training.samples=3840"])
    assert "No space left on device" in line(error)
    assert {path.name: checkpoint.verify(path) for path in run.checkpoint_folder.iterdir()} == before


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    failed = cardigan("train", "digits", "--out", tmp_path / "file" / "run", *TINY, *BUDGET)
    assert failed.returncode == 2
    assert "cannot be written" in failed.stderr and failed.stderr.count("\n") == 1


def test_numbers_that_are_not_finite_end_the_run_before_they_are_saved(tmp_path: Path) -> None:
    overrides = [*TINY, *BUDGET, "training.optimizer={kind: sgd, rate: 1e30}"]
    with pytest.raises(CardiganError, match="no longer a finite number at"):
        train("digits", overrides, out=tmp_path / "run")
    assert Run(tmp_path / "run").clocks() == []


def test_which_checkpoints_are_kept() -> None:
    every = range(100, 3300, 100)
    kept = checkpoint.kept(every)
    assert kept == {100, 200, 300, 600, 1100, 2100, 3000, 3100, 3200}
    assert checkpoint.kept(every, best=1700) == kept | {1700}


def test_an_unfinished_checkpoint_does_not_count(run: Run) -> None:
    (run.checkpoint_folder / ".000009999.1.tmp").mkdir()
    (run.checkpoint_folder / "notes").mkdir()
    assert run.clocks()[-1] == 2560
    checkpoint.prune(run.checkpoint_folder)
    assert not (run.checkpoint_folder / ".000009999.1.tmp").exists()


def test_a_recipe_in_a_run_survives_the_round_trip(run: Run) -> None:
    assert load_recipe(run.recipe) == run.recipe
    assert open_run(run.folder).recipe == run.recipe
