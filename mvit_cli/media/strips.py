"""What the network was shown, for people: frames side by side as small JPEG files, each of bounded size."""

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from mvit_cli.media.request import Clip, DecodeRequest, Detail, Pictures, Strip

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

Place = tuple[int, int]  # clip, frame of the clip

MAX_STRIPS = 10
STRIP_FRAMES = 16
STRIP_SIDE = 96
STILL_SIDE = 224  # of a strip of one frame
STRIP_BYTES = 32 << 10
POSTER_FRAMES = 4
POSTER_SIDE = 64
POSTER_BYTES = 6 << 10
GAP = 4
QUALITIES = (75, 55, 35, 20)


def pictures_of(pixels: "NDArray[Any]", clips: Sequence[Clip], request: DecodeRequest) -> Pictures:
    """The frames of a file as far as the request asks for them; of three crops the middle one.

    Args:
        pixels: `(views, T, H, W, 3)`, 0..255.
        clips: those of the pixels.
    """
    views = pixels[request.num_crops // 2 :: request.num_crops]
    return pictures_by(views.__getitem__, pixels.shape[2], clips, request.pictures)


def pictures_by(
    frame_of: "Callable[[Place], NDArray[Any]]", side: int, clips: Sequence[Clip], detail: Detail
) -> Pictures:
    """The same of frames that are made when they are asked for, `(side, side, 3)` each."""
    is_still = all(len(set(clip.indices)) == 1 and clip.indices == clips[0].indices for clip in clips)
    frames = 1 if is_still else len(clips[0].indices)
    shown = [0] if is_still else evenly(len(clips), MAX_STRIPS)
    places = [(clip, frame) for clip in shown for frame in range(frames)]
    few = [places[i] for i in evenly(len(places), POSTER_FRAMES)]
    poster = _strip(frame_of, few, min(side, POSTER_SIDE), POSTER_BYTES)
    if detail != "strips":
        return Pictures(poster)
    side = min(side, STRIP_SIDE if frames > 1 else STILL_SIDE)
    places_of = {clip: [(clip, frame) for frame in evenly(frames, STRIP_FRAMES)] for clip in shown}
    return Pictures(poster, tuple(_strip(frame_of, places_of[clip], side, STRIP_BYTES) for clip in shown))


def evenly(count: int, most: int) -> list[int]:
    """At most `most` of `count` places: the middles of as many equal parts."""
    kept = min(count, most)
    return [(2 * part + 1) * count // (2 * kept) for part in range(kept)]


def _strip(frame_of: "Callable[[Place], NDArray[Any]]", places: Sequence[Place], side: int, most_bytes: int) -> Strip:
    """The frames in a row: as good as fits the bytes, at worst half as high."""
    frames = [frame_of(place) for place in places]
    for height in (side, max(1, side // 2)):
        picture = _side_by_side(frames, height)
        for quality in QUALITIES:
            jpeg = _jpeg(picture, quality)
            if len(jpeg) <= most_bytes:
                return Strip(places[0][0], len(places), *picture.size, jpeg)
    return Strip(places[0][0], len(places), *picture.size, jpeg)


def _side_by_side(frames: "Sequence[NDArray[Any]]", side: int) -> "Image":
    from PIL import Image

    row = Image.new("RGB", (len(frames) * (side + GAP) - GAP, side))
    for number, frame in enumerate(frames):
        small = Image.fromarray(_rounded(frame))
        if small.size != (side, side):
            small = small.resize((side, side), Image.Resampling.BILINEAR, reducing_gap=2.0)
        row.paste(small, (number * (side + GAP), 0))
    return row


def _rounded(frame: "NDArray[Any]") -> "NDArray[np.uint8]":
    import numpy as np

    return frame if frame.dtype == np.uint8 else np.clip(np.rint(frame), 0, 255).astype(np.uint8)


def _jpeg(picture: "Image", quality: int) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return stream.getvalue()
