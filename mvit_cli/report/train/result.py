"""What a training has made, for people."""

import os
import sys
from typing import cast

from mvit_cli.report.tables import Column, Table, printable, show, speaks_unicode
from mvit_cli.trained import Accuracy, Trained

MOST_LEAKS = 5


def trained_table(result: Trained) -> Table:
    """The figures of each part of the data, a row each."""
    metrics, clips = result["metrics"], result["clips"]
    rows = [_row(part.replace("_", " "), cast("Accuracy", figures)) for part, figures in metrics.items() if figures]
    figure = "map" if result["activation"] == "sigmoid" else "top-1"
    rows.append(("majority, on val", str(clips["val"]), _percent(result["baseline"]["majority"]), "", "", ""))
    columns = (
        Column("part", numeric=False),
        Column("clips"),
        Column(figure),
        Column("95 %", rank=1),
        Column("top-5", rank=3),
        Column("mean of classes", rank=2),
    )
    shown = [n for n in range(len(columns)) if any(row[n] for row in rows)]
    cells = tuple(tuple(row[n] for n in shown) for row in rows)
    return Table(tuple(columns[n] for n in shown), cells, unicode=speaks_unicode(sys.stdout))


def _row(part: str, accuracy: Accuracy) -> tuple[str, ...]:
    main = accuracy["top1"] if accuracy["top1"] is not None else accuracy["map"]
    low, high = accuracy["interval95"]
    interval = f"{100 * low:.1f} - {100 * high:.1f}"
    more = (_percent(accuracy["top5"]), _percent(accuracy["mean_class"]))
    return (part, str(accuracy["clips"]), _percent(main), interval, *more)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"


def lines_of(result: Trained) -> list[str]:
    """What was made, of what, and what was chosen, a sentence each."""
    clips, split, classes = result["clips"], result["split"], result["classes"]
    chosen = ", ".join(f"{name} {value}" for name, value in result["chosen"].items())
    names = ", ".join(classes[:8]) + (", ..." if len(classes) > 8 else "")
    how = {"given": "as given", "grouped": f"grouped, {split['groups']} groups", "stratified": "stratified"}
    lines = [
        f"{result['weights']}: {len(classes)} classes ({names}), {result['method']} on {result['started_from']}",
        f"learned from {clips['train']} clips, split {how[split['method']]}, seed {split['seed']}",
        f"chosen on val: {chosen}",
    ]
    if result["failed"]:
        first = result["failed"][0]
        number = len(result["failed"])
        what = f"{number} clips could not be read, the first" if number > 1 else "one clip could not be read,"
        lines.append(f"{what} {first['path']}: {first['message']}")
    return lines


def notes_of(result: Trained) -> list[str]:
    """What stands below the figures: copies across the split, and what may make them too good."""
    notes = [
        f"{leak['path']} ({leak['part']}) is nearly {leak['learned']}, which was learned from"
        for leak in result["leaks"][:MOST_LEAKS]
    ]
    if len(result["leaks"]) > MOST_LEAKS:
        notes.append(f"and {len(result['leaks']) - MOST_LEAKS} more; --format json has them all")
    if not result["metrics"]["test"]:
        notes.append("val also chose what is kept: clips in a part called test would say how good that is")
    if result["split"]["method"] == "stratified":
        notes.append("clips of one recording may stand on both sides: --group keeps them together")
    return notes


def show_trained(result: Trained) -> None:
    """Writes what was made, of what, and how good it is, to standard output."""
    example = f"mvit predict FILE --weights {os.fspath(result['weights'])}"
    above, below = map(printable, lines_of(result)), map(printable, (*notes_of(result), f"next: {example}"))
    show(*above, "", trained_table(result), "", *below)
