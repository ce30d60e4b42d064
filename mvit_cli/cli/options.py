"""Options that commands share, each declared once."""

from typing import Annotated, Literal

import typer

DtypeName = Literal["auto", "float32", "bfloat16", "float16"]

Preset = Annotated[
    str | None,
    typer.Option("--preset", metavar="NAME", help="Architecture, by name or alias: B, v2-S, camera ...  [default: B]"),
]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="NAME|FILE|URL",
        help="Published weights (`mvit weights list`), a checkpoint file, hf://org/repo[@rev]/file, https://... "
        "or none for random ones.  [default: the preset's]",
    ),
]
Device = Annotated[
    str, typer.Option("--device", metavar="DEVICE", help="Where the network runs: auto, cpu, cuda, cuda:1, mps.")
]
Dtype = Annotated[DtypeName, typer.Option("--dtype", help="Number format of the network.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, notes or summary on stderr.")]
