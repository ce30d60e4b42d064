"""A table as data, and its forms: for a terminal, as Markdown, as CSV; what is written cannot steer a terminal."""

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, TextIO

from mvit_cli.errors import printable as printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

UNLIMITED = 1000
"""Width of output that is no terminal: no column is left out there."""
PARAGRAPH = 100
"""Longest line of a paragraph."""

_ASCII = str.maketrans(
    {"×": "x", "→": ">", "–": "-", "…": "...", "█": "#", "▉": "#", "▊": "#", "▋": "#", "▌": "#"}
    | {"▍": " ", "▎": " ", "▏": " ", "±": "+/-", "·": "-", "√": "sqrt "}
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
        notes: a line of prose below each row, if any.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    footer: tuple[str, ...] = ()
    title: str = ""
    unicode: bool = True
    notes: tuple[str, ...] = ()


def markdown(table: Table) -> str:
    """The table as GitHub renders it, all columns; notes as a list below."""
    header = [column.title.replace("\n", " ").strip() for column in table.columns]
    rule = ["---:" if column.numeric else ":---" for column in table.columns]
    footer = [[f"**{cell}**" if cell else "" for cell in row] for row in _lines(table.footer)]
    lines = [_markdown_row(row) for row in (header, rule, *table.rows, *footer)]
    notes = [f"- **{row[0]}**: {printable(note)}" for row, note in zip(table.rows, table.notes, strict=False)]
    title = [f"**{printable(table.title)}**\n"] * bool(table.title)
    return in_markdown("\n".join(title + lines + [""] * bool(notes) + notes) + "\n")


def in_markdown(text: str) -> str:
    """Lines of Markdown in which a name is no HTML, and nothing steers the terminal that shows them.

    A `<` begins HTML only before a letter, `/`, `!` or `?` (CommonMark 6.6): `<0.01` stays as it is.
    """
    import re

    return printable_lines(re.sub(r"<(?=[A-Za-z/!?])", "&lt;", text))


def _lines(cells: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Cells of several lines as that many rows."""
    return list(zip_longest(*(cell.split("\n") for cell in cells), fillvalue=""))


def _markdown_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(printable(cell).replace("|", "\\|") for cell in cells) + " |"


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
    from io import StringIO

    from rich.console import Console

    stream = stream or sys.stdout
    unicode, text = speaks_unicode(stream), StringIO()
    terminal = stream.isatty()
    console = Console(file=text, width=width_of(stream), force_terminal=terminal or None, highlight=False)
    for part in parts:
        if isinstance(part, Table):
            harmless = _translated(part, printable_lines)
            _print_table(harmless if unicode else in_ascii(harmless), console)
        else:
            indent, prose = "  " if part.startswith("- ") else "", printable_lines(part)
            _print_prose(prose if unicode else ascii_text(prose), console, PARAGRAPH, rest=indent)
    write("\n".join(line.rstrip() for line in text.getvalue().split("\n")), stream)


def width_of(stream: TextIO) -> int:
    """Columns of a terminal; elsewhere as many as `COLUMNS` says, or enough for everything."""
    return shutil.get_terminal_size().columns if stream.isatty() else int(os.environ.get("COLUMNS") or UNLIMITED)


def _print_prose(text: str, console: "Console", longest: int, first: str = "", rest: str = "") -> None:
    """A paragraph in which no formula is torn apart."""
    import re
    import textwrap

    unbroken = re.sub(r"(?<=\S) ([×x+/=-]) ", "\N{NO-BREAK SPACE}\\1\N{NO-BREAK SPACE}", text)
    paragraph = textwrap.fill(unbroken, min(console.width, longest), initial_indent=first, subsequent_indent=rest)
    plain = paragraph.replace("\N{NO-BREAK SPACE}", " ")
    console.print(plain, style="dim", markup=False, soft_wrap=True)


def _print_table(table: Table, console: "Console") -> None:
    """The table, with each row's note right below it; a table with notes has rows of one line."""
    drawn = fitted(table, console)
    if not table.notes:
        console.print(drawn)
        return
    with console.capture() as capture:
        console.print(drawn)
    heading = bool(table.title) + max(len(column.title.split("\n")) for column in table.columns) + 1
    notes = dict(enumerate(table.notes, start=heading))
    for number, line in enumerate(capture.get().splitlines()):
        console.file.write(f"{line}\n")
        if notes.get(number):
            # Where nothing is known of the width, a note stays one line, for programs that read it.
            _print_prose(notes[number], console, PARAGRAPH if console.width < UNLIMITED else sys.maxsize, "  ", "    ")


def write(text: str, stream: TextIO | None = None) -> None:
    """Writes text; a character that the stream's encoding does not have becomes `?`."""
    stream = stream or sys.stdout
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "replace").decode(encoding))


def write_data(text: str) -> None:
    """Writes lines of a data format, or a path, to stdout: exact in a pipe or a file, harmless on a terminal."""
    sys.stdout.write(printable_lines(text) if sys.stdout.isatty() else text)


def write_json(document: object) -> None:
    """Writes a JSON document to stdout, as `write_data`."""
    import json

    write_data(json.dumps(document, indent=2) + "\n")


def printable_lines(text: str) -> str:
    """The same of several lines."""
    return printable(text, in_lines=True)


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


def ascii_text(text: str) -> str:
    """The same text for streams that have no other characters."""
    return text.translate(_ASCII)


def in_ascii(table: Table) -> Table:
    """The same table for streams that have no other characters."""
    return replace(_translated(table, ascii_text), unicode=False)


def _translated(table: Table, translate: Callable[[str], str]) -> Table:
    """The table with every text of it changed."""
    return replace(
        table,
        columns=tuple(replace(column, title=translate(column.title)) for column in table.columns),
        rows=tuple(tuple(map(translate, row)) for row in table.rows),
        footer=tuple(map(translate, table.footer)),
        notes=tuple(map(translate, table.notes)),
        title=translate(table.title),
    )
