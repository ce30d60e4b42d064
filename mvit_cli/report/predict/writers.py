"""Rows as data: JSON lines, one JSON document, comma- or tab-separated values. Always UTF-8, whatever the locale."""

import csv
import io
import json
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TextIO

from mvit_cli.records import Row, Summary
from mvit_cli.report.tables import printable_lines, write

if TYPE_CHECKING:
    from mvit_cli.report.predict.page.inputs import Pictures

SEPARATORS = {"csv": ",", "tsv": "\t"}


def begins_input(row: Row, previous: Row | None) -> bool:
    """Whether a row is the first of its input, which gives several where it is cut into windows."""
    window = row.get("window")
    return previous is None or row["path"] != previous["path"] or not window or window["start_s"] == 0


def ends_input(row: Row) -> bool:
    """Whether a row is known to be the last of its input."""
    window = row.get("window")
    return not window or window["end_s"] >= row["duration_s"]


class Sink(Protocol):
    """Where rows go: a writer, the page, the progress. All are called in one place, one after the other."""

    def take(self, row: Row, pictures: "Pictures | None" = None) -> None:
        """Takes one row, with the pictures of its file where there are any, and gives it on at once."""


class RowWriter(Sink, Protocol):
    """A sink that writes rows into a stream."""

    def close(self) -> None:
        """Writes what comes after the last row; the stream stays open."""


def encoded(text: str) -> bytes:
    r"""UTF-8. A byte of a file name that is no UTF-8 (a lone surrogate in Python) becomes `\udc80` to `\udcff`.

    In JSON that is an escape: Python reads the same name back from it.
    """
    return text.encode("utf-8", "backslashreplace")


def to_json(value: Any, indent: int | None = None) -> bytes:
    """A value as JSON text; letters of all languages stay readable.

    Raises:
        ValueError: a number that JSON has not (NaN, infinity).
    """
    return encoded(json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent))


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

    def take(self, row: Row, pictures: "Pictures | None" = None) -> None:
        """Writes and flushes a line."""
        self._stream.write(to_json(row) + b"\n")
        self._stream.flush()

    def close(self) -> None:
        """Nothing comes after the last line."""


class JsonDocument:
    """One document, written row by row: `{"model": ..., "results": [...], "counts": {"ok": n, "error": m}}`."""

    def __init__(self, stream: BinaryIO, model: Summary) -> None:
        self._stream = stream
        self._counts = {"ok": 0, "error": 0}
        self._stream.write(b'{"model": ' + to_json(model) + b',\n"results": [')

    def take(self, row: Row, pictures: "Pictures | None" = None) -> None:
        """Writes and flushes one element of `results`."""
        self._stream.write((b",\n" if sum(self._counts.values()) else b"\n") + to_json(row))
        self._stream.flush()
        self._counts[row["status"]] += 1

    def close(self) -> None:
        """Closes list and document: a run that was cut short is valid JSON too."""
        self._stream.write(b'\n],\n"counts": ' + to_json(self._counts) + b"}\n")
        self._stream.flush()


class SeparatedValues:
    """A line a row: path, status, preset, weights, views, the best classes with scores, the error if there is one.

    Args:
        stream: where to.
        separator: stands between two values.
        top: classes a row.
        in_windows: whether rows tell which seconds of the path they are about.
    """

    def __init__(self, stream: BinaryIO, separator: str, top: int, *, in_windows: bool = False) -> None:
        self._stream = stream
        self._separator = separator
        self._top = top
        self._in_windows = in_windows
        ranks = [f"{name}_{rank}" for rank in range(1, top + 1) for name in ("label", "score")]
        columns = ["path", "status", *(("start_s", "end_s") if in_windows else ()), "preset", "weights", "views"]
        self._write([*columns, *ranks, "error_kind", "error_message"])

    def take(self, row: Row, pictures: "Pictures | None" = None) -> None:
        """Writes and flushes a line; quoted where the values need it."""
        told: list[object]
        if row["status"] == "ok":
            best = [cell for entry in row["predictions"] for cell in (entry["label"], entry["score"])]
            told = [row["preset"], row["weights"], row["views"], *best, *[""] * (2 * self._top - len(best)), "", ""]
        else:
            told = [*[""] * (3 + 2 * self._top), row["error"]["kind"], row["error"]["message"]]
        self._write([row["path"], row["status"], *self._bounds_of(row), *told])

    def _bounds_of(self, row: Row) -> tuple[object, ...]:
        """When the window of a row begins and ends; nothing where the run has no windows."""
        window = row.get("window")
        if not self._in_windows:
            return ()
        return (window["start_s"], window["end_s"]) if window else ("", "")

    def close(self) -> None:
        """Nothing comes after the last line."""

    def _write(self, cells: list[Any]) -> None:
        text = io.StringIO(newline="")
        # The module quotes the line ends it writes: with "\r\n" both of them, wherever they stand in a path.
        csv.writer(text, delimiter=self._separator, lineterminator="\r\n").writerow(cells)
        self._stream.write(encoded(text.getvalue().removesuffix("\r\n") + "\n"))
        self._stream.flush()
