"""What the user named -> the files to look at, one at a time, in a defined order.

    clip.mp4        itself, whatever its suffix
    folder          its videos and images, and those of its folders, by name; hidden ones and other files left out
    "clips/*.mp4"   what the shell would make of it
    @list.txt       a path a line: a file or a folder
    -               the same from standard input

Duplicates stay. What cannot be found or read is a source with an error, so that each input has its row.
"""

from __future__ import annotations

import glob
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mvit_cli.errors import MediaError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

# fmt: off
VIDEO_SUFFIXES = frozenset({
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".wmv", ".asf", ".flv", ".f4v", ".mpg", ".mpeg", ".m2v", ".vob",
    ".ts", ".m2ts", ".mts", ".3gp", ".3g2", ".ogv", ".ogg", ".gif", ".mxf", ".y4m", ".divx", ".h264", ".264", ".hevc",
    ".h265", ".265", ".rm", ".rmvb",
})
IMAGE_SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".jp2", ".j2k", ".ppm", ".pgm", ".heic",
    ".heif",
})
# fmt: on
MEDIA_SUFFIXES = VIDEO_SUFFIXES | IMAGE_SUFFIXES

CHUNK_BYTES = 1 << 16


@dataclass(frozen=True)
class Source:
    """One input: a path as the user named it, or as found below a folder named; with an error where it is none.

    Args:
        first_window: number of the first window that is wanted of it.
    """

    path: str
    error: MediaError | None = None
    first_window: int = 0


def iter_sources(names: Iterable[str], *, null_separated: bool = False, stdin: int | None = None) -> Iterator[Source]:
    """Yields the files that `names` stand for; reads ahead no further than one folder or one piece of a list.

    Args:
        names: files, folders, globs, `@list` or `-`.
        null_separated: paths of lists and standard input end with NUL instead of a line break.
        stdin: file descriptor of standard input.
    """
    end = b"\0" if null_separated else b"\n"
    for name in names:
        if name == "-":
            yield from _listed(stdin if stdin is not None else sys.stdin.fileno(), end)
        elif name.startswith("@"):
            yield from _list_file(name, end)
        elif not os.path.lexists(name) and glob.has_magic(name):
            yield from _matches(name)
        else:
            yield from _file_or_folder(name)


def _file_or_folder(name: str) -> Iterator[Source]:
    if "://" in name and not os.path.lexists(name):
        yield Source(name, MediaError("not_found", "addresses are not read", "download the file and name it"))
    elif os.path.isdir(name):
        found = False
        for source in _walk(name):
            found = True
            yield source
        if not found:
            yield Source(name, MediaError("not_found", "no video or image in this folder", "check the path"))
    elif os.path.lexists(name):
        yield Source(name)
    else:
        yield Source(name, MediaError("not_found", "no such file or folder", "check the path"))


def _walk(root: str) -> Iterator[Source]:
    """Yields the media below a folder; links to folders are followed unless they lead back to a folder above."""
    above: list[tuple[tuple[int, int], Iterator[tuple[str, bool]]]] = []
    folder: str | None = root
    while folder is not None or above:
        if folder is not None:
            try:
                here, entries = _entries(folder)
                if here not in (parent for parent, _ in above):
                    above.append((here, entries))
            except OSError as error:
                reason = f"the folder cannot be read: {error.strerror}"
                yield Source(folder, MediaError("not_found", reason, "check its permissions"))
            folder = None
            continue
        path, is_folder = next(above[-1][1], (None, False))
        if path is None:
            above.pop()
        elif is_folder:
            folder = path
        elif os.path.splitext(path)[1].lower() in MEDIA_SUFFIXES:
            yield Source(path)


def _entries(folder: str) -> tuple[tuple[int, int], Iterator[tuple[str, bool]]]:
    """Returns what identifies a folder, and its entries by name: path, whether it is a folder."""
    status = os.stat(folder)
    with os.scandir(folder) as entries:
        names = sorted((entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith("."))
    paths = ((os.path.join(folder, name), is_folder) for name, is_folder in names)
    return (status.st_dev, status.st_ino), paths


def _matches(pattern: str) -> Iterator[Source]:
    matches = sorted(glob.iglob(pattern, recursive=True))
    if not matches:
        yield Source(pattern, MediaError("not_found", "nothing matches this pattern", "check the path"))
    for match in matches:
        yield from _file_or_folder(match)


def _list_file(name: str, end: bytes) -> Iterator[Source]:
    try:
        descriptor = os.open(name[1:], os.O_RDONLY | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        yield Source(name, MediaError("not_found", f"the list cannot be read: {reason}", "check the path"))
        return
    try:
        found = False
        for source in _listed(descriptor, end, lambda error: Source(name, error)):
            found = True
            yield source
        if not found:
            yield Source(name, MediaError("not_found", "the list names no path", "put a path on each line"))
    finally:
        os.close(descriptor)


def _listed(descriptor: int, end: bytes, report: Callable[[MediaError], Source] | None = None) -> Iterator[Source]:
    """Yields what each path of a list stands for, as soon as its line is there.

    Read without Python's buffers: a thread that waits in a buffered read holds a lock that the program's end needs.
    """
    report = report or (lambda error: Source("-", error))
    rest = b""
    while True:
        try:
            piece = os.read(descriptor, CHUNK_BYTES)
        except OSError as error:
            yield report(MediaError("not_found", f"the list cannot be read: {error.strerror}", "name a text file"))
            return
        *lines, rest = (rest + piece).split(end)
        if not piece and rest:
            lines.append(rest)
        for line in lines:
            path = os.fsdecode(line.removesuffix(b"\r") if end == b"\n" else line)
            if path.strip():
                yield from _file_or_folder(path)
        if not piece:
            return
