"""Multi-head pooling attention. MViT paper, section 3.1; MViTv2 paper, section 4.1.

B batch, N tokens (class token + T*H*W), C channels, H heads, D head dim.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mvit_cli.arch.blocks import BlockSpec
from mvit_cli.arch.config import MViTConfig
from mvit_cli.arch.grid import THW
from mvit_cli.model.pooling import LAYER_NORM_EPS, TokenPool, split_cls
from mvit_cli.model.position import relative_position_bias


class PoolingAttention(nn.Module):
    """Attention whose queries, keys and values are pooled on the grid of tokens."""

    def __init__(self, config: MViTConfig, block: BlockSpec) -> None:
        super().__init__()
        self.heads, self.scale = block.heads, block.head_dim**-0.5
        self.pool_first = config.pool_first
        self.residual_pooling, self.residual_pooling_cls = config.residual_pooling, config.residual_pooling_cls
        self.qkv = nn.Linear(block.dim_in, 3 * block.dim_attn)
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
        if self.pool_first:
            (q, q_thw), (k, k_thw), (v, _) = self._project_pooled(x, thw)
        else:
            q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # each (B, H, N, D)
            (q, q_thw), (k, k_thw), (v, _) = self._pool("q", q, thw), self._pool("k", k, thw), self._pool("v", v, thw)

        bias = self._bias(q, q_thw, k_thw)
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=self.scale)
        if self.residual_pooling:
            x = x + self._residual(q, q_thw)
        x = x.transpose(1, 2).flatten(2)  # (B, N', C)
        return self.proj(x), q_thw

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
        weights, biases = self.qkv.weight.chunk(3), self.qkv.bias.chunk(3)
        return [
            (F.linear(part.transpose(1, 2).flatten(2), w, b).unflatten(2, (self.heads, -1)).transpose(1, 2), grid)
            for (part, grid), w, b in zip(pooled, weights, biases, strict=True)
        ]

    def _bias(self, q: Tensor, q_thw: THW, k_thw: THW) -> Tensor | None:
        """Relative positions of grid tokens, `(B, H, N', N_k)`; nothing is added where the class token takes part."""
        tables = {axis: getattr(self, f"rel_pos_{axis}") for axis in "thw"}
        if all(table is None for table in tables.values()):
            return None
        cls, tokens = split_cls(q.flatten(0, 1), q_thw)
        num_cls = cls.shape[1]
        bias = relative_position_bias(tokens.unflatten(0, q.shape[:2]), tables, q_thw, k_thw)
        return F.pad(bias, (num_cls, 0, num_cls, 0))

    def _residual(self, q: Tensor, q_thw: THW) -> Tensor:
        """The pooled query, without the class token's unless configured. MViTv2 paper, equation 5."""
        if self.residual_pooling_cls:
            return q
        cls, tokens = split_cls(q.flatten(0, 1), q_thw)
        return torch.cat((torch.zeros_like(cls), tokens), dim=1).unflatten(0, q.shape[:2])
