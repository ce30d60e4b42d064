"""Weights as tables: the list of cards, one card, a verified file, the folders."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from mvit_cli.report.formats import size_text
from mvit_cli.report.tables import Column, Table, show, width_of

Record = Mapping[str, Any]


SHORT_DATASETS = {"kinetics": "K", "imagenet": "IN-", "somethingv": "SSv"}
BYTES_OF_A_PARAMETER = 4
ALL_COLUMNS = 100
"""Columns of a screen in which all of the list stand side by side."""


def show_list(entries: Sequence[Record]) -> None:
    """Prints a row a card; where columns have no room they go on in a line below."""
    columns = (
        Column("weights", numeric=False),
        Column("for", numeric=False),
        Column("classes"),
        Column("dataset", numeric=False),
        Column("top-1"),
        Column("size"),
        Column("licence", numeric=False),
        Column("here", numeric=False, style="cyan"),
    )
    table = Table(columns, tuple(_row(entry) for entry in entries))
    notes = (
        "- The first weights of a preset are taken when only the preset is named.",
        "- Top-1 in per cent, as its publisher reports it; ~ is the size of the tensors, where no size is published.",
        "- `mvit weights pull NAME` downloads. What is cached or embedded needs no network.",
    )
    show(table if width_of(sys.stdout) >= ALL_COLUMNS else _wrapped(table), "", *notes)


def _row(entry: Record) -> tuple[str, ...]:
    return (
        entry["name"],
        entry["use"],
        f"{entry['classes']:,}",
        short_dataset(entry["dataset"]),
        "" if entry["top1"] is None else f"{entry['top1']:.1f}",
        size_of(entry),
        short_licence(entry["licence"]),
        "" if entry["state"] == "remote" else entry["state"],
    )


def _wrapped(table: Table) -> Table:
    """The same with half of the columns, and the other half in a line below each row."""
    beside = (0, 4, 5, 7)
    notes = tuple(f"{row[1]}, {row[2]} classes of {row[3]}, {row[6]}" for row in table.rows)
    rows = tuple(tuple(row[i] for i in beside) for row in table.rows)
    return Table(tuple(table.columns[i] for i in beside), rows, notes=notes)


def short_dataset(name: str) -> str:
    """The field's abbreviation: `kinetics400` -> `K400`; of any other name the first word."""
    for long, short in SHORT_DATASETS.items():
        name = name.replace(long, short)
    return name.split()[0]


def size_of(entry: Record) -> str:
    """Of the file, or about that of its tensors."""
    if entry["size_bytes"] is not None:
        return size_text(entry["size_bytes"])
    return "~" + size_text(BYTES_OF_A_PARAMETER * entry["params"])


def short_licence(licence: str) -> str:
    """The licence's name without the remark behind it."""
    return licence.split(" (")[0].split(";")[0]


def in_words(record: Record) -> list[tuple[str, str]]:
    """Names and values; of the tables in it only the plain values, the rest has `--format json`."""
    return _lines(_plain(record), "")


def _plain(table: Record) -> Record:
    """Without the tables and lists inside tables."""
    return {
        name: {key: entry for key, entry in value.items() if isinstance(entry, str | int | float)}
        if isinstance(value, Mapping)
        else value
        for name, value in table.items()
    }


def show_record(record: Record) -> None:
    """Prints a name and a value a line; a table inside is set in below its name, what is empty left out, notes last."""
    columns = (Column("", numeric=False, style="bold"), Column("", numeric=False, wraps=True))
    lines = _lines({name: value for name, value in record.items() if name != "notes"}, "")
    show(Table(columns, tuple(lines)), *(f"- {note}" for note in record["notes"]))


def _lines(record: Record, indent: str) -> list[tuple[str, str]]:
    lines: list[tuple[str, str]] = []
    for name, value in record.items():
        if value in (None, "", (), [], {}):
            continue
        if isinstance(value, Mapping):
            lines += [(indent + name, ""), *_lines(value, indent + "  ")]
        else:
            lines.append((indent + name, _text(value)))
    return lines


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)


def show_folders(entries: Sequence[Record]) -> None:
    """Prints a row a folder."""
    columns = (
        Column("weights", numeric=False),
        Column("checkpoints"),
        Column("size"),
        Column("folder", numeric=False),
    )
    rows = tuple(
        (
            entry["kind"],
            str(entry["checkpoints"]),
            size_text(entry["size_bytes"]),
            entry["path"] + " (not there)" * (not entry["exists"]),
        )
        for entry in entries
    )
    show(Table(columns, rows))
