"""A file of rows that a later run goes on with: what is left to do, and the place for more rows. Plain Python.

A run may end at any moment: every row that is in the file with its line break counts, what stands after the last line
break is a row that was being written, and is cut off.
"""

import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, BinaryIO

from mvit_cli.errors import MediaError, MViTError, UsageError
from mvit_cli.media.request import Windows
from mvit_cli.media.sources import Source
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
        path: the file; it need not exist.
        windows: how this run cuts videos.
        retry_errors: whether the inputs of its error rows are to be done again, as far as they are named again.
        skipped: inputs that were left out so far because they have their row.
        reader: knows its format.
    """

    path: Path
    windows: Windows | None = None
    retry_errors: bool = False
    skipped: int = 0
    reader: Reader = json_lines
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
        for identity, line in self._kept.first_of.items():
            for name, there in zip(IDENTITY, identity, strict=True):
                here = run.get(name)
                if here is not None and here != there:
                    raise UsageError(
                        f"--resume: line {line} of {self.path} has {name} {there}, and this run has {here}",
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
            stored.write(json.dumps([source.path, told, source.address, source.member]) + "\n")
            if (digest := digest_of(source.path)) in self._kept.failing:
                self._retried.add(digest)
        self._kept = read_rows(self.path, self.reader, self.windows, self._retried)
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
            digest = digest_of(source.path)
            if self._took(digest):
                continue
            if begun := self._kept.begun.get(digest):
                yield replace(source, first_window=begun.pop(0))
            else:
                yield source

    def rows(self) -> Iterator[Row]:
        """Yields the rows that the file keeps, in its order."""
        if not self.path.exists():
            return
        for (_, _, row, _), stays in staying_rows(json_lines(self.path), self._retried):
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
        """Puts a file without what is done again in the place of the file, all at once."""
        target = self.path.resolve()
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(descriptor, "wb") as kept:
                for (_, text, _, _), stays in staying_rows(self.reader(target), self._retried):
                    if stays:
                        kept.write(text)
                kept.flush()
                os.fsync(kept.fileno())
                self._kept.size = self._kept.end = kept.tell()
            shutil.copymode(target, name)
            os.replace(name, target)
        except BaseException:
            os.unlink(name)
            raise
        self._retried.clear()


def read_journal(
    path: Path, windows: Windows | None = None, *, retry_errors: bool = False, reader: Reader = json_lines
) -> Journal:
    """Reads what a file of rows has; changes nothing. Memory: a digest for each input.

    Args:
        path: the file; without one, the journal is empty.
        windows: how this run cuts videos.
        retry_errors: whether the inputs of error rows are to be done again.
        reader: knows its format.

    Raises:
        UsageError: it is no file of rows, or has rows of other windows.
        MViTError: it cannot be read.
    """
    journal = Journal(path, windows, retry_errors, reader=reader)
    if not path.exists():
        return journal
    if not path.is_file():
        raise UsageError(f"--resume: {path} is no regular file", OTHER_FILE)
    try:
        journal._kept = read_rows(path, reader, windows)
    except OSError as error:
        raise MViTError(f"--output {path}: {error.strerror}", "choose another place") from error
    return journal


def _restored(stored: IO[str]) -> Iterator[Source]:
    with stored:
        for line in stored:
            path, error, address, member = json.loads(line)
            yield Source(path, MediaError(*error) if error else None, address=address, member=member and tuple(member))


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
