"""A stream from its packets to the ring of newest frames, in the process that decodes."""

import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mvit_cli.errors import MediaError
from mvit_cli.live.ring import Frame, Ring
from mvit_cli.live.stream_time import StreamTime
from mvit_cli.media.guards import MAX_VIDEO_PIXELS, words_of
from mvit_cli.media.request import DecodeRequest
from mvit_cli.media.transforms import crops_of
from mvit_cli.media.video.av_reader import rgb_of
from mvit_cli.media.video.container import ERROR_BUDGET, packets_of, too_large, video_stream_of
from mvit_cli.media.video.index import rates_of, refuse_colours
from mvit_cli.media.video.orientation import Orientation
from mvit_cli.media.video.packets import look_of
from mvit_cli.media.video.sampling import clip_span_s

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# Of weights that look at a whole video, where nobody says how long one is.
WHOLE_S = 4.0
# Demuxers that lead elsewhere, also where they were found by a device or an address.
REFUSED = frozenset({"concat", "hls", "dash", "lavfi", "sdp", "tee", "webvtt"})
# Of frames that are decoded late, one of so many is shown.
HURRY = 4
# Arrival times of packets that are still in the decoder.
IN_DECODER = 256


@dataclass(frozen=True)
class Told:
    """What is to be opened, as a worker is told it.

    Attributes:
        url: what FFmpeg opens; empty: the standard input of the program.
        format: the demuxer, None: found.
        options: of FFmpeg.
        request: protocol, clips and crops.
        span_s: seconds that a row shows; None: those of a clip.
        base_s: where the first frame stands on the time line of the stream.
        realtime: frames are let through when their time has come, as of a file that is played.
        behind_s: packets that came longer ago show that decoding falls behind: some are left out.
    """

    url: str
    format: str | None
    options: dict[str, str]
    request: DecodeRequest
    span_s: float | None = None
    base_s: float = 0.0
    realtime: bool = False
    behind_s: float = 0.5


def opened(told: Told) -> "tuple[InputContainer, VideoStream]":
    """The stream, open, with its video chosen.

    Raises:
        MediaError: why not; addresses do not stand in it.
    """
    import av

    lenient: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
    try:
        container = av.open(told.url, mode="r", format=told.format, options=dict(told.options), **lenient)
    except av.error.FFmpegError as error:
        raise _unopened(error) from error
    try:
        return container, video_stream_of(container, only_whole=True, refused=REFUSED)
    except BaseException:
        container.close()
        raise


def _unopened(error: Any) -> MediaError:
    import av

    if isinstance(error, av.error.InvalidDataError):
        return MediaError("decode", "what comes is no video that can be read", "check what sends it")
    if isinstance(error, av.error.FileNotFoundError | av.error.HTTPNotFoundError):
        return MediaError("not_found", "it is not there", "check the address")
    if error.errno == errno.EINVAL:
        return MediaError("unsupported", "no stream of a kind that is watched", "playlists are not: name the stream")
    return MediaError("not_found", f"it cannot be opened ({words_of(error)})", "check the address and what sends it")


def default_span_s(request: DecodeRequest, fps: float) -> float:
    """Seconds that a row shows where nobody says it: those of a clip."""
    span_s = clip_span_s(request.sampling, fps)
    return WHOLE_S if span_s is None else span_s


def paced(
    packets: "Iterator[Packet[VideoStream]]",
    now: Callable[[], float],
    sleep: Callable[[float], None],
    *,
    realtime: bool,
) -> "Iterator[tuple[Packet[VideoStream], float]]":
    """Yields packets with the time at which each came; those of a file that is played wait for theirs."""
    begin_s: float | None = None
    for packet in packets:
        stamp = packet.dts if packet.dts is not None else packet.pts
        if realtime and stamp is not None and packet.time_base:
            stamp_s = float(stamp * packet.time_base)
            begin_s = now() - stamp_s if begin_s is None else begin_s
            if (early_s := begin_s + stamp_s - now()) > 0:
                sleep(early_s)
        yield packet, now()


@dataclass
class Capture:
    """Decodes a stream into a ring.

    Attributes:
        told: what is watched.
        container: open.
        stream: its video.
        ring: the newest frames.
    """

    told: Told
    container: "InputContainer"
    stream: "VideoStream"
    ring: Ring = field(init=False)

    def __post_init__(self) -> None:
        rates = rates_of(self.container, self.stream)
        request = self.told.request
        span_s = self.told.span_s or default_span_s(request, rates[0] if rates else 25.0)
        self.ring = Ring(request, span_s, rates)
        self._time = StreamTime(self.told.base_s)
        self._orientation: Orientation | None = None
        self._size = (0, 0)
        self._arrived_s: dict[int | None, float] = {}
        self._failed = 0
        self._late = 0  # frames in a row

    def packets(self) -> "Iterator[Packet[VideoStream]]":
        """Yields the packets of the stream as they come."""
        yield from packets_of(self.container, self.stream)

    def take(
        self,
        packet: "Packet[VideoStream]",
        arrived_s: float,
        is_late: Callable[[float], bool] = lambda arrived_s: False,
    ) -> Iterator[Frame]:
        """Yields the frames that a packet completes, cropped.

        Args:
            arrived_s: when it came.
            is_late: of the time a frame came at: whether most such frames are left out, so that decoding catches up.

        Raises:
            MediaError: nothing can be decoded any more.
        """
        if len(self._arrived_s) > IN_DECODER:
            self._arrived_s.clear()
        self._arrived_s[packet.pts] = arrived_s
        for frame in self._decoded(packet):
            self._failed = 0
            came_s = self._arrived_s.pop(frame.pts, arrived_s)
            self._late = (self._late + 1) % HURRY if is_late(came_s) else 0
            if self._late:
                self.ring.drop(1)
            else:
                yield self._frame(frame, came_s)

    def finish(self) -> Iterator[Frame]:
        """Yields what the decoder still holds when no packet comes any more."""
        for frame in self._decoded(None):
            yield self._frame(frame, self._arrived_s.pop(frame.pts, max(self._arrived_s.values(), default=0.0)))

    def _decoded(self, packet: "Packet[VideoStream] | None") -> "list[VideoFrame]":
        import av

        try:
            return self.stream.codec_context.decode(packet)
        except EOFError:  # it was finished before
            return []
        except av.error.FFmpegError as error:
            self._failed += 1
            if self._failed > ERROR_BUDGET:
                raise MediaError("decode", f"its packets cannot be decoded ({words_of(error)})") from error
            return []

    def skip(self, count: int) -> None:
        """So many packets were left out: the decoder begins anew at the next key frame."""
        self.stream.codec_context.flush_buffers()
        self.ring.drop(count)

    def _frame(self, frame: "VideoFrame", arrived_s: float) -> Frame:
        if self._orientation is None:
            look = look_of(frame)
            refuse_colours(look)
            if frame.width * frame.height > MAX_VIDEO_PIXELS:
                raise too_large(frame.width, frame.height)
            self._orientation, self._size = look.orientation, (frame.width, frame.height)
        tick_s = self.stream.time_base  # of the last frames that a decoder gives out a frame has none of its own
        stamp_s = None if frame.pts is None or not tick_s else float(frame.pts * tick_s)
        pixels = rgb_of(frame, self._size, self._orientation)
        request = self.told.request
        return Frame(
            self._time.at(stamp_s, arrived_s), arrived_s, crops_of(pixels, request.transform, request.num_crops)
        )
