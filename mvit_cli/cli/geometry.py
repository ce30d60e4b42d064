"""Clip geometry on the command line."""

import re
from typing import Annotated

import typer

from mvit_cli.errors import UsageError

Frames = Annotated[
    int | None, typer.Option("--frames", metavar="T", help="Frames of a clip.  [default: the preset's]", min=1)
]
Size = Annotated[
    str | None,
    typer.Option("--size", metavar="S|HxW", help="Pixels of the crop: one number or HxW.  [default: the preset's]"),
]


def parse_size(text: str | None) -> tuple[int, int] | None:
    """`224` or `224x320` as (height, width); None stays None.

    Raises:
        UsageError: if it is neither.
    """
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d{1,5})\s*(?:[x×]\s*(\d{1,5})\s*)?", text, re.IGNORECASE | re.ASCII)
    height, width = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not height or not width:
        raise UsageError(
            f"--size {text!r} is not a size", "give one number (224) or height x width (224x320), in pixels"
        )
    return height, width


def impossible_geometry(error: ValueError, preset: str = "this architecture") -> UsageError:
    """What is said where the architecture cannot take a clip."""
    return UsageError(f"{preset} cannot take that input: {error}", "try more --frames or a larger --size")
