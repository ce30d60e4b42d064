"""What is checked of a file before any decoder sees it."""

import errno
import os
import re
import stat
from dataclasses import dataclass
from typing import BinaryIO

from mvit_cli.errors import MediaError, at_most
from mvit_cli.media.content import Content

# 8K (7680x4320) and spherical 8K (8192x4096) pass. A few hundred kilobytes can claim far larger frames.
MAX_VIDEO_PIXELS = 8192 * 4352

# What decoding one file may take.
MEMORY_BYTES = 4 << 30

HEAD_BYTES = 4096
# Of a library's message in ours.
MOST_LETTERS = 200
NAME_VIDEOS = "name the video files themselves"
# Scripts that name other files or addresses: FFmpeg would follow them.
PLAYLISTS = ((b"#EXTM3U", "an HLS playlist"), (b"ffconcat", "an ffconcat script"), (b"[playlist]", "a PLS playlist"))


@dataclass(frozen=True)
class CheckedFile:
    """A regular, non-empty file that is no playlist.

    Attributes:
        path: absolute; of a content its name.
        head: its first bytes, `HEAD_BYTES` at most.
        content: what it is read from, where it is no file of this machine by itself.
    """

    path: str
    head: bytes
    content: Content | None = None

    def open(self) -> BinaryIO:
        """Its bytes, to be closed."""
        return self.content.open() if self.content else open(self.path, "rb")

    @property
    def opens(self) -> str | BinaryIO:
        """What libraries open: its path where it has one."""
        return self.open() if self.content else self.path


def check_file(path: str | CheckedFile) -> CheckedFile:
    """Looks at a file before any decoder does; once for all of them: what has been checked comes back as it is.

    Raises:
        MediaError: not_found, unsupported or empty.
    """
    if isinstance(path, CheckedFile):
        return path
    # Absolute: FFmpeg reads "a:b.mp4" and "concat:..." as protocols.
    absolute = os.path.abspath(path)
    try:
        status = os.stat(absolute)
        if not stat.S_ISREG(status.st_mode):
            what = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or device"
            raise MediaError("unsupported", f"{what}, not a file", "name a video or image file")
        if status.st_size == 0:
            raise MediaError("empty", "the file is empty (0 bytes)", "copy or download it again")
        with open(absolute, "rb") as file:
            head = file.read(HEAD_BYTES)
    except FileNotFoundError as error:
        raise MediaError("not_found", "no such file", "check the path") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the name
        if is_no_fault_of_the_file(error):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise MediaError(
            "not_found", f"the file cannot be opened: {reason}", "check the path and its permissions"
        ) from error
    refuse_playlist(head)
    return CheckedFile(absolute, head)


def check_content(content: Content) -> CheckedFile:
    """Looks at a content as `check_file` does at a file.

    Raises:
        MediaError: unsupported or empty.
    """
    if content.size == 0:
        raise MediaError("empty", "the file is empty (0 bytes)", "copy or download it again")
    head = content.read_at(0, HEAD_BYTES)
    refuse_playlist(head)
    return CheckedFile(content.name, head, content)


def is_no_fault_of_the_file(error: BaseException) -> bool:
    """Whether this process has no file descriptor or memory left, whatever file it asked for."""
    return getattr(error, "errno", None) in (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


def words_of(error: Exception) -> str:
    """What an exception of a library says, in a line for people: no path, no object of Python, no word in halves."""
    text = getattr(error, "strerror", None) or next(iter(str(error).strip().splitlines()), "")
    return at_most(re.sub(r"<[^<>]*(<[^<>]*>[^<>]*)*>", "a file", str(text))) or type(error).__name__


def refuse_playlist(head: bytes) -> None:
    """Raises MediaError where a file only names other files."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for mark, what in PLAYLISTS:
        if start[: len(mark)].lower() == mark.lower():
            raise MediaError("unsupported", f"{what}, not a video", NAME_VIDEOS)
    if start.startswith(b"<") and b"<MPD" in start:
        raise MediaError("unsupported", "a DASH manifest, not a video", NAME_VIDEOS)
