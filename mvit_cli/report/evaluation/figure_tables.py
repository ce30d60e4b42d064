"""How right a network is, as tables."""

from collections.abc import Sequence

from mvit_cli.findings import Evaluation
from mvit_cli.report.formats import percent
from mvit_cli.report.tables import Column, Table, csv_text

MOST_CLASSES = 40
"""Classes that a table for people has: the worst ones."""
MOST_PAIRS = 10
_ORDERS = {"in_order": "in order", "reversed": "reversed", "shuffled": "shuffled"}


def tables_of(evaluation: Evaluation) -> list[Table]:
    """The figures, the orders of frames, the classes and the pairs that are confused; those there are."""
    return [
        table
        for table in (_figures(evaluation), _orders(evaluation), _classes(evaluation), _confused(evaluation))
        if table.rows
    ]


def headline_of(evaluation: Evaluation) -> str:
    """What was judged, in a line."""
    read = evaluation["clips"] - evaluation["failed"]
    failed = f", {evaluation['failed']:,} could not be recognised and count for nothing" if evaluation["failed"] else ""
    by = f", {evaluation['weights']} with {evaluation['views']} views" if evaluation["weights"] else ""
    return f"{read:,} clips judged{failed}{by}"


def classes_csv(evaluation: Evaluation) -> str:
    """A line a class; the first one, without a name, is of all clips."""
    several = evaluation["map"] is not None or any("average_precision" in one for one in evaluation["per_class"])
    name = "average_precision" if several else "top1"
    whole = evaluation["map"] if several else evaluation["top1"]
    rows: list[tuple[object, ...]] = [("", evaluation["clips"] - evaluation["failed"], _exact(whole))]
    for one in evaluation["per_class"]:
        value = one.get("average_precision") if several else one["top1"]
        rows.append((one["label"], one["clips"], _exact(value)))
    return csv_text(("label", "clips", name), rows)


def _exact(share: float | None) -> str:
    return "" if share is None else f"{share:.7g}"


def _figures(evaluation: Evaluation) -> Table:
    published = evaluation["published"]
    interval = evaluation["interval95"]
    span = f"{percent(interval[0])} to {percent(interval[1])}" if interval else ""
    said = {"top-1": published["top1"], "top-5": published["top5"]} if published else {}
    entries = (
        ("top-1", evaluation["top1"], span),
        ("top-5", evaluation["top5"], ""),
        ("mean of classes", evaluation["mean_class"], ""),
        ("mean average precision", evaluation["map"], ""),
        ("calibration error (ECE)", evaluation["ece"], ""),
    )
    by = " by group" if evaluation["interval_method"] == "bootstrap" else ""
    columns = [Column("", numeric=False), Column("share"), Column(f"95 % interval{by}")]
    if published:
        columns.append(Column(f"published\n({published['dataset']}, {published['views'] or '?'} views)", rank=1))
    rows = tuple(
        (
            name,
            percent(value),
            between,
            *([percent(share) if (share := said.get(name)) is not None else ""] * bool(said)),
        )
        for name, value, between in entries
        if value is not None
    )
    return Table(tuple(columns), rows)


def _orders(evaluation: Evaluation) -> Table:
    columns = (
        Column("frames", numeric=False),
        Column("top-1"),
        Column("95 % interval", rank=2),
        Column("top-5", rank=1),
        Column("mean of classes"),
    )
    rows = []
    for one in evaluation.get("orders", []):
        interval = one["interval95"]
        span = f"{percent(interval[0])} to {percent(interval[1])}" if interval else ""
        rows.append((_ORDERS[one["order"]], _shown(one["top1"]), span, _shown(one["top5"]), _shown(one["mean_class"])))
    return Table(columns, tuple(rows), title="Orders of frames")


def _classes(evaluation: Evaluation) -> Table:
    def share(one: object) -> float:
        return value if (value := _value(one)) is not None else 1.0

    worst = sorted(evaluation["per_class"], key=share)[:MOST_CLASSES]
    several = any("average_precision" in one for one in worst)
    less = f", the worst {MOST_CLASSES} of {len(evaluation['per_class'])}"
    title = "Classes" + less * (len(evaluation["per_class"]) > MOST_CLASSES)
    columns = (
        Column("class", numeric=False, wraps=True),
        Column("clips"),
        Column("average precision" if several else "top-1"),
    )
    rows = tuple((one["label"], f"{one['clips']:,}", _shown(_value(one))) for one in worst)
    return Table(columns, rows, title=title)


def _value(one: object) -> float | None:
    assert isinstance(one, dict)
    value: float | None = one.get("average_precision", one["top1"])
    return value


def _confused(evaluation: Evaluation) -> Table:
    columns = (
        Column("this class", numeric=False, wraps=True),
        Column("was called", numeric=False, wraps=True),
        Column("clips"),
    )
    pairs: Sequence[tuple[str, ...]] = [
        (one["truth"], one["predicted"], f"{one['clips']:,}") for one in evaluation["confused"][:MOST_PAIRS]
    ]
    return Table(columns, tuple(pairs), title="Most confused")


def _shown(share: float | None) -> str:
    return "" if share is None else percent(share)
