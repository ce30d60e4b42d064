"""A worker whose work is decided by the name of the file: how the pool takes every end a decoder can come to."""

import os
import signal
import time
from pathlib import Path

import numpy as np

from mvit_cli.errors import MediaError
from mvit_cli.media import worker
from mvit_cli.media.protocol import Clip, Decoded, DecodeRequest


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


def main() -> None:
    worker.main(lambda request, allocate: iter([work(request, allocate)]))
