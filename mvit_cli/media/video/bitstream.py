"""What the first bytes of a packet say without decoding it: whether it is a key frame in truth, and how many pictures
it brings. Containers are wrong about both."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext

AV1 = frozenset({"libdav1d", "libaom-av1", "av1"})
AV1_FRAMES = (3, 6)  # OBU_FRAME_HEADER, OBU_FRAME
# Bytes in which the first slice of a packet is looked for: parameter sets and messages stand before it.
SEARCHED_BYTES = 1 << 16


def is_proven_key(packet: "Packet[Any]", codec: "VideoCodecContext") -> bool:
    """Whether decoding can start at a packet, by its own bytes; false too for codecs that are not parsed here."""
    if codec.codec.intra_only:
        return True
    data = bytes(memoryview(packet)[:SEARCHED_BYTES])
    match codec.name:
        case "h264":
            return _h264_key(data, codec.extradata or b"")
        case "hevc":
            return _hevc_key(data, codec.extradata or b"")
        case "mpeg4":
            place = data.find(b"\0\0\1\xb6")
            return 0 <= place < len(data) - 4 and data[place + 4] >> 6 == 0
        case name if name in AV1:
            return _av1_key(data)
    return False


def closes_behind(first: bytes, second: bytes, codec: "VideoCodecContext") -> bool:
    """Whether nothing after the key frame that a stream begins with refers to what stood before it.

    Args:
        first: the stream's first packet.
        second: its second one.
        codec: of the stream.

    Source: ITU-T H.264 and H.265, tables 7-1: instantaneous decoding refresh. ISO/IEC 14496-2, 6.3.5, and 13818-2,
        6.3.9: a picture of type B behind the first one refers across it.
    """
    extradata = codec.extradata or b""
    match codec.name:
        case "h264":
            return any(unit[0] & 31 == 5 for unit in _nal_units(first, _length_bytes(extradata, 4)))
        case "hevc":
            return any(unit[0] >> 1 & 63 in (19, 20) for unit in _nal_units(first, _length_bytes(extradata, 21)))
        case "mpeg4":
            place = second.find(b"\0\0\1\xb6") + 4
            return place < 4 or second[place : place + 1] < b"\x80" or second[place : place + 1] >= b"\xc0"
        case "mpeg1video" | "mpeg2video":
            place = second.find(b"\0\0\1\0") + 5
            return place < 5 or place >= len(second) or second[place] >> 3 & 7 != 3
    return True


def _length_bytes(extradata: bytes, place: int) -> int:
    """The bytes of a unit's length (ISO/IEC 14496-15); 0 where start codes part units."""
    return (extradata[place] & 3) + 1 if len(extradata) > place and extradata[0] == 1 else 0


def _h264_key(data: bytes, extradata: bytes) -> bool:
    """ITU-T H.264, 7.3.1: the first slice is of an IDR picture, or intra (7.4.3, slice_type)."""
    for unit in _nal_units(data, _length_bytes(extradata, 4)):
        kind = unit[0] & 31
        if kind == 5:
            return True
        if kind == 1:
            bits = _Bits(unit[1:16])
            bits.exp_golomb()  # first_mb_in_slice
            return bits.exp_golomb() % 5 in (2, 4)
    return False


def _hevc_key(data: bytes, extradata: bytes) -> bool:
    """ITU-T H.265, table 7-1: the first slice is of an intra random access point."""
    kinds = (unit[0] >> 1 & 63 for unit in _nal_units(data, _length_bytes(extradata, 21)))
    return next((16 <= kind <= 23 for kind in kinds if kind < 32), False)


def _av1_key(data: bytes) -> bool:
    """AV1 specification, 5.9.2: the first frame header shows a new frame of the type KEY_FRAME."""
    return next((header[0] >> 5 == 0 for kind, header in _av1_units(data) if kind in AV1_FRAMES and header), False)


def _shows_av1_frame(data: bytes) -> bool:
    """AV1 specification, 5.9.2: show_existing_frame, or show_frame; a reduced still picture (5.5.1) has neither."""
    for kind, unit in _av1_units(data):
        if not unit and kind not in (2, 15):  # damaged: only a delimiter and padding may be empty
            return True
        if (kind == 1 and unit[0] & 0x08) or (kind in AV1_FRAMES and unit[0] & 0x90):
            return True
    return False


