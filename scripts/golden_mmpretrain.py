"""What of a golden is mmpretrain's: names and shapes of its tensors, its strides, and what it does at other sizes."""

from collections.abc import Iterator
from functools import partial
from math import prod
from types import SimpleNamespace
from typing import Any

import numpy as np

CHANNELS, HEADS, CLASSES, SIDE = 24, 1, 10, 64
DOWNSCALE, DEPTH, KV_STRIDE = (1, 3), 4, 4
PATCH, PATCH_STRIDE, PATCH_PADDING, KERNEL = 7, 4, 3, 3


def _blocks() -> list[dict[str, int]]:
    """Widths, heads, strides and nominal grid of each block, as mmpretrain's `MViT(arch=...)` counts them.

    Width and heads double where the grid is halved, in the attention; the stride of keys and values is halved too.
    """
    blocks, dim, heads, kv, side = [], CHANNELS, HEADS, KV_STRIDE, SIDE // PATCH_STRIDE
    for index in range(DEPTH):
        q, dim_in = 1, dim
        if index in DOWNSCALE:
            q, dim, heads, kv = 2, 2 * dim, 2 * heads, max(kv // 2, 1)
        rows = 2 * max(side // q, side // kv) - 1
        blocks.append({"dim_in": dim_in, "dim": dim, "heads": heads, "q": q, "kv": kv, "rows": rows})
        side //= q
    return blocks


def _tensors(absolute: bool) -> list[tuple[str, list[int]]]:
    """Keys and shapes of the state dict, in its order."""
    found: list[tuple[str, list[int]]] = []

    def layer(name: str, *shape: int) -> None:
        found.extend([(f"{name}.weight", list(shape)), (f"{name}.bias", [shape[0]])])

    if absolute:
        found.append(("backbone.pos_embed", [1, (SIDE // PATCH_STRIDE) ** 2, CHANNELS]))
    layer("backbone.patch_embed.projection", CHANNELS, 3, PATCH, PATCH)
    for index, block in enumerate(_blocks()):
        at, dim, head = f"backbone.blocks.{index}", block["dim"], block["dim"] // block["heads"]
        layer(f"{at}.norm1", block["dim_in"])
        found.extend((f"{at}.attn.rel_pos_{axis}", [block["rows"], head]) for axis in "hw")
        layer(f"{at}.attn.qkv", 3 * dim, block["dim_in"])
        layer(f"{at}.attn.proj", dim, dim)
        for part in "qkv":
            found.append((f"{at}.attn.pool_{part}.weight", [head, 1, KERNEL, KERNEL]))
            layer(f"{at}.attn.norm_{part}", head)
        layer(f"{at}.norm2", dim)
        layer(f"{at}.mlp.fc1", 4 * dim, dim)
        layer(f"{at}.mlp.fc2", dim, 4 * dim)
        if block["dim_in"] != dim:
            layer(f"{at}.proj", dim, block["dim_in"])
    layer(f"backbone.norm{len(DOWNSCALE)}", dim)
    layer("head.fc", CLASSES, dim)
    return found


def _canonical(native: dict[str, Any]) -> dict[str, Any]:
    """The names that `paper_network` reads, in float64; kernels with a time axis of 1."""
    renames = (
        ("backbone.patch_embed.projection.", "patch_embed.proj."),
        (f"backbone.norm{len(DOWNSCALE)}.", "norm."),
        ("backbone.", ""),
        ("head.fc.", "head.projection."),
    )
    tensors = {}
    for key, array in native.items():
        old, new = next(pair for pair in renames if key.startswith(pair[0]))
        tensors[new + key[len(old) :]] = np.float64(array[:, :, None] if array.ndim == 4 else array)
    return tensors


def _fields(height: int, width: int, absolute: bool) -> SimpleNamespace:
    """What `paper_network` asks of a configuration."""
    starts = (0, *DOWNSCALE)
    firsts = [_blocks()[start] for start in starts]
    return SimpleNamespace(
        frames=1,
        height=height,
        width=width,
        trained_thw=(1, SIDE, SIDE),
        stage_depths=tuple(end - start for start, end in zip(starts, (*DOWNSCALE, DEPTH), strict=True)),
        stage_channels=tuple(block["dim"] for block in firsts),
        stage_heads=tuple(block["heads"] for block in firsts),
        stride_q=tuple((1, block["q"], block["q"]) for block in firsts),
        stride_kv=tuple((1, block["kv"], block["kv"]) for block in firsts),
        patch_kernel=(1, PATCH, PATCH),
        patch_stride=(1, PATCH_STRIDE, PATCH_STRIDE),
        patch_padding=(0, PATCH_PADDING, PATCH_PADDING),
        kernel_q=(1, KERNEL, KERNEL),
        kernel_kv=(1, KERNEL, KERNEL),
        pool_mode="conv",
        pool_first=False,
        pool_q_everywhere=True,
        unpooled_kv_blocks=(),
        cls_token=False,
        pos_embed="joint" if absolute else "none",
        residual_pooling=True,
        residual_pooling_cls=False,
        norm_stem=False,
        head_pooling="mean",
        head_inputs="last",
        reversible="no",
    )


def _macs(height: int, width: int) -> int:
    """Convolutions and matrix products for one sample."""
    grid = [(length + 2 * PATCH_PADDING - PATCH) // PATCH_STRIDE + 1 for length in (height, width)]
    total = prod(grid) * 3 * PATCH**2 * CHANNELS
    for block in _blocks():
        tokens, dim = prod(grid), block["dim"]
        q_hw, kv_hw = ([(length - 1) // block[of] + 1 for length in grid] for of in ("q", "kv"))
        queries, keys = prod(q_hw), prod(kv_hw)
        total += tokens * block["dim_in"] * 3 * dim + (queries + 2 * keys) * KERNEL**2 * dim
        total += 2 * queries * keys * dim + queries * sum(kv_hw) * dim
        total += tokens * block["dim_in"] * dim * (block["dim_in"] != dim) + queries * dim * dim
        total += 2 * queries * dim * 4 * dim
        grid = q_hw
    return total + dim * CLASSES


def networks() -> Iterator[SimpleNamespace]:
    """The goldens to make, each as `make_goldens.golden` takes them."""
    built = f"built for {SIDE}x{SIDE}"
    yield _network("small_mmpretrain", SIDE, SIDE, False, f"{built}, as mmpretrain's mvitv2-* with head.fc.")
    note = f"{built}, fed 52x76: grids 13x19, 7x10, 4x5; tables stretched once"
    yield _network("small_mmpretrain_52x76", 52, 76, False, note)
    yield _network("small_mmpretrain_abspos_52x76", 52, 76, True, "pos_embed resized in use, bicubic")


def _network(name: str, height: int, width: int, absolute: bool, note: str) -> SimpleNamespace:
    backbone: dict[str, Any] = {
        "arch": {"embed_dims": CHANNELS, "num_layers": DEPTH, "num_heads": HEADS, "downscale_indices": [*DOWNSCALE]},
        "img_size": SIDE,
        **({"use_abs_pos_embed": True} if absolute else {}),
    }
    return SimpleNamespace(
        name=name,
        names_of="mmpretrain 1.2",
        layout="mmaction2",
        note=note,
        config={"backbone": backbone, "head": {"in_channels": CHANNELS * 4, "num_classes": CLASSES}},
        shape=[2, 3, height, width],
        tensors=_tensors(absolute),
        canonical=_canonical,
        fields=_fields(height, width, absolute),
        macs=partial(_macs, height, width),
    )
