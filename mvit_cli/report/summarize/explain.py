"""The arithmetic of each row in plain words, with its own numbers: `mvit summarize --explain`."""

from collections.abc import Sequence
from itertools import groupby
from math import prod

from mvit_cli.arch.blocks import BlockSpec, block_specs, head_width
from mvit_cli.arch.config import MViTConfig
from mvit_cli.arch.cost import RGB
from mvit_cli.arch.grid import THW, half, is_strided
from mvit_cli.report.formats import listed, shape_text

_POOLED = {"conv": "pooled", "max": "max-pooled", "avg": "average-pooled"}
_FRAMES_PER_S = 30  # of the videos that the published networks were trained on


def stage_sentences(config: MViTConfig, frame_stride: int | None = None) -> dict[str, str]:
    """A line for each row of the stage table, by the name of the row.

    Args:
        frame_stride: source frames from one sampled frame to the next; None: not known, or an image.
    """
    blocks = block_specs(config)
    stages = {name: _stage(config, list(members)) for name, members in groupby(blocks, key=lambda block: block.stage)}
    return {"data": _data(config, frame_stride), "cube1": _patches(config), **stages, "head": _head(config, blocks[-1])}


def _data(config: MViTConfig, frame_stride: int | None) -> str:
    values = f"{shape_text((RGB, *config.input_thw))} = {RGB * prod(config.input_thw):,} numbers"
    if not frame_stride or config.frames == 1:
        return values
    span = config.frames * frame_stride
    return (
        f"{config.frames} frames, {frame_stride} apart: {config.frames} × {frame_stride} = {span} frames of the video, "
        f"{span} / {_FRAMES_PER_S} = {span / _FRAMES_PER_S:.2f} s at {_FRAMES_PER_S} a second; {values}"
    )


def _patches(config: MViTConfig) -> str:
    lengths = _lengths(config.input_thw, config.patch_kernel, config.patch_stride, config.patch_padding)
    tokens = _tokens(config.patch_thw, int(config.cls_token), "tokens")
    made = f"convolution {shape_text(config.patch_kernel)}, stride {shape_text(config.patch_stride)}"
    padded = f", padding {shape_text(config.patch_padding)}" if any(config.patch_padding) else ""
    return f"{made}{padded}{_so(lengths)}{tokens}"


def _stage(config: MViTConfig, blocks: Sequence[BlockSpec]) -> str:
    """The arithmetic of each kind of block in the stage; blocks of one kind are told once."""
    kinds = groupby(blocks, key=lambda block: _queries_and_keys(config, block))
    told = [(sentence, [block.index for block in members]) for sentence, members in kinds]
    if len(told) == 1:
        return told[0][0]
    return ". ".join(f"{named(indices)}: {sentence}" for sentence, indices in told)


def named(indices: Sequence[int]) -> str:
    """`Block 3`, `Blocks 4 to 12`."""
    return f"Block {indices[0]}" if len(indices) == 1 else f"Blocks {indices[0]} to {indices[-1]}"


def _queries_and_keys(config: MViTConfig, block: BlockSpec) -> str:
    return f"{queries_sentence(config, block)}; {keys_sentence(config, block)}"


def queries_sentence(config: MViTConfig, block: BlockSpec) -> str:
    """How the queries are pooled, and how many there are."""
    pooling = _pooling("Q", config, block.thw_in, block.kernel_q, block.stride_q)
    tokens = _tokens(block.thw_out, block.num_cls, "queries")
    return f"{pooling}{tokens}{_factor(block.thw_in, block.thw_out, block.stride_q)}"


def keys_sentence(config: MViTConfig, block: BlockSpec) -> str:
    """How keys and values are pooled, and how many there are."""
    pooling = _pooling("K, V", config, block.thw_in, block.kernel_kv, block.stride_kv)
    tokens = _tokens(block.thw_kv, block.num_cls, "keys")
    return f"{pooling}{tokens}{_factor(block.thw_in, block.thw_kv, block.stride_kv)}"


def _factor(thw: THW, pooled: THW, stride: THW) -> str:
    """` (s_T × s_H × s_W = 1 × 8 × 8 = 64; 25,088 / 64 = 392)`: how many times fewer places there are."""
    if not is_strided(stride):
        return ""
    factor, before, after = prod(stride), prod(thw), prod(pooled)
    product = f"s_T × s_H × s_W = {' × '.join(map(str, stride))} = {factor}"
    if before == factor * after:
        return f" ({product}; {before:,} / {factor} = {after:,})"
    return f" ({product}; of {before:,} places {after:,} are left, as each axis is rounded)"


def _pooling(what: str, config: MViTConfig, thw: THW, kernel: THW | None, stride: THW) -> str:
    """`K, V pooled 3×3×3, stride 1×4×4: floor((56 + 2 - 3) / 4) + 1 = 14, so `."""
    if kernel is None:
        return f"{what} not pooled: "
    lengths = _lengths(thw, kernel, stride, half(kernel))
    return f"{what} {_POOLED[config.pool_mode]} {shape_text(kernel)}, stride {shape_text(stride)}{_so(lengths)}"


def _lengths(thw: THW, kernel: THW, stride: THW, padding: THW) -> list[str]:
    """The formula of each axis that gets another length; height and width once where they are alike."""
    axes = list(zip(thw, kernel, stride, padding, strict=True))
    changed = [(n, k, s, p) for n, k, s, p in dict.fromkeys(axes) if s > 1 or n + 2 * p - k + 1 != n]
    return [f"floor(({n} + {2 * p} - {k}) / {s}) + 1 = {(n + 2 * p - k) // s + 1}" for n, k, s, p in changed]


def _so(lengths: Sequence[str]) -> str:
    return f": {listed(lengths)}, so " if lengths else ", which keeps the grid: "


def _tokens(thw: THW, num_cls: int, unit: str) -> str:
    """`8 × 14 × 14 + 1 = 1,569 keys`."""
    factors = " × ".join(map(str, thw))
    return f"{factors}{f' + {num_cls}' * bool(num_cls)} = {prod(thw) + num_cls:,} {unit}"


def _head(config: MViTConfig, last: BlockSpec) -> str:
    dim, classes = last.dim_out, config.num_classes
    seen = {
        "cls": "the class token",
        "mean": f"the mean of the {last.sequence_length:,} normalised tokens",
        "mean_then_norm": f"the norm of the mean of {last.sequence_length - last.num_cls:,} tokens",
    }[config.head_pooling]
    width = head_width(config)
    if config.head_inputs == "blocks":
        seen = f"the means of the tokens after {config.depth - 1} earlier blocks, and {seen}"
    params = (width + 1) * classes
    return (
        f"{seen}, {width} channels: norm 2 × {dim} = {2 * dim:,} parameters, "
        f"linear ({width} + 1) × {classes} = {params:,} parameters, {width} × {classes} = {width * classes:,} MACs"
    )
