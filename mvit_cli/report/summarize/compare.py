"""Architectures side by side, as in Table 3 of the MViT paper: `mvit summarize --compare`."""

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mvit_cli.records import Block, PaperFigures, Stage, Summary
from mvit_cli.report.figures import COUNTED, FILLS, picture
from mvit_cli.report.formats import decimals_for, difference, percent, scaled, shape_text
from mvit_cli.report.summarize.stage_tables import GIGA, MEGA, input_thw, is_native, views_of
from mvit_cli.report.tables import UNLIMITED, Column, Table, markdown, show, width_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMES_WIDTH = 14

_LEGEND = (
    "Q / KV: sequence lengths in the last block of a stage, with the class token where there is one.",
    "Q K^T, A V: GMACs of both attention products in all blocks; the rest are convolutions, linear layers and relative "
    "positions.",
    "1 GMAC = 1e9 multiply-accumulates for one view; papers print this number as GFLOPs. Figures of the paper belong "
    "to its own clip geometry and classes; where these differ they are left out.",
)


def show_comparison(summaries: Sequence[Summary]) -> None:
    """Prints the columns; those that do not fit the width go on in a further table below."""
    width = width_of(sys.stdout)
    tables = [comparison_table(chunk) for chunk in _chunks(summaries, width)]
    show(*[part for table in tables for part in (table, "")], *[f"- {note}" for note in _notes(summaries)])


def comparison_markdown(summaries: Sequence[Summary]) -> str:
    """The same as GitHub renders it, in one table."""
    return "\n".join((markdown(comparison_table(summaries)), "".join(f"- {note}\n" for note in _notes(summaries))))


def _notes(summaries: Sequence[Summary]) -> list[str]:
    """How the table is read, and what a network costs that pools nothing, where one is beside others."""
    plain = [summary for summary in summaries if _is_plain(summary)]
    longest = max(summaries, key=lambda summary: summary["stages"][0]["sequence_length"])
    return [*_LEGEND[:2], *(_plain_note(summary, longest) for summary in plain), _LEGEND[2]]


def _is_plain(summary: Summary) -> bool:
    return all(block["thw_in"] == block["thw_out"] == block["kv_thw"] for block in summary["blocks"])


def _plain_note(summary: Summary, longest: Summary) -> str:
    """Where the sequence stays long, and what that costs; and what it would cost on the longest of the others."""
    block, (patches, stage, *_) = summary["blocks"][0], summary["stages"]
    tokens, channels, begins = block["sequence_length"], stage["channels"], longest["stages"][0]["sequence_length"]
    note = (
        f"{_name(summary)} pools nothing: {tokens:,} tokens of {channels} channels from the first block to the last, "
        f"{len(summary['blocks'])} × {block['macs'] / GIGA:,.2f} GMACs, of which "
        f"2 × {tokens:,} × {tokens:,} × {channels} = {_products(block, channels) / GIGA:,.2f} G are Q K^T and A V."
    )
    if begins <= patches["sequence_length"]:
        return note
    return (
        f"{note} On the {begins:,} tokens that {_name(longest)} begins with these two alone would be "
        f"2 × {begins:,} × {begins:,} × {channels} = {2 * begins**2 * channels / GIGA:,.1f} G in each block."
    )


def _products(block: Block, channels: int) -> int:
    """MACs of both attention products."""
    return 2 * block["sequence_length"] * block["kv_sequence_length"] * channels


def _attention(summary: Summary) -> str:
    channels = {stage["name"]: stage["channels"] for stage in summary["stages"]}
    macs = sum(_products(block, channels[block["stage"]]) for block in summary["blocks"])
    return scaled(macs, GIGA, decimals_for(summary["macs"] / GIGA))


def _chunks(summaries: Sequence[Summary], width: int) -> Iterator[Sequence[Summary]]:
    """As many at a time as fit."""
    if width >= UNLIMITED:
        yield summaries
        return
    start, used = 0, NAMES_WIDTH
    for i, summary in enumerate(summaries):
        cells = [row[1] for row in _rows([summary])]
        needed = max(map(len, (_name(summary), *cells))) + 2
        if used + needed > width and i > start:
            yield summaries[start:i]
            start, used = i, NAMES_WIDTH
        used += needed
    yield summaries[start:]


def draw_comparison(summaries: Sequence[Summary], path: Path) -> None:
    """Writes a picture: a bar a preset, of its GMACs and of its parameters, in parts by stage.

    Raises:
        MViTError: the file could not be written.
    """
    names = [f"{_name(summary)}\n{shape_text(input_thw(summary))}" for summary in summaries]
    title = "GMACs of one view and parameters, by stage"
    with picture(path, title, (COUNTED,), width=9, height=1.8 + 0.5 * len(summaries)) as figure:
        axes = figure.subplots(1, 2, sharey=True)
        _draw_bars(axes[0], summaries, "macs", GIGA)
        axes[0].set_xlabel("GMACs per view")
        _draw_bars(axes[1], summaries, "params", MEGA)
        axes[1].set_xlabel("parameters (M)")
        axes[0].set_yticks(range(len(names)), labels=names)
        axes[0].invert_yaxis()
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower left", ncols=len(FILLS))


