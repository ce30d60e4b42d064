"""What the network does to a clip, stage by stage: the object behind `mvit summarize`."""

from dataclasses import asdict, fields, replace
from typing import cast

from mvit_cli.arch.blocks import BlockSpec, block_specs
from mvit_cli.arch.config import MViTConfig
from mvit_cli.arch.cost import Cost, block_cost, head_cost, patch_embed_cost
from mvit_cli.arch.presets import Preset, get_preset, preset_names
from mvit_cli.records import Block, PaperFigures, Stage, Summary


def summarize(
    preset: str | MViTConfig = "B",
    *,
    frames: int | None = None,
    size: int | tuple[int, int] | None = None,
    num_classes: int | None = None,
) -> Summary:
    """Shapes, sequence lengths, parameters and MACs of a preset or a configuration, per stage and per block.

    Args:
        preset: a preset's name or alias, or a configuration of one's own.
        frames: frames of the clip; default: the preset's.
        size: pixels of the crop, one number or (height, width); default: the preset's.
        num_classes: default: the preset's.

    Returns:
        The JSON object of `mvit summarize`.

    Raises:
        ValueError: if the architecture cannot take that geometry.
        UsageError: if there is no such preset.
    """
    if isinstance(preset, MViTConfig):
        config = resized(preset, frames, size, num_classes)
        return summarize_config(config, preset_of(config))
    found = get_preset(preset)
    return summarize_config(resized(found.config, frames, size, num_classes), found)


def resized(
    config: MViTConfig,
    frames: int | None = None,
    size: int | tuple[int, int] | None = None,
    num_classes: int | None = None,
) -> MViTConfig:
    """The same architecture for another clip geometry or another number of classes."""
    height, width = (size, size) if isinstance(size, int) else size or (config.height, config.width)
    frames = config.frames if frames is None else frames
    return replace(
        config,
        frames=frames,
        height=height,
        width=width,
        num_classes=config.num_classes if num_classes is None else num_classes,
        trained_thw=None if config.trained_thw == (frames, height, width) else config.trained_thw,
    )


def preset_of(config: MViTConfig) -> Preset | None:
    """The preset that a configuration is, apart from clip geometry and the classifier; None for one of its own.

    Of presets that differ in nothing else, the one with the configuration's geometry, or else the first.
    """
    alike = [preset for name in preset_names() if _alike((preset := get_preset(name)).config, config)]
    exact = (preset for preset in alike if preset.config.input_thw == config.input_thw)
    return next(exact, next(iter(alike), None))


def _alike(one: MViTConfig, other: MViTConfig) -> bool:
    """Nothing is built: the one may be none that takes clips as small as the other's."""
    free = ("frames", "height", "width", "num_classes", "trained_thw", "head_inputs")
    return all(getattr(one, each.name) == getattr(other, each.name) for each in fields(one) if each.name not in free)


def summarize_config(config: MViTConfig, preset: Preset | None = None) -> Summary:
    """The summary of any configuration; `preset` adds its name and what its paper prints."""
    blocks = block_specs(config)
    costs = [block_cost(config, block) for block in blocks]
    stages = [_patch_stage(config)]
    for stage, depth in enumerate(config.stage_depths):
        start = sum(config.stage_depths[:stage])
        stages.append(_stage(config, blocks[start : start + depth], costs[start : start + depth]))
    stages.append(_head_stage(config))
    macs = sum(stage["macs"] for stage in stages)
    return {
        "preset": preset.name if preset else None,
        "input": {"frames": config.frames, "height": config.height, "width": config.width},
        "num_classes": config.num_classes,
        "params": sum(stage["params"] for stage in stages),
        "macs": macs,
        "flops": 2 * macs,
        "paper": cast("PaperFigures", asdict(preset.paper)) if preset and preset.paper else None,
        "note": preset.note if preset else "",
        "stages": stages,
        "blocks": [_block(block, cost) for block, cost in zip(blocks, costs, strict=True)],
    }


def _patch_stage(config: MViTConfig) -> Stage:
    cost = patch_embed_cost(config)
    return {
        "name": "cube1",
        "blocks": 0,
        "channels": config.stage_channels[0],
        "heads": None,
        "thw": list(config.patch_thw),
        "sequence_length": config.num_patches + int(config.cls_token),
        "kv_sequence_length": None,
        "params": cost.params,
        "macs": cost.macs,
    }


def _stage(config: MViTConfig, blocks: tuple[BlockSpec, ...], costs: list[Cost]) -> Stage:
    """A stage's shapes are those after its last block; the first block may see more keys than the others."""
    cost, last = sum(costs, Cost(0, 0)), blocks[-1]
    return {
        "name": last.stage,
        "blocks": len(blocks),
        "channels": last.dim_attn,
        "heads": last.heads,
        "thw": list(last.thw_out),
        "sequence_length": last.sequence_length,
        "kv_sequence_length": last.kv_sequence_length,
        "params": cost.params,
        "macs": cost.macs,
    }


def _head_stage(config: MViTConfig) -> Stage:
    cost = head_cost(config)
    return {
        "name": "head",
        "blocks": 0,
        "channels": config.num_classes,
        "heads": None,
        "thw": [1, 1, 1],
        "sequence_length": 1,
        "kv_sequence_length": None,
        "params": cost.params,
        "macs": cost.macs,
    }


def _block(block: BlockSpec, cost: Cost) -> Block:
    return {
        "index": block.index,
        "stage": block.stage,
        "dim_in": block.dim_in,
        "dim_out": block.dim_out,
        "heads": block.heads,
        "thw_in": list(block.thw_in),
        "thw_out": list(block.thw_out),
        "kv_thw": list(block.thw_kv),
        "sequence_length": block.sequence_length,
        "kv_sequence_length": block.kv_sequence_length,
        "stride_q": list(block.stride_q),
        "stride_kv": list(block.stride_kv),
        "kernel_q": list(block.kernel_q) if block.kernel_q else None,
        "kernel_kv": list(block.kernel_kv) if block.kernel_kv else None,
        "params": cost.params,
        "macs": cost.macs,
    }
