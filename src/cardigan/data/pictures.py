"""Pictures from any source as a data set: in memory, in the cache, or streamed."""

import re
from hashlib import blake2b
from typing import Annotated, Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from cardigan.data import store
from cardigan.data.base import Data, Dataset, Watch, silent
from cardigan.data.crops import Crops
from cardigan.data.decoded import Decoded
from cardigan.data.faulty import MOST_BAD, skipped, too_many
from cardigan.data.memory import InMemory
from cardigan.data.picture_codec import PictureCodec
from cardigan.data.shelf import Shelf, shelf
from cardigan.data.sources import NAMES, Source, absolute, open_source
from cardigan.data.sources.fitting import Fit, Wanted
from cardigan.data.sources.selection import only
from cardigan.data.sources.source import Labels, Part, Split, shown
from cardigan.data.sources.split import assign, digests_of_positions, sizes_of
from cardigan.data.storage import Storage, choose_storage, native, read
from cardigan.data.streamed import Streamed
from cardigan.errors import CardiganError
from cardigan.sample import Form

LARGEST_SIDE = 8192
"""Pixels."""


def parse_size(value: Any) -> int | tuple[int, int] | None:
    """64, "64" -> 64; "48x64", [48, 64] -> (48, 64), height before width; None -> None.

    Raises:
        ValueError: anything else, or a side outside 1 to 8192.
    """
    if value is None:
        return None
    sides: Any = value if isinstance(value, (list, tuple)) else [value]
    if isinstance(value, str) and (match := re.fullmatch(r"\s*([0-9]{1,9})(?:\s*[xX×]\s*([0-9]{1,9}))?\s*", value)):
        sides = [int(side) for side in match.groups() if side is not None]
    if len(sides) in (1, 2) and all(type(side) is int and 1 <= side <= LARGEST_SIDE for side in sides):
        return sides[0] if len(sides) == 1 else (sides[0], sides[1])
    raise ValueError(
        f"{str(value)[:40]!r} is not a size; allowed: one number such as 64, or height x width such as 48x64, "
        f"each 1 to {LARGEST_SIDE} pixels"
    )


def _show_size(size: int | tuple[int, int] | None) -> int | str | None:
    return f"{size[0]}x{size[1]}" if isinstance(size, tuple) else size


Size = Annotated[int | tuple[int, int] | None, BeforeValidator(parse_size), PlainSerializer(_show_size)]
"""Height and width in pixels: 64, "48x64", or None."""


def sides_of(size: int | tuple[int, int] | None) -> tuple[int, int]:
    """64 -> (64, 64), (48, 64) -> itself."""
    assert size is not None
    return (size, size) if isinstance(size, int) else size


def parse_colour(value: Any) -> str:
    """ "white", "#ff8800" -> itself.

    Raises:
        ValueError: no colour, or one that is transparent.
    """
    from PIL import ImageColor

    try:
        if len(ImageColor.getrgb(value)) == 3:
            return str(value)
    except (ValueError, AttributeError, TypeError):
        pass
    raise ValueError(f"{str(value)[:40]!r} is not a colour; allowed: a name such as white, grey or navy, or #rrggbb")


Colour = Annotated[str, BeforeValidator(parse_colour)]
"""A colour: white, grey, #ff8800."""


def check_crop(crop: int | tuple[int, int] | None, size: Any, fit: Fit, storage: Storage) -> None:
    """Refuse fields that random crops, of pictures at their own size, take no notice of.

    Raises:
        ValueError: which, and what is allowed.
    """
    if crop is None:
        return
    for name, given in (("size", size is not None), ("fit", fit != "crop")):
        if given:
            raise ValueError(
                f"{name} has no effect beside crop, which is taken of pictures at their own size; "
                f"allowed: crop=null, or {'size=null' if name == 'size' else 'fit=crop, which is the default'}"
            )
    if storage == "stream":
        raise ValueError("storage=stream: pictures that are cropped are not streamed; allowed: auto, memory, cache")


