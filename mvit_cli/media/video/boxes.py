"""The boxes of MP4 and QuickTime files (ISO/IEC 14496-12)."""

import struct
from collections.abc import Iterator
from typing import BinaryIO

# Boxes of one level that are looked at.
MAX_BOXES = 1000
_FIRST = frozenset({b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid"})


def header_tells_all(stream: BinaryIO, size: int) -> bool:
    """Whether the tables of a file say where all its frames are: an MP4 that is not in fragments (8.8.1, mvex)."""
    found = False
    for number, (kind, first, beyond) in enumerate(boxes(stream, 0, size)):
        if number == 0 and kind not in _FIRST:
            return False
        if kind == b"moof":
            return False
        if kind == b"moov":
            found = True
            if any(inner == b"mvex" for inner, *_ in boxes(stream, first, beyond)):
                return False
    return found


def boxes(stream: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yields the kind of each box between two places, and where its content begins and ends (4.2)."""
    for _ in range(MAX_BOXES):
        stream.seek(start)
        header = stream.read(16)
        if start + 8 > end or len(header) < 8:
            return
        size, kind = struct.unpack_from(">I4s", header)
        content = start + 8
        if size == 1 and len(header) == 16:
            (size,), content = struct.unpack_from(">Q", header, 8), start + 16
        beyond = end if size == 0 else start + size
        if not content <= beyond <= end:
            return
        yield kind, content, beyond
        start = beyond
