"""A table as data, and its forms: for a terminal, as Markdown, as CSV."""

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

UNLIMITED = 1000
"""Width of output that is no terminal: no column is left out there."""
PARAGRAPH = 100
"""Longest line of a paragraph."""

_ASCII = str.maketrans(
    {"×": "x", "→": ">", "–": "-", "…": "...", "█": "#", "▉": "#", "▊": "#", "▋": "#", "▌": "#"}
    | {"▍": " ", "▎": " ", "▏": " ", "±": "+/-", "·": "-"}
)


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        title: may have two lines.
        rank: 0: always shown; on a narrow terminal the column of the highest rank goes first.
        wraps: long text goes on in the next line, instead of being cut.
    """

    title: str
    numeric: bool = True
    rank: int = 0
    style: str = ""
    wraps: bool = False


@dataclass(frozen=True)
class Table:
    """Cells as text, a row a tuple.

    Attributes:
        footer: the row of totals, if any; its cells may have several lines.
        unicode: whether rules may be drawn with line characters.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    footer: tuple[str, ...] = ()
    title: str = ""
    unicode: bool = True


def markdown(table: Table) -> str:
    """The table as GitHub renders it, all columns."""
    header = [column.title.replace("\n", " ").strip() for column in table.columns]
    rule = ["---:" if column.numeric else ":---" for column in table.columns]
    footer = [[f"**{cell}**" if cell else "" for cell in row] for row in _lines(table.footer)]
    lines = [_markdown_row(row) for row in (header, rule, *table.rows, *footer)]
    return "\n".join([f"**{table.title}**\n"] * bool(table.title) + lines) + "\n"


def _lines(cells: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Cells of several lines as that many rows."""
    return list(zip_longest(*(cell.split("\n") for cell in cells), fillvalue=""))


def _markdown_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Comma-separated values, a header line first."""
    import csv
    import io

    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return stream.getvalue()


def show(*parts: Table | str, stream: TextIO | None = None) -> None:
    """Prints tables and paragraphs: styled and fitted to the width on a terminal, plain and complete elsewhere."""
    import textwrap
    from io import StringIO

    from rich.console import Console

    stream = stream or sys.stdout
    terminal, unicode = stream.isatty(), speaks_unicode(stream)
    width = shutil.get_terminal_size().columns if terminal else int(os.environ.get("COLUMNS") or UNLIMITED)
    text = StringIO()
    console = Console(file=text, width=width, force_terminal=terminal or None, highlight=False)
    for part in parts:
        if isinstance(part, Table):
            console.print(fitted(part if unicode else in_ascii(part), console))
        else:
            indent = "  " if part.startswith("- ") else ""
            plain = part if unicode else part.translate(_ASCII)
            paragraph = textwrap.fill(plain, min(width, PARAGRAPH), subsequent_indent=indent)
            console.print(paragraph, style="dim", markup=False, soft_wrap=True)
    write("\n".join(line.rstrip() for line in text.getvalue().split("\n")), stream)


def write(text: str, stream: TextIO | None = None) -> None:
    """Writes text; a character that the stream's encoding does not have becomes `?`."""
    stream = stream or sys.stdout
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "replace").decode(encoding))


def speaks_unicode(stream: TextIO) -> bool:
    """Whether bars and multiplication signs can be printed: not in another encoding, nor where the locale is C."""
    locale = os.environ.get("LC_ALL") or os.environ.get("LC_CTYPE") or os.environ.get("LANG")
    return (stream.encoding or "").lower().replace("-", "") == "utf8" and locale not in ("C", "POSIX")


def fitted(table: Table, console: "Console") -> "RichTable":
    """The table with as many columns as fit the console."""
    from rich.measure import Measurement

    boundless = console.options.update(max_width=UNLIMITED)
    while True:
        drawn = _drawn(table)
        highest = max(column.rank for column in table.columns)
        if not highest or Measurement.get(console, boundless, drawn).maximum <= console.width:
            return drawn
        table = _without_rank(table, highest)


def _without_rank(table: Table, rank: int) -> Table:
    kept = [i for i, column in enumerate(table.columns) if column.rank != rank]
    return replace(
        table,
        columns=tuple(table.columns[i] for i in kept),
        rows=tuple(tuple(row[i] for i in kept) for row in table.rows),
        footer=tuple(table.footer[i] for i in kept) if table.footer else (),
    )


def _drawn(table: Table) -> "RichTable":
    from rich.box import Box
    from rich.table import Table as RichTable
    from rich.text import Text

    rule = " ── " if table.unicode else " -- "
    gap = " " * 4
    drawn = RichTable(
        box=Box("\n".join((gap, gap, rule, gap, gap, rule, gap, gap)) + "\n", ascii=not table.unicode),
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        show_header=any(column.title for column in table.columns),
        show_footer=bool(table.footer),
        title=Text(table.title) if table.title else None,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        footer_style="bold",
    )
    for i, column in enumerate(table.columns):
        drawn.add_column(
            Text(column.title),
            Text(table.footer[i]) if table.footer else "",
            justify="right" if column.numeric else "left",
            style=column.style,
            no_wrap=not column.wraps,
            overflow="fold" if column.wraps else "ellipsis" if table.unicode else "crop",
        )
    for row in table.rows:
        drawn.add_row(*(Text(cell) for cell in row))
    return drawn


def in_ascii(table: Table) -> Table:
    """The same table for streams that have no other characters."""
    return replace(
        table,
        columns=tuple(replace(column, title=column.title.translate(_ASCII)) for column in table.columns),
        rows=tuple(tuple(cell.translate(_ASCII) for cell in row) for row in table.rows),
        footer=tuple(cell.translate(_ASCII) for cell in table.footer),
        title=table.title.translate(_ASCII),
        unicode=False,
    )