class Pictures(Data):
    """Pictures of any source: a name, a folder, an archive, a table, an array, a data set of the Hugging Face hub."""

    kind: Literal["pictures"] = "pictures"
    """This kind of data."""
    source: str
    """A name (digits, mnist ...), a path (folder, zip, tar, parquet, Arrow, npy, npz), or OWNER/NAME on the hub."""
    labels: str | None = None
    """A CSV file that gives labels by file name. None: labels as the source has them, from folders for instance."""
    classes: tuple[str, ...] | None = None
    """Use the pictures of these classes only, as if there were no others. None: all."""
    size: Size = None
    """Height and width in pixels that every picture is brought to: 64, or "48x64". None: as they are, if all agree."""
    crop: Size = None
    """Height and width of random crops out of pictures that keep their own size, instead of `size`; None: whole
    pictures."""
    channels: Literal[1, 3, 4] | None = None
    """1: grey, 3: RGB, 4: RGB and alpha. None: grey if every picture of the source is stored as grey, else RGB."""
    fit: Fit = "crop"
    """How a picture of another aspect ratio is brought to `size`: its centre, all of it padded, or stretched."""
    background: Colour = "white"
    """The colour under transparent pixels (of 4 channels: of those that cannot be seen) and around padded pictures."""
    flip: bool = False
    """Mirror half of the samples drawn, left to right, chosen anew in every pass; square crops are also turned."""
    test: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the pictures set aside as test, where the source has no test split of its own."""
    validation: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Share of the training pictures set aside as validation, where the source has none of its own."""
    storage: Storage = "auto"
    """Where the pictures are kept, brought to size: memory, cache (a file on disk, mapped), or stream (nowhere: they
    are read anew in every pass, shuffled in a buffer). auto: memory for a few, else the cache if they take no more
    than half of the disk that is free, else memory if they take no more than a quarter of it, else stream. With `crop`
    they are kept at their own size and never streamed; auto: memory for a few of at most 1 GiB, else the cache."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        check_crop(self.crop, self.size, self.fit, self.storage)
        return self

    def still(self) -> "Pictures":
        """See `Data.still`."""
        return self.model_copy(update={"flip": False})

    def anchored(self) -> dict[str, Any]:
        """See `Data.anchored`."""
        source = self.source if self.source in NAMES else absolute(self.source)
        return {"source": source, "labels": absolute(self.labels) if self.labels else None}

    def open(self) -> Source:
        """The source, with its labels, reduced to the classes asked for.

        Raises:
            CardiganError: in one line, what is wrong with the source and where.
        """
        source = open_source(self.source, self.labels)
        return source if self.classes is None else only(source, self.classes)

    def load(self, split: Split = "train", seed: int = 0, watch: Watch = silent) -> Dataset:
        """Read one split; `seed` shuffles it and, with `flip`, chooses what is mirrored.

        A split of the source is honoured. What the source lacks is cut from its train split by a hash of each
        picture's pixels, so that adding pictures moves no other one and duplicates stay together; of streamed pictures,
        by their position. A picture that cannot be read is left out and named in the remarks.

        Raises:
            CardiganError: in one line, what is wrong with the source and where; more than 5% cannot be read.
        """
        try:
            return self._load(self.open(), split, seed, watch)
        except OSError as error:
            raise CardiganError(f"{shown(error.filename or self.source)}: cannot be read: {error.strerror}") from None

    @property
    def sides(self) -> tuple[int, int] | None:
        """Height and width asked for, of pictures or of crops."""
        wanted = self.size if self.crop is None else self.crop
        return None if wanted is None else sides_of(wanted)

    def wanted(self, source: Source) -> Wanted:
        """Channels and size: those asked for, else those of the source, the same for every split."""
        size = self.sides
        if self.channels and size:
            return Wanted(self.channels, size, self.fit, self.background)
        channels, own = native(source)
        return Wanted(self.channels or channels, size or own, self.fit if size else None, self.background)

    def _load(self, source: Source, split: Split, seed: int, watch: Watch) -> Dataset:
        own: Split = split if split in source.parts else "train"
        part = source.parts[own]()
        if len(part) == 0:
            kept = f" of the classes {', '.join(self.classes)}" if self.classes else ""
            raise CardiganError(f"{shown(source.name)}: nothing in its {own} split{kept}")
        if self.crop is not None:
            return self._cropped(source, split, own, part, seed, watch)
        wanted = self.wanted(source)
        kept = choose_storage(source, own, part, wanted, watch) if self.storage == "auto" else self.storage
        if kept == "stream":
            return self._streamed(source, split, part, wanted, seed)
        decoded = read(source, own, part, wanted, kept, watch)
        if len(decoded.failures) > MOST_BAD * len(part):
            raise too_many(decoded.failures, len(part))
        return self._indexed(source, split, part, wanted, decoded, seed)

    def _indexed(
        self, source: Source, split: Split, part: Part, wanted: Wanted, decoded: Decoded, seed: int
    ) -> InMemory:
        members = np.arange(len(decoded.indices))
        if split not in source.parts or split == "train":
            members = self.members(source, split, decoded.digests)
        chosen = decoded.indices[members]
        mapped = decoded.mapped
        labels = None if part.labels is None else np.ascontiguousarray(part.labels[chosen], dtype=np.int64)
        dataset = InMemory(
            torch.from_numpy(decoded.pixels if mapped else np.ascontiguousarray(decoded.pixels[chosen])),
            None if labels is None else torch.from_numpy(labels),
            form=Form(wanted.shape, len(source.classes) if labels is not None else 0),
            codec=self._codec(source, wanted),
            fingerprint=self.fingerprint(wanted, decoded.digests[members], source.classes, labels),
            seed=seed,
            flip=self.flip,
            ids=torch.from_numpy(chosen),
            rows=torch.from_numpy(chosen) if mapped else None,
        )
        dataset.remarks = (
            *source.remarks,
            *skipped(decoded.failures, len(part)),
            *_animations(decoded.animated, len(part)),
            *_place(decoded),
        )
        if mapped:  # a resumed run must not stream because the disk is fuller then
            dataset.settled = {"storage": "cache"}
        return dataset

    def _cropped(self, source: Source, split: Split, own: Split, part: Part, seed: int, watch: Watch) -> Crops:
        channels = self.channels or native(source)[0]
        kept = shelf(source, own, part, channels, self.background, self.storage, watch)
        if len(kept.failures) > MOST_BAD * len(part):
            raise too_many(kept.failures, len(part))
        members = np.arange(len(kept))
        if split not in source.parts or split == "train":
            members = self.members(source, split, kept.digests)
        size = sides_of(self.crop)
        large = members[(kept.sizes[members] >= size).all(1)]
        wanted = Wanted(channels, size, None, self.background)
        if len(large) == 0:
            most = kept.sizes[members].max(0)
            raise CardiganError(
                f"data.crop: no picture of {shown(source.name)} ({split}) has {size[0]}x{size[1]} pixels; allowed: up "
                f"to {most[0]}x{most[1]}"
            )
        dataset = Crops(
            kept,
            torch.from_numpy(large),
            form=Form(wanted.shape),
            codec=self._codec(source, wanted).model_copy(update={"classes": ()}),
            fingerprint=self.fingerprint(wanted, kept.digests[large]),
            seed=seed,
            flip=self.flip,
        )
        small = len(members) - len(large)
        less = (f"{small:,} of {len(members):,} pictures are smaller than a crop and left out",) if small else ()
        dataset.remarks = (*source.remarks, *skipped(kept.failures, len(part)), *less, *_place(kept))
        return dataset

    def _streamed(self, source: Source, split: Split, part: Part, wanted: Wanted, seed: int) -> Streamed:
        everything = np.arange(len(part))
        cut = split not in source.parts or split == "train"
        members = self.members(source, split, digests_of_positions(len(part))) if cut else everything
        labels = None if part.labels is None else np.asarray(part.labels)
        return Streamed(
            part,
            members,
            wanted,
            form=Form(wanted.shape, len(source.classes) if labels is not None else 0),
            codec=self._codec(source, wanted),
            fingerprint=self.fingerprint(
                wanted, np.concatenate([sizes_of(source.files), members.view(np.uint8)]), source.classes, labels
            ),
            seed=seed,
            flip=self.flip,
            settled={"storage": "stream", "channels": wanted.channels, "size": self.size},
            remarks=(*source.remarks, "pictures are streamed: read from their source anew in every pass"),
        )

    def _codec(self, source: Source, wanted: Wanted) -> PictureCodec:
        return PictureCodec(classes=source.classes, channels=wanted.channels, size=wanted.size)

    def members(self, source: Source, split: Split, digests: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Places, among `digests`, of what belongs to `split`; they are those of the train split of the source."""
        test = 0.0 if "test" in source.parts else self.test
        validation = 0.0 if "validation" in source.parts else self.validation
        distinct = len(np.unique(digests, axis=0))
        if distinct < 2 and test + validation > 0:
            raise CardiganError(
                f"{shown(source.name)}: holds only one picture; training needs two different ones or more"
            )
        chosen = np.flatnonzero(assign(digests, test, validation) == split)
        if len(chosen) == 0:
            raise CardiganError(
                f"{shown(source.name)}: nothing in its {split} split: data.{split}={getattr(self, split, 0)} "
                f"of {len(digests)} pictures"
            )
        mostly_repeated = 1 < distinct <= len(digests) / 10
        if split == "train" and mostly_repeated and len(np.unique(digests[chosen], axis=0)) < 2:
            raise CardiganError(
                f"{shown(source.name)}: equal pictures are kept in one split, which leaves one picture to train on; "
                "training needs two different ones or more"
            )
        return chosen

    def fingerprint(
        self,
        wanted: Wanted,
        content: NDArray[np.uint8],
        classes: tuple[str, ...] = (),
        labels: Labels | None = None,
    ) -> str:
        """Blind to where the pictures lie: the same ones from a folder and from a zip are the same data."""
        whole = blake2b(repr((wanted, classes, self.flip)).encode(), digest_size=16)
        whole.update(content.data)
        whole.update(b"" if labels is None else labels.data)
        return whole.hexdigest()


def _place(kept: Decoded | Shelf) -> tuple[str, ...]:
    if not kept.mapped:
        return ()
    return (f"pictures are kept in the cache: {kept.pixels.nbytes / 2**20:,.0f} MiB in {store.place()}",)


def _animations(count: int, among: int) -> tuple[str, ...]:
    return (f"{count:,} of {among:,} pictures are animations: their first frame is taken",) if count else ()
