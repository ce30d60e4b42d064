"""`mvit profile`: what a network costs on this machine, against what the machine can do."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mvit_cli.cli.geometry import Frames, Size, impossible_geometry, parse_size
from mvit_cli.cli.options import Device, Dtype, Preset, Quiet
from mvit_cli.errors import UsageError

if TYPE_CHECKING:
    from mvit_cli.profiling.setup import Setup


def profile_command(
    preset: Preset = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    batch_size: Annotated[
        str, typer.Option("--batch-size", metavar="N,...", help="Clips at once; several sizes are taken in turns.")
    ] = "1",
    runs: Annotated[int, typer.Option("--runs", metavar="N", help="Timed runs of each batch size.", min=1)] = 10,
    frames: Frames = None,
    size: Size = None,
    threads: Annotated[
        int | None, typer.Option("--threads", metavar="N", help="CPU threads.  [default: torch's choice]", min=1)
    ] = None,
    compiled: Annotated[bool, typer.Option("--compile", help="Compile the network with torch.compile.")] = False,
    output: Annotated[Literal["table", "json"], typer.Option("--format", help="How the result is written.")] = "table",
    trace: Annotated[
        Path | None, typer.Option("--trace", metavar="FILE", help="Write a Chrome trace of one run, .json or .json.gz.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Measure latency, throughput, memory and the time of each stage, against this machine's limit."""
    batch_sizes = parse_batch_sizes(batch_size)
    if trace and not trace.absolute().parent.is_dir():
        raise UsageError(f"--trace {trace}: there is no folder {trace.absolute().parent}", "make it, or name another")
    setup = _setup(preset or "B", frames, parse_size(size), device, dtype, threads)
    from mvit_cli.profiling.measure import profile

    result = profile(
        replace(setup, compiled=compiled),
        batch_sizes,
        runs,
        trace=trace,
        say=lambda text: None if quiet else typer.echo(text, err=True),
    )
    _print(result, setup, output)
    if all("error" in entry for entry in result["results"]):
        raise typer.Exit(1)


def parse_batch_sizes(text: str) -> tuple[int, ...]:
    """`1,4` -> (1, 4).

    Raises:
        UsageError: if these are not numbers of clips.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and 0 < int(part) <= 10**9 for part in parts):
        raise UsageError(f"--batch-size {text!r} is not a list of numbers", "give numbers of clips, such as 1,4,16")
    return tuple(map(int, parts))


def _setup(
    preset: str, frames: int | None, size: tuple[int, int] | None, device: str, dtype: str, threads: int | None
) -> "Setup":
    """Checks what can be checked without torch, then asks torch for the device."""
    from mvit_cli.arch.blocks import block_specs
    from mvit_cli.arch.presets import get_preset
    from mvit_cli.profiling.setup import Setup
    from mvit_cli.recognition.device import check_device_name, pick_device, pick_dtype

    setup = Setup(preset=get_preset(preset).name, frames=frames, size=size, threads=threads)
    check_device_name(device)
    try:
        block_specs(setup.config)
    except ValueError as error:
        raise impossible_geometry(error) from error
    place = pick_device(device)
    return replace(setup, device=str(place), dtype=str(pick_dtype(dtype, place)).removeprefix("torch."))


def _print(result: dict[str, Any], setup: "Setup", output: str) -> None:
    if output == "json":
        import json

        typer.echo(json.dumps(result, indent=2))
    else:
        from mvit_cli.arch.presets import get_preset
        from mvit_cli.arch.summary import summarize_config
        from mvit_cli.report.costs import show_profile

        show_profile(result, summarize_config(setup.config, get_preset(setup.preset)))
