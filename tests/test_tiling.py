"""Tiles give what the whole picture gives, blend where they cannot, and bound memory."""

import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from cardigan.data.picture_codec import PictureCodec
from cardigan.errors import CardiganError
from cardigan.networks.base import Translator
from cardigan.tiling import default_tile, reflected, translate_batch, translate_rows, translate_whole


class Finite(Translator):
    """Three 3x3 convolutions, between strides of `multiple`, before an enlargement by `scale`: a small view."""

    def __init__(self, scale: int = 1, multiple: int = 1, channels: tuple[int, int] = (3, 3)) -> None:
        super().__init__()
        self.scale, self.multiple, self.margin = scale, multiple, 4 * multiple
        self.body = nn.Sequential(
            nn.Conv2d(channels[0], 8, multiple, stride=multiple),
            *(nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.LeakyReLU(0.2)) for _ in range(3)),
            nn.ConvTranspose2d(8, channels[1], multiple * scale, stride=multiple * scale),
        )

    def forward(self, source: Tensor) -> Tensor:
        return torch.tanh(6 * self.body(source))


class Normalised(Finite):
    """The same, its activations normalised over the picture it is given: no tile knows what the whole would give."""

    def forward(self, source: Tensor) -> Tensor:
        return torch.tanh(nn.functional.instance_norm(self.body(source)))


