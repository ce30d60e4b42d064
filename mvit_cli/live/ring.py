"""The newest frames of a stream: as many seconds as a row shows, cropped already, and nothing older."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mvit_cli.errors import MediaError
from mvit_cli.live.pacing import unseen
from mvit_cli.media.decode import Allocate
from mvit_cli.media.request import Clip, Decoded, DecodeRequest
from mvit_cli.media.transforms import pixel_dtype
from mvit_cli.media.video.sampling import sample, short_video_warning
from mvit_cli.media.video.stamps import frame_rate

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Crops that wait; a camera of 1000 frames a second must not fill the memory.
MOST_BYTES = 1 << 30
# Frames that tell the rate of the stream.
RATE_FRAMES = 512
# Frames whose times are remembered to tell which of them no row showed.
MOST_TIMES = 1 << 16


@dataclass(frozen=True)
class Frame:
    """One frame of a stream.

    Attributes:
        time_s: when it is shown, of `StreamTime`.
        arrived_s: when it came, on the clock that all share.
        pictures: its crops, `(crop, crop, 3)` each.
    """

    time_s: float
    arrived_s: float
    pictures: "Sequence[NDArray[Any]]"


@dataclass(frozen=True)
class Seen:
    """What one row is about.

    Attributes:
        decoded: the pixels of the views, as of a window of a file; its seconds count from the stream's begin.
        newest: number of the newest frame, from 1.
        from_s: where the part that was looked at begins.
        end_s: where it ends.
        arrived_s: when the newest frame came.
        dropped: frames since the last row that none shows because this machine is too slow.
        fps: frames a second.
    """

    decoded: Decoded
    newest: int
    from_s: float
    end_s: float
    arrived_s: float
    dropped: int
    fps: float


class Ring:
    """Holds the frames of the last seconds.

    Args:
        request: protocol, clips and crops; its path is not looked at.
        span_s: seconds that a row shows.
        rates: frames a second that the stream announces, the most trusted first.
    """

    def __init__(self, request: DecodeRequest, span_s: float, rates: Sequence[float] = ()) -> None:
        self.span_s = span_s
        self.count = 0
        self._request, self._rates = request, rates
        self._frames: deque[Frame] = deque()
        self._times_s: deque[float] = deque(maxlen=MOST_TIMES)  # since the end of the last row
        self._rhythm_s: deque[float] = deque(maxlen=RATE_FRAMES)
        self._undecoded = 0
        self._last_end_s: float | None = None

    def add(self, frame: Frame) -> None:
        """Takes the next frame in; those that no row will show any more go.

        Raises:
            MediaError: memory, where the span has more pixels than there is room for.
        """
        self.count += 1
        self._frames.append(frame)
        self._times_s.append(frame.time_s)
        self._rhythm_s.append(frame.time_s)
        while len(self._frames) > 1 and self._frames[1].time_s <= frame.time_s - self.span_s:
            self._frames.popleft()  # the one on screen where the span begins stays
        if len(self._frames) * sum(picture.nbytes for picture in frame.pictures) > MOST_BYTES:
            text = f"{self.span_s:.3g} s of this stream are {len(self._frames)} frames, more than there is room for"
            raise MediaError("memory", text, "look at a shorter --window")

    def drop(self, count: int) -> None:
        """Frames that were not even decoded."""
        self._undecoded += count

    @property
    def is_full(self) -> bool:
        """Whether the frames stand for the whole span."""
        if not self._frames:
            return False
        return self._frames[-1].time_s + 1 / self._fps() - self._frames[0].time_s >= self.span_s - 0.5 / self._fps()

    def is_ready(self, after: int, now_s: float, every_s: float, *, ended: bool) -> bool:
        """Whether there is something to show: a newer frame than that of the last row, and one that is still news.

        What has ended before the first row is shown as far as it goes.

        Args:
            after: number of the newest frame of the last row; 0: there was none.
            now_s: on the clock that all share.
            every_s: seconds between rows: a frame that came longer ago is no news.
            ended: whether no more comes.
        """
        if self.count <= after:
            return False
        if ended and not after:
            return True
        return self.is_full and now_s - self._frames[-1].arrived_s <= every_s

    def seen(self, every_s: float, allocate: Allocate | None = None) -> Seen:
        """What is on screen at this moment, back to the begin of the span.

        Args:
            every_s: seconds between rows, for what is counted as dropped.
            allocate: makes the array of the pixels.
        """
        import numpy as np

        fps, frames = self._fps(), self._frames
        times_s = np.array([frame.time_s for frame in frames])
        end_s = float(times_s[-1]) + 1 / fps
        from_s = max(end_s - self.span_s, float(times_s[0]))
        clips = sample(times_s, end_s, fps, self._request.sampling, self._request.num_clips, from_s)
        short = short_video_warning(end_s - from_s, fps, self._request.sampling, "stream")
        decoded = Decoded(
            self._pixels(clips, (allocate or np.empty)),
            tuple(clips),
            end_s,
            "av",
            (short,) if short else (),
            0.0,
        )
        seen = Seen(
            decoded, self.count, from_s, end_s, frames[-1].arrived_s, self._dropped((from_s, end_s), every_s), fps
        )
        self._last_end_s = end_s
        self._times_s.clear()
        self._undecoded = 0
        return seen

    def _fps(self) -> float:
        import numpy as np

        times_s = np.array(self._rhythm_s)
        return frame_rate(times_s - times_s[0], self._rates)[0]

    def _dropped(self, shown_s: tuple[float, float], every_s: float) -> int:
        if self._last_end_s is None:
            return self._undecoded
        return self._undecoded + unseen(self._times_s, self._last_end_s, shown_s, every_s)

    def _pixels(self, clips: Sequence[Clip], allocate: Allocate) -> "NDArray[Any]":
        request = self._request
        pixels = allocate(request.pixels_shape, pixel_dtype(request.transform))
        for number, clip in enumerate(clips):
            for place, index in enumerate(clip.indices):
                for crop, picture in enumerate(self._frames[max(index, 0)].pictures):
                    pixels[number * request.num_crops + crop, place] = picture
        return pixels
