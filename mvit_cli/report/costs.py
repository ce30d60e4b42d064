"""What was measured, as tables: by batch size, and by stage."""

from collections.abc import Mapping
from typing import Any

from mvit_cli.report.formats import bar, percent, size_text
from mvit_cli.report.stages import BAR_WIDTH, headline
from mvit_cli.report.tables import Column, Table, show

Result = Mapping[str, Any]


def show_profile(profile: Result, summary: Result) -> None:
    """Prints first what the architecture implies on this machine, then what was measured."""
    stages = [stage_table(result, summary) for result in profile["results"] if result.get("stages")]
    notes = [f"- {note}" for note in (*profile["notes"], *_legend())]
    show(
        headline(summary),
        machine_line(profile),
        *implied_lines(profile, summary),
        "",
        batch_table(profile),
        *[part for table in stages for part in ("", table)],
        "",
        *notes,
    )


def machine_line(profile: Result) -> str:
    """The device, its threads and the number format."""
    device = profile["device"]
    plural = "s" * (device["threads"] > 1)
    threads = f", {device['threads']} thread{plural}" if device["type"] == "cpu" else ""
    return f"{device['name'] or device['type']} ({device['type']}{threads}), {profile['dtype']}"


def implied_lines(profile: Result, summary: Result) -> list[str]:
    """The shortest time that the machine's matrix products allow."""
    measured = [result for result in profile["results"] if "error" not in result]
    if not measured:
        return []
    limit = measured[0]["machine_gmacs_per_s"]
    gmacs = summary["macs"] / 1e9
    return [
        f"matrix products here reach {_rate(limit)} GMAC/s: {gmacs:,.2f} GMACs need at least "
        f"{1000 * gmacs / limit:,.1f} ms a clip"
    ]


def batch_table(profile: Result) -> Table:
    """A row a batch size; one that did not fit says so."""
    columns = (
        Column("\nbatch"),
        Column("latency\nms"),
        Column("p10\nms", rank=2),
        Column("p90\nms", rank=2),
        Column("\nclips/s"),
        Column("\nGMAC/s"),
        Column("of the\nlimit"),
        Column("peak\nmemory", rank=1),
        Column("\n", numeric=False, wraps=True),
    )
    rows = tuple(map(_batch_row, profile["results"]))
    return (
        Table(columns, rows) if any(row[-1] for row in rows) else Table(columns[:-1], tuple(row[:-1] for row in rows))
    )


def _batch_row(result: Result) -> tuple[str, ...]:
    if "error" in result:
        return (str(result["batch_size"]), *[""] * 7, result["error"])
    latency, peak = result["latency_ms"], result["peak_memory_bytes"]
    return (
        str(result["batch_size"]),
        *(_ms(latency[name]) for name in ("median", "p10", "p90")),
        _rate(result["clips_per_s"]),
        _rate(result["achieved_gmacs_per_s"]),
        percent(result["utilization"]),
        size_text(peak) if peak else "",
        "",
    )


def stage_table(result: Result, summary: Result) -> Table:
    """Time of each stage of one batch size beside its share of the arithmetic."""
    columns = (
        Column("\nstage", numeric=False),
        Column("time\nms"),
        Column("\nshare"),
        Column("\n", numeric=False, rank=1, style="cyan"),
        Column("share of\nGMACs"),
        Column("\nGMAC/s"),
        Column("of the\nlimit"),
    )
    rows = tuple(
        (
            stage["name"],
            _ms(stage["latency_ms"]),
            percent(stage["share"]),
            bar(stage["share"], BAR_WIDTH),
            percent(stage["macs"] / summary["macs"]),
            _rate(stage["achieved_gmacs_per_s"]),
            percent(stage["achieved_gmacs_per_s"] / result["machine_gmacs_per_s"]),
        )
        for stage in result["stages"]
    )
    total = _ms(sum(stage["latency_ms"] for stage in result["stages"]))
    return Table(columns, rows, ("total", total, *[""] * 5), f"batch of {result['batch_size']}, by stage")


def _ms(value: float) -> str:
    return f"{value:,.1f}" if value >= 100 else f"{value:.3g}"


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _legend() -> list[str]:
    return [
        "limit: the best rate of square matrix products on this device in this number format, measured before and "
        "after the runs; 1 MAC = one multiply-accumulate, which papers print as a FLOP",
    ]
