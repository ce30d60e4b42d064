"""Pictures: one look, readable in grey and by all eyes, on white or dark ground, as SVG, PNG or PDF by matplotlib."""

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvit_cli.errors import MViTError
from mvit_cli.report import palette
from mvit_cli.whole_files import written_whole

if TYPE_CHECKING:
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

SUFFIXES = (".svg", ".png", ".pdf")
DARK = ".dark"
"""A picture `NAME.dark.svg` is drawn on dark ground."""
# No date: the same picture is the same bytes. A name: a later run knows its own pictures, and replaces no other.
MARKS: dict[str, dict[str, Any]] = {
    ".svg": {"Date": None, "Creator": "mvit"},
    ".png": {"Software": "mvit"},
    ".pdf": {"CreationDate": None, "Creator": "mvit"},
}
COUNTED = "counted from the formulas: the same on every device and in every number format"
"""What pictures of the architecture say in the place where those of a measurement name device and number format."""

FILLS: tuple[dict[str, Any], ...] = tuple({"facecolor": colour} for colour in palette.FILLS)
"""How areas differ: neighbours by lightness too, so that they are told apart without colour."""

DASHES = ("-", "--", ":", "-.")
MARKERS = "osD^vP"


def _style(ground: palette.Ground, lines: Sequence[str]) -> dict[Any, Any]:
    from cycler import cycler

    inked = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "patch.edgecolor")
    return {
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same picture everywhere
        "font.size": 9.0,
        "text.parse_math": False,  # names are names, whatever dollars are in them
        "axes.titlesize": 9.0,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.facecolor": ground.paper,
        "axes.prop_cycle": cycler(color=lines),
        "figure.facecolor": ground.paper,
        **dict.fromkeys(inked, ground.ink),
        "grid.color": ground.line,
        "grid.linewidth": 0.6,
        "legend.frameon": False,
        "patch.linewidth": 0.6,
        "patch.force_edgecolor": True,
        "svg.fonttype": "none",  # text stays text: it can be searched, and read aloud
        "svg.hashsalt": "mvit",  # the same picture is the same file
        "pdf.fonttype": 42,  # text stays text there too
    }


def ink() -> str:
    """The colour of text in the picture that is drawn."""
    from matplotlib import rcParams

    return str(rcParams["text.color"])


def paper() -> str:
    """The colour behind everything in the picture that is drawn."""
    from matplotlib import rcParams

    return str(rcParams["figure.facecolor"])


def track() -> str:
    """The colour behind bars in the picture that is drawn."""
    return palette.DARK.track if paper() == palette.DARK.paper else palette.LIGHT.track


def colours_of_shares() -> "Colormap":
    """From nothing, which is paper, to all: in one hue, so that lightness says it too."""
    from matplotlib import rcParams
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("shares", [paper(), rcParams["axes.prop_cycle"].by_key()["color"][0]])


def line(number: int) -> dict[str, Any]:
    """How a line of several differs from the others: by colour, dashes and marks."""
    from matplotlib import rcParams

    colours = rcParams["axes.prop_cycle"].by_key()["color"]
    return {
        "color": colours[number % len(colours)],
        "linestyle": DASHES[number % len(DASHES)],
        "marker": MARKERS[number % len(MARKERS)],
        "markersize": 4,
    }


@contextmanager
def picture(path: Path, title: str, notes: Sequence[str] = (), *, width: float, height: float) -> "Iterator[Figure]":
    """An empty figure in the house style; what was drawn on it is written at the end, whole or not at all.

    Args:
        path: `.svg`, `.png` or `.pdf`; with `.dark` before it on dark ground.
        title: what is shown; names preset, device and number format where they matter.
        notes: lines below the title.
        width, height: in inches.

    Raises:
        MViTError: the file could not be written.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    dark = Path(path.stem).suffix.lower() == DARK
    style = _style(palette.DARK, palette.LINES_ON_DARK) if dark else _style(palette.PRINT, palette.LINES)
    with rc_context(style):
        figure = Figure(figsize=(width, height), layout="constrained")
        figure.suptitle("\n".join((title, *notes)), x=0.01, horizontalalignment="left", fontsize=9.5)
        yield figure
        suffix, drawn = path.suffix.lower(), io.BytesIO()
        with warnings.catch_warnings():  # letters that the font lacks, names that leave no room
            warnings.simplefilter("ignore")
            figure.savefig(drawn, dpi=150, format=suffix[1:], metadata=MARKS[suffix])
        _put(path, drawn.getbuffer())


def _put(path: Path, data: memoryview) -> None:
    """Writes beside the file and gives it its name.

    Raises:
        MViTError: it could not be written.
    """
    try:
        with written_whole(path) as unfinished:
            unfinished.write_bytes(data)
    except OSError as error:
        raise MViTError(f"--plot {path}: {error.strerror or error}", "make room, or name another place") from error
