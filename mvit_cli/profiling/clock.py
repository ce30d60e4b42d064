"""Moments on the clock of a device."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

Moment = Callable[[], float]
"""Asked after the run: milliseconds on the device's clock."""

Clock = Callable[[], Moment]

HEAD_START_CYCLES = 20_000_000
"""About ten milliseconds of a GPU."""


def synchronize(device: "torch.device") -> None:
    """Waits until everything given to the device is done."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def clock_of(device: "torch.device") -> Clock:
    """A clock that says when all work given so far was done.

    On CUDA it puts an event into the stream, and nothing waits for the GPU while it runs; on mps it waits.
    """
    return _stream_clock(device) if device.type == "cuda" else _host_clock(device)


def give_head_start(device: "torch.device") -> None:
    """Keeps a GPU waiting while the host queues work, so that the events around an operator see nothing but it."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
        with torch.cuda.device(device):
            torch.cuda._sleep(HEAD_START_CYCLES)


def _stream_clock(device: "torch.device") -> Clock:
    import torch

    stream = torch.cuda.current_stream(device)
    first = torch.cuda.Event(enable_timing=True)
    first.record(stream)

    def now() -> Moment:
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(device))
        return lambda: first.elapsed_time(event)

    return now


def _host_clock(device: "torch.device") -> Clock:
    def now() -> Moment:
        synchronize(device)
        moment = 1000 * time.perf_counter()
        return lambda: moment

    return now
