"""A worker whose work is decided by the name of the file: how the pool takes every end a decoder can come to."""

import contextlib
import os
import pickle
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mvit_cli.errors import MediaError
from mvit_cli.media.request import AT_WORK, AtWork, Clip, Decoded, DecodeRequest, Window
from mvit_cli.media.workers import wire, worker


def work(request: DecodeRequest, allocate) -> Decoded | MediaError:
    name = Path(request.path).name
    if name == "abort":
        os.write(2, b"chatter\nterminate called after throwing an instance of 'std::length_error'\n\n")
        os.abort()
    if name == "segv":
        os.kill(os.getpid(), signal.SIGSEGV)
    if name == "bad_alloc":
        os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n")
        os.abort()
    if name == "exit":
        os._exit(3)
    if name == "hang":
        time.sleep(1000)
    if name == "eat":
        try:
            np.ones(1 << 34, np.uint8)
        except MemoryError:
            return MediaError("memory", "too much")
    if name == "noise":
        for _ in range(300):
            os.write(2, b"x" * 10_000)
            os.write(1, b"y" * 10_000)
    if name == "error":
        return MediaError("decode", "broken", "mend it")
    if name == "nap":
        for _ in range(15):  # a second and a half of work, whenever it is
            time.sleep(0.1)
    if name.startswith("lie"):
        lies = {"lie": b"{}", "lie-number": b'{"says": "alive", "number": 99}', "lie-pickle": pickle.dumps(name)}
        for descriptor in range(3, 64):  # that of the pipe is not told
            with contextlib.suppress(OSError):
                if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
                    wire.write_frame(descriptor, lies[name])
        time.sleep(1000)
    if name.startswith("slow"):
        time.sleep(0.3)
    if name.startswith("once"):  # dies the first time only
        mark = Path(request.path)
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    side = request.transform.crop
    pixels = allocate((1, 1, side, side, 3), np.uint8)
    pixels[...] = int(name) if name.isdigit() else 255
    return Decoded(pixels, (Clip((0,), 0.0, float(os.getpid())),), 0.0, "test", (), 0.0)


FILM_WINDOWS = 12


def film(request: DecodeRequest, allocate) -> Iterator[Decoded | AtWork]:
    """A film of 12 windows; in the fifth it comes to the end that its name says. A log beside its path says how far."""
    side = request.transform.crop
    for number in range(request.first_window, FILM_WINDOWS):
        with open(f"{request.path}.log", "a") as log:
            log.write(f"{number}\n")
        name = Path(request.path).name
        if number == 4 and name.startswith("film-hang"):
            time.sleep(1000)
        if number == 4 and name.startswith("film-dies"):
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 4 and name.startswith("film-once") and not Path(request.path).exists():
            Path(request.path).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if name.startswith("film-slow"):
            for _ in range(4):
                time.sleep(0.3)
                yield AT_WORK
        pixels = allocate((1, 1, side, side, 3), np.uint8)
        pixels[...] = number
        window = Window(number, number * 2.0, number * 2.0 + 2, FILM_WINDOWS * 2.0, number == FILM_WINDOWS - 1)
        yield Decoded(pixels, (Clip((0,), 0.0, 1.0),), FILM_WINDOWS * 2.0, "test", (), 0.0, window=window)


def outcomes_of(request: DecodeRequest, allocate) -> Iterator[Decoded | MediaError | AtWork]:
    if request.windows:
        yield from film(request, allocate)
    else:
        yield work(request, allocate)


def main() -> None:
    worker.main(outcomes_of)
