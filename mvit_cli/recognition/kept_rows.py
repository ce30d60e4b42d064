"""The rows of an earlier run in a file, and which inputs they are enough for. Plain Python.

An input is done when its row is there or, cut into windows, the row of its last window. Of one that was left in the
middle the next window is known. Of a row that `mvit predict` wrote only the beginning is taken apart, where that is
enough: ten million rows are read in a minute.
"""

import base64
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from mvit_cli.errors import UsageError
from mvit_cli.media.request import Window, Windows, tells_hold
from mvit_cli.media.sources import identity_of
from mvit_cli.recognition.beginnings import Beginnings, beginnings, blocks, said
from mvit_cli.recognition.digests import Digests, digest_of, digests_of_bytes
from mvit_cli.records import Row, Span

IDENTITY = ("preset", "weights", "views")
"""What must be the same for all rows of a file."""

OTHER_FILE = "name another file with --output, or leave --resume out to begin anew"

_ROW_BEGINS = b'{"path": '

Line = tuple[int, bytes, Row | None, bool]
"""Number and text of a line, its row, and whether it is whole: a torn last line is not, a heading is and has no row."""
Reader = Callable[[Path], Iterator[Line]]
"""Yields the lines of a file of rows; raises a UsageError where it is none."""


@dataclass
class KeptRows:
    """What the rows of files say. Memory: a digest for each input.

    Attributes:
        size: bytes of the last file that were read.
        end: bytes of it up to its last line break.
        rows: of it.
        ok: rows with status ok.
        failed: rows with status error.
        done: inputs that need no row any more, by the digest of their path.
        begun: the next window of each input whose last window has no row, by the digest of their path.
        failing: digests of the paths with an error.
        first_of: file and line of the first ok row of each identity.
    """

    size: int = 0
    end: int = 0
    rows: int = 0
    ok: int = 0
    failed: int = 0
    done: Digests = field(default_factory=Digests)
    begun: dict[bytes, list[int]] = field(default_factory=dict)
    failing: set[bytes] = field(default_factory=set)
    first_of: dict[tuple[str, ...], tuple[Path, int]] = field(default_factory=dict)
    _said: set[bytes] = field(default_factory=set)

    def take(self, path: Path, number: int, rows: Beginnings, retried: Set[bytes]) -> None:
        """Notes rows of whole files, but for errors of `retried`.

        Args:
            number: line of the first.
        """
        digests = digests_of_bytes(path for path, _ in rows)
        if {says for _, says in rows} <= self._said:  # of the runs that are known, and no error
            self.ok += len(rows)
            self.rows += len(rows)
            self.done.extend(digests)
            return
        for place, ((_, says), digest) in enumerate(zip(rows, digests, strict=True)):
            if says:
                self.ok += 1
                self._said.add(says)
                self.first_of.setdefault(_identity(said(says)), (path, number + place))
            elif digest in retried:
                continue
            else:
                self.failed += 1
                self.failing.add(digest)
            self.rows += 1
            self.done.extend([digest])

    def take_line(self, path: Path, line: tuple[Line, bool], windows: Windows | None) -> None:
        """Notes a line and whether it stays.

        Raises:
            UsageError: it is not of these windows.
        """
        (number, text, row, is_whole), stays = line
        self.size += len(text)
        if is_whole:
            self.end = self.size
        if row is None or not stays:
            return
        self.rows += 1
        self.count(path, number, row)
        if not self.enter(row, windows):
            raise UsageError(
                f"--resume: line {number} of {path} is not of this run's --window and --hop",
                f"run with the same windows, or {OTHER_FILE}",
            )

    def count(self, path: Path, number: int, row: Row) -> None:
        """Notes the status of a row."""
        if row["status"] == "ok":
            self.ok += 1
            self.first_of.setdefault(_identity(row), (path, number))
        else:
            self.failed += 1
            self.failing.add(digest_of(identity_in(row)))

    def enter(self, row: Row, windows: Windows | None) -> bool:
        """Notes how far the input of a row is done; false where the row is not of these windows."""
        digest, window = digest_of(identity_in(row)), row.get("window")
        if (windows is None) != ("window" not in row):
            return False
        number = self._take_begun(digest) if window is None or window["start_s"] > 0 else 0
        last = _last_window(windows, number, row, window) if windows and window else None
        if window and not last:
            return False
        if last and not last.is_last:
            self.begun.setdefault(digest, []).append(last.number + 1)
        else:
            self.done.extend([digest])
        return True

    def _take_begun(self, digest: bytes) -> int:
        """The next window of the latest input of a path, which is no longer begun; 0 where there is none."""
        begun = self.begun.pop(digest, [0])
        if begun[:-1]:
            self.begun[digest] = begun[:-1]
        return begun[-1]


