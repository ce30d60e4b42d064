"""What a step of training takes, where nobody says so before it is too late: a CPU's memory has no exception."""

from typing import TYPE_CHECKING

from mvit_cli.arch.blocks import BlockSpec, block_specs
from mvit_cli.recognition.scoring import MEMORY_SHARE, free_memory

if TYPE_CHECKING:
    import torch

    from mvit_cli.arch.config import MViTConfig

FLOAT_BYTES = 4


def memory_of_clip(config: "MViTConfig") -> int:
    """An estimate of the bytes that one clip of a step takes: what all blocks keep for the way back."""
    return FLOAT_BYTES * sum(map(_numbers_kept, block_specs(config)))


def _numbers_kept(block: BlockSpec) -> int:
    """Of a block: norms and what comes in, Q, K and V before, in and after pooling, attention thrice, the MLP twice."""
    tokens_in, tokens, keys = block.tokens_in, block.sequence_length, block.kv_sequence_length
    attention = 3 * block.heads * tokens * keys
    qkv = 6 * tokens_in * block.dim_attn + 3 * (tokens + 2 * keys) * block.dim_attn
    around = 3 * tokens_in * block.dim_in + tokens * (2 * block.dim_attn + 3 * block.dim_out)
    return attention + qkv + around + 2 * tokens * block.mlp_hidden


def clips_at_once(config: "MViTConfig", device: "torch.device", most: int) -> int:
    """How many clips of a step go through together: `most` on a GPU, which tells when its memory runs out."""
    free_bytes = free_memory(device) if device.type == "cpu" else None
    if free_bytes is None:
        return most
    return max(1, min(most, int(MEMORY_SHARE * free_bytes / memory_of_clip(config))))
