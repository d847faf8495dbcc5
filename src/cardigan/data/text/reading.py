"""Files of text as people have them: UTF-8 with or without BOM, any line ends, gzipped or not."""

import gzip
import zlib
from pathlib import Path

from cardigan.data.sources.source import shown
from cardigan.errors import CardiganError

LONGEST_LINE = 10**6
"""Bytes; what is longer is no line of text but a file without line ends."""
LARGEST = 2**31
"""Bytes of a file of text, unpacked: all of it is held in memory."""
_PEEK = 2**16
_KNOWN = (
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"BM", "a picture"),
    (b"RIFF", "a picture or a sound"),
    (b"PK\x03\x04", "a zip archive"),
    (b"%PDF", "a PDF document"),
    (b"PAR1", "a parquet table"),
    (b"ARROW1", "an Arrow table"),
    (b"\x93NUMPY", "an array"),
    (b"\x7fELF", "a program"),
    *((bytes([0x80, protocol]), "a pickle, which may hold code and is never read") for protocol in range(2, 6)),
)
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def read_text(path: Path) -> str:
    r"""The whole file; line ends become "\n", a byte order mark is dropped.

    Raises:
        CardiganError: in one line, why it is no text and where.
    """
    data = _bytes(path)
    _refuse_binary(path, data)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # of utf-8-sig, offsets count from behind the mark
        at = error.start + (3 if data.startswith(b"\xef\xbb\xbf") else 0)
        line = data.count(b"\n", 0, at) + 1
        raise CardiganError(
            f"{shown(path)}, line {line:,} (byte {at:,} of the file): 0x{data[at]:02x} is not UTF-8; convert the file, "
            f"such as with: iconv -f latin1 -t utf-8"
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_lines(path: Path) -> list[str]:
    """The lines of a file, empty ones among them.

    Raises:
        CardiganError: see `read_text`; a line of more than 1 MB.
    """
    return lines_of(path, read_text(path))


def lines_of(path: Path, text: str) -> list[str]:
    """`text` of the file `path` in lines.

    Raises:
        CardiganError: a line of more than 1 MB.
    """
    lines = text.split("\n")  # not splitlines: a form feed or U+2028 ends no line of a file
    if lines and not lines[-1]:
        lines.pop()
    for number, line in enumerate(lines):
        if 4 * len(line) > LONGEST_LINE and (size := len(line.encode())) > LONGEST_LINE:
            raise CardiganError(
                f"{shown(path)}, line {number + 1:,}: {size:,} bytes long; allowed: {LONGEST_LINE:,} (to cut a long "
                "text into windows: data.unit=window)"
            )
    return lines


def looks_like_text(path: Path) -> bool:
    """Whether what a file begins with is UTF-8 text; quick, whatever its size."""
    try:
        start = _start(path)
        _refuse_binary(path, start)
        start.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return error.end == len(start) and error.reason == "unexpected end of data"  # cut within a character
    except (OSError, zlib.error, CardiganError):
        return False
    return bool(start)


def is_binary(path: Path) -> bool:
    """Whether what a file begins with is surely no text; what cannot be read may be one."""
    try:
        _refuse_binary(path, _start(path))
    except (OSError, zlib.error):
        return False
    except CardiganError:
        return True
    return False


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        start = file.read(_PEEK)
    return zlib.decompressobj(31).decompress(start, _PEEK) if start.startswith(b"\x1f\x8b") else start


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        if zipped:
            with gzip.open(path) as stream:
                data = stream.read(LARGEST + 1)
        else:
            with path.open("rb") as file:
                data = file.read(LARGEST + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise CardiganError(f"{shown(path)}: broken gzip: {error}; copy or download it again") from None
    except OSError as error:
        raise CardiganError(f"{shown(path)}: cannot be read: {error.strerror or error}") from None
    if len(data) > LARGEST:
        raise CardiganError(
            f"{shown(path)}: more than {LARGEST:,} bytes of text; allowed: less, since it is held in memory"
        )
    return data


def _refuse_binary(path: Path, data: bytes) -> None:
    for start, what in _KNOWN:
        if data.startswith(start) and (start != b"BM" or b"\0" in data[:64]):
            raise CardiganError(
                f"{shown(path)} is {what}, no text; allowed: UTF-8 text (.txt, .jsonl, .csv, .tsv, or .gz)"
            )
    if data.startswith(_UTF16):
        raise CardiganError(f"{shown(path)} is UTF-16; save it as UTF-8, such as with: iconv -f utf-16 -t utf-8")
    if (at := data.find(b"\0")) >= 0:
        line = data.count(b"\n", 0, at) + 1
        raise CardiganError(
            f"{shown(path)}, line {line:,} (byte {at:,} of the file): holds NUL bytes, so it is binary, no text"
        )
