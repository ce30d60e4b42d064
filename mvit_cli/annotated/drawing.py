"""What is drawn on and under each frame: the label on a plate, and the time line with its colours and position.

+---------------------------+
| [A] swing  97.3 %         |      the picture, with the plate of what is on screen now
|                           |
+---------------------------+
| AAAAAAAAA|BBBBBB|AAAAAAAA |      the bar: which class was on top when; a mark shows where the video is
| A swing  B spin   0:03 / 0:21    the colours' names, and the time
+---------------------------+
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from mvit_cli.annotated.lettering import SIZE
from mvit_cli.annotated.story import Shown, Story
from mvit_cli.report.formats import clock
from mvit_cli.report.palette import DARK, FILLS, ink_on

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image, ImageDraw

PLATE_OPACITY = 0.65
"""White letters on it have a contrast of 6.9 to 1 over white and 21 over black (WCAG asks for 4.5)."""

MOST_LINES = 3
"""Of names below the bar."""

LEAST_WIDTH = 240
"""Pixels in which a label can be read: smaller pictures are enlarged."""

FAILED_FILL, OTHER_FILL = DARK.line, DARK.dim
"""On the bar, of what has no class, and of classes beyond the palette's colours."""


@dataclass(frozen=True)
class Layout:
    """Where things stand, in pixels; both sides of the whole are even, as 4:2:0 wants them.

    Attributes:
        width: of the picture.
        height: of the picture.
        lines: of names below.
    """

    width: int
    height: int
    lines: int = 1

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the whole."""
        height = self.height + self.strip_height
        return self.width + self.width % 2, height + height % 2

    @property
    def letter(self) -> int:
        """Height of the label's letters."""
        return min(120, max(14, min(self.width, self.height) // 24 + 8))

    @property
    def small(self) -> int:
        """Height of the letters below."""
        return max(12, round(0.75 * self.letter))

    @property
    def pad(self) -> int:
        """Room around things."""
        return max(4, self.letter // 3)

    @property
    def bar(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the bar."""
        top = self.height + self.pad + 2
        return self.pad, top, self.width - self.pad, top + self.letter + 2

    @property
    def words_top(self) -> int:
        """Where the line of names begins."""
        return self.bar[3] + self.pad

    @property
    def line_height(self) -> int:
        """Of a line of names."""
        return round(1.35 * self.small)

    @property
    def strip_height(self) -> int:
        """Of all that is under the picture."""
        return self.words_top + self.lines * self.line_height + self.pad // 2 - self.height

    def x_of(self, share: float) -> int:
        """A place on the bar."""
        left, _, right, _ = self.bar
        return left + round((right - left) * min(1.0, max(0.0, share)))


class Canvas:
    """One picture after the other, with what belongs on and under it.

    Args:
        layout: where things stand.
        story: what stands on the video when.
    """

    def __init__(self, layout: Layout, story: Story) -> None:
        import numpy as np

        self._layout, self._story = layout, story
        self._duration_s = max(story.duration_s, 1e-9)
        width, height = layout.size
        self._pixels = np.empty((height, width, 3), np.uint8)
        self._strip = _strip(layout, story)
        self._pixels[:] = _parts(DARK.paper)
        self._plate = lru_cache(maxsize=4)(lambda part: _plate(layout, part))
        self._clock = lru_cache(maxsize=4)(lambda text: _clock(layout, text))

    def drawn(self, picture: "NDArray[np.uint8]", time_s: float) -> "NDArray[np.uint8]":
        """The whole at a time, `(H', W', 3)`, to be used before the next is drawn.

        Args:
            picture: `(H, W, 3)`.
        """
        layout, pixels = self._layout, self._pixels
        pixels[: layout.height, : layout.width] = picture
        pixels[layout.height :] = self._strip
        if part := self._story.at(time_s):
            _lay(pixels, self._plate(part), layout.pad, layout.pad)
        words = self._clock(f"{clock(time_s)} / {clock(self._duration_s)}")
        _lay(pixels, words, layout.width - layout.pad - words.shape[1], layout.words_top)
        self._mark(layout.x_of(time_s / self._duration_s))
        return pixels

    def _mark(self, x: int) -> None:
        """A white line with dark edges, seen on every colour."""
        _, top, _, bottom = self._layout.bar
        half = max(1, self._layout.letter // 16)
        edge = max(0, x - 2 * half)
        self._pixels[top - 3 : bottom + 3, edge : x + 2 * half + 1] = 0
        self._pixels[top - 3 : bottom + 3, max(0, x - half + 1) : x + half] = 255


def _lay(pixels: "NDArray[np.uint8]", sheet: "NDArray[np.uint8]", x: int, y: int) -> None:
    """Lays a sheet, `(h, w, 4)` with its opacity last, over pixels, cut off where these end."""
    import numpy as np

    x, y = max(0, x), max(0, y)
    under = pixels[y : y + sheet.shape[0], x : x + sheet.shape[1]]
    over = sheet[: under.shape[0], : under.shape[1]].astype(np.uint32)
    opacity = over[..., 3:]
    under[:] = (under * (255 - opacity) + over[..., :3] * opacity + 127) // 255


def _plate(layout: Layout, part: Shown) -> "NDArray[np.uint8]":
    """The label on half-opaque ground, with the letter of its class and the score."""
    size, pad = layout.letter, layout.pad
    swatch = size + pad if part.letter else 0
    score = f"  {part.score}" if part.score else ""
    room = layout.width - 4 * pad - swatch - _length(score, "", size)
    label = fitting(part.label, part.font, size, room)
    length = _length(label, part.font, size)
    whole = math.ceil(2 * pad + swatch + length + _length(score, "", size))
    height = round(1.35 * size) + pad
    sheet, draw = _sheet(whole, height, (0, 0, 0, round(255 * PLATE_OPACITY)))
    middle = height / 2
    if part.letter:
        box = (pad, middle - size / 2, pad + size, middle + size / 2)
        draw.rounded_rectangle(box, radius=size // 6, fill=FILLS[part.fill - 1], outline="#ffffff")
        draw.text((pad + size / 2, middle), part.letter, ink_on(FILLS[part.fill - 1]), _face("", size - 3), anchor="mm")
    edge = max(1, size // 16)
    for text, font, x in ((label, part.font, pad + swatch), (score, "", pad + swatch + length)):
        draw.text(
            (x, middle), text, "#ffffff", _face(font, size), anchor="lm", stroke_width=edge, stroke_fill="#000000"
        )
    return _pixels_of(sheet)


def _strip(layout: Layout, story: Story) -> "NDArray[np.uint8]":
    """What is under the picture, but for the time and the mark: `(h, W', 3)`."""
    from PIL import Image, ImageDraw

    width, height = layout.size
    strip = Image.new("RGB", (width, height - layout.height), DARK.paper)
    draw = ImageDraw.Draw(strip)
    left, top, right, bottom = layout.bar
    top, bottom = top - layout.height, bottom - layout.height
    draw.rectangle((left, top, right - 1, bottom - 1), fill=DARK.track)
    for start_s, end_s, part in story.stretches():
        begin, end = (layout.x_of(time_s / max(story.duration_s, 1e-9)) for time_s in (start_s, end_s))
        if end > begin:
            _stretch(draw, (begin, top, end - 1, bottom - 1), part, layout.small)
    _names(draw, layout, story)
    return _pixels_of(strip)


def _stretch(draw: "ImageDraw.ImageDraw", box: tuple[int, int, int, int], part: Shown, size: int) -> None:
    """A piece of the bar, with the letter of its class where that has room."""
    colour = FILLS[part.fill - 1] if part.fill else FAILED_FILL if part.failed else OTHER_FILL
    draw.rectangle(box, fill=colour)
    letter = "!" if part.failed else part.letter
    if letter and box[2] - box[0] > 1.5 * size:
        middle = (box[0] + box[2] + 1) / 2, (box[1] + box[3] + 1) / 2
        draw.text(middle, letter, ink_on(colour), _face("", size), anchor="mm")


@dataclass(frozen=True)
class _Name:
    """The name of a colour, and where it stands in the lines of names."""

    part: Shown
    label: str
    x: float
    line: int


def layout_of(width: int, height: int, story: Story) -> Layout:
    """Where things stand on a picture of that size: names in as many lines as they need, up to `MOST_LINES`."""
    layout = Layout(width, height)
    return Layout(width, height, max((name.line + 1 for name in _placed(layout, story)), default=1))


def _placed(layout: Layout, story: Story) -> list[_Name]:
    """The names of the colours, those on screen longest first; the first line leaves room for the time."""
    size, pad = layout.small, layout.pad
    duration = clock(story.duration_s)
    ends = [layout.width - 3 * pad - _length(f"{duration} / {duration}", "", size)]
    ends += [layout.width - pad] * (MOST_LINES - 1)
    placed: list[_Name] = []
    x, line = float(pad), 0
    for part in story.classes():
        swatch, whole = size + pad // 2, _length(part.label, part.font, size)
        if x > pad and x + swatch + whole > ends[line] and line < MOST_LINES - 1:
            x, line = float(pad), line + 1
        label = fitting(part.label, part.font, size, ends[line] - x - swatch)
        if not label:
            break
        placed.append(_Name(part, label, x, line))
        x += swatch + _length(label, part.font, size) + 2 * pad
    return placed


def _names(draw: "ImageDraw.ImageDraw", layout: Layout, story: Story) -> None:
    """The names of the colours, each behind its letter."""
    size = layout.small
    for name in _placed(layout, story):
        middle = layout.words_top - layout.height + name.line * layout.line_height + 0.675 * size
        fill = FILLS[name.part.fill - 1]
        draw.rectangle((name.x, middle - size / 2, name.x + size, middle + size / 2), fill=fill)
        draw.text((name.x + size / 2, middle), name.part.letter, ink_on(fill), _face("", size - 2), anchor="mm")
        draw.text(
            (name.x + size + layout.pad // 2, middle), name.label, DARK.ink, _face(name.part.font, size), anchor="lm"
        )


def _clock(layout: Layout, text: str) -> "NDArray[np.uint8]":
    size = layout.small
    sheet, draw = _sheet(math.ceil(_length(text, "", size)), round(1.35 * size), (0, 0, 0, 0))
    draw.text((0, 0.675 * size), text, DARK.ink, _face("", size), anchor="lm")
    return _pixels_of(sheet)


def fitting(text: str, font: str, size: int, room: float) -> str:
    """A text cut so that it fits, with three dots; empty where not even its first letter does."""
    if _length(text, font, size) <= room:
        return text
    low, high = 0, len(text) - 1
    while low < high:
        kept = (low + high + 1) // 2
        low, high = (kept, high) if _length(text[:kept].rstrip() + "...", font, size) <= room else (low, kept - 1)
    return text[:low].rstrip() + "..." if low else ""


def _length(text: str, font: str, size: int) -> float:
    return float(_face(font, size).getlength(text)) if text else 0.0


@lru_cache(maxsize=16)
def _face(font: str, size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.truetype(font, size) if font else ImageFont.load_default(max(size, SIZE // 3))


def _sheet(width: int, height: int, ground: tuple[int, int, int, int]) -> "tuple[Image.Image, ImageDraw.ImageDraw]":
    from PIL import Image, ImageDraw

    sheet = Image.new("RGBA", (max(1, width), max(1, height)), ground)
    return sheet, ImageDraw.Draw(sheet)


def _pixels_of(image: "Image.Image") -> "NDArray[np.uint8]":
    import numpy as np

    return np.asarray(image)


def _parts(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
