"""`mvit summarize`: what the network does to a clip, stage by stage, without running it."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mvit_cli.cli.geometry import Frames, Size, impossible_geometry, parse_size
from mvit_cli.cli.options import Plot, Preset
from mvit_cli.cli.sink import check_plot

if TYPE_CHECKING:
    from mvit_cli.arch.config import MViTConfig

Format = Literal["table", "json", "markdown", "csv"]


def summarize_command(
    preset: Preset = None,
    weights: Annotated[
        str | None,
        typer.Option("--weights", metavar="FILE|NAME", help="Describe this checkpoint instead; nothing is downloaded."),
    ] = None,
    frames: Frames = None,
    size: Size = None,
    blocks: Annotated[bool, typer.Option("--blocks", help="Add a row for each block.")] = False,
    output: Annotated[Format, typer.Option("--format", help="How the result is written.")] = "table",
    plot: Plot = None,
) -> None:
    """Show what the network does to a clip: shapes, sequence lengths, parameters and GMACs of every stage."""
    from mvit_cli.report import stages

    if plot:
        check_plot(plot)
    summary, config = _summarized(preset, weights, frames, parse_size(size))
    if plot:
        from mvit_cli.report.pyramid import draw_pyramid

        draw_pyramid(summary, plot)
    if output == "json":
        import json

        typer.echo(json.dumps(summary, indent=2))
    elif output == "csv":
        typer.echo(stages.summary_csv(summary, blocks), nl=False)
    elif output == "markdown":
        typer.echo(stages.summary_markdown(summary, config, blocks), nl=False)
    else:
        stages.show_summary(summary, config, blocks)


def _summarized(
    preset: str | None, weights: str | None, frames: int | None, size: tuple[int, int] | None
) -> "tuple[dict[str, Any], MViTConfig]":
    """The object behind the command, and the configuration it describes."""
    from mvit_cli.arch.presets import get_preset
    from mvit_cli.arch.summary import resized, summarize_config

    record: dict[str, Any] = {}
    if weights:
        from mvit_cli.checkpoints.inspect import inspect_weights

        inspected = inspect_weights(weights, preset)
        found, config, record = inspected.preset, inspected.config, inspected.record
        if record["path"] is None:
            typer.echo(f"{record['name']} is not on this machine: described from its card, not from the file", err=True)
    else:
        found = get_preset(preset or "B")
        config = found.config
    try:
        config = resized(config, frames, size)
        summary = summarize_config(config, found)
    except ValueError as error:
        raise impossible_geometry(error) from error
    return summary | ({"weights": record} if record else {}), config
