"""Random valid architectures and clips: videos and images, MViT and MViTv2, every kind of pooling."""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from mvit_cli.arch import MViTConfig, get_preset

PRESETS = ("B", "v2-S", "S", "B-image", "mvitv2_tiny", "mvitv2_small_cls", "camera")
CHANGES: tuple[dict[str, Any], ...] = (
    {},
    {"pos_embed": "joint", "norm_stem": True},
    {"cls_token": False, "head_pooling": "mean"},
    {"head_inputs": "blocks"},
    {"pool_mode": "max", "kernel_kv": None, "unpooled_kv_blocks": (0, 2)},
    {"pool_mode": "avg", "kernel_q": None, "kernel_kv": (2, 3, 2)},
    {"rel_pos_space": True, "rel_pos_time": True, "residual_pooling": True},
    {"pool_first": True, "expand_in": "mlp"},
    {"reversible": "mean", "cls_token": False, "head_pooling": "mean", "expand_in": "attn", "qkv_bias": False},
    {"reversible": "mlp", "cls_token": False, "head_pooling": "mean_then_norm", "expand_in": "attn"},
)


def _config(name: str, frames: int, height: int, width: int, changes: dict[str, Any]) -> MViTConfig:
    config = get_preset(name).config
    stages = len(config.stage_depths)
    depths = (1, 2, 2, 2) if "reversible" in changes else (1, 2, 1, 1)
    geometry = {"frames": frames, "height": height, "width": width, "stage_depths": depths[:stages]}
    return replace(config, **geometry, **changes)


CONFIGS = st.builds(
    _config,
    st.sampled_from(PRESETS),
    st.integers(1, 19),
    st.integers(32, 130),
    st.integers(32, 130),
    st.sampled_from(CHANGES),
)
