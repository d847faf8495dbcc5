"""Where the pictures of a source are kept once they are brought to size, and what the source's own size is."""

import json
import os
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Literal

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
"""Bytes of pixels that need no reading, or of whole pictures and pairs, up to which they are simply held in memory."""
MEMORY_SHARE = 0.25
"""Of the machine's memory, that pictures may take."""
DISK_SHARE = 0.5
"""Of what is free on the disk of the cache, that an entry may take."""
MANY = 100_000
"""Pictures of a split beyond which not every header is read to tell the channels, but only ..."""
FIRST = 1000
"""... so many of each split."""


def choose_storage(source: Source, split: Split, part: Part, wanted: Wanted, watch: Watch = silent) -> Kept:
    """Memory for a few, else the cache if there is room (or the entry is there), else memory, else stream."""
    size, most = len(part) * prod(wanted.shape), MEMORY_SHARE * machine_memory()
    few = len(part) <= FEW if isinstance(part, Encoded) else part.pixels.nbytes <= SMALL
    if few and size <= most:
        return "memory"
    if source.files and (size <= DISK_SHARE * store.room() or _is_cached(source, split, wanted, watch)):
        return "cache"
    return "memory" if size <= most else "stream"


def unstreamed(storage: Storage, part: Part, size: Callable[[], int]) -> Literal["memory", "cache"]:
    """Where those are kept that are never streamed: memory for a few that are small together, else the cache.

    Args:
        size: bytes that all of them take; asked of a few alone, since it may mean to look at each.
    """
    if storage != "auto":
        return "memory" if storage == "memory" else "cache"
    few = len(part) <= FEW or not isinstance(part, Encoded)
    return "memory" if few and size() <= SMALL else "cache"


def _is_cached(source: Source, split: Split, wanted: Wanted, watch: Watch) -> bool:
    """Whether the entry is there already; a source that was never read as a whole is not read for this question."""
    return store.remembers(source.files) and store.has("pictures", cache_key(source, split, wanted, watch))


def read(source: Source, split: Split, part: Part, wanted: Wanted, kept: Kept, watch: Watch = silent) -> Decoded:
    """Every picture of `part`, in memory or from the cache; what is no file has no place there."""
    if kept == "cache" and source.files:
        return cached(part, wanted, cache_key(source, split, wanted, watch), source.name, watch)
    return in_memory(part, wanted, watch)


def native(source: Source) -> tuple[int, tuple[int, int]]:
    """Channels and (height, width) of the source's own pictures, the same for every split.

    All headers are read for it, and what they say is kept in the cache; of very many, the first ones.

    Raises:
        CardiganError: there is no readable picture to train on.
    """
    part = source.parts["train"]()
    most = FIRST if len(part) > MANY else None
    if most is not None or not source.files or not isinstance(part, Encoded) or len(part) <= FEW:
        return native_channels(source, most), native_size(source)

    def look(folder: Path) -> None:
        (folder / "look.json").write_text(json.dumps([native_channels(source), native_size(source)]))

    key = store.hashed(store.stamp(source.files), source.selection)
    try:
        folder = store.keep("looks", key, look, {"source": source.name})
        channels, (height, width) = json.loads((folder / "look.json").read_text())
        return int(channels), (int(height), int(width))
    except (store.StoreError, OSError, ValueError, TypeError):  # the cache is only a convenience here
        return native_channels(source), native_size(source)


def machine_memory() -> int:
    """Bytes of memory that this machine has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
