"""Options that commands share, each declared once."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from mvit_cli.errors import UsageError

RunDtypeName = Literal["auto", "float32", "bfloat16", "float16", "int8"]
_OTHER_NAMES = {"fp32": "float32", "float": "float32", "bf16": "bfloat16", "fp16": "float16", "half": "float16"}


def dtype_among(*known: str) -> Callable[[str], str]:
    """What reads the name of one of these number formats, `fp16`, `half` and `bf16` too."""

    def named(text: str) -> str:
        name = text.strip().lower()
        name = _OTHER_NAMES.get(name, name)
        if name in known:
            return name
        import difflib

        others = [other for other, meant in _OTHER_NAMES.items() if meant in known]
        near = difflib.get_close_matches(name, [*known, *others], n=2)
        raise UsageError(
            f"--dtype: there is no dtype {text!r} here",
            f"nearest: {', '.join(near)}" if near else f"use {', '.join(known)}",
        )

    return named


dtype_named = dtype_among(*get_args(RunDtypeName))
"""Of all that a network runs in."""


def completed_presets(incomplete: str) -> list[str]:
    """What a shell may complete."""
    from mvit_cli.arch.presets import preset_names

    return [name for name in preset_names() if name.startswith(incomplete)]


def completed_cards(incomplete: str) -> list[str]:
    from mvit_cli.checkpoints.cards import card_names

    return [name for name in card_names() if name.startswith(incomplete)]


def completed_devices(incomplete: str) -> list[str]:
    return [name for name in ("auto", "cpu", "cuda", "mps") if name.startswith(incomplete)]


def completed_dtypes(incomplete: str) -> list[str]:
    return [name for name in get_args(RunDtypeName) if name.startswith(incomplete)]


def usual_preset(preset: str | None, weights: object = None) -> str | None:
    """The preset that was named, else `MVIT_PRESET`; nothing where weights tell it."""
    return preset or (None if weights else os.environ.get("MVIT_PRESET") or None)


Preset = Annotated[
    str | None,
    typer.Option(
        "--preset",
        "-p",
        metavar="NAME",
        autocompletion=completed_presets,
        help="Architecture, by name or alias: B, v2-S, camera ...  [env var: MVIT_PRESET; default: B]",
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        "-w",
        metavar="NAME|FILE|URL",
        autocompletion=completed_cards,
        help="Published weights (`mvit weights list`), a checkpoint file or the folder of a sharded one, org/repo, "
        "hf://org/repo[@rev]/file, https://... or none for random ones.  [default: the preset's]",
    ),
]
WeightsKey = Annotated[
    str | None,
    typer.Option(
        "--weights-key",
        metavar="NAME",
        help="Network to take of a file that holds several, as model_ema.  [default: chosen, and said in a note]",
    ),
]
Device = Annotated[
    str,
    typer.Option(
        "--device",
        envvar="MVIT_DEVICE",
        metavar="DEVICE",
        autocompletion=completed_devices,
        help="Where the network runs: auto, cpu, cuda, cuda:1, mps.",
    ),
]
RunDtype = Annotated[
    str,
    typer.Option(
        "--dtype",
        parser=dtype_named,
        autocompletion=completed_dtypes,
        metavar="auto|float32|bfloat16|float16|int8",
        help="Number format of the network; int8: of its linear layers, on a CPU, less exact.",
    ),
]
Plot = Annotated[
    Path | None,
    typer.Option(
        "--plot",
        metavar="FILE",
        help="Draw a picture too, .svg, .png or .pdf (NAME.dark.svg: on dark ground); needs matplotlib (mvit[plot]).",
    ),
]
NoFast = Annotated[bool, typer.Option("--no-fast", help="Run the plain network: same scores, more time and memory.")]
Compile = Annotated[bool, typer.Option("--compile", help="Compile the network with torch.compile.")]
Force = Annotated[bool, typer.Option("--force", help="Replace files that are there, whatever they have.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, notes or summary on stderr.")]


def count_or_auto(text: str, option: str) -> int | Literal["auto"]:
    """A whole number from 1 on, or auto.

    Raises:
        UsageError: anything else; names the option.
    """
    if text.strip().lower() == "auto":
        return "auto"
    if text.isdecimal() and int(text):
        return int(text)
    raise UsageError(f"{option} {text!r} is neither a number from 1 on nor auto", f"leave {option} out, or say auto")
