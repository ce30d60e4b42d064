"""Pooling attention, the part that makes a transformer multiscale, and what moves between tokens and grids.

Sections: tokens and grids; pooling; pooling attention; MLP. The blocks built of them are in `mvit.py` and, for two
streams, in `reversible.py`. The letters and shapes are explained atop `mvit.py`.
"""

from math import prod
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mvit_cli.arch.blocks import BlockSpec
from mvit_cli.arch.config import MViTConfig
from mvit_cli.arch.grid import THW, half
from mvit_cli.model.position import relative_position_bias

LAYER_NORM_EPS = 1e-6


# --- tokens and grids: these three functions own every reshape between the two


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


# --- pooling: MViT paper, section 3.1, equation 1


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
        if self.mode == "max":
            return F.max_pool3d(grid, self.kernel, self.stride, self.padding)
        return average_pool(grid, self.kernel, self.stride)


def average_pool(grid: Tensor, kernel: THW, stride: THW) -> Tensor:
    """Averages `(B, C, T, H, W)` over windows padded by half the kernel with zeros, which count.

    They are zeros of our own, as torch refuses to average a grid smaller than the kernel, padded or not.
    """
    t, h, w = half(kernel)
    return F.avg_pool3d(F.pad(grid, (w, w, h, h, t, t)), kernel, stride)


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


# --- pooling attention: MViT paper, section 3.1, equations 2 and 3; MViTv2 paper, section 4.1, equations 4 and 5


