"""Features that were computed once, kept on disk: a file of numbers, and a line of JSON for each clip of it.

The name of the cache is the digest of all that features depend on but the clip: weights, protocol, number format. A
clip is known by the digest of its file, not by its name. A run that is killed loses the batch it was at. Several runs
may append to one cache: each takes its turn, a clip at a time.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FLOAT_BYTES = 4


@dataclass(frozen=True)
class Kept:
    """One clip's place in the cache.

    Attributes:
        at: number of its first row.
        views: rows it has.
        thumbnail: small pictures in base64; empty where the pictures say nothing.
    """

    at: int
    views: int
    thumbnail: str


class FeatureCache:
    """The features of clips, appended as they come and read where they lie.

    Args:
        folder: of all caches; made when it is not there.
        identity: what the features depend on beside the clips; plain values.
        dims: numbers of one row.
    """

    def __init__(self, folder: Path, identity: Any, dims: int) -> None:
        text = json.dumps([identity, dims, 2], sort_keys=True, default=str)
        name = hashlib.sha256(text.encode()).hexdigest()[:24]
        folder.mkdir(parents=True, exist_ok=True)
        self.path, self.dims = folder / f"{name}.f32", dims
        self._numbers: BinaryIO = self.path.open("ab")
        self._lines: BinaryIO = self.path.with_suffix(".jsonl").open("ab")
        with _alone(self._numbers):
            self._rows = self._whole_rows()
            self._known = dict(self._read())
        self._seen: NDArray[np.float32] | None = None

    def __enter__(self) -> "FeatureCache":
        return self

    def __exit__(self, *_: object) -> None:
        self._numbers.close()
        self._lines.close()

    def _whole_rows(self) -> int:
        """Rows of the file of numbers; what a killed run left of a row is cut off."""
        rows = os.path.getsize(self.path) // (FLOAT_BYTES * self.dims)
        self._numbers.truncate(rows * FLOAT_BYTES * self.dims)
        return rows

    def _read(self) -> Iterator[tuple[str, Kept]]:
        rows = os.path.getsize(self.path) // (FLOAT_BYTES * self.dims)
        for line in self.path.with_suffix(".jsonl").read_bytes().splitlines():
            try:
                key, at, views, thumbnail = json.loads(line)
            except ValueError:  # the line that a killed run was writing
                continue
            if at + views <= rows:
                yield key, Kept(at, views, thumbnail)

    def find(self, key: str) -> Kept | None:
        """Where the features of a clip lie; None if they are not there."""
        return self._known.get(key)

    def add(self, key: str, features: "NDArray[np.float32]", thumbnail: str) -> Kept:
        """Appends the features `(views, dims)` of a clip."""
        import numpy as np

        if features.ndim != 2 or features.shape[1] != self.dims:
            raise ValueError(f"features must be (views, {self.dims}), not {features.shape}")
        with _alone(self._numbers):
            kept = Kept(self._whole_rows(), len(features), thumbnail)
            self._numbers.write(np.ascontiguousarray(features, "<f4").tobytes())
            self._numbers.flush()
            is_first = os.path.getsize(self._lines.name) == 0
            self._lines.write(b"\n" * (not is_first) + json.dumps([key, kept.at, kept.views, thumbnail]).encode())
            self._lines.flush()
        self._rows = kept.at + len(features)
        self._known[key] = kept
        return kept

    def rows(self) -> "NDArray[np.float32]":
        """All numbers, `(rows, dims)`, in the file: nothing is read before it is looked at.

        A process may look at so many files at once (65,530 on Linux): what has not grown is looked at through one.
        """
        import numpy as np

        if self._seen is None or len(self._seen) < self._rows:
            shape = (self._rows, self.dims)
            self._seen = np.memmap(self.path, "<f4", "r", shape=shape) if self._rows else np.empty(shape, np.float32)
        return self._seen


@contextmanager
def _alone(stream: BinaryIO) -> Iterator[None]:
    """While it lasts no other run writes, where the system can say so (Windows, and some network folders, cannot)."""
    try:
        import fcntl

        fcntl.flock(stream, fcntl.LOCK_EX)
    except (ImportError, OSError):
        yield
        return
    try:
        yield
    finally:
        fcntl.flock(stream, fcntl.LOCK_UN)


def digest_of(path: str) -> str:
    """sha256 of a file's bytes.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
