"""The training configuration that PySlowFast and facebookresearch/mvit write beside their weights.

It is the only place where such a file tells its strides. Only what shapes cannot tell is read here.
"""

from dataclasses import dataclass
from typing import Any

from mvit_cli.arch.config import STRIDE_ONE, adaptive_stride_kv
from mvit_cli.arch.grid import THW
from mvit_cli.checkpoints.formats.settings import read_cfg
from mvit_cli.errors import CheckpointError

Strides = dict[int, THW]

MAX_COUNT = 4096
"""Frames of a clip, pixels of a side, strides: more would be a network that nothing can run."""


@dataclass(frozen=True)
class TrainingCfg:
    """The fields of a training configuration that matter for inference.

    Attributes:
        strides_q, strides_kv: pooling stride of each block that is pooled.
        kernel: pooling kernel of Q, K and V; None: one wider than the stride.
        joins: blocks that join the streams of a reversible network, and how; None for one stream.
    """

    frames: int | None
    size: int | None
    heads: tuple[int, ...]
    patch_stride: THW
    patch_padding: THW
    pool_mode: str
    pool_first: bool
    kernel: THW | None
    strides_q: Strides
    strides_kv: Strides
    residual_pooling: bool
    mean_pooling: bool
    joins: tuple[tuple[int, ...], str] | None


def parse_cfg(text: str, depth: int, pooled_q: list[int], pooled_kv: list[int]) -> TrainingCfg | None:
    """The configuration in a checkpoint's `cfg` string; None if it is not one of an MViT.

    Args:
        depth: number of blocks.
        pooled_q, pooled_kv: blocks with pooling tensors; old files list their strides without block numbers.

    Raises:
        CheckpointError: if the text is not YAML, or its strides cannot be read.
    """
    cfg = read_cfg(text)
    if not isinstance(cfg, dict) or not isinstance(cfg.get("MVIT"), dict):
        return None
    _refuse_other_networks(cfg)
    try:
        return _parse(cfg, cfg["MVIT"], depth, pooled_q, pooled_kv)
    except (TypeError, ValueError, IndexError, KeyError, AttributeError, OverflowError) as error:
        told = str(error)[:160] or type(error).__name__
        raise CheckpointError(f"the file's cfg has an MVIT section that cannot be read ({told})", "") from error


_OTHER_NETWORKS = (
    ("DETECTION.ENABLE", "a detector: its head scores boxes, not clips"),
    ("MASK.ENABLE", "pre-training by masks, without a classifier"),
    ("MEMVIT.ENABLE", "MeMViT, which remembers earlier clips"),
    ("MVIT.USE_FIXED_SINCOS_POS", "an MViT with fixed sine positions, which this network does not have"),
)
"""Switches of PySlowFast that make another network than a classifier of clips."""


def _refuse_other_networks(cfg: dict[str, Any]) -> None:
    """Raises CheckpointError, naming the switch, if the file belongs to another kind of network."""
    for switch, what in _OTHER_NETWORKS:
        value: Any = cfg
        for name in switch.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if value is True:
            raise CheckpointError(
                f"the file's cfg says {switch}: it is {what}", "mvit runs MViT and MViTv2 with one classifier"
            )


def _parse(
    cfg: dict[str, Any], mvit: dict[str, Any], depth: int, pooled_q: list[int], pooled_kv: list[int]
) -> TrainingCfg:
    data = cfg.get("DATA") or {}
    image = bool(mvit.get("PATCH_2D")) or len(mvit["PATCH_KERNEL"]) == 2
    strides_q = _strides(mvit.get("POOL_Q_STRIDE") or [], pooled_q, image)
    return TrainingCfg(
        frames=1 if image else _count(data.get("NUM_FRAMES")),
        size=_count(data.get("TRAIN_CROP_SIZE")),
        heads=_heads(mvit, depth),
        patch_stride=_thw(mvit["PATCH_STRIDE"], 1),
        patch_padding=_thw(mvit["PATCH_PADDING"], 0),
        pool_mode=_word(mvit.get("MODE", "conv")),
        pool_first=bool(mvit.get("POOL_FIRST")),
        kernel=_kernel(mvit),
        strides_q=strides_q,
        strides_kv=_strides_kv(mvit, strides_q, depth, pooled_kv, image),
        residual_pooling=bool(mvit.get("RESIDUAL_POOLING")),
        mean_pooling=bool(mvit.get("USE_MEAN_POOLING")),
        joins=_joins(mvit.get("REV")),
    )


