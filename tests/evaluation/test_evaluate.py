"""Runs and folders judged from end to end, on the embedded digits."""

import json
from functools import partial
from pathlib import Path

import pytest
import torch

from cardigan import CardiganError, load, train
from cardigan.cli import main
from cardigan.data.pictures import Pictures
from cardigan.evaluation.baseline import independent_pixels
from cardigan.evaluation.compare import compare
from cardigan.evaluation.evaluate import evaluate, suffix_of
from cardigan.evaluation.paths import measured_paths
from cardigan.evaluation.protocol import Score
from cardigan.evaluation.usefulness import augmentation_study, classification_accuracy_score
from cardigan.extractors import local
from cardigan.extractors.raw import Raw
from cardigan.generate import write_samples
from cardigan.networks.base import Generator, Latent
from cardigan.run import Run
from cardigan.sample import Form

SMALL = [
    "engine={device: cpu, precision: fp32, memory_format: contiguous, matmul: highest, threads: 1}",
    "game.networks.generator.width=16",
    "game.networks.discriminator.width=16",
    "training.batch=32",
    "training.samples=3200",
    "data.size=8",
    "records.grid=4",
    "records.checkpoint=1600",
]
QUICK = ["fd", "kd", "prdc", "classes", "swd", "spectrum", "duplicates", "memorisation", "is", "intra"]


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "MOST", 6_000)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train("digits", SMALL, out=tmp_path_factory.mktemp("runs") / "small")


def by_key(scores: tuple[Score, ...]) -> dict[str, Score]:
    return {score.protocol.metric: score for score in scores}


def test_a_run_is_judged_with_everything_that_determines_it(run: Run) -> None:
    found, page = evaluate(str(run.folder), metrics=QUICK, samples=300)
    scores = by_key(found.scores)
    assert page == run.folder / "report.html"
    assert {"fd", "kd", "precision", "recall", "density", "coverage", "class-kl", "swd", "memorisation"} <= set(scores)
    fd = scores["fd"]
    assert fd.name == "local-FD"  # never FID
    assert fd.low is not None
    assert fd.high is not None
    assert fd.floor is not None
    assert fd.ceiling is not None
    assert fd.low < fd.value < fd.high
    assert fd.floor < fd.value < fd.ceiling * 3
    protocol = fd.protocol
    assert (protocol.split, protocol.generated_count, protocol.weights, protocol.checkpoint) == (
        "test",
        300,
        "average",
        3200,
    )
    assert protocol.reference_count == len(Pictures(source="digits", size=8).load("test"))
    assert 0 < protocol.extractor_facts["accuracy"] <= 1
    assert protocol.extractor_hash
    assert protocol.libraries["torch"] == torch.__version__
    assert scores["swd"].protocol.extractor == "none"
    assert len(found.classes) == 10
    assert abs(sum(each.generated for each in found.classes) - 1) < 1e-9
    saved = json.loads((run.folder / "evaluation.json").read_text())
    assert [each["value"] for each in saved["scores"]] == [score.value for score in found.scores]
    assert "local-FD" in (run.folder / "report.html").read_text()


def test_equal_seeds_give_equal_scores_and_others_do_not(run: Run, tmp_path: Path) -> None:
    values = [
        evaluate(str(run.folder), metrics=["fd"], samples=200, seed=seed, out=tmp_path)[0].scores[0].value
        for seed in (1, 1, 2)
    ]
    assert values[0] == values[1] != values[2]


def test_a_folder_of_its_samples_gets_the_same_scores(run: Run, tmp_path: Path) -> None:
    """Pictures are judged as their files hold them: what another program would have written is judged alike."""
    from cardigan.randomness import derive_seed

    model = load(run)
    samples = model.generate(200, seed=derive_seed("evaluate", 0))
    write_samples(model, samples, tmp_path / "pictures")
    mine, _ = evaluate(str(run.folder), metrics=["fd", "swd"], samples=200, out=tmp_path / "a")
    theirs, _ = evaluate(
        str(tmp_path / "pictures"), against="digits", metrics=["fd", "swd"], samples=200, out=tmp_path / "b"
    )
    one, other = by_key(mine.scores), by_key(theirs.scores)
    assert one["fd"].value == pytest.approx(other["fd"].value, rel=1e-4)
    assert one["swd"].value == pytest.approx(other["swd"].value, rel=0.3)  # the order differs, and so do the patches
    assert other["fd"].protocol.weights is None
    compared, _ = compare([str(tmp_path / "a"), str(tmp_path / "b")], out=tmp_path / "compared")
    assert {table.metric for table in compared.tables} == {"fd", "swd"}


def test_what_was_measured_differently_is_not_compared(run: Run, tmp_path: Path) -> None:
    evaluate(str(run.folder), metrics=["fd"], samples=200, out=tmp_path / "a")
    evaluate(str(run.folder), metrics=["fd"], samples=250, out=tmp_path / "b")
    evaluate(str(run.folder), metrics=["fd"], samples=200, against="train", out=tmp_path / "c")
    with pytest.raises(CardiganError, match="generated_count is 200 in a and 250 in b"):
        compare([str(tmp_path / "a"), str(tmp_path / "b")], out=tmp_path)
    with pytest.raises(CardiganError, match="split is 'test' in a and 'train' in c"):
        compare([str(tmp_path / "a"), str(tmp_path / "c")], out=tmp_path)
    compared, _ = compare([str(tmp_path / "a"), str(tmp_path / "b")], force=True, out=tmp_path)
    assert len(compared.tables) == 2


