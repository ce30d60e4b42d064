"""The colours of everything that is drawn: pages and pictures, on light and on dark ground.

Areas are told apart in grey and by eyes that lack a cone: each colour has its own lightness, and all pairs stay far
apart in CIELAB where eyes without long, middle or short cones are simulated. Nothing is said by colour alone.
"""

from dataclasses import dataclass

FILLS = ("#387ae1", "#e7dea7", "#893602", "#19d6f6", "#65608d", "#e69b41", "#513433", "#af8b88")
"""Areas, in the order in which they are used: neighbours are light beside dark."""

LINES = ("#1f5fc4", "#893602", "#513433", "#65608d")
"""Lines on light ground; each has its own dashes and marks too."""

LINES_ON_DARK = ("#7db0ff", "#e69b41", "#e7dea7", "#af8b88")


@dataclass(frozen=True)
class Ground:
    """What a page or picture is drawn on, and with: `ink` for text, `dim` for what is said beside it.

    Attributes:
        paper: behind everything.
        line: rules and grids.
        track: behind bars.
        accent: bars, and what can be clicked.
        warn, bad: warnings and errors, which say so in words too.
    """

    paper: str
    ink: str
    dim: str
    line: str
    track: str
    accent: str
    warn: str
    bad: str


LIGHT = Ground("#fcfcfa", "#17191c", "#565d66", "#dcdfd9", "#e4e7e2", "#1f5fc4", "#7d4a00", "#a81c1c")
DARK = Ground("#111315", "#e9ebee", "#a3abb4", "#30353a", "#2b3036", "#7db0ff", "#f0b95b", "#ff938a")
PRINT = Ground("#ffffff", "#000000", "#444444", "#bbbbbb", "#dddddd", "#1f5fc4", "#5c3700", "#8a0f0f")


def ink_on(fill: str) -> str:
    """Black or white, whichever is read better on a colour."""
    return "#000000" if luminance(fill) > 0.18 else "#ffffff"


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb`, 0 to 1 (WCAG 2)."""
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear(colour), strict=True))


def linear(colour: str) -> tuple[float, float, float]:
    """`#rrggbb` as amounts of light, 0 to 1 (sRGB, IEC 61966-2-1)."""
    red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return _light(red), _light(green), _light(blue)


def _light(value: float) -> float:
    return float(value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4)


def properties(ground: Ground) -> str:
    """A ground as custom properties of CSS."""
    return " ".join(f"--{name}: {value};" for name, value in vars(ground).items())


def stylesheet() -> str:
    """Both grounds as the reader's system or the button of the page says, paper as it is printed, and the fills."""
    fills = "\n".join(
        f".fill{n} {{ fill: {fill}; background: {fill}; }} .on{n} {{ fill: {ink}; color: {ink}; }}"
        for n, (fill, ink) in enumerate(zip(FILLS, map(ink_on, FILLS), strict=True), 1)
    )
    return f"""\
:root {{ color-scheme: light; {properties(LIGHT)} }}
@media (prefers-color-scheme: dark) {{ :root:not(.light) {{ color-scheme: dark; {properties(DARK)} }} }}
:root.dark {{ color-scheme: dark; {properties(DARK)} }}
{fills}
@media print {{ :root:root:root {{ color-scheme: light; {properties(PRINT)} }} }}
"""
