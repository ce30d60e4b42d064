"""What the network does to a clip, as tables: by stage, as in Table 2 of the MViT paper, and by block."""

from collections.abc import Sequence
from math import prod
from typing import Any

from mvit_cli.arch.config import MViTConfig
from mvit_cli.arch.cost import RGB
from mvit_cli.arch.presets import Preset, get_preset
from mvit_cli.protocol import SaidProtocol
from mvit_cli.records import Block, Stage, Summary
from mvit_cli.report.formats import bar, decimals_for, difference, listed, percent, scaled, shape_text
from mvit_cli.report.summarize.block_arithmetic import block_parts, legend
from mvit_cli.report.summarize.explain import stage_sentences
from mvit_cli.report.tables import Column, Table, csv_text, in_markdown, markdown, show

BAR_WIDTH = 10
MEGA, GIGA = 1e6, 1e9


def input_thw(summary: Summary) -> tuple[int, int, int]:
    """Frames, height and width of the clip."""
    clip = summary["input"]
    return clip["frames"], clip["height"], clip["width"]


def headline(summary: Summary) -> str:
    """One sentence that names the network: its input, size and cost."""
    thw = summary["input"]
    frames = f"{thw['frames']} frames of " if thw["frames"] > 1 else "one image of "
    return (
        f"{summary['preset'] or 'MViT of its own geometry'}: {frames}{thw['height']}×{thw['width']}, "
        f"{summary['num_classes']} classes, {_mega(summary['params'], summary)}M parameters, "
        f"{_gmacs(summary['macs'], summary)} GMACs per view"
    )


def stage_table(summary: Summary, config: MViTConfig | None = None, *, explained: bool = False) -> Table:
    """A row a stage and a row of totals.

    Args:
        config: adds a column that says what each stage is made of.
        explained: with `config`, adds the arithmetic of each stage below its row.
    """
    operators = _operators(summary, config) if config else {}
    columns = (
        Column("\nstage", numeric=False),
        *([Column("\noperators", numeric=False, rank=5)] if config else []),
        Column("output\nC×T×H×W"),
        Column("\nheads", rank=2),
        Column("Q\nlength"),
        Column("KV\nlength"),
        Column("params\n(M)", rank=1),
        Column("\nGMACs"),
        Column("\nshare", rank=3),
        Column("\n", numeric=False, rank=4, style="cyan"),
    )
    rows = [_data_row(summary), *(_stage_row(stage, summary) for stage in summary["stages"])]
    if config:
        rows = [(row[0], operators[row[0]], *row[1:]) for row in rows]
    names, params, gmacs = _totals(summary)
    sentences = explanation(summary, config) if config and explained else {}
    footer = (names, *[""] * (len(columns) - 5), params, gmacs, "", "")
    return Table(columns, tuple(rows), footer, notes=tuple(sentences.values()))


def brief_stage_table(model: Summary) -> Table:
    """The same for the side of something else: output shape, sequence length and cost of each stage."""
    columns = (
        Column("stage", numeric=False),
        Column("output\nT×H×W"),
        Column("channels", rank=1),
        Column("sequence\nlength"),
        Column("GMACs"),
    )
    decimals = decimals_for(model["macs"] / GIGA)
    rows = tuple(
        (
            stage["name"],
            shape_text(stage["thw"]),
            str(stage["channels"]),
            f"{stage['sequence_length']:,}",
            scaled(stage["macs"], GIGA, decimals),
        )
        for stage in model["stages"]
    )
    total = ("per view", shape_text(input_thw(model)), "", "", scaled(model["macs"], GIGA, decimals))
    return Table(columns, rows, footer=total)


def explanation(summary: Summary, config: MViTConfig) -> dict[str, str]:
    """The arithmetic of each row, by its name."""
    preset = _preset_as_published(summary)
    return stage_sentences(config, preset.frame_stride if preset else None)


def _preset_as_published(summary: Summary) -> Preset | None:
    """The preset, unless it is a checkpoint that is described: that may have been trained on other frames."""
    return get_preset(summary["preset"]) if summary["preset"] and "weights" not in summary else None


