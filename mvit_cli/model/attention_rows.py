"""The attention of a block a few queries at a time: all of it at once need never be in memory."""

from collections.abc import Iterator
from math import prod

import torch
from torch import Tensor

from mvit_cli.arch.grid import THW
from mvit_cli.arch.positions import distances
from mvit_cli.model.pooling_attention import PoolingAttention
from mvit_cli.model.position import relative_rows, resize_rel_pos

MOST_ELEMENTS = 1 << 23
"""Weights, or hidden numbers of an MLP, at a time: 32 MiB of float32, a few times over."""


class AttentionRows:
    """`softmax(scale * q k^T + relative positions)`, row by row; nothing of it follows a gradient.

    Args:
        attn: of the block; gives the scale and the tables of relative positions.
        q: `(B, H, N', D)`.
        k: `(B, H, N_k, D)`.
        q_thw, k_thw: their grids; what is before the grid is the class token.
    """

    def __init__(self, attn: PoolingAttention, q: Tensor, k: Tensor, q_thw: THW, k_thw: THW) -> None:
        self.scale, self.q_thw, self.k_thw = attn.scale, q_thw, k_thw
        self.q, self.k = q.detach(), k.detach()
        self.num_cls = q.shape[2] - prod(q_thw)
        self.relative = self._scores_of_axes(attn, q_thw)

    def _scores_of_axes(self, attn: PoolingAttention, q_thw: THW) -> list[Tensor]:
        """`q . R` for each axis with a table, `(B, H, L, k_T or 1, k_H or 1, k_W or 1)`. MViTv2 paper, equation 4."""
        grid, scores = self.q[:, :, self.num_cls :].unflatten(2, q_thw), []
        for axis, name in enumerate("thw"):
            table, length_q, length_k = getattr(attn, f"rel_pos_{name}"), q_thw[axis], self.k_thw[axis]
            if table is None:
                continue
            rows = relative_rows(length_q, length_k, grid.device)
            relative = resize_rel_pos(table.detach(), distances(length_q, length_k))[rows]
            along = torch.einsum(f"bnthwd,{name}kd->bnthwk", grid, relative).flatten(2, 4)
            scores.append(along.unflatten(3, [length_k if other == axis else 1 for other in range(3)]))
        return scores

    def parts(self) -> Iterator[slice]:
        """All queries, as many at a time as memory is meant to hold."""
        batch, heads, queries, _ = self.q.shape
        step = max(1, MOST_ELEMENTS // (batch * heads * self.k.shape[2]))
        return (slice(start, min(start + step, queries)) for start in range(0, queries, step))

    def weights(self, rows: slice) -> Tensor:
        """The weights of some queries: `(B, H, rows, N_k)`, each row sums to 1."""
        scores = self.scale * self.q[:, :, rows] @ self.k.transpose(2, 3)
        first = max(rows.start, self.num_cls)
        if self.relative and rows.stop > first:  # nothing is added where the class token takes part
            taken = slice(first - self.num_cls, rows.stop - self.num_cls)
            into = scores[:, :, first - rows.start :, self.num_cls :].unflatten(3, self.k_thw)
            for of_axis in self.relative:
                into += of_axis[:, :, taken]
        return scores.softmax(dim=-1)
