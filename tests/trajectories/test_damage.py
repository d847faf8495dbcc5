"""Damaged checkpoints, hostile files, full disks, two processes on one run: one clear line each, nothing lost."""

import errno
import hashlib
import json
import os
import pickle
import re
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from runs import TINY, cardigan

from cardigan import CardiganError, load, open_run, resume, train
from cardigan.cli import main
from cardigan.recipe import load_recipe
from cardigan.run import Run
from cardigan.training import checkpoint
from cardigan.training.loop import Loop
from cardigan.training.records import cut

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


def alter_the_state(path: Path) -> None:
    text = (path / "state.json").read_text()
    (path / "state.json").write_text(text.replace('"clock": 2560', '"clock": 2561'))


def forge(path: Path, **changes: Any) -> None:
    """Alter state.json as one who knows about its hash."""
    state = json.loads((path / "state.json").read_text())
    del state["sha256"]
    (path / "state.json").write_text(json.dumps({**state, **changes}))


def name_a_file_outside(path: Path) -> None:
    forge(path, files={"../../recipe.yaml": "0"})


def put_a_pickle(path: Path) -> None:
    file = path / "average.safetensors"
    file.write_bytes(pickle.dumps({"generator.weight": 1}))
    files = json.loads((path / "state.json").read_text())["files"]
    forge(path, files={**files, file.name: hashlib.sha256(file.read_bytes()).hexdigest()})


DAMAGES = [
    truncate,
    flip_a_bit,
    lose_a_file,
    lose_the_state,
    garble_the_state,
    alter_the_state,
    name_a_file_outside,
    put_a_pickle,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_named_and_the_one_before_offered(damage: Any, run: Run) -> None:
    damage(newest(run))
    for use in (lambda: resume(run, ["training.samples=3200"]), lambda: load(run)):
        with pytest.raises(CardiganError) as error:
            use()
        assert "000002560" in line(error)
        assert re.search(r"the one before it: cardigan (resume|generate) .* --at 1920", line(error))
    resume(run, at=1920)
    assert run.clocks()[-1] == 2560
    assert (run.checkpoint_folder / "put-aside" / "000002560").is_dir()
    checkpoint.verify(newest(run))
    assert load(run).generate(2).shape == (2, 1, 16, 16)


def test_a_pickle_named_safetensors_is_refused_unread(run: Run, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "executed",))

    put_a_pickle(newest(run))
    file = newest(run) / "average.safetensors"
    file.write_bytes(pickle.dumps(Trap()))
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in newest(run).glob("*.safetensors")}
    (newest(run) / "state.json").write_text(
        json.dumps({**json.loads((newest(run) / "state.json").read_text()), "files": files})
    )
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


FORGERIES: list[dict[str, Any]] = [
    *({key: "nonsense"} for key in checkpoint.TYPES),
    {"optimizers": {"nobody.0.step": 1}},
    {"optimizers": {"generator.999.step": 1}},
    {"game": {"unknown": 1}},
    {"random": {}},
    {"random": {"python": [3, [1], None], "numpy": ["MT19937", [1], 0, 0, 0.0]}},
    {"files": {}},
]


@pytest.mark.parametrize("forgery", FORGERIES, ids=str)
def test_a_forged_state_is_one_line(forgery: dict[str, Any], run: Run) -> None:
    forge(newest(run), **forgery)
    with pytest.raises(CardiganError, match=r"the one before it: cardigan resume .* --at 1920") as error:
        resume(run, ["training.samples=3200"])
    assert "000002560" in line(error)


def test_the_command_line_says_it_in_one_line(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    flip_a_bit(newest(run))
    for arguments in (["resume", str(run.folder)], ["generate", str(run.folder)]):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        errors = capsys.readouterr().err
        assert stop.value.code == 2
        assert "average.safetensors is damaged" in errors and errors.count("\n") == 1


def test_a_finished_run_says_so(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["resume", str(finished)])
    said = capsys.readouterr()
    assert stop.value.code == 0 and "is finished" in said.out.replace("\n", " ") and not said.err


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"engine": {"threads": "many"}, "environment": {}, "data": ""}'])
def test_a_damaged_environment_is_one_line(content: str, run: Run) -> None:
    run.environment_file.write_text(content)
    with pytest.raises(CardiganError, match=r"environment\.json is damaged") as error:
        resume(run, ["training.samples=3200"])
    line(error)


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


def test_what_is_not_ours_stays_where_it_is(run: Run) -> None:
    notes = [run.sample_folder / "9000 is best.png", run.checkpoint_folder / "notes.txt"]
    for path in notes:
        path.write_text("")
    grids = {path.name for path in run.sample_folder.glob("0*")}
    resume(run, at=1280)
    assert all(path.exists() for path in notes)
    assert {path.name for path in run.sample_folder.glob("0*")} == grids


