"""The pyramid as a picture: sequence length and channels by block, and GMACs as area."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvit_cli.records import Stage, Summary
from mvit_cli.report.figures import COUNTED, FILLS, ink, line, paper, picture
from mvit_cli.report.formats import decimals_for, percent, scaled, shape_text
from mvit_cli.report.summarize.stage_tables import GIGA, headline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEGEND_ROWS = 3
FAINT = 0.35
"""What stands behind lines, so that these are seen on it, on white and on dark ground."""
NAMED_FROM = 0.055
"""A stage has its name in the picture from this share of the width on; the legend has all names."""


@dataclass(frozen=True)
class _Span:
    """A stage on the axis of blocks, and where each of its blocks begins and ends.

    The patch convolution takes the place before block 0.
    """

    stage: Stage
    edges: list[float]
    fill: dict[str, Any]


def draw_pyramid(summary: Summary, path: Path) -> None:
    """Writes the picture of a summary: above the lengths of Q and KV and the channels, below the GMACs of each block.

    Raises:
        MViTError: the file could not be written.
    """
    spans = _spans(summary)
    with picture(path, headline(summary), (COUNTED,), width=9, height=6.5) as figure:
        lengths, costs = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        channels = lengths.twinx()
        _draw_lengths(lengths, summary, spans)
        _draw_channels(channels, spans)
        _draw_costs(costs, summary, spans)
        handles = [handle for axes in (lengths, channels, costs) for handle in axes.get_legend_handles_labels()[0]]
        figure.legend(handles=handles, loc="outside lower left", ncols=-(-len(handles) // LEGEND_ROWS))


def _spans(summary: Summary) -> list[_Span]:
    spans, edge = [], -1.5
    for fill, stage in zip(FILLS, summary["stages"][:-1], strict=False):  # the head sees one token
        width = max(stage["blocks"], 1)
        spans.append(_Span(stage, [edge + i for i in range(width + 1)], fill))
        edge += width
    return spans


def _draw_lengths(axes: "Axes", summary: Summary, spans: list[_Span]) -> None:
    """Queries as filled steps under the name of each stage, keys as a dashed line."""
    blocks, total = summary["blocks"], spans[-1].edges[-1] - spans[0].edges[0]
    axes.set_yscale("log")
    for span in spans:
        first, last, length = span.edges[0], span.edges[-1], span.stage["sequence_length"]
        axes.stairs([length], [first, last], baseline=0.01, fill=True, alpha=FAINT, **span.fill)
        named = (last - first) / total > NAMED_FROM
        if span.stage["blocks"]:
            # A narrow first stage has room for its number only from the edge of the picture on.
            place, side = ((-2, 3), "right") if named or span is not spans[1] else ((2, 3), "left")
            at = last if side == "right" else spans[0].edges[0]
            axes.annotate(f"{length:,}", (at, length), place, textcoords="offset points", ha=side)
        if named:
            name, middle = span.stage["name"], (first + last) / 2
            behind = {"facecolor": paper(), "edgecolor": "none", "pad": 1.0}
            axes.text(middle, 0.04, name, ha="center", transform=axes.get_xaxis_transform(), bbox=behind)
    queries = [summary["stages"][0]["sequence_length"], *(block["sequence_length"] for block in blocks)]
    keys = [block["kv_sequence_length"] for block in blocks]
    edges = [edge for span in spans for edge in span.edges[:-1]] + [spans[-1].edges[-1]]
    steps: dict[str, Any] = {"baseline": None, "color": ink()}
    axes.stairs(queries, edges, linewidth=1.8, label="queries (Q)", **steps)
    axes.stairs(keys, edges[1:], linewidth=1.3, linestyle="--", label="keys and values (KV)", **steps)
    axes.set_ylim(min(queries + keys) / 10, max(queries) * 2)
    axes.set_ylabel("sequence length (tokens)")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.grid(axis="y")


def _draw_channels(axes: "Axes", spans: list[_Span]) -> None:
    """Channels on an axis of their own, on the right, in powers of two."""
    middles = [(span.edges[0] + span.edges[-1]) / 2 for span in spans[1:]]
    widths = [span.stage["channels"] for span in spans[1:]]
    axes.set_yscale("log", base=2)
    axes.plot(middles, widths, label="channels (scale on the right)", **(line(1) | {"linestyle": ":"}))
    axes.set_ylim(min(widths) / 8, max(widths) * 3)
    axes.set_yticks(widths, labels=list(map(str, widths)))
    axes.minorticks_off()
    axes.spines["right"].set_visible(True)
    axes.set_ylabel("channels")


def _draw_costs(axes: "Axes", summary: Summary, spans: list[_Span]) -> None:
    """A bar a block, one wide: the area of a stage is its GMACs."""
    decimals = decimals_for(summary["macs"] / GIGA)
    for span in spans:
        stage, name = span.stage, f"{span.stage['name']}, {shape_text(span.stage['thw'])}"
        inside = [block["macs"] / GIGA for block in summary["blocks"] if block["stage"] == stage["name"]]
        heights = inside or [stage["macs"] / GIGA]
        cost = f"{scaled(stage['macs'], GIGA, decimals)} GMACs, {percent(stage['macs'] / summary['macs'])}"
        axes.stairs(heights, span.edges, fill=True, ec=ink(), lw=0.8, label=f"{name}: {cost}", **span.fill)
    axes.set_xlim(spans[0].edges[0], spans[-1].edges[-1])
    blocks = len(summary["blocks"])
    axes.set_xticks(range(0, blocks, -(-blocks // 16)))
    axes.set_xlabel("block; before block 0 stands the patch convolution, cube1")
    axes.set_ylabel("GMACs a block")
    axes.grid(axis="y")
