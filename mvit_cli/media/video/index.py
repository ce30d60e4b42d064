"""What a video file holds, read from its packets: which frames will be shown, when, and where decoding can start."""

from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from mvit_cli.errors import MediaError
from mvit_cli.media.guards import MAX_VIDEO_PIXELS, CheckedFile, check_file
from mvit_cli.media.video.container import open_video, too_large
from mvit_cli.media.video.orientation import Orientation
from mvit_cli.media.video.packets import BEGINS_ANYWHERE, Look, Packets, beginning_of, scan
from mvit_cli.media.video.protection import is_protected
from mvit_cli.media.video.stamps import FALLBACK_FPS, TimeLine, frame_rate, plausible, time_line
from mvit_cli.media.video.webp import Animation, animation_of

if TYPE_CHECKING:
    import numpy as np
    from av.container import InputContainer
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

# A last frame that claims to stand longer is a damaged header, not a picture, unless the file's length agrees.
MAX_LAST_FRAME_S = 60.0
# A first frame that stands longer than this, and than all others together, has a stray time stamp.
MAX_FIRST_FRAME_S = 600.0
# Streams without a container: what stamps they have are counted by the demuxer, at 25 frames a second or what it
# knows by then.
ELEMENTARY = frozenset(
    {"h264", "hevc", "vvc", "evc", "m4v", "mpegvideo", "h263", "h261", "obu", "mjpeg", "dirac", "vc1", "cavsvideo"}
    | {"avs2", "avs3", "dnxhd"}
)
# Colour matrices (ITU-T H.273, table 4) that FFmpeg's scaler converts to RGB; it refuses all others.
CONVERTED_MATRICES = frozenset({0, 1, 2, 4, 5, 6, 7, 9})
MATRIX_NAMES = {
    3: "reserved (3)",
    8: "YCgCo",
    10: "BT.2020 constant luminance",
    11: "SMPTE ST 2085 (Y'D'zD'x)",
    12: "chromaticity-derived non-constant luminance",
    13: "chromaticity-derived constant luminance",
    14: "ICtCp",
    15: "IPT-C2",
    16: "YCgCo-Re",
    17: "YCgCo-Ro",
}
# Pixels stretched further than this are a damaged header.
MOST_STRETCHED = 4.0
# Decoders that neither mark key frames nor keep anything to themselves.
KEYS_UNTOLD = frozenset({"qtrle"})
TRANSFERS = {16: "PQ", 18: "HLG"}
# The container and codec of an animation that Pillow reads.
WEBP = "webp"


@dataclass(frozen=True, eq=False)
class VideoIndex:
    """The presentable frames of one video, in display order.

    Attributes:
        file: that it is of.
        container: FFmpeg's name of the format; WEBP for animated WebP.
        codec: FFmpeg's name of the decoder; WEBP for animated WebP.
        width: coded pixels; display turns them where the file says so.
        height: coded pixels.
        orientation: how coded pictures become upright.
        stretched: how much wider than high a pixel of an upright picture is shown.
        times_s: `(frames,)`, strictly ascending, the first 0.
        duration_s: end of the last frame.
        fps: frames a second where the rate is constant, else the most usual one.
        variable_rate: whether frames stand off the constant rate by half a frame or more.
        pts: `(frames,)` int64, ascending, in the stream's time base, repeats allowed; None where frames can only be
            counted.
        key_pts: time stamps of the key frames by the container's word, ascending, none of them repeated.
        begins_late: whether the file holds frames before the first one that can be decoded.
        decord_doubt: why decord would be wrong here; empty where nothing speaks against it.
        warnings: sentences on what is not as it should be.
    """

    file: CheckedFile
    container: str
    codec: str
    width: int
    height: int
    orientation: Orientation
    stretched: float
    times_s: "NDArray[np.float64]"
    duration_s: float
    fps: float
    variable_rate: bool
    pts: "NDArray[np.int64] | None"
    key_pts: "NDArray[np.int64]"
    begins_late: bool
    decord_doubt: str
    warnings: tuple[str, ...]

    @property
    def num_frames(self) -> int:
        return len(self.times_s)