def _totals(summary: Summary) -> tuple[str, str, str]:
    """Names, parameters and GMACs of the rows below the table: ours, the paper's, the difference, all views."""
    rows = [("total", _mega(summary["params"], summary), _gmacs(summary["macs"], summary))]
    paper = summary["paper"]
    if paper and is_native(summary):
        of_params = difference(summary["params"] / MEGA, paper["params_m"])
        of_gmacs = difference(summary["macs"] / GIGA, paper["gflops"])
        rows += [("paper", f"{paper['params_m']:g}", f"{paper['gflops']:,g}"), ("diff.", of_params, of_gmacs)]
    views = views_of(summary)
    if views > 1:
        rows.append((f"{views} views", "", f"{views * summary['macs'] / GIGA:,.1f}"))
    names, params, gmacs = ("\n".join(column) for column in zip(*rows, strict=True))
    return names, params, gmacs


def views_of(summary: Summary) -> int:
    """Views that the paper averages in one prediction; 1 if there is no paper."""
    return prod(map(int, summary["paper"]["views"].split("x"))) if summary["paper"] else 1


def _data_row(summary: Summary) -> tuple[str, ...]:
    return ("data", shape_text((RGB, *input_thw(summary))), *[""] * 7)


def _stage_row(stage: Stage, summary: Summary) -> tuple[str, ...]:
    is_head = stage["name"] == "head"
    return (
        stage["name"],
        str(stage["channels"]) if is_head else shape_text((stage["channels"], *stage["thw"])),
        str(stage["heads"] or ""),
        "" if is_head else f"{stage['sequence_length']:,}",
        f"{stage['kv_sequence_length']:,}" if stage["kv_sequence_length"] else "",
        _mega(stage["params"], summary),
        *_cost_cells(stage["macs"], summary),
    )


def _cost_cells(macs: int, summary: Summary) -> tuple[str, str, str]:
    """GMACs, their share of the whole, and that share as a bar."""
    share = macs / summary["macs"]
    return _gmacs(macs, summary), percent(share), bar(share, BAR_WIDTH)


def _mega(params: int, summary: Summary) -> str:
    return scaled(params, MEGA, decimals_for(summary["params"] / MEGA))


def _gmacs(macs: int, summary: Summary) -> str:
    return scaled(macs, GIGA, decimals_for(summary["macs"] / GIGA))


def _operators(summary: Summary, config: MViTConfig) -> dict[str, str]:
    """What stands in each row of the paper's table: convolution, attention and MLP widths, number of blocks."""
    preset = _preset_as_published(summary)
    operators = {
        "data": f"every {_ordinal(preset.frame_stride)} frame" if preset and config.frames > 1 else "",
        "cube1": f"conv {shape_text(config.patch_kernel)}, stride {shape_text(config.patch_stride)}",
        "head": {"cls": "class token", "mean": "mean of tokens", "mean_then_norm": "mean of tokens"}[
            config.head_pooling
        ]
        + " and of earlier blocks" * (config.head_inputs == "blocks")
        + ", linear",
    }
    for stage, (depth, channels) in enumerate(zip(config.stage_depths, config.stage_channels, strict=True)):
        mlp = int(channels * config.mlp_ratio)
        operators[f"scale{stage + 2}"] = f"[MHPA({channels}), MLP({mlp})] × {depth}"
    return operators


def _ordinal(number: int) -> str:
    return {1: "", 2: "2nd", 3: "3rd"}.get(number, f"{number}th")


def block_table(summary: Summary) -> Table:
    """A row a block: widths, grids, strides, kernels, lengths and cost."""
    columns = (
        Column("\nblock"),
        Column("\nstage", numeric=False),
        Column("\nchannels", rank=7),
        Column("\nheads", rank=6),
        Column("Q grid\nT×H×W"),
        Column("Q\nstride", rank=2),
        Column("Q\nkernel", rank=3),
        Column("KV grid\nT×H×W"),
        Column("KV\nstride", rank=2),
        Column("KV\nkernel", rank=3),
        Column("Q\nlength", rank=5),
        Column("KV\nlength", rank=5),
        Column("params\n(M)", rank=4),
        Column("\nGMACs"),
        Column("\nshare", rank=8),
        Column("\n", numeric=False, rank=9, style="cyan"),
    )
    return Table(columns, tuple(_block_row(block, summary) for block in summary["blocks"]))


