"""Memory that a library was refused: most of them take a failed allocation for damage, or pass over it in silence.

What tells it is C's errno. Whatever fails to allocate sets it, decoding makes no other system call that fails, and the
decoders here run in the thread that calls them.
"""

import errno
import sys
import threading
from types import TracebackType
from typing import Any

# The most that FFmpeg and Pillow ask for at once.
LARGEST_BYTES = 1 << 31
# So near the limit a word about memory is believed.
SMALL_BYTES = 64 << 20
INVALID_DATA = -1094995529  # AVERROR_INVALIDDATA


class MemoryWatch:
    """Around a call into a library: raises MemoryError at its end where the limit of this process refused it memory.

    It does so whatever the library made of that: an error of another name, fewer frames, or nothing. And the other way
    round: where FFmpeg speaks of memory but was refused none, a damaged header asked for what cannot be, and the error
    becomes one of invalid data. On other systems than Linux it does nothing.
    """

    def __enter__(self) -> None:
        if _errno.cell is not None:
            _errno.cell.value = 0

    def __exit__(self, kind: Any, error: BaseException | None, trace: TracebackType | None) -> None:
        if _errno.cell is None:
            return
        is_refused = _errno.cell.value == errno.ENOMEM
        if isinstance(error, MemoryError):
            if kind is not MemoryError and not is_refused and not is_near_limit(SMALL_BYTES):
                from av.error import InvalidDataError

                raise InvalidDataError(-INVALID_DATA, "Invalid data found when processing input") from error
        elif is_refused and is_near_limit():
            raise MemoryError("a library was refused memory") from error


def is_near_limit(most_bytes: int = LARGEST_BYTES) -> bool:
    """Whether one allocation of `most_bytes` may have been refused to this process since its start.

    An allocation that failed far below the limit failed for another reason: the C library tries a second way where the
    heap cannot grow in one piece, and a damaged header may ask for more than any machine has.
    """
    if sys.platform != "linux":
        return False
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return False
    with open("/proc/self/status") as file:
        peak = next(int(line.split()[1]) << 10 for line in file if line.startswith("VmPeak"))
    return peak + most_bytes > limit


class _Errno(threading.local):
    """C's errno of the thread that asks; None on systems without a limit."""

    def __init__(self) -> None:
        self.cell: Any = None
        if sys.platform == "linux":
            import ctypes

            location = ctypes.CDLL(None)["__errno_location"]
            location.restype = ctypes.POINTER(ctypes.c_int)
            self.cell = location().contents


_errno = _Errno()