def _av1_units(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields the kind of each unit of a packet and its first bytes (AV1 specification, 5.3)."""
    at = 0
    while at < len(data):
        header = data[at]
        at += 2 if header & 4 else 1
        size = len(data) - at
        if header & 2:
            size, shift = 0, 0
            while at < len(data):
                byte = data[at]
                at += 1
                size |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
        yield header >> 3 & 15, data[at : at + min(size, 16)]
        at += size


def _nal_units(data: bytes, length_bytes: int) -> Iterator[bytes]:
    """Yields the units of a packet, each from its header on; `length_bytes` is 0 where start codes part them."""
    at = 0
    while length_bytes and at + length_bytes < len(data):
        size = int.from_bytes(data[at : at + length_bytes], "big")
        at += length_bytes
        if size:
            yield data[at : at + size]
        at += size
    while not length_bytes and (at := data.find(b"\0\0\1", at)) >= 0 and (at := at + 3) < len(data):
        yield data[at : at + 16]


class Pictures:
    """Counts the pictures that packets bring, in decoding order: some bring none, and the earlier picture stands."""

    def __init__(self, codec: "VideoCodecContext") -> None:
        self._codec = codec.name
        self._extradata = codec.extradata or b""
        self._time_bits = _vop_time_bits(self._extradata)
        self._packed = 0

    def brings_one(self, packet: "Packet[Any]") -> bool:
        """Whether a frame of the file belongs to a packet."""
        match self._codec:
            case "vp8" | "libvpx":
                return bool(memoryview(packet)[0] & 0x10)  # RFC 6386, section 9.1: show_frame
            case "vp9" | "libvpx-vp9":
                return _shows_vp9_frame(bytes(packet))
            case "mpeg4":
                return self._shows_vop(bytes(packet))
            case name if name in AV1:
                return _shows_av1_frame(bytes(memoryview(packet)))
            case "h264":
                return not self._is_of_units(packet, 4, _is_h264_message)
            case "hevc":
                return not self._is_of_units(packet, 21, _is_hevc_message)
            case (
                "mpeg1video" | "mpeg2video"
            ):  # ISO/IEC 13818-2, 6.2.3; sequence header, user data, extension, end, group
                data = bytes(memoryview(packet)[:SEARCHED_BYTES])
                return data[:3] != b"\0\0\1" or data[3] not in b"\xb2\xb3\xb5\xb7\xb8" or b"\0\0\1\0" in data
        return True

    def _is_of_units(self, packet: "Packet[Any]", place: int, is_message: Callable[[int], bool]) -> bool:
        """Whether there are units and all are of one sort; what is damaged is of none, and the decoder will tell."""
        if packet.size > SEARCHED_BYTES:
            return False
        units = _nal_units(bytes(packet), _length_bytes(self._extradata, place))
        first = next(units, None)
        return first is not None and is_message(first[0]) and all(is_message(unit[0]) for unit in units)

    def _shows_vop(self, data: bytes) -> bool:
        """ISO/IEC 14496-2, 6.2.5: vop_coded. Where two pictures were packed into one packet (as DivX does in AVI), a
        packet that is not coded stands for the second of them."""
        headers = data[: max(0, data.find(b"\0\0\1\xb6"))]
        self._time_bits = _vop_time_bits(headers) or self._time_bits
        coded, found, at = 0, 0, 0
        while (at := data.find(b"\0\0\1\xb6", at)) >= 0:
            at += 4
            found += 1
            coded += self._is_coded(data[at : at + 16])
        if not found or not self._time_bits:
            return True  # damaged, or the header is elsewhere: the decoder will tell
        self._packed += max(0, coded - 1)
        if coded:
            return True
        self._packed -= 1
        if self._packed >= 0:
            return True
        self._packed = 0
        return False

    def _is_coded(self, header: bytes) -> bool:
        bits = _Bits(header)
        bits.take(2)
        while bits.take(1):  # modulo_time_base
            pass
        bits.take(1 + self._time_bits + 1)
        return bool(bits.take(1))


def _is_h264_message(header: int) -> bool:
    """ITU-T H.264, table 7-1 and 7.4.1: parameter sets, which are referred to; messages and marks, which are not."""
    return (header & 0x9F in (7, 8) and header & 0x60 > 0) or header in (6, 9, 10, 11, 12)


def _is_mpeg_header(data: bytes) -> bool:
    """ISO/IEC 13818-2, table 6-1: headers of a sequence or a group, with extensions and user data, and no picture."""
    return (
        data[:3] == b"\0\0\1" and data[3:4] in (b"\xb2", b"\xb3", b"\xb5", b"\xb7", b"\xb8") and b"\0\0\1\0" not in data
    )


def _is_hevc_message(header: int) -> bool:
    """ITU-T H.265, table 7-1: parameter sets, marks and messages, of the base layer."""
    return header & 0x81 == 0 and 32 <= header >> 1 <= 40


def _vop_time_bits(data: bytes) -> int:
    """The width of vop_time_increment that a video object layer states; 0 without one.

    Source: ISO/IEC 14496-2, 6.2.3.
    """
    at = next((at for number in range(16) if (at := data.find(bytes((0, 0, 1, 0x20 + number)))) >= 0), -1)
    if at < 0:
        return 0
    bits = _Bits(data[at + 4 : at + 64])
    bits.take(1 + 8)  # random_accessible_vol, video_object_type_indication
    if bits.take(1):  # is_object_layer_identifier
        bits.take(4 + 3)
    if bits.take(4) == 15:  # aspect_ratio_info: extended_PAR
        bits.take(16)
    if bits.take(1):  # vol_control_parameters
        bits.take(2 + 1)
        if bits.take(1):  # vbv_parameters
            bits.take(79)
    if bits.take(2):  # not rectangular
        return 0
    bits.take(1)
    return max(1, (bits.take(16) - 1).bit_length())


def _shows_vp9_frame(data: bytes) -> bool:
    """VP9 bitstream specification, 6.2 and annex B: show_frame; a superframe ends in a frame that is shown."""
    if not data or data[-1] & 0xE0 == 0xC0:
        return True
    bits = _Bits(data[:2])
    bits.take(2)  # frame_marker
    if bits.take(1) | bits.take(1) << 1 == 3:  # profile
        bits.take(1)
    if bits.take(1):  # show_existing_frame
        return True
    bits.take(1)  # frame_type
    return bool(bits.take(1))


class _Bits:
    """Reads bits from the most significant on; zeros after the end."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        self._left -= count
        return (self._value >> self._left if self._left >= 0 else 0) & ((1 << count) - 1)

    def exp_golomb(self) -> int:
        zeros = 0
        while self._left > 0 and not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)
