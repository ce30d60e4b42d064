"""A stream for a person at a terminal: the newest rows, the newest last, in a table that stays in its place."""

import shutil
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from mvit_cli.findings import LiveRow
from mvit_cli.records import Run
from mvit_cli.report.formats import bar, clock, percent
from mvit_cli.report.predict.terminal import shortened
from mvit_cli.report.tables import ascii_text, printable, speaks_unicode

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

WIDE = 70
"""Columns from which on bars and dropped frames have room."""

MOST_ROWS = 12
BAR_WIDTH = 12


class LiveTable:
    """Shows rows as they come.

    Args:
        stream: a terminal.
        run: what all rows share.
        name: of the stream.
        every_s: seconds between rows.
    """

    def __init__(self, stream: TextIO, run: Run, name: str, every_s: float) -> None:
        from rich.console import Console

        self._is_ascii = not speaks_unicode(stream)
        size = shutil.get_terminal_size((80, 24))
        self._console = Console(file=stream, width=size.columns, highlight=False, emoji=False, force_terminal=True)
        self._wide = size.columns >= WIDE
        self._rows: deque[LiveRow] = deque(maxlen=max(1, min(MOST_ROWS, size.lines - 9)))
        weights = "random weights" if run["weights"] == "none" else printable(run["weights"])
        self._head = f"{printable(name)}: {weights} on {run['device']}, a row every {every_s:g} s, Ctrl-C ends"
        self._note = "waiting for the first frames"
        self._live: Live | None = None
        self._dropped = 0

    @contextmanager
    def showing(self) -> Iterator[None]:
        """Keeps the table on the screen; what it shows at the end stays there."""
        from rich.live import Live

        with Live(self._drawn(), console=self._console, auto_refresh=False, redirect_stderr=False) as self._live:
            try:
                yield
            finally:
                self._live.update(self._drawn(), refresh=True)

    def take(self, row: LiveRow) -> None:
        """Shows a row."""
        self._rows.append(row)
        self._dropped += row["dropped_frames"]
        self._note = ""
        self._refresh()

    def tell(self, note: str) -> None:
        """Shows a line below the rows, until the next row comes."""
        self._note = printable(note)
        self._refresh()

    def _refresh(self) -> None:
        if self._live:
            self._live.update(self._drawn(), refresh=True)

    def _drawn(self) -> "RenderableType":
        from rich.console import Group
        from rich.text import Text

        below = [self._facts(), *([(self._note, "yellow")] if self._note else [])]
        return Group(
            Text(self._plain(self._head), style="dim", overflow="fold"),
            Text(""),
            self._table(),
            Text(""),
            *(Text(self._plain(text), style=style, overflow="fold") for text, style in below if text),
        )

    def _table(self) -> "RenderableType":
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        names = ("time", "class", "", "score", "lag", "dropped") if self._wide else ("time", "class", "score", "lag")
        widths = {"": BAR_WIDTH}
        for name in names:
            is_text = name in ("class", "")
            style = "green" if not name else None
            table.add_column(
                name, justify="left" if is_text else "right", no_wrap=True, style=style, min_width=widths.get(name)
            )
        room = self._console.width - (58 if self._wide else 28)
        for number, row in enumerate(self._rows):
            label = shortened(printable(row["label"]), max(8, room))
            cells = [clock(row["stream_s"]), label, percent(row["score"]), f"{row['lag_s']:.2f} s"]
            if self._wide:
                cells.insert(2, bar(row["score"], BAR_WIDTH))
                cells.append(f"{row['dropped_frames']:,}")
            style = "bold" if number == len(self._rows) - 1 else ""
            table.add_row(*(Text(self._plain(cell)) for cell in cells), style=style)
        return table

    def _facts(self) -> tuple[str, str]:
        if not self._rows:
            return "", ""
        row = self._rows[-1]
        others = ", ".join(f"{entry['label']} {percent(entry['score'])}" for entry in row["predictions"][1:3])
        parts = [f"{row['fps']:.3g} frames/s", f"model {row['model_ms']:.0f} ms", f"{self._dropped:,} frames dropped"]
        if row["reconnects"]:
            parts.append(f"opened again {row['reconnects']}x")
        then = f"then {printable(others)}\n" if others else ""
        return then + ", ".join(parts), "dim"

    def _plain(self, text: str) -> str:
        return ascii_text(text) if self._is_ascii else text


def line_of_row(row: LiveRow) -> str:
    """A row as a line of text, for a table that goes into a file."""
    dropped = f", {row['dropped_frames']:,} frames dropped" if row["dropped_frames"] else ""
    label = shortened(printable(row["label"]))
    return f"{clock(row['stream_s']):>9}  {label:24}  {percent(row['score']):>7}  lag {row['lag_s']:.2f} s{dropped}"