def picture(height: int, width: int, channels: int = 3, seed: int = 0) -> Tensor:
    """Noise, smooth in part, so that tiles differ from one another."""
    values = torch.rand(channels, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return values * torch.linspace(0.1, 1, width)


def whole(translator: Translator, source: Tensor) -> Tensor:
    with torch.no_grad():
        return translate_batch(translator, source[None])[0]


def bytes_of(made: Tensor) -> Tensor:
    codec = PictureCodec(channels=made.shape[0], size=(1, 1))  # type: ignore[arg-type]
    pixels = torch.from_numpy(codec._bytes(made[None])[0])
    return pixels if made.shape[0] > 1 else pixels[..., None]


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("multiple", [1, 4])
@pytest.mark.parametrize("size", [(97, 131), (64, 64), (33, 200), (16, 17), (5, 90), (1, 1)])
def test_tiles_give_what_the_whole_picture_gives(scale: int, multiple: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    translator, source = Finite(scale, multiple).eval(), picture(*size)
    expected = whole(translator, source)
    assert expected.shape == (3, size[0] * scale, size[1] * scale)
    for tile, overlap in ((16, 0), (16, 4), (32, None), (33, 5), (512, None)):
        made = translate_whole(translator, source, tile, overlap)
        assert made.dtype == torch.uint8 and made.shape == (*expected.shape[1:], 3)
        exact = (expected + 1) * 127.5
        difference = (made.permute(2, 0, 1) - exact).abs().max()
        assert difference <= 0.5 + 1e-3, (tile, overlap, float(difference))


def test_one_tile_is_the_bytes_of_the_codec() -> None:
    torch.manual_seed(0)
    for channels in (1, 3, 4):
        translator, source = Finite(2, 4, (channels, channels)).eval(), picture(30, 41, channels)
        assert torch.equal(translate_whole(translator, source), bytes_of(whole(translator, source)))


class Level(Translator):
    """Every tile a grey of its own: the mean of what it is given."""

    margin = 0

    def forward(self, source: Tensor) -> Tensor:
        return source.mean((2, 3), keepdim=True).expand_as(source)


class Broken(Translator):
    def forward(self, source: Tensor) -> Tensor:
        spoiled = source.clone()
        spoiled[:, :, :3] = torch.tensor([float("nan"), float("inf"), -float("inf")])[:, None]
        return spoiled * 3


def test_values_beyond_and_no_numbers_become_bytes_as_in_the_codec() -> None:
    source = picture(20, 20)
    assert torch.equal(translate_whole(Broken(), source), bytes_of(whole(Broken(), source)))


def test_a_tile_reads_no_more_than_its_margin() -> None:
    """The margin is what makes tiles agree: with less of it they do not."""
    torch.manual_seed(0)
    translator, source = Finite(1, 1).eval(), picture(80, 80)
    expected = bytes_of(whole(translator, source)).int()
    translator.margin = 0
    assert (translate_whole(translator, source, 32, 0).int() - expected).abs().max() > 1


def test_rows_are_asked_for_as_they_are_needed() -> None:
    torch.manual_seed(0)
    translator, source = Finite(2, 4).eval(), picture(150, 70)
    asked, told = list[tuple[int, int]](), list[tuple[int, int]]()

    def rows(top: int, bottom: int) -> Tensor:
        asked.append((top, bottom))
        return source[:, top:bottom]

    made = translate_rows(translator, rows, (150, 70), 32, 4, done=lambda done, total: told.append((done, total)))
    assert torch.equal(made, translate_whole(translator, source, 32, 4))
    assert max(bottom - top for top, bottom in asked) <= 32 + 2 * (16 + 3) and asked == sorted(asked)
    assert told == [(number + 1, told[0][1]) for number in range(told[0][1])] and len(told) == len(asked) * 3


def test_tiles_that_disagree_are_blended_without_a_seam() -> None:
    ramp = torch.linspace(-1, 1, 256).expand(1, 256, 256)
    source = (ramp + ramp.transpose(1, 2)) / 2
    for overlap, least, most in ((0, 20, 60), (16, 1, 3)):
        made = translate_whole(Level(), source, 64, overlap)[..., 0].int()
        for axis in (0, 1):
            assert least <= made.diff(dim=axis).abs().max() <= most, "a step is spread over the overlap"


def test_an_infinite_view_is_the_whole_where_one_tile_holds_it() -> None:
    torch.manual_seed(0)
    translator, source = Normalised(multiple=4).eval(), picture(60, 50)
    assert torch.equal(translate_whole(translator, source), bytes_of(whole(translator, source)))


def test_what_lies_beyond_a_picture_is_its_mirror_image() -> None:
    assert reflected(0, 9, 4).tolist() == [0, 1, 2, 3, 2, 1, 0, 1, 2]
    assert reflected(0, 3, 1).tolist() == [0, 0, 0]
    row = torch.arange(5.0)[None, None]
    assert reflected(0, 9, 5).tolist() == nn.functional.pad(row, (0, 4), mode="reflect")[0, 0].int().tolist()


def test_defaults_follow_the_scale() -> None:
    assert (default_tile(Finite(1)), default_tile(Finite(4))) == (512, 256)


class Liar(Translator):
    scale = 2

    def forward(self, source: Tensor) -> Tensor:
        return source


@pytest.mark.parametrize(
    ("translator", "tile", "overlap", "needle"),
    [
        (Finite(), 8, None, "--tile: 8 pixels are too few; allowed: 16 and more"),
        (Finite(), 64, 17, "overlap: 17 pixels; allowed: 0 to 16"),
        (Finite(), 64, -1, "overlap: -1"),
        (Liar(), 64, None, "Liar: made 20x20 pixels of 20x20; its scale 2 calls for 40x40"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    translator: Translator, tile: int, overlap: int | None, needle: str
) -> None:
    with pytest.raises(CardiganError) as refused:
        translate_whole(translator, picture(20, 20), tile, overlap)
    assert needle in str(refused.value) and "\n" not in str(refused.value)


def test_memory_is_bounded_by_a_row_of_tiles() -> None:
    """2000x1500 x4 is 48 million pixels: 144 MB of bytes, 576 MB of floats for the samples alone."""
    script = """
import resource, torch
from torch import nn
from cardigan.networks.base import Translator
from cardigan.tiling import translate_rows

class Small(Translator):
    scale, margin = 4, 3
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 48, 3, padding=1),
                                  nn.PixelShuffle(4))
    def forward(self, source):
        return self.body(source)

torch.set_num_threads(1)
translator = Small()
def rows(top, bottom):
    return torch.zeros(3, bottom - top, 2000)
translate_rows(translator, rows, (64, 2000))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
made = translate_rows(translator, rows, (1500, 2000))
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print((after - before) / 1024, made.shape[0], made.shape[1])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    grown, height, width = map(float, done.stdout.split())
    assert (height, width) == (6000, 8000)
    assert grown < 137 + 300, f"{grown:.0f} MiB, of which 137 MiB are pixels"
