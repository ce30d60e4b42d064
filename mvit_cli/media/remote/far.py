"""What an address leads to, as a content: by blocks where its parts can be asked for, else as a bounded copy."""

import posixpath
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import IO, Any, TypeVar
from urllib.parse import unquote

from mvit_cli.addresses import scheme_of
from mvit_cli.media.content import PIECE_BYTES, Content, ReadAt, check_copy_size, copied
from mvit_cli.media.remote.drivers import WEB, driver, explained, tries_again, why_no_driver
from mvit_cli.media.remote.http import HttpFile
from mvit_cli.media.remote.patience import ATTEMPTS, Patience

BLOCK_BYTES = 1 << 18
LISTED_BYTES = 1 << 14
"""A block of an archive that is listed: of a large member only its header is wanted."""
KEPT_BYTES = 32 << 20
"""Of one file, in memory."""
AHEAD_BYTES = 1 << 20
"""What one question asks for at most."""
NO_SIZE = "its driver does not tell how large it is"

T = TypeVar("T")


@contextmanager
def opened_address(address: str, limit_s: float, block_bytes: int = 0) -> Iterator[Content]:
    """Gives what an address leads to.

    Args:
        limit_s: seconds that all of it may take.
        block_bytes: what is asked for at least; 0: `BLOCK_BYTES`.

    Raises:
        MediaError: it is not there, may not be read, or does not answer.
    """
    if wrong := why_no_driver(scheme_of(address)):
        raise wrong
    with ExitStack() as held:
        opened = _of_web if scheme_of(address) in WEB else _of_driver
        yield opened(address, Patience(limit_s), held, block_bytes or BLOCK_BYTES)


def _of_web(address: str, patience: Patience, held: ExitStack, block_bytes: int) -> Content:
    file = held.enter_context(closing(HttpFile(address, patience)))
    first = file.begin(block_bytes)
    if first is None:
        return held.enter_context(copied(_name(address.partition("?")[0]), file.pour))
    return by_blocks(_name(address.partition("?")[0]), file.size, first, file.read_at, block_bytes)


def _of_driver(address: str, patience: Patience, held: ExitStack, block_bytes: int) -> Content:
    files, path = driver(address)
    stream: Any = tried(patience, lambda: files.open(path, "rb", cache_type="none"), address)
    held.callback(stream.close)
    size = getattr(stream, "size", None)
    if size is None:
        size = tried(patience, lambda: files.size(path), address)

    def read_at(start: int, count: int) -> bytes:
        def read() -> bytes:
            stream.seek(start)
            return bytes(stream.read(count))

        return tried(patience, read, address)

    def pour(file: IO[bytes]) -> None:
        while piece := tried(patience, lambda: stream.read(PIECE_BYTES), address):
            file.write(piece)
            check_copy_size(file.tell(), NO_SIZE)

    if size is None:
        return held.enter_context(copied(_name(path), pour))
    return by_blocks(_name(path), size, b"", read_at, block_bytes)


def tried(patience: Patience, action: Callable[[], T], address: str) -> T:
    """What a driver gives, with its failures in words of ours.

    Raises:
        MediaError: it failed for good.
    """

    def once() -> T:
        try:
            return action()
        except Exception as error:
            raise explained(error, address) from None

    return patience.tried(once, attempts=1 if tries_again(scheme_of(address)) else ATTEMPTS)


def by_blocks(name: str, size: int, first: bytes, read_at: ReadAt, block_bytes: int) -> Content:
    """A content that asks for whole blocks, and keeps those that were read last.

    Args:
        first: the bytes it begins with, as far as they are there.
    """
    from fsspec.caching import BlockCache

    def in_one(start: int, count: int) -> bytes:
        have = first[start : start + count]
        return have + read_at(start + len(have), count - len(have)) if len(have) < count else have

    ahead = _Ahead(in_one, size, first, block_bytes)
    blocks = BlockCache(block_bytes, ahead.fetch, size, KEPT_BYTES // block_bytes)
    return Content(name, size, lambda start, count: blocks._fetch(start, start + count), is_far=True, in_one=in_one)


class _Ahead:
    """Asks for twice as much each time where blocks are read in a row: a question costs more than its bytes."""

    def __init__(self, read_at: ReadAt, size: int, first: bytes, block_bytes: int) -> None:
        self._read_at, self._size, self._block_bytes = read_at, size, block_bytes
        self._start, self._data, self._count = 0, first, block_bytes

    def fetch(self, start: int, end: int) -> bytes:
        """A block of the file."""
        end = min(end, self._size)
        inside = start - self._start
        if not (inside >= 0 and end <= self._start + len(self._data)):
            in_a_row = inside == len(self._data) > 0
            self._count = max(self._block_bytes, min(2 * self._count, AHEAD_BYTES)) if in_a_row else self._block_bytes
            count = max(end - start, min(self._count, self._size - start))
            self._start, self._data, inside = start, self._read_at(start, count), 0
        return self._data[inside : inside + end - start]


def check_far(content: Content) -> None:
    """Refuses a content of which all must be read, where that is too much.

    Raises:
        MediaError: unsupported.
    """
    check_copy_size(content.size, "its format says where frames lie only if all of it is read")


def _name(path: str) -> str:
    return unquote(posixpath.basename(path.rstrip("/"))) or "file"
