"""`mvit export`: a network with its weights as a file for another runtime."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mvit_cli.cli.flags import Force, Preset, Quiet, Weights, WeightsKey, dtype_among, usual_preset
from mvit_cli.cli.outputs import Place
from mvit_cli.errors import tell

if TYPE_CHECKING:
    from mvit_cli.findings import Exported

FormatName = Literal["onnx", "openvino", "pt2", "torchscript"]

EXAMPLES = """\b
Examples:
  mvit export --preset camera -o camera.onnx --check
  mvit export --weights mine.pyth -o mine.xml           OpenVINO: mine.xml and mine.bin
  mvit export --preset v2-S -o s.pt2 --batch 4

Frames, pixels, views, activation and class names stand in the file's metadata, as JSON under the key `mvit`."""


def export_command(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The file to write.", show_default=False)
    ],
    format: Annotated[
        FormatName | None,
        typer.Option("--format", help="Of the file.  [default: by its ending: .onnx, .xml, .pt2, .torchscript]"),
    ] = None,
    preset: Preset = None,
    weights: Weights = None,
    weights_key: WeightsKey = None,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", metavar="FILE", help="Class names, one per line or JSON.  [default: the weights']"),
    ] = None,
    batch: Annotated[str, typer.Option("--batch", metavar="N|dynamic", help="Clips at a time.")] = "dynamic",
    dtype: Annotated[
        str,
        typer.Option(
            "--dtype",
            parser=dtype_among("float32", "bfloat16", "float16"),
            metavar="float32|bfloat16|float16",
            help="Number format of the weights.",
        ),
    ] = "float32",
    check: Annotated[
        bool,
        typer.Option("--check", help="Run the file beside the network on three clips; 1e-4 is allowed in float32."),
    ] = False,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Write a network as ONNX, OpenVINO, PT2 or TorchScript: clips in, logits out.

    On a terminal a line says what was written; in a pipe it is JSON.
    """
    from mvit_cli.export.exporting import Export, export, parsed_batch
    from mvit_cli.export.targets import check_installed, chosen_format
    from mvit_cli.recognition.options import PredictOptions
    from mvit_cli.recognition.plan import plan

    what = Export(chosen_format(format, output), output, parsed_batch(batch), check)
    check_installed(what.format)
    place = Place("--output", output, "network", force)
    place.check([path for path in (weights, labels) if path])
    options = PredictOptions(
        preset=usual_preset(preset, weights),
        weights=weights,
        weights_key=weights_key,
        labels=labels,
        device="cpu",
        dtype=dtype,
        fast=False,
    )
    recogniser = plan(options).open(progress=not quiet)
    for note in () if quiet else recogniser.notes:
        tell(note)
    with place.reserved():
        written = export(recogniser, what)
    _tell(written)


def _tell(written: "Exported") -> None:
    import json
    import sys

    from mvit_cli.report.tables import write_data

    if not sys.stdout.isatty():
        write_data(json.dumps(written) + "\n")
        return
    checked = written["largest_difference"]
    batch = "any number of clips" if written["batch"] is None else f"{written['batch']} clips at a time"
    line = f"{written['path']}: {written['bytes'] / 1e6:,.1f} MB, {batch}"
    write_data(line + ("\n" if checked is None else f", logits within {checked:.1g} of ours\n"))
