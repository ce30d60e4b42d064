"""From a configuration to its blocks: every shape, kernel and stride, one frozen record a block."""

from dataclasses import dataclass
from math import prod

from mvit_cli.arch.config import STRIDE_ONE, MViTConfig
from mvit_cli.arch.fields import mlp_hidden
from mvit_cli.arch.grid import THW, floor_div, is_strided, pooled_grid, widened
from mvit_cli.arch.positions import relative_rows_thw


@dataclass(frozen=True, kw_only=True)
class BlockSpec:
    """One transformer block as data; the model, the summary and the checkpoint loader read the same records.

    Attributes:
        stage: name as in the paper's tables: `scale2`, `scale3`, ...
        dim_in, dim_attn, dim_out: channels of the incoming tokens, inside the attention, and of the outgoing tokens.
        kernel_q, kernel_kv, kernel_skip: pooling kernels; None: not pooled (a reversible network pools the skip
            connection as it pools the queries).
        thw_in, thw_out, thw_kv: token grid that comes in, of the query (and of the output), and of keys and values.
        rel_pos_thw: rows of the relative-position tables in time, height and width; 0: no table.
        joins_streams: the block begins a later stage of a reversible network; `dim_in` is the width after joining.
        fuse_hidden: hidden channels of the MLP that the joined streams pass; 0: none, they are averaged.
    """

    index: int
    stage: str
    dim_in: int
    dim_attn: int
    dim_out: int
    mlp_hidden: int
    heads: int
    kernel_q: THW | None
    stride_q: THW
    kernel_kv: THW | None
    stride_kv: THW
    kernel_skip: THW | None
    thw_in: THW
    thw_out: THW
    thw_kv: THW
    rel_pos_thw: THW
    num_cls: int
    joins_streams: bool = False
    fuse_hidden: int = 0

    @property
    def head_dim(self) -> int:
        """Channels of one head, `D`."""
        return self.dim_attn // self.heads

    @property
    def tokens_in(self) -> int:
        """Length of the incoming sequence, with the class token."""
        return prod(self.thw_in) + self.num_cls

    @property
    def sequence_length(self) -> int:
        """Number of queries, which is the length of the outgoing sequence, with the class token."""
        return prod(self.thw_out) + self.num_cls

    @property
    def kv_sequence_length(self) -> int:
        """Number of keys each query sees, with the class token."""
        return prod(self.thw_kv) + self.num_cls


def block_specs(config: MViTConfig) -> tuple[BlockSpec, ...]:
    """The blocks of the network, first to last, for clips of the configured size."""
    specs: list[BlockSpec] = []
    thw = config.patch_thw
    nominal = config.tables_patch_thw  # the released code sizes its relative-position tables by floor division
    dim_in = config.stage_channels[0]
    last = len(config.stage_depths) - 1
    for stage, depth in enumerate(config.stage_depths):
        for position in range(depth):
            index = len(specs)
            dim_attn = config.stage_channels[stage]
            widens_here = config.expand_in == "mlp" and position == depth - 1 and stage < last
            stride_q = config.stride_q[stage] if position == 0 else STRIDE_ONE
            kernel_q = _kernel_q(config, stride_q)
            kernel_kv, stride_kv = _pooling_kv(config, stage, index)
            thw_out = pooled_grid(thw, kernel_q, stride_q) if kernel_q else thw
            joins = config.streams == 2 and position == 0 and stage > 0
            fuses = joins and config.reversible == "mlp"
            dim_in = 2 * dim_in if fuses else dim_in
            specs.append(
                BlockSpec(
                    index=index,
                    stage=f"scale{stage + 2}",
                    dim_in=dim_in,
                    dim_attn=dim_attn,
                    dim_out=config.stage_channels[stage + 1] if widens_here else dim_attn,
                    mlp_hidden=mlp_hidden(dim_attn, config.mlp_ratio),
                    heads=config.stage_heads[stage],
                    kernel_q=kernel_q,
                    stride_q=stride_q,
                    kernel_kv=kernel_kv,
                    stride_kv=stride_kv,
                    kernel_skip=widened(stride_q) if is_strided(stride_q) and config.streams == 1 else None,
                    thw_in=thw,
                    thw_out=thw_out,
                    thw_kv=pooled_grid(thw, kernel_kv, stride_kv) if kernel_kv else thw,
                    rel_pos_thw=relative_rows_thw(config, nominal, stride_q, stride_kv),
                    num_cls=int(config.cls_token),
                    joins_streams=joins,
                    fuse_hidden=2 * dim_in if fuses else 0,
                )
            )
            thw, nominal, dim_in = thw_out, floor_div(nominal, stride_q), specs[-1].dim_out
    return tuple(specs)


def head_width(config: MViTConfig) -> int:
    """Channels that the classifier sees."""
    earlier = block_specs(config)[:-1] if config.head_inputs == "blocks" else ()
    return config.streams * (sum(block.dim_out for block in earlier) + config.stage_channels[-1])


def blocks_through(config: MViTConfig, stage: str) -> int:
    """How many blocks a clip has passed when it leaves a stage: 0 for `cube1`, all for the last.

    Raises:
        ValueError: if there is no such stage.
    """
    depths = config.stage_depths
    ends = {"cube1": 0} | {f"scale{i + 2}": sum(depths[: i + 1]) for i in range(len(depths))}
    if stage not in ends:
        raise ValueError(f"there is no stage {stage!r}; there are {', '.join(ends)}")
    return ends[stage]


def _kernel_q(config: MViTConfig, stride_q: THW) -> THW | None:
    if not (is_strided(stride_q) or config.pool_q_everywhere):
        return None
    return _or_none(config.kernel_q or widened(stride_q), stride_q)


def _pooling_kv(config: MViTConfig, stage: int, index: int) -> tuple[THW | None, THW]:
    stride = config.stride_kv[stage]
    if index in config.unpooled_kv_blocks:
        return None, STRIDE_ONE
    return _or_none(config.kernel_kv or widened(stride), stride), stride


def _or_none(kernel: THW, stride: THW) -> THW | None:
    """A window of one position that moves by one is no pooling at all."""
    return kernel if prod(kernel) > 1 or is_strided(stride) else None
