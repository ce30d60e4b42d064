"""What a person sees on stderr while rows are made, on a terminal or in a log, and the lines at the end."""

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from mvit_cli.errors import tell
from mvit_cli.records import Row
from mvit_cli.report.predict.tally import Tally, coarse
from mvit_cli.report.predict.writers import ends_input, title_of
from mvit_cli.report.tables import printable, speaks_unicode

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from mvit_cli.report.predict.page.frames import Pictures
    from mvit_cli.report.predict.run_log import RunLog

PATH_WIDTH, LEAST_PATH_WIDTH = 40, 8
EVERY_S = 30.0
"""Seconds from one line in a log to the next."""


class HasPath(Protocol):
    """What is known of an input before it is read."""

    @property
    def path(self) -> str:
        """As rows name it."""


Named = TypeVar("Named", bound=HasPath)


class RunReport:
    """Shows progress: a line that moves where stderr is a terminal, one now and then in a log; and sums the run up.

    Args:
        quiet: nothing is written.
        rows_are_seen: rows appear on a terminal too: the progress makes way for each.
        count_inputs: counts the inputs that are named, in a thread of its own; None where they can be read only once.
        skipped: tells how many inputs were left out so far because they had their row before.
        written: files that the run writes row by row, that of the rows first.
        pictures: files that it writes when it has come to its end.
        resumes: whether --resume goes on with that file.
        log: is told the same, quiet or not.

    Attributes:
        tally: what was counted so far.
    """

    def __init__(
        self,
        *,
        quiet: bool,
        rows_are_seen: bool,
        count_inputs: Callable[[], int] | None = None,
        skipped: Callable[[], int] = lambda: 0,
        written: Sequence[Path] = (),
        pictures: Sequence[Path] = (),
        resumes: bool = False,
        log: "RunLog | None" = None,
    ) -> None:
        self.tally = Tally()
        self._quiet = quiet
        self._rows_are_seen = rows_are_seen
        self._count_inputs = count_inputs
        self._skipped = skipped
        self._written, self._pictures = tuple(written), tuple(pictures)
        self._resumes = resumes
        self._log = log
        self._total: int | None = None
        self._progress: Progress | None = None
        self._begun: deque[str] = deque()  # inputs that were taken and have no row yet
        self._phase = ""
        self._filming = ""
        self._has_spoken = False

    @contextmanager
    def showing(self) -> Iterator[None]:
        """Shows progress on stderr as long as it is open; says what stays where the run is broken off."""
        from rich.console import Console

        console = Console(stderr=True)
        if self._count_inputs and not self._quiet:
            threading.Thread(target=self._find_total, args=(self._count_inputs,), daemon=True).start()
        try:
            if self._quiet:
                yield
            elif console.is_terminal and not console.is_dumb_terminal:
                self._progress = self._drawn(console)
                with self._progress:
                    yield
            else:
                with saying(self._said_in_a_log):
                    yield
        except KeyboardInterrupt:
            self._tell_kept()
            raise

    @contextmanager
    def making_way(self) -> Iterator[None]:
        """Takes the progress off the screen while a row is written to it."""
        if not (self._progress and self._rows_are_seen):
            yield
            return
        self._progress.stop()
        try:
            yield
        finally:
            self._progress.start()

    def tell(self, notes: Iterable[str]) -> None:
        """Writes what holds for all rows."""
        for note in notes:
            if self._log:
                self._log.note(note)
            if not self._quiet:
                tell(f"note: {note}")

    def watched(self, sources: Iterable[Named]) -> Iterator[Named]:
        """The same sources, noted as they are taken: some time before their first rows."""
        for source in sources:
            self._begun.append(source.path)
            self._phase = self._phase or "decoding"
            yield source

    def at_view(self, number: int, views: int) -> None:
        """Notes how many views of those that are in the network are done."""
        self._phase = f"view {number} of {views}" if number < views else ""

    def at_frame(self, number: int, frames: int) -> None:
        """Notes how many frames of a video are written; of none: it is done."""
        self._filming = f"video: frame {number:,} of {frames:,}" if frames else ""

    def take(self, row: Row, pictures: "Pictures | None" = None) -> None:
        """Notes one row."""
        self.tally.count(row)
        self.tally.skipped = self._skipped()
        if self._begun and ends_input(row):
            self._begun.popleft()
        self._phase = "decoding" if self._begun else ""
        if self._log:
            self._log.take(row)

    def finish(self) -> None:
        """Writes the summary, where somebody looks or something failed; of a single row only what failed."""
        tally = self.tally
        tally.skipped = self._skipped()
        if self._log:
            self._log.sum_up(tally, (*self._written, *self._pictures))
        if self._quiet:
            return
        looked_at = sys.stderr.isatty() or self._has_spoken
        if tally.skipped or (tally.rows > 1 and (tally.errors or looked_at)):
            tell(tally.summary())
            self._tell_failures()
            there = [str(path) for path in (*self._written, *self._pictures) if path.exists()]
            if there:
                tell(f"written: {', '.join(there)}")
        elif tally.first_failed and not self._rows_are_seen:
            tell(f"error: {_failure(tally.first_failed[0])}")

    def line(self, width: int) -> str:
        """The line that moves: how far the run is, what it is at; cut so that it fits, its numbers last."""
        alone = self._total == 1 and self.tally.rows < 2
        standing = self._phase if alone and self._phase else self.tally.standing(self._total)
        parts = [self._filming] if alone and self._filming else [*filter(None, (standing, self._filming))]
        text = ", ".join([*parts, f"{coarse(self.tally.seconds)} gone"])
        if len(text) > width:
            return text[:width]
        room = min(width - len(text) - 2, PATH_WIDTH)
        path = printable(self._at)
        if not path or room < LEAST_PATH_WIDTH:
            return text
        return f"{text}  {path if len(path) <= room else '...' + path[3 - room :]}"

    @property
    def _at(self) -> str:
        """The input that is waited for, or the last one that is done."""
        return self._begun[0] if self._begun else self.tally.last["path"] if self.tally.last else ""

    def _said_in_a_log(self) -> str:
        self._has_spoken = True
        at = f"; at {self._at}" if self._at else ""
        what = ", ".join(filter(None, (self.tally.standing(self._total), self._filming)))
        return f"{what}, {coarse(self.tally.seconds)} gone{at}"

    def _tell_kept(self) -> None:
        if self._quiet:
            return
        rows = f"{self.tally.rows:,} row{'s' * (self.tally.rows != 1)}"
        if not self._written:
            tell(f"{rows} were written")
            return
        further = "; the same command with --resume goes on" if self._resumes else ""
        tell(f"{rows} of this run are kept in {self._written[0]}{further}")

    def _tell_failures(self) -> None:
        """The first inputs that failed, where no row says it on the screen."""
        if self._rows_are_seen:
            return
        shown = self.tally.first_failed
        for row in shown:
            tell(f"failed: {_failure(row)}")
        if more := self.tally.errors.total() - len(shown):
            tell(f"failed: {more:,} more")

    def _find_total(self, count_inputs: Callable[[], int]) -> None:
        self._total = count_inputs()

    def _drawn(self, console: "Console") -> "Progress":
        from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task
        from rich.text import Text

        line = self.line

        class Line(ProgressColumn):
            def render(self, task: Task) -> Text:
                return Text(line(console.width - 2), no_wrap=True, overflow="crop")

        progress = Progress(SpinnerColumn(_spinner()), Line(), console=console, transient=True)
        progress.add_task("", total=None)
        return progress


@contextmanager
def loading(what: str, *, quiet: bool, downloads: bool = False) -> Iterator[None]:
    """Says what is waited for before the first row.

    Args:
        what: is loaded.
        quiet: nothing is written.
        downloads: it has a progress of its own.
    """
    if quiet or (downloads and sys.stderr.isatty()):
        yield
        return
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal and not console.is_dumb_terminal:
        with console.status(f"loading {printable(what)} ...", spinner=_spinner()):
            yield
        return
    since = time.perf_counter()
    with saying(lambda: f"loading {what}, {coarse(time.perf_counter() - since)} gone"):
        yield


@contextmanager
def saying(what: Callable[[], str]) -> Iterator[None]:
    """Writes a line with the time every now and then, as long as it is open: for a log."""
    done = threading.Event()

    def speak() -> None:
        while not done.wait(EVERY_S):
            tell(f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S} {what()}")

    speaker = threading.Thread(target=speak, daemon=True)
    speaker.start()
    try:
        yield
    finally:
        done.set()
        speaker.join()


def _spinner() -> str:
    return "dots" if speaks_unicode(sys.stderr) else "line"


def _failure(row: Row) -> str:
    assert row["status"] == "error"
    return f"{title_of(row)}: {row['error']['message']}"