def _block_row(block: Block, summary: Summary) -> tuple[str, ...]:
    widens = block["dim_in"] != block["dim_out"]
    return (
        str(block["index"]),
        block["stage"],
        f"{block['dim_in']}→{block['dim_out']}" if widens else str(block["dim_in"]),
        str(block["heads"]),
        shape_text(block["thw_out"]),
        shape_text(block["stride_q"]),
        shape_text(block["kernel_q"]) if block["kernel_q"] else "",
        shape_text(block["kv_thw"]),
        shape_text(block["stride_kv"]),
        shape_text(block["kernel_kv"]) if block["kernel_kv"] else "",
        f"{block['sequence_length']:,}",
        f"{block['kv_sequence_length']:,}",
        _mega(block["params"], summary),
        *_cost_cells(block["macs"], summary),
    )


def footnotes(summary: Summary) -> list[str]:
    """What the table alone does not say: the paper's figures, longer key sequences, notes, and what a GMAC is."""
    notes = [*_paper_notes(summary), *_longer_keys(summary)]
    if summary.get("note"):
        notes.append(summary["note"])
    notes.append(
        "1 GMAC = 1e9 multiply-accumulates for one view; papers print this number as GFLOPs. Counted: convolutions, "
        "linear layers, attention and relative-position products."
    )
    return notes


def _paper_notes(summary: Summary) -> list[str]:
    paper = summary["paper"]
    if not paper or not summary["preset"]:
        return []
    top1 = f"; top-1 {paper['top1']:g} % on {paper['dataset']}" if paper["top1"] else ""
    printed = f"paper: {paper['source']}{top1}"
    if not is_native(summary):
        native = get_preset(summary["preset"]).config
        printed += (
            f"; it prints {paper['params_m']:g}M parameters and {paper['gflops']:,g} GMACs for an input of "
            f"{shape_text(native.input_thw)} and {native.num_classes} classes"
        )
    views = views_of(summary)
    if views == 1:
        return [f"{printed}."]
    cost = f"{views} × {_gmacs(summary['macs'], summary)} = {views * summary['macs'] / GIGA:,.1f} GMACs"
    return [f"{printed}.", f"A prediction averages {views} views in the paper: {cost}."]


def is_native(summary: Summary) -> bool:
    """Whether clip and classes are those the preset was published with."""
    if summary["preset"] is None:
        return False
    config = get_preset(summary["preset"]).config
    return (config.input_thw, config.num_classes) == (input_thw(summary), summary["num_classes"])


def _longer_keys(summary: Summary) -> list[str]:
    """Stages whose first block sees another number of keys than the last, grouped by that number."""
    stages: dict[int, list[str]] = {}
    for stage in summary["stages"]:
        first = next((block for block in summary["blocks"] if block["stage"] == stage["name"]), None)
        if first and first["kv_sequence_length"] != stage["kv_sequence_length"]:
            stages.setdefault(first["kv_sequence_length"], []).append(stage["name"])
    return [
        f"The first block of {listed(names)} sees {length:,} keys: there K and V are pooled from the grid before Q is."
        for length, names in stages.items()
    ]


def weights_lines(summary: Summary) -> list[str]:
    """What is known of the checkpoint that the summary describes; nothing for a preset."""
    record = summary.get("weights")
    if not record:
        return []
    notes = [f"- {note}" for note in record["notes"]]
    kind = ", ".join(filter(None, (f"layout {record['layout']}", record["dtype"])))
    heading = f"weights {record['name']}: {kind}; strides from {record['strides_from']}."
    protocol = record.get("protocol")
    return [heading, *(protocol_lines(protocol) if protocol else ()), *notes]


