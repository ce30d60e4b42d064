"""What crosses the border of this room: how to look at a file, and what was seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Method = Literal["clip", "resampled", "segments", "native", "image"]
ReaderChoice = Literal["auto", "decord", "av"]
Detail = Literal["none", "poster", "strips"]


@dataclass(frozen=True)
class Sampling:
    """Which frames make a clip.

    Args:
        method: "clip" = PySlowFast's span of `frames * stride` frames at `fps`; "resampled" = torchvision's consecutive
            frames of the video resampled to `fps`; "segments" = the middle frames of equal segments of the whole video;
            "native" = MMAction2's every `stride`-th frame at the file's own rate; "image" = one frame.
        frames: frames of a clip.
        stride: frames of the `fps` (or native) time line from one sampled frame to the next.
        fps: frames a second; needed by "clip" and "resampled".
    """

    method: Method
    frames: int
    stride: int = 1
    fps: float | None = None

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise ValueError(f"sampling method {self.method!r} is none of {', '.join(get_args(Method))}")
        if self.frames < 1 or self.stride < 1:
            raise ValueError(f"a clip of {self.frames} frames with stride {self.stride} is not possible")
        if self.method in ("clip", "resampled") and (self.fps is None or not self.fps > 0):
            raise ValueError(f"sampling method {self.method!r} needs a frame rate, got fps={self.fps}")


@dataclass(frozen=True)
class Transform:
    """How a frame becomes the network's picture: RGB, values 0 to 1 before normalisation.

    Args:
        mean: of red, green, blue.
        std: of red, green, blue.
        resize: pixels of the short side after resizing.
        crop: pixels of a side of the square that is cut out.
        interpolation: how pixels in between are made.
        antialias: low-pass before shrinking, as Pillow does.
        resize_dtype: "uint8" rounds the resized frame (torchvision, Pillow), "float" keeps fractions (PySlowFast).
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resize: int
    crop: int
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    antialias: bool = False
    resize_dtype: Literal["uint8", "float"] = "uint8"

    def __post_init__(self) -> None:
        if not 1 <= self.crop <= self.resize:
            raise ValueError(f"a crop of {self.crop} pixels does not fit a short side of {self.resize}")
        if (self.interpolation, self.antialias, self.resize_dtype) not in (
            ("bilinear", False, "uint8"),
            ("bilinear", False, "float"),
            ("bilinear", True, "uint8"),
            ("bicubic", True, "uint8"),
        ):
            how = f"{self.interpolation}, antialias={self.antialias}, on {self.resize_dtype}"
            raise ValueError(f"no known checkpoint resizes with {how}")


@dataclass(frozen=True)
class Clip:
    """One clip: the frames to show and the part of the file it covers.

    Args:
        indices: positions in the display order of the file's frames, one a clip frame; repeats are held frames.
        start_s: seconds from the file's first frame.
        end_s: seconds from the file's first frame.
    """

    indices: tuple[int, ...]
    start_s: float
    end_s: float


@dataclass(frozen=True)
class DecodeRequest:
    """One file to decode.

    Args:
        path: the file, as the user named it.
        sampling: which frames make a clip.
        transform: how a frame becomes a picture.
        num_clips: clips spread over the file.
        num_crops: 1 (centre) or 3 (left, centre, right; top, centre, bottom of a portrait).
        reader: which library fetches frames; "auto" takes decord where the index proves it right, else PyAV.
        stills: whether a still image may stand for a video of equal frames.
        pictures: what is wanted for people's eyes: nothing, a poster, or a strip for each clip too.
    """

    path: str
    sampling: Sampling
    transform: Transform
    num_clips: int = 1
    num_crops: int = 1
    reader: ReaderChoice = "auto"
    stills: bool = True
    pictures: Detail = "none"

    def __post_init__(self) -> None:
        if self.num_clips < 1:
            raise ValueError(f"num_clips must be 1 or more, got {self.num_clips}")
        if self.num_crops not in (1, 3):
            raise ValueError(f"num_crops must be 1 or 3, got {self.num_crops}")
        if self.reader not in get_args(ReaderChoice):
            raise ValueError(f"reader {self.reader!r} is none of {', '.join(get_args(ReaderChoice))}")

    @property
    def pixels_shape(self) -> tuple[int, int, int, int, int]:
        """`(views, T, H, W, 3)`."""
        side = self.transform.crop
        return (self.num_clips * self.num_crops, self.sampling.frames, side, side, 3)


@dataclass(frozen=True)
class Strip:
    """Frames side by side, in the order of time.

    Args:
        clip: number of the (first) clip they are of, from 0.
        num_frames: frames in it; of a long clip evenly chosen ones.
        width: pixels.
        height: pixels.
        jpeg: the file.
    """

    clip: int
    num_frames: int
    width: int
    height: int
    jpeg: bytes


@dataclass(frozen=True)
class Pictures:
    """What a person sees of one file.

    Args:
        poster: a few frames from all clips.
        strips: one a clip, of many clips evenly chosen ones; of a still image one.
    """

    poster: Strip
    strips: tuple[Strip, ...] = ()


@dataclass(frozen=True)
class Decoded:
    """What one file showed.

    Args:
        pixels: `(views, T, H, W, 3)`, RGB 0..255, uint8, or float32 where the transform resizes in float; the views of
            a clip stand together.
        clips: one a clip, in the order of time.
        duration_s: seconds from the first frame's start to the last frame's end; 0 for a still image.
        reader: the library that gave the frames: "decord", "av" or "pillow".
        warnings: whole sentences on what is not as asked: frames held or damaged, a video shorter than a clip.
        decode_ms: wall time of the whole decoding, milliseconds.
        pictures: for people's eyes, where they were asked for.
    """

    pixels: NDArray[np.uint8] | NDArray[np.float32] | Any
    clips: tuple[Clip, ...]
    duration_s: float
    reader: str
    warnings: tuple[str, ...]
    decode_ms: float
    pictures: Pictures | None = None
