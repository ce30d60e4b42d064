"""The fast path's layout of tokens: one matrix with a row a token, and pooling that works on it without a copy.

All grid tokens of the batch come first, clip by clip, then all class tokens. So a linear layer or a norm is one call
for everything, and the first part is a dense channels-last grid: no token is moved before or after a convolution.

B batch, T*H*W grid, C channels (all heads side by side), R rows (B*T*H*W grid tokens + B class tokens).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mvit_cli.arch.grid import THW, half, pooled_grid, pooled_length
from mvit_cli.model.pooling_attention import TokenPool, average_pool, split_cls

CPU_ROWS = 1024
"""Float32 rows at a time through the MLP: enough for products, little enough for the cache (best of 200 to 25,000).

Of a format half as wide twice as many: the whole MViT-B in 0.92 of the time.
"""
WORTH_GATHERING = 0.7
"""Share of the positions up to which projecting only those is faster than projecting all; gathering costs a copy."""


@dataclass(frozen=True)
class RowLayout:
    """Where the tokens of a batch are in the matrix of rows."""

    batch: int
    thw: THW
    num_cls: int

    @property
    def num_grid(self) -> int:
        """Rows before the class tokens."""
        return self.batch * prod(self.thw)

    @property
    def num_rows(self) -> int:
        """All rows."""
        return self.num_grid + self.batch * self.num_cls

    def on(self, thw: THW) -> "RowLayout":
        """The same batch on another grid."""
        return replace(self, thw=thw)

    def grid(self, rows: Tensor) -> Tensor:
        """View `(B, T, H, W, C)` of the grid tokens."""
        return rows[: self.num_grid].unflatten(0, (self.batch, *self.thw))

    def cls(self, rows: Tensor) -> Tensor:
        """View `(B, 1, C)` of the class tokens; `(B, 0, C)` where there are none."""
        return rows[self.num_grid :].unflatten(0, (self.batch, self.num_cls))

    def rows_of(self, tokens: Tensor) -> Tensor:
        """`(B, N, C)`, class token first, as rows."""
        cls, grid = split_cls(tokens, self.thw)
        return torch.cat((grid.flatten(0, 1), cls.flatten(0, 1)))

    def tokens_of(self, rows: Tensor) -> Tensor:
        """Rows as `(B, N, C)`, class token first."""
        return torch.cat((self.cls(rows), self.grid(rows).flatten(1, 3)), dim=1)


def rows_at_a_time(x: Tensor) -> int:
    """How many of the rows `(R, C)` go through the MLP together: few on a CPU, all elsewhere."""
    return CPU_ROWS * 4 // x.itemsize if x.device.type == "cpu" else max(1, len(x))


def joined(grid: Tensor, cls: Tensor, dim: int = 0) -> Tensor:
    """Grid and class tokens one after the other; the grid itself, not a copy, where there is no class token."""
    return torch.cat((grid, cls), dim) if cls.shape[dim] else grid


def pool_grid(grid: Tensor, kernel: THW, stride: THW, weight: Tensor | None, mode: str) -> Tensor:
    """Pools a channels-last grid: `(B, T, H, W, C)` -> `(B, T', H', W', C)`, dense.

    The permuted view is what torch calls channels_last_3d: its convolution and its maximum have kernels for that
    format, five to ten times faster on a CPU than those for channels-first, and answer in the same format.
    """
    channels_first, padding = grid.permute(0, 4, 1, 2, 3), half(kernel)
    if weight is not None:
        pooled = F.conv3d(channels_first, weight, None, stride, padding, groups=grid.shape[4])
    elif mode == "max":
        pooled = F.max_pool3d(channels_first, kernel, stride, padding)
    else:
        pooled = average_pool(channels_first, kernel, stride)
    return pooled.permute(0, 2, 3, 4, 1).contiguous()


class FoldedPool(nn.Module):
    """Pools several parts (K and V) with all their heads in one call: the heads stay folded in the channels.

    The depthwise kernel of a head is repeated for the others, so nothing has to be split or joined.
    """

    weight: Tensor | None

    def __init__(self, parts: Sequence[TokenPool], heads: int) -> None:
        super().__init__()
        self.kernel, self.stride, self.mode = parts[0].kernel, parts[0].stride, parts[0].mode
        weights = [part.weight.detach().repeat(heads, 1, 1, 1, 1) for part in parts if part.weight is not None]
        self.register_buffer("weight", torch.cat(weights) if weights else None, persistent=False)

    def forward(self, grid: Tensor, stride: THW | None = None) -> Tensor:
        """`(B, T, H, W, C)`, C all parts and heads -> the smaller grid; `stride` for a grid of `read_positions`."""
        return pool_grid(grid, self.kernel, stride or self.stride, self.weight, self.mode)

    def thw_out(self, thw: THW) -> THW:
        """The grid that comes out."""
        return pooled_grid(thw, self.kernel, self.stride)


@dataclass(frozen=True)
class Reads:
    """The part of a grid that a strided pooling reads: their indices, the grid they make, the stride on that grid."""

    index: Tensor
    thw: THW
    stride: THW


@cache
def read_positions(thw: THW, kernel: THW, stride: THW, device: torch.device) -> Reads | None:
    """The positions a pooling reads, or None where it reads about all of them.

    A window of 3 that moves by 8 reads 3 of 8 positions on an axis: 9 of 64 in space. What it reads, put side by side,
    is a smaller grid on which the same windows move by their own width, with the same padding at the border.
    """
    axes, strides = [], []
    for length, k, s in zip(thw, kernel, stride, strict=True):
        windows = range(pooled_length(length, k, s, k // 2))
        read = {i * s + offset - k // 2 for i in windows for offset in range(k)} & set(range(length))
        # where windows touch or overlap they read everything but, perhaps, the end of the axis: not worth a gather
        axes.append(sorted(read) if s > k else list(range(length)))
        strides.append(min(s, k))
    t, h, w = (len(axis) for axis in axes)
    if t * h * w > WORTH_GATHERING * prod(thw):
        return None
    with torch.inference_mode(False):  # the cached tensor outlives this call
        positions = torch.arange(prod(thw), device="cpu").view(thw)
        for axis, read_on_axis in enumerate(axes):
            positions = positions.index_select(axis, torch.tensor(read_on_axis, device="cpu"))
        return Reads(positions.flatten().to(device), (t, h, w), (strides[0], strides[1], strides[2]))
