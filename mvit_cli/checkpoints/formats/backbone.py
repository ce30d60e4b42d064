"""The architecture that MMEngine's configuration names: MMAction2's and mmpretrain's `MViT` backbone, block by block.

Source: `mmaction/models/backbones/mvit.py` and `mmpretrain/models/backbones/mvit.py`; what a configuration leaves out
is what their constructors take.
"""

from collections.abc import Mapping
from typing import Any

from mvit_cli.arch.config import HALVE_SPACE, STRIDE_ONE, adaptive_stride_kv
from mvit_cli.arch.grid import THW
from mvit_cli.checkpoints.formats.cfg import MAX_COUNT, TrainingCfg

_NAMED = {
    "tiny": {"num_layers": 10, "num_heads": 1, "downscale_indices": (1, 3, 8)},
    "small": {"num_layers": 16, "num_heads": 1, "downscale_indices": (1, 3, 14)},
    "base": {"num_layers": 24, "num_heads": 1, "downscale_indices": (2, 5, 21)},
    "large": {"num_layers": 48, "num_heads": 2, "downscale_indices": (2, 8, 44)},
}
"""The architectures that have a name."""


def backbone_cfg(
    backbone: Mapping[str, Any], depth: int, stage_starts: tuple[int, ...], images: bool
) -> TrainingCfg | None:
    """What a backbone's configuration says that shapes cannot tell; None where it is of another network, or unreadable.

    Args:
        depth: number of blocks in the file.
        stage_starts: the first of them, and those where the width changes.
        images: its patches are of one frame.
    """
    halved, widened, heads, layers = _arch(backbone.get("arch", "base"))
    if layers != depth or widened != stage_starts[1:]:
        return None
    patches = backbone.get("patch_cfg")
    patches = patches if isinstance(patches, dict) else {}
    stride = _thw(patches.get("stride"), (2, 4, 4), 1, images)
    padding = _thw(patches.get("padding"), (1, 3, 3), 0, images)
    kernel = _thw(backbone.get("pool_kernel"), (3, 3, 3), 1, images)
    first_kv = _thw(backbone.get("adaptive_kv_stride"), (1, 4, 4) if images else (1, 8, 8), 1, images)
    multiplier = _count(backbone.get("head_mul", 2))
    if not (halved and heads and multiplier and stride and padding and kernel and first_kv):
        return None
    strides_q = tuple(HALVE_SPACE if block in halved else STRIDE_ONE for block in range(depth))
    each = []
    for block in range(depth):
        heads *= multiplier if block in halved or block in widened else 1
        each.append(heads)
    return TrainingCfg(
        frames=1 if images else _count(backbone.get("temporal_size", 16)),
        size=_count(backbone.get("img_size" if images else "spatial_size", 224)),
        heads=tuple(each),
        patch_stride=stride,
        patch_padding=padding,
        pool_mode="conv",
        pool_first=False,
        kernel=kernel,
        strides_q=dict(enumerate(strides_q)),
        strides_kv=dict(enumerate(adaptive_stride_kv(first_kv, strides_q))),
        residual_pooling=backbone.get("residual_pooling", True) is True,
        mean_pooling=False,
        joins=None,
    )


def _arch(arch: Any) -> tuple[tuple[int, ...], tuple[int, ...], int | None, int | None]:
    """Blocks that halve the grid, blocks that get wider, heads of the first, and how many there are; or nothing."""
    told = _NAMED.get(arch.lower()) if isinstance(arch, str) else arch
    if not isinstance(told, dict):
        return (), (), None, None
    halved: Any = told.get("downscale_indices")
    widened: Any = told.get("dim_mul_indices", halved)
    if not _are_whole(halved) or not _are_whole(widened):
        return (), (), None, None
    return tuple(halved), tuple(widened), _count(told.get("num_heads")), _count(told.get("num_layers"))


def _thw(value: Any, usual: THW, time: int, images: bool) -> THW | None:
    """Three numbers; of images one or two, in space; nothing is what the constructor takes."""
    if value is None:
        return (time, *usual[1:]) if images else usual
    if images:
        height, width = value if isinstance(value, tuple | list) and len(value) == 2 else (value, value)
        value = (time, height, width)
    if not isinstance(value, tuple | list) or len(value) != 3 or not _are_whole(value):
        return None
    return value[0], value[1], value[2]


def _are_whole(values: Any) -> bool:
    return isinstance(values, tuple | list) and all(type(value) is int and 0 <= value <= MAX_COUNT for value in values)


def _count(value: Any) -> int | None:
    return value if type(value) is int and 1 <= value <= MAX_COUNT else None
