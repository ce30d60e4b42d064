"""Pooling of token sequences on their grid, and the two functions that own every reshape between the two.

B batch, N tokens (class token + T*H*W), C channels, H heads, D head dim.
"""

from math import prod
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mvit_cli.arch.grid import THW, half

LAYER_NORM_EPS = 1e-6


def tokens_to_grid(tokens: Tensor, thw: THW) -> Tensor:
    """`(B, T*H*W, C)` -> `(B, C, T, H, W)`."""
    return tokens.transpose(1, 2).unflatten(2, thw)


def grid_to_tokens(grid: Tensor) -> Tensor:
    """`(B, C, T, H, W)` -> `(B, T*H*W, C)`."""
    return grid.flatten(2).transpose(1, 2)


def split_cls(tokens: Tensor, thw: THW) -> tuple[Tensor, Tensor]:
    """The class token (or an empty sequence) and the grid tokens of `(B, N, C)`."""
    num_cls = tokens.shape[1] - prod(thw)
    return tokens[:, :num_cls], tokens[:, num_cls:]


class TokenPool(nn.Module):
    """Pools the tokens of each head on their grid; the class token passes by.

    Mode "conv" is a depthwise convolution whose kernel the heads share; "max" and "avg" have no parameters.
    Source: MViT paper, section 3.1 and Table 15.
    """

    weight: nn.Parameter | None

    def __init__(self, head_dim: int, kernel: THW, stride: THW, mode: Literal["conv", "max", "avg"]) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding, self.mode = kernel, stride, half(kernel), mode
        weight = nn.Parameter(torch.empty(head_dim, 1, *kernel)) if mode == "conv" else None
        self.register_parameter("weight", weight)

    def forward(self, x: Tensor, thw: THW) -> tuple[Tensor, THW]:
        """`(B*H, N, D)` on the grid `thw` -> the pooled tokens and their grid."""
        cls, tokens = split_cls(x, thw)
        grid = self.pool(tokens_to_grid(tokens, thw))
        t, h, w = grid.shape[2:]
        return torch.cat((cls, grid_to_tokens(grid)), dim=1), (t, h, w)

    def pool(self, grid: Tensor) -> Tensor:
        """`(B*H, D, T, H, W)` -> the smaller grid."""
        if self.weight is not None:
            return F.conv3d(grid, self.weight, None, self.stride, self.padding, groups=grid.shape[1])
        pool = F.max_pool3d if self.mode == "max" else F.avg_pool3d
        return pool(grid, self.kernel, self.stride, self.padding)


class SkipPool(nn.Module):
    """Max-pools the tokens of the skip connection as the query is pooled; the class token passes by."""

    def __init__(self, kernel: THW, stride: THW) -> None:
        super().__init__()
        self.kernel, self.stride, self.padding = kernel, stride, half(kernel)

    def forward(self, x: Tensor, thw: THW) -> Tensor:
        """`(B, N, C)` on the grid `thw` -> `(B, N', C)`."""
        cls, tokens = split_cls(x, thw)
        grid = F.max_pool3d(tokens_to_grid(tokens, thw), self.kernel, self.stride, self.padding)
        return torch.cat((cls, grid_to_tokens(grid)), dim=1)
