"""Use a trained run on pictures of one's own: any size, any mode, by tensors, pictures or files."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from cardigan.data.base import Watch, silent
from cardigan.data.degradations.mask import painted
from cardigan.data.pair_codec import WIDE, Direction, PairCodec, hatched
from cardigan.data.saving import ending_for, write
from cardigan.data.sources.decoding import LARGEST_PIXELS, Look, decode, look_at, plain
from cardigan.data.sources.fitting import laid_on
from cardigan.data.sources.notes import notes, notes_of
from cardigan.data.sources.source import shown
from cardigan.errors import CardiganError
from cardigan.files import check_folder
from cardigan.inputs import Failure, Input, Places, find
from cardigan.networks.base import Translator
from cardigan.players import Players, Weights, load_players
from cardigan.run import Run, open_run
from cardigan.settings import allowed
from cardigan.tiling import check_tile, translate_batch, translate_rows

if TYPE_CHECKING:
    from PIL.Image import Image

CHUNK = 16
"""Sources that are translated at a time, where they come as one tensor."""
FOLDER = "translated"
"""In the run's folder: where pictures are written unless another place is named."""
_OTHER_COLOURS = ("CMYK", "LAB")


@dataclass(frozen=True)
class Translated:
    """What became of the files that were to be translated.

    Attributes:
        folder: what the pictures were written into.
        written: the pictures, in the order of the inputs.
        failures: what was left out, and why.
    """

    folder: Path
    written: tuple[Path, ...]
    failures: tuple[Failure, ...]

    def remarks(self) -> list[str]:
        """What was left out, a line each; none where all there is to say is the error of the summary."""
        several = self.written or len(self.failures) > 1
        return [f"left out: {failure}" for failure in self.failures] if several else []

    def summary(self) -> str:
        """In one line, how many pictures there are, where, and how many were left out.

        Raises:
            CardiganError: there is none.
        """
        count, left_out = len(self.written), len(self.failures)
        if count == 0:
            only = f"{self.failures[0]}" if left_out == 1 else f"none of {left_out:,} could be translated"
            raise CardiganError(only if left_out else "nothing was named that could be translated")
        where = f"{self.written[0]}" if count == 1 else f"{self.folder}/"
        rest = f" ({left_out:,} left out)" if left_out else ""
        return f"{count:,} picture{'' if count == 1 else 's'} -> {where}{rest}"