def test_grids_past_the_checkpoint_are_removed(run: Run) -> None:
    cut(run, 700)
    assert [int(path.stem) for path in sorted(run.sample_folder.iterdir())] == [0, 320, 480]
    assert run.scalars()[-1]["samples"] == 640
    assert run.clocks() == [640]


def test_data_that_changed_are_refused(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for index in range(40):
        Image.new("L", (16, 16), 6 * index).save(photos / f"{index}.png")
    options = [*TINY, "data.size=16", "records.grid=1", "training.samples=64"]
    run = train("pictures", options, data=str(photos), out=tmp_path / "run")
    resume(run, ["training.samples=96"])
    for index in range(40):
        Image.new("L", (16, 16), 255 - index).save(photos / f"{index}.png")
    with pytest.raises(CardiganError, match="no longer the data"):
        resume(run, ["training.samples=128"])
    assert run.clocks()[-1] == 96


def test_a_forked_reader_does_not_keep_the_run(run: Run) -> None:
    """It inherits the open lock file; whoever lets go of the run must let go of it for all."""
    with run.locked():
        reader = os.fork()
        if reader == 0:
            time.sleep(30)
            os._exit(0)
    try:
        with run.locked():
            pass
    finally:
        os.kill(reader, signal.SIGKILL)
        os.waitpid(reader, 0)


def test_a_second_process_on_one_run_is_refused(run: Run) -> None:
    with run.locked():
        assert run.is_held()
        second = cardigan("resume", run.folder, "training.samples=3200")
    assert second.returncode == 2
    assert "is being trained by process" in second.stderr and second.stderr.count("\n") == 1
    assert not run.is_held()


@pytest.mark.parametrize("place", ["save_file", "_synchronise", "_seal"])
def test_a_full_disk_is_one_line_and_loses_nothing(place: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = {path.name: checkpoint.verify(path) for path in run.checkpoint_folder.iterdir()}
    seal = checkpoint._seal
    monkeypatch.setattr(
        checkpoint, place, fail if place != "_seal" else lambda state: fail() if state["clock"] > 2560 else seal(state)
    )
    with pytest.raises(CardiganError) as error:
        resume(run, ["training.samples=3840"])
    assert "No space left on device" in line(error)
    monkeypatch.undo()
    assert {path.name: checkpoint.verify(path) for path in run.checkpoint_folder.iterdir()} == before


def test_a_disk_that_fills_between_checkpoints_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name: checkpoint.verify(path) for path in run.checkpoint_folder.iterdir()}

    def fail(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("cardigan.data.picture_codec.PictureCodec.render", fail)
    with pytest.raises(CardiganError, match="No space left on device") as error:
        resume(run, ["training.samples=3840"])
    line(error)
    assert all(checkpoint.verify(run.checkpoint_folder / name) == state for name, state in before.items())


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as stop:
        main(["train", "digits", "--out", str(tmp_path / "file" / "run"), *TINY, *BUDGET])
    errors = capsys.readouterr().err
    assert stop.value.code == 2
    assert "cannot be written" in errors and errors.count("\n") == 1


def test_numbers_that_are_not_finite_end_the_run_before_they_are_saved(tmp_path: Path) -> None:
    overrides = [*TINY, *BUDGET, "training.optimizer={kind: sgd, rate: 1e30}"]
    with pytest.raises(CardiganError, match="no longer a finite number at"):
        train("digits", overrides, out=tmp_path / "run")
    assert Run(tmp_path / "run").clocks() == []


def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The step before a checkpoint may spoil the weights while every loss so far was finite."""
    play = Loop.round

    def spoil(loop: Loop) -> None:
        play(loop)
        if loop.clock == 1280:
            next(loop.game.players["generator"].parameters()).data.view(-1)[0] = float("nan")

    monkeypatch.setattr(Loop, "round", spoil)
    with pytest.raises(CardiganError, match="a weight of the generator is no longer a finite number at 1,280") as error:
        train("digits", [*TINY, *BUDGET], out=tmp_path / "run")
    assert "the checkpoint at 640 samples is kept" in line(error)
    assert Run(tmp_path / "run").clocks() == [640]


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


def test_what_a_killed_writer_left_is_in_nobodys_way(run: Run) -> None:
    """A process in a container has the same number every time."""
    left = run.checkpoint_folder / f".{checkpoint.name_of(3200)}.{os.getpid()}.tmp"
    left.mkdir()
    (left / "players.safetensors").write_bytes(b"half of it")
    resume(run, ["training.samples=3200"])
    assert run.clocks()[-1] == 3200 and not left.exists()


def test_a_recipe_in_a_run_survives_the_round_trip(run: Run) -> None:
    assert load_recipe(run.recipe) == run.recipe
    assert open_run(run.folder).recipe == run.recipe
