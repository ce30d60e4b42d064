"""Whether an MP4 file says that its video is encrypted: some say it in the sample description alone, and then FFmpeg
decodes what it finds."""

from collections.abc import Iterator
from typing import BinaryIO

from mvit_cli.media.guards import CheckedFile
from mvit_cli.media.video.boxes import boxes

# ISO/IEC 14496-12, 8.12; Apple's own.
ENCRYPTED_ENTRIES = frozenset({b"encv", b"drmi"})
_WAY = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


def is_protected(file: CheckedFile) -> bool:
    """Whether a track has encrypted samples only."""
    with file.open() as stream:
        size = stream.seek(0, 2)
        return any(entries and entries <= ENCRYPTED_ENTRIES for entries in _entries(stream, 0, size, _WAY))


def _entries(stream: BinaryIO, start: int, end: int, way: tuple[bytes, ...]) -> Iterator[set[bytes]]:
    """Yields the sample entries of each track (ISO/IEC 14496-12, 8.5.2)."""
    for kind, first, beyond in boxes(stream, start, end):
        if way and kind == way[0]:
            yield from _entries(stream, first, beyond, way[1:])
        elif not way and kind == b"stsd":
            yield {entry for entry, *_ in boxes(stream, first + 8, beyond)}
