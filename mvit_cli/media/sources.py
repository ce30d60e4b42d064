"""What the user named -> the files to look at, one at a time, in a defined order.

    clip.mp4        itself, whatever its suffix
    folder          its videos and images, and those of its folders, by name; hidden ones and other files left out
    "clips/*.mp4"   what the shell would make of it; `**` comes to each real folder once, whatever links lead to it
    shard.tar       its videos and images, as it has them; shard.tar::clip.mp4 is one of them. So of .zip
    https://...     itself; s3://, gs://, hf://datasets/ and other addresses of fsspec are files, folders and globs too
    @list.txt       a path a line: a file or a folder; UTF-8, or UTF-16 with a mark at its start, as PowerShell writes;
                    or a row of an earlier run, as JSON line: its path
    -               the same from standard input

Duplicates stay. What cannot be found or read is a source with an error, so that each input has its row.
"""

import base64
import codecs
import glob
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from mvit_cli.addresses import local_path, scheme_of
from mvit_cli.errors import MediaError
from mvit_cli.media.archives import MARK, is_archive, split, why_no_archive
from mvit_cli.media.elsewhere import Elsewhere, in_archive, of_address
from mvit_cli.media.guards import is_no_fault_of_the_file
from mvit_cli.media.suffixes import EMPTY_ARCHIVE, EMPTY_FOLDER, is_media, is_passed
from mvit_cli.media.tracks import Track

CHUNK_BYTES = 1 << 16
# No system takes a longer path.
MAX_PATH_BYTES = 1 << 16
EMPTY_LIST = "the list names no path"
_ROW_BEGINS = (b'{"path":', b'{"path" :')
BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


@dataclass(frozen=True)
class Source:
    """One input: a path as the user named it, or as found below a folder named; with an error where it is none.

    Attributes:
        path: what it is called in rows.
        address: what is opened where that is not `path`, because it carries a secret; shown nowhere.
        member: where it lies in its archive, as `archives.Member`, if that is known.
        first_window: number of the first window that is wanted of it.
        part: seconds from which, and up to which, it is meant; None as the second: to its end.
        track: the object of it that is meant.
    """

    path: str
    error: MediaError | None = None
    first_window: int = 0
    part: tuple[float, float | None] | None = None
    address: str | None = field(default=None, repr=False)
    member: tuple[int, ...] | None = None
    track: Track | None = None

    @property
    def identity(self) -> str:
        """What tells it from other inputs, as `identity_of` does of its row."""
        return identity_of(self.path, self.track.name, self.track.digest) if self.track else self.path

    @property
    def is_nothing(self) -> bool:
        """Whether it only says that a folder or a list has nothing in it."""
        return self.error is not None and self.error.message in (EMPTY_FOLDER, EMPTY_ARCHIVE, EMPTY_LIST)


