"""A file of rows that a later run goes on with: what is left to do, and the place for more rows. Plain Python.

A run may end at any moment: every row that is in the file with its line break counts, what stands after the last line
break is a row that was being written, and is cut off.
"""

import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any, BinaryIO

from mvit_cli.errors import MediaError, MViTError, UsageError
from mvit_cli.media.request import Windows
from mvit_cli.media.sources import Source
from mvit_cli.media.tracks import Track
from mvit_cli.recognition.digests import digest_of
from mvit_cli.recognition.kept_rows import (
    IDENTITY,
    OTHER_FILE,
    KeptRows,
    Reader,
    json_lines,
    read_rows,
    staying_rows,
)
from mvit_cli.recognition.listing import Listing
from mvit_cli.records import Row


@dataclass
class Journal:
    """What a file of rows already has, and what is still to be done.

    Attributes:
        path: the file that more rows go to; it need not exist.
        windows: how this run cuts videos.
        retry_errors: whether the inputs of its error rows are to be done again, as far as they are named again.
        skipped: inputs that were left out so far because they have their row.
        reader: knows its format.
        earlier: files before it whose rows count too: parts that are full.
        rewritten: those of them that errors were dropped from.
    """

    path: Path
    windows: Windows | None = None
    retry_errors: bool = False
    skipped: int = 0
    reader: Reader = json_lines
    earlier: tuple[Path, ...] = ()
    rewritten: list[Path] = field(default_factory=list)
    _kept: KeptRows = field(default_factory=KeptRows)
    _retried: set[bytes] = field(default_factory=set)  # paths whose errors do not stay

    @property
    def is_empty(self) -> bool:
        """Whether nothing that stays is in the file, no heading either."""
        return not self._kept.end

    @property
    def ok(self) -> int:
        """Rows with status ok."""
        return self._kept.ok

    @property
    def rows_of_last(self) -> int:
        """Rows that stay in the file that more go to."""
        return self._kept.rows

    @property
    def failed(self) -> int:
        """Rows with status error that stay."""
        return self._kept.failed

    def check(self, run: Mapping[str, Any]) -> None:
        """Refuses to mix runs.

        Args:
            run: preset, weights and views of this run, as far as they are known.

        Raises:
            UsageError: the file has rows of another preset, of other weights or views.
        """
        for identity, (path, line) in self._kept.first_of.items():
            for name, there in zip(IDENTITY, identity, strict=True):
                here = run.get(name)
                if here is not None and here != there:
                    raise UsageError(
                        f"--resume: line {line} of {path} has {name} {there}, and this run has {here}",
                        f"run with the same --{name}, or {OTHER_FILE}",
                    )

    def remaining(self, listing: Listing) -> Iterator[Source] | None:
        """The inputs without a row, in input order, or None if all have theirs.

        Each row stands for one input: of a path that is named twice and has one row, the second is left. Where errors
        are to be retried, all names are read first: the errors of inputs that are not named stay.

        """
        if self.retry_errors and self._kept.failing:
            sources = self._retrying(listing.sources())
        else:
            sources = listing.sources(self._is_done)
        left = self._left(sources)
        first = next(left, None)
        return None if first is None else itertools.chain([first], left)

    def _retrying(self, sources: Iterator[Source]) -> Iterator[Source]:
        """Reads the inputs to their end, forgets the errors of those, and gives the inputs back."""
        stored = tempfile.TemporaryFile("w+", encoding="ascii")  # noqa: SIM115
        for source in sources:
            error = source.error
            told = error and (error.kind, error.message, error.hint)
            track = source.track and asdict(source.track)
            stored.write(json.dumps([source.path, told, source.address, source.member, source.part, track]) + "\n")
            if (digest := digest_of(source.identity)) in self._kept.failing:
                self._retried.add(digest)
        self.read()
        stored.seek(0)
        return _restored(stored)

    def _is_done(self, path: str) -> bool:
        """Whether a row says what is in this file; an error may be of a folder or a list that had nothing in it."""
        digest = digest_of(path)
        return digest not in self._kept.failing and self._took(digest)

    def _took(self, digest: bytes) -> bool:
        """Whether a row stands for one more input of this path."""
        is_done = self._kept.done.take(digest)
        self.skipped += is_done
        return is_done

    def _left(self, sources: Iterable[Source]) -> Iterator[Source]:
        for source in sources:
            digest = digest_of(source.identity)
            if self._took(digest):
                continue
            if begun := self._kept.begun.get(digest):
                yield replace(source, first_window=begun.pop(0))
            else:
                yield source

    def read(self) -> None:
        """Reads what is there, but for errors that are done again.

        Raises:
            UsageError: a file is none of rows, has rows of other windows, or is torn though others follow.
            OSError: one cannot be read.
        """
        kept = self._kept = KeptRows()
        for path in self.earlier:
            read_rows(path, self._reader_of(path), self.windows, self._retried, kept)
            if kept.size > kept.end:
                hint = "copy it again, or --force begins anew"
                raise UsageError(f"--resume: the last row of {path} is not whole, and another part follows", hint)
        kept.size = kept.end = kept.rows = 0
        if self.path.exists():
            read_rows(self.path, self.reader, self.windows, self._retried, kept)

    def _reader_of(self, path: Path) -> Reader:
        if path.suffix.lower() != ".parquet":
            return self.reader
        from mvit_cli.recognition.parquet_rows import parquet_lines

        return parquet_lines

    def rows(self) -> Iterator[Row]:
        """Yields the rows that the files keep, in their order."""
        for path in (*self.earlier, self.path):
            if path.exists():
                for (_, _, row, _), stays in staying_rows(self._reader_of(path)(path), self._retried):
                    if row and stays:
                        yield row

    def open(self) -> BinaryIO:
        """Opens the file for more rows: without a torn last line, and without error rows that are done again.

        Raises:
            OSError: the file cannot be read or written.
            MViTError: another run writes to it.
        """
        stream = self._claimed()
        if self._retried:
            with stream:
                self._drop_errors()
            stream = self._claimed()
        return stream

    def repair(self) -> None:
        """Cuts a torn last line off; raises as `open` does."""
        if self.path.exists():
            self._claimed().close()

    def _claimed(self) -> BinaryIO:
        """The file without a torn last line: what looks torn may be the row that another run is just writing."""
        stream = self.path.open("ab")
        if not lock(stream) or stream.tell() != self._kept.size:
            stream.close()
            raise MViTError(f"--output {self.path}: another run writes to it", "let it end, then --resume")
        if self._kept.size > self._kept.end:
            stream.truncate(self._kept.end)
            os.fsync(stream.fileno())
            self._kept.size = self._kept.end
        return stream

    def _drop_errors(self) -> None:
        """Puts files without what is done again in the place of the files, each all at once."""
        for path in self.earlier:
            if not all(stays for _, stays in staying_rows(self._reader_of(path)(path), self._retried)):
                self._rewrite(path)
                self.rewritten.append(path)
        self._kept.size = self._kept.end = self._rewrite(self.path)
        self._retried.clear()

    def _rewrite(self, path: Path) -> int:
        """Writes what stays of a file; returns its bytes."""
        target = path.resolve()
        reader = self._reader_of(target)
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(descriptor, "wb") as kept:
                for (_, text, row, _), stays in staying_rows(reader(target), self._retried):
                    if stays:
                        kept.write(text or json.dumps(row).encode() + b"\n")
                kept.flush()
                os.fsync(kept.fileno())
                size = kept.tell()
            shutil.copymode(target, name)
            if reader is self.reader:
                os.replace(name, target)
            else:
                from mvit_cli.recognition.parquet_rows import packed

                packed(Path(name), target, anew=True)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(name)
            raise
        return size