def why_not_decord(index: VideoIndex) -> str | None:
    """The reason why decord's frames would not be this file's, or None where the index proves them right.

    decord counts hidden and damaged packets as frames, mixes the order of decoding with that of display after an open
    group of pictures, starts at the wrong key frame in containers without an index of their own, and believes key
    frames that are none.
    """
    return index.decord_doubt or None


def index_video(path: str | CheckedFile) -> VideoIndex:
    """Reads every packet of the video stream once, and decodes one picture; of animated WebP the headers alone.

    Raises:
        MediaError: not_found, unsupported, empty, decode.
    """
    file = check_file(path)
    if animation := animation_of(file):
        return _of_animation(file, animation)
    _refuse_giant_gif(file.head)
    container, stream = open_video(file)
    try:
        return _build(file, container, stream, scan(container, stream, file.content))
    finally:
        container.close()


def _build(file: CheckedFile, container: "InputContainer", stream: "VideoStream", packets: Packets) -> VideoIndex:
    import numpy as np

    _refuse(file, container, stream, packets)
    rates = rates_of(container, stream)
    line = _line(container, packets)
    left_out = _frames_left_out(file, stream, packets, line)
    look = packets.look or Look()
    refuse_colours(look)
    tick_s = float(stream.time_base or 0)
    ticks_s = np.arange(len(packets.pts)) / plausible(rates) if line is None else line.ticks * tick_s
    before_s = float(ticks_s[left_out] - ticks_s[0])
    times_s = ticks_s[left_out:] - ticks_s[left_out]
    pts = line.pts[left_out:] if line is not None and line.pts is not None else None
    fps, variable = frame_rate(times_s, rates)
    last_s = _last_frame_s(container, stream, packets, line, float(ticks_s[-1] - ticks_s[0]))
    duration_s = float(times_s[-1]) + (last_s or 1 / fps)
    stamps = Counter(packets.pts)
    keys = [
        pts for pts, key in zip(packets.pts, packets.is_key, strict=True) if key and pts is not None and stamps[pts] < 2
    ]
    notes = (
        _cut_short(_announced_s(container, stream), before_s + duration_s),
        _left_out(left_out, before_s),
        _stray_start(times_s),
        "" if rates or line else f"the stream states no rate: {FALLBACK_FPS:.0f} frames a second were assumed",
        look.orientation.warning,
        *_taken_as_it_is(look),
    )
    return VideoIndex(
        file=file,
        container=container.format.name,
        codec=stream.codec_context.name,
        width=stream.codec_context.width,
        height=stream.codec_context.height,
        orientation=look.orientation,
        stretched=_stretched(stream, look.orientation),
        times_s=times_s,
        duration_s=duration_s,
        fps=fps,
        variable_rate=variable,
        pts=pts,
        key_pts=np.array(sorted(keys), dtype=np.int64),
        begins_late=left_out > 0 or not packets.begins_whole,
        decord_doubt=_doubt_decord(file, container, stream, packets, look, pts),
        warnings=tuple(note for note in notes if note),
    )


def _stretched(stream: "VideoStream", orientation: Orientation) -> float:
    ratio = float(stream.sample_aspect_ratio or 1.0)
    if not 1 / MOST_STRETCHED <= ratio <= MOST_STRETCHED:
        return 1.0
    return 1 / ratio if orientation.transpose else ratio


def _of_animation(file: CheckedFile, animation: Animation) -> VideoIndex:
    import numpy as np

    times_s = np.array(animation.starts_s)
    fps, variable = frame_rate(times_s, [])
    return VideoIndex(
        file=file,
        container=WEBP,
        codec=WEBP,
        width=animation.width,
        height=animation.height,
        orientation=Orientation(),
        stretched=1.0,
        times_s=times_s,
        duration_s=animation.duration_s,
        fps=fps,
        variable_rate=variable,
        pts=None,
        key_pts=np.empty(0, np.int64),
        begins_late=False,
        decord_doubt="it does not read animated WebP",
        warnings=(animation.warning,) if animation.warning else (),
    )


