"""Members of archives: tar as webdataset shards are, and zip. Listed one after the other, read in their place.

What is written to a disk never has a member's name; names that lead outside are refused all the same, as are links.
"""

import io
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, NamedTuple

from mvit_cli.errors import MediaError
from mvit_cli.media.content import Content, check_copy_size, copied

SUFFIXES = (".tar", ".zip")
# Their members cannot be reached without all before them, or by no library here.
OTHER_SUFFIXES = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst", ".7z", ".rar", ".gz")
MARK = "::"

# Of what stands beside the members of an archive: names that are too long for a header, a zip's list of members.
MAX_HEADER_BYTES = 1 << 20
MAX_DIRECTORY_BYTES = 32 << 20
BLOCK_BYTES = 512
DIGITS = re.compile(rb"[0-9]{256}")
# Between two members that can be read, where a header is damaged.
MAX_DAMAGE_BYTES = 1 << 30
# What grows more than this is no video: compressed pictures hardly do.
MAX_GROWTH, SMALL_BYTES = 500, 64 << 20
ENCRYPTED = 1
STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
WHOLE = "copy the archive again, or name its members that are whole"


class Member(NamedTuple):
    """Where a member lies in its archive.

    Attributes:
        start: of its bytes; in a zip, of its header.
        packed: bytes it takes in the archive.
        size: bytes it has.
        method: -1 in a tar, else how a zip stores it (APPNOTE.TXT, 4.4.5).
        crc: CRC-32 of its bytes, of a zip.
    """

    start: int
    packed: int
    size: int
    method: int = -1
    crc: int = 0


class Entry(NamedTuple):
    """One name in an archive.

    Attributes:
        name: as the archive has it, without `./` in front; empty where nothing lies: of a folder, or with an error of
            the archive itself.
        member: where it lies; or why it cannot be read.
        behind: where a tar goes on.
    """

    name: str
    member: Member | MediaError
    behind: int = 0


def split(name: str) -> tuple[str, str] | None:
    """The archive and the member that `shard.tar::clip.mp4` names; None where it names none."""
    place = name.find(MARK)
    while place >= 0:
        if is_archive(name[:place]) and name[place + len(MARK) :]:
            return name[:place], name[place + len(MARK) :]
        place = name.find(MARK, place + 1)
    return None


def is_archive(name: str) -> bool:
    """Whether it is an archive by its name; what stands behind `?` in an address is none of it."""
    return _plain(name).endswith(SUFFIXES)


def why_no_archive(name: str) -> MediaError | None:
    """What is said of kinds of archives that are not read; None for all other names."""
    if not _plain(name).endswith(OTHER_SUFFIXES):
        return None
    hint = "pack it as .tar (not compressed) or .zip, or unpack it"
    return MediaError("unsupported", "an archive of a kind that is not read", hint)


def _plain(name: str) -> str:
    return (name.partition("?")[0] if "://" in name else name).lower()


def entries(archive: Content, start: int = 0) -> Iterator[Entry]:
    """Yields what an archive holds, in its order; of a tar no more is in memory than one header.

    Args:
        start: where to go on in a tar, as an entry before told it.
    """
    try:
        yield from _of_zip(archive) if archive.name.lower().endswith(".zip") else _of_tar(archive, start)
    except MediaError as error:
        yield Entry("", error)
    except (OSError, ValueError, EOFError, tarfile.TarError, zipfile.BadZipFile, NotImplementedError) as error:
        if archive.failure:
            raise archive.failure from error
        yield Entry("", MediaError("decode", "the archive cannot be read: it is damaged or no archive", WHOLE))


@contextmanager
def opened(archive: Content, member: Member, name: str) -> Iterator[Content]:
    """A member's bytes: in their place where they lie there as they are, else unpacked into a bounded copy.

    Raises:
        MediaError: too large, or damaged.
    """
    if member.method == -1:
        start, size = member.start, min(member.size, archive.size - member.start)
        yield archive.part(name, start, max(0, size))
        return
    start = member.start + _header_bytes(archive, member.start)
    if member.method == STORED:
        yield archive.part(name, start, max(0, min(member.size, archive.size - start)))
        return
    why = "its archive holds it compressed"
    check_copy_size(member.size, why)
    if member.size > max(SMALL_BYTES, MAX_GROWTH * member.packed):
        times = member.size // max(1, member.packed)
        raise MediaError("unsupported", f"{why}, {times:,} times smaller: no video can be", "unpack it and look")
    with copied(name, lambda file: _unpack(archive, start, member, file)) as content:
        yield content


