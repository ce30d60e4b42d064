"""Animated WebP: which frames a file shows and when, read from its headers alone (RFC 9649)."""

import io
import os
from dataclasses import dataclass
from itertools import accumulate
from typing import BinaryIO

from mvit_cli.errors import MediaError
from mvit_cli.media.guards import MAX_VIDEO_PIXELS, CheckedFile

# A frame that states no time stands for this, as in browsers and as FFmpeg has it for GIF.
UNSTATED_MS = 100
ANIMATION_FLAG = 0x02
_CHUNKS_AT = 12
_FRAME_BYTES = 16


@dataclass(frozen=True)
class Animation:
    """What the headers of an animation say.

    Attributes:
        width: pixels of the canvas.
        height: pixels of the canvas.
        starts_s: when each frame appears, ascending, the first at 0.
        duration_s: end of the last frame.
        warning: a sentence where the file is cut short; else empty.
    """

    width: int
    height: int
    starts_s: tuple[float, ...]
    duration_s: float
    warning: str


def animation_of(file: CheckedFile) -> Animation | None:
    """The animation that a file is; None for other files and for a WebP file of one picture.

    Raises:
        MediaError: unsupported, where a frame is too large; decode, where the file ends within the first.
    """
    head = file.head
    if not (head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and len(head) >= 30 and head[20] & ANIMATION_FLAG):
        return None
    durations_ms, _, warning = _whole_frames(file)
    if warning and not durations_ms:
        raise MediaError("decode", "the animation is cut short within its first frame", "copy or download it again")
    if len(durations_ms) < 2 and not warning:
        return None
    width, height = (1 + int.from_bytes(head[start : start + 3], "little") for start in (24, 27))
    if width * height > MAX_VIDEO_PIXELS:
        raise MediaError(
            "unsupported",
            f"frames of {width} x {height}, more than {MAX_VIDEO_PIXELS / 1e6:.0f} million pixels",
            "scale the animation down",
        )
    *starts_ms, end_ms = accumulate(durations_ms, initial=0)
    return Animation(width, height, tuple(start / 1000 for start in starts_ms), end_ms / 1000, warning)


def opened_whole(file: CheckedFile) -> str | BinaryIO:
    """What Pillow is to open: the file, or where it is cut short its whole frames as a file of their own."""
    _, end, warning = _whole_frames(file)
    if not warning:
        return file.opens
    with file.open() as stream:
        data = bytearray(stream.read(end))
    data[4:8] = (end - 8).to_bytes(4, "little")  # libwebp gives nothing of a file that announces more than it has
    return io.BytesIO(data)


def _whole_frames(file: CheckedFile) -> tuple[list[int], int, str]:
    """How long each whole frame stands, the place behind the last one, and a warning if more was announced."""
    found, end = [], _CHUNKS_AT
    with file.open() as stream:
        held = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        announced = 8 + int.from_bytes(stream.read(8)[4:], "little")
        stream.seek(_CHUNKS_AT)
        while stream.tell() < min(announced, held) and len(header := stream.read(8)) == 8:
            behind = stream.tell() + int.from_bytes(header[4:], "little")
            if behind > held:
                break
            if header[:4] == b"ANMF" and len(frame := stream.read(_FRAME_BYTES)) == _FRAME_BYTES:
                found.append(int.from_bytes(frame[12:15], "little") or UNSTATED_MS)
            end = min(behind + behind % 2, held)
            stream.seek(end)
    if announced <= held:
        return found, end, ""
    missing = f"the file announces {announced:,} bytes and has {held:,}"
    return found, end, f"{missing}: its {len(found)} whole frames were taken"
