"""The rows of an earlier run, in a file of JSON lines that a later run goes on with. Plain Python.

A run may end at any moment: every row that is in the file with its line break counts, what stands after the last line
break is a row that was being written, and is cut off.
"""

import itertools
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

from mvit_cli.errors import MViTError, UsageError
from mvit_cli.media.sources import Source, iter_sources

IDENTITY = ("preset", "weights", "views")
"""What must be the same for all rows of a file."""

_ROW_BEGINS = b'{"path": '
_OTHER_FILE = "name another file with --output, or leave --resume out to begin anew"


@dataclass
class Journal:
    """What a file of rows already has, and what is still to be done.

    Attributes:
        path: the file; it need not exist.
        retry_errors: whether the inputs of its error rows are to be done again.
        ok: its rows with status ok.
        failed: its rows with status error.
        skipped: inputs that were left out so far because they have their row.
    """

    path: Path
    retry_errors: bool
    ok: int = 0
    failed: int = 0
    skipped: int = 0
    _size: int = 0  # bytes that were read
    _end: int = 0  # bytes up to the last line break
    _done: Counter[bytes] = field(default_factory=Counter)  # rows a path, by the digest of the path
    _first_of: dict[tuple[str, ...], int] = field(default_factory=dict)  # line of the first ok row of each identity

    def check(self, run: dict[str, Any]) -> None:
        """Refuses to mix runs.

        Args:
            run: preset, weights and views of this run, as far as they are known.

        Raises:
            UsageError: the file has rows of another preset, of other weights or views.
        """
        for identity, line in self._first_of.items():
            for name, there in zip(IDENTITY, identity, strict=True):
                here = run.get(name)
                if here is not None and here != there:
                    raise UsageError(
                        f"--resume: line {line} of {self.path} has {name} {there}, and this run has {here}",
                        f"run with the same --{name}, or {_OTHER_FILE}",
                    )

    def remaining(self, names: Iterable[str], *, null_separated: bool = False) -> Iterator[Source] | None:
        """The inputs without a row, in input order, or None if all have theirs.

        Each row stands for one input: of a path that is named twice and has one row, the second is left.

        Args:
            names: as `iter_sources` takes them, with `null_separated`.
        """
        left = self._left(names, null_separated)
        first = next(left, None)
        return None if first is None else itertools.chain([first], left)

    def _left(self, names: Iterable[str], null_separated: bool) -> Iterator[Source]:
        for source in iter_sources(names, null_separated=null_separated):
            digest = _digest(source.path)
            if self._done[digest]:
                self._done[digest] -= 1
                self.skipped += 1
            else:
                yield source

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yields the rows that the file keeps, in its order."""
        for _, _, row in _rows(self.path) if self.path.exists() else ():
            if row and (row["status"] == "ok" or not self.retry_errors):
                yield row

    def open(self) -> BinaryIO:
        """Opens the file for more rows: without a torn last line, and without error rows that are done again.

        Raises:
            OSError: the file cannot be read or written.
            MViTError: another run writes to it.
        """
        stream = self._claimed()
        if self.retry_errors and self.failed:
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
        if not _lock(stream) or stream.tell() != self._size:
            stream.close()
            raise MViTError(f"--output {self.path}: another run writes to it", "let it end, then --resume")
        if self._size > self._end:
            stream.truncate(self._end)
            os.fsync(stream.fileno())
            self._size = self._end
        return stream

    def _drop_errors(self) -> None:
        """Puts a file without the error rows in the place of the file, all at once."""
        target = self.path.resolve()
        descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(descriptor, "wb") as kept:
                for _, line, row in _rows(target):
                    if row and row["status"] == "ok":
                        kept.write(line)
                kept.flush()
                os.fsync(kept.fileno())
                self._size = self._end = kept.tell()
            shutil.copymode(target, name)
            os.replace(name, target)
        except BaseException:
            os.unlink(name)
            raise
        self.failed = 0


def read_journal(path: Path, *, retry_errors: bool = False) -> Journal:
    """Reads what a file of rows has; changes nothing. Memory: a digest for each row.

    Args:
        path: the file; without one, the journal is empty.
        retry_errors: whether the inputs of error rows are to be done again.

    Raises:
        UsageError: it is no file of rows.
        MViTError: it cannot be read.
    """
    journal = Journal(path, retry_errors)
    if not path.exists():
        return journal
    if not path.is_file():
        raise UsageError(f"--resume: {path} is no regular file", _OTHER_FILE)
    try:
        for number, line, row in _rows(path):
            journal._size += len(line)
            if row is not None:
                journal._end = journal._size
                _enter(journal, number, row)
    except OSError as error:
        raise MViTError(f"--output {path}: {error.strerror}", "choose another place") from error
    return journal


def _enter(journal: Journal, number: int, row: dict[str, Any]) -> None:
    if row["status"] == "ok":
        journal.ok += 1
        journal._first_of.setdefault(tuple(str(row[name]) for name in IDENTITY), number)
    else:
        journal.failed += 1
    if row["status"] == "ok" or not journal.retry_errors:
        journal._done[_digest(row["path"])] += 1


def _rows(path: Path) -> Iterator[tuple[int, bytes, dict[str, Any] | None]]:
    """Yields number, text and row of each line; a torn last line has no row."""
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            if line.endswith(b"\n"):
                yield number, line, _row(path, number, line)
            elif _ROW_BEGINS.startswith(line[: len(_ROW_BEGINS)]):
                yield number, line, None
            else:
                raise _no_row(path, number)


def _row(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line)
        keys = {"ok": ("path", *IDENTITY), "error": ("path",)}[row["status"]]
        whole = "window" not in row and all(isinstance(row[key], str) for key in keys if key != "preset")
    except (ValueError, KeyError, TypeError, RecursionError):
        whole = False
    if not whole:
        raise _no_row(path, number)
    assert isinstance(row, dict)
    return row


def _lock(stream: BinaryIO) -> bool:
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


def _no_row(path: Path, number: int) -> UsageError:
    return UsageError(f"--resume: line {number} of {path} is no row of a file that `mvit predict` wrote", _OTHER_FILE)


def _digest(path: str) -> bytes:
    """16 bytes: two paths in 10^12 are the same with a chance of 10^-15."""
    return blake2b(path.encode("utf-8", "surrogatepass"), digest_size=16).digest()
