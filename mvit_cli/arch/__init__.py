"""What the network is, in plain Python: configuration, blocks, grids, parameters, MACs. No torch."""

from mvit_cli.arch.blocks import BlockSpec, block_specs
from mvit_cli.arch.config import MViTConfig, adaptive_stride_kv
from mvit_cli.arch.grid import THW
from mvit_cli.arch.presets import Preset, get_preset, preset_names, resolve_preset
from mvit_cli.arch.summary import summarize

__all__ = [
    "THW",
    "BlockSpec",
    "MViTConfig",
    "Preset",
    "adaptive_stride_kv",
    "block_specs",
    "get_preset",
    "preset_names",
    "resolve_preset",
    "summarize",
]