def file_of(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """Device and inode: what identifies a file, by whatever name; None where there is none to look at."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def identity_of(path: str, track: str, boxes_digest: str) -> str:
    """What tells a track from all others: no path has a NUL."""
    return f"{path}\0{track}\0{boxes_digest}"


def iter_sources(
    names: Iterable[str],
    *,
    null_separated: bool = False,
    stdin: int | None = None,
    is_done: Callable[[str], bool] | None = None,
) -> Iterator[Source]:
    """Yields the files that `names` stand for; reads ahead no further than one folder or one piece of a list.

    Args:
        names: files, folders, globs, `@list` or `-`.
        null_separated: paths of lists and standard input end with NUL instead of a line break.
        stdin: file descriptor of standard input.
        is_done: whether a path of a list is left out: it is not even looked at on the disk.
    """
    end = b"\0" if null_separated else b"\n"
    for name in names:
        if name == "-":
            yield from _listed(stdin if stdin is not None else sys.stdin.fileno(), end, is_done=is_done)
        elif name.startswith("@") and not os.path.lexists(name):
            yield from _list_file(name, end, is_done)
        elif scheme_of(name) and not os.path.lexists(name):
            yield from _addressed(name, globs=True)
        elif not os.path.lexists(name) and glob.has_magic(name):
            yield from _matches(name)
        else:
            yield from _file_or_folder(name)


def _file_or_folder(name: str) -> Iterator[Source]:
    if scheme_of(name) and not os.path.lexists(name):
        yield from _addressed(name, globs=False)
    elif os.path.isdir(name):
        found = False
        for source in _walk(name):
            found = True
            yield source
        if not found:
            yield Source(name, MediaError("not_found", EMPTY_FOLDER, "check the path, or name the archives in it"))
    elif is_archive(name) and os.path.isfile(name):
        yield from map(_elsewhere, in_archive(name))
    elif os.path.lexists(name):
        yield Source(name, why_no_archive(name))
    elif parts := split(name):
        yield Source(f"{parts[0]}{MARK}{parts[1]}")
    else:
        yield Source(name, MediaError("not_found", "no such file or folder", "check the path"))


def _addressed(name: str, *, globs: bool) -> Iterator[Source]:
    path = local_path(name)
    yield from map(_elsewhere, of_address(name, globs=globs)) if path is None else _file_or_folder(path)


def _elsewhere(one: Elsewhere) -> Source:
    return Source(one.path, one.error, address=one.address, member=one.member)


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
                if is_no_fault_of_the_file(error):
                    raise
                reason = f"the folder cannot be read: {error.strerror}"
                has_gone = above and isinstance(error, FileNotFoundError)  # since its name was read
                if not has_gone:
                    yield Source(folder, MediaError("not_found", reason, "check its permissions"))
            folder = None
            continue
        path, is_folder = next(above[-1][1], (None, False))
        if path is None:
            above.pop()
        elif is_folder:
            folder = path
        elif is_media(path):
            yield Source(path)


def _entries(folder: str) -> tuple[tuple[int, int], Iterator[tuple[str, bool]]]:
    """What identifies a folder, and its entries by name: path, whether it is a folder."""
    status = os.stat(folder)
    with os.scandir(folder) as entries:
        names = sorted((entry.name, _is_folder(entry)) for entry in entries if not is_passed(entry.name))
    paths = ((os.path.join(folder, name), is_folder) for name, is_folder in names)
    return (status.st_dev, status.st_ino), paths


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in a circle, or to where we may not look
        return False


def _matches(pattern: str) -> Iterator[Source]:
    matches = sorted(set(_glob(pattern, set())))
    if not matches:
        yield Source(pattern, MediaError("not_found", "nothing matches this pattern", "check the path"))
    for match in matches:
        yield from _file_or_folder(match)


def _glob(pattern: str, seen: set[tuple[int, int]]) -> Iterator[str]:
    """Yields the paths that a pattern names; Python's own `**` follows links in circles.

    Args:
        seen: folders that a `**` has come to, by device and inode.
    """
    start, mark, rest = _parted(pattern)
    if not mark:
        yield from glob.iglob(pattern)
        return
    for root in sorted(glob.glob(start)) if start else [""]:
        for folder in _real_folders(root, seen):
            inner = os.path.join(glob.escape(folder), rest or "*")
            found = glob.iglob(inner) if rest else (path for path in glob.iglob(inner) if not os.path.isdir(path))
            yield from _glob(inner, set()) if "**" in rest.split(os.sep) else found


def _parted(pattern: str) -> tuple[str, str, str]:
    """Splits a pattern at its first `**`: what stands before it, itself or nothing, and what stands behind it."""
    parts = pattern.replace("/", os.sep).split(os.sep)
    if "**" not in parts:
        return pattern, "", ""
    place = parts.index("**")
    behind = list(parts[place + 1 :])
    while behind[:1] == ["**"]:
        behind = behind[1:]
    start = os.sep.join(parts[:place])
    return start or (os.sep if place else ""), "**", os.sep.join(behind)


def _real_folders(root: str, seen: set[tuple[int, int]]) -> Iterator[str]:
    """Yields a folder and all below it once each; what is reached by its own path comes before links to it."""
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            status = os.stat(folder or os.curdir)
            with os.scandir(folder or os.curdir) as entries:
                inner = [
                    (entry.is_symlink(), entry.name)
                    for entry in entries
                    if _is_folder(entry) and not is_passed(entry.name)
                ]
        except OSError:
            continue
        if (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            yield folder
            links = [os.path.join(folder, name) for is_link, name in sorted(inner) if is_link]
            waiting[:0] = reversed(links)
            waiting += [os.path.join(folder, name) for is_link, name in sorted(inner, reverse=True) if not is_link]


def _list_file(name: str, end: bytes, is_done: Callable[[str], bool] | None) -> Iterator[Source]:
    try:
        descriptor = os.open(name[1:], os.O_RDONLY | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:
        if is_no_fault_of_the_file(error):
            raise
        reason = getattr(error, "strerror", None) or str(error)
        yield Source(name, MediaError("not_found", f"the list cannot be read: {reason}", "check the path"))
        return
    found = False

    def is_left_out(path: str) -> bool:
        nonlocal found
        found = True
        return is_done is not None and is_done(path)

    try:
        for source in _listed(descriptor, end, lambda error: Source(name, error), is_left_out):
            found = True
            yield source
        if not found:
            yield Source(name, MediaError("not_found", EMPTY_LIST, "put a path on each line"))
    finally:
        os.close(descriptor)


def _listed(
    descriptor: int,
    end: bytes,
    report: Callable[[MediaError], Source] | None = None,
    is_done: Callable[[str], bool] | None = None,
) -> Iterator[Source]:
    """Yields what each path of a list stands for, as soon as its line is there.

    Read without Python's buffers: a thread that waits in a buffered read holds a lock that the program's end needs.
    """
    report = report or (lambda error: Source("-", error))
    idle = 0  # bytes of lines since the last path
    rest = b""
    for piece in _decoded(_pieces(descriptor), may_be_wide=end == b"\n"):
        if isinstance(piece, MediaError):
            yield report(piece)
            return
        *lines, rest = (rest + piece).split(end) if piece else (rest, b"")
        for line in lines:
            path = _path_of(line.removesuffix(b"\r") if end == b"\n" else line)
            idle += len(line) + 1
            if idle > MAX_PATH_BYTES:
                break
            if path.strip():
                idle = 0
                if is_done is None or not is_done(path):
                    yield from _file_or_folder(path)
        if idle + len(rest) > MAX_PATH_BYTES:
            hint = "put each path on a line of its own, or use -0 where paths end with NUL"
            yield report(MediaError("not_found", "the list has no path within 64 KiB", hint))
            return


def _path_of(line: bytes) -> str:
    """The path that a line is, or that a row of an earlier run is about: what `mvit predict` writes it reads."""
    path = os.fsdecode(line)
    if not line.startswith(_ROW_BEGINS) or os.path.lexists(path):
        return path
    try:
        row = json.loads(line)
        exact = os.fsdecode(base64.b64decode(row["path_bytes"], validate=True)) if "path_bytes" in row else row["path"]
        return exact if isinstance(exact, str) else path
    except (ValueError, KeyError, TypeError, RecursionError):
        return path


def _pieces(descriptor: int) -> Iterator[bytes | MediaError]:
    """Yields what a descriptor gives, in blocks; nothing at last, or an error."""
    while True:
        try:
            piece = os.read(descriptor, CHUNK_BYTES)
        except OSError as error:
            yield MediaError("not_found", f"the list cannot be read: {error.strerror}", "name a text file")
            return
        yield piece
        if not piece:
            return


def _decoded(pieces: Iterator[bytes | MediaError], *, may_be_wide: bool) -> Iterator[bytes | MediaError]:
    """Yields the pieces without a byte order mark, and those of UTF-16 as UTF-8.

    UTF-16 has a NUL byte in each line break, which no path has; a name that is no UTF-8 may begin like its mark.
    """
    start = b""
    for piece in pieces:
        if isinstance(piece, MediaError):
            yield piece
            return
        start += piece
        if piece and any(len(start) < len(mark) and mark.startswith(start) for mark in BYTE_ORDER_MARKS):
            continue  # it may yet be a mark
        break
    mark = next((mark for mark in BYTE_ORDER_MARKS if start.startswith(mark)), b"")
    if mark != codecs.BOM_UTF8 and not (may_be_wide and b"\0" in start):
        mark = b""
    if BYTE_ORDER_MARKS.get(mark, "utf-8") == "utf-8":
        if start.removeprefix(mark):
            yield start.removeprefix(mark)
        yield from pieces if start else [b""]
        return
    decoder = codecs.getincrementaldecoder(BYTE_ORDER_MARKS[mark])("replace")
    yield decoder.decode(start.removeprefix(mark)).encode("utf-8", "replace")
    for piece in pieces:
        yield piece if isinstance(piece, MediaError) else decoder.decode(piece).encode("utf-8", "replace")