def protocol_lines(protocol: SaidProtocol) -> list[str]:
    """How predict shows the network a file, a line for each part with who says so."""
    sampling, statistics, resizing = protocol["sampling"], protocol["statistics"], protocol["resizing"]
    labels = protocol["labels"]
    largest = ", of each class the largest score" if protocol["views"]["over"] == "max" else ""
    rate = f" of {sampling['fps']:g} a second" if sampling["fps"] else ""
    whole = sampling["method"] in ("segments", "uniform", "image")  # no time line
    every = "" if whole else f", one in {sampling['stride']}{rate}"
    smooth = ", low-passed" if resizing["antialias"] else ""
    parts = [
        (f"{sampling['frames']} frames{every} ({sampling['method']})", sampling["origin"]),
        (f"mean {_colours(statistics['mean'])}, std {_colours(statistics['std'])}", statistics["origin"]),
        ({"rgb": "red first", "bgr": "blue first"}[protocol["channels"]["order"]], protocol["channels"]["origin"]),
        (
            f"short side {resizing['resize']}, crop {resizing['crop']}, {resizing['interpolation']}{smooth}",
            resizing["origin"],
        ),
        (f"{protocol['views']['views']} views{largest}", protocol["views"]["origin"]),
        (protocol["activation"]["activation"], protocol["activation"]["origin"]),
        (f"{labels['classes']} classes: {', '.join(labels['first']) or 'numbers'} ...", labels["origin"]),
    ]
    return [f"- {what} ({origin})" for what, origin in parts]


def _colours(values: Sequence[float]) -> str:
    """One number where red, green and blue have the same."""
    return f"{values[0]:.4g}" if len(set(values)) == 1 else " ".join(f"{value:.4g}" for value in values)


def show_summary(summary: Summary, config: MViTConfig, *, blocks: bool = False, explained: bool = False) -> None:
    """Prints the tables for people."""
    parts = [part for table in _tables(summary, config, blocks, explained) for part in (table, "")]
    if blocks and explained:
        for prose, table in block_parts(config):
            parts += [table, *prose, ""]
        parts += [*legend(config), ""]
    notes = [f"- {note}" for note in footnotes(summary)]
    show(headline(summary), *weights_lines(summary), "", *parts, *notes)


def summary_markdown(summary: Summary, config: MViTConfig, *, blocks: bool = False, explained: bool = False) -> str:
    """The same as GitHub renders it."""
    tables = _tables(summary, config, blocks, explained)
    notes = "".join(f"- {note.removeprefix('- ')}\n" for note in (*weights_lines(summary), *footnotes(summary)))
    parts = [headline(summary) + "\n", *map(markdown, tables)]
    if blocks and explained:
        parts += ["\n".join((markdown(table), *prose, "")) for prose, table in block_parts(config)]
        parts.append("\n".join((*legend(config), "")))
    return in_markdown("\n".join((*parts, notes)))


def _tables(summary: Summary, config: MViTConfig, blocks: bool, explained: bool) -> list[Table]:
    tables = [stage_table(summary, config, explained=explained)]
    if blocks:
        tables.append(block_table(summary))
    return tables


def summary_csv(summaries: Sequence[Summary], *, blocks: bool = False) -> str:
    """Stages, or blocks if asked for, under the names of the JSON; shapes as `8x56x56`, nothing for none.

    Several summaries stand one below the other, with the preset in front. The explanation of a stage comes last.
    """
    rows = [row for summary in summaries for row in _csv_rows(summary, blocks, named=len(summaries) > 1)]
    return csv_text(list(rows[0]), [[_plain(value) for value in row.values()] for row in rows])


def _csv_rows(summary: Summary, blocks: bool, *, named: bool) -> list[dict[str, Any]]:
    sentences = {} if blocks else summary.get("explanation", {})
    rows: list[dict[str, Any]] = [dict(entry) for entry in (summary["blocks"] if blocks else summary["stages"])]
    return [
        ({"preset": summary["preset"]} if named else {})
        | row
        | ({"explanation": sentences[row["name"]]} if sentences else {})
        for row in rows
    ]


def _plain(value: object) -> object:
    return "x".join(map(str, value)) if isinstance(value, list) else value
