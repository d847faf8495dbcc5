"""Weights of published networks: where they lie, how they come, and reading them without running anything in them.

$CARDIGAN_WEIGHTS/FILE           looked for first: what the user has placed; never written to
CACHE/weights/FILE               what was downloaded, or placed there
CACHE/weights/.FILE.partial      being downloaded; renamed when its checksum is right
CACHE/weights/.FILE.lock         held by the process that downloads it
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.request import Request, urlopen

from torch import Tensor

from cardigan.data import store
from cardigan.data.base import Watch, silent
from cardigan.errors import CardiganError
from cardigan.files import writable

VARIABLE = "CARDIGAN_WEIGHTS"
"""Environment variable: a folder of weights, looked at before the cache and the network."""
TIMEOUT = 30.0
"""Seconds without a byte until a download is given up."""
_CHUNK = 2**20


@dataclass(frozen=True)
class Weights:
    """A published file of weights.

    Attributes:
        file: its name.
        url: where it comes from.
        sha256: of its bytes, 64 hexadecimal digits, or the first of them where only those were published.
        size: in bytes.
    """

    file: str
    url: str
    sha256: str
    size: int


KNOWN = {
    "inception": Weights(
        file="pt_inception-2015-12-05-6726825d.pth",
        url="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
        "pt_inception-2015-12-05-6726825d.pth",
        sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        size=95_628_359,
    ),
}
"""By extractor.

Of the sha256 of the Inception weights their authors published the first eight digits, in the file's name. The others,
and the size, are what several public projects state for it; they were not computed from the file when this table was
written. torch-fidelity publishes the same bytes as weights-inception-2015-12-05-6726825d.pth.
"""


def find(weights: Weights, watch: Watch = silent) -> Path:
    """The file, its checksum verified; downloaded into the cache if it is nowhere yet.

    Args:
        watch: told how many bytes have come.

    Raises:
        CardiganError: it can neither be found nor downloaded, or is not the published file; says which file to place
            where.
    """
    for path in places(weights.file):
        if path.is_file():
            _verify(path, weights)
            return path
    return _fetch(weights, watch)


def places(name: str) -> list[Path]:
    """Where weights called `name` are looked for, in this order."""
    chosen = os.environ.get(VARIABLE)
    folders = [Path(chosen).expanduser().absolute()] if chosen else []
    return [folder / name for folder in [*folders, store.place() / "weights"]]


def sha256(path: Path) -> str:
    """64 hexadecimal digits of the file's content.

    Raises:
        CardiganError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CardiganError(f"{path} cannot be read: {error.strerror or error}") from None


def read(path: Path) -> dict[str, Tensor]:
    """Tensors by name, from a .safetensors file or from a PyTorch file that holds nothing but tensors.

    Raises:
        CardiganError: it is damaged, or holds more than tensors: nothing in it is run.
    """
    try:
        content = _read(path)
    except Exception as error:  # damaged files fail in many ways, all of them the file's fault
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise CardiganError(f"{path} is no file of weights: {reason}") from None
    if not isinstance(content, dict) or not all(isinstance(each, Tensor) for each in content.values()):
        raise CardiganError(f"{path} is no file of weights: it should hold tensors by name and nothing else")
    return content


def _read(path: Path) -> object:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    import torch

    return torch.load(path, map_location="cpu", weights_only=True)


def _verify(path: Path, weights: Weights) -> None:
    found = sha256(path)
    if not found.startswith(weights.sha256):
        raise CardiganError(
            f"{path} is not the published file: its sha256 is {found}, it should be {weights.sha256}; "
            f"replace it with {weights.url} or remove it"
        )


def _fetch(weights: Weights, watch: Watch) -> Path:
    path = places(weights.file)[-1]
    partial = path.with_name(f".{path.name}.partial")
    with writable(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_name(f".{path.name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.is_file():  # another process may have brought it meanwhile
                try:
                    _download(weights, partial, watch)
                    partial.replace(path)
                finally:
                    partial.unlink(missing_ok=True)
    return path


def _download(weights: Weights, partial: Path, watch: Watch) -> None:
    digest, done, what = hashlib.sha256(), 0, f"downloading {weights.file}"
    with _opened(weights) as response, partial.open("wb") as file:
        while block := _block(response, weights):
            file.write(block)
            digest.update(block)
            done += len(block)
            watch(what, done, weights.size)
            if done > weights.size:
                break
        file.flush()
        os.fsync(file.fileno())
    if done != weights.size:
        extent = "more than" if done > weights.size else f"{done:,} of"
        raise _failed(weights, f"{extent} {weights.size:,} bytes came")
    if not digest.hexdigest().startswith(weights.sha256):
        raise _failed(weights, f"what came is not the published file, its sha256 is {digest.hexdigest()}")


@contextmanager
def _opened(weights: Weights) -> Iterator[HTTPResponse]:
    try:
        response = urlopen(Request(weights.url, headers={"User-Agent": "cardigan"}), timeout=TIMEOUT)
    except (OSError, HTTPException) as error:
        raise _failed(weights, _reason(error)) from None
    with response:
        yield response


def _block(response: HTTPResponse, weights: Weights) -> bytes:
    try:
        return response.read(_CHUNK)
    except (OSError, HTTPException) as error:
        raise _failed(weights, _reason(error)) from None


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", "") or error) or type(error).__name__


def _failed(weights: Weights, reason: str) -> CardiganError:
    return CardiganError(
        f"{weights.file} could not be downloaded: {reason}; place {weights.url} "
        f"(sha256 {weights.sha256}, {weights.size:,} bytes) at {places(weights.file)[0]}"
    )
