"""The command line: what is imported, what is said, which exit codes."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import cardigan
from cardigan.cli import main
from cardigan.recipe import build, load_recipe
from cardigan.recipes import shipped
from cardigan.recipes.yaml import parse_yaml

SMALL = [
    "engine={device: cpu, precision: fp32, memory_format: contiguous, matmul: highest, threads: 1}",
    "game.networks.generator.width=8",
    "game.networks.discriminator.width=8",
    "training.batch=16",
    "training.samples=64",
    "records.grid=4",
]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    assert isinstance(stopped.value.code, int)
    return stopped.value.code


def test_alone_it_shows_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    printed = capsys.readouterr()
    assert printed.err == "" and len(printed.out.splitlines()) > 10 and "evaluate" in printed.out


def test_a_colour_is_no_comment() -> None:
    assert load_recipe("digits", ["data.background=#ff8800"]).data.background == "#ff8800"  # type: ignore[attr-defined]
    assert load_recipe("digits", ["about=a[b"]).about == "a[b"


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["recipes"], ["runs"], ["--version"]])
def test_heavy_packages_are_imported_only_where_they_are_used(arguments: list[str]) -> None:
    heavy = ("torch", "numpy", "matplotlib", "lightning_fabric", "sklearn", "PIL")
    script = (
        "import sys\nfrom cardigan.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "[]", done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize(
    ("arguments", "needle"),
    [
        (["trian"], "'train'"),
        (["train"], "RECIPE"),
        (["runs", "--bogus"], "--bogus"),
        (["train", "mnist-hing"], "did you mean 'mnist-hinge'?"),
        (["train", "./photos"], "cardigan train auto --data ./photos"),
        (["train", "digits", "training.sampels=3"], "did you mean 'samples'?"),
        (["train", "digits", "engine.device=gpu"], "engine.device"),
        (["train", "digits", "data.classes=[cat,", "dog]"], "quote it for the shell: 'data.classes=...'"),
        (["train", "digits", "engine={precision: fp16, fused: true}"], "allowed with fp16: auto, false"),
        (["recipes", "--explain"], "needs the name of a recipe"),
        (["evaluate", "digits", "training.samples=200k"], "allowed: data.*"),
        (["evaluate", "digits", "data.classes=[cat,", "dog]"], "quote it for the shell: 'data.classes=...'"),
        (["evaluate", "digits", "fd"], "'fd' is no override"),
        (["translate", "nothing"], "nothing is no run"),
        (["translate", "nothing", "a.png"], "nothing is no run"),
        (["train", "inpainting", "--data", "digits", "game.generator.famly=unet"], "did you mean 'family'?"),
        (["train", "denoising", "data.degradations=[{kind: downscale, factor: 5}]"], "allowed: 2, 3, 4, 8"),
        (["train", "sketch-to-colour", "--data", "digits"], "data.outputs: digits has no class 'colour'"),
        (["train", "pictures"], "--data"),
        (["train", "pictures", "--data", "nowhere"], "nowhere"),
        (["train", "digits", "training.batch=3", "training.accumulate=2"], "accumulate (2) must divide batch (3)"),
        (["train", "toy-ring", "game.labels=projection", "data.modes=1"], "game.labels"),
        (["train", "digits", "training.rates={generater: 1}"], "did you mean 'generator'?"),
        (["train", "digits", "--out", "photos"], "never overwritten"),
        (["recipes", "nothing"], "unknown recipe 'nothing'"),
        (["resume", "nothing"], "nothing is no run"),
        (["generate", "last"], "there is no run"),
        (["generate", "last", "-n", "0"], "-n"),
        (["resume", "last", "--at", "soon"], "--at"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: list[str], needle: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "note.txt").write_text("not a picture")
    assert run(*arguments) == 2
    said = capsys.readouterr()
    assert said.err.startswith("error: ") and said.err.count("\n") == 1
    assert needle in said.err
    assert not (tmp_path / "runs").exists(), "something was left half-written"


@pytest.mark.parametrize("name", sorted(shipped()))
def test_a_recipe_is_printed_in_full(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("recipes", name) == 0
    assert build(parse_yaml(capsys.readouterr().out, "printed")) == load_recipe(name)


def test_recipes_lists_every_one_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("recipes") == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["auto", *sorted(shipped())]


def test_train_resume_generate_runs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run("train", "digits", *SMALL) == 0
    out = capsys.readouterr().out
    for needle in ("runs/digits-0001", "samples/000000064.png", "curves.png", "cardigan generate runs/digits-0001"):
        assert needle in out
    assert run("train", "digits", *SMALL) == 0
    assert (tmp_path / "runs" / "digits-0002" / "recipe.yaml").is_file()
    assert run("resume", "digits-0001", "training.samples=128") == 0
    assert cardigan.open_run("last").name == "digits-0001"
    capsys.readouterr()
    assert run("runs") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert "digits-0001" in first and "128 samples" in first and "finished" in first
    assert "digits-0002" in second and "generator/adversarial" in second

    assert run("generate", "last", "-n", "6", "--out", "grid.png") == 0
    with Image.open("grid.png") as picture:
        assert picture.width > 3 * 8
    assert run("generate", "last", "-n", "3", "--out", "each") == 0
    assert sorted(path.name for path in Path("each").iterdir()) == ["00000.png", "00001.png", "00002.png"]
    with Image.open("each/00000.png") as picture:
        assert picture.size == (16, 16)
    assert run("generate", "last", "--seed", "5") == 0
    assert Path("runs/digits-0001/generated/seed-5.png").is_file()
    assert run("generate", "last", "-n", "12", "--interpolate", "--out", "walk.gif") == 0
    with Image.open("walk.gif") as picture:
        assert picture.n_frames == 12  # type: ignore[attr-defined]
    capsys.readouterr()
    for wrong in (["--label", "3"], ["--truncation", "2"], ["--out", "grid.xyz"], ["--at", "7"]):
        assert run("generate", "last", *wrong) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and error.count("\n") == 1


def test_networks_of_ones_own_are_used_when_their_module_is_trusted(capsys: pytest.CaptureFixture[str]) -> None:
    Path("my_networks.py").write_text(
        "from typing import Literal\nfrom cardigan.networks.mlp import MLP\n\n\n"
        "class Mine(MLP):\n    family: Literal['my_networks:Mine'] = 'my_networks:Mine'\n"
    )
    mine = ["game.networks={family: 'my_networks:Mine', width: 8}", "game.penalties={r1: null, r2: null}"]
    options = [option for option in SMALL if "networks" not in option]
    assert run("train", "digits", *options, *mine) == 2
    assert "--trust my_networks" in capsys.readouterr().err
    assert run("train", "digits", *options, *mine, "--trust", "my_networks") == 0
    capsys.readouterr()
    assert run("generate", "last") == 2
    assert "--trust my_networks" in capsys.readouterr().err
    assert run("generate", "last", "--trust", "my_networks") == 0


def test_a_label_is_obeyed_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("train", "digits", *SMALL, "game.labels=projection") == 0
    assert run("generate", "last", "--label", "7", "--out", "seven.png") == 0
    capsys.readouterr()
    assert run("generate", "last", "--label", "eleven") == 2
    assert "unknown label 'eleven'" in capsys.readouterr().err