class Translation:
    """The translator of one checkpoint, ready to be used.

    Attributes:
        run: where it comes from.
        clock: real samples it had been trained on.
        codec: turns pictures into what the translator takes, and what it makes into pictures.
        form: of the samples it makes forward, and of their sources.
        weights: "average" or "raw".
        direction: "forward" or "backward".
        translator: in evaluation mode.
        tile: pixels of a source's side that are made at once; None: as many as `cardigan.tiling` says.
        device: where it computes.
    """

    def __init__(
        self,
        run: Run,
        at: int | None = None,
        weights: Weights = "average",
        direction: str = "forward",
        tile: int | None = None,
    ) -> None:
        self.run, self.weights, self.tile = run, weights, tile
        if tile is not None:
            check_tile(tile)
        loaded = load_players(run, at, weights, "translate")
        self.clock, self.form, self.device = loaded.clock, loaded.form, loaded.device
        self.direction, self.translator = _chosen(run, loaded, direction)
        if not isinstance(loaded.codec, PairCodec):
            raise CardiganError(
                f"{run.folder}: its codec {loaded.codec.kind!r} is not one of pictures made from pictures"
            )
        self.codec: PairCodec = loaded.codec
        self.codec.ends(self.direction)

    def translate(self, sources: Tensor) -> Tensor:
        """Sources (N, C, h, w) in [-1, 1] of any one size -> (N, C', h * scale, w * scale), float32 on the CPU.

        Each whole: for sources that fit into memory. Of a run that fills holes, the last channel is the mask: 1 in the
        hole, -1 elsewhere.
        """
        made = [translate_batch(self.translator, chunk).cpu() for chunk in sources.split(CHUNK)]
        return torch.cat(made)

    def translate_picture(self, image: "Image", mask: Tensor | None = None) -> "Image":
        """A picture of any size -> what is made of it, upright, of mode L, LA, RGB or RGBA.

        Large ones by tiles. Alpha that the network takes no notice of comes back; of a run that fills holes, without
        `mask`, all that is not opaque is the hole. EXIF and a colour profile go along in `info`, but for orientation.

        Args:
            mask: (1, h, w) bool, True in the hole, as `image` stands upright.

        Raises:
            CardiganError: an animation; CMYK or Lab colours, or pixels without an agreed range; a mask that is missing,
                not used, or of another size; more than 2^30 pixels to be made.
        """
        header, said = look_at(image), notes_of(image)
        _check_kind(header)
        try:
            upright = plain(image, header)
        except ValueError as error:
            raise CardiganError(error) from None
        made = self._made(upright, mask)
        made.info.update(said)
        return made

    def translate_files(
        self,
        named: Iterable[str | Path],
        out: str | Path | None = None,
        *,
        mask: str | Path | None = None,
        side_by_side: bool = False,
        watch: Watch = silent,
    ) -> Translated:
        """Translate pictures, folders and globs into a folder: names, endings and EXIF stay, all stand upright.

        A file that cannot be used is left out and named in what is returned. Pictures of a folder keep their places in
        it; of two of one name the later becomes "name-2". A format that cannot hold what was made (GIF has too few
        colours) gives way to PNG. No input is ever written over.

        Args:
            out: the folder. None: `translated` in the run's folder.
            mask: a picture of the hole, for all inputs; see `cardigan.data.degradations.mask.painted`.
            side_by_side: input and output in one picture.

        Raises:
            CardiganError: a folder that cannot be written, a mask that is not there, no picture, or not used.
        """
        folder = self.run.folder / FOLDER if out is None else Path(out).expanduser()
        check_folder(folder)
        hole = None if mask is None else self._mask(Path(mask).expanduser())
        inputs, failures = find(named, folder)
        places, written = Places(folder, [each.path for each in inputs]), list[Path]()
        for number, each in enumerate(inputs):
            watch("translating", number, len(inputs))
            tiles: Watch = watch if len(inputs) == 1 else silent
            try:
                written.append(self._file(each, places, hole, side_by_side, tiles))
            except Exception as error:  # whatever is wrong with one, the others are not to suffer for it
                failures.append(Failure(shown(each.path), _reason(error, each.path)))
        if inputs:
            watch("translating", len(inputs), len(inputs))
        return Translated(folder, tuple(written), tuple(failures))

    def _file(self, found: Input, places: Places, mask: Tensor | None, side_by_side: bool, watch: Watch) -> Path:
        data, name = found.path.read_bytes(), shown(found.path)
        image, header = decode(data, name)
        _check_kind(header)
        made = self._made(image, mask, lambda done, total: watch("translating", done, total))
        if side_by_side:
            made = beside(image, made, self.codec.hole(image, mask))
        path = places.claim(found.place, ending_for(found.place.suffix, made))
        write(made, path, notes(data, name))
        return path

    def _made(self, image: "Image", mask: Tensor | None, done: Callable[[int, int], None] | None = None) -> "Image":
        """What is made of an upright picture of mode L, LA, RGB or RGBA."""
        _check_size(image, self.translator.scale)
        hole = self.codec.hole(image, mask)
        if hole is not None and mask is None:  # what was transparent is filled
            image = laid_on(image, self.codec.background)

        def rows(top: int, bottom: int) -> Tensor:
            part = image if bottom - top == image.height else image.crop((0, top, image.width, bottom))
            return self.codec.prepare(part, None if hole is None else hole[:, top:bottom], self.direction)

        pixels = translate_rows(self.translator, rows, (image.height, image.width), self.tile, done=done)
        return self.codec.finish(image, pixels.numpy(), self.direction)

    def _mask(self, path: Path) -> Tensor:
        if not self.codec.masked:
            raise CardiganError(f"--mask: {self.run.name} fills no holes; allowed: no mask")
        if not path.is_file():
            raise CardiganError(f"--mask: there is no file {shown(path)}")
        try:
            return painted(path)
        except CardiganError as error:
            raise CardiganError(f"--mask: {error}") from None


