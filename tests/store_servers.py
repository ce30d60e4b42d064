"""On loopback, as much of S3 and of the Hub's data sets as their drivers ask for to list and to read."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class _Store(BaseHTTPRequestHandler):
    """A server of files; `files` and `key` are set by `serving`.

    Attributes:
        files: path -> bytes.
        key: without it in the header of authorization there is a 403; empty: everybody may read.
        sent: bytes of files that were written, one number an answer.
    """

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    files: dict[str, bytes]
    key: str
    sent: list[int]

    def say(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", headers.get("length", str(len(body))))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def give(self, data: bytes, **headers: str) -> None:
        """A file, or the part that was asked for."""
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        headers |= {"ETag": '"00112233445566778899aabbccddeeff"', "Last_Modified": "Thu, 26 Nov 2026 10:00:00 GMT"}
        headers |= {"Content_Type": "binary/octet-stream", "Accept_Ranges": "bytes"}
        if not asked:
            self.say(200, data, **headers)
            return
        first, last = int(asked[1]), min(int(asked[2]), len(data) - 1)
        self.sent.append(last + 1 - first)
        self.say(206, data[first : last + 1], Content_Range=f"bytes {first}-{last}/{len(data)}", **headers)

    def is_allowed(self) -> bool:
        return not self.key or self.key in self.headers.get("Authorization", "")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        raise NotImplementedError

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


class S3(_Store):
    """ListObjectsV2, HeadObject and GetObject of buckets in the path."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        bucket, _, key = unquote(parts.path).removeprefix("/").partition("/")
        if not self.is_allowed():
            self.say(403, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>")
        elif not key:
            self._list(bucket, parse_qs(parts.query, keep_blank_values=True))
        elif (data := self.files.get(f"{bucket}/{key}")) is None:
            self.say(404, b"<Error><Code>NoSuchKey</Code><Message>no</Message></Error>")
        else:
            self.give(data)

    def _list(self, bucket: str, asked: dict[str, list[str]]) -> None:
        prefix, mark = asked.get("prefix", [""])[0], asked.get("delimiter", [""])[0]
        keys = [name.partition("/")[2] for name in self.files if name.startswith(f"{bucket}/{prefix}")]
        folders = {
            prefix + key.removeprefix(prefix).partition("/")[0] + "/"
            for key in keys
            if mark and mark in key.removeprefix(prefix)
        }
        held = "".join(
            f"<Contents><Key>{key}</Key><Size>{len(self.files[f'{bucket}/{key}'])}</Size>"
            "<LastModified>2026-11-26T10:00:00.000Z</LastModified></Contents>"
            for key in keys
            if not (mark and mark in key.removeprefix(prefix))
        )
        held += "".join(f"<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>" for folder in sorted(folders))
        text = f"<ListBucketResult><IsTruncated>false</IsTruncated><Prefix>{prefix}</Prefix>{held}</ListBucketResult>"
        self.say(200, text.encode(), Content_Type="application/xml")


class Hub(_Store):
    """The tree of a data set, what is said of paths in it, and its files."""

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if not self.is_allowed():
            self.say(403, b"{}", X_Error_Code="GatedRepo")
        elif tree := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)/tree/main/?(.*)", path):
            self._json(self._tree(*tree.groups()))
        elif re.fullmatch(r"/api/datasets/[^/]+/[^/]+(/revision/main)?", path):
            self._json({"id": "org/name", "sha": COMMIT, "siblings": [], "private": False, "tags": [], "downloads": 0})
        elif (found := re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path)) and "/".join(
            found.groups()
        ) in self.files:
            self.give(self.files["/".join(found.groups())], X_Repo_Commit=COMMIT)
        else:
            self.say(404, b"{}", X_Error_Code="EntryNotFound")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.say(404, b"{}", X_Error_Code="EntryNotFound")

    def _json(self, said: object) -> None:
        self.say(200, json.dumps(said).encode(), Content_Type="application/json")

    def _tree(self, repository: str, folder: str) -> list[dict[str, Any]]:
        start = f"{folder}/" if folder else ""
        names = [name.removeprefix(f"{repository}/") for name in self.files]
        inner = sorted({name.removeprefix(start).partition("/")[0] for name in names if name.startswith(start)})
        return [
            {
                "type": "file",
                "path": start + name,
                "oid": "0" * 40,
                "size": len(self.files[f"{repository}/{start}{name}"]),
            }
            if f"{repository}/{start}{name}" in self.files
            else {"type": "directory", "path": start + name, "oid": "0" * 40, "size": 0}
            for name in inner
        ]


@contextmanager
def serving(kind: type[_Store], files: dict[str, bytes], key: str = "") -> Iterator[tuple[str, list[int]]]:
    """The address of a server, and the bytes that it sends."""
    sent: list[int] = []
    handler = type("Handler", (kind,), {"files": files, "key": key, "sent": sent})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", sent
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
