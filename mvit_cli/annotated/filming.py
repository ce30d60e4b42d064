"""One video read once more and written with what stands on it: frame after frame, in bounded memory."""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from mvit_cli.annotated.drawing import LEAST_WIDTH, Canvas, layout_of
from mvit_cli.annotated.sound import Sound
from mvit_cli.annotated.story import Story
from mvit_cli.media.guards import MAX_VIDEO_PIXELS, CheckedFile
from mvit_cli.media.shortage import MemoryWatch
from mvit_cli.media.video.container import open_video
from mvit_cli.media.video.index import WEBP, VideoIndex, index_video
from mvit_cli.media.video.readers import readers_for

if TYPE_CHECKING:
    import numpy as np
    from av.container import InputContainer, OutputContainer
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}

# Stamps of frames that the file itself does not tell apart: that of MPEG streams, fine enough for any rate.
FINE_TICK = Fraction(1, 90_000)
MOST_THREADS = 4
# Pictures that no eye tells from their source, at the speed of decoding; few are looked ahead at, so that 8K fits.
X264 = {"preset": "veryfast", "crf": "20"}

Tell = Callable[[int, int], None]
"""Is told how many frames are written, and of how many."""


@dataclass(frozen=True)
class Facts:
    """What the container says beside the index.

    Attributes:
        tick: seconds of a unit of the stream's stamps.
        begins_s: where the container's time begins.
    """

    tick: Fraction
    begins_s: float


def film(file: CheckedFile, story: Story, target: str, tell: Tell) -> list[str]:
    """Writes the video with its labels; returns sentences on what was not kept.

    Args:
        file: the video.
        target: the file that is written, which need not be there; its suffix says the container.

    Raises:
        MediaError: decode, unsupported.
        OSError: the target cannot be written.
    """
    import av

    index = index_video(file)
    options = {"movflags": "+faststart"} if not target.endswith(".mkv") else {}
    name = FORMATS[os.path.splitext(target)[1]]
    source = None if index.container == WEBP else open_video(file)[0]
    try:
        with av.open(target, "w", format=name, options=options) as out:
            return _filmed(index, source, out, story, tell)
    finally:
        if source:
            source.close()


def _filmed(
    index: VideoIndex, source: "InputContainer | None", out: "OutputContainer", story: Story, tell: Tell
) -> list[str]:
    facts = _facts(source)
    tick, ticks = _stamps(index, facts)
    scale = _Scale.of(index)
    layout = layout_of(*scale.size, story)
    canvas, picture = Canvas(layout, story), _Picture(out, layout.size, index.fps, tick)
    sound = Sound(source, out, facts.begins_s) if source and index.pts is not None else None
    stands = max(1, round((index.duration_s - float(index.times_s[-1])) / tick))  # the last frame
    ends = [*ticks[1:], ticks[-1] + stands]
    reader, written = readers_for(index, "av")[0](index), -1
    try:
        for fetched in reader.frames(range(index.num_frames)):
            if fetched.place <= written:  # a reader that doubts begins again; what was shown until then stays
                continue
            written = fetched.place
            time_s = float(index.times_s[written])
            if sound:
                sound.until(float(ticks[written] * tick))
            pixels = canvas.drawn(scale.applied(fetched.pixels), time_s)
            picture.write(pixels, ticks[written], ends[written] - ticks[written])
            tell(written + 1, index.num_frames)
    finally:
        reader.close()
    picture.finish()
    if sound:
        sound.until(math.inf)
    if source and source.streams.audio and not sound:
        return ["its sound was left out: time stamps are missing or begin anew"]
    return sound.notes if sound else []


def _facts(source: "InputContainer | None") -> Facts:
    import av

    if source is None:
        return Facts(FINE_TICK, 0.0)
    stream: VideoStream = next(stream for stream in source.streams.video if stream.codec_context.options)
    begins_s = max(0.0, (source.start_time or 0) / av.time_base)
    return Facts(stream.time_base or FINE_TICK, begins_s)


def _stamps(index: VideoIndex, facts: Facts) -> tuple[Fraction, list[int]]:
    """When frames are shown, strictly ascending, in which ticks: the file's own stamps wherever they serve."""
    if index.pts is not None:
        origin = round(Fraction(facts.begins_s) / facts.tick)
        ticks = [int(stamp) - origin for stamp in index.pts]
        if all(one < other for one, other in pairwise(ticks)):
            return facts.tick, ticks
    ticks = []
    for time_s in index.times_s:
        ticks.append(max(round(float(time_s) / FINE_TICK), ticks[-1] + 1 if ticks else 0))
    return FINE_TICK, ticks


@dataclass(frozen=True)
class _Scale:
    """How upright frames become pictures with square pixels, wide enough for words.

    Attributes:
        size: width and height of the picture.
        times: how often each pixel is repeated where the frame is small; 0: it is resampled.
    """

    size: tuple[int, int]
    times: int

    @classmethod
    def of(cls, index: VideoIndex) -> "_Scale":
        width, height, stretched = index.width, index.height, index.stretched
        if index.orientation.transpose:
            width, height = height, width
        square = (round(width * stretched), height) if stretched > 1 else (width, round(height / stretched))
        if square[0] * square[1] > MAX_VIDEO_PIXELS:
            square = (width, height)
        times = max(1, math.ceil(LEAST_WIDTH / square[0]))
        if times * times * square[0] * square[1] > MAX_VIDEO_PIXELS:
            times = 1
        return cls((times * square[0], times * square[1]), times if square == (width, height) else 0)

    def applied(self, pixels: "NDArray[np.uint8]") -> "NDArray[np.uint8]":
        """`(h, w, 3)` -> `(H, W, 3)`."""
        import numpy as np
        from PIL import Image

        if self.times == 1:
            return pixels
        if self.times:
            return pixels.repeat(self.times, 0).repeat(self.times, 1)
        return np.asarray(Image.fromarray(pixels).resize(self.size, Image.Resampling.BICUBIC))


class _Picture:
    """The stream of pictures of what is written: H.264 that all players take, with stamps as they are given."""

    def __init__(self, out: "OutputContainer", size: tuple[int, int], fps: float, tick: Fraction) -> None:
        self._out, self._tick = out, tick
        rate = Fraction(min(max(fps, 1.0), 1000.0)).limit_denominator(1001)
        stream: Any = out.add_stream("libx264", rate=rate, options=X264)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        codec = stream.codec_context
        codec.time_base = tick
        codec.thread_count = min(MOST_THREADS, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)
        # ITU-T H.273: BT.709, in the range of television. What is not said, players guess by the size.
        codec.color_primaries = codec.color_trc = codec.colorspace = codec.color_range = 1
        self._stream = stream
        self._durations: dict[int, int] = {}  # of frames in the encoder

    def write(self, pixels: "NDArray[np.uint8]", stamp: int, duration: int) -> None:
        """Writes one picture, `(H, W, 3)`."""
        import av

        with MemoryWatch():
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
                format="yuv420p", dst_colorspace="ITU709", threads=1
            )
        frame.pts, frame.time_base = stamp, self._tick
        self._durations[stamp] = duration
        self._mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Writes what the encoder still has."""
        self._mux(self._stream.encode(None))

    def _mux(self, packets: Any) -> None:
        for packet in packets:
            packet.duration = self._durations.pop(packet.pts, 0)
            self._out.mux(packet)
