"""Position tables for another clip geometry, interpolated as the public loaders do."""

from typing import TYPE_CHECKING

from mvit_cli.arch.blocks import block_specs
from mvit_cli.arch.config import MViTConfig

if TYPE_CHECKING:
    from torch import Tensor


def resize_positions(
    tensors: "dict[str, Tensor]", from_config: MViTConfig, to_config: MViTConfig
) -> "dict[str, Tensor]":
    """Canonical tensors for the geometry of `to_config`.

    Relative positions and positions in time are interpolated linearly, positions in space bicubically (both as
    PySlowFast does when it loads), joint positions trilinearly (as MMAction2 does).
    """
    import torch

    from mvit_cli.model.position import resize_joint, resize_rel_pos, resize_spatial, resize_temporal

    old, new = from_config.patch_thw, to_config.patch_thw
    at_least_float32 = {key: torch.promote_types(tensor.dtype, torch.float32) for key, tensor in tensors.items()}
    resized = {key: tensor.to(at_least_float32[key]) for key, tensor in tensors.items()}
    if "pos_embed_spatial" in resized and old[1:] != new[1:]:
        resized["pos_embed_spatial"] = resize_spatial(resized["pos_embed_spatial"], old[1:], new[1:])
    if "pos_embed_temporal" in resized and old[0] != new[0]:
        resized["pos_embed_temporal"] = resize_temporal(resized["pos_embed_temporal"], new[0])
    if "pos_embed" in resized and old != new:
        num_cls = int(from_config.cls_token)
        cls, table = resized["pos_embed"][:, :num_cls], resized["pos_embed"][:, num_cls:]
        resized["pos_embed"] = torch.cat((cls, resize_joint(table, old, new)), dim=1)
    for block in block_specs(to_config):
        for axis, rows in zip("thw", block.rel_pos_thw, strict=True):
            key = f"blocks.{block.index}.attn.rel_pos_{axis}"
            if key in resized:
                resized[key] = resize_rel_pos(resized[key], rows)
    return resized
