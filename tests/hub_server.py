"""A Hugging Face Hub and file server on loopback, with the faults of real ones."""

import hashlib
import json
import os
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def some_weights(size_bytes: int = 1 << 20, first: int = 0) -> bytes:
    """A safetensors file of one tensor, exactly so long."""
    data = bytes((first + place) % 256 for place in range(256)) * (size_bytes // 256)
    count = size_bytes - 136
    entry = json.dumps({"a": {"dtype": "F16", "shape": [count // 2], "data_offsets": [0, count]}}).encode()
    return (128).to_bytes(8, "little") + entry.ljust(128) + data[:count]


def own_caches(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Caches of one test alone, and none of the user's switches, tokens and proxies."""
    for name in list(os.environ):
        if name.startswith(("HF_", "HUGGINGFACE_", "TORCH_HOME", "MVIT_", "TRANSFORMERS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("NO_PROXY", "*")
    return folder / "cache"


@dataclass
class FileServer:
    """Serves `files` (path -> bytes) under the Hub's protocol; the other fields say what goes wrong.

    Attributes:
        refusals: path -> status and the Hub's X-Error-Code.
        replaced: bytes sent instead of those that the headers announce.
        cut_after: connections left to cut, and after how many bytes each.
        redirects: path -> location.
        without_length: the end of the connection is the end of the file.
        etag, commit: what is said instead of the true ones.
        later: etag, commit or location, with which each request for a file but the first is answered.
        answers_after_s: how long every first answer takes.
        requests: (method, path, headers in lower case) of every request but those for the Hub's statistics.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    refusals: dict[str, tuple[int, str]] = field(default_factory=dict)
    replaced: bytes | None = None
    cut_after: list[int] = field(default_factory=list)
    redirects: dict[str, str] = field(default_factory=dict)
    announce_etag: bool = True
    without_length: bool = False
    content_type: str | None = None
    etag: str | None = None
    commit: str = COMMIT
    later: dict[str, str] = field(default_factory=dict)
    answers_after_s: float = 0.0
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def __enter__(self) -> "FileServer":
        handler = type("Handler", (_Handler,), {"world": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """From now on connections are refused."""
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
            self._http.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def put_on_hub(self, repo: str, path: str, data: bytes, revision: str = "main") -> None:
        self.files[f"/{repo}/resolve/{revision}/{path}"] = data

    def methods(self) -> list[str]:
        return [method for method, _, _ in self.requests]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    world: FileServer

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        world, path = self.world, self.path.partition("?")[0]
        time.sleep(world.answers_after_s)
        if not path.startswith("/api/"):
            headers = {key.lower(): value for key, value in self.headers.items()}
            world.requests.append((self.command, self.path, headers))
        if "location" in world.later and with_body and len(world.requests) > 1:
            return self._head(302, {"Location": world.later["location"], "Content-Length": "0"})
        if path in world.redirects:
            return self._head(302, {"Location": world.redirects[path], "Content-Length": "0"})
        if path in world.refusals or path not in world.files:
            status, code = world.refusals.get(path, (404, ""))
            return self._head(status, {"Content-Length": "0", **({"X-Error-Code": code} if code else {})})
        return self._send_file(world.files[path], with_body)

    def _send_file(self, data: bytes, with_body: bool) -> None:
        world = self.world
        later = world.later if len(world.requests) > 1 else {}
        headers = {"X-Repo-Commit": later.get("commit", world.commit)}
        if world.content_type:
            headers["Content-Type"] = world.content_type
        if world.announce_etag:
            headers["ETag"] = later.get("etag") or world.etag or f'"{hashlib.sha256(data).hexdigest()}"'
        body = data if world.replaced is None else world.replaced
        start = self._range_start(headers.get("ETag", ""))
        if start is not None and start >= len(body):
            return self._head(416, {"Content-Range": f"bytes */{len(body)}", "Content-Length": "0"})
        if start is not None:
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        body = body[start or 0 :]
        if world.without_length:
            self.close_connection = True
            headers["Connection"] = "close"
        else:
            headers["Content-Length"] = str(len(body))
        self._head(200 if start is None else 206, headers)
        if with_body and world.cut_after:
            self.wfile.write(body[: world.cut_after.pop(0)])
            self.close_connection = True
        elif with_body:
            self.wfile.write(body)
        return None

    def _range_start(self, etag: str) -> int | None:
        wanted, condition = self.headers.get("Range"), self.headers.get("If-Range")
        if not wanted or (condition and condition != etag):
            return None
        return int(wanted.removeprefix("bytes=").partition("-")[0])

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