def read_journal(
    path: Path,
    windows: Windows | None = None,
    *,
    retry_errors: bool = False,
    reader: Reader = json_lines,
    earlier: Sequence[Path] = (),
) -> Journal:
    """Reads what a file of rows has; changes nothing. Memory: a digest for each input.

    Args:
        path: the file; without one, the journal is empty.
        windows: how this run cuts videos.
        retry_errors: whether the inputs of error rows are to be done again.
        reader: knows its format.
        earlier: files before it whose rows count too.

    Raises:
        UsageError: it is no file of rows, or has rows of other windows.
        MViTError: it cannot be read.
    """
    journal = Journal(path, windows, retry_errors, reader=reader, earlier=tuple(earlier))
    if path.exists() and not path.is_file():
        raise UsageError(f"--resume: {path} is no regular file", OTHER_FILE)
    try:
        journal.read()
    except OSError as error:
        raise MViTError(f"--output {path}: {error.strerror}", "choose another place") from error
    return journal


def _restored(stored: IO[str]) -> Iterator[Source]:
    with stored:
        for line in stored:
            path, error, address, member, part, track = json.loads(line)
            failed = MediaError(*error) if error else None
            seen = track and Track.of(track)
            yield Source(path, failed, 0, part and tuple(part), address, member and tuple(member), seen)


def lock(stream: BinaryIO) -> bool:
    """Keeps other runs that resume from the file until it is closed, where the system can; False: one is at it."""
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True
