"""What a person sees on stderr while rows are made, and the line at the end."""

import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mvit_cli.report.tables import speaks_unicode
from mvit_cli.report.terminal import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

Row = dict[str, Any]


class RunReport:
    """Counts rows, shows progress where stderr is a terminal, and sums the run up.

    Args:
        quiet: nothing is written.
        rows_are_seen: rows appear on a terminal too: the progress makes way for each.

    Attributes:
        skipped: inputs that had their row before.
    """

    def __init__(self, *, quiet: bool, rows_are_seen: bool) -> None:
        self.errors: Counter[str] = Counter()
        self.ok = 0
        self.skipped = 0
        self._quiet = quiet
        self._rows_are_seen = rows_are_seen
        self._started = time.perf_counter()
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._last_failed: Row | None = None

    @contextmanager
    def showing(self) -> Iterator[None]:
        """Shows progress on stderr as long as it is open."""
        from rich.console import Console

        console = Console(stderr=True)
        if self._quiet or not console.is_terminal or console.is_dumb_terminal:
            yield
            return
        self._progress = self._drawn(console)
        self._task = self._progress.add_task("", total=None, failed="", path="")
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
            print(f"note: {printable(note)}", file=sys.stderr)

    def count(self, row: Row) -> None:
        """Notes one row."""
        if row["status"] == "ok":
            self.ok += 1
        else:
            self.errors[row["error"]["kind"]] += 1
            self._last_failed = row
        if self._progress and self._task is not None:
            failed = f", {self.errors.total()} failed" if self.errors else ""
            self._progress.update(self._task, advance=1, failed=failed, path=printable(row["path"])[-40:])

    def summary(self) -> str:
        """One line: inputs, errors by kind, time."""
        total = self.ok + self.errors.total()
        parts = [f"{self.ok} ok"]
        if self.errors:
            kinds = ", ".join(f"{kind} {number}" for kind, number in self.errors.most_common())
            parts.append(f"{self.errors.total()} failed ({kinds})")
        if self.skipped:
            parts.append(f"{self.skipped} skipped (done before)")
        seconds, named = time.perf_counter() - self._started, total + self.skipped
        rate = f", {total / seconds:.1f} a second" if total else ""
        return f"{named} input{'s' * (named != 1)}: {', '.join(parts)}; {seconds:.1f} s{rate}"

    def finish(self) -> None:
        """Writes the summary, where somebody looks or something failed; of a single input only what failed."""
        total = self.ok + self.errors.total()
        if self._quiet:
            return
        if self.skipped:
            print(self.summary(), file=sys.stderr)
        elif total == 0:
            print("note: no input was named", file=sys.stderr)
        elif total > 1 and (self.errors or sys.stderr.isatty()):
            print(self.summary(), file=sys.stderr)
        elif self._last_failed and not self._rows_are_seen:
            message = f"{self._last_failed['path']}: {self._last_failed['error']['message']}"
            print(f"error: {printable(message)}", file=sys.stderr)

    @staticmethod
    def _drawn(console: "Console") -> "Progress":
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        return Progress(
            SpinnerColumn("dots" if speaks_unicode(sys.stderr) else "line"),
            TextColumn("{task.completed:.0f} done{task.fields[failed]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("{task.fields[path]}", markup=False, style="dim"),
            console=console,
            transient=True,
        )
