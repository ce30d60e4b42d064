"""Memory that the pool and a worker both see: pixels cross without being copied into a pipe."""

import mmap
import os
import sys
import tempfile
import uuid
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Slot:
    """Room for one array, growing as needed.

    On POSIX it is a file without a name, inherited by its descriptor, so that nothing is left over however the
    processes end. On Windows it is named memory, which ends with its last user.

    Args:
        handle: descriptor or name, as the other process tells; None makes a new slot.
    """

    def __init__(self, handle: int | str | None = None) -> None:
        self.handle = _create() if handle is None else handle
        self._map: mmap.mmap | None = None

    def array(self, shape: tuple[int, ...], dtype: "str | type[np.generic]") -> "NDArray[Any]":
        """The slot as an array; what the other process wrote with the same shape and dtype stands in it."""
        import numpy as np

        kind = np.dtype(dtype)
        size = max(1, int(np.prod(shape)) * kind.itemsize)
        if self._map is None or len(self._map) < size:
            self._map = _map(self.handle, size)
        return np.frombuffer(self._map, kind, count=int(np.prod(shape))).reshape(shape)

    def close(self) -> None:
        self._map = None  # unmapped with the last array on it
        if isinstance(self.handle, int):
            os.close(self.handle)


def anonymous_file() -> IO[bytes]:
    """Makes a file without a name, in memory where the system can."""
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("mvit"), "w+b", buffering=0)
    return tempfile.TemporaryFile(buffering=0)


if sys.platform == "win32":

    def _create() -> int | str:
        return f"mvit-{uuid.uuid4().hex}"

    def _map(handle: int | str, size: int) -> mmap.mmap:
        # Named memory keeps the size it was made with.
        return mmap.mmap(-1, size, tagname=f"{handle}-{size}")

else:
    import fcntl

    def _create() -> int | str:
        if hasattr(os, "memfd_create") and hasattr(fcntl, "F_SEAL_SHRINK"):
            descriptor = os.memfd_create("mvit", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            # Whoever maps memory that the other process cuts off is killed when it reads there.
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
            return descriptor
        with anonymous_file() as file:
            return os.dup(file.fileno())

    def _map(handle: int | str, size: int) -> mmap.mmap:
        assert isinstance(handle, int)
        if os.fstat(handle).st_size < size:
            os.ftruncate(handle, size)
        return mmap.mmap(handle, size)
