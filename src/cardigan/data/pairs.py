"""Pairs of pictures: two folders with equal names, pictures side by side, or one folder and a degradation."""

import json
from collections.abc import Sequence
from math import prod
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator

from cardigan.data import store
from cardigan.data.base import Data, Dataset, Watch, silent
from cardigan.data.decoded import Decoded
from cardigan.data.degradations.chain import Chain, factor, spoiled_shape
from cardigan.data.degradations.mask import Mask
from cardigan.data.faulty import MOST_BAD, skipped, too_many, torn
from cardigan.data.memory import InMemory
from cardigan.data.pair_codec import PairCodec
from cardigan.data.pairing import Joined, Spoiled
from cardigan.data.pictures import Colour, Pictures, Size, check_crop, sides_of
from cardigan.data.sources import Source, absolute
from cardigan.data.sources.elsewhere import anchored_folder, check_folder
from cardigan.data.sources.fitting import Fit, Wanted, brought
from cardigan.data.sources.pixels import size_of
from cardigan.data.sources.selection import only
from cardigan.data.sources.source import Encoded, Part, Split, shown
from cardigan.data.sources.trees.layout import top
from cardigan.data.storage import FEW, Storage, native, read, unstreamed
from cardigan.errors import CardiganError
from cardigan.sample import Form

Side = Literal["left", "right"]