def _refuse(file: CheckedFile, container: "InputContainer", stream: "VideoStream", packets: Packets) -> None:
    is_whole = packets.look is not None and not packets.look.damaged and packets.begins_whole
    is_whole &= stream.codec_context.name != "hevc"  # whose decoder makes pictures of anything without a word
    if packets.encrypted or ("mov" in container.format.name and not is_whole and is_protected(file)):
        raise MediaError("unsupported", "the video is encrypted", "decrypt it, or name a copy without protection")
    if not packets.pts:
        raise MediaError("empty", "the video stream holds no frame", "check that the file is whole")


def _refuse_giant_gif(head: bytes) -> None:
    """FFmpeg keeps the size to itself where it is beyond its own limit."""
    width, height = int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
    if head.startswith(b"GIF8") and width * height > MAX_VIDEO_PIXELS:
        raise too_large(width, height)


def refuse_colours(look: Look) -> None:
    """Raises MediaError where FFmpeg converts such colours to no RGB."""
    if look.colorspace not in CONVERTED_MATRICES:
        name = MATRIX_NAMES.get(look.colorspace, str(look.colorspace))
        raise MediaError(
            "unsupported", f"its colour matrix {name} cannot be converted to RGB", "convert it to BT.709 first"
        )


def rates_of(container: "InputContainer", stream: "VideoStream") -> list[float]:
    """The frames a second that the file states, the most trusted first."""
    if ELEMENTARY.intersection(container.format.name.split(",")):
        return [float(rate) for rate in (stream.codec_context.framerate,) if rate]
    return [float(rate) for rate in (stream.average_rate, stream.guessed_rate) if rate]


def _line(container: "InputContainer", packets: Packets) -> TimeLine | None:
    formats = container.format.name.split(",")
    if ELEMENTARY.intersection(formats):
        return None
    # Streams that are cut out of a broadcast and joined again: elsewhere the stamps of decoding are made by FFmpeg.
    broadcast = bool({"mpegts", "mpeg"}.intersection(formats))
    anew = [
        number
        for number, (one, other) in enumerate(pairwise(packets.dts), 1)
        if broadcast and one is not None and other is not None and other < one
    ]
    line = time_line(packets.pts, wraps=broadcast, anew=anew)
    if line and "avi" in formats and not (packets.begins_whole and packets.begins_closed):
        return replace(line, pts=None)  # made of the order of decoding: no name of frames that may not be shown
    return line


def _frames_left_out(file: CheckedFile, stream: "VideoStream", packets: Packets, line: TimeLine | None) -> int:
    """How many frames, in display order, stand before the first one that can be decoded.

    Raises:
        MediaError: decode, where none can be.
    """
    pts = None if line is None else line.pts
    first_key = None if packets.first_key is None else packets.pts[packets.first_key]
    if packets.begins_whole and pts is None and packets.begins_closed:
        return 0
    if packets.begins_whole and pts is not None and (packets.hidden or first_key is None or first_key <= pts[0]):
        return 0
    from_key = stream.codec_context.name in BEGINS_ANYWHERE
    found = beginning_of(file, from_key=from_key, count_all=pts is None)
    if found is None or (from_key and packets.first_key is None):
        raise MediaError("decode", "no frame could be decoded", "check that the file plays elsewhere")
    packets.look = packets.look or found.look
    if pts is None or found.pts is None:
        return max(0, len(packets.pts) - found.frames)
    first = found.pts
    if stream.codec_context.name in KEYS_UNTOLD and first_key is not None:
        first = max(first, first_key)
    return min(int(pts.searchsorted(first)), len(packets.pts) - 1)


def _last_frame_s(
    container: "InputContainer",
    stream: "VideoStream",
    packets: Packets,
    line: TimeLine | None,
    last_s: float,
) -> float:
    """How long the last frame, which appears at `last_s` after the first, stands; 0 where nothing says it."""
    if line is None or line.pts is None:
        return 0.0
    stands_s = packets.durations[packets.pts.index(int(line.pts[-1]))] * float(stream.time_base or 0)
    if stands_s <= MAX_LAST_FRAME_S:
        return max(0.0, stands_s)
    return stands_s if abs(_announced_s(container, stream) - last_s - stands_s) < 0.5 else 0.0


def _announced_s(container: "InputContainer", stream: "VideoStream") -> float:
    if stream.duration and stream.time_base:
        return stream.duration * float(stream.time_base)
    if container.duration and "matroska" in container.format.name:  # no length of its own for a stream
        return container.duration / 1e6
    return 0.0


