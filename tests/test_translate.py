"""Pictures of one's own through a translator: sizes, modes, alpha, EXIF, names, faults, exit codes."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps
from torch import Tensor

import cardigan
from cardigan import translate
from cardigan.cli import main
from cardigan.data.pair_codec import WIDE, PairCodec, hatched
from cardigan.data.sources.decoding import SUFFIXES, decode
from cardigan.errors import CardiganError
from cardigan.networks.base import Translator
from cardigan.players import Players
from cardigan.recipe import build
from cardigan.run import Run
from cardigan.sample import Form
from cardigan.translate import Translated, Translation

RANDOM = np.random.default_rng(0)
ORIENTATION, MAKE, DETAILS, WIDTH, LENS = 0x0112, 0x010F, 0x8769, 0xA002, 0xA434


class Negative(Translator):
    """Every pixel's negative, `scale` times as large; what it makes of a mask is left out."""

    margin = 0

    def __init__(self, channels: tuple[int, int] = (3, 3), scale: int = 1) -> None:
        super().__init__()
        self.channels, self.scale = channels, scale

    def forward(self, source: Tensor) -> Tensor:
        assert source.shape[1] == self.channels[0]
        made = -source[:, : self.channels[1]].expand(-1, self.channels[1], -1, -1)
        return made.repeat_interleave(self.scale, 2).repeat_interleave(self.scale, 3)


@dataclass
class Game:
    directions: tuple[str, ...] = ("forward",)

    def translators(self) -> dict[str, str]:
        return dict.fromkeys(self.directions, "generator")


Opener = Callable[..., Translation]


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opener]:
    """Makes a translation of a run with this codec, in whose place a negative is made."""
    monkeypatch.chdir(tmp_path)

    def make(directions: tuple[str, ...] = ("forward",), direction: str = "forward", **fields: Any) -> Translation:
        codec = PairCodec(**{"size": (8, 8), **fields})
        ends = codec.source_channels + codec.masked, codec.channels
        player = Negative(ends if direction == "forward" else ends[::-1], codec.scale)
        form = Form((codec.channels, 8, 8), 0, (ends[0], 8, 8))
        game: Any = Game(directions)
        players = Players(7, codec, form, game, {"generator": player}, torch.device("cpu"))
        monkeypatch.setattr(translate, "load_players", lambda *_: players)
        run: Any = SimpleNamespace(
            folder=tmp_path / "run", name="run", recipe=SimpleNamespace(game=SimpleNamespace(kind="gan", writes=False))
        )
        for module in (translate, cardigan.run):
            monkeypatch.setattr(module, "open_run", lambda _: run)
        return Translation(run, direction=direction)

    yield make


def noise(mode: str, size: tuple[int, int] = (24, 37)) -> Image.Image:
    channels = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4, "LAB": 3}[mode]
    return Image.frombytes(mode, size[::-1], RANDOM.integers(0, 256, (*size, channels), dtype=np.uint8).tobytes())


def read(path: Path) -> NDArray[np.uint8]:
    return np.asarray(decode(path.read_bytes(), path.name)[0])


def command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        main(["translate", "run", *arguments])
    assert isinstance(stopped.value.code, int)
    return stopped.value.code


@pytest.mark.parametrize("ending", sorted(SUFFIXES - {".pbm", ".gif"}))
def test_name_ending_and_size_stay(ending: str, opened: Opener) -> None:
    mode = "L" if ending == ".pgm" else "RGB"
    image = noise(mode).resize((37, 24), Image.Resampling.BICUBIC)
    image.save(f"photo{ending}", "PNG" if ending == ".apng" else None)
    found = opened(channels=len(image.getbands()), source_channels=len(image.getbands())).translate_files(
        [f"photo{ending}"], "out"
    )
    assert found == Translated(Path("out"), (Path(f"out/photo{ending}"),), ())
    difference = np.abs(read(Path(f"photo{ending}")).astype(int) + read(found.written[0]) - 255)
    assert difference.max() <= {".jpg": 40, ".jpeg": 40, ".jfif": 40, ".webp": 60}.get(ending, 0)
    with Image.open(found.written[0]) as made, Image.open(f"photo{ending}") as given:
        assert made.format == given.format and made.size == given.size


