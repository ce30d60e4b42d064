"""Writes goldens of a code base that cannot be run here from the formulas alone: numpy, and nothing of this package.

    python scripts/make_goldens.py [--check]

The network is `tests/paper_network.py`, the papers' equations written as loops; weights and input are those of
`tests/data/goldens/fill.py`. What belongs to the code base (names and shapes of its tensors, what it does at another
size) stands here. `--check` writes nothing: it says whether the files are what the formulas give. That the same loops
give what timm and MMAction2 compute, which can be run, is a test of its own in `tests/test_goldens.py`.
"""

import hashlib
import json
import sys
from math import prod
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

TESTS = Path(__file__).parents[1] / "tests"
FOLDER = TESTS / "data" / "goldens"
sys.path[:0] = [str(TESTS), str(FOLDER)]
import fill  # noqa: E402
import paper_network  # noqa: E402

SAME = 1e-9
"""Logits of two ways to sum float64; stored are all 17 digits."""

CHANNELS, HEADS, CLASSES, SIDE = 24, 1, 10, 64
DOWNSCALE, DEPTH, KV_STRIDE = (1, 3), 4, 4
PATCH, PATCH_STRIDE, PATCH_PADDING, KERNEL = 7, 4, 3, 3


def mmpretrain_blocks() -> list[dict[str, int]]:
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


