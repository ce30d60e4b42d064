"""From a checkpoint to the configuration of its network.

What the shapes tell, the file decides. Strides are not in the tensors: they come from the file's own training
configuration, else from the named preset, else from the preset whose structure fits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Literal

from mvit_cli.arch.blocks import block_specs
from mvit_cli.arch.config import STRIDE_ONE, MViTConfig
from mvit_cli.arch.grid import THW, widened
from mvit_cli.arch.presets import Preset, get_preset, preset_names
from mvit_cli.checkpoints.formats.backbone import backbone_cfg
from mvit_cli.checkpoints.formats.cfg import TrainingCfg, parse_cfg
from mvit_cli.checkpoints.formats.clip_size import Geometry, frames_of, size_of, trained_for
from mvit_cli.checkpoints.formats.facts import Facts
from mvit_cli.errors import CheckpointError

_ADDS_CLS_QUERY = ("timm", "pytorchvideo")
"""Layouts of the code bases whose residual pooling adds the class token's query too."""


@dataclass(frozen=True)
class Inferred:
    """A configuration, and where the numbers that shapes cannot tell were taken from."""

    config: MViTConfig
    strides_from: str
    notes: tuple[str, ...] = ()


def infer_config(
    facts: Facts,
    layout: str,
    cfg: str | None = None,
    preset: str | None = None,
    asked: Geometry = (None, None),
    backbone: Mapping[str, Any] | None = None,
) -> Inferred:
    """The configuration of the network that a file belongs to.

    Args:
        facts: what the shapes tell.
        layout: the key layout; it stands for the habits of the code it comes from.
        cfg: the file's training configuration, if it has one.
        preset: the architecture that the user named, if any.
        asked: the clips that the network is wanted for, which may be those that it was trained for.
        backbone: what MMEngine's configuration in the file says of the network, if it has one.

    Raises:
        CheckpointError: if the file contradicts the named preset, nothing tells its strides or its clips, or what it
            tells is no network that can be built.
    """
    try:
        inferred = _inferred(facts, layout, _training_cfg(facts, cfg, backbone), preset)
        return replace(inferred, config=trained_for(inferred.config, facts, asked))
    except ValueError as error:
        raise CheckpointError(
            f"what the file says of its network cannot be built: {error}",
            "see whether the file is complete; else build the model from its own MViTConfig and load the file with"
            " mvit_cli.load_state_dict",
        ) from error


def _inferred(facts: Facts, layout: str, training: TrainingCfg | None, preset: str | None) -> Inferred:
    named = get_preset(preset) if preset else None
    if named:
        _check_structure(facts, named)
    if training:
        base, source = _config_from_cfg(facts, training), f"the file's {'meta' if layout == 'mmaction2' else 'cfg'}"
    else:
        fitting = named or _fitting_preset(facts)
        base, source = _config_from_preset(facts, fitting.config), f"preset {fitting.name}"
    config, notes = _with_habits(base, facts, layout, from_cfg=training is not None)
    if named:
        _check_frames(config, facts, named)
    return Inferred(config, source, notes)


def _training_cfg(facts: Facts, cfg: str | None, backbone: Mapping[str, Any] | None) -> TrainingCfg | None:
    if not cfg:
        images = facts.patch_kernel[0] == 1
        return backbone_cfg(backbone, len(facts.blocks), facts.stage_starts, images) if backbone else None
    pooled_q = [i for i, block in enumerate(facts.blocks) if block.kernel_q]
    pooled_kv = [i for i, block in enumerate(facts.blocks) if block.kernel_kv]
    return parse_cfg(cfg, len(facts.blocks), pooled_q, pooled_kv)


# --- structure that the file shares with every source of strides


def _from_facts(facts: Facts) -> dict[str, Any]:
    """The fields of a configuration that shapes decide, whatever the stages."""
    first = facts.blocks[0]
    return {
        "num_classes": facts.num_classes,
        "mlp_ratio": first.mlp_hidden / first.dim_attn,
        "patch_kernel": facts.patch_kernel,
        "cls_token": facts.cls_token,
        "pos_embed": facts.pos_embed,
        "rel_pos_space": facts.rel_pos_space,
        "rel_pos_time": facts.rel_pos_time,
        "expand_in": facts.expand_in,
        "norm_stem": facts.norm_stem,
        "qkv_bias": facts.qkv_bias,
        "reversible": facts.reversible,
    }


