"""Animated WebP: which frames a file shows and when, read from its headers alone (RFC 9649)."""

from dataclasses import dataclass
from itertools import accumulate

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
    """

    width: int
    height: int
    starts_s: tuple[float, ...]
    duration_s: float


def animation_of(file: CheckedFile) -> Animation | None:
    """The animation that a file is; None for other files and for a WebP file of one picture.

    Raises:
        MediaError: unsupported, where a frame is too large.
    """
    head = file.head
    if not (head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and len(head) >= 30 and head[20] & ANIMATION_FLAG):
        return None
    durations_ms = _durations_ms(file.path)
    if len(durations_ms) < 2:
        return None
    width, height = (1 + int.from_bytes(head[start : start + 3], "little") for start in (24, 27))
    if width * height > MAX_VIDEO_PIXELS:
        raise MediaError(
            "unsupported",
            f"frames of {width} x {height}, more than {MAX_VIDEO_PIXELS / 1e6:.0f} million pixels",
            "scale the animation down",
        )
    *starts_ms, end_ms = accumulate(durations_ms, initial=0)
    return Animation(width, height, tuple(start / 1000 for start in starts_ms), end_ms / 1000)


def _durations_ms(path: str) -> list[int]:
    """How long each frame stands; a frame whose header is cut off counts no more."""
    found = []
    with open(path, "rb") as stream:
        stream.seek(_CHUNKS_AT)
        while len(header := stream.read(8)) == 8:
            behind = stream.tell() + int.from_bytes(header[4:], "little")
            if header[:4] == b"ANMF" and len(frame := stream.read(_FRAME_BYTES)) == _FRAME_BYTES:
                found.append(int.from_bytes(frame[12:15], "little") or UNSTATED_MS)
            stream.seek(behind + behind % 2)
    return found