# --- tar


class _Headers(io.RawIOBase):
    """A tar for `tarfile`, which reads the content of a header whole, however long that says it is."""

    def __init__(self, archive: Content, start: int) -> None:
        self._stream = archive.open()
        self._stream.seek(start)

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= MAX_HEADER_BYTES:
            raise tarfile.ReadError("a header of more than 1 MiB")
        data = self._stream.read(size)
        # Python before 3.11.10 looks for numbers in a header for as long as its length squared (CVE-2024-6232).
        if size > BLOCK_BYTES and DIGITS.search(data):
            raise tarfile.ReadError("a header with a number of 256 digits")
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()


def _of_tar(archive: Content, start: int) -> Iterator[Entry]:
    while True:
        behind = start
        for entry in _in_a_row(archive, start):
            behind = entry.behind
            yield entry
        if behind > archive.size:
            yield Entry("", MediaError("decode", "the archive is cut short: it ends in the middle of a member", WHOLE))
            return
        if _ends(archive, behind):
            return
        # `tarfile` stops without a word where a header is damaged.
        next_one = _next_header(archive, behind + BLOCK_BYTES)
        if behind == 0 and not next_one:
            raise tarfile.ReadError
        found = "the members behind that are read" if next_one else "no member was found behind that"
        yield Entry("", MediaError("decode", f"the archive is damaged at byte {behind:,}; {found}", WHOLE))
        if not next_one:
            return
        start = next_one


def _in_a_row(archive: Content, start: int) -> Iterator[Entry]:
    """Yields members up to the end or the first damage."""
    with (
        suppress(tarfile.TarError, ValueError, OverflowError),
        tarfile.open(fileobj=_Headers(archive, start), mode="r:") as tar,
    ):
        behind = start
        while (info := tar.next()) is not None and tar.offset > behind:  # a size below zero leads back
            tar.members.clear()  # type: ignore[attr-defined]  # it would keep all
            behind = tar.offset
            yield Entry("" if info.isdir() else _name(info.name), _tar_member(info), behind)


def _tar_member(info: tarfile.TarInfo) -> Member | MediaError:
    if info.isdir():
        return Member(0, 0, 0)
    if wrong := _why_not(info.name, is_link=info.issym() or info.islnk(), is_file=info.isreg()):
        return wrong
    if info.issparse():
        return MediaError("unsupported", "a file with holes in a tar", "unpack it")
    return Member(info.offset_data, info.size, info.size)


def _ends(archive: Content, place: int) -> bool:
    """Whether a tar ends there: blocks of zeros, or nothing."""
    block = archive.read_at(place, BLOCK_BYTES)
    return place == archive.size or (len(block) > 0 and not any(block))


