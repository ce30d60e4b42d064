"""What a person sees on stderr while rows are made, and the line at the end."""

import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mvit_cli.errors import tell
from mvit_cli.records import ErrorRow, Row
from mvit_cli.report.predict.writers import begins_input
from mvit_cli.report.tables import printable, speaks_unicode

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from mvit_cli.report.predict.page.frames import Pictures

PATH_WIDTH = 40


@dataclass
class Tally:
    """Counts rows.

    Attributes:
        inputs: inputs with a row so far.
        rows: rows so far, several an input where videos are cut into windows.
        ok: rows with status ok.
        errors: rows with status error, by kind.
        clips: clips that were recognised.
        skipped: inputs that had their row before.
        ahead: how much of the latest input its rows are about, 0 to 1.
        last: the latest row.
        last_failed: the latest row with status error.
        started: on the clock of `time.perf_counter`.
    """

    inputs: int = 0
    rows: int = 0
    ok: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    clips: int = 0
    skipped: int = 0
    ahead: float = 0.0
    last: Row | None = None
    last_failed: ErrorRow | None = None
    started: float = field(default_factory=time.perf_counter)

    def count(self, row: Row) -> None:
        """Notes one row."""
        self.inputs += begins_input(row, self.last)
        self.rows += 1
        if row["status"] == "ok":
            self.ok += 1
            self.clips += len(row["clips"])
        else:
            self.errors[row["error"]["kind"]] += 1
            self.last_failed = row
        window = row.get("window")
        duration_s = row.get("duration_s", 0.0)
        self.ahead = window["end_s"] / duration_s if window and duration_s else 1.0
        self.last = row

    def standing(self, total: int | None) -> str:
        """How far the run is: inputs done and named, clips a second, seconds left, errors.

        Args:
            total: inputs that are named; None where that is not known.
        """
        elapsed_s = max(time.perf_counter() - self.started, 1e-3)
        done = self.skipped + self.inputs - (self.ahead < 1)
        parts = [f"{done:,} done" if total is None else f"{done:,} of {total:,} done"]
        if self.rows > self.inputs:
            parts[0] += f", {self.rows:,} windows"
        if self.clips:
            parts.append(f"{self.clips / elapsed_s:.3g} clips/s")
        position = max(self.inputs - 1, 0) + self.ahead
        if total is not None and position > 0:
            parts.append(f"{_coarse((total - self.skipped - position) * elapsed_s / position)} left")
        if self.errors:
            parts.append(f"{self.errors.total():,} failed")
        return ", ".join(parts)

    def summary(self) -> str:
        """One line: inputs, errors by kind, time."""
        named = self.inputs + self.skipped
        parts = [f"{self.ok} ok"]
        if self.errors:
            kinds = ", ".join(f"{kind} {number}" for kind, number in self.errors.most_common())
            parts.append(f"{self.errors.total()} failed ({kinds})")
        if self.skipped:
            parts.append(f"{self.skipped} skipped (done before)")
        seconds = time.perf_counter() - self.started
        windows = f" in {self.rows} windows" if self.rows > self.inputs else ""
        rate = f", {self.clips / seconds:.1f} clips/s" if self.clips else ""
        return f"{named} input{'s' * (named != 1)}{windows}: {', '.join(parts)}; {seconds:.1f} s{rate}"


class RunReport:
    """Shows progress where stderr is a terminal, and sums the run up.

    Args:
        quiet: nothing is written.
        rows_are_seen: rows appear on a terminal too: the progress makes way for each.
        count_inputs: counts the inputs that are named, in a thread of its own; None where they can be read only once.
        skipped: tells how many inputs were left out so far because they had their row before.

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
    ) -> None:
        self.tally = Tally()
        self._quiet = quiet
        self._rows_are_seen = rows_are_seen
        self._count_inputs = count_inputs
        self._skipped = skipped
        self._total: int | None = None
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    @contextmanager
    def showing(self) -> Iterator[None]:
        """Shows progress on stderr as long as it is open."""
        from rich.console import Console

        console = Console(stderr=True)
        if self._quiet or not console.is_terminal or console.is_dumb_terminal:
            yield
            return
        self._progress = self._drawn(console)
        self._task = self._progress.add_task("", total=None, standing="", path="")
        if self._count_inputs:
            threading.Thread(target=self._find_total, args=(self._count_inputs,), daemon=True).start()
        with self._progress:
            yield

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
        for note in notes if not self._quiet else ():
            tell(f"note: {note}")

    def take(self, row: Row, pictures: "Pictures | None" = None) -> None:
        """Notes one row."""
        self.tally.count(row)
        self.tally.skipped = self._skipped()
        if self._progress and self._task is not None:
            path = printable(row["path"])[-PATH_WIDTH:]
            self._progress.update(self._task, standing=self.tally.standing(self._total), path=path)

    def finish(self) -> None:
        """Writes the summary, where somebody looks or something failed; of a single row only what failed."""
        tally = self.tally
        tally.skipped = self._skipped()
        if self._quiet:
            return
        if tally.skipped or (tally.rows > 1 and (tally.errors or sys.stderr.isatty())):
            tell(tally.summary())
        elif tally.last_failed and not self._rows_are_seen:
            message = f"{tally.last_failed['path']}: {tally.last_failed['error']['message']}"
            tell(f"error: {message}")

    def _find_total(self, count_inputs: Callable[[], int]) -> None:
        self._total = count_inputs()

    @staticmethod
    def _drawn(console: "Console") -> "Progress":
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        return Progress(
            SpinnerColumn("dots" if speaks_unicode(sys.stderr) else "line"),
            TextColumn("{task.fields[standing]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("{task.fields[path]}", markup=False, style="dim"),
            console=console,
            transient=True,
        )


def _coarse(seconds: float) -> str:
    """A time that is only guessed: `42 s`, `7 min`, `3.5 h`."""
    if seconds < 100:
        return f"{max(seconds, 0):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
