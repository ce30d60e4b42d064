"""What was measured, as tables: by batch size, by stage and by class of operators."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from mvit_cli.records import MachineRates, OperatorCost, Phases, Profile, ProfileFailure, ProfileResult, Summary
from mvit_cli.report.formats import bar, decimals_for, percent, scaled, size_text
from mvit_cli.report.summarize.stage_tables import BAR_WIDTH, headline
from mvit_cli.report.tables import Column, Table, csv_text, in_markdown, markdown, show

Swept = Literal["dtype", "threads"]
SWEPT: tuple[Swept, ...] = ("dtype", "threads")
QUANTILES: tuple[Literal["median", "p10", "p90"], ...] = ("median", "p10", "p90")

_NAMES: dict[str, str] = {"patches": "patch conv", "addition": "additions", "copy": "copies"}


def show_profile(profile: Profile, summary: Summary) -> None:
    """Prints first what the architecture implies on this machine, then what was measured."""
    parts = [part for table in tables_of(profile) for part in ("", table)]
    show(headline(summary), *head_lines(profile, summary), *parts, "", *(f"- {note}" for note in notes_of(profile)))


def profile_markdown(profile: Profile, summary: Summary) -> str:
    """The same as GitHub renders it."""
    head = "\n\n".join((headline(summary), *head_lines(profile, summary)))
    notes = "".join(f"- {note}\n" for note in notes_of(profile))
    return in_markdown("\n".join((head + "\n", *map(markdown, tables_of(profile)), notes)))


def profile_csv(profile: Profile) -> str:
    """A row for each whole, stage, class of operators and phase of a file, under the names of the JSON."""
    same = ("latency_ms", "share", "macs", "executed_macs", "bytes")
    rows: list[list[object]] = []
    for result in profile["results"]:
        case: list[object] = [result["batch_size"], result["dtype"], result["threads"]]
        if "error" in result:
            rows.append([*case, "whole", "", *[""] * len(same), result["error"]])
            continue
        whole = {**result, "latency_ms": result["latency_ms"]["median"], "share": 1.0}
        operators = [dict(entry) | {"executed_macs": entry["macs"], "macs": ""} for entry in result["operators"]]
        named: list[tuple[str, object, Mapping[str, object]]] = [("whole", "", whole)]
        named += [("stage", stage["name"], stage) for stage in result["stages"]]
        named += [("operators", entry["class"], entry) for entry in operators]
        rows += [[*case, part, name, *(entry.get(key, "") for key in same), ""] for part, name, entry in named]
    told = profile.get("end_to_end")
    for process, phases in (("cold", told["cold"]), ("warm", told["warm"])) if told else ():
        for phase in phases["phases"]:
            rows.append(["", "", "", process, phase["name"], phase["ms"], phase["share"], *[""] * (len(same) - 1)])
    return csv_text(["batch_size", "dtype", "threads", "part", "name", *same, "error"], rows)


def head_lines(profile: Profile, summary: Summary) -> list[str]:
    """The device and what ran on it; the machine's limits and the shortest time that they allow."""
    return [machine_line(profile), *(limit_line(limit, profile, summary) for limit in profile["machine"])]


def tables_of(profile: Profile) -> list[Table]:
    """All tables, in the order of the page."""
    tables = [batch_table(profile), *(table for result in measured(profile) for table in _parts(result, profile))]
    return [*tables, *phase_tables(profile)]


def measured(profile: Profile) -> list[ProfileResult]:
    """The cases that fitted."""
    return [result for result in profile["results"] if "error" not in result]


def _parts(result: ProfileResult, profile: Profile) -> Iterator[Table]:
    if result["stages"]:
        yield stage_cost_table(result, profile)
    if result["operators"]:
        yield operator_table(result, profile)


def machine_line(profile: Profile) -> str:
    """The device, its threads, the number format, and which network ran."""
    device = profile["device"]
    inside: list[str] = [device["type"]]
    if device["type"] == "cpu" and not _varies(profile, "threads"):
        inside.append(_threads(device["threads"]))
    network = {"fast": "the fast path", "plain": "the plain network"}[profile["network"]]
    parts = [f"{device['name'] or device['type']} ({', '.join(inside)})"]
    parts += [] if _varies(profile, "dtype") else [profile["dtype"]]
    return ", ".join((*parts, network + ", compiled" * profile["compiled"]))


