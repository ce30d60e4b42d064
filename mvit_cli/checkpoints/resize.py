"""Position tables for another clip geometry, interpolated as the code does that the weights come from.

PySlowFast and timm build a network for the new clips and stretch the tables to its lengths when they load; where these
are not what an axis needs, PySlowFast interpolates once more in use (timm takes no such clips). The tables of all
others, MMAction2 and mmpretrain among them, are interpolated in use alone: they stay, and the network is the one that
it was at the size of its training.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from mvit_cli.arch.blocks import block_specs
from mvit_cli.arch.config import MViTConfig

if TYPE_CHECKING:
    from torch import Tensor


_STRETCHES_WHEN_LOADING = ("pyslowfast", "pyslowfast-separate-qkv", "pyslowfast-reversible", "timm")


def config_for_clips(trained: MViTConfig, wanted: MViTConfig, origin: str = "") -> MViTConfig:
    """`wanted`, which is `trained` for other clips, with its tables as the code of the layout `origin` has them.

    Without an origin the tables stay: the network is the same function.
    """
    if origin in _STRETCHES_WHEN_LOADING or wanted.input_thw == trained.tables_thw:
        return wanted
    return replace(wanted, trained_thw=trained.tables_thw)


def resize_positions(
    tensors: "dict[str, Tensor]", from_config: MViTConfig, to_config: MViTConfig
) -> "dict[str, Tensor]":
    """Canonical tensors for the tables of `to_config`.

    Relative positions and positions in time are interpolated linearly, positions in space bicubically (both as
    PySlowFast does when it loads), joint positions trilinearly (as MMAction2 does).
    """
    import torch

    from mvit_cli.model.position import resize_joint, resize_rel_pos, resize_spatial, resize_temporal

    old, new = from_config.tables_patch_thw, to_config.tables_patch_thw
    at_least_float32 = {key: torch.promote_types(tensor.dtype, torch.float32) for key, tensor in tensors.items()}
    resized = {key: tensor.to(at_least_float32[key]) for key, tensor in tensors.items()}
    if "pos_embed_spatial" in resized and old[1:] != new[1:]:
        resized["pos_embed_spatial"] = resize_spatial(resized["pos_embed_spatial"], old[1:], new[1:])
    if "pos_embed_temporal" in resized and old[0] != new[0]:
        resized["pos_embed_temporal"] = resize_temporal(resized["pos_embed_temporal"], new[0])
    if "pos_embed" in resized and old != new:
        num_cls = int(from_config.cls_token)
        cls, table = resized["pos_embed"][:, :num_cls], resized["pos_embed"][:, num_cls:]
        resized["pos_embed"] = torch.cat((cls, resize_joint(table, old, new, to_config)), dim=1)
    for block in block_specs(to_config):
        for axis, rows in zip("thw", block.rel_pos_thw, strict=True):
            key = f"blocks.{block.index}.attn.rel_pos_{axis}"
            if key in resized:
                resized[key] = resize_rel_pos(resized[key], rows)
    return resized
