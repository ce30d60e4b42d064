"""Heat as colours over grey pictures: crops, and whole frames with what the network did not see dimmed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Box = tuple[float, float, float, float]

OPAQUE = 0.75
"""Share of the colour where the heat is greatest."""

BRIGHTEST = 0.995
"""Share of the places that are less hot than what is drawn as the hottest: one place alone does not dim all others."""

# From dark blue over green to yellow: rising in lightness, told apart by all eyes and in grey. Anchors of our own.
COLOURS = ((24, 16, 64), (36, 76, 130), (30, 130, 125), (110, 180, 80), (250, 230, 60))

UNSEEN = 0.4
"""Brightness of what lies outside of all crops."""

GREY = (0.299, 0.587, 0.114)
"""Of red, green and blue in lightness. Source: ITU-R BT.601."""


def strength_of(heat: "NDArray[np.float32]") -> "NDArray[np.float32]":
    """Heat of one input -> 0..1; one scale for all of it, and what speaks against the class is nothing."""
    import numpy as np

    positive = np.clip(heat, 0, None)
    strength: NDArray[np.float32] = positive / max(float(np.quantile(positive, BRIGHTEST)), 1e-12)
    return np.clip(strength, 0, 1)


def colour_scale(steps: int, background: int = 128) -> tuple[str, ...]:
    """Colours from nothing to the most, as they come out over grey: `#808080`, ..."""
    import numpy as np

    shares = np.linspace(0, 1, steps, dtype=np.float32)[None]
    over_grey = _mixed(np.full((1, steps, 1), background, np.float32), shares)
    return tuple(f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in over_grey[0])


def step_of(place: int, frames: int, steps: int) -> int:
    """Which time of a heat map, of `steps`, a frame of a clip belongs to."""
    return min(int((place + 0.5) / frames * steps), steps - 1)


def over_crop(frame: "NDArray[Any]", strength: "NDArray[np.float32]") -> "NDArray[np.uint8]":
    """A crop `(H, W, 3)` under its heat `(H', W')`, 0..1."""
    return _mixed(_grey(frame), _enlarged(strength, *frame.shape[:2]))


def over_whole(
    frame: "NDArray[np.uint8]", strengths: "Sequence[NDArray[np.float32]]", boxes: Sequence[Box]
) -> "NDArray[np.uint8]":
    """A whole frame under the heat of its crops: their mean where they overlap, dimmed and grey where none is.

    Args:
        frame: `(H, W, 3)`.
        strengths: `(H', W')`, 0..1, a crop each.
        boxes: of the crops, as shares of the frame.
    """
    import numpy as np

    height, width = frame.shape[:2]
    total, count = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    for strength, (left, top, right, bottom) in zip(strengths, boxes, strict=True):
        rows, columns = _pixels(top, bottom, height), _pixels(left, right, width)
        total[rows, columns] += _enlarged(strength, rows.stop - rows.start, columns.stop - columns.start)
        count[rows, columns] += 1
    return _mixed(_grey(frame) * np.where(count > 0, 1, UNSEEN)[..., None], total / np.maximum(count, 1))


def _grey(frame: "NDArray[Any]") -> "NDArray[np.float32]":
    """The lightness of `(H, W, 3)`, `(H, W, 1)`: what has a colour afterwards has it from the heat."""
    import numpy as np

    lightness: NDArray[np.float32] = frame.astype(np.float32) @ np.asarray(GREY, np.float32)
    return lightness[..., None]


def _pixels(begin: float, end: float, extent: int) -> slice:
    """The pixels of a share of an extent, one at least."""
    first = min(max(round(begin * extent), 0), extent - 1)
    return slice(first, min(max(first + 1, round(end * extent)), extent))


def _enlarged(strength: "NDArray[np.float32]", height: int, width: int) -> "NDArray[np.float32]":
    import numpy as np
    from PIL import Image

    picture = Image.fromarray(strength.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
    shares: NDArray[np.float32] = np.clip(np.asarray(picture), 0, 1)
    return shares


def _mixed(frame: "NDArray[Any]", share: "NDArray[Any]") -> "NDArray[np.uint8]":
    """`(H, W, 1)` with the colours of `(H, W)` shares laid over it: the more, the less of the frame is left.

    By the root of the share, so that a little heat is seen as well.
    """
    import numpy as np

    steps = np.linspace(0, 1, len(COLOURS))
    colour = np.stack([np.interp(share, steps, [entry[channel] for entry in COLOURS]) for channel in range(3)], axis=-1)
    alpha = OPAQUE * np.sqrt(share[..., None])
    shown: NDArray[np.uint8] = np.rint(np.clip(frame * (1 - alpha) + colour * alpha, 0, 255)).astype(np.uint8)
    return shown