@pytest.mark.parametrize(
    ("ending", "mode"), [(".gif", "RGB"), (".pbm", "L"), (".bmp", "RGBA"), (".jpg", "RGBA"), (".xyz", "RGB")]
)
def test_formats_that_cannot_hold_it_give_way_to_png(ending: str, mode: str, opened: Opener) -> None:
    noise("L").convert("1").save(f"photo{ending}", {".xyz": "PNG", ".jpg": "JPEG", ".gif": "GIF"}.get(ending))
    channels = {"L": 1, "RGB": 3, "RGBA": 4}[mode]
    found = opened(channels=channels, source_channels=channels).translate_files([f"photo{ending}"], "out")
    assert [path.name for path in found.written] == ["photo.png"]
    with Image.open(found.written[0]) as made:
        assert made.mode == mode


def test_a_side_too_long_for_webp_gives_way_to_png(opened: Opener) -> None:
    noise("RGB", (2, 5000)).save("strip.webp")
    found = opened(scale=4).translate_files(["strip.webp"], "out")
    assert [path.name for path in found.written] == ["strip.png"] and read(found.written[0]).shape == (8, 20_000, 3)


@pytest.mark.parametrize("scale", [1, 4])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_mode_is_translated(mode: str, scale: int, opened: Opener) -> None:
    image = noise("RGBA")
    if mode == "I;16":
        image = Image.fromarray(RANDOM.integers(0, 65536, (24, 37), dtype=np.uint16))
    image = image if mode == "I;16" else image.convert("RGB").convert(mode) if mode == "P" else image.convert(mode)
    image.save("photo.png")
    (path,) = opened(scale=scale).translate_files(["photo.png"], "out").written
    with Image.open(path) as made:
        assert made.size == (37 * scale, 24 * scale) and made.mode == ("RGBA" if mode in ("LA", "RGBA") else "RGB")
        if made.mode == "RGBA":
            alpha = image.getchannel("A").resize(made.size, Image.Resampling.BICUBIC)
            assert np.array_equal(np.asarray(made.getchannel("A")), np.asarray(alpha))
    with Image.open("photo.png") as given:
        direct = opened(scale=scale).translate_picture(given)
    assert np.array_equal(np.asarray(direct), np.asarray(Image.open(path)))


def test_tiles_make_no_difference(opened: Opener) -> None:
    image = noise("RGBA", (90, 70))
    whole, tiled = opened(scale=2), opened(scale=2)
    tiled.tile = 16
    assert np.array_equal(np.asarray(whole.translate_picture(image)), np.asarray(tiled.translate_picture(image)))