def limit_line(limit: MachineRates, profile: Profile, summary: Summary) -> str:
    """The machine's ceilings, and the shortest time that its matrix products allow a clip."""
    rate, gmacs = limit["gmacs_per_s"], summary["macs"] / 1e9
    cache = f" ({_rate(limit['cache_gb_per_s'])} in cache)" if limit["cache_gb_per_s"] else ""
    which = _case_text(limit, profile)
    line = (
        f"{which + ': ' if which else ''}matrix products here reach {_rate(rate)} GMAC/s, copies "
        f"{_rate(limit['copy_gb_per_s'])} GB/s{cache}: {_gmacs(gmacs)} GMACs need at least "
        f"{milliseconds(1000 * gmacs / rate)} ms a clip"
    )
    executed = next((result["executed_macs"] for result in measured(profile)), 0) / 1e9
    if not executed or executed > 0.999 * gmacs:
        return line
    return f"{line}, the {_gmacs(executed)} that this path does of them {milliseconds(1000 * executed / rate)} ms"


def batch_table(profile: Profile) -> Table:
    """A row a case; one that did not fit says so."""
    sweeps = [name for name in SWEPT if _varies(profile, name)]
    columns = (
        Column("\nbatch"),
        *(Column(f"\n{name}", numeric=name == "threads") for name in sweeps),
        Column("latency\nms"),
        Column("p10\nms", rank=2),
        Column("p90\nms", rank=2),
        Column("\nclips/s"),
        Column("\nGMAC/s"),
        Column("of the\nlimit"),
        Column("peak\nmemory", rank=1),
        Column("\n", numeric=False, wraps=True),
    )
    rows = tuple(_batch_row(result, sweeps) for result in profile["results"])
    if any(row[-1] for row in rows):
        return Table(columns, rows)
    return Table(columns[:-1], tuple(row[:-1] for row in rows))


def _batch_row(result: ProfileResult | ProfileFailure, sweeps: Sequence[Swept]) -> tuple[str, ...]:
    case = (str(result["batch_size"]), *(str(result[name]) for name in sweeps))
    if "error" in result:
        return (*case, *[""] * 7, result["error"])
    latency, peak = result["latency_ms"], result["peak_memory_bytes"]
    rates = _rate(result["clips_per_s"]), _rate(result["executed_gmacs_per_s"]), percent(result["executed_utilization"])
    times = [milliseconds(latency[name]) for name in QUANTILES]
    return (*case, *times, *rates, size_text(peak) if peak else "", "")


def stage_cost_table(result: ProfileResult, profile: Profile) -> Table:
    """Time of each stage beside its share of the arithmetic."""
    columns = (
        Column("\nstage", numeric=False),
        Column("time\nms"),
        Column("\nshare"),
        Column("\n", numeric=False, rank=1, style="cyan"),
        Column("\nGMACs"),
        Column("share of\nGMACs"),
        Column("\nGMAC/s"),
        Column("of the\nlimit"),
    )
    rows = tuple(
        (
            stage["name"],
            milliseconds(stage["latency_ms"]),
            percent(stage["share"]),
            bar(stage["share"], BAR_WIDTH),
            _giga(stage["executed_macs"], result["executed_macs"]),
            percent(stage["executed_macs"] / result["executed_macs"]),
            _rate(stage["executed_gmacs_per_s"]),
            percent(stage["executed_gmacs_per_s"] / result["machine_gmacs_per_s"]),
        )
        for stage in result["stages"]
    )
    total = milliseconds(sum(stage["latency_ms"] for stage in result["stages"]))
    footer = ("total", total, "", "", _giga(result["executed_macs"], result["executed_macs"]), *[""] * 3)
    return Table(columns, rows, footer, _title(result, profile, "stage"))


def operator_table(result: ProfileResult, profile: Profile) -> Table:
    """Time of each class of operators, with its rates beside both ceilings of the machine."""
    columns = (
        Column("\noperators", numeric=False),
        Column("\ncalls", rank=3),
        Column("time\nms"),
        Column("\nshare"),
        Column("\n", numeric=False, rank=1, style="cyan"),
        Column("\nGMAC/s"),
        Column("of\nproducts"),
        Column("MAC\na byte", rank=2),
        Column("bytes\nmoved", rank=2),
        Column("\nGB/s"),
        Column("of\ncopies"),
    )
    rows = tuple(map(_operator_row, result["operators"]))
    total = milliseconds(sum(entry["latency_ms"] for entry in result["operators"]))
    return Table(columns, rows, ("total", "", total, *[""] * 8), _title(result, profile, "class of operators"))