def test_points_are_judged_by_themselves(tmp_path: Path) -> None:
    run = train("toy-ring", ["training.samples=2000", *SMALL[:1]], out=tmp_path / "ring")
    found, _ = evaluate(str(run.folder), samples=500)
    scores = by_key(found.scores)
    assert scores["fd"].name == "raw-FD"
    assert scores["recall"].floor is not None
    assert scores["recall"].floor > 0.8
    assert any("no pictures" in remark for remark in found.remarks)


@pytest.mark.slow
def test_path_length_and_usefulness_of_a_conditional_generator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cardigan.evaluation.paths.PATHS", 100)
    short = partial(augmentation_study, steps=20, seeds=(0, 1))
    monkeypatch.setattr("cardigan.evaluation.evaluate.augmentation_study", short)
    short = partial(classification_accuracy_score, steps=60)
    monkeypatch.setattr("cardigan.evaluation.evaluate.classification_accuracy_score", short)
    run = train("digits", [*SMALL, "game.labels=projection"], out=tmp_path / "labelled")
    found, _ = evaluate(str(run.folder), metrics=["ppl", "cas", "augmentation", "classes"], samples=200)
    scores = by_key(found.scores)
    assert scores["ppl"].value > 0
    assert scores["cas"].floor is not None
    assert scores["cas"].floor > scores["cas"].value  # 100 rounds of training make no digits
    assert {"augmentation-10", "augmentation-50", "augmentation-all"} <= set(scores)
    assert -0.5 < scores["augmentation-all"].value < 0.5
    assert all(each.asked is not None for each in found.classes)


def test_the_trivial_generator_has_the_right_pixels_and_no_structure() -> None:
    real = Pictures(source="digits", size=8).load("train").take(torch.arange(800)).sample
    made = torch.cat(list(independent_pixels(real, 800, 0)))
    assert made.shape == real.shape
    assert torch.isin(made, real.unique()).all()
    assert (made.mean(0) - real.mean(0)).abs().max() < 0.15
    there, here = (torch.corrcoef(each.flatten(1).T).nan_to_num(0.0) for each in (real, made))
    away = ~torch.eye(64, dtype=torch.bool)
    assert float(here[away].abs().mean()) < 0.3 * float(there[away].abs().mean())


def test_a_score_that_cannot_tell_says_so(tmp_path: Path) -> None:
    """Independent coordinates of a ring have its moments: its Fréchet distance is as small as that of real ones."""
    run = train("toy-ring", ["training.samples=1000", *SMALL[:1]], out=tmp_path / "ring")
    found, _ = evaluate(str(run.folder), metrics=["fd"], samples=500)
    assert "does not tell a trivial generator from real data" in found.summary[0]
    assert "beyond" not in found.summary[0]


