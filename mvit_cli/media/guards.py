"""What is checked of a file before any decoder sees it."""

import errno
import os
import re
import stat
from dataclasses import dataclass

from mvit_cli.errors import MediaError, at_most

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
        path: absolute.
        head: its first bytes, `HEAD_BYTES` at most.
    """

    path: str
    head: bytes


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
