"""A network small enough for tests, with random weights in a file."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from mvit_cli.arch.config import MViTConfig
from mvit_cli.checkpoints.load import CONFIG_KEY, build_model, config_to_json

CONFIG = MViTConfig(
    frames=4,
    height=32,
    width=32,
    num_classes=7,
    stage_depths=(1, 1),
    stage_channels=(8, 16),
    stage_heads=(1, 2),
    stride_q=((1, 1, 1), (1, 2, 2)),
    stride_kv=((1, 4, 4), (1, 2, 2)),
)


def write_weights(path: Path, config: MViTConfig = CONFIG, spread: float = 5.0) -> Path:
    """Writes random weights whose scores differ from class to class, and returns the path."""
    generator = torch.Generator().manual_seed(0)
    tensors = {key: tensor.contiguous() for key, tensor in build_model(config).state_dict().items()}
    tensors["head.projection.weight"] = spread * torch.randn(
        tensors["head.projection.weight"].shape, generator=generator
    )
    save_file(tensors, path, metadata={CONFIG_KEY: config_to_json(config)})
    return path
