"""What this machine can do at most: the rate of large matrix products."""

import time
from functools import partial
from typing import TYPE_CHECKING

from mvit_cli.profiling.timing import timed

if TYPE_CHECKING:
    import torch

SIZES = {"cpu": (256, 512, 1024, 2048), "mps": (1024, 2048, 4096), "cuda": (2048, 4096, 8192)}
REPEATS = 5
LIMIT_S = 1.0
"""Time for one size; larger sizes are left out where a single product takes longer."""


def device_name(device: "torch.device") -> str:
    """The processor's name, as its maker calls it."""
    import platform
    from pathlib import Path

    import torch

    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    if device.type == "cpu" and cpuinfo.is_file():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def matmul_macs_per_s(device: "torch.device", dtype: "torch.dtype") -> float:
    """The best rate of square matrix products, MACs per second, over several sizes and repeats.

    The second matrix lies transposed, as the weights of a linear layer do: on a CPU without 16-bit arithmetic that is
    up to ten times faster.
    """
    import torch
    import torch.nn.functional as F

    best = 0.0
    for size in SIZES[device.type]:
        a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        product = partial(F.linear, a, b)
        begin, seconds = time.perf_counter(), [timed(product, device)]
        while len(seconds) <= REPEATS and time.perf_counter() - begin < LIMIT_S:
            seconds.append(timed(product, device))
        best = max(best, size**3 / min(seconds))
        if min(seconds) > LIMIT_S / 8:  # the next size takes eight times as long
            break
    return best
