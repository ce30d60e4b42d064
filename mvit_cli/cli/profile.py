"""`mvit profile`: what a network costs on this machine, against what the machine can do."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mvit_cli.cli.flags import Compile, Device, Force, NoFast, Plot, Preset, Quiet, dtype_named, usual_preset
from mvit_cli.cli.geometry import Frames, Size, impossible_geometry, parse_size
from mvit_cli.cli.help import exit_codes
from mvit_cli.cli.outputs import Place, check_apart, check_plot, plot_place
from mvit_cli.errors import MViTError, UsageError, tell
from mvit_cli.recognition.processors import share_processors

if TYPE_CHECKING:
    import torch

    from mvit_cli.profiling.setup import Setup
    from mvit_cli.records import EndToEnd, Profile

EXAMPLES = f"""\b
Examples:
  mvit profile --preset B
  mvit profile --preset v2-S --batch-size 1,2,4 --dtype float32,bfloat16 --format markdown
  mvit profile --preset camera --threads 1,2 --plot camera.svg
  mvit profile --preset camera --input clip.mp4

\b
{exit_codes("measured", "nothing fitted or could be run")}"""

Format = Literal["table", "json", "markdown", "csv"]
BatchSizes = Annotated[
    str, typer.Option("--batch-size", metavar="N,...", help="Clips at once; several sizes are taken in turns.")
]
Dtypes = Annotated[
    str,
    typer.Option(
        "--dtype", metavar="NAME,...", help="Number formats: auto, float32, bfloat16, float16, int8; or several."
    ),
]
Runs = Annotated[int, typer.Option("--runs", metavar="N", help="Timed runs of each batch size.", min=1)]
Threads = Annotated[
    str | None,
    typer.Option("--threads", metavar="N,...", help="CPU threads, one number or several.  [default: torch's choice]"),
]
FormatOption = Annotated[Format, typer.Option("--format", help="How the result is written.")]
Input = Annotated[
    Path | None,
    typer.Option("--input", metavar="FILE", help="Also time every phase of `mvit predict FILE`, cold and warm."),
]
InputWeights = Annotated[
    str | None,
    typer.Option(
        "--weights", "-w", metavar="W", help="For --input, as in predict.  [default: the preset's if here, or none]"
    ),
]
Trace = Annotated[
    Path | None, typer.Option("--trace", metavar="FILE", help="Write a Chrome trace of one run, .json or .json.gz.")
]


def profile_command(
    preset: Preset = None,
    device: Device = "auto",
    dtype: Dtypes = "auto",
    batch_size: BatchSizes = "1",
    runs: Runs = 10,
    frames: Frames = None,
    size: Size = None,
    threads: Threads = None,
    compiled: Compile = False,
    no_fast: NoFast = False,
    path: Input = None,
    weights: InputWeights = None,
    output: FormatOption = "table",
    trace: Trace = None,
    plot: Plot = None,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Measure latency, throughput, memory and the time of each stage and operator, against this machine's limits."""
    batch_sizes = parse_counts(batch_size, "--batch-size", "numbers of clips, such as 1,4,16")
    counts = _threads(threads) if threads else ()
    _check_places(trace, plot, [name for name in (path, weights) if name], force)
    _check_input(path, weights, frames, size, quiet)
    if path and compiled:
        raise UsageError("--input times predict as it is, without --compile", "leave one of them out")
    if no_fast and "int8" in parse_dtypes(dtype):
        raise UsageError("--dtype int8 is part of the fast path", "leave --no-fast out")
    share_processors()
    setup, dtypes = _setup(usual_preset(preset) or "B", frames, parse_size(size), device, parse_dtypes(dtype))
    from mvit_cli.profiling.measure import profile

    setup = replace(setup, threads=counts[0] if counts else None, compiled=compiled, fast=not no_fast)

    def say(text: str) -> None:
        if not quiet:
            tell(text)

    with _reserved(trace, plot, force):
        result = profile(setup, batch_sizes, runs, dtypes=dtypes, threads=counts, trace=trace, say=say)
        if path:
            result["end_to_end"] = _profile_input(setup, path, weights, say)
        _print(result, setup, output)
        if plot:
            _draw(result, plot)
    if all("error" in entry for entry in result["results"]):
        raise typer.Exit(1)


def _check_places(trace: Path | None, plot: Path | None, read: "list[str | Path]", force: bool) -> None:
    """Refuses what cannot be written or must not be, before anything is measured."""
    if trace and not trace.absolute().parent.is_dir():
        raise UsageError(f"--trace {trace}: there is no folder {trace.absolute().parent}", "make it, or name another")
    if trace:
        Place("--trace", trace, "trace", force).check(read)
    if plot:
        check_plot(plot, read, force=force)
    if trace and plot:
        check_apart([Place("--trace", trace, "trace"), Place("--plot", plot, "picture")])


