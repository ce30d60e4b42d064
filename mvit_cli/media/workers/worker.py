"""The process that decodes: jobs come by standard input, answers go to standard output, pixels by shared memory.

A job is JSON (`wire.py`); its number alone says that the last window has been taken out of the memory, and the next may
go in.
Started by `process.WorkerProcess` as a program of its own, so that it never runs the user's script again and never
loads torch. Native libraries write what they like to descriptors 1 and 2: both lead to a file where the pool looks for
last words.
"""

import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from mvit_cli.media.decode import Allocate
from mvit_cli.media.request import AtWork, Decoded, DecodeRequest, Outcome, is_last
from mvit_cli.media.video.decord_reader import STDERR, DecordReader, decord_is_installed
from mvit_cli.media.windows import outcomes_of
from mvit_cli.media.workers.shared import Slot
from mvit_cli.media.workers.wire import job_of, packed, read_frame, write_frame

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Work = Callable[[DecodeRequest, Allocate], Iterator[Outcome | AtWork]]

PR_SET_NO_NEW_PRIVS = 38  # linux/prctl.h


def main(work: Work = outcomes_of) -> None:
    """Decodes until the pool closes the pipe.

    Args:
        work: what is done for each request.
    """
    settings = json.loads(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the pool's to answer
    jobs_from, answers_to = private_pipes()
    renounce_privileges()
    _load_libraries()
    slots = [Slot(handle) for handle in settings["slots"]]
    jobs: queue.SimpleQueue[tuple[int, int, DecodeRequest, float]] = queue.SimpleQueue()
    leaves: queue.SimpleQueue[int] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(jobs_from, jobs, leaves), daemon=True).start()
    limit_memory(settings["memory_bytes"])
    say(answers_to, {"says": "ready"})
    while True:
        number, slot, request, limit_s = jobs.get()
        os.ftruncate(STDERR, 0)
        os.lseek(STDERR, 0, os.SEEK_SET)
        room = _Room(number, slots[slot], leaves, limit_s)
        _arm(limit_s)
        for outcome in work(request, room.array):
            room.is_full |= isinstance(outcome, Decoded) and not is_last(outcome)
            _send(answers_to, *packed(number, outcome))
            _arm(limit_s)
        _arm(0)


class _Room:
    """The slot of one job: given out for the next window once the pool has taken the last one out of it."""

    def __init__(self, number: int, slot: Slot, leaves: queue.SimpleQueue[int], limit_s: float) -> None:
        self._number, self._slot, self._leaves, self._limit_s = number, slot, leaves, limit_s
        self.is_full = False

    def array(self, shape: tuple[int, ...], dtype: "str | type[np.generic]") -> "NDArray[Any]":
        _arm(0)  # the pool may have no use for more for long
        while self.is_full:
            self.is_full = self._leaves.get() != self._number
        _arm(self._limit_s)
        return self._slot.array(shape, dtype)


def _load_libraries() -> None:
    """Loads what decoding needs: its size belongs to the start, and not to the memory one file may take.

    All of it: a module that is loaded in the middle of a call would clear the errno that `MemoryWatch` reads.
    """
    import av.subtitles.stream
    import numpy
    import PIL.ImageOps

    PIL.Image.init()

    if decord_is_installed():
        import decord  # after av, which would silence its messages

        DecordReader.overhears = os.name == "posix"
        del decord
    del av, numpy, PIL


def renounce_privileges() -> None:
    """No program that this process might start gets more rights than it has (Linux: set-user-ID programs do not)."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def private_pipes() -> tuple[int, int]:
    """Where jobs come from and answers go; what libraries write to descriptors 1 and 2 goes to the last words."""
    jobs_from, answers_to = os.dup(0), os.dup(1)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(STDERR, 1)
    return jobs_from, answers_to


def _receive(
    jobs_from: int,
    jobs: queue.SimpleQueue[tuple[int, int, DecodeRequest, float]],
    leaves: queue.SimpleQueue[int],
) -> None:
    """Ends the process as soon as the pool is gone, also in the middle of a file."""
    try:
        while True:
            match job_of(read_frame(jobs_from)[0]):
                case int(number):
                    leaves.put(number)
                case job:
                    jobs.put(job)
    finally:
        os._exit(0)


def _send(answers_to: int, text: bytes, behind: bytes = b"") -> None:
    try:
        write_frame(answers_to, text, behind)
    except BrokenPipeError:
        os._exit(0)


def limit_memory(memory_bytes: int) -> None:
    """Limits the address space to what is in use now and `memory_bytes` more, where the system can."""
    if sys.platform != "linux":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with open("/proc/self/statm") as file:
        in_use = int(file.read().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = in_use + memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def set_up(load: Callable[[], None]) -> tuple[int, int, list[Slot]]:
    """Makes this process one that is asked by `Conversation`, and says that it is ready.

    Args:
        load: loads libraries, whose size is not part of what the process may take.

    Returns:
        Where it is asked, where its answers go, and its slots.
    """
    settings = json.loads(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever asks
    asked_from, answers_to = private_pipes()
    renounce_privileges()
    load()
    slots = [Slot(handle) for handle in settings["slots"]]
    limit_memory(settings["memory_bytes"])
    say(answers_to, {"says": "ready"})
    return asked_from, answers_to, slots


def say(answers_to: int, said: dict[str, Any]) -> None:
    """Says something without anything behind it; ends the process where nobody listens."""
    _send(answers_to, json.dumps(said).encode())


def _arm(limit_s: float) -> None:
    """Has the system end this process some time after the pool should have: also without a pool that lives."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, limit_s and 2 * limit_s + 10)


if __name__ == "__main__":
    main()
