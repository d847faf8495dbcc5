"""Runs that make samples of sources, judged: picture by picture, beside baselines, in both directions."""

import json
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from cardigan import CardiganError, Run, load_recipe, train
from cardigan.data.base import Dataset
from cardigan.data.pair_codec import PairCodec
from cardigan.data.pairs import Pairs
from cardigan.evaluation import likeness
from cardigan.evaluation.compare import compare
from cardigan.evaluation.evaluate import evaluate
from cardigan.evaluation.likeness import Likeness, judge
from cardigan.evaluation.result import Evaluation
from cardigan.evaluation.terminal import lines

SHORT = [
    "training={samples: 64, batch: 16}",
    "records={scalars: 32, checkpoint: 64, first_grid: 64, grid: 4}",
    "engine={device: cpu, precision: fp32, memory_format: contiguous, matmul: highest, threads: 1}",
    "game.generator.width=4",
    "game.discriminator.width=4",
]
PAIRED = ["data={source: digits, size: 16, crop: null, test: 0.1}", "game.start=16", "game.terms.perceptual=0"]


def trained(recipe: str, folder: Path, *overrides: str) -> Run:
    return train(load_recipe(recipe, [*SHORT, *overrides]), out=folder / recipe)


def scores(found: Evaluation, rival: str = "") -> dict[str, float]:
    sides = {"": found.scores, **{each.name: each.scores for each in found.rivals}}
    return {score.protocol.metric: score.value for score in sides[rival]}


