"""The whole frames that clips are made of, small, and where in them the crops lie: for whoever draws on them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mvit_cli.media.request import DecodeRequest, WholeFrames
from mvit_cli.media.transforms import crop_boxes, resized_size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mvit_cli.media.video.index import VideoIndex

SIDE = 448
"""Pixels of the longer side at most."""

MOST_BYTES = 32 << 20
"""Of all frames of a file, or of a window: where there are many, each is smaller."""


class Gathering:
    """Makes frames small as they come, and puts those of a file, or of a window, together.

    Args:
        count: frames that are put together at most.
        stretched: how much wider than high a pixel is shown.
    """

    def __init__(self, request: DecodeRequest, count: int, stretched: float = 1.0) -> None:
        self._request, self._count, self._stretched = request, count, stretched
        self._boxes: tuple[tuple[float, float, float, float], ...] = ()

    def small(self, frame: "NDArray[np.uint8]") -> "NDArray[np.uint8]":
        """`(H, W, 3)` -> the same, small, as it is shown; all frames of a size have one size."""
        import numpy as np
        from PIL import Image

        height, width = frame.shape[:2]
        self._boxes = boxes_of(height, width, self._request)
        most_pixels = MOST_BYTES / (3 * self._count)
        wide, high = width * max(1.0, self._stretched), height / min(1.0, self._stretched)
        scale = min(1.0, SIDE / max(high, wide), (most_pixels / (high * wide)) ** 0.5)
        size = max(1, int(wide * scale + 1e-6)), max(1, int(high * scale + 1e-6))
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


class Wholes:
    """What the crops of a file are of, as its frames come: of all clips together, or of each clip by itself.

    Args:
        parts: clips, or 1 for all together.
        count: frames of the file that are shown.
    """

    def __init__(self, request: DecodeRequest, index: "VideoIndex", parts: int, count: int) -> None:
        most = count if parts == 1 else parts * request.sampling.frames
        self._parts = [Gathering(request, most, index.stretched) for _ in range(parts if request.whole else 0)]
        self._frames: list[dict[int, NDArray[Any]]] = [{} for _ in self._parts]
        self._times_s = index.times_s

    def add(self, clip: int, place: int, picture: "NDArray[np.uint8]") -> None:
        """Takes in what a frame shows to a clip, where it is wanted."""
        if self._parts:
            part = min(clip, len(self._parts) - 1)
            self._frames[part][place] = self._parts[part].small(picture)

    def together(self) -> tuple[WholeFrames, ...]:
        """All of them; empty where they are not wanted."""
        parts = zip(self._parts, self._frames, strict=True)
        return tuple(part.together(frames, self._times_s) for part, frames in parts)


def boxes_of(height: int, width: int, request: DecodeRequest) -> "tuple[tuple[float, float, float, float], ...]":
    """Left, top, right and bottom of each crop of a frame, as shares of it."""
    rows, columns = resized_size(height, width, request.transform)
    return tuple(
        (box.left / columns, box.top / rows, (box.left + box.side) / columns, (box.top + box.side) / rows)
        for box in crop_boxes(rows, columns, request.transform, request.num_crops)
    )
