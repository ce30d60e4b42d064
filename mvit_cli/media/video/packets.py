"""One pass over the packets of a video stream: which become frames, and what the first picture says of all."""

from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from mvit_cli.media.content import Content
from mvit_cli.media.guards import CheckedFile
from mvit_cli.media.shortage import MemoryWatch
from mvit_cli.media.video.bitstream import Pictures, closes_behind, is_proven_key
from mvit_cli.media.video.container import open_video, packets_of
from mvit_cli.media.video.orientation import Orientation, orientation_of

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# Decoders that make pictures of a stream's middle without a word.
BEGINS_ANYWHERE = frozenset(
    {"mpeg4", "h263", "h263p", "flv", "msmpeg4", "msmpeg4v2", "msmpeg4v1", "wmv1", "wmv2", "vp6f", "rv10", "rv20"}
)
# Codecs whose packets in MP4 bring one frame each, as it should be.
SAID_BY_HEADER = frozenset(
    {"h264", "hevc", "vvc", "av1", "libdav1d", "libaom-av1", "vp9", "libvpx-vp9", "mjpeg", "prores", "dnxhd"}
)
SEEN_PACKETS = 4
# Key frames that may be damaged before one gives a first picture.
FIRST_LOOKS = 4


@dataclass(frozen=True)
class Look:
    """What the first picture says of the whole stream.

    Attributes:
        orientation: how it is shown.
        colorspace: number of the colour matrix (ITU-T H.273); 2 where it is not stated.
        transfer: number of the transfer characteristics (ITU-T H.273).
        interlaced: whether it is made of two fields.
        refers_back: whether it is predicted from a picture before it.
        damaged: whether the decoder concealed errors in it.
    """

    orientation: Orientation = field(default_factory=Orientation)
    colorspace: int = 2
    transfer: int = 2
    interlaced: bool = False
    refers_back: bool = False
    damaged: bool = False


@dataclass
class Packets:
    """Packets that become frames, in decoding order, and what was odd about the others."""

    pts: list[int | None] = field(default_factory=list)
    dts: list[int | None] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)
    is_key: list[bool] = field(default_factory=list)
    first_key: int | None = None
    look: Look | None = None
    looks: int = 0
    hidden: int = 0
    damaged: int = 0
    empty: int = 0
    encrypted: bool = False
    begins_whole: bool = True
    begins_closed: bool = True
    false_keys: bool = False


def scan(container: "InputContainer", stream: "VideoStream", content: Content | None = None) -> Packets:
    """Reads every packet of the stream; of the pictures only the first is decoded.

    Args:
        content: what the container reads. Where that is far, nothing of it is fetched after the first picture: stamps,
            durations and key frames stand in the header, and what packets themselves would say is taken for granted.
            The reader proves each key frame that it starts from.
    """
    with ExitStack() as blind:
        skips = content is not None and content.is_far and stream.codec_context.name in SAID_BY_HEADER
        return _scan(container, stream, content.nothing_fetched() if content and skips else None, blind)


def _scan(
    container: "InputContainer",
    stream: "VideoStream",
    nothing_fetched: AbstractContextManager[None] | None,
    blind: ExitStack,
) -> Packets:
    packets, sees = Packets(), True
    keys: set[int] = set()
    # Transport streams mark whole packets as damaged after a gap; elsewhere the mark means cut short.
    keeps_damaged = bool({"mpegts", "mpeg"}.intersection(container.format.name.split(",")))
    pictures = Pictures(stream.codec_context)
    is_first, first = True, b""
    for packet in packets_of(container, stream):
        if packet.size == 0:
            continue
        if packet.is_keyframe and sees:
            _look_at_key(packet, stream, packets)
        if is_first:
            packets.begins_whole = packets.look is not None and not packets.look.refers_back
            packets.begins_whole &= not _is_false_key(packet, stream)
            first = bytes(packet)
            packets.encrypted = packet.has_sidedata("encryption_info")
            is_first = False
        elif first:
            packets.begins_closed = closes_behind(first, bytes(packet), stream.codec_context)
            first = b""
        if packet.is_discard:
            packets.hidden += 1
            continue
        if sees and not pictures.brings_one(packet):
            packets.empty += 1
            continue
        if packet.is_corrupt:
            packets.damaged += 1
            if not keeps_damaged:
                continue
        # Of zeros the parser makes no key frame.
        is_key = packet.is_keyframe if sees else packet.pos in keys
        if packets.first_key is None and is_key and not (sees and _is_false_key(packet, stream)):
            packets.first_key = len(packets.pts)
        packets.pts.append(packet.pts)
        packets.dts.append(packet.dts)
        packets.durations.append(packet.duration or 0)
        packets.is_key.append(is_key)
        if sees and nothing_fetched and packets.look and len(packets.pts) == SEEN_PACKETS:
            blind.enter_context(nothing_fetched)
            sees, keys = False, {entry.pos for entry in stream.index_entries if entry.is_keyframe}
    return packets