def _pooling_fields(facts: Facts, stride_q: Sequence[THW], stride_kv: Sequence[THW]) -> dict[str, Any]:
    """Kernels and pooled blocks as the file has them, for known strides of every block."""
    kernels_q = [block.kernel_q for block in facts.blocks]
    kernels_kv = [block.kernel_kv for block in facts.blocks]
    kernel_kv = _common_kernel(kernels_kv, stride_kv, "key-value")
    expected = [kernel_kv or widened(stride) for stride in stride_kv]
    unpooled = (i for i, kernel in enumerate(kernels_kv) if kernel is None and prod(expected[i]) > 1)
    return {
        "kernel_q": _common_kernel(kernels_q, stride_q, "query"),
        "kernel_kv": kernel_kv,
        "pool_q_everywhere": facts.pools_q_everywhere,
        "unpooled_kv_blocks": tuple(unpooled),
    }


def _common_kernel(kernels: Sequence[THW | None], strides: Sequence[THW], part: str) -> THW | None:
    """The kernel that all pooled blocks share; None if each is one wider than its stride.

    Raises:
        CheckpointError: if neither holds.
    """
    pooled = [(kernel, stride) for kernel, stride in zip(kernels, strides, strict=True) if kernel]
    distinct = {kernel for kernel, _ in pooled}
    if len(distinct) == 1:
        return distinct.pop()
    if all(kernel == widened(stride) for kernel, stride in pooled):
        return None
    raise CheckpointError(
        f"the {part} pooling kernels {sorted(distinct)} differ from block to block and do not follow the strides",
        "no known MViT is built so",
    )


# --- strides from the file's own training configuration


def _config_from_cfg(facts: Facts, cfg: TrainingCfg) -> MViTConfig:
    depth = len(facts.blocks)
    starts = _stage_starts(facts, cfg)
    spans = list(zip(starts, (*starts[1:], depth), strict=True))
    stride_q = [cfg.strides_q.get(i, STRIDE_ONE) for i in range(depth)]
    stride_kv = [cfg.strides_kv.get(i, STRIDE_ONE) for i in range(depth)]
    height, width = size_of(facts, cfg.patch_stride, cfg.size)
    if cfg.pool_first and facts.expand_in == "attn" and len(facts.stage_channels) > 1:
        raise CheckpointError(
            "the file's cfg says MVIT.POOL_FIRST and DIM_MUL_IN_ATT, and pooling before widening is unknown here",
            "networks that widen in the MLP, or pool after they project, are",
        )
    config = MViTConfig(
        **_from_facts(facts),
        **(_pooling_fields(facts, stride_q, stride_kv) if facts.has_pooling_tensors else _pooling_of(cfg, depth)),
        stage_depths=tuple(end - start for start, end in spans),
        stage_channels=tuple(facts.blocks[start].dim_attn for start in starts),
        stage_heads=tuple(_heads(facts, cfg, start, end) for start, end in spans),
        stride_q=tuple(stride_q[start] for start in starts),
        stride_kv=tuple(max(stride_kv[start:end]) for start, end in spans),
        frames=frames_of(facts, cfg.patch_stride, cfg.frames),
        height=height,
        width=width,
        patch_stride=cfg.patch_stride,
        patch_padding=cfg.patch_padding,
        pool_mode=_pool_mode(cfg.pool_mode),
        pool_first=cfg.pool_first,
        residual_pooling=cfg.residual_pooling,
        head_pooling="mean_then_norm" if cfg.mean_pooling else "cls" if facts.cls_token else "mean",
    )
    _check_strides(config, stride_q, stride_kv)
    _check_joins(config, cfg)
    return config


