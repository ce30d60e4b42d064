"""A profile as a picture: time by stage and class of operators, the roofline, and the rates of what only moves data."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mvit_cli.records import (
    MachineRates,
    OperatorClass,
    OperatorCost,
    Profile,
    ProfiledDevice,
    ProfileResult,
    StageCost,
)
from mvit_cli.report.figures import FILLS, MARKERS, ink, picture
from mvit_cli.report.formats import percent
from mvit_cli.report.profile.costs import QUANTILES, machine_line, measured, milliseconds, operator_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GROUPS: tuple[tuple[str, tuple[OperatorClass, ...]], ...] = (
    ("linear", ("linear",)),
    ("attention", ("attention",)),
    ("pooling", ("pooling",)),
    ("patch conv", ("patches",)),
    ("norm", ("norm",)),
    ("activation", ("activation",)),
    ("additions, copies, other", ("addition", "copy", "other")),
    ("between operators", ("between",)),
)
"""What one fill stands for: its name, and the classes of operators in it."""


def draw_profile(profile: Profile, path: Path) -> None:
    """Writes the picture of the first case that was measured.

    Raises:
        MViTError: the file could not be written.
    """
    result = next(entry for entry in measured(profile) if entry["operators"])
    limit = next(entry for entry in profile["machine"] if _is_of(entry, result))
    with picture(path, _title(profile, result), _notes(result), width=9, height=8) as figure:
        grid = figure.add_gridspec(2, 1)
        upper, lower = figure.add_subfigure(grid[0]), figure.add_subfigure(grid[1])
        times = upper.subplots()
        _draw_times(times, result)
        upper.legend(*times.get_legend_handles_labels(), loc="outside lower left", ncols=len(GROUPS) // 2)
        roof, rates = lower.subplots(1, 2, width_ratios=(3, 2))
        _draw_roofline(roof, result["operators"], limit)
        lower.legend(*roof.get_legend_handles_labels(), loc="outside lower left", ncols=3)
        _draw_rates(rates, result["operators"], limit)


def _is_of(limit: MachineRates, result: ProfileResult) -> bool:
    return (limit["dtype"], limit["threads"]) == (result["dtype"], result["threads"])


def _title(profile: Profile, result: ProfileResult) -> str:
    thw = profile["input"]
    limits = [entry for entry in profile["machine"] if _is_of(entry, result)]
    device: ProfiledDevice = {**profile["device"], "threads": result["threads"]}
    line = machine_line({**profile, "dtype": result["dtype"], "device": device, "machine": limits})
    clip = f"{thw['frames']} × {thw['height']} × {thw['width']}"
    return f"{profile['preset']}, batch of {result['batch_size']} × {clip}, on {line}"


def _notes(result: ProfileResult) -> list[str]:
    median, p10, p90 = (milliseconds(result["latency_ms"][name]) for name in QUANTILES)
    return [
        f"median of {result['runs']} runs {median} ms (p10 {p10}, p90 {p90}), "
        f"{result['executed_gmacs_per_s']:,.3g} GMAC/s = {percent(result['executed_utilization'])} of this machine's "
        "matrix products"
    ]


def _draw_times(axes: "Axes", result: ProfileResult) -> None:
    """A bar a stage, the first on top, as long as its time; divided as its operators share it when they are timed."""
    stages = result["stages"]
    places = range(len(stages))
    ends = [0.0] * len(stages)
    for (name, kinds), fill in zip(GROUPS, FILLS, strict=True):
        parts = [stage["latency_ms"] * _share(stage, kinds) for stage in stages]
        axes.barh(places, parts, left=ends, height=0.7, label=name, **fill)
        ends = [end + part for end, part in zip(ends, parts, strict=True)]
    for place, end, stage in zip(places, ends, stages, strict=True):
        text = f"{milliseconds(stage['latency_ms'])} ms, {percent(stage['share'])}"
        axes.annotate(text, (end, place), (4, 0), textcoords="offset points", va="center")
    axes.set_yticks(places, labels=[stage["name"] for stage in stages])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.25 * max(ends))
    axes.set_xlabel("time (ms)")
    axes.set_title("time by stage and class of operators", loc="left")


def _share(stage: StageCost, kinds: Sequence[OperatorClass]) -> float:
    """What operators of these classes take of the time of all operators of a stage."""
    times = stage["operators_ms"]
    return sum(times.get(kind, 0.0) for kind in kinds) / (sum(times.values()) or 1.0)


def _draw_roofline(axes: "Axes", operators: Sequence[OperatorCost], limit: MachineRates) -> None:
    """Both ceilings, and each class that multiplies: arithmetic a byte moved against rate."""
    points = [(entry, entry["macs_per_byte"]) for entry in operators if entry["macs"] and entry["macs_per_byte"]]
    peak, ceilings = limit["gmacs_per_s"], [(limit["copy_gb_per_s"], "-", "copies in memory")]
    if limit["cache_gb_per_s"]:
        ceilings.append((limit["cache_gb_per_s"], "--", "copies in cache"))
    reach = [intensity for _, intensity in points] + [peak / bandwidth for bandwidth, _, _ in ceilings]
    low, high = min(reach) / 3, max(reach) * 5
    axes.set_xscale("log")
    axes.set_yscale("log")
    for bandwidth, style, name in ceilings:
        knee = peak / bandwidth
        label = f"{name}, {bandwidth:,.3g} GB/s"
        axes.plot([low, knee], [low * bandwidth, peak], color=ink(), linestyle=style, linewidth=1.2, label=label)
    start = min(peak / bandwidth for bandwidth, _, _ in ceilings)
    axes.plot([start, high], [peak, peak], color=ink(), linewidth=2, label=f"matrix products, {peak:,.3g} GMAC/s")
    for (entry, intensity), marker, fill in zip(points, MARKERS, FILLS, strict=False):
        name = operator_name(entry["class"])
        place = intensity, entry["gmacs_per_s"]
        label = f"{name}, {entry['gmacs_per_s']:,.3g} GMAC/s"
        axes.plot(
            *place, marker, color=ink(), markerfacecolor=fill["facecolor"], markersize=8, linestyle="none", label=label
        )
    lowest = min(entry["gmacs_per_s"] for entry, _ in points)
    axes.set_xlim(low, high)
    axes.set_ylim(min(lowest, low * limit["copy_gb_per_s"]) / 3, peak * 2)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.set_xlabel("MACs a byte moved")
    axes.set_ylabel("GMAC/s")
    axes.set_title("roofline of the operators that multiply", loc="left")
    axes.grid()


def _draw_rates(axes: "Axes", operators: Sequence[OperatorCost], limit: MachineRates) -> None:
    """A bar a class that multiplies nothing: bytes a second, beside those of copies."""
    movers = [entry for entry in operators if entry["bytes"] and not entry["macs"]]
    places, rates = range(len(movers)), [entry["gb_per_s"] for entry in movers]
    axes.barh(places, rates, height=0.6, **FILLS[0])
    for style, ceiling in (("-", limit["copy_gb_per_s"]), ("--", limit["cache_gb_per_s"])):
        if ceiling:
            axes.axvline(ceiling, color=ink(), linestyle=style, linewidth=1.2)
    # Rates beside the names: at the ends of the bars they would meet the lines.
    axes.set_yticks(places, labels=[f"{operator_name(entry['class'])}\n{entry['gb_per_s']:,.3g}" for entry in movers])
    axes.set_ylim(len(movers) - 0.4, -1)
    axes.set_xlim(0, 1.25 * max(*rates, limit["copy_gb_per_s"], limit["cache_gb_per_s"] or 0))
    axes.set_xlabel("bytes moved (GB/s)")
    axes.set_title("operators that only move (lines as on the left)", loc="left")
    axes.grid(axis="x")