def mmpretrain_tensors(absolute: bool) -> list[tuple[str, list[int]]]:
    """Keys and shapes of the state dict, in its order."""
    found: list[tuple[str, list[int]]] = []

    def layer(name: str, *shape: int) -> None:
        found.extend([(f"{name}.weight", list(shape)), (f"{name}.bias", [shape[0]])])

    if absolute:
        found.append(("backbone.pos_embed", [1, (SIDE // PATCH_STRIDE) ** 2, CHANNELS]))
    layer("backbone.patch_embed.projection", CHANNELS, 3, PATCH, PATCH)
    for index, block in enumerate(mmpretrain_blocks()):
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


def canonical(native: dict[str, Any]) -> dict[str, Any]:
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


def fields(height: int, width: int, absolute: bool) -> SimpleNamespace:
    """What `paper_network` asks of a configuration."""
    starts = (0, *DOWNSCALE)
    firsts = [mmpretrain_blocks()[start] for start in starts]
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


def macs(height: int, width: int) -> int:
    """Convolutions and matrix products for one sample."""
    grid = [(length + 2 * PATCH_PADDING - PATCH) // PATCH_STRIDE + 1 for length in (height, width)]
    total = prod(grid) * 3 * PATCH**2 * CHANNELS
    for block in mmpretrain_blocks():
        tokens, dim = prod(grid), block["dim"]
        q_hw, kv_hw = ([(length - 1) // block[of] + 1 for length in grid] for of in ("q", "kv"))
        queries, keys = prod(q_hw), prod(kv_hw)
        total += tokens * block["dim_in"] * 3 * dim + (queries + 2 * keys) * KERNEL**2 * dim
        total += 2 * queries * keys * dim + queries * sum(kv_hw) * dim
        total += tokens * block["dim_in"] * dim * (block["dim_in"] != dim) + queries * dim * dim
        total += 2 * queries * dim * 4 * dim
        grid = q_hw
    return total + dim * CLASSES


def golden(name: str, height: int, width: int, absolute: bool, note: str) -> dict[str, Any]:
    """The JSON of one golden."""
    spec = mmpretrain_tensors(absolute)
    weights = fill.state_dict(spec, 0)
    shown: dict[str, Any] = {"shape": [2, 3, height, width], "layout": "NCHW", "seed": 0}
    shown |= {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    clips = fill.model_input(shown)
    logits, blocks = computed(fields(height, width, absolute), canonical(weights), np.float64(clips))
    backbone: dict[str, Any] = {
        "arch": {"embed_dims": CHANNELS, "num_layers": DEPTH, "num_heads": HEADS, "downscale_indices": [*DOWNSCALE]},
        "img_size": SIDE,
        **({"use_abs_pos_embed": True} if absolute else {}),
    }
    rounded = np.float32(logits)
    return {
        "format": 1,
        "name": name,
        "implementation": {"name": "formulas", "names_of": "mmpretrain 1.2"},
        "entry": "tests/paper_network.py: logits",
        "layout": "mmaction2",
        "made_with": {"fill": fill.VERSION, "numpy": np.__version__},
        "notes": [note],
        "config": {"backbone": backbone, "head": {"in_channels": CHANNELS * 4, "num_classes": CLASSES}},
        "seed": 0,
        "input": {**shown, "sha256": fill.input_digest(clips)},
        "params": sum(prod(shape) for _, shape in spec),
        "layernorm_eps": [1e-06],
        "state_dict": [[key, shape] for key, shape in spec],
        "weights_sha256": fill.digest(weights),
        "flops": {"batch": 1, "matrix_macs": macs(height, width)},
        "blocks": blocks,
        "logits": [[float(f"{number:.8g}") for number in row] for row in rounded],
        "logits_f64": logits.tolist(),
        "logits_sha256": hashlib.sha256(np.ascontiguousarray(rounded, "<f4")).hexdigest(),
    }


def computed(config: Any, tensors: dict[str, Any], clips: Any) -> tuple[Any, list[dict[str, Any]]]:
    """Logits, and what leaves each block: its grid, mean, standard deviation, and four tokens of the last sample."""
    outputs: list[list[tuple[Any, tuple[int, ...]]]] = []
    plain = paper_network.block

    def kept(*arguments: Any) -> Any:
        outputs[-1].append(plain(*arguments))
        return outputs[-1][-1]

    paper_network.block, logits = kept, []
    try:
        for clip in clips:
            outputs.append([])
            logits.append(paper_network.logits(config, tensors, clip[:, None] if clip.ndim == 3 else clip))
    finally:
        paper_network.block = plain
    blocks = []
    for samples in zip(*outputs, strict=True):
        batch, thw = np.stack([tokens for tokens, _ in samples]), samples[0][1]
        count = batch.shape[1]
        places = [0, 1, count // 2, count - 1]
        block = {"thw": [*map(int, thw)], "tokens": count, "dim": batch.shape[2]}
        block |= {"mean": float(batch.mean()), "std": float(batch.std())}
        blocks.append(block | {"probe": np.round(batch[-1, places, :4], 9).tolist()})
    return np.stack(logits), blocks


GOLDENS = (
    ("small_mmpretrain", SIDE, SIDE, False, "built for 64x64, as mmpretrain's mvitv2-* with head.fc."),
    (
        "small_mmpretrain_52x76",
        52,
        76,
        False,
        "built for 64x64, fed 52x76: grids 13x19, 7x10, 4x5; tables stretched once",
    ),
    ("small_mmpretrain_abspos_52x76", 52, 76, True, "pos_embed resized in use, bicubic"),
)


def main() -> int:
    """Writes the goldens, or with `--check` compares them."""
    differing = []
    for arguments in GOLDENS:
        path = FOLDER / f"{arguments[0]}.json"
        found = golden(*arguments)
        if "--check" not in sys.argv[1:]:
            lines = ",\n".join(f" {json.dumps(key)}: {json.dumps(value)}" for key, value in found.items())
            path.write_text(f"{{\n{lines}\n}}\n")
        elif not path.is_file() or difference(found, json.loads(path.read_text())) > SAME:
            differing.append(path.name)
    print("\n".join(f"{name} is not what the formulas give" for name in differing) or "all as the formulas give them")
    return bool(differing)


def difference(one: dict[str, Any], other: dict[str, Any]) -> float:
    """Of the logits; infinite where names, shapes or input differ."""
    same = all(one[key] == other[key] for key in ("state_dict", "weights_sha256", "input", "params", "flops"))
    return float(np.abs(np.subtract(one["logits_f64"], other["logits_f64"])).max()) if same else float("inf")


if __name__ == "__main__":
    sys.exit(main())
