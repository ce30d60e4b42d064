"""What of a golden of a reversible MViT belongs to PySlowFast: names and shapes of its tensors, its cfg, its strides.

A clip with streams that are joined by their mean, and an image with streams that an MLP joins, with q, k and v apart
and flat kernels: the two kinds of the published files. Source of the network: arXiv:2302.04869, section 3.
"""

from collections.abc import Iterator
from functools import partial
from math import prod
from types import SimpleNamespace
from typing import Any

import numpy as np

CHANNELS, CLASSES, SIDE, FRAMES, DEPTH = 12, 10, 32, 4, 5
TRANSITIONS = (1, 3)
"""Blocks that join the streams, halve the grid in space and double width and heads."""
KV_STRIDE, KERNEL = 4, 3
SPACE = (7, 4, 3)
"""Kernel, stride and padding of the patches in space; in time `(3, 2, 1)` of a clip."""
TIME = (3, 2, 1)


def _blocks(image: bool) -> list[dict[str, Any]]:
    """Widths, heads, strides in space, and the grids of queries and keys of each block."""
    found, dim, heads, kv = [], CHANNELS, 1, KV_STRIDE
    grid = [1 if image else FRAMES // TIME[1], SIDE // SPACE[1], SIDE // SPACE[1]]
    for index in range(DEPTH):
        joins, before = index in TRANSITIONS, dim
        if joins:
            dim, heads, kv = 2 * dim, 2 * heads, max(kv // 2, 1)
        q = 2 if joins else 1
        queries, keys = ([grid[0], *(-(-side // stride) for side in grid[1:])] for stride in (q, kv))
        dim_in = 2 * before if joins and image else before  # both streams beside each other, for the MLP
        block = {"joins": joins, "before": before, "dim_in": dim_in, "dim": dim, "heads": heads, "q": q, "kv": kv}
        found.append(block | {"grid": grid, "queries": queries, "keys": keys})
        grid = queries
    return found


def _tensors(image: bool) -> list[tuple[str, list[int]]]:
    """Keys and shapes of the state dict, in its order."""
    found: list[tuple[str, list[int]]] = []

    def layer(name: str, *shape: int, bias: bool = True) -> None:
        found.extend([(f"{name}.weight", [*shape]), *([(f"{name}.bias", [shape[0]])] if bias else [])])

    places = (SIDE // SPACE[1]) ** 2
    if image:
        found.append(("pos_embed", [1, places, CHANNELS]))
    else:
        found.append(("pos_embed_spatial", [1, places, CHANNELS]))
        found.append(("pos_embed_temporal", [1, FRAMES // TIME[1], CHANNELS]))
    layer("patch_embed.proj", CHANNELS, 3, *([] if image else [TIME[0]]), SPACE[0], SPACE[0])
    for index, block in enumerate(_blocks(image)):
        at, dim, dim_in, head = f"rev_backbone.layers.{index}", block["dim"], block["dim_in"], CHANNELS
        layer(f"{at}.F.norm", dim_in)
        for part in ("q", "k", "v") if image else ("qkv",):
            layer(f"{at}.F.attn.{part}", len(part) * dim, dim_in, bias=image)
        layer(f"{at}.F.attn.proj", dim, dim)
        for part in "qkv" if block["joins"] else "kv":
            found.append((f"{at}.F.attn.pool_{part}.weight", [head, 1, *([] if image else [KERNEL]), KERNEL, KERNEL]))
            layer(f"{at}.F.attn.norm_{part}", head)
        layer(f"{at}.G.norm", dim)
        layer(f"{at}.G.mlp.fc1", 4 * dim, dim)
        layer(f"{at}.G.mlp.fc2", dim, 4 * dim)
        if block["joins"]:
            if image:
                layer(f"{at}.pre_q_fuse.fuse_fn.fc1", dim_in * 2, dim_in)
                layer(f"{at}.pre_q_fuse.fuse_fn.fc2", dim_in, dim_in * 2)
            if dim_in != dim:
                layer(f"{at}.res_proj", dim, dim_in)
    layer("norm", 2 * dim)
    layer("head.projection", CLASSES, 2 * dim)
    return found


def _canonical(native: dict[str, Any]) -> dict[str, Any]:
    """The names that `paper_network` reads, in float64: one `qkv`, kernels with a time axis of 1."""
    renames = (
        (".F.norm.", ".norm1."),
        (".G.norm.", ".norm2."),
        (".F.", "."),
        (".G.", "."),
        (".res_proj.", ".proj."),
        (".pre_q_fuse.fuse_fn.", ".fuse."),
    )
    tensors: dict[str, Any] = {}
    for key, array in native.items():
        name = key.replace("rev_backbone.layers.", "blocks.")
        for old, new in renames:
            name = name.replace(old, new, 1)
        if ".attn.q." in name or ".attn.k." in name or ".attn.v." in name:
            name = name[: name.index(".attn.")] + ".attn.qkv." + name.rpartition(".")[2]
            array = np.concatenate((tensors[name], array)) if name in tensors else array
        tensors[name] = np.float64(array[:, :, None] if array.ndim == 4 else array)
    return tensors


def _fields(image: bool) -> SimpleNamespace:
    """What `paper_network` asks of a configuration."""
    starts = (0, *TRANSITIONS)
    firsts = [_blocks(image)[start] for start in starts]
    time = (1, 1, 0) if image else TIME
    patches = [(in_time, in_space, in_space) for in_time, in_space in zip(time, SPACE, strict=True)]
    return SimpleNamespace(
        frames=1 if image else FRAMES,
        height=SIDE,
        width=SIDE,
        trained_thw=None,
        stage_depths=tuple(end - start for start, end in zip(starts, (*TRANSITIONS, DEPTH), strict=True)),
        stage_channels=tuple(block["dim"] for block in firsts),
        stage_heads=tuple(block["heads"] for block in firsts),
        stride_q=tuple((1, block["q"], block["q"]) for block in firsts),
        stride_kv=tuple((1, block["kv"], block["kv"]) for block in firsts),
        patch_kernel=patches[0],
        patch_stride=patches[1],
        patch_padding=patches[2],
        kernel_q=(1 if image else KERNEL, KERNEL, KERNEL),
        kernel_kv=(1 if image else KERNEL, KERNEL, KERNEL),
        pool_mode="conv",
        pool_first=False,
        pool_q_everywhere=False,
        unpooled_kv_blocks=(),
        cls_token=False,
        pos_embed="joint" if image else "separate",
        residual_pooling=False,
        residual_pooling_cls=False,
        norm_stem=False,
        head_pooling="mean",
        head_inputs="last",
        reversible="mlp" if image else "mean",
    )


def _macs(image: bool) -> int:
    """Convolutions and matrix products for one sample."""
    blocks, kernel = _blocks(image), KERNEL ** (2 if image else 3)
    total = prod(blocks[0]["grid"]) * 3 * (1 if image else TIME[0]) * SPACE[0] ** 2 * CHANNELS
    for block in blocks:
        tokens, queries, keys = (prod(block[of]) for of in ("grid", "queries", "keys"))
        dim, dim_in, joins = block["dim"], block["dim_in"], block["joins"]
        total += tokens * dim_in * 3 * dim + 2 * keys * kernel * dim + 2 * queries * keys * dim
        total += queries * dim * dim + 2 * queries * dim * 4 * dim
        if joins:  # the queries, and the skip connection with them
            total += 2 * queries * kernel * dim + tokens * dim_in * dim * (dim_in != dim)
            total += 2 * tokens * dim_in * 2 * dim_in * image
    return total + 2 * dim * CLASSES


def _cfg(image: bool) -> dict[str, Any]:
    """The cfg that the file carries."""
    time = [] if image else [[length] for length in TIME]
    kernel, stride, padding = (
        [*(time[place] if time else []), SPACE[place], SPACE[place]] for place in range(len(SPACE))
    )
    rev = {"ENABLE": True, "RESPATH_FUSE": "concat", "BUFFER_LAYERS": [*TRANSITIONS], "RES_PATH": "conv"}
    doubled = [[block, 2.0] for block in TRANSITIONS]
    return {
        "DATA.NUM_FRAMES": 1 if image else FRAMES,
        "DATA.TRAIN_CROP_SIZE": SIDE,
        "DATA.TEST_CROP_SIZE": SIDE,
        "MODEL.NUM_CLASSES": CLASSES,
        "MVIT.CLS_EMBED_ON": False,
        "MVIT.DEPTH": DEPTH,
        "MVIT.DIM_MUL": doubled,
        "MVIT.EMBED_DIM": CHANNELS,
        "MVIT.HEAD_MUL": doubled,
        "MVIT.MODE": "conv",
        "MVIT.NUM_HEADS": 1,
        "MVIT.PATCH_2D": image,
        "MVIT.PATCH_KERNEL": kernel,
        "MVIT.PATCH_PADDING": padding,
        "MVIT.PATCH_STRIDE": stride,
        "MVIT.POOL_KVQ_KERNEL": [1 if image else KERNEL, KERNEL, KERNEL],
        "MVIT.POOL_KV_STRIDE_ADAPTIVE": [1, KV_STRIDE, KV_STRIDE],
        "MVIT.POOL_Q_STRIDE": [[block, 1, 2, 2] for block in TRANSITIONS],
        "MVIT.QKV_BIAS": image,
        "MVIT.REV": rev | ({"PRE_Q_FUSION": "concat_linear_2"} if image else {}),  # avg is the default
        "MVIT.SEPARATE_QKV": image,
        "MVIT.SEP_POS_EMBED": not image,
        "MVIT.USE_ABS_POS": True,
    }


def networks() -> Iterator[SimpleNamespace]:
    """The goldens to make, each as `make_goldens.golden` takes them."""
    for name, image, note in (
        ("small_rev_mean", False, "a clip; the streams are joined by their mean (PRE_Q_FUSION avg)"),
        ("small_rev_image_mlp", True, "an image; an MLP joins the streams (PRE_Q_FUSION concat_linear_2)"),
    ):
        yield SimpleNamespace(
            name=name,
            names_of="PySlowFast",
            layout="pyslowfast-reversible",
            note=note,
            config=_cfg(image),
            shape=[2, 3, SIDE, SIDE] if image else [2, 3, FRAMES, SIDE, SIDE],
            tensors=_tensors(image),
            canonical=_canonical,
            fields=_fields(image),
            macs=partial(_macs, image),
        )
