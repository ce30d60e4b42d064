"""Blocks in words and step by step, so that their GMACs add up by hand: `mvit summarize --blocks --explain`."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from mvit_cli.arch.arithmetic import Step, block_steps
from mvit_cli.arch.blocks import BlockSpec, block_specs
from mvit_cli.arch.config import MViTConfig
from mvit_cli.explained import ExplainedBlock
from mvit_cli.report.formats import shape_text
from mvit_cli.report.summarize.explain import keys_sentence, named, queries_sentence
from mvit_cli.report.tables import Column, Table

LEGEND = (
    "Linear layers (W_Q, W_K, W_V, W_O, MLP, skip W): tokens × channels in × channels out. Pooling: places × "
    "k_T × k_H × k_W × channels, with one kernel for each channel of a head; the class token is no place.",
    "Q K^T and A V: heads × L_Q × L_K × D. A, the softmax of Q K^T / √D, has a row for each of L_Q queries and in it a "
    "weight for each of L_K keys; A V multiplies each weight by the value of its key. So there must be as many values "
    "as keys, in the same order: s_K = s_V. The queries' stride is free, and it alone sets the length of the output.",
    "Not counted: norms, the softmax, maxima and means, additions.",
)
_RELATIVE = (
    "Q R^T: places × (t + h + w of the keys' grid, the axes that have a table) × channels; R has a vector for each "
    "distance along an axis."
)


def explained_blocks(config: MViTConfig) -> list[ExplainedBlock]:
    """All blocks; the steps of each add up to its parameters and MACs."""
    return [
        {
            "index": block.index,
            "stage": block.stage,
            "queries": queries_sentence(config, block),
            "keys": keys_sentence(config, block),
            "skip": _skip(block, config),
            "width": _width(block),
            "steps": [
                {
                    "name": step.name,
                    "factors": list(step.factors),
                    "gives": list(step.gives),
                    "macs": step.macs,
                    "params": step.params,
                }
                for step in block_steps(config, block)
            ],
        }
        for block in block_specs(config)
    ]


def block_parts(config: MViTConfig) -> Iterator[tuple[list[str], Table]]:
    """Prose and a table of steps for each kind of block; blocks of one kind that follow each other are told once."""
    kinds = groupby(block_specs(config), key=lambda block: replace(block, index=0))
    for kind, members in kinds:
        blocks = list(members)
        prose = [queries_sentence(config, kind), keys_sentence(config, kind), _skip(kind, config), _width(kind)]
        yield [f"- {sentence}" for sentence in prose], _steps_table(config, kind, _title(blocks))


def legend(config: MViTConfig) -> list[str]:
    """How the tables of steps are read, and why K and V have one stride."""
    has_tables = any(any(block.rel_pos_thw) for block in block_specs(config))
    return [f"- {note}" for note in (*LEGEND[:2], *[_RELATIVE] * has_tables, LEGEND[2])]


def _title(blocks: Sequence[BlockSpec]) -> str:
    first = blocks[0]
    heads = "1 head" if first.heads == 1 else f"{first.heads} heads"
    return (
        f"{named([block.index for block in blocks])} ({first.stage}): {first.tokens_in:,} tokens of {first.dim_in} "
        f"channels, {heads} of D = {first.head_dim}"
    )


def _steps_table(config: MViTConfig, block: BlockSpec, title: str) -> Table:
    steps = block_steps(config, block)
    columns = (
        Column("step", numeric=False),
        Column("arithmetic", numeric=False),
        Column("gives", rank=1),
        Column("params", rank=2),
        Column("MACs"),
    )
    rows = tuple(
        (
            step.name,
            " × ".join(f"{factor:,}" for factor in step.factors) or _uncounted(step, block, config),
            _shape(step),
            f"{step.params:,}" if step.params else "",
            f"{step.macs:,}" if step.factors else "",
        )
        for step in steps
    )
    params, macs = sum(step.params for step in steps), sum(step.macs for step in steps)
    footer = ("sum", "", _shape(steps[-1]), f"{params:,}", f"{macs:,}")
    return Table(columns, rows, footer, title=title)


def _shape(step: Step) -> str:
    """`6,273×192`."""
    return "×".join(f"{extent:,}" for extent in step.gives)


def _uncounted(step: Step, block: BlockSpec, config: MViTConfig) -> str:
    """What a step does that has no MACs."""
    if step.name.startswith("pool"):
        is_query = step.name.endswith("Q")
        kernel, stride = (block.kernel_q, block.stride_q) if is_query else (block.kernel_kv, block.stride_kv)
        how = {"max": "maximum", "avg": "mean"}[config.pool_mode]
        return f"{how} of {shape_text(kernel or ())}, stride {shape_text(stride)}"
    return {
        "norm 1": f"LayerNorm of {block.dim_in} channels",
        "norm 2": f"LayerNorm of {block.dim_attn} channels",
        "softmax": f"over {block.kv_sequence_length:,} keys",
        "+ Q": "residual pooling",
        "skip pool": f"maximum of {shape_text(block.kernel_skip or ())}, stride {shape_text(block.stride_q)}",
        "+ skip": "addition",
    }[step.name]


def _skip(block: BlockSpec, config: MViTConfig) -> str:
    if config.streams == 2:
        return _skip_of_streams(block)
    widened = f"the normalised input through a linear layer {block.dim_in} → {block.dim_attn}"
    of_attention = widened if block.dim_in != block.dim_attn else "the incoming tokens"
    if block.kernel_skip:
        pooled = f"max-pooled {shape_text(block.kernel_skip)}, stride {shape_text(block.stride_q)}"
        of_attention += f", {pooled} as the queries are: {block.sequence_length:,} tokens"
    of_mlp = "as it is"
    if block.dim_attn != block.dim_out:
        of_mlp = f"normalised and through a linear layer {block.dim_attn} → {block.dim_out}"
    return f"skip connections: to the attention's output {of_attention}; to the MLP's that sum {of_mlp}"


def _skip_of_streams(block: BlockSpec) -> str:
    """What is added to what in a reversible network."""
    if not block.joins_streams:
        return (
            "skip connections: the attention sees the second stream and is added to the first; the MLP sees that sum "
            "and is added to the second"
        )
    joined = "both streams beside each other and what an MLP makes of them" if block.fuse_hidden else "their mean"
    widened = (
        f" through a linear layer {block.dim_in} → {block.dim_attn}" if block.dim_in != block.dim_attn else " as it is"
    )
    pooled = ", pooled by the queries' own kernel" if block.kernel_q else ""
    return (
        f"the streams are joined: {joined}; skip connections: to the attention's output what was joined,{widened}"
        f"{pooled}; to the MLP's that sum as it is; both streams go on from it"
    )


def _width(block: BlockSpec) -> str:
    if block.dim_in != block.dim_attn:
        return (
            f"width: {block.dim_in} → {block.dim_attn} channels, in W_Q, W_K and W_V: in the attention of the first "
            "block of a stage (MViTv2)"
        )
    if block.dim_attn != block.dim_out:
        return (
            f"width: {block.dim_attn} → {block.dim_out} channels, in MLP 2: in the MLP of the last block before the "
            "next stage (MViT)"
        )
    return f"width: {block.dim_in} channels, in and out"