def _look_at_key(packet: "Packet[VideoStream]", stream: "VideoStream", packets: Packets) -> None:
    if not packets.false_keys and not is_proven_key(packet, stream.codec_context):
        packets.false_keys = True
    if packets.look is None and packets.looks < FIRST_LOOKS:
        packets.looks += 1
        packets.look = _look(packet, stream)


def _is_false_key(packet: "Packet[VideoStream]", stream: "VideoStream") -> bool:
    parsed = ("h264", "hevc", "mpeg4")
    return stream.codec_context.name in parsed and not is_proven_key(packet, stream.codec_context)


def _look(packet: "Packet[VideoStream]", stream: "VideoStream") -> Look | None:
    import av

    codec = stream.codec_context
    # A frame that is hidden says as much as one that is shown, but the decoder keeps it to itself.
    whole: Packet[Any] = av.Packet(bytes(packet)) if packet.is_discard else packet
    try:
        with MemoryWatch():
            frames = [*codec.decode(whole), *codec.decode(None)]
            codec.flush_buffers()
    except MemoryError:
        raise
    except (av.error.FFmpegError, EOFError):
        return None
    return look_of(frames[0]) if frames else None


def look_of(frame: "VideoFrame") -> Look:
    """What a picture says of the whole stream."""
    from av.video.frame import PictureType

    return Look(
        orientation_of(_display_matrix(frame)),
        int(frame.colorspace),
        int(frame.color_trc),
        bool(frame.interlaced_frame),
        refers_back=frame.pict_type in (PictureType.P, PictureType.B),
        damaged=frame.is_corrupt,
    )


def _display_matrix(frame: "VideoFrame") -> bytes:
    from av.sidedata.sidedata import Type

    side_data: Any = frame.side_data  # a mapping by type, although it is declared as one by name
    data = side_data.get(Type.DISPLAYMATRIX)
    return b"" if data is None else bytes(data)


class Beginning(NamedTuple):
    """What a decoder shows of a file by its defaults.

    Attributes:
        pts: time stamp of the first frame.
        frames: how many it shows; 1 where only the first was asked for.
        look: what the first frame says of the whole stream.
    """

    pts: int | None
    frames: int
    look: Look


def beginning_of(file: CheckedFile, *, from_key: bool, count_all: bool) -> Beginning | None:
    """Decodes a file from its start up to the first frame that is shown; None where nothing can be decoded.

    By its defaults a decoder shows nothing before the first frame that is whole: what stands before it refers to frames
    that the file lacks.

    Args:
        file: that was checked.
        from_key: whether the decoder shows anything it can make up, so that only a key frame is known to be whole.
        count_all: whether to decode on after the first frame.
    """
    import av

    container, stream = open_video(file, only_whole=True)
    found: Beginning | None = None
    try:
        for packet in packets_of(container, stream):
            try:
                with MemoryWatch():
                    frames = packet.decode()
            except MemoryError:
                raise
            except (av.error.FFmpegError, EOFError):
                continue
            for frame in frames:
                if found:
                    found = found._replace(frames=found.frames + 1)
                elif frame.key_frame or not from_key:
                    found = Beginning(frame.pts, 1, look_of(frame))
            if found and not count_all:
                break
    finally:
        container.close()
    return found
