"""How weights want to be shown a file: which frames, which pixels, how many views, and what their outputs mean.

Said by cards, by checkpoint files and by users; done by `media` and `recognition`; told by `mvit summarize --weights`.
"""

from dataclasses import dataclass
from typing import Annotated, Literal, TypedDict, get_args

from mvit_cli.rules import Rule, Size

Activation = Literal["softmax", "sigmoid"]
"""What makes scores of outputs: one of all classes, or each for itself."""

Method = Literal["clip", "leading", "resampled", "segments", "uniform", "native", "image"]
OverViews = Literal["mean", "max"]
PastEnd = Literal["loop", "hold", "repeat"]


@dataclass(frozen=True)
class Sampling:
    """Which frames make a clip.

    Attributes:
        method: "clip" = PySlowFast's span of `frames * stride` frames at `fps`, the last clip at the end of the video;
            "leading" = the same, each clip at the start of an equal part; "resampled" = torchvision's consecutive
            frames of the video resampled to `fps`; "segments" = the middle frames of equal segments of the whole
            video, as PySlowFast finds them; "uniform" = as MMAction2 does; "native" = every `stride`-th frame at the
            file's own rate; "image" = one frame.
        frames: frames of a clip.
        stride: frames of the `fps` (or native) time line from one sampled frame to the next.
        fps: frames a second; needed by "clip", "leading" and "resampled".
        past_end: what of a clip lies past the end of a short video: "loop" = the video again from its start, "hold" =
            its last frame, "repeat" = the last frame that the clip has of it; None: "native" loops, all else holds.
    """

    method: Method
    frames: int
    stride: int = 1
    fps: float | None = None
    past_end: PastEnd | None = None

    @property
    def steps(self) -> bool:
        """Whether frames are a stride apart on a time line; else they are spread over the whole video."""
        return self.method in ("clip", "leading", "resampled", "native")

    @property
    def beyond(self) -> PastEnd:
        """What is shown past the end."""
        return self.past_end or ("loop" if self.method == "native" else "hold")

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise ValueError(f"sampling method {self.method!r} is none of {', '.join(get_args(Method))}")
        if self.frames < 1 or self.stride < 1:
            raise ValueError(f"a clip of {self.frames} frames with stride {self.stride} is not possible")
        if self.method in ("clip", "leading", "resampled") and (self.fps is None or not self.fps > 0):
            raise ValueError(f"sampling method {self.method!r} needs a frame rate, got fps={self.fps}")
        if self.past_end not in (None, *get_args(PastEnd)):
            raise ValueError(f"past_end {self.past_end!r} is none of {', '.join(get_args(PastEnd))}")


@dataclass(frozen=True)
class Transform:
    """How a frame becomes the network's picture: values 0 to 1 before normalisation.

    Attributes:
        mean: of red, green, blue.
        std: of red, green, blue.
        resize: pixels of the short side after resizing.
        crop: pixels of a side of the square that is cut out.
        interpolation: how pixels in between are made.
        antialias: low-pass before shrinking, as Pillow does.
        resize_dtype: "uint8" rounds the resized frame (torchvision, Pillow), "float" keeps fractions (PySlowFast).
        rule: whose arithmetic gives the resized size and the places of crops: "torchvision" (PySlowFast's where the
            resize keeps fractions) or "mmaction2".
        channels: the order that the network is shown, after normalisation; mean and std are of red first in either.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resize: int
    crop: int
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    antialias: bool = False
    resize_dtype: Literal["uint8", "float"] = "uint8"
    rule: Literal["torchvision", "mmaction2"] = "torchvision"
    channels: Literal["rgb", "bgr"] = "rgb"

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
        if self.rule not in ("torchvision", "mmaction2"):
            raise ValueError(f"resize and crop rule {self.rule!r} is none of torchvision, mmaction2")
        if self.channels not in ("rgb", "bgr"):
            raise ValueError(f"channel order {self.channels!r} is none of rgb, bgr")


@dataclass(frozen=True)
class Views:
    """Test protocol: one score a class of those of `clips` x `crops`.

    Attributes:
        over: the mean of the views' scores, or the largest.
    """

    clips: int
    crops: int
    over: OverViews = "mean"

    def __str__(self) -> str:
        return f"{self.clips}x{self.crops}"


ViewsText = Annotated[str, Rule("Clips x crops, whose scores are averaged.", pattern=r"^[1-9][0-9]*x[1-9][0-9]*$")]
Origin = Annotated[str, Rule("Who says so: the file's own words, its card, or whose were assumed.")]


class SaidSampling(TypedDict):
    """Which frames make a clip."""

    method: Method
    frames: Size
    stride: Annotated[Size, Rule("Frames of the time line from one of a clip to the next.")]
    fps: Annotated[float | None, Rule("Of the time line; null: the file's own.")]
    past_end: Annotated[PastEnd, Rule("Past the end: from the start again, the last frame, or the clip's last one.")]
    origin: Origin


class SaidStatistics(TypedDict):
    """What is taken from values of 0 to 1, and what they are divided by: red, green, blue."""

    mean: Annotated[list[float], Rule(min_items=3, max_items=3)]
    std: Annotated[list[float], Rule(min_items=3, max_items=3)]
    origin: Origin


class SaidChannels(TypedDict):
    """The order in which the network is shown red, green and blue."""

    order: Literal["rgb", "bgr"]
    origin: Origin


class SaidResizing(TypedDict):
    """From a frame to the network's square."""

    resize: Annotated[Size, Rule("Pixels of the short side.")]
    crop: Size
    interpolation: Literal["bilinear", "bicubic"]
    antialias: bool
    origin: Origin


class SaidViews(TypedDict):
    """What is shown of a file."""

    views: ViewsText
    over: Annotated[OverViews, Rule("What becomes of the scores of the views.")]
    origin: Origin


class SaidActivation(TypedDict):
    """What makes scores of outputs."""

    activation: Activation
    origin: Origin


class SaidLabels(TypedDict):
    """Class names."""

    classes: Size
    named: Annotated[bool, Rule("False: classes go by their index.")]
    first: Annotated[list[str], Rule("The first five.")]
    origin: Origin


class SaidProtocol(TypedDict):
    """How predict shows the network a file, and who says each part."""

    sampling: SaidSampling
    statistics: SaidStatistics
    channels: SaidChannels
    resizing: SaidResizing
    views: SaidViews
    activation: SaidActivation
    labels: SaidLabels