def _next_header(archive: Content, start: int) -> int:
    """The next place from which a tar can be read; 0 where there is none near, or looking for it would cost."""
    end = min(archive.size, start + MAX_DAMAGE_BYTES)
    while start < end and not archive.is_far:
        blocks = archive.read_at(start, 1 << 20)
        place = blocks.find(b"ustar", 257)
        while place >= 0:
            at = place - 257
            if at % BLOCK_BYTES == 0:
                with suppress(tarfile.TarError):
                    tarfile.TarInfo.frombuf(blocks[at : at + BLOCK_BYTES], "utf-8", "surrogateescape")
                    return start + at
            place = blocks.find(b"ustar", place + 1)
        start += max(BLOCK_BYTES, len(blocks) // BLOCK_BYTES * BLOCK_BYTES)
    return 0


# --- zip


class _Directory(io.RawIOBase):
    """A zip for `zipfile`, which reads the list of members whole, however long the file says it is."""

    def __init__(self, archive: Content) -> None:
        self._stream = archive.open()

    def seekable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0:
            size = self._left()
        if size > MAX_DIRECTORY_BYTES:
            text = f"its list of members is longer than {MAX_DIRECTORY_BYTES >> 20} MiB"
            raise MediaError("unsupported", text, "pack the members into several archives")
        return self._stream.read(size)

    def _left(self) -> int:
        here = self._stream.tell()
        left = self._stream.seek(0, 2) - here
        self._stream.seek(here)
        return left

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()


def _of_zip(archive: Content) -> Iterator[Entry]:
    with zipfile.ZipFile(_Directory(archive)) as file:
        for info in file.infolist():
            if not info.is_dir():
                yield Entry(_name(info.filename), _zip_member(info))


def _zip_member(info: zipfile.ZipInfo) -> Member | MediaError:
    kind = info.external_attr >> 16 & 0o170000
    if wrong := _why_not(info.filename, is_link=kind == 0o120000, is_file=kind in (0, 0o100000)):
        return wrong
    if info.flag_bits & ENCRYPTED:
        return MediaError("unsupported", "it is encrypted in its archive", "unpack it with its password")
    if info.compress_type not in (STORED, DEFLATED):
        text = f"it is compressed by a method that is not read ({info.compress_type})"
        return MediaError("unsupported", text, "pack it with `zip -0`")
    return Member(info.header_offset, info.compress_size, info.file_size, info.compress_type, info.CRC)


def _header_bytes(archive: Content, start: int) -> int:
    """Bytes from a member's header to its content (APPNOTE.TXT, 4.3.7)."""
    header = archive.read_at(start, 30)
    if len(header) < 30 or header[:4] != b"PK\x03\x04":
        raise MediaError("decode", "its header in the archive is damaged", WHOLE)
    return 30 + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")


def _unpack(archive: Content, start: int, member: Member, file: IO[bytes]) -> None:
    """Writes what a member holds, and never more than its archive says.

    Raises:
        MediaError: decode.
    """
    unpacker, crc, place = zlib.decompressobj(-zlib.MAX_WBITS), 0, start
    while not unpacker.eof and file.tell() < member.size:
        data = unpacker.unconsumed_tail
        if not data:
            data = archive.read_at(place, min(1 << 20, start + member.packed - place))
            place += len(data)
        try:
            out = unpacker.decompress(data, min(1 << 20, member.size - file.tell()))
        except zlib.error as error:
            raise MediaError("decode", "it is damaged in its archive", WHOLE) from error
        if not data and not out:
            break
        crc = zlib.crc32(out, crc)
        file.write(out)
    if file.tell() != member.size or crc != member.crc:
        raise MediaError("decode", "it is damaged in its archive: its checksum is another", WHOLE)


# --- names


def _name(name: str) -> str:
    while name.startswith("./"):
        name = name[2:].lstrip("/")
    return name


def _why_not(name: str, *, is_link: bool, is_file: bool) -> MediaError | None:
    """Why an entry of that name and kind is not read."""
    parts = name.replace("\\", "/").split("/")
    if not parts[0] or ".." in parts or "\0" in name or (len(parts[0]) == 2 and parts[0][1] == ":"):
        return MediaError("unsupported", "its name leads out of the archive", "pack it under another name")
    if is_link:
        return MediaError("unsupported", "a link, not a file", "pack the file itself")
    return None if is_file else MediaError("unsupported", "a pipe or device, not a file", "name a video or image file")


# --- by name


class Found:
    """Where the members of one archive lie, as far as they were looked for: the next name is looked for behind them.

    Args:
        key: tells the archive from others, and from itself at another time.
    """

    MOST = 1_000_000

    def __init__(self, key: object) -> None:
        self.key = key
        self._members: dict[str, Member | MediaError] = {}
        self._behind, self._is_whole = 0, False

    def member(self, archive: Content, name: str) -> Member:
        """The first member of that name.

        Raises:
            MediaError: there is none, or it cannot be read.
        """
        name = _name(name)
        if name not in self._members and not self._is_whole:
            self._look_for(archive, name)
        found = self._members.get(name)
        if found is None:
            raise MediaError("not_found", "no such member in the archive", "name the archive alone to see its members")
        if isinstance(found, MediaError):
            raise found
        return found

    def _look_for(self, archive: Content, name: str) -> None:
        is_zip = archive.name.lower().endswith(".zip")
        for entry in entries(archive, self._behind):
            if not entry.name and isinstance(entry.member, MediaError) and not self._members:
                raise entry.member
            if entry.name and len(self._members) < self.MOST:
                self._members.setdefault(entry.name, entry.member)
            self._behind = max(self._behind, entry.behind)
            if entry.name == name and not is_zip:
                self._members[name] = entry.member
                return
        self._is_whole = True