def identity_in(row: Row) -> str:
    """What tells the input of a row from others, as `Source.identity` does."""
    return identity_of(row["path"], row["track"], row["boxes_digest"]) if "track" in row else row["path"]


def _identity(row: Mapping[str, Any]) -> tuple[str, ...]:
    return str(row["preset"]), row["weights"], row["views"]


def read_rows(
    path: Path,
    reader: Reader,
    windows: Windows | None = None,
    retried: Set[bytes] = frozenset(),
    kept: KeptRows | None = None,
) -> KeptRows:
    """Reads a file of rows, but for errors of `retried`, see `staying_rows`.

    Args:
        kept: what the files before it say.

    Raises:
        UsageError: it is no file of rows, or has rows of other windows.
        OSError: it cannot be read.
    """
    kept = kept or KeptRows()
    kept.size = kept.end = kept.rows = 0
    if reader is json_lines and windows is None:
        _read_beginnings(path, retried, kept)
    else:
        for line in staying_rows(reader(path), retried):
            kept.take_line(path, line, windows)
    return kept


def _read_beginnings(path: Path, retried: Set[bytes], kept: KeptRows) -> None:
    """As `read_rows` of JSON lines without windows: row after row only where a block is not as we write it."""
    number = 1
    for block in blocks(path):
        found = beginnings(block)
        if found is not None:
            kept.size = kept.end = kept.size + len(block)
            kept.take(path, number, found, retried)
        else:
            for line in staying_rows(_lines_of(io.BytesIO(block), path, number), retried):
                kept.take_line(path, line, None)
        number += block.count(b"\n")


def _last_window(windows: Windows, number: int, row: Row, span: Span) -> Window | None:
    """The window that a row is about, of several the last: lost ones, or those in which one frame stands; None where
    the first is not `number`."""
    start_s, end_s, duration_s = span["start_s"], span["end_s"], row["duration_s"]
    if number and number * windows.hop_s >= duration_s:
        return None
    first = windows.at(number, duration_s)
    if first.start_s != start_s:
        return None
    if first.end_s == end_s:
        return first
    if row["status"] == "ok" and not any(tells_hold(str(warning)) for warning in row.get("warnings", ())):
        return None
    if end_s == first.duration_s:
        return replace(first, end_s=end_s, is_last=True)
    last = windows.at(round((end_s - windows.length_s) / windows.hop_s), duration_s)
    return last if last.number > number and last.end_s == end_s else None


def staying_rows(lines: Iterator[Line], retried: Set[bytes]) -> Iterator[tuple[Line, bool]]:
    """Yields each line and whether it stays: errors of `retried`, and what was torn, do not.

    After an error that does not stay, the windows behind it do not stay either.
    """
    broken: set[bytes] = set()
    for line in lines:
        _, _, row, is_whole = line
        stays = is_whole
        if row and retried and (digest := digest_of(identity_in(row))) in retried:
            if row["status"] == "error":
                broken.add(digest)
            elif "window" not in row or row["window"]["start_s"] == 0:
                broken.discard(digest)
            stays = digest not in broken
        yield line, stays


def json_lines(path: Path) -> Iterator[Line]:
    """Yields the lines of a file of JSON lines.

    Raises:
        UsageError: it is no file of rows.
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        yield from _lines_of(stream, path, 1)


def _lines_of(lines: Iterable[bytes], path: Path, first: int) -> Iterator[Line]:
    for number, line in enumerate(lines, first):
        if line.endswith(b"\n"):
            yield number, line, _row(path, number, line), True
        elif _ROW_BEGINS.startswith(line[: len(_ROW_BEGINS)]):
            yield number, line, None, False
        else:
            raise _no_row(path, number)


def _row(path: Path, number: int, line: bytes) -> Row:
    try:
        row = json.loads(line)
        keys = {"ok": ("path", *IDENTITY), "error": ("path",)}[row["status"]]
        whole = all(isinstance(row[key], str) for key in keys if key != "preset")
        if window := row.get("window"):
            seconds = (window["start_s"], window["end_s"], row["duration_s"])
            whole = whole and all(isinstance(value, int | float) for value in seconds)
        elif "window" in row:
            whole = whole and window is None and row["status"] == "error"
        if exact := row.get("path_bytes"):
            row["path"] = os.fsdecode(base64.b64decode(exact, validate=True))
        os.fsencode(row["path"])
        whole = whole and isinstance(row.get("preset"), str | None)
        if "track" in row:
            whole = whole and isinstance(row["track"], str) and isinstance(row["boxes_digest"], str)
    except (ValueError, KeyError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise _no_row(path, number)
    return cast("Row", row)


def _no_row(path: Path, number: int) -> UsageError:
    return UsageError(f"--resume: line {number} of {path} is no row of a file that `mvit predict` wrote", OTHER_FILE)
