"""Frame -> resized, cropped picture, as the source of each checkpoint does it; the network's device normalises.

Resizing computes only what the crops show: of a 1080p frame a few per cent of the pixels are touched.
"""

import functools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from mvit_cli.media.request import Look
from mvit_cli.protocol import Transform

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

# Resized pictures of more pixels, of 256 rows those longer than 65,536, are computed only where they are shown.
WHOLE_PIXELS = 1 << 24
# Pixels to each side that a low-passed one depends on, of the larger scale: those of the bicubic kernel.
REACH = 2


class Box(NamedTuple):
    """A square crop of the resized frame, in its pixels."""

    top: int
    left: int
    side: int


def pixel_dtype(transform: Transform) -> type[Any]:
    """The dtype of cropped pixels: uint8, or float32 where the resize keeps fractions."""
    import numpy as np

    return np.uint8 if transform.resize_dtype == "uint8" else np.float32


def resized_size(height: int, width: int, transform: Transform) -> tuple[int, int]:
    """Height and width after resizing: the short side is `transform.resize`, the long one in proportion.

    The long side is made whole pixels in another way in each source: cut off after either order of operations, or
    rounded.
    """
    short, long = min(height, width), max(height, width)
    if transform.rule == "mmaction2":  # MMCV `rescale_size`
        new_long = int(long * (transform.resize / short) + 0.5)
    elif transform.resize_dtype == "uint8":  # torchvision `_compute_resized_output_size`
        new_long = int(transform.resize * long / short)
    else:  # PySlowFast `random_short_side_scale_jitter`
        new_long = math.floor(long / short * transform.resize)
    return (new_long, transform.resize) if height > width else (transform.resize, new_long)


def crop_boxes(height: int, width: int, transform: Transform, num_crops: int) -> list[Box]:
    """The crops of a resized frame: the centre, or both ends of the long side with the centre between them.

    The centre of an odd remainder is rounded to the even place by torchvision, up by PySlowFast and down by MMAction2,
    whose last crop of three stands twice as far from the first as the centre. torchvision publishes no three crops.
    """
    side = transform.crop
    if transform.rule == "mmaction2":  # MMAction2 `CenterCrop`, `ThreeCrop`
        top, left = (height - side) // 2, (width - side) // 2
        if num_crops == 1:
            return [Box(top, left, side)]
        if height > width:
            return [Box(step * top, left, side) for step in range(3)]
        return [Box(top, step * left, side) for step in range(3)]
    if num_crops == 1 and transform.resize_dtype == "uint8":  # torchvision `center_crop`
        return [Box(round((height - side) / 2), round((width - side) / 2), side)]
    top, left = math.ceil((height - side) / 2), math.ceil((width - side) / 2)  # PySlowFast `uniform_crop`
    if num_crops == 1:
        return [Box(top, left, side)]
    if height > width:
        return [Box(0, left, side), Box(top, left, side), Box(height - side, left, side)]
    return [Box(top, 0, side), Box(top, left, side), Box(top, width - side, side)]


def crops_of(frame: "NDArray[np.uint8]", transform: Transform, num_crops: int) -> "list[NDArray[Any]]":
    """The crops of one `(H, W, 3)` uint8 frame, each `(crop, crop, 3)` of `pixel_dtype`."""
    height, width = frame.shape[:2]
    size = resized_size(height, width, transform)
    boxes = crop_boxes(*size, transform, num_crops)
    if transform.antialias:
        return _resize_pillow(frame, size, boxes, transform)
    return [_resize_bilinear(frame, size, box, transform) for box in boxes]


def crop_of_look(frame: "NDArray[np.uint8]", look: Look, transform: Transform) -> "NDArray[Any]":
    """The box of a look, resized to the square `(crop, crop, 3)` as the transform resizes, of `pixel_dtype`."""
    height, width = frame.shape[:2]
    left, right = _pixels(look.box[0], look.box[2], width)
    top, bottom = _pixels(look.box[1], look.box[3], height)
    part, side = frame[top:bottom, left:right], transform.crop
    square, whole = (side, side), Box(0, 0, side)
    if transform.antialias:
        picture = _resize_pillow(part, square, [whole], transform)[0]
    else:
        picture = _resize_bilinear(part, square, whole, transform)
    return picture[:, ::-1] if look.mirrored else picture


