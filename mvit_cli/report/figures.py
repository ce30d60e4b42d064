"""Pictures: one house style that stays readable in black and white, written as SVG or PNG by matplotlib."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvit_cli.errors import MViTError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".svg", ".png")
INK = "black"
# No date: the same picture is the same bytes. A name: a later run knows its own pictures, and replaces no other.
MARKS: dict[str, dict[str, Any]] = {".svg": {"Date": None, "Creator": "mvit"}, ".png": {"Software": "mvit"}}
COUNTED = "counted from the formulas: the same on every device and in every number format"
"""What pictures of the architecture say in the place where those of a measurement name device and number format."""

FILLS: tuple[dict[str, Any], ...] = (
    {"facecolor": "0.97", "hatch": ""},
    {"facecolor": "0.88", "hatch": "////"},
    {"facecolor": "0.72", "hatch": ""},
    {"facecolor": "0.97", "hatch": "...."},
    {"facecolor": "0.88", "hatch": "xxxx"},
    {"facecolor": "0.50", "hatch": ""},
    {"facecolor": "0.97", "hatch": "\\\\\\\\"},
    {"facecolor": "0.25", "hatch": ""},
)
"""How areas differ: by grey and by hatch, so that neighbours are told apart without colour."""

_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same picture everywhere
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "0.85",
    "grid.linewidth": 0.6,
    "hatch.color": "0.35",
    "hatch.linewidth": 0.6,
    "legend.frameon": False,
    "patch.edgecolor": INK,
    "patch.linewidth": 0.6,
    "patch.force_edgecolor": True,
    "svg.fonttype": "none",  # text stays text: it can be searched, and read aloud
    "svg.hashsalt": "mvit",  # the same picture is the same file
}


@contextmanager
def picture(path: Path, title: str, notes: Sequence[str] = (), *, width: float, height: float) -> "Iterator[Figure]":
    """An empty figure in the house style; what was drawn on it is written at the end.

    Args:
        path: `.svg` or `.png`.
        title: what is shown; names preset, device and number format where they matter.
        notes: lines below the title.
        width, height: in inches.

    Raises:
        MViTError: the file could not be written.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        figure.suptitle("\n".join((title, *notes)), x=0.01, horizontalalignment="left", fontsize=9.5)
        yield figure
        try:
            figure.savefig(path, dpi=150, metadata=MARKS[path.suffix.lower()])
        except OSError as error:
            raise MViTError(f"--plot {path}: {error.strerror or error}", "make room, or name another place") from error
