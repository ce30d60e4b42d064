"""Files that a command writes: never one that it reads, that somebody else made, or that another run is writing."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from mvit_cli.errors import MViTError, UsageError, how_to_install

if TYPE_CHECKING:
    from mvit_cli.recognition.listing import Listing

Kind = Literal["rows", "page", "picture", "trace", "network", "video"]

HEAD_BYTES = 1 << 14
EXAMPLES: dict[Kind, str] = {
    "rows": "rows.jsonl",
    "page": "report.html",
    "picture": "picture.svg",
    "trace": "trace.json.gz",
    "network": "network.onnx",
    "video": "labelled.mp4",
}
# How a file of ours begins that a later run may replace unasked. Rows, networks and videos never are: they took long.
_MARKS: dict[Kind, re.Pattern[bytes]] = {
    "page": re.compile(rb'<!doctype html>.{0,4000}<meta name="generator" content="mvit">', re.DOTALL),
    "picture": re.compile(
        rb"\x89PNG.{0,200}Software\0mvit|<\?xml.{0,2000}<dc:title>mvit</dc:title>|%PDF-.*/Creator \(mvit\)", re.DOTALL
    ),
    "trace": re.compile(rb'\s*\{\s*"schemaVersion": '),
}
_BEGINS_ROWS = re.compile(rb'\{"path": |"?path"?[,\t]"?status"?[,\t\n]')


@dataclass(frozen=True)
class Place:
    """A file that a command is to write.

    Attributes:
        option: what named it.
        kind: what it will have.
        force: whether what it has may go, whatever it is.
        keeps: whether what it has stays, because the run goes on with it.
    """

    option: str
    path: Path
    kind: Kind
    force: bool = False
    keeps: bool = False

    def __str__(self) -> str:
        return f"{self.option} {self.path}"

    def check(self, read: Iterable[str | Path] = ()) -> None:
        """Refuses a file that cannot be written or must not be, before anything heavy is done; touches nothing.

        Args:
            read: what the command reads and must not overwrite, `force` or not.

        Raises:
            UsageError: a folder, one of the files that are read, or what must not be replaced unasked.
            MViTError: in no folder, not writable, or another run writes to it.
        """
        path = self.path
        if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", path.as_posix()) and not path.parent.is_dir():
            hint = "name a file here (--shard I/N one for each part) and copy it when it is whole, as with `aws s3 cp`"
            raise UsageError(f"{self}: what is written goes to files of this machine, not to addresses", hint)
        if path.is_dir():
            raise UsageError(f"{self} is a folder", f"name a file in it: {path / EXAMPLES[self.kind]}")
        if not path.parent.is_dir():
            raise MViTError(f"{self}: there is no folder {path.parent}", f"mkdir -p {path.parent}")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise MViTError(f"{self}: no permission to write it", "choose another place")
        for other in filter(os.path.isfile, read):
            if path.exists() and os.path.samefile(path, other):
                raise self.overwrites(other)
        if path.is_file() and not self.keeps and os.access(path, os.R_OK):
            with path.open("rb") as stream:
                self._hold(stream)
                self._judge(stream)

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """Gives the file, empty and kept from other runs until it is closed.

        Raises:
            UsageError: it has what must not be replaced unasked.
            MViTError: it cannot be opened, or another run writes to it.
        """
        with self._held() as stream:
            if self.path.is_file():
                stream.truncate(0)
            yield stream

    @contextmanager
    def reserved(self) -> Iterator[None]:
        """Keeps the file from other runs while something else writes it; what is not written leaves nothing behind.

        Raises:
            UsageError, MViTError: as `opened`.
        """
        was_there = self.path.exists()
        try:
            with self._held():
                yield
        finally:
            if not was_there and self.path.is_file() and not self.path.stat().st_size:
                self.path.unlink()

    @contextmanager
    def _held(self) -> Iterator[BinaryIO]:
        """Gives the file as it is, kept from other runs until it is closed, after it was found fit."""
        was_there = self.path.exists()
        stream = self._stream()
        try:
            if self.path.is_file():
                self._hold(stream)
                self._judge(stream, was_there=was_there)
            yield stream
        finally:
            stream.close()

    def _stream(self) -> BinaryIO:
        """The file, not truncated before it is known what it has."""
        try:
            if self.path.exists() and not self.path.is_file():  # a device or a pipe
                return self.path.open("wb")
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
            return os.fdopen(os.open(self.path, flags, 0o666), "r+b")
        except OSError as error:
            raise MViTError(f"{self}: {error.strerror}", "choose another place") from error

    def _hold(self, stream: BinaryIO) -> None:
        from mvit_cli.recognition.journal import lock

        if not lock(stream):
            raise MViTError(f"{self}: another run writes to it", "let it end, or name another file")

    def _judge(self, stream: BinaryIO, *, was_there: bool = True) -> None:
        """Refuses to lose what the file has, unless it is asked for or can be made again. Leaves it at its start."""
        from mvit_cli.recognition.written import is_media_name

        head = _telling(stream)
        stream.seek(0)
        if self.force:
            return
        if self.kind in _MARKS and _MARKS[self.kind].match(head):
            return
        if was_there and is_media_name(self.path):
            raise UsageError(
                f"{self} is there already, and a video or an image by its name",
                "name another file; --force replaces it",
            )
        if not head:
            return
        if self.kind == "rows" and _BEGINS_ROWS.match(head):
            raise UsageError(f"{self} has rows already", "--resume goes on, --force replaces them")
        raise UsageError(
            f"{self} is there already and " + ("was not made by this command" if self.kind in _MARKS else "not empty"),
            "name another file; --force replaces it",
        )

    @property
    def has_more_than_ours(self) -> bool:
        """Whether there is a file that the run would begin anew and that we did not write."""
        if self.keeps or not self.path.is_file():
            return False
        try:
            with self.path.open("rb") as stream:
                head = _telling(stream)
        except OSError:
            return True
        mark = _BEGINS_ROWS if self.kind == "rows" else _MARKS.get(self.kind)
        return bool(head) and not (mark and mark.match(head))

    def overwrites(self, path: str | Path) -> UsageError:
        """What is said where the file is one that the command reads."""
        return UsageError(f"{self} would overwrite {path}, which this run reads", "name another file")


def _telling(stream: BinaryIO) -> bytes:
    """What says who wrote a file: its beginning, without gzip around it; of a PDF the end too."""
    import zlib

    head = stream.read(HEAD_BYTES)
    if head.startswith(b"%PDF-") and len(head) == HEAD_BYTES:
        rest = stream.seek(0, os.SEEK_END) - HEAD_BYTES
        stream.seek(-min(rest, HEAD_BYTES), os.SEEK_END)
        return head + stream.read(HEAD_BYTES)
    if not head.startswith(b"\x1f\x8b"):
        return head
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, HEAD_BYTES)
    except zlib.error:
        return b""


def check_apart(places: Sequence[Place]) -> None:
    """Refuses one file for two things, and a page that is no regular file, which is not written from start to end.

    Raises:
        UsageError: says which.
    """
    for number, place in enumerate(places):
        if place.kind == "page" and place.path.exists() and not place.path.is_file():
            raise UsageError(f"{place} is no regular file", f"name a file, as {place.option} {EXAMPLES[place.kind]}")
        for other in places[:number]:
            if _same(place.path, other.path):
                raise UsageError(f"{place.option} and {other.option} are both {place.path}", "name two files")


def _same(one: Path, other: Path) -> bool:
    if one.is_file() and other.is_file():
        return os.path.samefile(one, other)
    return one.resolve() == other.resolve()


def check_named(places: Sequence[Place], listing: "Listing") -> None:
    """Refuses a file that is among the inputs, as far as these can be known.

    All of them are looked at only where there is something to lose: rows and pages of ours, and a file that the run
    goes on with, are no reason to walk through a million files first.

    Raises:
        UsageError: says which.
    """
    from mvit_cli.recognition.written import input_among

    found = input_among(by_option([place for place in places if place.has_more_than_ours]), listing)
    for place in places:
        if found and place.option == found[0]:
            raise place.overwrites(found[1])


def by_option(places: Sequence[Place]) -> dict[str, Path]:
    """The files by the option that named them."""
    return {place.option: place.path for place in places}


def plot_place(path: Path, *, force: bool) -> Place:
    """The place of `--plot`."""
    return Place("--plot", path, "picture", force)


def check_plot(path: Path, read: Iterable[str | Path] = (), *, force: bool = False) -> None:
    """Refuses a picture that could not be written or must not be, before anything is measured; touches nothing.

    Raises:
        UsageError: neither SVG, PNG nor PDF by its suffix, or as `Place.check`.
        MViTError: not writable, or matplotlib is not installed.
    """
    from importlib.util import find_spec

    from mvit_cli.report.figures import SUFFIXES

    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"--plot {path}: a picture is .svg, .png or .pdf", f"name it {path.stem or 'picture'}.svg")
    plot_place(path, force=force).check(read)
    if not find_spec("matplotlib"):
        raise MViTError("--plot needs matplotlib, which is not installed", f"{how_to_install('matplotlib')} brings it")
