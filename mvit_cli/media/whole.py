"""The whole frames that clips are made of, small, and where in them the crops lie: for whoever draws on them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mvit_cli.media.request import DecodeRequest, WholeFrames
from mvit_cli.media.transforms import crop_boxes, resized_size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SIDE = 448
"""Pixels of the longer side at most."""

MOST_BYTES = 32 << 20
"""Of all frames of a file, or of a window: where there are many, each is smaller."""


class Gathering:
    """Makes frames small as they come, and puts those of a file, or of a window, together.

    Args:
        count: frames that are put together at most.
    """

    def __init__(self, request: DecodeRequest, count: int) -> None:
        self._request, self._count = request, count
        self._boxes: tuple[tuple[float, float, float, float], ...] = ()

    def small(self, frame: "NDArray[np.uint8]") -> "NDArray[np.uint8]":
        """`(H, W, 3)` -> the same, smaller, in the same proportion; all frames of a file have one size."""
        import numpy as np
        from PIL import Image

        height, width = frame.shape[:2]
        self._boxes = boxes_of(height, width, self._request)
        most_pixels = MOST_BYTES / (3 * self._count)
        scale = min(1.0, SIDE / max(height, width), (most_pixels / (height * width)) ** 0.5)
        size = max(1, int(width * scale + 1e-6)), max(1, int(height * scale + 1e-6))
        if size == (width, height):
            return frame.copy()
        return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))

    def together(
        self, frames: "Mapping[int, NDArray[Any]]", times_s: "Sequence[float] | NDArray[np.float64]"
    ) -> WholeFrames:
        """The small frames of some positions in display order.

        Args:
            times_s: of all frames of the file.
        """
        import numpy as np

        indices = tuple(sorted(frames))
        shown_s = tuple(round(float(times_s[index]), 6) for index in indices)
        return WholeFrames(np.stack([frames[index] for index in indices]), indices, shown_s, self._boxes)


def boxes_of(height: int, width: int, request: DecodeRequest) -> "tuple[tuple[float, float, float, float], ...]":
    """Left, top, right and bottom of each crop of a frame, as shares of it."""
    rows, columns = resized_size(height, width, request.transform)
    return tuple(
        (box.left / columns, box.top / rows, (box.left + box.side) / columns, (box.top + box.side) / rows)
        for box in crop_boxes(rows, columns, request.transform, request.num_crops)
    )