def _check_joins(config: MViTConfig, cfg: TrainingCfg) -> None:
    """That the file's cfg and its tensors agree on the streams, and on where and how they are joined.

    Raises:
        CheckpointError: naming both.
    """
    blocks = tuple(block.index for block in block_specs(config) if block.joins_streams)
    built = None if config.streams == 1 else (blocks, config.reversible)
    if built != cfg.joins:
        said, seen = (
            f"two streams joined by {joins[1]} in the blocks {', '.join(map(str, joins[0])) or '(none)'}"
            if joins
            else "one stream"
            for joins in (cfg.joins, built)
        )
        raise CheckpointError(
            f"the file's cfg (MVIT.REV.ENABLE, BUFFER_LAYERS, PRE_Q_FUSION) says {said}, its tensors and strides say"
            f" {seen}",
            "a reversible network is known whose streams are joined by the first block of each later stage",
        )


def _check_strides(config: MViTConfig, stride_q: Sequence[THW], stride_kv: Sequence[THW]) -> None:
    """That each block is built with the strides that the file's cfg gives it.

    Raises:
        CheckpointError: naming the first block whose stride the stages cannot express.
    """
    for block in block_specs(config):
        pairs = (("query", block.stride_q, stride_q), ("key-value", block.stride_kv, stride_kv))
        for part, built, said in pairs:
            if built != said[block.index]:
                raise CheckpointError(
                    f"the file's cfg gives block {block.index} the {part} stride {said[block.index]}, and the blocks of"
                    f" its stage have {built}",
                    "only strides that are equal inside a stage are supported",
                )


def _pooling_of(cfg: TrainingCfg, depth: int) -> dict[str, Any]:
    """Pooling by maximum or average leaves no tensors: the configuration alone tells where it is done."""
    return {
        "kernel_q": cfg.kernel,
        "kernel_kv": cfg.kernel,
        "pool_q_everywhere": len(cfg.strides_q) == depth,
        "unpooled_kv_blocks": tuple(i for i in range(depth) if i not in cfg.strides_kv),
    }


def _heads(facts: Facts, cfg: TrainingCfg, start: int, end: int) -> int:
    """Heads of a stage: by the width of its pooling norms, else as configured."""
    head_dim = next((block.head_dim for block in facts.blocks[start:end] if block.head_dim), None)
    return facts.blocks[start].dim_attn // head_dim if head_dim else cfg.heads[start]


def _pool_mode(mode: str) -> Literal["conv", "max", "avg"]:
    if mode in ("conv", "max", "avg"):
        return mode  # type: ignore[return-value]
    raise CheckpointError(f"the file's cfg pools by {mode!r}", "known are conv, max and avg")


def _stage_starts(facts: Facts, cfg: TrainingCfg) -> tuple[int, ...]:
    """Stages begin where the width changes, and wherever the query is strided or the key-value stride changes."""
    starts = set(facts.stage_starts) | {block for block, stride in cfg.strides_q.items() if prod(stride) > 1}
    for block in range(1, len(facts.blocks)):
        before, here = cfg.strides_kv.get(block - 1), cfg.strides_kv.get(block)
        if before and here and before != here:
            starts.add(block)
    return tuple(sorted(starts))


# --- strides from a preset


def _fitting_preset(facts: Facts) -> Preset:
    """The preset of the same structure; among several, the one that shares most of its optional parts.

    Raises:
        CheckpointError: if none fits; names those that were tried.
    """
    candidates = [preset for name in preset_names() if not _contradictions(facts, preset := get_preset(name))]
    fitting = [preset for preset in candidates if _tables_fit(facts, preset.config)]
    if not fitting:
        tried = ", ".join(preset_names())
        raise CheckpointError(
            f"the strides are not in the file, and no preset has its structure (stages of {facts.stage_depths} blocks,"
            f" {facts.stage_channels} channels, patch kernel {facts.patch_kernel}); tried {tried}",
            "build the model from its own MViTConfig and load the file with mvit_cli.load_state_dict",
        )
    return max(fitting, key=lambda preset: _likeness(facts, preset.config))


def _likeness(facts: Facts, config: MViTConfig) -> int:
    same = (
        facts.cls_token == config.cls_token,
        facts.expand_in == config.expand_in,
        facts.pos_embed == config.pos_embed,
        facts.rel_pos_time == config.rel_pos_time,
        facts.patch_frames == config.patch_thw[0],
        facts.patch_side == config.patch_thw[1],
    )
    return sum(same)


