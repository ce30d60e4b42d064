"""The page while it is written: row after row, so that neither memory nor a run that is killed ever has all of it."""

import base64
import hashlib
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Literal

from mvit_cli.errors import MViTError, UsageError
from mvit_cli.records import Row
from mvit_cli.report.predict.page.about import About, classes_section, network_section, run_section, weights_section
from mvit_cli.report.predict.page.inputs import Pictures, file_rows, head
from mvit_cli.report.predict.page.markup import Html, join, tag
from mvit_cli.report.predict.progress import Tally
from mvit_cli.report.predict.writers import begins_input, encoded
from mvit_cli.report.summarize.stage_tables import headline

WHOLE_STRIPS = 24
"""Inputs of which every clip is shown; of those after them a poster, so that a page of thousands stays small."""

STATE_BYTES = 600


class Page:
    """Writes the page on a run; a context: on the way out the page is completed, whatever the reason.

    Two things are put right in their place as the run goes on: the line that tells its state, and, with the second row,
    how the first looks: alone it is shown in full, else a line of an index.

    Args:
        path: the file; what it had is gone.
        about: what holds for all rows.
        after: what stands below the rows, asked for when they are all there.
    """

    def __init__(self, path: Path, about: About, after: Callable[[], Html] | None = None) -> None:
        self._path = path
        self._about = about
        self._after = after
        self._tally = Tally()
        self._earlier: Row | None = None
        self._found: Counter[str] = Counter()
        self._rows = 0
        self._fewer = False  # whether some input has a poster only
        self._alone: list[tuple[int, bytes]] = []  # places, and what stands there once there is a second row
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
        self._write(_beginning(self._about))
        self._state_at = self._write(self._state("Not finished: the run has just begun."))
        opening = '<main><section id="results"><h2>Results</h2><table class="files one">'
        start = self._write(Html(opening) + head())
        self._alone.append((start + opening.index(" one"), b" all"))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._write(self._ending())
            stopped = "Stopped before the end. " if kind else ""
            self._patch(self._state_at, self._state(stopped + self._tally.summary(), done=not stopped))
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
        self._fewer |= pictures is not None and not pictures.strips
        if row["status"] == "ok":
            self._found[row["predictions"][0]["label"]] += 1
        first = self._rows == 1
        part = file_rows(row, self._rows, pictures, self._about.notes, opened=first)
        start = self._write(part)
        if first and " open>" in part:
            self._alone.append((start + encoded(part).index(b"<details open>") + len(b"<details"), b" " * 5))
        if self._rows == 2:
            for place, bytes_there in self._alone:
                self._patch(place, bytes_there)
        self._patch(self._state_at, self._state(f"Not finished, or cut off. So far {self._tally.summary()}."))

    def _state(self, told: str, done: bool = False) -> bytes:
        """The line on the state of the run, always as long."""
        line = tag("p", told, class_="state" if done else "state unfinished", role="status")
        return encoded(line).ljust(STATE_BYTES) + b"</header>\n"

    def _ending(self) -> Html:
        about = self._about
        less = (
            f"Every clip is shown of the first {WHOLE_STRIPS} inputs (of a film its first windows), else a few frames."
        )
        return join(
            (
                Html("</table>"),
                tag("p", less, class_="dim") if self._fewer else "",
                Html("</section>\n"),
                self._after() if self._after else "",
                classes_section(self._found),
                network_section(about),
                Html('<div class="pair">'),
                weights_section(about),
                run_section(about),
                Html("</div></main>\n</body>\n</html>\n"),
            )
        )

    def _close(self) -> None:
        with suppress(OSError):  # every part was flushed
            self._stream.close()

    def _write(self, part: str | bytes) -> int:
        """Appends; returns where it stands."""
        data = part if isinstance(part, bytes) else encoded(part + "\n")
        return self._put(data, 0, 2)

    def _patch(self, place: int, data: bytes) -> None:
        self._put(data, place, 0)

    def _put(self, data: bytes, offset: int, whence: int) -> int:
        try:
            place = self._stream.seek(offset, whence)
            self._stream.write(data)
            self._stream.flush()
        except OSError as error:
            raise MViTError(f"--report {self._path}: {error.strerror}", "make room, or name another place") from error
        return place


def _beginning(about: About) -> Html:
    """All that stands before the line on the state."""
    style, script = (files(__package__).joinpath(name).read_text("utf-8") for name in ("page.css", "page.js"))
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    heads = (
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=Html(policy)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="generator", content="mvit"),
        tag("title", f"{about.name}: mvit predict"),
        tag("style", Html(style)),
        tag("script", Html(script)),
    )
    notes = tag("ul", *(tag("li", note) for note in about.notes), class_="warnings") if about.notes else ""
    shared = f"{about.weights}, {about.run['views']} views, {about.run['device']} {about.run['dtype']}"
    return join(
        (
            Html('<!doctype html>\n<html lang="en">\n<head>\n'),
            Html("\n".join(heads)),
            Html("\n</head>\n<body>\n<header>"),
            tag("p", "mvit predict", class_="brand"),
            tag("h1", about.name),
            tag("p", shared, class_="lead"),
            tag("p", headline(about.model), class_="dim"),
            notes,
        )
    )


def _digest(content: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