@pytest.mark.parametrize("ending", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_stand_upright_and_keep_their_exif(ending: str, orientation: int, opened: Opener) -> None:
    exif = Image.Exif()
    exif[ORIENTATION], exif[MAKE] = orientation, "Maker"
    exif.get_ifd(DETAILS).update({WIDTH: 37, LENS: "Lens"})
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    quadrants = np.kron(np.array([[0, 80], [160, 240]], np.uint8), np.ones((16, 24), np.uint8))
    Image.fromarray(quadrants).convert("RGB").save(
        f"photo{ending}", exif=exif.tobytes(), icc_profile=profile, quality=95
    )
    (path,) = opened().translate_files([f"photo{ending}"], "out").written
    with Image.open(f"photo{ending}") as given, Image.open(path) as made:
        upright = ImageOps.exif_transpose(given).convert("RGB")
        assert made.size == upright.size
        assert np.abs(255 - np.asarray(upright).astype(int) - np.asarray(made)).max() <= 12
        kept = made.getexif()
        assert kept.get(ORIENTATION, 1) == 1 and kept[MAKE] == "Maker"
        assert kept.get_ifd(DETAILS)[LENS] == "Lens" and WIDTH not in kept.get_ifd(DETAILS)
        assert made.info["icc_profile"] == profile
    with Image.open(f"photo{ending}") as given:
        direct = opened().translate_picture(given)
    assert direct.size == made.size and direct.getexif()[MAKE] == "Maker"


def test_a_profile_of_other_colours_is_left_out(opened: Opener) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    noise("RGB").save("photo.png", icc_profile=profile)
    (path,) = opened(channels=1).translate_files(["photo.png"], "out").written
    with Image.open(path) as made:
        assert made.mode == "L" and "icc_profile" not in made.info


def test_damaged_exif_does_not_spoil_a_picture(opened: Opener) -> None:
    noise("RGB").save("photo.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    found = opened().translate_files(["photo.jpg"], "out")
    assert len(found.written) == 1 and not found.failures


def faults(folder: Path) -> dict[str, str]:
    """Files that cannot be translated -> what is said of them."""
    folder.mkdir(parents=True, exist_ok=True)
    noise("RGB").save(folder / "moves.gif", save_all=True, append_images=[noise("RGB")], duration=100)
    noise("CMYK").save(folder / "print.jpg")
    noise("LAB").save(folder / "lab.tif")
    (folder / "text.png").write_text("Dear reader")
    (folder / "empty.png").write_bytes(b"")
    noise("RGB").save(folder / "whole.png")
    (folder / "cut.png").write_bytes((folder / "whole.png").read_bytes()[:900])
    (folder / "whole.png").unlink()
    return {
        "moves.gif": "an animation; allowed: single pictures",
        "print.jpg": "of mode CMYK; allowed: grey or RGB, with or without alpha",
        "lab.tif": "of mode LAB; allowed: grey or RGB, with or without alpha",
        "text.png": "unreadable picture: none of PNG",
        "empty.png": "unreadable picture: the file is empty",
        "cut.png": "unreadable picture: ",
    }


def test_bad_files_are_named_and_left_out(opened: Opener, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = faults(Path("photos"))
    noise("RGB").save("photos/good.png")
    opened()
    assert command("photos", "nothing.png", "no*.png", "--out", "out") == 0
    said = capsys.readouterr()
    assert said.out == f"1 picture -> out/good.png ({len(wrong) + 2} left out)\n"
    lines = said.err.splitlines()
    assert len(lines) == len(wrong) + 2 and all(line.startswith("left out: ") for line in lines)
    for name, reason in wrong.items():
        assert sum(f"photos/{name}: {reason}" in line for line in lines) == 1, (name, lines)
    assert "left out: nothing.png: there is no such file or folder" in lines
    assert "left out: no*.png: no picture fits this pattern" in lines


def test_nothing_translated_is_exit_code_2(opened: Opener, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = faults(Path("photos"))
    opened()
    assert command("photos") == 2
    said = capsys.readouterr()
    assert said.err.splitlines()[-1] == f"error: none of {len(wrong)} could be translated" and not said.out
    assert said.err.count("\n") == len(wrong) + 1
    for name, reason in wrong.items():
        assert command(f"photos/{name}") == 2
        error = capsys.readouterr().err
        assert error.startswith(f"error: photos/{name}: {reason}") and error.count("\n") == 1
    Path("bare").mkdir()
    assert command("bare") == 2
    assert "error: bare: no pictures in this folder; allowed: .apng" in capsys.readouterr().err
    assert not Path("run/translated").exists()


def test_names_that_are_no_files_are_named(opened: Opener) -> None:
    os.mkfifo("pipe.png")
    told = list[str]()
    for name in ("pipe.png", "x" * 300, "nothing/at/all.png"):
        found = opened().translate_files([name], "out", watch=lambda what, *_: told.append(what))
        assert len(found.failures) == 1 and not told, "nothing is said of nothing"


def test_pixels_without_a_range_are_one_line(opened: Opener) -> None:
    with pytest.raises(CardiganError, match="its pixels have no agreed range"):
        opened().translate_picture(Image.new("F", (20, 20)))


def test_folders_keep_their_shape_and_names_are_told_apart(opened: Opener) -> None:
    for name in ("a/1.png", "a/deep/er/1.png", "b/1.png", "b/1.gif", "b/.hidden.png", "b/.git/x.png", "1.PNG"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        noise("RGB").save(name)
    Path("b/notes.txt").write_text("")
    found = opened().translate_files(["a", "b", "1.PNG", "a/1.png", "**/*.png"], "out")
    names = [path.relative_to("out").as_posix() for path in found.written]
    assert names == ["1.png", "deep/er/1.png", "1-2.png", "1-3.png", "1-4.PNG"] and not found.failures
    given = [read(Path(name)) for name in ("a/1.png", "a/deep/er/1.png", "b/1.gif", "b/1.png", "1.PNG")]
    for picture, path in zip(given, found.written, strict=True):
        assert np.array_equal(255 - picture, read(path)), path


def test_what_was_made_before_is_made_again_and_not_taken_for_input(opened: Opener) -> None:
    noise("RGB").save("photo.png")
    for _ in range(2):
        found = opened().translate_files(["."], "made/here")
        assert [str(path) for path in found.written] == ["made/here/photo.png"]
    Path("run").mkdir()
    noise("RGB").save("run/other.png")
    for _ in range(2):
        found = opened().translate_files(["run"])
        assert [path.relative_to(Path.cwd()).as_posix() for path in found.written] == ["run/translated/other.png"]


@pytest.mark.parametrize("named", [["photo.png"], ["."], ["photo.png", "."]])
def test_no_input_is_written_over(named: list[str], opened: Opener) -> None:
    noise("RGB").save("photo.png")
    before = Path("photo.png").read_bytes()
    found = opened().translate_files(named, ".")
    assert Path("photo.png").read_bytes() == before and not found.written
    (failure,) = found.failures
    assert "would be written over photo.png; name another folder: --out" in failure.reason
    Path("linked").symlink_to(Path.cwd())
    assert not opened().translate_files(named, "linked").written and Path("photo.png").read_bytes() == before


def test_nothing_half_written_is_left(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    noise("RGB").save("photo.png")
    monkeypatch.setattr(Image.Image, "save", lambda self, path, *_, **__: Path(path).write_bytes(b"half") and 1 / 0)
    found = opened().translate_files(["photo.png"], "out")
    assert "ZeroDivisionError" in found.failures[0].reason and not list(Path("out").iterdir())


def test_a_folder_that_cannot_be_written_is_said_at_once(opened: Opener) -> None:
    noise("RGB").save("photo.png")
    Path("file").write_text("")
    with pytest.raises(CardiganError, match="file/out cannot be written"):
        opened().translate_files(["photo.png"], "file/out")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_one_may_not_read_is_named(opened: Opener) -> None:
    noise("RGB").save("photo.png")
    Path("photo.png").chmod(0)
    assert "Permission denied" in opened().translate_files(["photo.png"], "out").failures[0].reason


def mask(path: str, size: tuple[int, int] = (24, 37)) -> NDArray[np.bool_]:
    hole = np.zeros(size, bool)
    hole[5:12, 8:20] = True
    Image.fromarray(np.where(hole, 255, 0).astype(np.uint8)).save(path)
    return hole


def test_a_mask_reaches_the_network(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    noise("RGB").save("photo.png")
    hole, seen = mask("mask.png"), list[Tensor]()
    translation = opened(masked=True)
    original = translation.translator.forward
    monkeypatch.setattr(translation.translator, "forward", lambda source: seen.append(source) or original(source))
    assert len(translation.translate_files(["photo.png"], "out", mask="mask.png").written) == 1
    assert np.array_equal(seen[0][0, 3].numpy(), np.where(hole, 1, -1))


def test_transparent_pixels_are_the_hole_and_are_filled(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    image, seen = noise("RGBA"), list[Tensor]()
    translation = opened(masked=True)
    original = translation.translator.forward
    monkeypatch.setattr(translation.translator, "forward", lambda source: seen.append(source) or original(source))
    made = translation.translate_picture(image)
    assert made.mode == "RGB"
    assert np.array_equal(seen[0][0, 3].numpy() > 0, np.asarray(image)[..., 3] < 255)


def test_masks_that_do_not_fit_are_one_line(opened: Opener, capsys: pytest.CaptureFixture[str]) -> None:
    noise("RGB").save("photo.png")
    mask("mask.png"), mask("large.png", (30, 40))
    for fields, arguments, needle in (
        ({"masked": False}, ["--mask", "mask.png"], "--mask: run fills no holes; allowed: no mask"),
        (
            {"masked": True},
            [],
            "photo.png: this run fills holes, and no hole is given; allowed: --mask FILE, or transparent",
        ),
        ({"masked": True}, ["--mask", "none.png"], "--mask: there is no file none.png"),
        ({"masked": True}, ["--mask", "large.png"], "30x40"),
    ):
        opened(**fields)
        assert command("photo.png", *arguments) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and error.count("\n") == 1 and needle in error, error


@pytest.mark.parametrize("scale", [1, 4])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_input_and_output_side_by_side(mode: str, scale: int, opened: Opener) -> None:
    image = noise(mode)
    image.save("photo.png")
    (path,) = opened(scale=scale).translate_files(["photo.png"], "out", side_by_side=True).written
    with Image.open(path) as both:
        wide = 37 * scale
        assert both.size == (2 * wide + WIDE, 24 * scale)
        left = both.crop((0, 0, wide, both.height))
        assert np.array_equal(np.asarray(left), np.asarray(image.resize(left.size, 0).convert(both.mode)))
        assert both.mode == ("RGBA" if "A" in mode else "RGB")


def test_a_hole_is_hatched_beside_what_fills_it(opened: Opener) -> None:
    noise("RGB").save("photo.png")
    hole = mask("mask.png")
    (path,) = opened(masked=True).translate_files(["photo.png"], "out", mask="mask.png", side_by_side=True).written
    left = read(path)[:, :37]
    assert set(np.unique(left[hole])) <= {128, 255} and np.array_equal(left[~hole], read(Path("photo.png"))[~hole])


def test_a_transparent_hole_is_hatched_as_in_grids(opened: Opener) -> None:
    image = noise("RGB")
    hole = mask("mask.png")
    erased = image.copy()
    erased.putalpha(Image.fromarray(np.where(hole, 0, 255).astype(np.uint8)))
    erased.save("photo.png")
    (path,) = opened(masked=True).translate_files(["photo.png"], "out", side_by_side=True).written
    left = torch.from_numpy(read(path)[:, :37].copy()).permute(2, 0, 1)
    expected = hatched(torch.from_numpy(np.array(image)).permute(2, 0, 1), torch.from_numpy(hole)[None])
    assert torch.equal(left, expected)


def test_a_mask_that_is_no_picture_is_said_once(opened: Opener, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("1.png", "2.png"):
        noise("RGB").save(name)
    Path("mask.png").write_bytes(b"no picture")
    opened(masked=True)
    assert command("1.png", "2.png", "--mask", "mask.png") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --mask: mask.png: no mask picture: ") and error.count("\n") == 1
    assert not Path("run").exists()


def test_backward(opened: Opener) -> None:
    noise("L").save("photo.png")
    both = opened(("forward", "backward"), "backward", channels=1, source_channels=3)
    (path,) = both.translate_files(["photo.png"], "out").written
    assert read(path).shape == (24, 37, 3)


def test_what_a_run_cannot_do_is_refused_before_anything_is_read(
    opened: Opener, capsys: pytest.CaptureFixture[str]
) -> None:
    noise("RGB").save("photo.png")
    opened()
    for arguments, needle in (
        (["--direction", "backward"], "--direction: 'backward' is not one that was trained; allowed: forward"),
        (["--direction", "forwards"], "did you mean 'forward'?"),
        (["--tile", "3"], "--tile: 3 pixels are too few; allowed: 16 and more"),
    ):
        assert command("photo.png", *arguments) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and error.count("\n") == 1 and needle in error, error
    with pytest.raises(CardiganError, match="its game 'gan' makes samples of noise and translates nothing"):
        opened(())


def test_more_pixels_than_anyone_reads_are_not_made(opened: Opener) -> None:
    Image.new("L", (20_000, 4000)).save("photo.png")
    found = opened(scale=4).translate_files(["photo.png"], "out")
    assert found.failures[0].reason == "1,280,000,000 pixels would be made of it; allowed: up to 1,073,741,824"


def test_tensors_of_any_size_are_translated(opened: Opener) -> None:
    sources = torch.rand(20, 3, 9, 11) * 2 - 1
    made = opened(scale=2).translate(sources)
    assert made.shape == (20, 3, 18, 22) and torch.equal(made[..., ::2, ::2], -sources)


def test_progress_is_told(opened: Opener) -> None:
    told = list[tuple[str, int, int]]()
    for name in ("1.png", "2.png"):
        noise("RGB", (40, 40)).save(name)
    translation = opened()
    translation.translate_files(["1.png", "2.png"], "out", watch=lambda *each: told.append(each))
    assert told == [("translating", 0, 2), ("translating", 1, 2), ("translating", 2, 2)]
    told.clear()
    translation.tile = 16
    translation.translate_files(["1.png"], "out", watch=lambda *each: told.append(each))
    assert [each for each in told if each[2] > 1] == [("translating", number, 9) for number in range(1, 10)]


def test_the_run_may_be_named_in_every_way(tmp_path: Path) -> None:
    with pytest.raises(CardiganError, match="nothing is no run"):
        translate.load_translator("nothing")
    with pytest.raises(CardiganError):
        translate.load_translator(Run(tmp_path))


ENGINE = {"device": "cpu", "precision": "fp32", "memory_format": "contiguous", "matmul": "highest", "threads": 1}
TRAINED: dict[str, dict[str, Any]] = {
    "enlarging": {
        "data": {"kind": "pairs", "degradations": [{"kind": "downscale", "factor": 2}], "crop": 16},
        "game": {"kind": "translation", "generator": {"family": "compact", "width": 4, "depth": 2}},
    },
    "filling": {
        "data": {"kind": "pairs", "degradations": [{"kind": "mask"}], "size": 16},
        "game": {"kind": "translation", "generator": {"family": "unet", "width": 4}, "composite": True},
    },
    "colouring": {
        "data": {"kind": "pairs", "degradations": [{"kind": "grey"}], "size": 16},
        "game": {"kind": "translation", "generator": {"family": "unet", "width": 4}},
    },
    "both-ways": {
        "data": {"kind": "domains", "inputs": "a", "outputs": "b", "size": 16},
        "game": {"kind": "cycle", "generator": {"family": "resnet-translator", "width": 4, "blocks": 1}},
    },
    "noise": {
        "data": {"kind": "pictures", "size": 16},
        "game": {"kind": "gan", "networks": {"family": "mlp", "width": 8}, "penalties": {"r1": None, "r2": None}},
    },
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """A run of every kind, hardly trained."""
    place = tmp_path_factory.mktemp("trained")
    for index in range(12):
        path = place / "photos" / "ab"[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise("RGB", (5, 4)).resize((20, 24), Image.Resampling.BICUBIC).save(path)
    runs = {}
    for name, sections in TRAINED.items():
        data = {"source": str(place / "photos"), "channels": 3, **sections["data"]}
        game = dict(sections["game"])
        if game["kind"] != "gan":
            game["discriminator"] = {"family": "patch", "width": 4, "depth": 1}
        training = {"samples": 16, "batch": 8, "average": {"half_life": 16}}
        recipe = build({"name": name, "data": data, "game": game, "training": training, "engine": ENGINE})
        runs[name] = cardigan.train(recipe, out=place / name)
    return runs


@pytest.mark.parametrize(("name", "scale"), [("enlarging", 2), ("colouring", 1), ("both-ways", 1)])
def test_a_trained_run_translates_files(
    name: str, scale: int, trained: dict[str, Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise("L", (33, 45)).save(tmp_path / "photo.png")
    run = trained[name]
    for arguments in ([], ["--tile", "16"], ["--at", str(run.clocks()[0])], ["--side-by-side"]):
        with pytest.raises(SystemExit) as stopped:
            main(["translate", str(run.folder), str(tmp_path / "photo.png"), *arguments])
        assert stopped.value.code == 0, capsys.readouterr().err
        path = run.folder / "translated" / "photo.png"
        assert capsys.readouterr().out == f"1 picture -> {path}\n"
        width = 45 * scale if arguments != ["--side-by-side"] else 2 * 45 * scale + WIDE
        with Image.open(path) as made:
            assert made.size == (width, 33 * scale) and made.mode == "RGB"


def test_files_hold_what_the_tensors_hold(trained: dict[str, Run], tmp_path: Path) -> None:
    translation = translate.load_translator(trained["enlarging"])
    image = noise("RGB", (33, 45))
    made = translation.translate(translation.codec.prepare(image)[None])
    (expected,) = translation.codec.decode(made)
    assert np.array_equal(np.asarray(translation.translate_picture(image)), np.asarray(expected))
    translation.tile = 16
    tiled = np.asarray(translation.translate_picture(image)).astype(int)
    assert np.abs(tiled - np.asarray(expected)).max() <= 1


def test_a_trained_run_fills_holes_and_leaves_the_rest(trained: dict[str, Run]) -> None:
    translation = translate.load_translator(trained["filling"])
    image, hole = noise("RGB", (40, 56)), torch.zeros(1, 40, 56, dtype=torch.bool)
    hole[:, 10:20, 10:30] = True
    made = np.asarray(translation.translate_picture(image, hole))
    assert np.array_equal(made[~hole[0].numpy()], np.asarray(image)[~hole[0].numpy()])
    erased = image.copy()
    erased.putalpha(Image.fromarray(np.where(hole[0].numpy(), 0, 255).astype(np.uint8)))
    assert np.array_equal(np.asarray(translation.translate_picture(erased)), made)


def test_both_ways_are_different_networks(trained: dict[str, Run]) -> None:
    image = noise("RGB", (32, 32))
    there, back = (translate.load_translator(trained["both-ways"], direction=each) for each in ("forward", "backward"))
    assert not np.array_equal(np.asarray(there.translate_picture(image)), np.asarray(back.translate_picture(image)))
    raw = translate.load_translator(trained["both-ways"], weights="raw")
    assert not np.array_equal(np.asarray(there.translate_picture(image)), np.asarray(raw.translate_picture(image)))


@pytest.mark.parametrize(
    ("name", "arguments", "needle"),
    [
        ("noise", [], "makes samples of noise and translates nothing; use: cardigan generate"),
        ("enlarging", ["--direction", "backward"], "--direction: 'backward' is not one that was trained"),
        ("enlarging", ["--at", "3"], "has no checkpoint at 3"),
        ("enlarging", ["--tile", "few"], "--tile"),
        ("filling", [], "allowed: --mask FILE, or transparent pixels"),
        ("enlarging", ["--mask", "mask.png"], "--mask: enlarging fills no holes"),
    ],
)
def test_a_trained_run_refuses_in_one_line(
    name: str,
    arguments: list[str],
    needle: str,
    trained: dict[str, Run],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    noise("RGB").save(tmp_path / "photo.png")
    with pytest.raises(SystemExit) as stopped:
        main(["translate", str(trained[name].folder), str(tmp_path / "photo.png"), *arguments])
    error = capsys.readouterr().err
    assert stopped.value.code == 2 and error.startswith("error: ") and error.count("\n") == 1 and needle in error


def test_a_damaged_checkpoint_offers_the_one_before(trained: dict[str, Run], tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(trained["enlarging"].folder, folder)
    run = Run(folder)
    file = run.checkpoint_folder / f"{run.clocks()[-1]:09d}" / "average.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(CardiganError) as refused:
        translate.load_translator(run)
    before = [f"the one before it: cardigan translate {folder} --at {clock}" for clock in run.clocks()[-2:-1]]
    assert (before or ["there is none before"])[0] in str(refused.value)