def _tables_fit(facts: Facts, config: MViTConfig) -> bool:
    """Whether the relative-position tables have the lengths that the preset's strides give at the file's size."""
    if not facts.rel_pos_space:
        return True
    built = block_specs(_config_from_preset(facts, config))
    return all(spec.rel_pos_thw == seen.rel_pos_thw for spec, seen in zip(built, facts.blocks, strict=True))


def _config_from_preset(facts: Facts, config: MViTConfig) -> MViTConfig:
    """The preset with all that the file decides put in its place; their stages are the same."""
    if not facts.has_pooling_tensors:
        raise CheckpointError(
            "the file has no pooling tensors: Q, K and V are pooled by maximum or average, and only a cfg in the file"
            " could tell which",
            "build the model from its own MViTConfig and load the file with mvit_cli.load_state_dict",
        )
    blocks = block_specs(config)
    height, width = size_of(facts, config.patch_stride, None, config)
    return replace(
        config,
        **_from_facts(facts),
        **_pooling_fields(facts, [block.stride_q for block in blocks], [block.stride_kv for block in blocks]),
        frames=frames_of(facts, config.patch_stride, None, config),
        height=height,
        width=width,
        head_pooling="cls" if facts.cls_token else "mean",
    )


# --- contradictions and habits


def check_preset(config: MViTConfig, facts: Facts, preset: Preset) -> None:
    """Raises CheckpointError, naming both numbers, if a file's configuration contradicts the named preset."""
    _check_structure(facts, preset)
    _check_frames(config, facts, preset)


def _check_structure(facts: Facts, preset: Preset) -> None:
    problems = _contradictions(facts, preset)
    if problems:
        raise CheckpointError(
            f"the file does not belong to preset {preset.name}: {'; '.join(problems)}",
            "leave out the preset: the file tells its architecture itself",
        )


def _contradictions(facts: Facts, preset: Preset) -> list[str]:
    """Where the structure of the file is not the preset's; each names both numbers."""
    config = preset.config
    pairs: list[tuple[str, object, object]] = [
        ("depth (blocks a stage)", facts.stage_depths, config.stage_depths),
        ("width (channels a stage)", facts.stage_channels, config.stage_channels),
        ("patch kernel", facts.patch_kernel, config.patch_kernel),
        ("reversible", facts.reversible, config.reversible),
    ]
    if facts.has_pooling_tensors:
        pairs.append(("query pooling in every block", facts.pools_q_everywhere, config.pool_q_everywhere))
    if len(facts.stage_channels) == len(config.stage_heads):
        widths = zip(facts.stage_channels, facts.stage_head_dims, config.stage_heads, strict=True)
        heads = tuple(channels // head_dim if head_dim else expected for channels, head_dim, expected in widths)
        pairs.append(("heads", heads, config.stage_heads))
    return [
        f"{name} {seen} in the file, {expected} in the preset" for name, seen, expected in pairs if seen != expected
    ]


def _check_frames(config: MViTConfig, facts: Facts, preset: Preset) -> None:
    expected = preset.config
    if config.frames != expected.frames:
        raise CheckpointError(
            f"the file was trained on clips of {config.frames} frames, preset {preset.name} has {expected.frames}",
            "leave out the preset, or name the one that the file was trained for",
        )


def _with_habits(
    config: MViTConfig, facts: Facts, layout: str, *, from_cfg: bool
) -> tuple[MViTConfig, tuple[str, ...]]:
    """What neither shapes nor configuration tell, but the code a layout belongs to always does."""
    notes = []
    if layout in _ADDS_CLS_QUERY and config.cls_token and config.residual_pooling:
        config = replace(config, residual_pooling_cls=True)
        notes.append(f"{layout} adds the class token's query in residual pooling")
    if facts.reversible == "mean" and not from_cfg:
        notes.append("the streams are joined by their mean, PySlowFast's default: no tensor tells")
    is_maskfeat = config.residual_pooling and config.cls_token and config.expand_in == "mlp"
    if layout.startswith("pyslowfast") and is_maskfeat and not from_cfg:
        config = replace(config, head_pooling="mean_then_norm")
        notes.append("PySlowFast widens MViTv2 in the MLP only for MaskFeat, whose classifier sees the mean token")
    return config, tuple(notes)