class PooledQKV(NamedTuple):
    """What the softmax of a block sees: `softmax(scale * q k^T + bias) v`.

    Attributes:
        q: `(B, H, N', D)`, not scaled.
        k, v: `(B, H, N_k, D)`.
        bias: the relative positions, `(B, H, N', N_k)`; None where the network has none.
        q_thw, k_thw: grids of the queries and of the keys.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    bias: Tensor | None
    q_thw: THW
    k_thw: THW


class PoolingAttention(nn.Module):
    """Attention whose queries, keys and values are pooled on the grid of tokens."""

    def __init__(self, config: MViTConfig, block: BlockSpec) -> None:
        super().__init__()
        self.heads, self.scale = block.heads, block.head_dim**-0.5
        self.pool_first = config.pool_first
        self.residual_pooling, self.residual_pooling_cls = config.residual_pooling, config.residual_pooling_cls
        self.qkv = nn.Linear(block.dim_in, 3 * block.dim_attn, bias=config.qkv_bias)
        self.proj = nn.Linear(block.dim_attn, block.dim_attn)
        self._add_pooling("q", config, block, block.kernel_q, block.stride_q)
        self._add_pooling("k", config, block, block.kernel_kv, block.stride_kv)
        self._add_pooling("v", config, block, block.kernel_kv, block.stride_kv)
        for axis, rows in zip("thw", block.rel_pos_thw, strict=True):
            table = nn.Parameter(nn.init.trunc_normal_(torch.empty(rows, block.head_dim), std=0.02)) if rows else None
            self.register_parameter(f"rel_pos_{axis}", table)

    def _add_pooling(self, part: str, config: MViTConfig, block: BlockSpec, kernel: THW | None, stride: THW) -> None:
        """Pooling of Q, K or V: `pool_q` and so on; a convolution is followed by LayerNorm over all tokens."""
        pool = TokenPool(block.head_dim, kernel, stride, config.pool_mode) if kernel else None
        norm = nn.LayerNorm(block.head_dim, LAYER_NORM_EPS) if kernel and config.pool_mode == "conv" else None
        self.register_module(f"pool_{part}", pool)
        self.register_module(f"norm_{part}", norm)

    def forward(self, x: Tensor, thw: THW) -> tuple[Tensor, THW]:
        """`(B, N, C_in)` on the grid `thw` -> `(B, N', C)` and the grid of the pooled query."""
        q, k, v, bias, q_thw, _ = self.pooled_qkv(x, thw)
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=self.scale)
        if self.residual_pooling:
            x = x + self.residual(q, q_thw)
        x = x.transpose(1, 2).flatten(2)  # (B, N', C)
        return self.proj(x), q_thw

    def pooled_qkv(self, x: Tensor, thw: THW) -> PooledQKV:
        """Queries, keys, values and relative positions of normalised tokens `(B, N, C_in)` on the grid `thw`."""
        (q, q_thw), (k, k_thw), (v, _) = self.project_and_pool(x, thw)
        return PooledQKV(q, k, v, self._bias(q, q_thw, k_thw), q_thw, k_thw)

    def project_and_pool(self, x: Tensor, thw: THW) -> list[tuple[Tensor, THW]]:
        """The same without the relative positions: Q, K and V, each `(B, H, N, D)`, with its grid."""
        if self.pool_first:
            return self._project_pooled(x, thw)
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # each (B, H, N, D)
        return [self._pool("q", q, thw), self._pool("k", k, thw), self._pool("v", v, thw)]

    def pooled_as_queries(self, x: Tensor, thw: THW) -> Tensor:
        """`(B, N, C)` -> `(B, N', C)`, each head pooled and normalised by what pools the queries."""
        pooled, _ = self._pool("q", x.unflatten(2, (self.heads, -1)).transpose(1, 2), thw)
        return pooled.transpose(1, 2).flatten(2)

    def _pool(self, part: str, x: Tensor, thw: THW) -> tuple[Tensor, THW]:
        """Pool every head of `(B, H, N, D)` alike."""
        pool, norm = getattr(self, f"pool_{part}"), getattr(self, f"norm_{part}")
        if pool is None:
            return x, thw
        pooled, pooled_thw = pool(x.flatten(0, 1), thw)
        pooled = pooled.unflatten(0, x.shape[:2])
        return (pooled if norm is None else norm(pooled)), pooled_thw

    def _project_pooled(self, x: Tensor, thw: THW) -> list[tuple[Tensor, THW]]:
        """Pool the incoming tokens three times, then project each to Q, K or V."""
        heads = x.unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, H, N, D)
        pooled = [self._pool(part, heads, thw) for part in "qkv"]
        weights = self.qkv.weight.chunk(3)
        biases = (None, None, None) if self.qkv.bias is None else self.qkv.bias.chunk(3)
        return [
            (F.linear(part.transpose(1, 2).flatten(2), w, b).unflatten(2, (self.heads, -1)).transpose(1, 2), grid)
            for (part, grid), w, b in zip(pooled, weights, biases, strict=True)
        ]

    def _bias(self, q: Tensor, q_thw: THW, k_thw: THW) -> Tensor | None:
        """Relative positions of grid tokens, `(B, H, N', N_k)`; nothing is added where the class token takes part.

        Source: MViTv2 paper, section 4.1, equation 4.
        """
        tables = {axis: getattr(self, f"rel_pos_{axis}") for axis in "thw"}
        if all(table is None for table in tables.values()):
            return None
        cls, tokens = split_cls(q.flatten(0, 1), q_thw)
        num_cls = cls.shape[1]
        bias = relative_position_bias(tokens.unflatten(0, q.shape[:2]), tables, q_thw, k_thw)
        return F.pad(bias, (num_cls, 0, num_cls, 0))

    def residual(self, q: Tensor, q_thw: THW) -> Tensor:
        """The pooled query, without the class token's unless configured. MViTv2 paper, equation 5."""
        if self.residual_pooling_cls:
            return q
        cls, tokens = split_cls(q.flatten(0, 1), q_thw)
        return torch.cat((torch.zeros_like(cls), tokens), dim=1).unflatten(0, q.shape[:2])


# --- MLP: MViT paper, section 3.2


class Mlp(nn.Module):
    """Two linear layers with an exact (erf) GELU between them."""

    def __init__(self, dim_in: int, hidden: int, dim_out: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim_in, hidden)
        self.fc2 = nn.Linear(hidden, dim_out)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, N, C_in)` -> `(B, N, C_out)`."""
        return self.fc2(F.gelu(self.fc1(x)))
