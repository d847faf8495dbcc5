"""Where the pictures of a source are kept once they are brought to size, and what the source's own size is."""

import json
import os
from math import prod
from pathlib import Path
from typing import Any, Literal

from cardigan.data import store
from cardigan.data.base import Watch, silent
from cardigan.data.decoded import Decoded, cache_key, cached, in_memory
from cardigan.data.sources.fitting import Wanted
from cardigan.data.sources.pixels import native_channels, native_size
from cardigan.data.sources.source import Encoded, Part, Source, Split

Storage = Literal["auto", "memory", "cache", "stream"]
Kept = Literal["memory", "cache", "stream"]

FEW = 500
"""So many encoded pictures are read again at every start rather than cached."""
SMALL = 2**30
"""Bytes of pixels that need no reading, up to which they are simply held in memory."""
MEMORY_SHARE = 0.25
"""Of the machine's memory, that pictures may take."""
DISK_SHARE = 0.5
"""Of what is free on the disk of the cache, that an entry may take."""
MANY = 100_000
"""Pictures of a split beyond which not every header is read to tell the channels, but only ..."""
FIRST = 1000
"""... so many of each split."""


def choose_storage(part: Part, wanted: Wanted, key: str | None) -> Kept:
    """Memory for a few, else the cache if there is room (or the entry `key` is there), else memory, else stream."""
    size, most = len(part) * prod(wanted.shape), MEMORY_SHARE * machine_memory()
    few = len(part) <= FEW if isinstance(part, Encoded) else part.pixels.nbytes <= SMALL
    if few and size <= most:
        return "memory"
    if key is not None and (store.has("pictures", key) or size <= DISK_SHARE * store.room()):
        return "cache"
    return "memory" if size <= most else "stream"


def entry_key(source: Source, split: Split, part: Part, wanted: Wanted, selection: Any) -> str | None:
    """The key under which the pictures are cached; None for what is no file, or has no room there.

    What has no room is not read from end to end to know its key, unless the key is known already.
    """
    if not source.files:
        return None
    fits = len(part) * prod(wanted.shape) <= DISK_SHARE * store.room()
    return cache_key(source, split, wanted, selection) if fits or store.remembers(source.files) else None


def read(part: Part, wanted: Wanted, kept: Kept, key: str | None, source: str, watch: Watch = silent) -> Decoded:
    """Every picture of `part`, in memory or from the cache."""
    if kept == "cache" and key is not None:
        return cached(part, wanted, key, source, watch)
    return in_memory(part, wanted, watch)


def native(source: Source, selection: Any = None) -> tuple[int, tuple[int, int]]:
    """Channels and (height, width) of the source's own pictures, the same for every split.

    All headers are read for it, and what they say is kept in the cache; of very many, the first ones.

    Args:
        selection: what the source has been reduced to.

    Raises:
        CardiganError: there is no readable picture to train on.
    """
    part = source.parts["train"]()
    most = FIRST if len(part) > MANY else None
    if most is not None or not source.files or not isinstance(part, Encoded) or len(part) <= FEW:
        return native_channels(source, most), native_size(source)

    def look(folder: Path) -> None:
        (folder / "look.json").write_text(json.dumps([native_channels(source), native_size(source)]))

    key = cache_key(source, "train", Wanted(0, (0, 0)), selection)
    try:
        folder = store.keep("looks", key, look, {"source": source.name})
        channels, (height, width) = json.loads((folder / "look.json").read_text())
        return int(channels), (int(height), int(width))
    except (store.StoreError, OSError, ValueError, TypeError):  # the cache is only a convenience here
        return native_channels(source), native_size(source)


def machine_memory() -> int:
    """Bytes of memory that this machine has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
