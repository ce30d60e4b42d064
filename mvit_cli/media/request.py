"""What crosses the border of this room: how to look at a file, and what was seen."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, get_args

from mvit_cli.errors import MediaError
from mvit_cli.media.tracks import Track
from mvit_cli.protocol import Sampling, Transform

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ReaderChoice = Literal["auto", "decord", "av"]
Detail = Literal["none", "poster", "strips"]

TIMEOUT_S = 60.0
"""What one file, or one window of it, may take to decode, unless the user says otherwise."""

MAX_WINDOWS = 100_000
"""Rows of one video, unless the user says otherwise: at a window a second a day and a night."""

# Rows tell seconds to the microsecond.
DIGITS = 6
SHORTEST_S = 0.001
# A rest of the video shorter than this share of a window belongs to the window before it.
REST = 0.1


@dataclass(frozen=True)
class Window:
    """A part of a video that is looked at like a video of its own.

    Attributes:
        number: its place in the time line, from 0; of several in one the last.
        start_s: seconds from the file's first frame.
        end_s: seconds from the file's first frame.
        duration_s: of the whole file.
        is_last: whether no window of the file follows.
    """

    number: int
    start_s: float
    end_s: float
    duration_s: float
    is_last: bool


@dataclass(frozen=True)
class Windows:
    """How a video is cut into windows: one of `length_s` every `hop_s` seconds, from its first frame on.

    The last window is the one that reaches the end of the video, or after which none begins before it. It is shorter
    than the others where the video ends in it, and up to a tenth longer where less than that would be left over.

    Attributes:
        length_s: seconds of a window.
        hop_s: seconds from the start of one to the start of the next; less than `length_s`: windows overlap.
        most: rows of one video; what is left of it then is one error.
    """

    length_s: float
    hop_s: float
    most: int = MAX_WINDOWS

    def __post_init__(self) -> None:
        if self.most < 1:
            raise ValueError(f"{self.most} windows of a video are not possible, 1 is the least")
        for name, value in (("window", self.length_s), ("hop", self.hop_s)):
            if not SHORTEST_S <= value < math.inf:
                raise ValueError(f"a {name} of {value:g} s is not possible, {SHORTEST_S:g} s is the least")

    def at(self, number: int, duration_s: float) -> Window:
        """A window of a video; `number` must not lie beyond the last one."""
        start_s, duration_s = round(number * self.hop_s, DIGITS), round(duration_s, DIGITS)
        end_s, latest_s = round(start_s + self.length_s, DIGITS), duration_s - REST * self.length_s
        if end_s > latest_s:
            end_s = duration_s
        return Window(number, start_s, end_s, duration_s, end_s == duration_s or start_s + self.hop_s > latest_s)

    def last_within(self, number: int, until_s: float, duration_s: float) -> Window:
        """The last window that ends at `until_s` or before; `number`, if none behind it does."""
        longest_s = max(self.length_s, self.hop_s)
        last = max(0, math.floor((duration_s - REST * self.length_s - longest_s) / self.hop_s) - 1)
        while not self.at(last, duration_s).is_last:
            last += 1
        last = min(last, math.floor((until_s - self.length_s) / self.hop_s) + 2)
        while last > number and self.at(last, duration_s).end_s > until_s:
            last -= 1
        return self.at(max(last, number), duration_s)

    def lost_from(self, number: int, duration_s: float, error: MediaError) -> "LostWindowError":
        """The loss of a window and of all after it."""
        first = self.at(number, duration_s)
        return LostWindowError(error, replace(first, end_s=first.duration_s, is_last=True))


_HOLDS = "one frame stands from "


def hold_note(window: Window, count: int) -> str:
    """The warning of a window that stands for several in which one frame is on screen."""
    return f"{_HOLDS}{window.start_s:.2f} s to {window.end_s:.2f} s: {count:,} windows are one row"


def tells_hold(warning: str) -> bool:
    """Whether it is that warning."""
    return warning.startswith(_HOLDS)


class LostWindowError(MediaError):
    """One or several windows of a video that gave no frames.

    Args:
        error: why.
        window: from the start of the first to the end of the last of them.
    """

    def __init__(self, error: MediaError, window: Window) -> None:
        super().__init__(error.kind, error.message, error.hint)
        self.window = window


@dataclass(frozen=True)
class Clip:
    """One clip: the frames to show and the part of the file it covers.

    Attributes:
        indices: positions in the display order of the file's frames, one a clip frame; repeats are held frames.
        start_s: seconds from the file's first frame.
        end_s: seconds from the file's first frame.
    """

    indices: tuple[int, ...]
    start_s: float
    end_s: float


@dataclass(frozen=True)
class Look:
    """Another view of a file than the protocol's: one clip from anywhere in it, one crop from anywhere in its frames.

    Attributes:
        start: where the clip begins, as a share of where it could: 0 the start of the file, 1 as late as it fits.
        box: left, top, right and bottom of the crop, as shares of the frame; it is resized to the protocol's square.
        mirrored: left and right are exchanged.
    """

    start: float
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    mirrored: bool = False

    def __post_init__(self) -> None:
        left, top, right, bottom = self.box
        if not (0 <= self.start <= 1 and 0 <= left < right <= 1 and 0 <= top < bottom <= 1):
            raise ValueError(f"start and box are shares from 0 to 1, not {self.start} and {self.box}")


@dataclass(frozen=True)
class DecodeRequest:
    """One file to decode.

    Attributes:
        path: the file, as the user named it; an address may carry a secret, so it is never shown.
        sampling: which frames make a clip.
        transform: how a frame becomes a picture.
        num_clips: clips spread over the file.
        num_crops: 1 (centre) or 3 (left, centre, right; top, centre, bottom of a portrait).
        reader: which library fetches frames; "auto" takes decord where the index proves it right, else PyAV.
        stills: whether a still image may stand for a video of equal frames.
        pictures: what is wanted for people's eyes: nothing, a poster, or a strip for each clip too.
        windows: the video is cut so, and each part is sampled like a video; None: it is taken whole.
        first_window: number of the first window that is wanted.
        part: seconds from which, and up to which, the file is looked at; None as the second: to its end.
        look: one view of another kind, instead of the protocol's.
        track: the object that is cut out, in the part of the file that it is in.
        member: where a member of an archive lies, as `archives.Member`; None: it is looked for by its name.
        whole: whether the frames that the crops are of are wanted too, small.
        variables: of the environment, which the driver of an address needs; shown nowhere.
        limit_s: seconds that it may take, of a video in windows each of them; the whole video in windows that, and a
            tenth of a second for each of its frames.
    """

    path: str
    sampling: Sampling
    transform: Transform
    num_clips: int = 1
    num_crops: int = 1
    reader: ReaderChoice = "auto"
    stills: bool = True
    pictures: Detail = "none"
    windows: Windows | None = None
    first_window: int = 0
    part: tuple[float, float | None] | None = None
    look: Look | None = None
    track: Track | None = None
    member: tuple[int, ...] | None = None
    whole: bool = False
    variables: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    limit_s: float = math.inf

    def __post_init__(self) -> None:
        if self.look and self.whole:
            raise ValueError("a look has no crops of the protocol, whose place in whole frames could be told")
        if self.windows and (self.part or self.look):
            raise ValueError("a part or another look of a file is not cut into windows")
        if self.track and (self.windows or self.part or self.look):
            raise ValueError("a track is itself a part of a file, and is not cut into windows")
        if self.look and self.num_clips * self.num_crops != 1:
            raise ValueError("a look is one clip with one crop")
        if self.num_clips < 1:
            raise ValueError(f"num_clips must be 1 or more, got {self.num_clips}")
        if self.num_crops not in (1, 3):
            raise ValueError(f"num_crops must be 1 or 3, got {self.num_crops}")
        if self.reader not in get_args(ReaderChoice):
            raise ValueError(f"reader {self.reader!r} is none of {', '.join(get_args(ReaderChoice))}")
        if self.windows and self.reader == "decord":
            raise ValueError("windows are read in one pass, which only the reader av does")

    @property
    def pixels_shape(self) -> tuple[int, int, int, int, int]:
        """`(views, T, H, W, 3)`."""
        side = self.transform.crop
        return (self.num_clips * self.num_crops, self.sampling.frames, side, side, 3)


@dataclass(frozen=True)
class Strip:
    """Frames side by side, in the order of time.

    Attributes:
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

    Attributes:
        poster: a few frames from all clips.
        strips: one a clip, of many clips evenly chosen ones; of a still image one.
        heat: the same frames with heat laid over them, where it was asked for; it may have no strips.
    """

    poster: Strip
    strips: tuple[Strip, ...] = ()
    heat: "Pictures | None" = None


@dataclass(frozen=True)
class WholeFrames:
    """The frames that clips show, small and in the proportion they are shown in, and where in them the crops lie.

    Of a track they are what is cut out of the frames.

    Attributes:
        pixels: `(N, H, W, 3)` uint8, each frame once.
        indices: positions in display order, ascending, one a frame.
        times_s: when each is shown, seconds from the file's first frame.
        boxes: left, top, right and bottom of each crop, as shares of the frame.
    """

    pixels: "NDArray[np.uint8]"
    indices: tuple[int, ...]
    times_s: tuple[float, ...]
    boxes: tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True)
class Decoded:
    """What one file showed, or one window of it.

    Attributes:
        pixels: `(views, T, H, W, 3)`, RGB 0..255, uint8, or float32 where the transform resizes in float; the views of
            a clip stand together.
        clips: one a clip, in the order of time.
        duration_s: seconds from the first frame's start to the last frame's end; 0 for a still image.
        reader: the library that gave the frames: "decord", "av" or "pillow".
        warnings: whole sentences on what is not as asked: frames held or damaged, a video shorter than a clip.
        decode_ms: wall time of the whole decoding, milliseconds; of a window, since the one before it.
        pictures: for people's eyes, where they were asked for.
        window: the part of the file that was asked for; None: the whole file.
        whole: what the crops are of, where it was asked for: of all clips together, of a track one a clip, each of its
            own size.
    """

    pixels: "NDArray[np.uint8] | NDArray[np.float32] | Any"
    clips: tuple[Clip, ...]
    duration_s: float
    reader: str
    warnings: tuple[str, ...]
    decode_ms: float
    pictures: Pictures | None = None
    window: Window | None = None
    whole: tuple[WholeFrames, ...] = ()

    @property
    def num_bytes(self) -> int:
        """What waits with it: pixels, and whole frames where they were asked for."""
        return int(self.pixels.nbytes) + sum(whole.pixels.nbytes for whole in self.whole)

    def whole_of(self, clip: int) -> WholeFrames:
        """What the crops of a clip are of, where it was asked for."""
        return self.whole[min(clip, len(self.whole) - 1)]


Outcome = Decoded | MediaError


class NoOutcome(Enum):
    """What stands in a stream of outcomes where there is none.

    Attributes:
        AT_WORK: a sign of life of whoever decodes: reading goes on, but no window is complete yet.
        LULL: the next outcome is not there yet and has to be waited for; what has come before can go ahead.
    """

    AT_WORK = "at work"
    LULL = "lull"


AtWork = Literal[NoOutcome.AT_WORK]
Lull = Literal[NoOutcome.LULL]
AT_WORK: AtWork = NoOutcome.AT_WORK
LULL: Lull = NoOutcome.LULL


def window_of(outcome: Outcome) -> Window | None:
    """The window that an outcome is about; None where it is about the whole file."""
    return outcome.window if isinstance(outcome, Decoded | LostWindowError) else None


def is_last(outcome: Outcome) -> bool:
    """Whether no more comes of the same file."""
    window = window_of(outcome)
    return window is None or window.is_last
