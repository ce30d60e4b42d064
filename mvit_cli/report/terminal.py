"""Predictions for a person at a terminal, the network's stages beside them."""

import shutil
from typing import TYPE_CHECKING, Any, TextIO

from mvit_cli.report.formats import bar, decimals_for, percent, scaled, shape_text
from mvit_cli.report.tables import Column, Table, fitted, in_ascii, speaks_unicode, write

if TYPE_CHECKING:
    from rich.console import RenderableType

Row = dict[str, Any]

SIDE_BY_SIDE = 110
"""Columns from which on the stages stand beside the predictions; below them otherwise."""

BAR_WIDTH = 16
GIGA = 1e9
MAX_LABEL = 40


def printable(text: str) -> str:
    r"""Text that cannot steer the terminal: control characters and stray bytes of file names become `\x1b`."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode() for char in text
    )


class PredictionBlocks:
    """Writes a line on the run, then a block for each row: the path, the best classes with their scores, what is wrong.

    Args:
        stream: where to.
        run: what all rows share, see `Recogniser.run`.
        notes: warnings that all rows share; said once.
        model: the object of `mvit summarize`, for the table of stages; None: no such table.
    """

    def __init__(self, stream: TextIO, run: Row, notes: tuple[str, ...], model: Row | None) -> None:
        from rich.console import Console

        self._stream = stream
        self._notes = notes
        self._ascii = not speaks_unicode(stream)
        self._console = Console(
            width=shutil.get_terminal_size((80, 24)).columns,
            force_terminal=stream.isatty(),
            no_color=None if stream.isatty() else True,
            highlight=False,
            emoji=False,
        )
        self._stages = self._drawn_stages(model) if model else None
        self._print(self._heading(run))

    def write(self, row: Row) -> None:
        """Writes one block; the first has the stages beside it where there is room."""
        from rich.table import Table as RichTable

        block: RenderableType = self._block(row)
        if self._stages is not None and self._console.width >= SIDE_BY_SIDE:
            grid = RichTable.grid(padding=(0, 4, 0, 0))
            grid.add_row(block, self._stages)
            block, self._stages = grid, None
        self._print("")
        self._print(block)

    def close(self) -> None:
        """Writes the stages below, where they had no room beside."""
        if self._stages is not None:
            self._print("")
            self._print(self._stages)

    def _print(self, block: "RenderableType") -> None:
        with self._console.capture() as captured:
            self._console.print(block)
        lines = [line.rstrip() for line in captured.get().split("\n")]
        write("\n".join(lines), self._stream)
        self._stream.flush()

    def _heading(self, run: Row) -> "RenderableType":
        weights = "random weights" if run["weights"] == "none" else f"weights {printable(run['weights'])}"
        name = run["preset"] or "architecture of its own"
        line = f"{name}, {weights}, {run['views']} views, {run['device']} {run['dtype']}"
        return _lines((line, "dim"), *((f"warning: {printable(note)}", "yellow") for note in self._notes))

    def _block(self, row: Row) -> "RenderableType":
        from rich.console import Group
        from rich.padding import Padding

        title = _lines((printable(row["path"]), "bold"))
        if row["status"] == "error":
            error = row["error"]
            told = [(f"error ({error['kind']}): {printable(error['message'])}", "red")]
            if "hint" in error:
                told.append((printable(error["hint"]), "dim"))
            return Group(title, _lines(*told, indent=2))
        warnings = [text for text in row["warnings"] if text not in self._notes]
        told = [(f"warning: {printable(text)}", "yellow") for text in warnings]
        scores = Padding(self._scores(row["predictions"]), (0, 0, 0, 2))
        return Group(title, _lines((_facts(row), "dim"), indent=2), scores, _lines(*told, indent=2))

    def _scores(self, predictions: list[Row]) -> "RenderableType":
        """The classes with a bar and per cent each."""
        from rich.table import Table as RichTable
        from rich.text import Text

        columns = (Column("label", numeric=False), Column("bar", numeric=False), Column("score"))
        cells = tuple(
            (_shortened(printable(entry["label"])), bar(entry["score"], BAR_WIDTH), percent(entry["score"]))
            for entry in predictions
        )
        table = Table(columns, cells)
        grid = RichTable.grid(padding=(0, 2, 0, 0))
        grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True, style="green", width=BAR_WIDTH)
        grid.add_column(no_wrap=True, justify="right")
        for row in (in_ascii(table) if self._ascii else table).rows:
            grid.add_row(*(Text(cell) for cell in row))
        return grid

    def _drawn_stages(self, model: Row) -> "RenderableType":
        table = stage_table(model)
        return fitted(in_ascii(table) if self._ascii else table, self._console)


def _lines(*told: tuple[str, str], indent: int = 0) -> "RenderableType":
    """Paragraphs, a text and its style each, wrapped under their own beginning."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    return Padding(Group(*(Text(text, style=style, overflow="fold") for text, style in told)), (0, 0, 0, indent))


def stage_table(model: Row) -> Table:
    """Output shape, sequence length and cost of each stage, from the object of `mvit summarize`."""
    columns = (
        Column("stage", numeric=False),
        Column("output\nT×H×W"),
        Column("channels", rank=1),
        Column("sequence\nlength"),
        Column("GMACs"),
    )
    decimals = decimals_for(model["macs"] / GIGA)
    rows = tuple(
        (
            stage["name"],
            shape_text(stage["thw"]),
            str(stage["channels"]),
            f"{stage['sequence_length']:,}",
            scaled(stage["macs"], GIGA, decimals),
        )
        for stage in model["stages"]
    )
    total = ("a view", shape_text(model["input"].values()), "", "", scaled(model["macs"], GIGA, decimals))
    return Table(columns, rows, footer=total)


def _facts(row: Row) -> str:
    """Length, and what the file cost."""
    length = f"{row['duration_s']:.1f} s, " if row["duration_s"] else ""
    timing = row["timing_ms"]
    return f"{length}decoded in {timing['decode']:.0f} ms ({row['reader']}), recognised in {timing['model']:.0f} ms"


def _shortened(label: str) -> str:
    return label if len(label) <= MAX_LABEL else label[: MAX_LABEL - 3] + "..."
