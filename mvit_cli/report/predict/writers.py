"""Rows as data: JSON lines, one JSON document. Always UTF-8, whatever the locale and whatever files are called."""

import base64
import io
import json
import os
import re
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TextIO

from mvit_cli.records import Row, Summary
from mvit_cli.report.tables import printable_lines, write

if TYPE_CHECKING:
    from mvit_cli.findings import EventRow
    from mvit_cli.report.predict.page.frames import Pictures

_STRAY = re.compile("[\ud800-\udfff]")
"""What Python has of a byte of a file name that is no UTF-8: a lone surrogate, which is no Unicode."""


def title_of(row: Row) -> str:
    """What a row is called for people: its path, and the track that it is about."""
    return f"{row['path']}, track {row['track']}" if "track" in row else row["path"]


def begins_input(row: Row, previous: Row | None) -> bool:
    """Whether a row is the first of its input, which gives several where it is cut into windows."""
    window = row.get("window")
    return previous is None or row["path"] != previous["path"] or not window or window["start_s"] == 0


def ends_input(row: Row) -> bool:
    """Whether a row is the last of its input: where its window does not reach the end of the video it says so."""
    window = row.get("window")
    return not window or window["end_s"] >= row["duration_s"] or window.get("last", False)


class Sink(Protocol):
    """Where rows go: a writer, the page, the progress. All are called in one place, one after the other."""

    def take(self, row: Row, pictures: "Pictures | None" = None) -> None:
        """Takes one row, with the pictures of its file where there are any, and gives it on at once."""


class RowWriter(Sink, Protocol):
    """A sink that writes rows into a stream."""

    def close(self) -> None:
        """Writes what comes after the last row; the stream stays open."""


def in_unicode(text: str) -> str:
    r"""The same text where it is Unicode; of a byte that is no UTF-8 `\xe9` is shown."""
    return _STRAY.sub(lambda found: _shown(found[0]), text) if _STRAY.search(text) else text


def _shown(stray: str) -> str:
    code = ord(stray)
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def path_bytes(path: str) -> str | None:
    """The bytes of a file name that is no Unicode, in base64; None for all others, which are exact as they are."""
    if not _STRAY.search(path):
        return None
    try:
        exact = os.fsencode(path)
    except UnicodeEncodeError:  # no name that a file can have
        exact = path.encode("utf-8", "surrogatepass")
    return base64.b64encode(exact).decode()


def encoded(text: str) -> bytes:
    """UTF-8, always valid: see `in_unicode`."""
    return in_unicode(text).encode("utf-8")


def to_json(value: Any, indent: int | None = None) -> bytes:
    """A value as JSON text; letters of all languages stay readable, and it is valid Unicode.

    Raises:
        ValueError: a number that JSON has not (NaN, infinity).
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)
    # Within a JSON string a backslash is two.
    return _STRAY.sub(lambda found: "\\" + _shown(found[0]), text).encode("utf-8")


def row_json(row: "Row | EventRow") -> bytes:
    """A row as JSON text; of a path that is no Unicode the exact bytes stand beside it."""
    exact = path_bytes(row["path"])
    return to_json({"path": row["path"], "path_bytes": exact, **row} if exact else row)


class OnTerminal(io.RawIOBase):
    """What a data format writes, as a terminal may have it: what would steer it is escaped.

    Args:
        stream: of the terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, data: Any) -> int:
        """Writes whole lines of UTF-8; the tabs between values stay."""
        text = bytes(data).decode("utf-8", "backslashreplace")
        write("\t".join(map(printable_lines, text.split("\t"))), self._stream)
        return len(data)

    def flush(self) -> None:
        """Gives it on."""
        self._stream.flush()


class JsonLines:
    """A row a line."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def take(self, row: "Row | EventRow", pictures: "Pictures | None" = None) -> None:
        """Writes and flushes a line."""
        self._stream.write(row_json(row) + b"\n")
        self._stream.flush()

    def close(self) -> None:
        """Nothing comes after the last line."""


class JsonDocument:
    """One document, written row by row: `{"model": ..., "results": [...], "counts": {"ok": n, "error": m}}`."""

    def __init__(self, stream: BinaryIO, model: Summary) -> None:
        self._stream = stream
        self._counts = {"ok": 0, "error": 0}
        self._stream.write(b'{"model": ' + to_json(model) + b',\n"results": [')

    def take(self, row: "Row | EventRow", pictures: "Pictures | None" = None) -> None:
        """Writes and flushes one element of `results`."""
        self._stream.write((b",\n" if sum(self._counts.values()) else b"\n") + row_json(row))
        self._stream.flush()
        self._counts[row["status"]] += 1

    def close(self) -> None:
        """Closes list and document: a run that was cut short is valid JSON too."""
        self._stream.write(b'\n],\n"counts": ' + to_json(self._counts) + b"}\n")
        self._stream.flush()
