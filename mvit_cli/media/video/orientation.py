"""Which way up a picture is shown: the display matrix of a file, taken to the nearest of the eight upright places."""

import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Degrees that a turn may be off a quarter turn and still be one: matrices are written in 16.16 fixed point.
ROUNDING_DEGREES = 0.1
DISPLAY_MATRIX_BYTES = 36


@dataclass(frozen=True)
class Orientation:
    """How coded pictures become upright: transposed first, then flipped.

    Attributes:
        transpose: rows become columns.
        flip_x: left and right are exchanged.
        flip_y: top and bottom are exchanged.
        warning: a sentence where the file asks for what no quarter turn is; empty else.
    """

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False
    warning: str = ""

    @property
    def is_identity(self) -> bool:
        return not (self.transpose or self.flip_x or self.flip_y)

    @property
    def mirrors(self) -> bool:
        return self.transpose ^ self.flip_x ^ self.flip_y

    def upright(self, pixels: "NDArray[np.uint8]") -> "NDArray[np.uint8]":
        """`(H, W, 3)` coded pixels as `(H, W, 3)` upright ones, or `(W, H, 3)` where they are transposed."""
        import numpy as np

        if self.transpose:
            pixels = pixels.swapaxes(0, 1)
        return np.ascontiguousarray(pixels[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1])


def orientation_of(matrix: bytes) -> Orientation:
    """The orientation that a display matrix asks for: mirrored by the sign of its determinant, turned by the
    nearest quarter turn. A matrix of zeros asks for nothing.

    Args:
        matrix: nine 32-bit numbers a, b, u, c, d, v, x, y, w of the machine's byte order; a coded place (x, y) is shown
            at (a x + c y, b x + d y), both with y downwards.

    Source: ISO/IEC 14496-12, section 8.3.2 (tkhd); FFmpeg, `libavutil/display.h`.
    """
    if len(matrix) < DISPLAY_MATRIX_BYTES:
        return Orientation()
    a, b, _, c, d = struct.unpack_from("=5i", matrix)
    if not (a or b or c or d):
        return Orientation()
    determinant = a * d - b * c
    if determinant == 0:
        return Orientation(warning="the file's display matrix flattens the picture: it was shown as it is coded")
    # Without the mirror a rotation is left: of the first axis where the pixels are stretched unevenly too.
    x, y = math.hypot(a, c), math.hypot(b, d)
    mirror = -1 if determinant < 0 else 1
    angle = math.degrees(math.atan2(mirror * b / y, mirror * a / x))
    turns = math.copysign(math.ceil(abs(angle) / 90 - 0.501), angle)  # half-way to the next one: not turned further
    quarters = int(turns) % 4
    cos, sin = ((1, 0), (0, 1), (-1, 0), (0, -1))[quarters]
    transpose = cos == 0
    # The nearest matrix is (mirror * cos, mirror * sin; -sin, cos).
    flip_x, flip_y = (-sin < 0, mirror * sin < 0) if transpose else (mirror * cos < 0, cos < 0)
    off = abs(angle - 90 * round(angle / 90))
    warning = ""
    if off > ROUNDING_DEGREES:
        asked, done = f"{angle:.3g}", 90 * int(turns)
        warning = f"the file asks for a turn by {asked} degrees: it was turned by {done}, the nearest quarter turn"
    return Orientation(transpose, flip_x, flip_y, warning)
