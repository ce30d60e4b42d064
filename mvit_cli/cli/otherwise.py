"""Options that say how files are shown, where the weights say nothing or something else."""

from typing import Annotated

import typer

from mvit_cli.errors import UsageError

Mean = Annotated[
    str | None,
    typer.Option(
        "--mean", metavar="R,G,B", help="Taken from pixels of 0 to 1, as 0.45,0.45,0.45.  [default: the weights']"
    ),
]
Std = Annotated[
    str | None,
    typer.Option("--std", metavar="R,G,B", help="What they are divided by then.  [default: the weights']"),
]
ClipFrames = Annotated[
    int | None, typer.Option("--frames", metavar="T", min=1, help="Frames of a clip.  [default: the weights']")
]
Fps = Annotated[
    float | None,
    typer.Option("--fps", metavar="R", help="Frames a second that are looked at.  [default: the weights']"),
]
Side = Annotated[
    int | None,
    typer.Option(
        "--size", metavar="S", min=1, help="Pixels of a side that the network is shown.  [default: the weights']"
    ),
]


def parsed_statistics(text: str | None, option: str) -> tuple[float, float, float] | None:
    """`0.45,0.45,0.45`, or one number for all three; None stays None.

    Raises:
        UsageError: neither.
    """
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) == 1:
        numbers *= 3
    if len(numbers) != 3 or not all(abs(number) < 1000 for number in numbers):
        raise UsageError(f"{option} {text!r} is neither one number nor three", f"as {option} 0.45,0.45,0.45")
    return numbers[0], numbers[1], numbers[2]