def _pixels(begin: float, end: float, extent: int) -> tuple[int, int]:
    """Whole pixels of a share of an extent, one at least."""
    first = min(int(begin * extent), extent - 1)
    return first, max(first + 1, round(end * extent))


def _resize_bilinear(
    frame: "NDArray[np.uint8]", size: tuple[int, int], box: Box, transform: Transform
) -> "NDArray[Any]":
    """Bilinear between the four nearest pixel centres in float32: torch's `interpolate(align_corners=False)`."""
    import numpy as np

    height, width = frame.shape[:2]
    if size == (height, width):
        part = frame[box.top : box.top + box.side, box.left : box.left + box.side]
        return part.astype(pixel_dtype(transform))
    y0, y1, dy = _neighbours(height, size[0], box.top, box.side)
    x0, x1, dx = _neighbours(width, size[1], box.left, box.side)
    first, beyond = int(x0[0]), int(x1[-1]) + 1
    columns = frame[:, first:beyond]
    rows = _between(columns[y0], columns[y1], dy[:, None, None])  # (side, columns, 3)
    # Sides by `take`: indexing with arrays copies pixel by pixel, five times slower.
    left, right = np.take(rows, x0 - first, axis=1, mode="clip"), np.take(rows, x1 - first, axis=1, mode="clip")
    picture = _between(left, right, dx[None, :, None])
    return np.rint(picture).astype(np.uint8) if transform.resize_dtype == "uint8" else picture


def _between(one: "NDArray[Any]", other: "NDArray[Any]", way: "NDArray[np.float32]") -> "NDArray[np.float32]":
    import numpy as np

    mixed: NDArray[np.float32] = np.subtract(other, one, dtype=np.float32)
    mixed *= way
    mixed += one
    return mixed


@functools.lru_cache(maxsize=32)
def _neighbours(
    old: int, new: int, start: int, count: int
) -> "tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]":
    """For `count` places of a resized side the pixel before, the one after, and the way between them (0..1)."""
    import numpy as np

    scale = np.float32(old) / np.float32(new)
    places = np.arange(start, start + count, dtype=np.float32)
    source = np.maximum((places + np.float32(0.5)) * scale - np.float32(0.5), np.float32(0))
    before = np.minimum(source.astype(np.int64), old - 1)
    return before, np.minimum(before + 1, old - 1), source - before.astype(np.float32)


def _resize_pillow(
    frame: "NDArray[np.uint8]", size: tuple[int, int], boxes: list[Box], transform: Transform
) -> "list[NDArray[Any]]":
    """Pillow's resize, low-passed, in uint8; then the crops. A strip is never whole: only its crops are computed."""
    import numpy as np
    from PIL import Image

    kernels = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    kernel = kernels[transform.interpolation]
    if size[0] * size[1] > WHOLE_PIXELS:
        return [_resized_box(frame, size, box, kernel) for box in boxes]
    image = Image.fromarray(frame)
    if size != frame.shape[:2]:
        image = image.resize((size[1], size[0]), kernel)
    whole = np.asarray(image)
    return [whole[box.top : box.top + box.side, box.left : box.left + box.side] for box in boxes]


def _resized_box(
    frame: "NDArray[np.uint8]", size: tuple[int, int], box: Box, kernel: "Image.Resampling"
) -> "NDArray[np.uint8]":
    """The crop of a picture that would be too large if it were resized whole, from the pixels about it.

    Pillow takes places as float32, in which a long side has no fractions: those of a part have.
    """
    import numpy as np
    from PIL import Image

    spans = []
    for old, new, start in zip(frame.shape, size, (box.top, box.left), strict=False):
        scale = old / new
        begin, end = start * scale, (start + box.side) * scale
        reach = math.ceil(REACH * max(scale, 1)) + 1
        first, beyond = max(0, math.floor(begin) - reach), min(old, math.ceil(end) + reach)
        spans.append((first, beyond, begin - first, min(end, beyond) - first))
    (top, bottom, *rows), (left, right, *columns) = spans
    part = Image.fromarray(frame[top:bottom, left:right])
    places = (columns[0], rows[0], columns[1], rows[1])
    return np.asarray(part.resize((box.side, box.side), kernel, box=places))
