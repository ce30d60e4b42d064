"""What a video file holds, read from its packets: which frames will be shown, when, and where decoding can start."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mvit_cli.errors import MediaError
from mvit_cli.media.guards import check_file
from mvit_cli.media.video.container import open_video, packets_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

    from mvit_cli.media.guards import CheckedFile

# A last frame that claims to stand longer is a damaged header, not a picture.
MAX_LAST_FRAME_S = 60.0
FALLBACK_FPS = 25.0


@dataclass(frozen=True, eq=False)
class VideoIndex:
    """The presentable frames of one video, in display order.

    Attributes:
        path: absolute.
        container: FFmpeg's name of the format.
        codec: FFmpeg's name of the decoder.
        width: coded pixels; display turns them where the file says so.
        height: coded pixels.
        times_s: `(frames,)`, ascending, the first 0.
        duration_s: end of the last frame.
        fps: frames a second where the rate is constant, else the most usual one.
        variable_rate: whether frames stand off the constant rate by half a frame or more.
        pts: `(frames,)` int64, ascending, in the stream's time base; None where stamps are missing or repeated.
        key_pts: time stamps of the key frames, ascending.
        decord_doubt: why decord would be wrong here; empty where nothing speaks against it.
        cut_short: a sentence where the file ends well before its header says; empty else.
    """

    path: str
    container: str
    codec: str
    width: int
    height: int
    times_s: NDArray[np.float64]
    duration_s: float
    fps: float
    variable_rate: bool
    pts: NDArray[np.int64] | None
    key_pts: NDArray[np.int64]
    decord_doubt: str
    cut_short: str

    @property
    def num_frames(self) -> int:
        return len(self.times_s)


def why_not_decord(index: VideoIndex) -> str | None:
    """Returns the reason why decord's frames would not be this file's, or None where the index proves them right.

    decord counts hidden and damaged packets as frames, mixes the order of decoding with that of display after an open
    group of pictures, and starts at the wrong key frame in containers without an index of their own.
    """
    return index.decord_doubt or None


def index_video(path: str | CheckedFile) -> VideoIndex:
    """Reads every packet of the video stream once, without decoding.

    Raises:
        MediaError: not_found, unsupported, empty, decode.
    """
    file = check_file(path)
    container, stream = open_video(file.path)
    try:
        return _build(file.path, container, stream, _scan(container, stream))
    finally:
        container.close()


@dataclass
class _Packets:
    """Packets that become frames, in decoding order, and what was odd about the others."""

    pts: list[int | None] = field(default_factory=list)
    is_key: list[bool] = field(default_factory=list)
    last_duration: int = 0
    latest_pts: int | None = None
    hidden: int = 0
    damaged: int = 0


def _scan(container: InputContainer, stream: VideoStream) -> _Packets:
    packets = _Packets()
    # Transport streams mark whole packets as damaged after a gap; elsewhere the mark means cut short.
    keeps_damaged = bool({"mpegts", "mpeg"}.intersection(container.format.name.split(",")))
    shows = _SHOWS_FRAME.get(stream.codec_context.name)
    for packet in packets_of(container, stream):
        if packet.size == 0:
            continue
        if packet.is_discard or (shows is not None and not shows(packet)):
            packets.hidden += 1
            continue
        if packet.is_corrupt:
            packets.damaged += 1
            if not keeps_damaged:
                continue
        packets.pts.append(packet.pts)
        packets.is_key.append(packet.is_keyframe)
        if packet.pts is not None and (packets.latest_pts is None or packet.pts > packets.latest_pts):
            packets.latest_pts, packets.last_duration = packet.pts, packet.duration or 0
    return packets


def _shows_vp8_frame(packet: Packet[Any]) -> bool:
    """Alternate reference frames of VP8 are packets that are never shown (RFC 6386, section 9.1: show_frame)."""
    return bool(memoryview(packet)[0] & 0x10)


_SHOWS_FRAME: dict[str, Any] = {"vp8": _shows_vp8_frame, "libvpx": _shows_vp8_frame}


def _build(path: str, container: InputContainer, stream: VideoStream, packets: _Packets) -> VideoIndex:
    import numpy as np

    count = len(packets.pts)
    if not count:
        raise MediaError("empty", "the video stream holds no frame", "check that the file is whole")
    rates = [float(rate) for rate in (stream.average_rate, stream.guessed_rate) if rate]
    stamps = [pts for pts in packets.pts if pts is not None]
    pts = None
    if len(stamps) == count and len(set(stamps)) == count:
        pts = np.array(sorted(stamps), dtype=np.int64)
    if pts is None or stream.time_base is None:
        times_s = np.arange(count) / _plausible(rates)
    else:
        times_s = (pts - pts[0]) * float(stream.time_base)
    fps, variable = frame_rate(times_s, rates)
    last_s = packets.last_duration * float(stream.time_base or 0) if pts is not None else 0.0
    if not 0 < last_s <= MAX_LAST_FRAME_S:
        last_s = 1 / fps
    duration_s = float(times_s[-1]) + last_s
    keys = [stamp for stamp, key in zip(packets.pts, packets.is_key, strict=True) if key and stamp is not None]
    return VideoIndex(
        path=path,
        container=container.format.name,
        codec=stream.codec_context.name,
        width=stream.codec_context.width,
        height=stream.codec_context.height,
        times_s=times_s,
        duration_s=duration_s,
        fps=fps,
        variable_rate=variable,
        pts=pts,
        key_pts=np.array(sorted(keys), dtype=np.int64),
        decord_doubt=_doubt_decord(path, container, stream, packets, pts),
        cut_short=_cut_short(container, stream, duration_s),
    )


def _cut_short(container: InputContainer, stream: VideoStream, duration_s: float) -> str:
    announced_s = 0.0
    if stream.duration and stream.time_base:
        announced_s = stream.duration * float(stream.time_base)
    elif container.duration and "matroska" in container.format.name:  # no length of its own for a stream
        announced_s = container.duration / 1e6
    # Sound that goes on a little longer, and edit lists that start or end between frames, are no damage.
    if announced_s < 1.1 * duration_s + 0.5:
        return ""
    return f"the file announces {announced_s:.2f} s, but its frames end after {duration_s:.2f} s"


def frame_rate(times_s: NDArray[np.float64], announced: Sequence[float]) -> tuple[float, bool]:
    """Returns the frames a second and whether they vary.

    A rate is constant where every frame stands within half a frame of its place; then a rate that the file announces is
    taken where it drifts by less than a quarter of a frame over the file, because the measured one carries the rounding
    of the time stamps. Where the rate varies the median interval counts: a pause must not slow the rest down.

    Args:
        times_s: `(frames,)`, ascending, the first 0.
        announced: rates from the file's header, the most trusted first.
    """
    import numpy as np

    count = len(times_s)
    if count < 2 or times_s[-1] <= 0:
        return _plausible(announced), False
    measured = (count - 1) / float(times_s[-1])
    off = np.abs(times_s * measured - np.arange(count)).max()
    if off >= 0.5:
        steps = np.diff(times_s)
        return 1 / float(np.median(steps[steps > 0])), True
    for rate in announced:
        if abs(rate / measured - 1) * count < 0.25:
            return rate, False
    return measured, False


def _plausible(rates: Sequence[float]) -> float:
    return next((rate for rate in rates if 0.01 <= rate <= 1000), FALLBACK_FPS)


def _doubt_decord(
    path: str,
    container: InputContainer,
    stream: VideoStream,
    packets: _Packets,
    pts: NDArray[np.int64] | None,
) -> str:
    """Returns the first reason against decord, or "".

    Damage inside packets no index shows; there decord fails or is overheard. Of 240 damaged files of six codecs it gave
    frames of 13, all equal to PyAV's; of 40 in VP8 it gave 11 with other frames, and of VP9 some with shifted ones.
    """
    if not {"mov", "mp4", "matroska", "webm"}.intersection(container.format.name.split(",")):
        return f"it seeks wrongly in {container.format.name}"
    if stream.codec_context.name in ("vp8", "vp9"):
        return f"it hides damage in {stream.codec_context.name.upper()} streams, which the index cannot tell"
    if packets.hidden:
        return f"it counts {packets.hidden} hidden packets (an edit list) as frames"
    if packets.damaged:
        return f"{packets.damaged} packets are damaged"
    if pts is None:
        return "time stamps are missing or repeated"
    if int(pts[-1]) >= 2**31:
        return "time stamps are larger than 31 bits"
    if stream.frames and stream.frames != len(pts):
        return f"the header announces {stream.frames} frames, the file holds {len(pts)}"
    if len(container.streams.video) > 1:
        return "it may pick another of the file's video streams"
    if not packets.is_key[0]:
        return "the file does not start with a key frame"
    if not _closed_groups(packets):
        return "frames refer across key frames (open groups of pictures)"
    try:
        path.encode()
    except UnicodeEncodeError:
        return "its name is not valid UTF-8"
    return ""


def _closed_groups(packets: _Packets) -> bool:
    """Whether, at every key frame, all packets before it are also shown before it, and all after it after it."""
    import numpy as np

    pts = np.array(packets.pts, dtype=np.int64)
    keys = np.flatnonzero(packets.is_key)
    latest_before = np.maximum.accumulate(pts)
    earliest_from = np.minimum.accumulate(pts[::-1])[::-1]
    return bool(np.all(earliest_from[keys] >= pts[keys]) and np.all(latest_before[keys[1:] - 1] < pts[keys[1:]]))
