"""A server on this machine that speaks as much of the Hugging Face Hub's HTTP API as loading a data set asks for."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@contextmanager
def serving(repositories: dict[str, Path], gated: tuple[str, ...] = ()) -> Iterator[tuple[str, list[str]]]:
    """Serve folders as data set repositories "owner/name"; gives the address, and the requests as they come in."""
    handler = type("Handler", (_Hub,), {"repositories": repositories, "gated": gated, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", handler.asked  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()


class _Hub(BaseHTTPRequestHandler):
    repositories: ClassVar[dict[str, Path]]
    gated: ClassVar[tuple[str, ...]]
    asked: ClassVar[list[str]]

    def do_GET(self) -> None:
        self.asked.append(f"{self.command} {self.path}")
        path = unquote(urlsplit(self.path).path).strip("/").split("/")
        if path[0] == "datasets" and len(path) > 5 and path[3] == "resolve":
            self._file("/".join(path[1:3]), "/".join(path[5:]))
        elif path[:2] == ["api", "datasets"] and len(path) > 3:
            self._api("/".join(path[2:4]), path[4:])
        else:
            self._refuse(404, "EntryNotFound")

    do_HEAD = do_GET  # noqa: N815
    do_POST = do_GET  # noqa: N815

    def _open(self, repository: str) -> Path | None:
        if repository in self.gated:
            self._refuse(401, "GatedRepo")
        elif repository not in self.repositories:
            self._refuse(404, "RepoNotFound")
        return None if repository in self.gated else self.repositories.get(repository)

    def _file(self, repository: str, name: str) -> None:
        folder = self._open(repository)
        if folder is None:
            return
        if not (folder / name).is_file():
            self._refuse(404, "EntryNotFound")
            return
        data = (folder / name).read_bytes()
        self._send(200, data, {"ETag": f'"{_mark(data)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"})

    def _api(self, repository: str, rest: list[str]) -> None:
        folder = self._open(repository)
        if folder is None:
            return
        entries = [_entry(folder, path) for path in sorted(folder.rglob("*"))]
        if rest[:1] == ["tree"]:
            top = "/".join(rest[2:])
            inside = [each for each in entries if not top or each["path"].startswith(top + "/")]
            deep = "recursive=true" in self.path.lower()
            self._json([each for each in inside if deep or "/" not in each["path"][len(top) :].strip("/")])
        elif rest[:1] == ["paths-info"]:
            wanted = self._wanted()
            self._json([each for each in entries if each["path"] in wanted])
        else:
            files = [{"rfilename": each["path"]} for each in entries if each["type"] == "file"]
            about = {"id": repository, "sha": COMMIT, "siblings": files, "private": False, "gated": False, "tags": []}
            self._json(about)

    def _wanted(self) -> list[str]:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        try:
            return list(json.loads(body)["paths"])
        except ValueError:
            return parse_qs(body).get("paths", [])

    def _json(self, content: Any) -> None:
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json", "X-Repo-Commit": COMMIT})

    def _refuse(self, status: int, code: str) -> None:
        self._send(status, b"{}", {"X-Error-Code": code, "X-Error-Message": code})

    def _send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *arguments: object) -> None:
        """Nothing is printed."""


def _mark(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _entry(folder: Path, path: Path) -> dict[str, Any]:
    name = path.relative_to(folder).as_posix()
    if path.is_dir():
        return {"type": "directory", "oid": "0" * 40, "size": 0, "path": name}
    data = path.read_bytes()
    return {"type": "file", "oid": _mark(data), "size": len(data), "path": name}
