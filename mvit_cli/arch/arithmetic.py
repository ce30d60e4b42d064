"""A block step by step: what is multiplied with what, in the order of the data. A block's cost is the sum of its steps.

Source: MViT paper, section 3.1, equations 1 to 3; MViTv2 paper, section 4.1, equations 4 and 5.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from mvit_cli.arch.blocks import BlockSpec
from mvit_cli.arch.config import MViTConfig
from mvit_cli.arch.grid import THW


@dataclass(frozen=True)
class Step:
    """One step of a block.

    Attributes:
        name: as in the papers: `W_Q`, `pool K`, `Q K^T`, ...
        factors: their product are the MACs; none: nothing that is counted.
        gives: shape of the result.
        params: parameters of the step.
    """

    name: str
    factors: tuple[int, ...]
    gives: tuple[int, ...]
    params: int = 0

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return prod(self.factors) if self.factors else 0


def block_steps(config: MViTConfig, block: BlockSpec) -> tuple[Step, ...]:
    """All steps of a block that have parameters or MACs, and the softmax and the skip connections, which have none."""
    return (*_joining(block), *_attention(config, block), *_skip_of_attention(block), *_mlp(block))


def _linear(name: str, tokens: int, dim_in: int, dim_out: int, *, bias: bool = True) -> Step:
    return Step(name, (tokens, dim_in, dim_out), (tokens, dim_out), (dim_in + bias) * dim_out)


def _norm(name: str, tokens: int, dim: int) -> Step:
    """LayerNorm: gain and bias; its arithmetic is not counted."""
    return Step(name, (), (tokens, dim), 2 * dim)


def _joining(block: BlockSpec) -> Iterator[Step]:
    """Two streams become one where a stage of a reversible network begins."""
    if block.fuse_hidden:
        yield _linear("fuse 1", block.tokens_in, block.dim_in, block.fuse_hidden)
        yield _linear("fuse 2", block.tokens_in, block.fuse_hidden, block.dim_in)


def _attention(config: MViTConfig, block: BlockSpec) -> Iterator[Step]:
    queries, keys, dim = block.sequence_length, block.kv_sequence_length, block.dim_attn
    yield _norm("norm 1", block.tokens_in, block.dim_in)
    projected = [
        _linear(f"W_{part}", tokens if config.pool_first else block.tokens_in, block.dim_in, dim, bias=config.qkv_bias)
        for part, tokens in (("Q", queries), ("K", keys), ("V", keys))
    ]
    pooled = [*_pooling(config, block)]
    yield from (*pooled, *projected) if config.pool_first else (*projected, *pooled)
    heads = (block.heads, queries, keys)
    yield Step("Q K^T", (*heads, block.head_dim), heads)
    if any(block.rel_pos_thw):
        axes = sum(length for length, rows in zip(block.thw_kv, block.rel_pos_thw, strict=True) if rows)
        rows = sum(block.rel_pos_thw) * block.head_dim
        yield Step("Q R^T", (prod(block.thw_out), axes, dim), heads, rows)  # the class token has no place
    yield Step("softmax", (), heads)
    yield Step("A V", (*heads, block.head_dim), (queries, dim))
    if config.residual_pooling:
        yield Step("+ Q", (), (queries, dim))
    yield _linear("W_O", queries, dim, dim)


def _pooling(config: MViTConfig, block: BlockSpec) -> Iterator[Step]:
    """A depthwise convolution: one kernel for each channel of a head, shared by the heads, and a norm; or nothing
    that is counted, where the maximum or the mean is taken."""
    pooled: tuple[tuple[str, THW | None, THW, int], ...] = (
        ("pool Q", block.kernel_q, block.thw_out, block.sequence_length),
        ("pool K", block.kernel_kv, block.thw_kv, block.kv_sequence_length),
        ("pool V", block.kernel_kv, block.thw_kv, block.kv_sequence_length),
    )
    dim = block.dim_in if config.pool_first else block.dim_attn
    for name, kernel, thw, tokens in pooled:
        if kernel and config.pool_mode == "conv":
            params = (prod(kernel) + 2) * (dim // block.heads)
            yield Step(name, (prod(thw), prod(kernel), dim), (tokens, dim), params)
        elif kernel:
            yield Step(name, (), (tokens, dim))


def _skip_of_attention(block: BlockSpec) -> Iterator[Step]:
    """What is added to the attention's output: the incoming tokens, in its width and on its grid."""
    if block.dim_in != block.dim_attn:
        yield _linear("skip W", block.tokens_in, block.dim_in, block.dim_attn)
    if block.joins_streams and block.kernel_q:  # by the queries' own kernel
        taken = (prod(block.thw_out), prod(block.kernel_q), block.dim_attn)
        yield Step("skip pool", taken, (block.sequence_length, block.dim_attn))
    elif block.kernel_skip:
        yield Step("skip pool", (), (block.sequence_length, block.dim_attn))
    yield Step("+ skip", (), (block.sequence_length, block.dim_attn))


def _mlp(block: BlockSpec) -> Iterator[Step]:
    tokens = block.sequence_length
    yield _norm("norm 2", tokens, block.dim_attn)
    yield _linear("MLP 1", tokens, block.dim_attn, block.mlp_hidden)
    yield _linear("MLP 2", tokens, block.mlp_hidden, block.dim_out)
    if block.dim_attn != block.dim_out:
        yield _linear("skip W", tokens, block.dim_attn, block.dim_out)
    yield Step("+ skip", (), (tokens, block.dim_out))