_KNOWN_REVERSIBLE = {
    "RESPATH_FUSE": {"concat": "concat"},
    "RES_PATH": {"conv": "conv"},
    "PRE_Q_FUSION": {"avg": "mean", "concat_linear_2": "mlp", "concat_linear_2.0": "mlp"},
}
"""Kinds of reversible networks that are known here, first the default, and what `MViTConfig.reversible` calls them."""


def _joins(rev: Any) -> tuple[tuple[int, ...], str] | None:
    """The blocks that join two streams, and how.

    Raises:
        CheckpointError: naming the field, if it is a kind of reversible network that is not known here.
    """
    if not isinstance(rev, dict) or not rev.get("ENABLE"):
        return None
    for field, known in _KNOWN_REVERSIBLE.items():
        value = rev.get(field, next(iter(known)))
        if value not in known:
            raise CheckpointError(
                f"the file's cfg says MVIT.REV.ENABLE with MVIT.REV.{field} {value!r:.40}",
                f"known is {' or '.join(known)}",
            )
    fusion = _KNOWN_REVERSIBLE["PRE_Q_FUSION"][rev.get("PRE_Q_FUSION", "avg")]
    return tuple(sorted(int(block) for block in rev.get("BUFFER_LAYERS") or ())), fusion


def _word(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a {type(value).__name__} where a word is needed")
    return value[:40]


def _count(value: Any) -> int | None:
    """A whole number of frames or pixels that a clip can have; None where none is given."""
    if value is None:
        return None
    if type(value) is not int or not 1 <= value <= MAX_COUNT:
        raise ValueError(f"{str(value)[:40]!r} where a number from 1 to {MAX_COUNT} is needed")
    return value


def _kernel(mvit: dict[str, Any]) -> THW | None:
    """Today's `POOL_KVQ_KERNEL`, or one of the older keys."""
    kernel = mvit.get("POOL_KVQ_KERNEL") or mvit.get("POOL_KV_KERNEL") or mvit.get("POOL_Q_KERNEL")
    return _thw(kernel, 1) if kernel else None


def _heads(mvit: dict[str, Any], depth: int) -> tuple[int, ...]:
    """Heads of each block: `HEAD_MUL` lists the blocks where they multiply."""
    multipliers = {int(block): float(factor) for block, factor in mvit.get("HEAD_MUL") or []}
    heads, each = float(mvit.get("NUM_HEADS", 1)), []
    for block in range(depth):
        heads = round(heads * multipliers.get(block, 1.0))
        each.append(int(heads))
    return tuple(each)


def _strides_kv(mvit: dict[str, Any], strides_q: Strides, depth: int, pooled_kv: list[int], image: bool) -> Strides:
    first = mvit.get("POOL_KV_STRIDE_ADAPTIVE")
    if not first:
        return _strides(mvit.get("POOL_KV_STRIDE") or [], pooled_kv, image)
    each_q = tuple(strides_q.get(block, STRIDE_ONE) for block in range(depth))
    return dict(enumerate(adaptive_stride_kv(_thw(first, 1), each_q)))


def _strides(entries: list[list[int]], pooled: list[int], image: bool) -> Strides:
    """`[block, t, h, w]` a pooled block; `[block, h, w]` for images; in old files `[t, h, w]` without numbers."""
    numbered = all(len(entry) == 4 for entry in entries) or (image and all(len(entry) == 3 for entry in entries))
    if numbered:
        return {int(entry[0]): _thw(entry[1:], 1) for entry in entries}
    if len(entries) != len(pooled):
        raise ValueError(f"{len(entries)} strides without block numbers for {len(pooled)} pooled blocks")
    return {block: _thw(entry, 1) for block, entry in zip(pooled, entries, strict=True)}


def _thw(values: list[int], time: int) -> THW:
    """Three numbers; two are height and width of an image."""
    t, h, w = (int(value) for value in (values if len(values) == 3 else [time, *values]))
    if not all(0 <= value <= MAX_COUNT for value in (t, h, w)):
        raise ValueError(f"a number that is not between 0 and {MAX_COUNT}")
    return t, h, w
