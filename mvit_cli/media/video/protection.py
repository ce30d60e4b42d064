"""Whether an MP4 file says that its video is encrypted: some say it in the sample description alone, and then FFmpeg
decodes what it finds."""

import struct
from collections.abc import Iterator
from typing import BinaryIO

from mvit_cli.media.guards import CheckedFile

# ISO/IEC 14496-12, 8.12; Apple's own.
ENCRYPTED_ENTRIES = frozenset({b"encv", b"drmi"})
_WAY = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
# Boxes of one level that are looked at.
MAX_BOXES = 1000


def is_protected(file: CheckedFile) -> bool:
    """Whether a track has encrypted samples only."""
    with file.open() as stream:
        size = stream.seek(0, 2)
        return any(entries and entries <= ENCRYPTED_ENTRIES for entries in _entries(stream, 0, size, _WAY))


def _entries(stream: BinaryIO, start: int, end: int, way: tuple[bytes, ...]) -> Iterator[set[bytes]]:
    """Yields the sample entries of each track (ISO/IEC 14496-12, 8.5.2)."""
    for kind, first, beyond in _boxes(stream, start, end):
        if way and kind == way[0]:
            yield from _entries(stream, first, beyond, way[1:])
        elif not way and kind == b"stsd":
            yield {entry for entry, *_ in _boxes(stream, first + 8, beyond)}


def _boxes(stream: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
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
