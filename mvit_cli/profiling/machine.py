"""What this machine can do at most: the rates of large matrix products and of copies."""

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from mvit_cli.profiling.timing import timed

if TYPE_CHECKING:
    import torch

SIZES = {"cpu": (256, 512, 1024, 2048), "mps": (1024, 2048, 4096), "cuda": (2048, 4096, 8192)}
REPEATS = 20
LIMIT_S = 1.0
"""Time for one size; larger sizes are left out where a single product takes longer."""

COPY_BYTES = {"cpu": 1 << 28, "mps": 1 << 28, "cuda": 1 << 30}
"""Of each of both buffers: far more than any cache holds."""

COPY_REPEATS = 5

CACHE_COPY_BYTES = 1 << 18
"""Of each of both buffers: what the cache next to a core holds."""

CACHE_COPIES = 10
"""Timed together: a single one takes microseconds."""


@dataclass(frozen=True)
class Limits:
    """The best rates measured on a device in a number format.

    Attributes:
        macs_per_s: of square matrix products.
        copy_bytes_per_s: read and written, of copies in memory.
        cache_bytes_per_s: of copies that stay in a processor's cache; None on a GPU, where it is not measured.
    """

    macs_per_s: float
    copy_bytes_per_s: float
    cache_bytes_per_s: float | None

    def best(self, other: "Limits") -> "Limits":
        """The better of two measurements in each."""
        pair = self.cache_bytes_per_s, other.cache_bytes_per_s
        return Limits(
            max(self.macs_per_s, other.macs_per_s),
            max(self.copy_bytes_per_s, other.copy_bytes_per_s),
            None if pair[0] is None or pair[1] is None else max(pair[0], pair[1]),
        )


def limits_of(device: "torch.device", dtype: "torch.dtype") -> Limits:
    """Measures the ceilings of a roofline."""
    return Limits(
        matmul_macs_per_s(device, dtype),
        copy_bytes_per_s(device, dtype, COPY_BYTES[device.type]),
        copy_bytes_per_s(device, dtype, CACHE_COPY_BYTES, CACHE_COPIES) if device.type == "cpu" else None,
    )


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


def copy_bytes_per_s(device: "torch.device", dtype: "torch.dtype", num_bytes: int, copies: int = 1) -> float:
    """The best rate of copies of `num_bytes`, several timed together; a byte read and written counts as two."""
    import torch

    source = torch.zeros(num_bytes // dtype.itemsize, device=device, dtype=dtype)
    target = torch.zeros_like(source)

    def copy() -> None:
        for _ in range(copies):
            target.copy_(source)

    timed(copy, device)
    return 2 * num_bytes * copies / min(timed(copy, device) for _ in range(REPEATS if copies > 1 else COPY_REPEATS))
