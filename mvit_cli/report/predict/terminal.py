"""Predictions for a person at a terminal, the network's stages beside them."""

import shutil
from typing import TYPE_CHECKING, TextIO

from mvit_cli.records import OkRow, Prediction, Row, RowError, Run, Summary
from mvit_cli.report.formats import bar, percent
from mvit_cli.report.predict.writers import title_of
from mvit_cli.report.tables import Column, Table, fitted, in_ascii, printable, speaks_unicode, write

if TYPE_CHECKING:
    from rich.console import RenderableType

    from mvit_cli.report.predict.page.frames import Pictures

SIDE_BY_SIDE = 110
"""Columns from which on the stages stand beside the predictions; below them otherwise."""

BAR_WIDTH = 16
MAX_LABEL = 40
LEAST_LABEL = 16
"""Letters of a label for which the bars go, where there is no room for both."""
AROUND_LABEL = 15
"""Columns of indent, gaps and the score."""


class Screen:
    """Where blocks are written: a terminal, or a file that takes what a terminal would.

    Args:
        stream: where to.
    """

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console

        self._stream = stream
        self.is_ascii = not speaks_unicode(stream)
        self.console = Console(
            width=shutil.get_terminal_size((80, 24)).columns,
            force_terminal=stream.isatty(),
            no_color=None if stream.isatty() else True,
            highlight=False,
            emoji=False,
        )

    def show(self, block: "RenderableType") -> None:
        """Writes a block and gives it on at once."""
        with self.console.capture() as captured:
            self.console.print(block)
        lines = [line.rstrip() for line in captured.get().split("\n")]
        write("\n".join(lines), self._stream)
        self._stream.flush()

    def show_heading(self, run: Run, notes: tuple[str, ...]) -> None:
        """Writes what all rows share: see `Recogniser.run`, and warnings."""
        self.show(paragraphs((run_line(run), "dim"), *((f"warning: {printable(note)}", "yellow") for note in notes)))

    def drawn_stages(self, model: Summary) -> "RenderableType":
        """The table of stages, from the object of `mvit summarize`, as it fits."""
        from mvit_cli.report.summarize.stage_tables import brief_stage_table

        table = brief_stage_table(model)
        return fitted(in_ascii(table) if self.is_ascii else table, self.console)


class PredictionBlocks:
    """Writes a line on the run, then a block for each row: the path, the best classes with their scores, what is wrong.

    Args:
        screen: where to.
        run: what all rows share, see `Recogniser.run`.
        notes: warnings that all rows share; said once.
        model: the object of `mvit summarize`, for the table of stages; None: no such table.
    """

    def __init__(self, screen: Screen, run: Run, notes: tuple[str, ...], model: Summary | None) -> None:
        self._screen = screen
        self._notes = notes
        self._stages = screen.drawn_stages(model) if model else None
        screen.show_heading(run, notes)

    def take(self, row: Row, pictures: "Pictures | None" = None) -> None:
        """Writes one block; the first has the stages beside it where there is room."""
        from rich.table import Table as RichTable

        block: RenderableType = self._block(row)
        if self._stages is not None and self._screen.console.width >= SIDE_BY_SIDE:
            grid = RichTable.grid(padding=(0, 4, 0, 0))
            grid.add_row(block, self._stages)
            block, self._stages = grid, None
        self._screen.show("")
        self._screen.show(block)

    def close(self) -> None:
        """Writes the stages below, where they had no room beside."""
        if self._stages is not None:
            self._screen.show("")
            self._screen.show(self._stages)

    def _block(self, row: Row) -> "RenderableType":
        from rich.console import Group
        from rich.padding import Padding

        title = paragraphs((printable(title_of(row)), "bold"))
        if row["status"] == "error":
            return Group(title, paragraphs(*error_lines(row["error"]), indent=2))
        warnings = [text for text in row["warnings"] if text not in self._notes]
        told = [(f"warning: {printable(text)}", "yellow") for text in warnings]
        scores = Padding(self._scores(row["predictions"]), (0, 0, 0, 2))
        return Group(title, paragraphs((_facts(row), "dim"), indent=2), scores, paragraphs(*told, indent=2))

    def _scores(self, predictions: list[Prediction]) -> "RenderableType":
        """The classes with a bar and per cent each."""
        from rich.table import Table as RichTable
        from rich.text import Text

        columns = (Column("label", numeric=False), Column("bar", numeric=False), Column("score"))
        room = self._screen.console.width - AROUND_LABEL
        has_bars = room >= LEAST_LABEL + BAR_WIDTH
        longest = max(min(MAX_LABEL, room - BAR_WIDTH * has_bars), 4)
        cells = tuple(
            (
                shortened(printable(entry["label"]), longest),
                bar(entry["score"], BAR_WIDTH) if has_bars else "",
                percent(entry["score"]),
            )
            for entry in predictions
        )
        table = Table(columns, cells)
        grid = RichTable.grid(padding=(0, 2, 0, 0))
        grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True, style="green", width=BAR_WIDTH if has_bars else 0)
        grid.add_column(no_wrap=True, justify="right")
        for row in (in_ascii(table) if self._screen.is_ascii else table).rows:
            grid.add_row(*(Text(cell) for cell in row))
        return grid


def paragraphs(*told: tuple[str, str], indent: int = 0) -> "RenderableType":
    """Paragraphs, a text and its style each, wrapped under their own beginning."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    return Padding(Group(*(Text(text, style=style, overflow="fold") for text, style in told)), (0, 0, 0, indent))


def error_lines(error: RowError) -> list[tuple[str, str]]:
    """What is wrong and what to do, for `paragraphs`."""
    told = [(f"error ({error['kind']}): {printable(error['message'])}", "red")]
    return [*told, (printable(error["hint"]), "dim")] if "hint" in error else told


def _facts(row: OkRow) -> str:
    """Length, and what the file cost."""
    length = f"{row['duration_s']:.1f} s, " if row["duration_s"] else ""
    timing = row["timing_ms"]
    return f"{length}decoded in {timing['decode']:.0f} ms ({row['reader']}), recognised in {timing['model']:.0f} ms"


def shortened(label: str, most: int = MAX_LABEL) -> str:
    """A label of at most so many letters."""
    return label if len(label) <= most else label[: most - 3] + "..."


def run_line(run: Run) -> str:
    """What all rows of a run share, in words."""
    weights = "random weights" if run["weights"] == "none" else f"weights {printable(run['weights'])}"
    name = run["preset"] or "architecture of its own"
    line = f"{name}, {weights}, {run['views']} views, {run['device']} {run['dtype']}"
    return line + ", scores by sigmoid: each class for itself" * (run["activation"] == "sigmoid")
