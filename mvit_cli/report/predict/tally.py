"""Counts of the rows of a run, and what is said of them in a line."""

import time
from collections import Counter
from dataclasses import dataclass, field

from mvit_cli.records import ErrorRow, Row
from mvit_cli.report.predict.writers import begins_input

FIRST_FAILURES = 3


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
        first_failed: the first rows with status error.
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
    first_failed: list[ErrorRow] = field(default_factory=list)
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
            if len(self.first_failed) < FIRST_FAILURES:
                self.first_failed.append(row)
        window = row.get("window")
        duration_s = row.get("duration_s", 0.0)
        self.ahead = window["end_s"] / duration_s if window and duration_s else 1.0
        self.last = row

    @property
    def seconds(self) -> float:
        """Since the start."""
        return max(time.perf_counter() - self.started, 1e-3)

    def standing(self, total: int | None) -> str:
        """How far the run is: inputs done and named, clips a second, seconds left, errors.

        Args:
            total: inputs that are named; None where that is not known.
        """
        done = self.skipped + self.inputs - (self.ahead < 1)
        parts = [f"{done:,} done" if total is None else f"{done:,} of {total:,} done"]
        if self.rows > self.inputs:
            parts[0] += f", {self.rows:,} windows"
        if self.clips:
            parts.append(f"{self.clips / self.seconds:.3g} clips/s")
        position = max(self.inputs - 1, 0) + self.ahead
        if total is not None and position > 0:
            parts.append(f"{coarse((total - self.skipped - position) * self.seconds / position)} left")
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
        seconds = self.seconds
        windows = f" in {self.rows} windows" if self.rows > self.inputs else ""
        rate = f", {self.clips / seconds:.1f} clips/s" if self.clips else ""
        return f"{named} input{'s' * (named != 1)}{windows}: {', '.join(parts)}; {seconds:.1f} s{rate}"


def coarse(seconds: float) -> str:
    """A time that is only guessed: `42 s`, `7 min`, `3.5 h`."""
    if seconds < 100:
        return f"{max(seconds, 0):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
