"""Blocks of a reversible network in the rows of the fast path; `model/reversible.py` is the reference they equal.

Both streams lie side by side in one matrix of rows, `(R, 2C)`. What a block adds to one of them is added in place, a
few rows at a time, as in `network.FastBlock`.
"""

import torch
from torch import Tensor, nn

from mvit_cli.arch.blocks import BlockSpec
from mvit_cli.model.fast.attention import FastAttention
from mvit_cli.model.fast.int8 import add_product_, product
from mvit_cli.model.fast.layout import CPU_ROWS, RowLayout
from mvit_cli.model.reversible import ReversibleBlock, TransitionBlock


class _TwoStreams(nn.Module):
    """Attention and MLP of a block of either kind, whose parameters it shares."""

    def __init__(self, block: ReversibleBlock | TransitionBlock, spec: BlockSpec) -> None:
        super().__init__()
        self.norm1, self.norm2 = block.norm1, block.norm2
        self.fc1, self.fc2 = block.mlp.fc1, block.mlp.fc2
        self.attn, self.attn_proj = FastAttention(block.attn, spec), block.attn.proj

    def _add(self, x: Tensor, out: Tensor, attended: list[Tensor]) -> None:
        """To `x` what the attention gives, then to `out`, which may be `x`, what the MLP makes of it; in place."""
        start = 0
        for source in attended:
            for part in source.split(CPU_ROWS if x.device.type == "cpu" else max(1, len(source))):
                rows = slice(start, start + len(part))
                add_product_(x[rows], part, self.attn_proj).add_(self.attn_proj.bias)
                hidden = torch.ops.aten.gelu_(self.fc1(self.norm2(x[rows])))
                add_product_(out[rows], hidden, self.fc2).add_(self.fc2.bias)
                start = rows.stop


class FastReversibleBlock(_TwoStreams):
    """`y_1 = x_1 + F(x_2)`, `y_2 = x_2 + G(y_1)`, written over the incoming streams."""

    def forward(self, x: Tensor, layout: RowLayout, *, cls_only: bool = False) -> tuple[Tensor, RowLayout]:
        """Rows `(R, 2C)`, which are changed -> the same."""
        first, second = x.chunk(2, dim=1)
        attended, layout = self.attn(self.norm1(second), layout, cls_only=False)
        self._add(first, second, attended)
        return x, layout


class FastTransitionBlock(_TwoStreams):
    """Joins the streams, pools the queries and the skip connection, and parts them as two copies."""

    def __init__(self, block: TransitionBlock, spec: BlockSpec) -> None:
        super().__init__(block, spec)
        self.fuse, self.proj = block.fuse, block.proj

    def forward(self, x: Tensor, layout: RowLayout, *, cls_only: bool = False) -> tuple[Tensor, RowLayout]:
        """Rows `(R, 2C_before)`, which may be changed -> `(R', 2C)`."""
        x = self._joined(x)
        attended, pooled = self.attn(self.norm1(x), layout, cls_only=False)
        skip = x if self.proj is None else product(x, self.proj).add_(self.proj.bias)
        x = self.attn.pooled_as_queries(skip, layout)
        self._add(x, x, attended)
        return x.repeat(1, 2), pooled

    def _joined(self, x: Tensor) -> Tensor:
        """The mean of both streams, or both beside each other plus what an MLP makes of them."""
        if self.fuse is None:
            first, second = x.chunk(2, dim=1)
            return first.add(second).mul_(0.5)
        for part in x.split(CPU_ROWS if x.device.type == "cpu" else max(1, len(x))):
            hidden = torch.ops.aten.gelu_(self.fuse.fc1(part))
            add_product_(part, hidden, self.fuse.fc2).add_(self.fuse.fc2.bias)
        return x


def fast_reversible_block(
    block: ReversibleBlock | TransitionBlock, spec: BlockSpec
) -> FastReversibleBlock | FastTransitionBlock:
    """The block as fast rows."""
    kind = FastTransitionBlock if isinstance(block, TransitionBlock) else FastReversibleBlock
    return kind(block, spec)  # type: ignore[arg-type]
