"""Timing of one forward pass: warm-up until it is stable, then quantiles."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from mvit_cli.profiling.clock import synchronize

if TYPE_CHECKING:
    import torch

STABLE = 0.05
"""Two runs in a row that differ by less than this share count as warmed up."""
MOST_WARM_UPS = 20
WARM_UP_LIMIT_S = 60.0


def timed(run: Callable[[], object], device: "torch.device") -> float:
    """Seconds of one run, from an idle device to an idle device."""
    synchronize(device)
    start = time.perf_counter()
    run()
    synchronize(device)
    return time.perf_counter() - start


def warm_up(run: Callable[[], object], device: "torch.device") -> int:
    """Runs until two runs in a row take the same time; the number of runs.

    The first run is never compared: it allocates, chooses kernels and, where asked for, compiles.
    """
    timed(run, device)
    begin = time.perf_counter()
    before = timed(run, device)
    for runs in range(3, MOST_WARM_UPS + 1):
        now = timed(run, device)
        if abs(now - before) <= STABLE * before or time.perf_counter() - begin > WARM_UP_LIMIT_S:
            return runs
        before = now
    return MOST_WARM_UPS


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie, interpolated between neighbours."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def median(values: Sequence[float]) -> float:
    """The value in the middle."""
    return quantile(values, 0.5)
