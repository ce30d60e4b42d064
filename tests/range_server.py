"""A file server on loopback that gives parts of files, with the faults of real ones."""

import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit


@dataclass
class RangeServer:
    """Serves `files` (path -> bytes); the other fields say what goes wrong.

    Attributes:
        ranges: whether parts are given.
        statuses: answered first, one a request; 200 stands for what is right.
        cut_after: bytes after which a connection is cut, one an answer.
        redirects: path -> location.
        allowed: what the query must be, or there is a 403.
        waits_s: before each answer.
        drips_s: between one byte and the next.
        content_type: of all files.
        etag: of all files; changed in the middle where it is a list.
        sent: bytes of bodies that were written.
        requests: path with query, and headers in lower case, of every request.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    statuses: list[int] = field(default_factory=list)
    cut_after: list[int] = field(default_factory=list)
    redirects: dict[str, str] = field(default_factory=dict)
    allowed: str | None = None
    waits_s: float = 0.0
    drips_s: float = 0.0
    content_type: str = "application/octet-stream"
    etags: list[str] = field(default_factory=list)
    sent: int = 0
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def __enter__(self) -> "RangeServer":
        handler = type("Handler", (_Handler,), {"world": self})
        self._http = _QuietServer(("127.0.0.1", 0), handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


class _QuietServer(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    world: RangeServer

    def do_GET(self) -> None:
        world = self.world
        parts = urlsplit(self.path)
        world.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        time.sleep(world.waits_s)
        status = world.statuses.pop(0) if world.statuses else 200
        data = world.files.get(parts.path)
        if parts.path in world.redirects:
            self._say(302, {"Location": world.redirects[parts.path]})
        elif status != 200:
            self._say(status, {"Retry-After": "0"})
        elif world.allowed is not None and parts.query != world.allowed:
            self._say(403, {})
        elif data is None:
            self._say(404, {})
        else:
            self._give(data)

    def _give(self, data: bytes) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        headers = {"Content-Type": self.world.content_type}
        if self.world.etags:
            headers["ETag"] = self.world.etags.pop(0) if len(self.world.etags) > 1 else self.world.etags[0]
        if not (asked and self.world.ranges):
            self._say(200, headers, data)
            return
        first, last = int(asked[1]), min(int(asked[2]), len(data) - 1)
        if first >= len(data):
            self._say(416, headers | {"Content-Range": f"bytes */{len(data)}"})
            return
        part = data[first : last + 1]
        self._say(206, headers | {"Content-Range": f"bytes {first}-{last}/{len(data)}"}, part)

    def _say(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut = self.world.cut_after.pop(0) if self.world.cut_after and body else len(body)
        try:
            if self.world.drips_s:
                for place in range(len(body)):
                    self.wfile.write(body[place : place + 1])
                    self.wfile.flush()
                    time.sleep(self.world.drips_s)
            self.wfile.write(body[:cut])
            self.world.sent += min(cut, len(body))
        except OSError:
            self.close_connection = True
        if cut < len(body):
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Says nothing."""