class Pairs(Data):
    """What a translator learns from: pictures, and for each what it is to be made from.

    Exactly one of `inputs`, `side_by_side` and `degradations` says where the inputs come from.
    """

    kind: Literal["pairs"] = "pairs"
    """This kind of data."""
    source: str
    """Of the pictures to be made: a name, a path, or OWNER/NAME on the hub; see the kind `pictures`."""
    outputs: str | None = None
    """Folder (class) of the source that holds them. None: all of its pictures."""
    inputs: str | None = None
    """What they are made from, by equal names: another folder of the source, or the path of another source."""
    side_by_side: Side | None = None
    """Every picture of the source holds both, one beside the other: which half is to be made ("right" as pix2pix's
    facades with A|B)."""
    degradations: Chain = ()
    """What is done to a picture to make its input, one step after another, anew each time it is drawn."""
    size: Size = None
    """Height and width that every picture is brought to: 64, or "48x64". None: as they are, if all agree."""
    crop: Size = None
    """With degradations: random crops of this size out of pictures that keep their own."""
    channels: Literal[1, 3, 4] | None = None
    """Of the pictures to be made; 1: grey, 3: RGB, 4: RGB and alpha. None: grey if all are stored as grey, else RGB."""
    input_channels: Literal[1, 3, 4] | None = None
    """Of `inputs`. None: as many as of the pictures to be made."""
    fit: Fit = "crop"
    """How a picture of another aspect ratio is brought to `size`: its centre, all of it padded, or stretched."""
    background: Colour = "white"
    """The colour under transparent pixels and around padded pictures."""
    flip: bool = False
    """Mirror half of the pairs drawn, left to right, both alike; square crops are also turned."""
    test: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the pairs set aside as test, where the source has no test split of its own."""
    validation: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Share of the training pairs set aside as validation, where the source has none of its own."""
    storage: Storage = "auto"
    """Where pictures are kept; see the kind `pictures`. Pairs of two folders or halves are never streamed."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        named = {"inputs": self.inputs, "side_by_side": self.side_by_side, "degradations": self.degradations}
        ways = [name for name, value in named.items() if value]
        if len(ways) != 1:
            found = " and ".join(ways) or "none"
            raise ValueError(f"needs exactly one of inputs, side_by_side, degradations; found {found}")
        if self.degradations:
            check_crop(self.crop, self.size, self.fit, self.storage)
        elif self.crop is not None:
            raise ValueError("crop goes with degradations alone; give size instead")
        elif self.storage == "stream":
            raise ValueError(f"storage=stream: {ways[0]} is never streamed; allowed: auto, memory, cache")
        if self.input_channels is not None and self.inputs is None:
            raise ValueError(f"input_channels has no effect beside {ways[0]}; allowed: with inputs alone")
        fixed = [step.kind for step in self.degradations if step.one_size]
        if self.crop is not None and fixed:
            raise ValueError(
                f"crop does not go with the {fixed[0]}, which can be done to pictures of one size alone, so that whole "
                "ones could not be judged; allowed: size instead"
            )
        return self

    def still(self) -> "Pairs":
        """See `Data.still`."""
        return self.model_copy(update={"flip": False})

    def samples(self) -> Data:
        """See `Data.samples`: the pictures to be made; of pictures side by side, the pairs as they are."""
        return self.still() if self.side_by_side else self._pictures(self.source, self.outputs, self.channels).still()

    def elsewhere(self, source: str, form: Form) -> Data:
        """See `Data.elsewhere`."""
        if not self.degradations:
            return super().elsewhere(source, form)
        changed = {"source": source, "outputs": None, "test": 0.0, "validation": 0.0, "channels": form.shape[0]}
        return self.model_copy(update=changed)

    def anchored(self) -> dict[str, Any]:
        """See `Data.anchored`."""
        source = self._pictures(self.source).anchored()["source"]
        inside = self.outputs is not None
        inputs = None if self.inputs is None else anchored_folder(self.inputs) if inside else absolute(self.inputs)
        return {"source": source, "inputs": inputs, "degradations": [step.anchored() for step in self.degradations]}

    def load(self, split: Split = "train", seed: int = 0, watch: Watch = silent) -> Dataset:
        """Read one split, by the splits of the source or cut from it as of the kind `pictures`.

        Raises:
            CardiganError: in one line, what is wrong with the source and where: a picture without partner, partners of
                different sizes, halves that cannot be equal.
        """
        if self.outputs is not None:
            only(self._pictures(self.source).open(), (self.outputs,), "data.outputs")
        try:
            if self.degradations:
                return self._spoiled(split, seed, watch)
            return self._halves(split, seed, watch) if self.side_by_side else self._joined(split, seed, watch)
        except OSError as error:
            raise CardiganError(f"{shown(error.filename or self.source)}: cannot be read: {error.strerror}") from None

    def _pictures(self, source: str, folder: str | None = None, channels: Any = None, size: Size = None) -> Pictures:
        """How pictures of one side are read."""
        return Pictures(
            source=source,
            classes=None if folder is None else (folder,),
            size=size or self.size,
            crop=self.crop,
            channels=channels,
            fit=self.fit,
            background=self.background,
            flip=self.flip,
            test=self.test,
            validation=self.validation,
            storage=self.storage,
        )

    def _spoiled(self, split: Split, seed: int, watch: Watch) -> Spoiled:
        clean = self._pictures(self.source, self.outputs, self.channels).load(split, seed, watch)
        source = spoiled_shape(self.degradations, clean.form.shape)  # type: ignore[arg-type]
        masked = isinstance(self.degradations[-1], Mask)
        codec = self._codec(clean.form.shape, source[0] - masked, factor(self.degradations), masked)
        return Spoiled(clean, self.degradations, codec, seed)

    def _joined(self, split: Split, seed: int, watch: Watch) -> Joined:
        outputs = self._pictures(self.source, self.outputs, self.channels)
        inputs = self._inputs()
        mine, theirs = outputs.open(), inputs.open()
        if mine.parts.keys() != theirs.parts.keys():
            raise CardiganError(
                f"data.inputs: {_named(inputs)} has the splits {', '.join(theirs.parts)}, but {_named(outputs)} has "
                f"{', '.join(mine.parts)}; both must have the same"
            )
        own: Split = split if split in mine.parts else "train"
        parts = mine.parts[own](), theirs.parts[own]()
        partners = _partners(parts, (mine, theirs), (_named(outputs), _named(inputs)))
        wanted = outputs.wanted(mine)
        beside = Wanted(self.input_channels or wanted.channels, wanted.size, wanted.fit, wanted.background)
        found = [
            read(source, own, part, each, _kept(self.storage, part, each), watch)
            for source, part, each in zip((mine, theirs), parts, (wanted, beside), strict=True)
        ]
        for each, part in zip(found, parts, strict=True):
            if len(each.failures) > MOST_BAD * len(part):
                raise too_many(each.failures, len(part))
        both = found[0].indices[np.isin(partners[found[0].indices], found[1].indices)]  # outputs whose partner is read
        whole = len(both)
        cut = split not in mine.parts or split == "train"
        if cut:
            both = both[outputs.members(mine, split, found[0].digests[_rows(found[0], both)])]
        codec = self._codec(wanted.shape, beside.channels, 1, False)
        sets = [
            self._dataset(each.pixels, rows, one, codec, each.digests[_rows(each, rows)], seed)
            for each, one, rows in zip(found, (wanted, beside), (both, partners[both]), strict=True)
        ]
        faults = [failure for each in found for failure in each.failures]
        sets[0].remarks = (*mine.remarks, *torn(faults, len(parts[0]) - whole, len(parts[0])))
        return Joined(sets[0], sets[1], codec)

    def _inputs(self) -> Pictures:
        """A folder (class) of the source if there is one of that name, else another source."""
        assert self.inputs is not None
        folders = tuple[str, ...]()
        if self.outputs is not None:
            folders = self._pictures(self.source).open().classes
            check_folder(self.inputs, folders, self.source)
        if self.inputs in folders:
            return self._pictures(self.source, self.inputs, self.input_channels)
        return self._pictures(self.inputs, None, self.input_channels)

    def _halves(self, split: Split, seed: int, watch: Watch) -> Joined:
        double = self._pictures(self.source, self.outputs, self.channels)
        source = double.open()
        channels, wide = native(source)
        if wide[1] % 2:
            raise CardiganError(
                f"data.side_by_side: pictures of {shown(source.name)} are {wide[1]} pixels wide, which two equal "
                "halves cannot be; allowed: an even width"
            )
        own: Split = split if split in source.parts else "train"
        part = source.parts[own]()
        wanted = Wanted(self.channels or channels, wide, None, self.background)
        found = read(source, own, part, wanted, _kept(self.storage, part, wanted), watch)
        if len(found.failures) > MOST_BAD * len(part):
            raise too_many(found.failures, len(part))
        cut = split not in source.parts or split == "train"
        members = double.members(source, split, found.digests) if cut else np.arange(len(found.indices))
        size = sides_of(self.size) if self.size else (wide[0], wide[1] // 2)
        half = Wanted(wanted.channels, size, self.fit, self.background)
        codec = self._codec(half.shape, half.channels, 1, False)
        sides = [_fitted(each, half) for each in np.split(found.pixels, 2, axis=-1)]
        outputs, inputs = sides if self.side_by_side == "left" else sides[::-1]
        rows, digests = found.indices[members], found.digests[members]
        sets = [
            self._dataset(each, rows, half, codec, digests, seed, f"{self.side_by_side} {what}: ")
            for each, what in ((outputs, "outputs"), (inputs, "inputs"))
        ]
        sets[0].remarks = (*source.remarks, *skipped(found.failures, len(part)))
        return Joined(sets[0], sets[1], codec)

    def _dataset(
        self,
        pixels: NDArray[np.uint8],
        rows: NDArray[np.int64],
        wanted: Wanted,
        codec: PairCodec,
        digests: NDArray[np.uint8],
        seed: int,
        which: str = "",
    ) -> InMemory:
        """The pictures at `rows`: mapped ones stay where they are; `which` of equal digests they are."""
        mapped = isinstance(pixels, np.memmap)
        return InMemory(
            torch.from_numpy(pixels if mapped else np.ascontiguousarray(pixels[rows])),
            None,
            form=Form(wanted.shape),
            codec=codec,
            fingerprint=which + self._pictures(self.source).fingerprint(wanted, digests),
            seed=seed,
            flip=self.flip,
            ids=torch.from_numpy(rows),
            rows=torch.from_numpy(rows) if mapped else None,
        )

    def _codec(self, shape: Sequence[int], inputs: int, scale: int, masked: bool) -> PairCodec:
        return PairCodec(
            channels=shape[0],
            size=(shape[1], shape[2]),
            source_channels=inputs,
            scale=scale,
            masked=masked,
            background=self.background,
        )


def _fitted(pixels: NDArray[np.uint8], wanted: Wanted) -> NDArray[np.uint8]:
    """(N, C, H, W) brought to `wanted`, each by itself."""
    from PIL import Image

    if pixels.shape[1:] == wanted.shape:
        return pixels
    upright = (np.ascontiguousarray(each[0] if len(each) == 1 else each.transpose(1, 2, 0)) for each in pixels)
    return np.stack([brought(Image.fromarray(each), wanted, "half") for each in upright])


def _kept(storage: Storage, part: Part, wanted: Wanted) -> Literal["memory", "cache"]:
    return unstreamed(storage, part, lambda: len(part) * prod(wanted.shape))


def _rows(found: Decoded, indices: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.searchsorted(found.indices, indices)


def _named(pictures: Pictures) -> str:
    """The source of one side, as messages name it."""
    return f"{shown(pictures.source)}{f' ({pictures.classes[0]})' if pictures.classes else ''}"


def _partners(parts: tuple[Part, Part], sources: tuple[Source, Source], names: tuple[str, str]) -> NDArray[np.int64]:
    """For each output the place of its input: that of equal name or, of pictures without names, of equal place.

    Raises:
        CardiganError: pictures without partner, or partners of different sizes.
    """
    outputs, inputs = parts
    if not (isinstance(outputs, Encoded) and isinstance(inputs, Encoded)):
        if len(outputs) != len(inputs):
            raise CardiganError(f"data.inputs: {len(inputs):,} inputs for {len(outputs):,} outputs; pairs are equal")
        return np.arange(len(outputs))
    mine, theirs = _stems(outputs), _stems(inputs)
    places = {stem: place for place, stem in enumerate(theirs)}
    if len(places) != len(theirs) or set(mine) != set(places) or len(set(mine)) != len(mine):
        raise CardiganError(_unequal((mine, theirs), names))
    partners = np.array([places[stem] for stem in mine], np.int64)
    _remember_sizes(outputs, inputs, partners, sources)
    return partners


def _remember_sizes(
    outputs: Encoded, inputs: Encoded, partners: NDArray[np.int64], sources: tuple[Source, Source]
) -> None:
    """Refuse partners of different sizes; of many pairs, what was found good is remembered."""

    def compare(folder: Path) -> None:
        for index, place in enumerate(partners.tolist()):
            _check_sizes(outputs, index, inputs, place)
        (folder / "sizes.json").write_text(json.dumps({"pairs": len(outputs)}))

    files = [*sources[0].files, *sources[1].files]
    if not files or len(outputs) <= FEW:
        for index, place in enumerate(partners.tolist()):
            _check_sizes(outputs, index, inputs, place)
        return
    key = store.hashed("pairs", store.stamp(files), sources[0].selection, sources[1].selection, len(outputs))
    store.keep("looks", key, compare, {"source": sources[0].name})


def _stems(part: Encoded) -> list[str]:
    """Names without what all begin with and without their endings: partners may be of different formats."""
    names = list(part.names)
    start = len(top(names))
    return [name[start:].removesuffix(PurePosixPath(name).suffix) for name in names]


def _unequal(stems: Sequence[list[str]], names: tuple[str, str]) -> str:
    for mine, theirs, which in ((0, 1, "input"), (1, 0, "output")):
        missing = sorted(set(stems[mine]) - set(stems[theirs]))
        if missing:
            return (
                f"data.inputs: {shown(missing[0])!r} of {names[mine]} has no {which} of equal name in {names[theirs]} "
                f"({len(missing):,} of {len(stems[mine]):,} have none); pairs are told by their names"
            )
    return f"data.inputs: names stand twice in {names[0]} or {names[1]}; pairs are told by their names"


def _check_sizes(outputs: Encoded, index: int, inputs: Encoded, place: int) -> None:
    mine, theirs = size_of(outputs, index), size_of(inputs, place)
    if mine is not None and theirs is not None and mine != theirs:
        raise CardiganError(
            f"data.inputs: {inputs.names[place]} has {theirs[0]}x{theirs[1]} pixels (height x width), but its partner "
            f"{outputs.names[index]} has {mine[0]}x{mine[1]}; both must be equal"
        )
