"""Positions: absolute embeddings for any grid, and decomposed relative positions."""

from collections.abc import Mapping
from functools import cache
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mvit_cli.arch.config import MViTConfig
from mvit_cli.arch.grid import THW
from mvit_cli.arch.positions import absolute_rows, distances

POSITION_NAMES = ("pos_embed", "pos_embed_spatial", "pos_embed_temporal", "pos_embed_class")


def resize_joint(table: Tensor, from_thw: THW, to_thw: THW, config: MViTConfig) -> Tensor:
    """One embedding a position, `(1, T*H*W, C)`, resized to another grid.

    Trilinearly as MMAction2 does; bicubically, as mmpretrain, where the patches are of images.
    """
    if config.patch_kernel[0] == from_thw[0] == to_thw[0] == 1:
        return resize_spatial(table, from_thw[1:], to_thw[1:])
    grid = table.transpose(1, 2).unflatten(2, from_thw)
    return F.interpolate(grid, size=to_thw, mode="trilinear", align_corners=False).flatten(2).transpose(1, 2)


def resize_spatial(table: Tensor, from_hw: tuple[int, int], to_hw: tuple[int, int]) -> Tensor:
    """One embedding a place, `(1, H*W, C)`, bicubically resized to another grid."""
    grid = table.transpose(1, 2).unflatten(2, from_hw)
    return F.interpolate(grid, size=to_hw, mode="bicubic", align_corners=False).flatten(2).transpose(1, 2)


def resize_temporal(table: Tensor, length: int) -> Tensor:
    """One embedding a time, `(1, T, C)`, linearly resized."""
    return F.interpolate(table.transpose(1, 2), size=length, mode="linear", align_corners=False).transpose(1, 2)


def resize_rel_pos(table: Tensor, rows: int) -> Tensor:
    """One embedding a distance, `(2n-1, D)`, linearly resized to `rows` distances."""
    if table.shape[0] == rows:
        return table
    return resize_temporal(table[None], rows)[0]


def relative_rows(q: int, k: int, device: torch.device) -> Tensor:
    """Row of the table for each query and key, `(q, k)`.

    `i * max(k/q, 1) - j * max(q/k, 1) + (k-1) * max(q/k, 1)`, truncated. The arithmetic is float32 in this very order,
    as in the code the published models were trained with: at 312 pixels some products end just below an integer and
    are truncated one row lower than exact arithmetic would. It is done on the CPU, so that every device agrees.
    """
    # A tensor of a graph that is being traced must not outlive it.
    return _rows(q, k, device) if torch.compiler.is_compiling() else _kept_rows(q, k, device)


def _rows(q: int, k: int, device: torch.device) -> Tensor:
    ratio_q, ratio_k = max(k / q, 1.0), max(q / k, 1.0)
    with torch.inference_mode(False):  # the cached tensor must also serve training
        queries = torch.arange(q, dtype=torch.float32, device="cpu")[:, None] * ratio_q
        keys = torch.arange(k, dtype=torch.float32, device="cpu")[None, :] * ratio_k
        distance = queries - keys
        distance += (k - 1) * ratio_k
        return distance.long().to(device)


_kept_rows = cache(_rows)


def relative_position_bias(q: Tensor, tables: dict[str, Tensor | None], q_thw: THW, k_thw: THW) -> Tensor:
    """Decomposed relative positions: `q . R_t + q . R_h + q . R_w` for each query and key on the grid.

    Args:
        q: unscaled queries without the class token, `(B, H, T*H*W, D)`.
        tables: `(2n-1, D)` for each of the axes "t", "h" and "w"; None leaves an axis out.

    Returns:
        `(B, H, q_T*q_H*q_W, k_T*k_H*k_W)`.

    Source: MViTv2 paper, section 4.1, equation 4.
    """
    grid = q.unflatten(2, q_thw)  # (B, H, T, H, W, D)
    bias = q.new_zeros(1)
    for axis, name in enumerate("thw"):
        table, length_q, length_k = tables[name], q_thw[axis], k_thw[axis]
        if table is None:
            continue
        rows = relative_rows(length_q, length_k, q.device)
        relative = resize_rel_pos(table, distances(length_q, length_k))[rows]  # (q, k, D)
        scores = torch.einsum(f"bnthwd,{name}kd->bnthwk", grid, relative)
        along_axis = [length_k if other == axis else 1 for other in range(3)]
        bias = bias + scores.unflatten(5, along_axis)  # (B, H, T, H, W, k_T or 1, k_H or 1, k_W or 1)
    return bias.expand(*grid.shape[:5], *k_thw).flatten(5).flatten(2, 4)


def position_tables(config: MViTConfig) -> dict[str, nn.Parameter | None]:
    """The class token and the absolute positions under their canonical names; None where the model has none."""
    rows, dim = absolute_rows(config), config.stage_channels[0]
    return {
        name: nn.Parameter(nn.init.trunc_normal_(torch.empty(1, rows[name], dim), std=0.02)) if name in rows else None
        for name in ("cls_token", *POSITION_NAMES)
    }


def absolute_positions(tables: Mapping[str, Tensor | None], config: MViTConfig, to_thw: THW) -> Tensor | None:
    """The position embedding of every token, `(1, N, C)`, resized where the grid is not the one it was made for."""
    joint, spatial, temporal = (tables[name] for name in ("pos_embed", "pos_embed_spatial", "pos_embed_temporal"))
    from_thw = config.tables_patch_thw
    if joint is not None:
        num_cls = joint.shape[1] - prod(from_thw)
        if from_thw == to_thw:
            return joint
        return torch.cat((joint[:, :num_cls], resize_joint(joint[:, num_cls:], from_thw, to_thw, config)), dim=1)
    if spatial is None or temporal is None:
        return None
    if from_thw[1:] != to_thw[1:]:
        spatial = resize_spatial(spatial, from_thw[1:], to_thw[1:])
    if from_thw[0] != to_thw[0]:
        temporal = resize_temporal(temporal, to_thw[0])
    table = (temporal[:, :, None] + spatial[:, None]).flatten(1, 2)  # (1, T*H*W, C)
    cls = tables["pos_embed_class"]
    return table if cls is None else torch.cat((cls, table), dim=1)
