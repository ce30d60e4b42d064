"""`mvit summarize`: what the network does to a clip, stage by stage, without running it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mvit_cli.cli.flags import Force, Plot, Preset, WeightsKey, usual_preset
from mvit_cli.cli.geometry import Frames, Size, impossible_geometry, parse_size
from mvit_cli.cli.outputs import check_plot, plot_place
from mvit_cli.errors import UsageError, tell

if TYPE_CHECKING:
    from mvit_cli.arch.config import MViTConfig
    from mvit_cli.cli.outputs import Place
    from mvit_cli.records import Summary

Format = Literal["table", "json", "markdown", "csv"]
Geometry = tuple[int | None, tuple[int, int] | None]

EXAMPLES = """\b
Examples:
  mvit summarize --preset v2-S --explain
  mvit summarize --frames 32 --size 160x256 --blocks
  mvit summarize --set stride_kv=1x4x4 --set stage_depths=1,2,3,1
  mvit summarize --compare S,B,v2-S,v2-B --format markdown
  mvit summarize --weights model.safetensors --format json
  mvit summarize --plot pyramid.svg"""


def summarize_command(
    preset: Preset = None,
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights", "-w", metavar="FILE|NAME", help="Describe this checkpoint instead; nothing is downloaded."
        ),
    ] = None,
    weights_key: WeightsKey = None,
    compare: Annotated[
        str | None, typer.Option("--compare", metavar="NAME,...", help="Show these presets side by side.")
    ] = None,
    frames: Frames = None,
    size: Size = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="FIELD=VALUE", help="Change the preset: stride_kv=1x4x4, stage_depths=1,2,3,1 ..."
        ),
    ] = None,
    blocks: Annotated[bool, typer.Option("--blocks", help="Add a row for each block.")] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say how the numbers come about; with --blocks step by step.")
    ] = False,
    output: Annotated[Format, typer.Option("--format", help="How the result is written.")] = "table",
    plot: Plot = None,
    force: Force = False,
) -> None:
    """Show what the network does to a clip: shapes, sequence lengths, parameters and GMACs of every stage."""
    if plot:
        check_plot(plot, [weights] if weights else [], force=force)
    if weights_key is not None and weights is None:
        raise UsageError("--weights-key names a network in a file, and there is none", "add --weights FILE")
    geometry = frames, parse_size(size)
    if compare is not None:
        _refuse_beside_compare(
            {"--preset": preset, "--weights": weights, "--explain": explain, "--set": settings or None}
        )
        _print_comparison(compare, geometry, output, blocks, plot_place(plot, force=force) if plot else None)
        return
    if settings and weights is not None:
        raise UsageError("--set changes a preset, and --weights describes a checkpoint", "leave out one of them")
    if weights is not None:
        summary, config = _described(weights, preset, geometry, weights_key)
    else:
        summary, config = _summarized(usual_preset(preset) or "B", geometry, settings or ())
    if plot:
        from mvit_cli.report.summarize.pyramid import draw_pyramid

        with plot_place(plot, force=force).reserved():
            draw_pyramid(summary, plot)
    _print(summary, config, output, blocks, explain)


def _print(summary: "Summary", config: "MViTConfig", output: Format, blocks: bool, explain: bool) -> None:
    from mvit_cli.report.summarize import stage_tables as stages
    from mvit_cli.report.tables import write_data, write_json

    if output == "table":
        stages.show_summary(summary, config, blocks=blocks, explained=explain)
        return
    if explain:
        from mvit_cli.report.summarize.block_arithmetic import explained_blocks

        summary |= {"explanation": stages.explanation(summary, config), "explained_blocks": explained_blocks(config)}
    if output == "json":
        write_json(summary)
    elif output == "csv":
        write_data(stages.summary_csv([summary], blocks=blocks))
    else:
        write_data(stages.summary_markdown(summary, config, blocks=blocks, explained=explain))


def _print_comparison(names: str, geometry: Geometry, output: Format, blocks: bool, plot: "Place | None") -> None:
    from mvit_cli.report.summarize import compare
    from mvit_cli.report.summarize import stage_tables as stages
    from mvit_cli.report.tables import write_data, write_json

    if blocks and output != "csv":
        raise UsageError("--compare has no rows for blocks", "--format csv lists them; json has them always")
    summaries = [_summarized(name, geometry)[0] for name in _compared(names)]
    if plot:
        with plot.reserved():
            compare.draw_comparison(summaries, plot.path)
    if output == "table":
        compare.show_comparison(summaries)
    elif output == "json":
        write_json({"summaries": summaries})
    elif output == "csv":
        write_data(stages.summary_csv(summaries, blocks=blocks))
    else:
        write_data(compare.comparison_markdown(summaries))


def _compared(text: str) -> list[str]:
    """`S,B` -> the full names, each once.

    Raises:
        UsageError: fewer than two presets, or one that there is not.
    """
    from mvit_cli.arch.presets import resolve_preset

    names = list(dict.fromkeys(resolve_preset(part) for part in text.split(",") if part.strip()))
    if len(names) < 2:
        raise UsageError(f"--compare {text!r} names fewer than two presets", "give them with commas: S,B,v2-S")
    return names


def _refuse_beside_compare(options: dict[str, object]) -> None:
    for option, value in options.items():
        if value not in (None, False):
            raise UsageError(f"{option} is about one network, --compare about several", "leave out one of them")


def _summarized(name: str, geometry: Geometry, settings: Sequence[str] = ()) -> "tuple[Summary, MViTConfig]":
    """The object behind the command, and the configuration it describes."""
    from mvit_cli.arch.presets import get_preset
    from mvit_cli.arch.summary import preset_of, resized, summarize_config
    from mvit_cli.cli.changes import changed

    preset = get_preset(name)
    try:
        if settings:
            config = resized(changed(preset.config, settings), *geometry)
            return summarize_config(config, preset_of(config)), config
        config = resized(preset.config, *geometry)
        return summarize_config(config, preset), config
    except ValueError as error:
        raise impossible_geometry(error, preset.name) from error


def _described(
    weights: str, preset: str | None, geometry: Geometry, weights_key: str | None
) -> "tuple[Summary, MViTConfig]":
    """The same of a checkpoint."""
    from pathlib import Path

    from mvit_cli.arch.summary import summarize_config
    from mvit_cli.checkpoints.find import find
    from mvit_cli.checkpoints.inspect import inspect_weights
    from mvit_cli.errors import CheckpointError
    from mvit_cli.recognition.said_protocol import protocol_of

    try:
        inspected = inspect_weights(weights, preset, weights_key, geometry)
        summary = summarize_config(inspected.config, inspected.preset)
    except ValueError as error:
        raise impossible_geometry(error) from error
    if inspected.record["path"] is None:
        name = inspected.record["name"]
        tell(f"{name} is not on this machine: described from its card, not from the file")
    record = inspected.record
    if geometry == (None, None):  # of clips of another size nobody says how they are cut
        try:
            path = Path(record["path"]) if record["path"] else None
            record["protocol"] = protocol_of(find(weights).card, path, inspected.config, weights_key)
        except CheckpointError as error:
            record["protocol"] = None
            record["notes"] = [*record["notes"], f"predict refuses it: {error.message}"]
    return {**summary, "weights": record}, inspected.config