@pytest.mark.parametrize("classes", [3, 8])
def test_a_path_stays_within_one_class(classes: int) -> None:
    """A generator that makes another constant of every class has paths of no length."""

    class Constant(Generator):
        def synthesize(self, mapped: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
            assert labels is not None
            return torch.nn.functional.one_hot(labels, 8).float() + 0 * mapped[:, :8]

    class Stub:
        generator = Constant(Form((8,), classes), Latent())
        form, conditional, device = Form((8,), classes), True, torch.device("cpu")

        def make(self, latents: torch.Tensor, labels: torch.Tensor, truncation: float) -> torch.Tensor:
            return self.generator.synthesize(self.generator.map(latents, labels), labels)

    assert measured_paths(Stub(), Raw(Form((8,))), 1.0, 0).value == 0  # type: ignore[arg-type]


def test_intervals_lie_where_values_can(run: Run) -> None:
    found, _ = evaluate(str(run.folder), metrics=["fd", "prdc", "classes", "duplicates", "intra"], samples=200)
    for score in found.scores:
        if score.protocol.metric in ("precision", "recall", "coverage", "class-coverage", "duplicates"):
            assert score.low is not None
            assert score.high is not None
            assert 0 <= score.low <= score.value <= score.high <= 1


def test_data_that_the_run_was_not_trained_on_are_refused(run: Run) -> None:
    for override in ("data.test=0.5", "data.storage=stream", "data.size=12"):
        with pytest.raises(CardiganError, match="does not give the train split"):
            evaluate(str(run.folder), overrides=[override], metrics=["fd"], samples=100)


def test_what_of_a_folder_is_not_judged_is_said(run: Run, tmp_path: Path) -> None:
    write_samples(load(run), load(run).generate(60), tmp_path / "pictures")
    for index in range(2):
        (tmp_path / "pictures" / f"broken-{index}.png").write_bytes(b"no picture")
    found, _ = evaluate(str(tmp_path / "pictures"), against="digits", metrics=["fd"], out=tmp_path / "out")
    assert any("2 of 62" in remark for remark in found.remarks), found.remarks
    assert found.scores[0].protocol.generated_count == 60


def test_pictures_of_several_sizes_are_brought_to_one_on_request(tmp_path: Path) -> None:
    from PIL import Image

    for index in range(30):
        side = 8 + index % 3
        pixels = torch.randint(256, (side, side), generator=torch.Generator().manual_seed(index)).byte().numpy()
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    with pytest.raises(CardiganError, match=r"data\.size"):
        evaluate(str(tmp_path), against="digits", metrics=["fd"], out=tmp_path / "out")
    found, _ = evaluate(
        str(tmp_path), against="digits", overrides=["data.size=8"], metrics=["fd"], out=tmp_path / "out"
    )
    assert found.scores[0].protocol.generated_count == 30


def test_overrides_choose_among_real_pictures_not_among_those_judged(run: Run, tmp_path: Path) -> None:
    write_samples(load(run), load(run).generate(60), tmp_path / "pictures")
    overrides = ["data.classes=['3', '5']", "data.flip=true"]
    folder = str(tmp_path / "pictures")
    found, _ = evaluate(folder, against="digits", overrides=overrides, metrics=["fd", "kd"], out=tmp_path / "out")
    assert {score.protocol.generated_count for score in found.scores} == {60}


def test_few_real_pictures_are_judged_by_what_can_be_measured(run: Run, tmp_path: Path) -> None:
    write_samples(load(run), load(run).generate(45), tmp_path / "real")
    write_samples(load(run), load(run).generate(20, seed=1), tmp_path / "made")
    found, page = evaluate(str(tmp_path / "made"), against=str(tmp_path / "real"), out=tmp_path / "out")
    assert page.is_file() and "fd" in by_key(found.scores)
    assert any("too few" in remark for remark in found.remarks)


def test_complete_collapse_can_be_judged(run: Run, tmp_path: Path) -> None:
    one = load(run).generate(1)
    write_samples(load(run), one.expand(60, -1, -1, -1), tmp_path / "same")
    found, _ = evaluate(str(tmp_path / "same"), against="digits", metrics=["fd", "duplicates"], out=tmp_path / "out")
    assert by_key(found.scores)["duplicates"].value == 1


@pytest.mark.parametrize(
    ("arguments", "needle"),
    [
        (["evaluate", "nothing"], "is no run"),
        (["evaluate", "RUN", "--metrics", "fd,prcd"], "did you mean 'prdc'"),
        (["evaluate", "RUN", "--extractor", "vgg"], "--extractor: unknown 'vgg'"),
        (["evaluate", "RUN", "--extractor", "mine.onnx"], "mine.onnx"),
        (["evaluate", "RUN", "--checkpoint", "newest"], "allowed: best, last"),
        (["evaluate", "RUN", "--checkpoint", "17"], "has no checkpoint at 17"),
        (["evaluate", "RUN", "--truncation", "2"], "between 0 and 1"),
        (["evaluate", "RUN/samples"], "--against SOURCE"),
        (["evaluate", "RUN", "--against", "digits"], "allowed: test, train"),
        (["evaluate", "RUN", "training.samples=200k"], "allowed: data.*"),
        (["evaluate", "RUN/samples", "--against", "digits", "--truncation", "0.5"], "they are of a run"),
        (["evaluate", "RUN", "--out", "RUN/recipe.yaml"], "is no folder"),
        (["evaluate", "RUN/nothing", "--against", "digits"], "no such name, file or folder"),
        (["compare", "RUN"], "at least two"),
        (["audit", "RUN", "--attribute", "nowhere.csv"], "nowhere.csv is no file"),
    ],
)
def test_mistakes_are_answered_in_one_line(
    run: Run, arguments: list[str], needle: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    if arguments[0] == "compare":
        evaluate(str(run.folder), metrics=["fd"], samples=100)
    with pytest.raises(SystemExit) as stopped:
        main([each.replace("RUN", str(run.folder)) for each in arguments])
    said = capsys.readouterr().err
    assert stopped.value.code == 2, said
    assert needle in said
    assert said.count("\n") == 1
    assert "Traceback" not in said


def test_a_run_by_its_name_is_no_folder_of_pictures(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runs").symlink_to(run.folder.parent)
    monkeypatch.chdir(tmp_path)
    for name in (run.name, "last"):
        with pytest.raises(CardiganError, match="is a run, judged against its own data"):
            evaluate(name, against="digits")


def test_other_pictures_have_a_name_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert suffix_of("forward", ".") == f"-{tmp_path.name}"
    assert suffix_of("backward", "set5") == "-backward-set5" and suffix_of("forward", None) == ""


def test_a_small_test_split_gives_no_floor_rather_than_no_report(run: Run, tmp_path: Path) -> None:
    write_samples(load(run), load(run).generate(45), tmp_path / "real")
    write_samples(load(run), load(run).generate(20, seed=1), tmp_path / "made")
    found, _ = evaluate(str(tmp_path / "made"), against=f"{tmp_path / 'real'}:train", out=tmp_path / "out")
    assert by_key(found.scores)["precision"].floor is None