def _cut_short(announced_s: float, duration_s: float) -> str:
    # Sound that goes on a little longer, and edit lists that start or end between frames, are no damage.
    if announced_s < 1.1 * duration_s + 0.5:
        return ""
    return f"the file announces {announced_s:.2f} s, but its frames end after {duration_s:.2f} s"


def _left_out(frames: int, seconds: float) -> str:
    if not frames:
        return ""
    return f"the first {seconds:.2f} s ({frames} frames) refer to frames before the file begins and were left out"


def _stray_start(times_s: "NDArray[np.float64]") -> str:
    if len(times_s) < 2 or times_s[1] <= max(MAX_FIRST_FRAME_S, times_s[-1] - times_s[1]):
        return ""
    return f"the first frame's time stamp lies {times_s[1] / 3600:.2f} h before all others and may be false"


def _taken_as_it_is(look: Look) -> list[str]:
    notes = (
        ["the video is interlaced: its frames were taken as they are, both fields in one"] if look.interlaced else []
    )
    if name := TRANSFERS.get(look.transfer):
        notes.append(f"the video is HDR ({name}): its colours were taken as they are, without tone mapping")
    return notes


def _doubt_decord(
    file: CheckedFile,
    container: "InputContainer",
    stream: "VideoStream",
    packets: Packets,
    look: Look,
    pts: "NDArray[np.int64] | None",
) -> str:
    """The first reason against decord, or "".

    Damage inside packets no index shows; there decord fails or is overheard. Of 240 damaged files of six codecs it gave
    frames of 13, all equal to PyAV's; of 40 in VP8 it gave 11 with other frames, and of VP9 some with shifted ones.
    """
    if file.content:
        return "it reads files of this machine, not members of archives or addresses"
    if not {"mov", "mp4", "matroska", "webm"}.intersection(container.format.name.split(",")):
        return f"it seeks wrongly in {container.format.name}"
    if stream.codec_context.name in ("vp8", "vp9"):
        return f"it hides damage in {stream.codec_context.name.upper()} streams, which the index cannot tell"
    if packets.hidden:
        return f"it counts {packets.hidden} hidden packets (an edit list) as frames"
    if packets.damaged:
        return f"{packets.damaged} packets are damaged"
    if packets.empty:
        return f"it counts {packets.empty} packets without a picture as frames"
    if pts is None or len(set(packets.pts)) < len(pts):
        return "time stamps are missing or repeated"
    if int(pts[-1]) >= 2**31:
        return "time stamps are larger than 31 bits"
    if stream.frames and stream.frames != len(pts):
        return f"the header announces {stream.frames} frames, the file holds {len(pts)}"
    if len(container.streams.video) > 1:
        return "it may pick another of the file's video streams"
    if not packets.begins_whole or len(pts) < len(packets.pts):
        return "the file does not start with a key frame"
    # It seeks by the container's table, which is not always what the packets say.
    if packets.false_keys or sum(entry.is_keyframe for entry in stream.index_entries) > sum(packets.is_key):
        return "the packets do not prove that its key frames are some"
    if look.orientation.mirrors or look.orientation.warning:
        return "it does not follow such a display matrix"
    if not look.orientation.is_identity and "mp4" not in container.format.name:
        return f"it does not turn pictures in {container.format.name}"
    if not _closed_groups(packets):
        return "frames refer across key frames (open groups of pictures)"
    try:
        file.path.encode()
    except UnicodeEncodeError:
        return "its name is not valid UTF-8"
    return ""


def _closed_groups(packets: Packets) -> bool:
    """Whether, at every key frame, all packets before it are also shown before it, and all after it after it."""
    import numpy as np

    pts = np.array(packets.pts, dtype=np.int64)
    keys = np.flatnonzero(packets.is_key)
    latest_before = np.maximum.accumulate(pts)
    earliest_from = np.minimum.accumulate(pts[::-1])[::-1]
    return bool(np.all(earliest_from[keys] >= pts[keys]) and np.all(latest_before[keys[1:] - 1] < pts[keys[1:]]))
