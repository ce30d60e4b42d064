"""Rows as comma- or tab-separated values for spreadsheets and data frames, and the way back for `--resume`."""

import base64
import csv
import io
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from mvit_cli.errors import UsageError
from mvit_cli.records import Row
from mvit_cli.report.predict.writers import encoded, in_unicode, path_bytes

if TYPE_CHECKING:
    from mvit_cli.findings import EventRow
    from mvit_cli.report.predict.page.frames import Pictures

SEPARATORS = {"csv": ",", "tsv": "\t"}

BEGINS_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""First characters that make a formula of a cell (OWASP, "CSV Injection"); the last four are full-width signs."""
MARK = "'"
"""Stands before such a cell, and before one that begins with it: each has one way back."""

FIRST, BOUNDS, RUN = ("path", "status"), ("start_s", "end_s"), ("preset", "weights", "views")
TRACK = ("track", "boxes_digest")
"""Of runs with boxes."""
LAST = ("error_kind", "error_message", "duration_s", "clips", "warnings", "path_bytes")
RANKED = ("label", "score", "index")
ON_DEMAND = ("reader", "device", "dtype", "activation", "decode_ms", "model_ms", "error_hint")
"""Columns that are there only where they are asked for, as `index_1` and so on."""
ALL_COLUMNS = (*FIRST, *TRACK, *BOUNDS, *RUN, *LAST, *ON_DEMAND)
FOR_RESUME = (*FIRST, *RUN, "path_bytes")
"""Columns without which nobody knows what the rows of a file are about."""
EVENT_COLUMNS = (*FIRST, *BOUNDS, "label", "score", "windows", "error_kind", "error_message", "path_bytes")
"""Of events: always these."""
BETWEEN_WARNINGS = " | "
LONGEST_CELL = 1 << 26

Line = tuple[int, bytes, Row | None, bool]
"""Number and text of a line, its row, and whether it stays without one: as the journal of a run takes lines."""


def usual_columns(top: int, *, in_windows: bool, of_tracks: bool = False) -> tuple[str, ...]:
    """The columns of a run that asks for none in particular: nothing that stands in its rows changes them.

    Args:
        top: classes a row.
        in_windows: whether rows tell which seconds of the path they are about.
        of_tracks: whether rows are of tracks.
    """
    ranks = [f"{name}_{rank}" for rank in range(1, top + 1) for name in ("label", "score")]
    return (*FIRST, *(TRACK if of_tracks else ()), *(BOUNDS if in_windows else ()), *RUN, *ranks, *LAST)


def named_columns(text: str) -> tuple[str, ...]:
    """`path,label_1,score_1` -> these columns.

    Raises:
        UsageError: none, one twice, or one that there is not.
    """
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if not _is_column(name):
            raise UsageError(f"--columns: there is no column {name!r}", _near_column(name))
    if not names or len(set(names)) < len(names):
        wrong = "names a column twice" if names else "names no column"
        raise UsageError(f"--columns {text!r} {wrong}", "give them with commas, as path,label_1,score_1")
    return names


def _is_column(name: str) -> bool:
    return name in ALL_COLUMNS or bool(re.fullmatch(rf"({'|'.join(RANKED)})_[1-9]\d{{0,4}}", name, re.ASCII))


def _near_column(name: str) -> str:
    import difflib

    ranked = [f"{kind}_1" for kind in RANKED]
    near = difflib.get_close_matches(name, (*ALL_COLUMNS, *ranked), n=3)
    return f"nearest: {', '.join(near)}" if near else f"there are {', '.join((*ALL_COLUMNS, *ranked))} ..."


class SeparatedValues:
    """A line a row, a heading first; text is quoted where it needs it.

    Args:
        stream: where to.
        separator: stands between two values.
        columns: as of `usual_columns` or `named_columns`.
        safe: no cell is a formula for a spreadsheet that opens the file.
        heading: whether the heading is still to be written.
    """

    def __init__(
        self, stream: BinaryIO, separator: str, columns: Sequence[str], *, safe: bool = False, heading: bool = True
    ) -> None:
        self._stream, self._separator, self._columns, self._safe = stream, separator, columns, safe
        if heading:
            self._write(columns)

    def take(self, row: "Row | EventRow", pictures: "Pictures | None" = None) -> None:
        """Writes and flushes a line."""
        values = _values(row)
        self._write([values.get(column, "") for column in self._columns])

    def close(self) -> None:
        """Nothing comes after the last line."""

    def _write(self, cells: Sequence[object]) -> None:
        self._stream.write(line_of(cells, self._separator, safe=self._safe))
        self._stream.flush()


def line_of(cells: Sequence[object], separator: str, *, safe: bool = False) -> bytes:
    """One line. A safe one has all text in quotes: what separates values elsewhere begins no cell either."""
    told = [_safe(cell) if safe and isinstance(cell, str) else cell for cell in cells]
    text = io.StringIO(newline="")
    # The module quotes the line ends it writes: with "\r\n" both of them, wherever they stand in a path.
    writer = csv.writer(
        text,
        delimiter=separator,
        lineterminator="\r\n",
        quoting=csv.QUOTE_NONNUMERIC if safe else csv.QUOTE_MINIMAL,
    )
    writer.writerow(told)
    return encoded(text.getvalue().removesuffix("\r\n") + "\n")


def _safe(text: str) -> str:
    return MARK + text if text.startswith((MARK, *BEGINS_FORMULA)) else text


def _values(row: "Row | EventRow") -> dict[str, object]:
    """What the columns have of a row; a column without a value is empty."""
    if "windows" in row:
        event = cast("EventRow", row)
        exact = path_bytes(event["path"]) or ""
        return {**event, "path": in_unicode(event["path"]), "label": in_unicode(event["label"]), "path_bytes": exact}
    values: dict[str, object] = {
        "path": in_unicode(row["path"]),
        "status": row["status"],
        "path_bytes": path_bytes(row["path"]) or "",
        **(row.get("window") or {}),
        "duration_s": row.get("duration_s", ""),
        **{name: in_unicode(str(row[name])) for name in TRACK if name in row},  # type: ignore[literal-required]
    }
    if row["status"] == "error":
        return values | {f"error_{part}": in_unicode(str(text)) for part, text in row["error"].items()}
    values |= {name: in_unicode(str(row[name] or "")) for name in (*RUN, "reader", "device", "dtype", "activation")}  # type: ignore[literal-required]
    for rank, entry in enumerate(row["predictions"], 1):
        values |= {f"{name}_{rank}": entry[name] for name in RANKED}  # type: ignore[literal-required]
    return values | {
        "clips": " ".join(f"{clip['start_s']}-{clip['end_s']}" for clip in row["clips"]),
        "warnings": in_unicode(BETWEEN_WARNINGS.join(row["warnings"])),
        "decode_ms": row["timing_ms"]["decode"],
        "model_ms": row["timing_ms"]["model"],
    }


@dataclass(frozen=True)
class SeparatedFile:
    """A file of such rows that a later run goes on with.

    Attributes:
        separator: stands between two values.
        columns: those that were asked for; none: those that the file has.
        safe: as of `SeparatedValues`.
        in_windows: whether the run cuts videos into windows.
        of_tracks: whether its rows are of tracks.
    """

    separator: str
    columns: tuple[str, ...] = ()
    safe: bool = False
    in_windows: bool = False
    of_tracks: bool = False

    def lines(self, path: Path) -> Iterator[Line]:
        """Yields its lines, each with what `--resume` wants of a row: what it is about, not what was recognised.

        Raises:
            UsageError: it is no such file, has other columns, or was written with another `--csv-safe`.
            OSError: it cannot be read.
        """
        columns: tuple[str, ...] = ()
        limit = csv.field_size_limit(LONGEST_CELL)
        try:
            for number, text, is_whole in _records(path):
                if is_whole and columns:
                    yield number, text, self._row(path, number, text, columns), True
                elif is_whole:
                    columns = self._columns_in(path, text)
                    yield number, text, None, True
                elif columns or self._begins_heading(text):
                    yield number, text, None, False
                else:
                    raise _no_rows(path, number)
        finally:
            csv.field_size_limit(limit)

    def columns_of(self, path: Path) -> tuple[str, ...]:
        """The columns of a file that has a heading; raises as `lines`."""
        _, heading, _ = next(_records(path))
        return self._columns_in(path, heading)

    def _columns_in(self, path: Path, heading: bytes) -> tuple[str, ...]:
        columns = tuple(self._cells(path, 1, heading))
        if not all(map(_is_column, columns)):
            raise _no_rows(path, 1)
        if heading == line_of(columns, self.separator, safe=not self.safe):
            wrong = "was written without --csv-safe" if self.safe else "was written with --csv-safe"
            raise UsageError(f"--resume: {path} {wrong}", "say the same as the run before, or name another file")
        if heading != line_of(columns, self.separator, safe=self.safe):
            raise _no_rows(path, 1)
        if self.columns and columns != self.columns:
            raise UsageError(f"--resume: {path} has the columns {','.join(columns)}", "leave --columns out")
        needed = {*FOR_RESUME, *(TRACK if self.of_tracks else ())}
        needed |= {*BOUNDS, "duration_s"} if self.in_windows else set()
        if missing := sorted(needed.difference(columns)):
            raise UsageError(
                f"--resume: {path} lacks the columns {', '.join(missing)}: what its rows are about is not known",
                "name another file with --output, or leave --resume out to begin anew",
            )
        return columns

    def _begins_heading(self, text: bytes) -> bool:
        expected = line_of(self.columns or FIRST, self.separator, safe=self.safe).removesuffix(b"\n")
        return text.startswith(expected) or expected.startswith(text)

    def _cells(self, path: Path, number: int, text: bytes) -> list[str]:
        try:
            stream = io.StringIO(text.decode("utf-8"), newline="")
            (cells,) = csv.reader(stream, delimiter=self.separator, strict=True)
        except (ValueError, csv.Error):
            raise _no_rows(path, number) from None
        return [cell.removeprefix(MARK) for cell in cells] if self.safe else cells

    def _row(self, path: Path, number: int, text: bytes, columns: tuple[str, ...]) -> Row:
        try:
            cells = dict(zip(columns, self._cells(path, number, text), strict=True))
            exact = base64.b64decode(cells["path_bytes"], validate=True)
            row: dict[str, Any] = {"path": os.fsdecode(exact) if exact else cells["path"], "status": cells["status"]}
            if row["status"] not in ("ok", "error") or not row["path"]:
                raise ValueError
            if cells.get("start_s"):
                row["window"] = {name: float(cells[name]) for name in BOUNDS}
                row["duration_s"] = float(cells["duration_s"])
                row["warnings"] = cells.get("warnings", "").split(BETWEEN_WARNINGS)
            elif self.in_windows and row["status"] == "error":
                row["window"] = None
            if cells.get("track"):
                row |= {name: cells[name] for name in TRACK}
        except (ValueError, KeyError):
            raise _no_rows(path, number) from None
        return cast(
            "Row", row | {"preset": cells["preset"] or None, "weights": cells["weights"], "views": cells["views"]}
        )


def _records(path: Path) -> Iterator[tuple[int, bytes, bool]]:
    """Yields each record of a file, which may go over several lines, with the number of its first, and if it is whole.

    A quote within a value is doubled: a record ends where a line does and its quotes are even.
    """
    with path.open("rb") as stream:
        first, lines, quotes = 1, list[bytes](), 0
        for number, line in enumerate(stream, 1):
            lines.append(line)
            quotes += line.count(b'"')
            if line.endswith(b"\n") and quotes % 2 == 0:
                yield first, b"".join(lines), True
                first, lines = number + 1, []
        if lines:
            yield first, b"".join(lines), False


def _no_rows(path: Path, number: int) -> UsageError:
    return UsageError(
        f"--resume: line {number} of {path} is no row of a file that `mvit predict` wrote in this format",
        "name another file with --output, or leave --resume out to begin anew",
    )
