"""One pass over the packets of a video stream: which become frames, and what the first picture says of all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mvit_cli.media.video.bitstream import Pictures, is_proven_key
from mvit_cli.media.video.container import open_video, packets_of
from mvit_cli.media.video.orientation import Orientation, orientation_of

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

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
    """

    orientation: Orientation = field(default_factory=Orientation)
    colorspace: int = 2
    transfer: int = 2
    interlaced: bool = False


@dataclass
class Packets:
    """Packets that become frames, in decoding order, and what was odd about the others."""

    pts: list[int | None] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)
    is_key: list[bool] = field(default_factory=list)
    look: Look | None = None
    looks: int = 0
    hidden: int = 0
    damaged: int = 0
    empty: int = 0
    encrypted: bool = False
    begins_whole: bool = True
    false_keys: bool = False


def scan(container: InputContainer, stream: VideoStream) -> Packets:
    """Reads every packet of the stream; of the pictures only the first is decoded."""
    packets = Packets()
    # Transport streams mark whole packets as damaged after a gap; elsewhere the mark means cut short.
    keeps_damaged = bool({"mpegts", "mpeg"}.intersection(container.format.name.split(",")))
    pictures = Pictures(stream.codec_context)
    is_first = True
    for packet in packets_of(container, stream):
        if packet.size == 0:
            continue
        if packet.is_keyframe:
            _look_at_key(packet, stream, packets)
        if is_first:
            packets.begins_whole = packet.is_keyframe and not _is_false_key(packet, stream)
            packets.encrypted = packet.has_sidedata("encryption_info")
            is_first = False
        if packet.is_discard:
            packets.hidden += 1
            continue
        if not pictures.brings_one(packet):
            packets.empty += 1
            continue
        if packet.is_corrupt:
            packets.damaged += 1
            if not keeps_damaged:
                continue
        packets.pts.append(packet.pts)
        packets.durations.append(packet.duration or 0)
        packets.is_key.append(packet.is_keyframe)
    return packets


def _look_at_key(packet: Packet[VideoStream], stream: VideoStream, packets: Packets) -> None:
    if not packets.false_keys and not is_proven_key(packet, stream.codec_context):
        packets.false_keys = True
    if packets.look is None and packets.looks < FIRST_LOOKS:
        packets.looks += 1
        packets.look = _look(packet, stream)


def _is_false_key(packet: Packet[VideoStream], stream: VideoStream) -> bool:
    parsed = ("h264", "hevc", "mpeg4")
    return stream.codec_context.name in parsed and not is_proven_key(packet, stream.codec_context)


def _look(packet: Packet[VideoStream], stream: VideoStream) -> Look | None:
    import av

    codec = stream.codec_context
    try:
        frames = [*codec.decode(packet), *codec.decode(None)]
        codec.flush_buffers()
    except MemoryError:
        raise
    except (av.error.FFmpegError, EOFError):
        return None
    if not frames:
        return None
    first = frames[0]
    return Look(
        orientation_of(_display_matrix(first)),
        int(first.colorspace),
        int(first.color_trc),
        bool(first.interlaced_frame),
    )


def _display_matrix(frame: VideoFrame) -> bytes:
    from av.sidedata.sidedata import Type

    side_data: Any = frame.side_data  # a mapping by type, although it is declared as one by name
    data = side_data.get(Type.DISPLAYMATRIX)
    return b"" if data is None else bytes(data)


def first_shown(path: str, *, count_all: bool) -> tuple[int | None, int] | None:
    """Returns the time stamp of the first frame that a decoder shows by its defaults, and the frames it shows.

    It shows nothing before the first frame that is whole: what stands before it refers to frames that the file lacks.

    Args:
        path: of the file.
        count_all: whether to decode on after the first frame.

    Returns:
        None where nothing can be decoded; the count is 1 without `count_all`.
    """
    import av

    container, stream = open_video(path, only_whole=True)
    shown, first = 0, None
    try:
        for packet in packets_of(container, stream):
            try:
                frames = packet.decode()
            except MemoryError:
                raise
            except (av.error.FFmpegError, EOFError):
                continue
            if frames and not shown:
                first = frames[0].pts
            shown += len(frames)
            if shown and not count_all:
                break
    finally:
        container.close()
    return (first, shown) if shown else None
