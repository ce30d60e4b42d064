"""The process that decodes: jobs come by standard input, answers go to standard output, pixels by shared memory.

Started by `process.WorkerProcess` as a program of its own, so that it never runs the user's script again and never
loads torch. Native libraries write what they like to descriptors 1 and 2: both lead to a file where the pool looks for
last words.
"""

from __future__ import annotations

import json
import os
import pickle
import queue
import signal
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

from mvit_cli.media.decode import attempt
from mvit_cli.media.decord_reader import STDERR, DecordReader, decord_is_installed
from mvit_cli.media.protocol import Decoded
from mvit_cli.media.shared import Slot

if TYPE_CHECKING:
    from collections.abc import Callable

    from mvit_cli.errors import MediaError
    from mvit_cli.media.decode import Allocate
    from mvit_cli.media.protocol import DecodeRequest

    Attempt = Callable[[DecodeRequest, Allocate], Decoded | MediaError]

READY = "ready"


def main(work: Attempt = attempt) -> None:
    """Decodes until the pool closes the pipe.

    Args:
        work: what is done for each request.
    """
    settings = json.loads(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the pool's to answer
    jobs_from, answers_to = _private_pipes()
    _load_libraries()
    _limit_memory(settings["memory_bytes"])
    slots = [Slot(handle) for handle in settings["slots"]]
    jobs: queue.SimpleQueue[tuple[int, int, DecodeRequest, float]] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(jobs_from, jobs), daemon=True).start()
    _send(answers_to, READY)
    while True:
        number, slot, request, limit_s = jobs.get()
        _arm(limit_s)
        os.ftruncate(STDERR, 0)
        os.lseek(STDERR, 0, os.SEEK_SET)
        outcome = work(request, slots[slot].array)
        _arm(0)
        if isinstance(outcome, Decoded):
            pixels = outcome.pixels
            _send(answers_to, (number, replace(outcome, pixels=None), pixels.shape, pixels.dtype.str))
        else:
            _send(answers_to, (number, (outcome.kind, outcome.message, outcome.hint), None, None))


def _load_libraries() -> None:
    """Loads what decoding needs: its size belongs to the start, and not to the memory one file may take."""
    import av
    import numpy
    import PIL.Image

    if decord_is_installed():
        import decord  # after av, which would silence its messages

        DecordReader.overhears = os.name == "posix"
        del decord
    del av, numpy, PIL


def _private_pipes() -> tuple[BinaryIO, BinaryIO]:
    jobs_from, answers_to = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(STDERR, 1)
    return jobs_from, answers_to


def _receive(jobs_from: BinaryIO, jobs: queue.SimpleQueue[tuple[int, int, DecodeRequest, float]]) -> None:
    """Ends the process as soon as the pool is gone, also in the middle of a file."""
    try:
        while True:
            jobs.put(pickle.load(jobs_from))
    finally:
        os._exit(0)


def _send(answers_to: BinaryIO, answer: object) -> None:
    try:
        pickle.dump(answer, answers_to)
        answers_to.flush()
    except BrokenPipeError:
        os._exit(0)


def _limit_memory(memory_bytes: int) -> None:
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


def _arm(limit_s: float) -> None:
    """Has the system end this process some time after the pool should have: also without a pool that lives."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, limit_s and 2 * limit_s + 10)


if __name__ == "__main__":
    main()