def _draw_bars(axes: "Axes", summaries: Sequence[Summary], key: Literal["macs", "params"], unit: float) -> None:
    left = [0.0] * len(summaries)
    for name, fill in zip(_stage_names(summaries), FILLS, strict=False):
        parts = [sum(stage[key] for stage in of["stages"] if stage["name"] == name) / unit for of in summaries]
        axes.barh(range(len(summaries)), parts, left=left, height=0.6, label=name, **fill)
        left = [start + part for start, part in zip(left, parts, strict=True)]
    for place, total in enumerate(left):
        axes.annotate(
            f"{total:,.{decimals_for(total)}f}", (total, place), (3, 0), textcoords="offset points", va="center"
        )
    axes.set_xlim(0, 1.2 * max(left))


def _stage_names(summaries: Sequence[Summary]) -> list[str]:
    """All names of stages, in the order of the network."""
    names = {stage["name"] for summary in summaries for stage in summary["stages"]}
    return sorted(names, key=lambda name: (name == "head", name))


def comparison_table(summaries: Sequence[Summary]) -> Table:
    """A column a preset; for each stage its output, blocks, heads, lengths and cost; below the totals and the paper."""
    columns = (Column("", numeric=False), *(Column(_name(summary)) for summary in summaries))
    return Table(columns, tuple(_rows(summaries)))


def _name(summary: Summary) -> str:
    return summary["preset"] or "own"


def _rows(summaries: Sequence[Summary]) -> Iterator[tuple[str, ...]]:
    yield ("input", *(shape_text(input_thw(summary)) for summary in summaries))
    yield ("classes", *(f"{summary['num_classes']:,}" for summary in summaries))
    for name in _stage_names(summaries):
        stages = [next((s for s in summary["stages"] if s["name"] == name), None) for summary in summaries]
        for label, cell in _stage_cells(name):
            cells = [cell(stage, of) if stage else "" for stage, of in zip(stages, summaries, strict=True)]
            yield (label, *cells)
    for label, of_summary in _TOTALS:
        yield (label, *map(of_summary, summaries))


def _stage_cells(name: str) -> list[tuple[str, Callable[[Stage, Summary], str]]]:
    """Label and text of each line about one stage."""
    output = [(name, lambda stage, _: shape_text((stage["channels"], *stage["thw"])))]
    cost: list[tuple[str, Callable[[Stage, Summary], str]]] = [
        ("  params (M)", lambda stage, of: scaled(stage["params"], MEGA, decimals_for(of["params"] / MEGA))),
        ("  GMACs", lambda stage, of: scaled(stage["macs"], GIGA, decimals_for(of["macs"] / GIGA))),
        ("  share", lambda stage, of: percent(stage["macs"] / of["macs"])),
    ]
    if name == "head":
        return [(name, lambda stage, _: str(stage["channels"])), *cost[:2]]
    if name == "cube1":
        return [*output, ("  tokens", lambda stage, _: f"{stage['sequence_length']:,}"), *cost]
    return [
        *output,
        ("  blocks", lambda stage, _: str(stage["blocks"])),
        ("  heads", lambda stage, _: str(stage["heads"])),
        ("  Q / KV", lambda stage, _: f"{stage['sequence_length']:,} / {stage['kv_sequence_length']:,}"),
        *cost,
    ]


def _of_paper(summary: Summary, text: Callable[[PaperFigures], str]) -> str:
    return text(summary["paper"]) if summary["paper"] and is_native(summary) else ""


def _prediction(summary: Summary) -> str:
    views = views_of(summary)
    return f"{views * summary['macs'] / GIGA:,.1f}" if views > 1 else ""


_TOTALS: tuple[tuple[str, Callable[[Summary], str]], ...] = (
    ("total params", lambda of: f"{of['params'] / MEGA:,.{decimals_for(of['params'] / MEGA)}f}"),
    ("  paper", lambda of: _of_paper(of, lambda paper: f"{paper['params_m']:g}")),
    ("  diff.", lambda of: _of_paper(of, lambda paper: difference(of["params"] / MEGA, paper["params_m"]))),
    ("total GMACs", lambda of: f"{of['macs'] / GIGA:,.{decimals_for(of['macs'] / GIGA)}f}"),
    ("  paper", lambda of: _of_paper(of, lambda paper: f"{paper['gflops']:,g}")),
    ("  diff.", lambda of: _of_paper(of, lambda paper: difference(of["macs"] / GIGA, paper["gflops"]))),
    ("  Q K^T, A V", _attention),
    ("views", lambda of: str(views_of(of)) if of["paper"] else ""),
    ("  their GMACs", _prediction),
    ("top-1 (%)", lambda of: _of_paper(of, lambda paper: f"{paper['top1']:g}" if paper["top1"] else "")),
    ("  on", lambda of: _of_paper(of, lambda paper: paper["dataset"] if paper["top1"] else "")),
)