def load_translator(
    run: str | Path | Run,
    at: int | None = None,
    weights: Weights = "average",
    direction: str = "forward",
    tile: int | None = None,
) -> Translation:
    """The trained translator of `run` (a folder, a name, "last"), of its newest checkpoint or the one at clock `at`.

    Args:
        weights: "average" (over training) or "raw".
        direction: "forward", or "backward" where the way back was trained too.
        tile: pixels of a picture's side that are made at once; less takes less memory. None: 512, 256 where pictures
            are enlarged.

    Raises:
        CardiganError: no such run, no checkpoint or a damaged one, no such direction, a run that translates nothing.
    """
    return Translation(run if isinstance(run, Run) else open_run(run), at, weights, direction, tile)


def beside(source: "Image", made: "Image", mask: Tensor | None = None) -> "Image":
    """A source and what was made of it in one picture, the source enlarged without smoothing and its hole hatched."""
    from PIL import Image

    if mask is not None:
        source = _hatched(source, mask)
    source = source if source.size == made.size else source.resize(made.size, Image.Resampling.NEAREST)
    modes = {source.mode, made.mode}
    mode = "RGBA" if modes & {"LA", "RGBA"} else "RGB" if "RGB" in modes else "L"
    both = Image.new(mode, (2 * made.width + WIDE, made.height), "white")
    both.paste(source.convert(mode), (0, 0))
    both.paste(made.convert(mode), (made.width + WIDE, 0))
    return both


def _hatched(image: "Image", hole: Tensor) -> "Image":
    from PIL import Image

    pixels = torch.from_numpy(np.array(image))
    stacked = pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)
    painted = hatched(stacked, hole).permute(1, 2, 0).numpy()
    return Image.fromarray(painted[..., 0] if pixels.ndim == 2 else painted)


def _chosen(run: Run, loaded: Players, direction: str) -> tuple[Direction, Translator]:
    """The translator of that direction.

    Raises:
        CardiganError: there is none.
    """
    translators = loaded.game.translators()
    if not translators:
        raise CardiganError(
            f"{run.folder}: its game {run.recipe.game.kind!r} makes samples of noise and translates nothing; use: "
            f"cardigan generate {run.folder}"
        )
    if direction not in translators:
        raise CardiganError(
            f"--direction: {direction!r} is not one that was trained; {allowed(direction, translators)}"
        )
    translator = loaded.players[translators[direction]]
    assert isinstance(translator, Translator)
    return "backward" if direction == "backward" else "forward", translator


def _check_kind(header: Look) -> None:
    if header.animated:
        raise CardiganError("an animation; allowed: single pictures")
    if header.mode in _OTHER_COLOURS:
        raise CardiganError(f"of mode {header.mode}; allowed: grey or RGB, with or without alpha")


def _check_size(image: "Image", scale: int) -> None:
    pixels = image.width * image.height * scale**2
    if pixels > LARGEST_PIXELS:
        raise CardiganError(f"{pixels:,} pixels would be made of it; allowed: up to {LARGEST_PIXELS:,}")


def _reason(error: Exception, path: Path) -> str:
    """Why a file was left out, in one line."""
    if isinstance(error, OSError):
        return f"cannot be read or written: {error.strerror or error}"
    if isinstance(error, CardiganError):
        return str(error).removeprefix(f"{shown(path)}: ")
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "allocate memory" in str(error):
        return "not enough memory; a smaller --tile takes less"
    return " ".join(f"{type(error).__name__}: {error}".split())
