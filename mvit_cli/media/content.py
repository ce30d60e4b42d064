"""Bytes that are no file by themselves: a member of an archive, a copy, what a server gives by parts."""

import io
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, BinaryIO, cast

from mvit_cli.errors import MediaError

MAX_COPY_BYTES = 2 << 30
"""What is copied at most of a file that cannot be read by parts."""
# Of a copy, so much is kept in memory.
SPOOLED_BYTES = 16 << 20
PIECE_BYTES = 1 << 22

ReadAt = Callable[[int, int], bytes]
"""Start and count -> those bytes, fewer at the end only."""


class Content:
    """What decoders open like a file, as often as they like.

    Args:
        name: the file's, whose suffix some formats are known by.
        size: bytes.
        read_at: gives some of them.
        is_far: whether each byte costs time, so that no more than needed is read.
        in_one: as `read_at`, for one who reads all of it.
    """

    def __init__(
        self, name: str, size: int, read_at: ReadAt, *, is_far: bool = False, in_one: ReadAt | None = None
    ) -> None:
        self.name, self.size, self.is_far = name, size, is_far
        self.in_one = in_one or read_at
        self.failure: Exception | None = None
        self._read_at = read_at
        self._is_blind = False

    def open(self) -> BinaryIO:
        """A stream with a position of its own, at the start."""
        return cast(BinaryIO, Stream(self))

    def read_at(self, start: int, count: int) -> bytes:
        """Some of the bytes, fewer at the end; zeros while nothing is fetched.

        Raises:
            MediaError: they cannot be had; kept as `failure`, since libraries take it for the end of the file.
        """
        count = max(0, min(count, self.size - start))
        if self._is_blind:
            return bytes(count)
        try:
            return self._read_at(start, count) if count else b""
        except Exception as error:
            self.failure = self.failure or error
            raise

    @contextmanager
    def nothing_fetched(self) -> Iterator[None]:
        """Within it all bytes read as zeros: for libraries that skip over what they do not need by reading it."""
        self._is_blind = True
        try:
            yield
        finally:
            self._is_blind = False

    def part(self, name: str, start: int, size: int) -> "Content":
        """A piece of it as a content of its own."""

        def in_one(at: int, count: int) -> bytes:
            return self.in_one(start + at, count)

        return Content(name, size, lambda at, count: self.read_at(start + at, count), is_far=self.is_far, in_one=in_one)


class Stream(io.RawIOBase):
    """A binary file over a content; `name` is that of the content."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self.name = content.name
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        base = {0: 0, 1: self._at, 2: self._content.size}[whence]
        if base + offset < 0:
            raise ValueError(f"a place before the start: {base + offset}")
        self._at = base + offset
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        count = self._content.size - self._at if size is None or size < 0 else size
        data = self._content.read_at(self._at, count)
        self._at += len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def of_file(name: str, file: IO[bytes], size: int) -> Content:
    """An open file of this machine as a content."""

    def read_at(start: int, count: int) -> bytes:
        file.seek(start)
        return file.read(count)

    return Content(name, size, read_at)


@contextmanager
def copied(name: str, pour: Callable[[IO[bytes]], None]) -> Iterator[Content]:
    """What is poured in, as a content; it has no name on the disk, and ends with this process whatever ends that.

    Args:
        pour: writes it.

    Raises:
        MediaError: there is no room for it.
    """
    with tempfile.SpooledTemporaryFile(max_size=SPOOLED_BYTES, prefix="mvit-") as file:
        try:
            pour(file)
        except OSError as error:
            if error.errno is None or isinstance(error, TimeoutError | ConnectionError):
                raise
            text = f"there is no room for a copy in {tempfile.gettempdir()}: {error.strerror}"
            raise MediaError("internal", text, "set TMPDIR to a folder with more room") from error
        yield of_file(name, file, file.tell())


def check_copy_size(size: int, why: str) -> None:
    """Refuses a copy that would be too large.

    Raises:
        MediaError: unsupported.
    """
    if size > MAX_COPY_BYTES:
        text = f"{why}, and {size / 1e9:.1f} GB are more than the {MAX_COPY_BYTES / 1e9:.1f} GB that are copied at most"
        raise MediaError("unsupported", text, "copy it to this machine and name the file")


def poured(content: Content) -> Callable[[IO[bytes]], None]:
    """Writes all of a content, piece by piece."""

    def pour(file: IO[bytes]) -> None:
        for start in range(0, content.size, PIECE_BYTES):
            file.write(content.in_one(start, min(PIECE_BYTES, content.size - start)))

    return pour
