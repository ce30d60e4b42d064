"""Parameters and multiply-accumulates, counted from the formulas.

Counted MACs: every convolution, every linear layer, both attention products and the relative-position products.
Not counted: norms, activations, softmax, pooling by maximum or average. One MAC is what the papers print as a "FLOP".
"""

from dataclasses import dataclass
from math import prod

from mvit_cli.arch.blocks import BlockSpec, head_width
from mvit_cli.arch.config import MViTConfig
from mvit_cli.arch.positions import absolute_rows

RGB = 3


@dataclass(frozen=True)
class Cost:
    """Parameters of a part of the network, and MACs of running it on one clip."""

    params: int
    macs: int

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.params + other.params, self.macs + other.macs)


def linear(tokens: int, dim_in: int, dim_out: int) -> Cost:
    """A linear layer with bias over `tokens` tokens."""
    return Cost((dim_in + 1) * dim_out, tokens * dim_in * dim_out)


def layer_norm(dim: int) -> Cost:
    """LayerNorm: gain and bias; its arithmetic is not counted."""
    return Cost(2 * dim, 0)


def patch_embed_cost(config: MViTConfig) -> Cost:
    """The patch convolution, the class token, the absolute positions and the stem norm."""
    dim, patches = config.stage_channels[0], config.num_patches
    per_patch = RGB * prod(config.patch_kernel)
    rows = sum(absolute_rows(config).values())
    cost = Cost((per_patch + 1) * dim + rows * dim, patches * per_patch * dim)
    return cost + layer_norm(dim) if config.norm_stem else cost


def block_cost(config: MViTConfig, block: BlockSpec) -> Cost:
    """One transformer block: attention, shortcut projection and MLP."""
    cost = layer_norm(block.dim_in) + layer_norm(block.dim_attn)
    cost += _projections_cost(config, block) + _pooling_cost(config, block) + _attention_cost(block)
    if block.fuse_hidden:
        cost += linear(block.tokens_in, block.dim_in, block.fuse_hidden)
        cost += linear(block.tokens_in, block.fuse_hidden, block.dim_in)
    if block.dim_in != block.dim_attn:
        cost += linear(block.tokens_in, block.dim_in, block.dim_attn)
    if block.dim_attn != block.dim_out:
        cost += linear(block.sequence_length, block.dim_attn, block.dim_out)
    cost += linear(block.sequence_length, block.dim_attn, block.mlp_hidden)
    return cost + linear(block.sequence_length, block.mlp_hidden, block.dim_out)


def _projections_cost(config: MViTConfig, block: BlockSpec) -> Cost:
    """Q, K and V from the tokens, and the projection of the attention's output."""
    output = linear(block.sequence_length, block.dim_attn, block.dim_attn)
    without_bias = Cost(0 if config.qkv_bias else -3 * block.dim_attn, 0)
    if config.pool_first:
        queries, keys = block.sequence_length, block.kv_sequence_length
        return output + sum(
            (linear(tokens, block.dim_in, block.dim_attn) for tokens in (queries, keys, keys)), without_bias
        )
    return output + linear(block.tokens_in, block.dim_in, 3 * block.dim_attn) + without_bias


def _pooling_cost(config: MViTConfig, block: BlockSpec) -> Cost:
    """Depthwise convolutions, one kernel for each channel of a head and shared by the heads, and their norms."""
    cost = Cost(0, 0)
    if config.pool_mode != "conv":
        return cost
    pooled = [(block.kernel_q, block.thw_out), (block.kernel_kv, block.thw_kv), (block.kernel_kv, block.thw_kv)]
    for kernel, thw in pooled:
        if kernel:
            cost += Cost(prod(kernel) * block.head_dim, prod(thw) * prod(kernel) * block.dim_attn)
            cost += layer_norm(block.head_dim)
    if block.joins_streams and block.kernel_q:  # the skip connection is pooled by the queries' kernel too
        cost += Cost(0, prod(block.thw_out) * prod(block.kernel_q) * block.dim_attn)
    return cost


def _attention_cost(block: BlockSpec) -> Cost:
    """Both attention products, and the query against the relative-position tables (class token left out)."""
    products = 2 * block.sequence_length * block.kv_sequence_length * block.dim_attn
    keys = sum(length for length, rows in zip(block.thw_kv, block.rel_pos_thw, strict=True) if rows)
    relative = prod(block.thw_out) * keys * block.dim_attn
    return Cost(sum(block.rel_pos_thw) * block.head_dim, products + relative)


def head_cost(config: MViTConfig) -> Cost:
    """The final norm and the classifier, which sees one token, and the means of earlier ones where it is configured."""
    return layer_norm(config.streams * config.stage_channels[-1]) + linear(1, head_width(config), config.num_classes)
