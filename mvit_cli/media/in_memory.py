"""Frames that are in memory already: shown to a network as those of a file are."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mvit_cli.errors import MediaError
from mvit_cli.media.decode import show_still
from mvit_cli.media.request import Decoded, DecodeRequest
from mvit_cli.media.strips import pictures_of
from mvit_cli.media.transforms import crops_of, pixel_dtype
from mvit_cli.media.video.sampling import sample, short_video_warning
from mvit_cli.protocol import Sampling

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MEMORY = "memory"
"""What a row calls the reader of frames that were in memory."""

RGB_FRAMES = "give uint8 of shape (T, H, W, 3), red first; one picture as (H, W, 3)"


def is_picture(thing: object) -> bool:
    """Whether it is a frame or several: an array, a tensor, a picture of Pillow's."""
    return hasattr(thing, "__array_interface__") or hasattr(thing, "__array__") or hasattr(thing, "getbands")


def frames_of(pictures: Any) -> "NDArray[np.uint8]":
    """`(T, H, W, 3)` uint8 of an array, a tensor, a picture of Pillow's, or a list of either.

    Raises:
        ValueError: another shape or type, pictures of several sizes, or none.
    """
    import numpy as np

    parts = [_array(one) for one in pictures] if isinstance(pictures, Sequence) else [_array(pictures)]
    if not parts:
        raise ValueError("there are no frames")
    if any(part.ndim == 4 for part in parts) and len(parts) > 1:
        raise ValueError(f"a list holds single frames: {RGB_FRAMES}")
    if len({part.shape for part in parts}) > 1:
        raise ValueError("the frames of a clip have one size; these have several")
    frames = parts[0] if parts[0].ndim == 4 else np.stack(parts)
    if frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape:
        raise ValueError(f"frames of shape {frames.shape}: {RGB_FRAMES}")
    if frames.dtype != np.uint8:
        raise ValueError(f"frames of {frames.dtype}: {RGB_FRAMES}")
    return frames


def _array(picture: Any) -> "NDArray[Any]":
    import numpy as np

    if hasattr(picture, "getbands"):  # Pillow's own: any mode, turned upright as a file's is
        from PIL import ImageOps

        picture = ImageOps.exif_transpose(picture).convert("RGB")
    if hasattr(picture, "detach"):  # a tensor may lie on a GPU
        picture = picture.detach().cpu()
    return np.asarray(picture)


def decode_frames(frames: "NDArray[np.uint8]", fps: float | None, request: DecodeRequest) -> Decoded:
    """The clips and crops of frames in memory; a single one is a still.

    Args:
        frames: `(T, H, W, 3)`, RGB.
        fps: frames a second; None: each frame stands for one of a clip's, whatever time that is.
        request: the protocol; its path is not looked at.

    Raises:
        MediaError: unsupported, a still where a video is needed.
        ValueError: `fps` is no rate.
    """
    import numpy as np

    if fps is not None and not 0 < fps < np.inf:
        raise ValueError(f"fps={fps} is no rate of frames")
    started = time.perf_counter()
    pixels = np.empty(request.pixels_shape, pixel_dtype(request.transform))
    if len(frames) == 1:
        if request.sampling.frames > 1 and not request.stills:
            raise MediaError("unsupported", "a single frame, where a video is needed", "give several frames")
        clips, duration_s, _, notes = show_still(frames[0], request, pixels)
    else:
        sampling, notes = request.sampling, []
        if fps is None:
            sampling, fps = _one_for_one(sampling), 1.0
            notes.append("no fps was given: each frame was taken for one of a clip's")
        duration_s = len(frames) / fps
        clips = sample(np.arange(len(frames)) / fps, duration_s, fps, sampling, request.num_clips)
        notes += filter(None, [short_video_warning(duration_s, fps, sampling)])
        _fill(frames, clips, request, pixels)
    elapsed_ms = (time.perf_counter() - started) * 1000
    pictures = None if request.pictures == "none" else pictures_of(pixels, clips, request)
    return Decoded(pixels, tuple(clips), duration_s, MEMORY, tuple(notes), elapsed_ms, pictures)


def _one_for_one(sampling: Sampling) -> Sampling:
    """The protocol at a rate at which the frames of a clip follow each other."""
    return replace(sampling, stride=1, fps=None if sampling.fps is None else 1.0)


def _fill(frames: "NDArray[np.uint8]", clips: Sequence[Any], request: DecodeRequest, pixels: "NDArray[Any]") -> None:
    cropped = {place: crops_of(frames[place], request.transform, request.num_crops) for place in _shown(clips)}
    for number, clip in enumerate(clips):
        for place, frame in enumerate(clip.indices):
            for crop, picture in enumerate(cropped[frame]):
                pixels[number * request.num_crops + crop, place] = picture


def _shown(clips: Sequence[Any]) -> list[int]:
    return sorted({frame for clip in clips for frame in clip.indices})