@contextmanager
def _reserved(trace: Path | None, plot: Path | None, force: bool) -> Iterator[None]:
    """Keeps both files from other runs: what takes minutes is not measured twice for one name."""
    with ExitStack() as held:
        if trace:
            held.enter_context(Place("--trace", trace, "trace", force).reserved())
        if plot:
            held.enter_context(plot_place(plot, force=force).reserved())
        yield


def parse_counts(text: str, option: str, hint: str) -> tuple[int, ...]:
    """`1,4` -> (1, 4).

    Raises:
        UsageError: if these are not whole numbers from 1 on.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and 0 < int(part) <= 10**9 for part in parts):
        raise UsageError(f"{option} {text!r} is not a list of numbers", f"give {hint}")
    return tuple(map(int, parts))


def _threads(text: str) -> tuple[int, ...]:
    """`1,2` -> (1, 2): numbers of threads that this machine has processors for; thousands end in a crash of OpenMP's.

    Raises:
        UsageError: more, or no numbers.
    """
    counts, most = parse_counts(text, "--threads", "numbers of threads, such as 1,2"), os.cpu_count() or 1
    if max(counts) > most:
        raise UsageError(
            f"--threads {max(counts)} is more than this machine has processors: {most}", f"give numbers up to {most}"
        )
    return counts


def parse_dtypes(text: str) -> tuple[str, ...]:
    """`float32,bfloat16` -> both names.

    Raises:
        UsageError: if one is no number format.
    """
    return tuple(map(dtype_named, text.split(",")))


def _setup(
    preset: str, frames: int | None, size: tuple[int, int] | None, device: str, dtypes: tuple[str, ...]
) -> "tuple[Setup, list[str]]":
    """Checks what can be checked without torch, then asks torch for the device and the number formats."""
    from mvit_cli.arch.blocks import block_specs
    from mvit_cli.arch.presets import get_preset
    from mvit_cli.profiling.setup import Setup
    from mvit_cli.recognition.device import check_device_name, pick_device

    setup = Setup(preset=get_preset(preset).name, frames=frames, size=size)
    check_device_name(device)
    try:
        block_specs(setup.config)
    except ValueError as error:
        raise impossible_geometry(error) from error
    place = pick_device(device)
    names = [_dtype_name(dtype, place) for dtype in dtypes]
    return replace(setup, device=str(place), dtype=names[0]), names


def _dtype_name(dtype: str, place: "torch.device") -> str:
    from mvit_cli.recognition.device import INT8, pick_dtype

    picked = str(pick_dtype(dtype, place)).removeprefix("torch.")
    return INT8 if dtype == INT8 else picked


def _check_input(path: Path | None, weights: str | None, frames: int | None, size: str | None, quiet: bool) -> None:
    """Refuses what cannot be timed, and fetches the weights, before anything is measured."""
    if path is None and weights is not None:
        raise UsageError("--weights has a meaning with --input only", "speed does not depend on weights; leave it out")
    if path is None:
        return
    if not path.is_file():
        raise MViTError(f"--input {path}: no such file", "name a video or an image")
    if frames or size:
        raise UsageError("--input goes with no --frames and no --size", "predict shows files as the preset wants them")
    if weights is not None:
        from mvit_cli.checkpoints.find import find, obtain

        found = find(weights)
        if found.kind != "none":
            obtain(found, progress=not quiet)


def _profile_input(setup: "Setup", path: Path, weights: str | None, say: Callable[[str], None]) -> "EndToEnd":
    from mvit_cli.profiling.end_to_end import FileSetup, profile_file, weights_here

    return profile_file(
        FileSetup(
            path=str(path),
            preset=setup.preset,
            weights=weights_here(setup.preset) if weights is None else weights,
            device=setup.device,
            dtype=setup.dtype,
            threads=setup.threads,
            fast=setup.fast,
            face="mvit_cli.cli.main",
        ),
        say,
    )


def _print(result: "Profile", setup: "Setup", output: Format) -> None:
    from mvit_cli.arch.presets import get_preset
    from mvit_cli.arch.summary import summarize_config
    from mvit_cli.report.profile import costs
    from mvit_cli.report.tables import write_data, write_json

    summary = summarize_config(setup.config, get_preset(setup.preset))
    if output == "json":
        write_json(result)
    elif output == "csv":
        write_data(costs.profile_csv(result))
    elif output == "markdown":
        write_data(costs.profile_markdown(result, summary))
    else:
        costs.show_profile(result, summary)


def _draw(result: "Profile", path: Path) -> None:
    """Draws the first case that was measured; says so where there is none."""
    from mvit_cli.report.profile.roofline import draw_profile

    if any(entry.get("operators") for entry in result["results"]):
        draw_profile(result, path)
    else:
        tell(f"--plot {path}: not drawn, no stages and operators were timed")