@pytest.fixture(scope="module")
def enlarging(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained("super-resolution-x2", tmp_path_factory.mktemp("runs"), *PAIRED)


@pytest.fixture(scope="module")
def judged(enlarging: Run) -> Evaluation:
    return evaluate(str(enlarging.folder), metrics=["fd", "pairs", "perceptual"], baselines=True)[0]


def test_scores_stand_beside_those_of_baselines(enlarging: Run, judged: Evaluation) -> None:
    assert [each.name for each in judged.rivals] == ["bicubic", "lanczos", "nearest"]
    wanted = {"fd", "psnr", "psnr-luma", "ssim", "edge-energy", "colourfulness", "perceptual"}
    assert set(scores(judged)) == wanted
    for rival in judged.rivals:
        assert set(scores(judged, rival.name)) == wanted
        assert scores(judged, rival.name)["psnr"] != scores(judged)["psnr"]
    assert scores(judged, "bicubic")["psnr"] > scores(judged, "nearest")["psnr"]
    assert scores(judged, "nearest")["edge-energy"] > scores(judged, "bicubic")["edge-energy"]
    count = len(enlarging.recipe.data.load("test"))
    assert {score.protocol.generated_count for score in judged.scores} == {count}
    text = "\n".join(lines(judged, enlarging.folder / "report.html"))
    assert "beside" in text and "lanczos" in text and text.endswith(f"report: {enlarging.folder / 'report.html'}")
    saved = json.loads((enlarging.folder / "evaluation.json").read_text())
    assert [each["name"] for each in saved["rivals"]] == ["bicubic", "lanczos", "nearest"]
    page = (enlarging.folder / "report.html").read_text()
    assert "Baselines" in page and "Translated" in page and "Of each sample: input, output, truth." in page


def test_the_numbers_are_those_of_the_files(enlarging: Run, judged: Evaluation, tmp_path: Path) -> None:
    """PSNR by hand, of the files that `translate` writes."""
    from cardigan.translate import load_translator

    model = load_translator(enlarging)
    values = []
    for batch in enlarging.recipe.data.load("test").wholes():
        for source, sample in zip(batch.source, batch.sample, strict=True):  # type: ignore[arg-type]
            made = np.asarray(model.translate_picture(_image(source)), np.float64)
            error = ((made - np.asarray(_image(sample), np.float64)) ** 2).mean()
            values.append(10 * np.log10(255**2 / error))
    assert scores(judged)["psnr"] == pytest.approx(float(np.mean(values)), abs=0.02)


def _image(picture: Tensor) -> Image.Image:
    pixels = ((picture + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return Image.fromarray(pixels)


def test_other_pictures(enlarging: Run, tmp_path: Path) -> None:
    (tmp_path / "others").mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (21, 34, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "others" / f"{number}.png")
    found, _ = evaluate(
        str(enlarging.folder), metrics=["pairs"], on=str(tmp_path / "others"), baselines=True, out=tmp_path
    )
    assert {score.protocol.generated_count for score in found.scores} == {3}
    assert {score.protocol.reference for score in found.scores} == {str(tmp_path / "others")}
    assert scores(found, "bicubic")["psnr"] < 20  # noise cannot be enlarged
    before = (enlarging.folder / "evaluation.json").read_bytes()
    beside, page = evaluate(str(enlarging.folder), metrics=["pairs"], on=str(tmp_path / "others"))
    assert page == enlarging.folder / "report-others.html" and page.is_file()
    assert (enlarging.folder / "evaluation.json").read_bytes() == before
    kept = enlarging.folder / "evaluation-others.json"
    ranked, _ = compare([str(kept), str(tmp_path)], out=tmp_path / "compared")
    assert scores(beside) == scores(found) and len(ranked.tables) == len(beside.scores)
    with pytest.raises(CardiganError, match="PSNR was measured differently: reference_hash"):
        evaluate(str(enlarging.folder), metrics=["pairs"], out=tmp_path / "own")
        compare([str(tmp_path), str(tmp_path / "own")], out=tmp_path / "compared")


def test_both_directions_between_domains(tmp_path: Path) -> None:
    data = "data={source: digits, inputs: '3', outputs: '7', size: 16, test: 0.2}"
    run = trained("summer-to-winter", tmp_path, data)
    metrics = ["fd", "pairs", "verdict"]
    forward, _ = evaluate(str(run.folder), metrics=metrics, baselines=True)
    backward, page = evaluate(
        str(run.folder), metrics=[*metrics, "is", "classes"], baselines=True, direction="backward"
    )
    assert page == run.folder / "report-backward.html" and (run.folder / "evaluation-backward.json").is_file()
    saved = json.loads((run.folder / "evaluation.json").read_text())
    assert [each["value"] for each in saved["scores"]] == [each.value for each in forward.scores]
    assert not backward.classes and sum("knows no classes" in remark for remark in backward.remarks) == 2
    for found, name in ((forward, "7"), (backward, "3")):
        assert set(scores(found)) == {"fd", "content", "colourfulness", "verdict"}
        assert scores(found, "identity")["content"] == pytest.approx(1.0)
        verdict = next(score for score in found.scores if score.protocol.metric == "verdict")
        assert verdict.note == f"share taken for {name!r}"
        assert verdict.floor is not None and verdict.floor > 0.9 > 0.3 > scores(found, "identity")["verdict"]
    count = len(run.recipe.data.load("test"))
    sources = run.recipe.data.load("test").sources
    assert {score.protocol.generated_count for score in forward.scores} == {sources} != {count}


def test_what_cannot_be_asked(enlarging: Run, tmp_path: Path) -> None:
    for options, message in (
        ({"direction": "backward"}, "cannot translate backward; .*forward"),
        ({"truncation": 0.5}, "no latents to truncate"),
        ({"on": str(tmp_path / "nowhere")}, "no such name, file or folder"),
    ):
        with pytest.raises(CardiganError, match=message):
            evaluate(str(enlarging.folder), metrics=["pairs"], **options)  # type: ignore[arg-type]
    noise = train("digits", ["training.samples=64", "engine.threads=1"], out=tmp_path / "noise")
    with pytest.raises(CardiganError, match="only for runs that make samples of sources"):
        evaluate(str(noise.folder), baselines=True)


class Learned:
    """In the place of LPIPS, whose weights are not here."""

    name, digest, resizing, facts = "lpips-alex", "12ab-34cd", "none", MappingProxyType({})

    def __call__(self, made: Tensor, truth: Tensor) -> Tensor:
        return (made - truth).abs().flatten(1).mean(1)


def test_lpips_names_its_own_weights(
    enlarging: Run, judged: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(likeness, "_lpips", Learned)
    monkeypatch.setitem(likeness.LEAST, "lpips", 1)
    found, page = evaluate(str(enlarging.folder), metrics=["lpips", "perceptual"], baselines=True, out=tmp_path)
    for each in (found, found.rivals[0]):
        learned, own = each.scores
        assert (learned.name, learned.protocol.extractor, learned.protocol.extractor_hash) == (
            "LPIPS",
            "lpips-alex",
            "12ab-34cd",
        )
        assert (own.name, own.protocol.extractor) == ("local-perceptual", "local")
        assert own.protocol.extractor_hash == judged.scores[0].protocol.extractor_hash
    (told,) = (line for line in lines(found, page) if line.startswith("against the test split"))
    assert "extractor lpips-alex 12ab-34cd and local " in told


def test_large_pictures_are_looked_at_by_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """No more pixels at once than one tile has, and every pixel counts as much as any other."""
    monkeypatch.setattr(likeness, "LARGEST_TILE", 16)
    random = torch.Generator().manual_seed(0)
    seen = list[torch.Size]()

    def distance(made: Tensor, truth: Tensor) -> Tensor:
        seen.append(made.shape)
        return (made - truth).square().flatten(1).mean(1)

    for size, tiles in (((35, 17), 6), ((16, 16), 1), ((5, 3), 1)):
        seen.clear()
        made, truth = torch.rand(2, 3, 2, *size, generator=random)
        expected = (made - truth).double().square().flatten(1).mean(1)
        torch.testing.assert_close(likeness.by_tiles(distance, made, truth), expected, atol=1e-6, rtol=1e-6)
        assert sum(shape[0] for shape in seen) == 3 * tiles
        assert all(shape[0] * shape[2] * shape[3] <= 16 * 16 and max(shape[2:]) <= 16 for shape in seen)


class Blind:
    """An extractor without activations."""

    has_maps = False


def compared(data: Dataset, translate: Any) -> Likeness:
    return judge(data, translate, data.codec, Blind())  # type: ignore[arg-type]


def test_a_hole_is_judged_by_its_own_pixels() -> None:
    data = Pairs(source="digits", size=16, channels=3, degradations=[{"kind": "mask"}]).load("test")
    found = compared(data, lambda source: source[:, :3])
    assert isinstance(data.codec, PairCodec) and data.codec.masked
    errors, holes = [], []
    for batch in data.wholes():
        assert batch.source is not None
        hole = batch.source[:, 3:] > 0
        grey = (127.5 - ((batch.sample + 1) * 127.5)).round().abs()  # rounding 127.5 to even gives 128
        errors += [float((each**2)[inside.expand_as(each)].mean()) for each, inside in zip(grey, hole, strict=True)]
        holes += [float(inside.float().mean()) for inside in hole]
    assert found.mean("psnr-hole")[0] == pytest.approx(np.mean(10 * np.log10(255**2 / np.array(errors))), abs=0.05)
    assert found.mean("psnr")[0] > found.mean("psnr-hole")[0] + 2


def test_a_perfect_translator_and_one_that_makes_everything_grey() -> None:
    data = Pairs(source="digits", size=16, channels=3, degradations=[{"kind": "noise", "deviation": 0}]).load("test")
    perfect, grey = compared(data, lambda source: source), compared(data, torch.zeros_like)
    assert perfect.mean("psnr")[0] == pytest.approx(48.13, abs=0.01)
    assert perfect.mean("ssim")[0] == perfect.mean("edge-energy")[0] == 1
    assert grey.mean("edge-energy")[0] == pytest.approx(0, abs=1e-9) and grey.mean("psnr")[0] < 10
    assert perfect.mean("psnr")[2] == len(data)


def test_a_score_of_one_picture_has_no_interval() -> None:
    one = Likeness({"psnr": torch.tensor([30.0])}, "", "", {})
    assert one.mean("psnr") == (30.0, float("inf"), 1)
