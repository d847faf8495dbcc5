"""A zip archive of a folder of pictures, read in place: nothing is ever unpacked to disk."""

import stat
import zipfile
import zlib
from functools import partial
from pathlib import Path

from cardigan.data.sources.layout import Layout, is_picture, lay_out, natural
from cardigan.data.sources.source import Encoded, Source, Split, UnreadableError, shown
from cardigan.errors import CardiganError

LARGEST = 2**28
"""Bytes that one picture may unpack to: 256 MiB."""


def open_archive(name: str, path: Path) -> Source:
    """The pictures in the zip `path`, laid out as in a folder.

    Raises:
        CardiganError: no zip, damaged, encrypted, without pictures, or with a member that reaches out of the archive.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise CardiganError(f"{shown(path)}: not a zip archive, or damaged: {error}") from None
    members = archive.infolist()
    for member in members:
        _check(member, shown(path))
    chosen = [member for member in members if not member.is_dir() and is_picture(_slashed(member))]
    if not chosen:
        raise CardiganError(f"{shown(path)}: no pictures in this archive; looked for .png, .jpg, .webp and others")
    chosen.sort(key=lambda member: natural(_slashed(member)))
    layout = lay_out([_slashed(member) for member in chosen])
    parts = {split: partial(_part, archive, chosen, layout, split) for split in layout.members}
    return Source(name, parts, layout.classes)


def _slashed(member: zipfile.ZipInfo) -> str:
    return member.filename.replace("\\", "/")


def _check(member: zipfile.ZipInfo, where: str) -> None:
    """Refuse what no honest archive of pictures holds, even though nothing here is written to disk."""
    name, reason = _slashed(member), ""
    if ".." in name.split("/"):
        reason = "a path that leaves the archive"
    elif name.startswith("/") or name[1:2] == ":":
        reason = "an absolute path"
    elif stat.S_ISLNK(member.external_attr >> 16):
        reason = "a symbolic link"
    elif member.flag_bits & 1:
        reason = "encrypted"
    elif member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        reason = "compressed by another method than deflate"
    elif is_picture(name) and member.file_size > LARGEST:
        reason = f"{member.file_size:,} bytes unpacked, more than {LARGEST >> 20} MiB"
    if reason:
        raise CardiganError(f"{where}: refused because of its member {shown(member.filename)!r}: {reason}")


def _part(archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], layout: Layout, split: Split) -> Encoded:
    chosen = [members[index] for index in layout.members[split]]
    names = [f"{shown(archive.filename)}: {shown(member.filename)}" for member in chosen]

    def read(index: int) -> bytes:
        try:
            # Not archive.read(): it would unpack up to 2 GiB before it notices that the stated size is a lie.
            with archive.open(chosen[index]) as member:
                return member.read(chosen[index].file_size + 1)
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, ValueError) as error:
            raise UnreadableError(names[index], str(error) or "damaged") from None

    return Encoded(names, read, layout.labels.get(split))
