"""The page while it is written: input after input; memory never has all of it, and a killed run leaves what it had."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mvit_cli.errors import MViTError, UsageError
from mvit_cli.records import Row
from mvit_cli.report.page.templates import rendered
from mvit_cli.report.predict.events import Events
from mvit_cli.report.predict.page.about import About, beginning_of, ending_of
from mvit_cli.report.predict.page.entries import Entry, entry_html, entry_of, entry_of_windows
from mvit_cli.report.predict.page.frames import Pictures
from mvit_cli.report.predict.page.overview import Overview
from mvit_cli.report.predict.page.timeline import Key, Timeline
from mvit_cli.report.predict.tally import Tally
from mvit_cli.report.predict.writers import begins_input, encoded, ends_input

if TYPE_CHECKING:
    from markupsafe import Markup

WHOLE_STRIPS = 24
"""Inputs of which every clip is shown; of those after them a poster, so that a page of thousands stays small."""

STATE_BYTES = 600
OVERVIEW_BYTES = 16 << 10
OFTEN_S = 1.0
"""Seconds after which what changes with each row is written anew; at the end it always is."""


class Page:
    """Writes the page on a run; a context: on the way out the page is completed, whatever the reason.

    Some places are put right as the run goes on: the line that tells its state, the overview above the table, the
    windows of the video that is being recognised, and, with the second input, how the first looks: alone it is shown in
    full, else as a line.

    Args:
        path: the file; what it had is gone.
        about: what holds for all rows.
        after: what stands below the rows, asked for when they are all there.
    """

    def __init__(self, path: Path, about: About, after: "Callable[[], Markup] | None" = None) -> None:
        self._path = path
        self._about = about
        self._after = after
        self._tally = Tally()
        self._earlier: Row | None = None
        self._latest: Row | None = None
        self._key = Key()
        self._overview = Overview(self._key, about.notes, about.job.found)
        self._overview_s = 0.0  # when it was written
        self._rows = self._entries = 0
        self._timeline: Timeline | None = None  # of the input whose windows are coming
        self._timeline_s = 0.0
        self._entry_at = 0  # where the latest entry stands
        self._fewer = False  # whether some input has a poster only
        self._alone: list[tuple[int, bytes]] = []  # places, and what stands there once there is a second input
        try:
            self._stream = path.open("wb")
        except OSError as error:
            raise MViTError(f"--report {path}: {error.strerror}", "choose another place") from error

    def __enter__(self) -> "Page":
        try:
            self._begin()
        except BaseException:
            self._close()
            raise
        return self

    def _begin(self) -> None:
        self._append(encoded(beginning_of(self._about)))
        self._state_at = self._append(self._state("Not finished: the run has just begun."))
        self._append(b"<main>\n")
        self._overview_at = self._append(b" " * OVERVIEW_BYTES + b"\n")
        self._append(encoded(rendered("predict/page/results.html")))
        opening = b'<table role="table" class="files one">\n'
        start = self._append(opening + encoded(rendered("predict/page/head.html")))
        self._alone.append((start + opening.index(b" one"), b" all"))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._end_windows()
            self._write_overview()
            self._append(
                encoded(ending_of(self._about, self._pictures_left_out(), self._after() if self._after else ""))
            )
            stopped = "Stopped before the end. " if kind else ""
            self._patch(self._state_at, self._state(stopped + self._told(), done=not stopped))
        except MViTError:
            if kind is None:  # else the first failure is the one to tell
                raise
        finally:
            self._close()

    def wanted(self, number: int) -> Literal["poster", "strips"]:
        """Which pictures the page takes of an input, numbered from 0."""
        return "strips" if number < WHOLE_STRIPS else "poster"

    def take(self, row: Row, pictures: Pictures | None = None) -> None:
        """Writes what the page has of one row, and gives it on at once.

        Raises:
            MViTError: it could not be written.
        """
        self._tally.count(row)
        self._add(row, pictures)

    def look_back(self, row: Row) -> None:
        """Writes a row of an earlier run, whose pictures are gone.

        Raises:
            UsageError: it is no such row.
            MViTError: it could not be written.
        """
        try:
            self._tally.skipped += begins_input(row, self._earlier)
            self._earlier = row
            self._add(row, None)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise UsageError(
                f"--report: row {self._rows} of earlier runs is not one that this mvit writes",
                "leave --resume out to begin anew, or leave --report out",
            ) from error

    def _add(self, row: Row, pictures: Pictures | None) -> None:
        self._rows += 1
        begins = begins_input(row, self._latest)
        self._latest = row
        if row.get("window"):
            self._add_window(row, pictures, begins)
        else:
            self._end_windows()
            self._entries += 1
            self._fewer |= pictures is not None and not pictures.strips
            self._begin_entry(entry_of(row, self._entries, pictures, self._about.notes))
        self._overview.count(row)
        if time.monotonic() - self._overview_s > OFTEN_S:
            self._write_overview()
        self._patch(self._state_at, self._state(f"Not finished, or cut off. So far {self._told()}."))

    def _add_window(self, row: Row, pictures: Pictures | None, begins: bool) -> None:
        """One input is one entry, which is written anew as its windows come."""
        if begins or self._timeline is None:
            self._end_windows()
            self._entries += 1
            about = self._about
            events = Events(about.merging)
            self._timeline = Timeline(self._entries, row["path"], self._key, about.notes, events)
        first = self._timeline.windows == 0
        self._timeline.add(row, pictures)
        if first:
            self._begin_entry(entry_of_windows(self._timeline))
            self._timeline_s = time.monotonic()
        elif time.monotonic() - self._timeline_s > OFTEN_S:
            self._write_entry(entry_of_windows(self._timeline))
            self._timeline_s = time.monotonic()
        if ends_input(row):
            self._end_windows()

    def _end_windows(self) -> None:
        if self._timeline:
            self._timeline.end()
            self._write_entry(entry_of_windows(self._timeline))
        self._timeline = None

    def _begin_entry(self, entry: Entry) -> None:
        self._entry_at = self._end()
        self._write_entry(entry)
        if self._entries == 2:
            for place, bytes_there in self._alone:
                self._patch(place, bytes_there)

    def _write_entry(self, entry: Entry) -> None:
        """Writes the latest entry in its place; it is the last in the file."""
        alone = self._entries == 1
        part = encoded(entry_html(entry, opened=alone, heat=self._about.heat)) + b"\n"
        self._put(part, self._entry_at, 0, truncate=True)
        if alone:
            opened = self._entry_at + part.index(b"<details open>") + len(b"<details")
            self._alone[1:] = [(opened, b" " * len(b" open"))]

    def _write_overview(self) -> None:
        if self._entries > 1 or self._overview.windows:
            part = encoded(self._overview.html(OVERVIEW_BYTES))
            self._patch(self._overview_at, part.ljust(OVERVIEW_BYTES))
        self._overview_s = time.monotonic()

    def _told(self) -> str:
        """What there is so far."""
        if not self._about.job.only_wrong:
            return self._tally.summary()
        wrong, failed = self._overview.states.total() - self._overview.states["failed"], self._overview.states["failed"]
        return f"{wrong:,} clip{'s are' if wrong != 1 else ' is'} wrong, {failed:,} failed"

    def _state(self, told: str, done: bool = False) -> bytes:
        """The line on the state of the run, always as long."""
        line = rendered("predict/page/state.html", told=told, done=done)
        return encoded(line).ljust(STATE_BYTES) + b"\n</header>\n"

    def _pictures_left_out(self) -> str:
        if not self._fewer:
            return ""
        return f"Every clip is shown of the first {WHOLE_STRIPS} inputs, of the others a few frames."

    def _close(self) -> None:
        with suppress(OSError):  # every part was flushed
            self._stream.close()

    def _append(self, data: bytes) -> int:
        """Writes at the end; returns where it stands."""
        return self._put(data, 0, 2)

    def _patch(self, place: int, data: bytes) -> None:
        self._put(data, place, 0)

    def _end(self) -> int:
        return self._put(b"", 0, 2)

    def _put(self, data: bytes, offset: int, whence: int, *, truncate: bool = False) -> int:
        try:
            place = self._stream.seek(offset, whence)
            self._stream.write(data)
            if truncate:
                self._stream.truncate()
            self._stream.flush()
        except OSError as error:
            raise MViTError(f"--report {self._path}: {error.strerror}", "make room, or name another place") from error
        return place