def _operator_row(entry: OperatorCost) -> tuple[str, ...]:
    computes, moves = entry["macs"] > 0, entry["bytes"] > 0
    return (
        operator_name(entry["class"]),
        f"{entry['calls']:,}" if entry["calls"] else "",
        milliseconds(entry["latency_ms"]),
        percent(entry["share"]),
        bar(entry["share"], BAR_WIDTH),
        _rate(entry["gmacs_per_s"]) if computes else "",
        percent(entry["compute_utilization"]) if computes else "",
        _rate(entry["macs_per_byte"]) if computes and entry["macs_per_byte"] else "",
        size_text(entry["bytes"]) if moves else "",
        _rate(entry["gb_per_s"]) if moves else "",
        percent(entry["memory_utilization"]) if moves else "",
    )


def phase_tables(profile: Profile) -> list[Table]:
    """Where the time of `mvit predict FILE` goes; nothing where no file was given."""
    told = profile.get("end_to_end")
    if not told:
        return []
    return [
        _phase_table(told["cold"], "mvit predict FILE, a new process"),
        _phase_table(told["warm"], "FILE once more, the same process"),
    ]


def _phase_table(process: Phases, title: str) -> Table:
    columns = (
        Column("phase", numeric=False),
        Column("ms"),
        Column("share"),
        Column("", numeric=False, rank=1, style="cyan"),
    )
    rows = tuple(
        (phase["name"], milliseconds(phase["ms"]), percent(phase["share"]), bar(phase["share"], BAR_WIDTH))
        for phase in process["phases"]
    )
    return Table(columns, rows, ("total", milliseconds(process["total_ms"]), "", ""), title)


def _phase_notes(profile: Profile) -> list[str]:
    told = profile.get("end_to_end")
    if not told:
        return []
    ahead, behind = told["decoding_ms"], told["recognising_ms"]
    slower = "the network" if behind >= ahead else "decoding"
    weights = "random weights" if told["weights"] == "none" else f"weights {told['weights']}"
    return [
        f"FILE: {told['file']}, {told['duration_s']:.3g} s read by {told['reader']}, {told['views']} views, {weights}; "
        "it may have been in the system's cache; decoding is split as in a run of its own under Python's profiler",
        f"of many files predict decodes the next while the network is at work: {slower} takes longer, so one process "
        f"that decodes gives a file about every {milliseconds(max(ahead, behind))} ms",
    ]


def operator_name(kind: str) -> str:
    """What people read for a class of operators."""
    return _NAMES.get(kind, kind)


def notes_of(profile: Profile) -> list[str]:
    """What was measured how, and what the words in the tables mean."""
    notes = [*profile["notes"], *_phase_notes(profile)]
    if any(result["operators"] for result in measured(profile)):
        notes.append(
            "operators: patch conv = the stem's convolution; additions = skip connections and positions; between = "
            "time in which no operator computes (Python, dispatch; on a GPU also waiting for the host)"
        )
        notes.append(
            "bytes moved: each operand of an operator read once, its result written once; more than 100 % of copies "
            "means that operands were still in a cache"
        )
    notes.append(
        "limit: the best rate of square matrix products on this device in this number format, and of copies in memory "
        "(a byte read and written counts twice), measured before and after the runs; 1 MAC = one multiply-accumulate, "
        "which papers print as a FLOP"
    )
    return notes


def _title(result: ProfileResult, profile: Profile, by: str) -> str:
    parts = (f"batch of {result['batch_size']}", _case_text(result, profile), f"by {by}")
    return ", ".join(part for part in parts if part)


def _case_text(case: ProfileResult | MachineRates, profile: Profile) -> str:
    """The number format and the threads, where there are several."""
    parts: list[str] = [case["dtype"]] if _varies(profile, "dtype") else []
    parts += [_threads(case["threads"])] if _varies(profile, "threads") else []
    return ", ".join(parts)


def _varies(profile: Profile, name: Swept) -> bool:
    return len({limit[name] for limit in profile["machine"]}) > 1


def _threads(count: int) -> str:
    return f"{count} thread{'s' * (count > 1)}"


def _gmacs(gmacs: float) -> str:
    return scaled(gmacs, 1, decimals_for(gmacs))


def _giga(macs: float, whole: float) -> str:
    return scaled(macs, 1e9, decimals_for(whole / 1e9))


def milliseconds(value: float) -> str:
    """A time with three or more digits."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:,.1f}" if value >= 100 else f"{value:.3g}"


def _rate(value: float) -> str:
    if 0 < value < 0.005:
        return "<0.01"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
