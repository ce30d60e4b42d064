"""`mvit calibrate`: weights that know how their layers' inputs are best rounded to 8 bits."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mvit_cli.cli.arguments import taking
from mvit_cli.cli.engine import opened_engine
from mvit_cli.cli.flags import Force, Preset, Quiet, Weights, WeightsKey, count_or_auto, usual_preset
from mvit_cli.cli.help import exit_codes
from mvit_cli.cli.outputs import Place
from mvit_cli.cli.predict_flags import Inputs, Null, Reader, Timeout, Workers
from mvit_cli.errors import UsageError, tell

if TYPE_CHECKING:
    from mvit_cli.findings import Calibrated
    from mvit_cli.recognition.options import PredictOptions

EXAMPLES = f"""\b
Examples:
  mvit calibrate clips/ --preset B -o b.int8.safetensors
  mvit calibrate clips/ --weights mine.safetensors -o mine.int8.safetensors
  mvit predict new/ --weights mine.int8.safetensors --dtype int8

Every number of the weights stays as it is, so that the file serves all other runs, too. One file in five is not looked
at, but tells how far the logits are from float32's.

\b
{exit_codes("the weights were written", "they could not be")}"""


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What stands behind `mvit calibrate`: each field is an option, with its default."""

    inputs: Inputs
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Weights to write, .safetensors.", show_default=False)
    ]
    preset: Preset = None
    weights: Weights = None
    weights_key: WeightsKey = None
    views: Annotated[
        str, typer.Option("--views", metavar="CxS", help="Clips x crops of a file that are looked at, as 5x1.")
    ] = "1x1"
    files: Annotated[
        int, typer.Option("--files", metavar="N", min=1, max=500, help="Files to look at, drawn at random.")
    ] = 40
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of what is drawn.", min=0)] = 0
    null: Null = False
    reader: Reader = "auto"
    workers: Workers = "auto"
    timeout: Timeout = 60.0
    format: Annotated[Literal["table", "json"], typer.Option("--format", help="How the result is written.")] = "table"
    force: Force = False
    quiet: Quiet = False

    def options(self) -> "PredictOptions":
        """What is asked of recognition: the plain network in float32."""
        from mvit_cli.recognition.options import PredictOptions

        return PredictOptions(
            preset=usual_preset(self.preset, self.weights),
            weights=self.weights,
            weights_key=self.weights_key,
            views=self.views,
            reader=self.reader,
            workers=count_or_auto(self.workers, "--workers"),
            timeout_s=self.timeout,
            device="cpu",
            dtype="float32",
            fast=False,
        )


@dataclass(frozen=True)
class _Looked:
    """A moment, as the progress of a training has them."""

    done: int
    total: int
    phase: Literal["features"] = "features"
    loss: None = None
    accuracy: None = None
    note: str = ""


def _calibrate(asked: Arguments) -> None:
    """Find, on clips of yours, how a network's layers are best rounded to 8 bits, and write its weights with that.

    `mvit predict --dtype int8` is then faster and more exact than with ranges that are found anew for each batch.
    """
    from mvit_cli.export.calibrating import calibrate
    from mvit_cli.recognition.listing import Listing
    from mvit_cli.recognition.local_engine import LocalEngine
    from mvit_cli.recognition.plan import plan
    from mvit_cli.report.train.progress import TrainProgress

    place = Place("--output", asked.output, "network", asked.force)
    if asked.output.suffix != ".safetensors":
        raise UsageError(f"--output {asked.output}: weights are written as .safetensors", "give it that ending")
    place.check([*(name.removeprefix("@") for name in asked.inputs), *([asked.weights] if asked.weights else [])])
    planned, listing = plan(asked.options()), Listing(tuple(asked.inputs), asked.null)
    with opened_engine(planned, None, quiet=asked.quiet) as engine:
        assert isinstance(engine, LocalEngine)
        with place.reserved(), TrainProgress(quiet=asked.quiet) as progress:
            done = calibrate(
                planned,
                engine,
                listing.sources(),
                asked.output,
                most=asked.files,
                seed=asked.seed,
                told=lambda done, total: progress.take(_Looked(done, total)),
            )
    _tell(done, asked)


calibrate_command = taking(Arguments, _calibrate)


def _tell(done: "Calibrated", asked: Arguments) -> None:
    import json

    from mvit_cli.report.formats import counted
    from mvit_cli.report.tables import write_data

    for note in () if asked.quiet else (*done["failed"], *done["notes"]):
        tell(note)
    if asked.format == "json":
        write_data(json.dumps(done) + "\n")
        return
    line = f"{done['path']}: ranges of {counted(done['seen'], 'file')}"
    if done["largest_difference"] is not None and done["same_class"] is not None:
        line += (
            f"; on {done['judged']}, logits that span {done['span']:.3g} are within {done['largest_difference']:.2g}"
            f" of float32's, and the best class is the same for {100 * done['same_class']:.4g} %"
        )
    write_data(line + "\n")
