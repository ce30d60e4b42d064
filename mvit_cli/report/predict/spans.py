"""A long video for a person at a terminal: which class it is from when to when."""

from collections import Counter
from typing import TYPE_CHECKING

from mvit_cli.records import ErrorRow, Row, Run, Summary
from mvit_cli.report.formats import bar, clock, percent
from mvit_cli.report.predict.events import AS_THEY_ARE, Event, Inputs, Merging
from mvit_cli.report.predict.terminal import Screen, error_lines, paragraphs, shortened
from mvit_cli.report.tables import ascii_text, printable

if TYPE_CHECKING:
    from mvit_cli.report.predict.page.frames import Pictures

BAR_WIDTH = 10
MAX_WARNINGS = 5


WITH_BARS = 60
"""Columns from which on bars have room beside times, scores and labels."""


class Timelines:
    """Writes a line on the run, then for each input its events, each as soon as it is complete.

    It is told what `PredictionBlocks` is told; the stages come below.
    """

    def __init__(
        self,
        screen: Screen,
        run: Run,
        notes: tuple[str, ...],
        model: Summary | None,
        merging: Merging = AS_THEY_ARE,
    ) -> None:
        self._screen = screen
        self._notes = notes
        self._model = model
        self._inputs = Inputs(self, merging)
        self._duration_s = 0.0
        self._warnings: Counter[str] = Counter()
        screen.show_heading(run, notes)

    def take(self, row: Row, pictures: "Pictures | None" = None) -> None:
        """Takes one row in; writes what is complete."""
        self._inputs.take(row)

    def close(self) -> None:
        """Writes what is left, and the stages."""
        self._inputs.close()
        if self._model:
            self._screen.show("")
            self._screen.show(self._screen.drawn_stages(self._model))

    def begin(self, row: Row) -> None:
        """Writes what the input is called."""
        self._duration_s = row.get("duration_s", 0.0)
        self._screen.show("")
        self._screen.show(paragraphs((printable(row["path"]), "bold")))

    def show(self, event: Event) -> None:
        """Writes an event."""
        from rich.text import Text

        line = f"  {self._period(event.start_s, event.end_s)}"
        if self._screen.console.width >= WITH_BARS:
            line += f"  {bar(event.score, BAR_WIDTH):{BAR_WIDTH}}"
        line += f"  {percent(event.score):>7}  "
        line += shortened(printable(event.label), max(self._screen.console.width - len(line), 6))
        self._screen.show(Text(ascii_text(line) if self._screen.is_ascii else line, no_wrap=True, overflow="crop"))

    def hear(self, row: Row) -> None:
        """Writes an error; counts warnings."""
        if row["status"] == "error":
            self._write_error(row)
        else:
            self._warnings.update(text for text in row["warnings"] if text not in self._notes)

    def _write_error(self, row: ErrorRow) -> None:
        (what, style), *hint = error_lines(row["error"])
        if row["window"]:
            what = f"{self._period(row['window']['start_s'], row['window']['end_s'])}  {what}"
        what = ascii_text(what) if self._screen.is_ascii else what
        self._screen.show(paragraphs((what, style), *hint, indent=2))

    def end(self) -> None:
        """Writes the warnings of the input."""
        most = self._warnings.most_common(MAX_WARNINGS)
        told = [(f"warning: {printable(text)} ({count} window{'s' * (count > 1)})", "yellow") for text, count in most]
        if len(self._warnings) > MAX_WARNINGS:
            told.append((f"warning: and {len(self._warnings) - MAX_WARNINGS} others, see --format jsonl", "yellow"))
        if told:
            self._screen.show(paragraphs(*told, indent=2))
        self._warnings.clear()

    def _period(self, start_s: float, end_s: float) -> str:
        """From when to when, as wide for each span of a file."""
        width = len(clock(self._duration_s))
        return f"{clock(start_s):>{width}} – {clock(end_s):>{width}}"
