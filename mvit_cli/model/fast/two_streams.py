"""Blocks of a reversible network in the rows of the fast path; `model/reversible.py` is the reference they equal.

Both streams lie side by side in one matrix of rows, `(R, 2C)`. What a block adds to one of them is added in place, a
few rows at a time, as in `network.FastBlock`.
"""

from torch import Tensor, nn

from mvit_cli.arch.blocks import BlockSpec
from mvit_cli.model.fast.attention import FastAttention
from mvit_cli.model.fast.layout import RowLayout, rows_at_a_time
from mvit_cli.model.fast.products import MakeLinear
from mvit_cli.model.reversible import ReversibleBlock, TransitionBlock


class _TwoStreams(nn.Module):
    """Attention and MLP of a block of either kind, whose parameters it shares."""

    def __init__(self, block: ReversibleBlock | TransitionBlock, spec: BlockSpec, linear: MakeLinear) -> None:
        super().__init__()
        self.norm1, self.norm2 = block.norm1, block.norm2
        self.fc1, self.fc2 = (linear(layer.weight, layer.bias) for layer in (block.mlp.fc1, block.mlp.fc2))
        self.attn = FastAttention(block.attn, spec, linear)
        self.attn_proj = linear(block.attn.proj.weight, block.attn.proj.bias)

    def _add(self, x: Tensor, out: Tensor, attended: list[Tensor]) -> None:
        """To `x` what the attention gives, then to `out`, which may be `x`, what the MLP makes of it; in place."""
        start = 0
        for source in attended:
            for part in source.split(rows_at_a_time(source)):
                rows = slice(start, start + len(part))
                normed = self.norm2(self.attn_proj.add_(x[rows], part))
                self.fc2.add_(out[rows], self.fc1.gelu(normed))
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

    def __init__(self, block: TransitionBlock, spec: BlockSpec, linear: MakeLinear) -> None:
        super().__init__(block, spec, linear)
        self.joins, self.proj = block.fuse is not None, None
        if block.fuse is not None:
            fc1, fc2 = block.fuse.fc1, block.fuse.fc2
            self.fuse1, self.fuse2 = linear(fc1.weight, fc1.bias), linear(fc2.weight, fc2.bias)
        if block.proj is not None:
            self.proj = linear(block.proj.weight, block.proj.bias)

    def forward(self, x: Tensor, layout: RowLayout, *, cls_only: bool = False) -> tuple[Tensor, RowLayout]:
        """Rows `(R, 2C_before)`, which may be changed -> `(R', 2C)`."""
        x = self._joined(x)
        attended, pooled = self.attn(self.norm1(x), layout, cls_only=False)
        skip = x if self.proj is None else self.proj(x)
        x = self.attn.pooled_as_queries(skip, layout)
        self._add(x, x, attended)
        return x.repeat(1, 2), pooled

    def _joined(self, x: Tensor) -> Tensor:
        """The mean of both streams, or both beside each other plus what an MLP makes of them."""
        if not self.joins:
            first, second = x.chunk(2, dim=1)
            return first.add(second).mul_(0.5)
        for part in x.split(rows_at_a_time(x)):
            self.fuse2.add_(part, self.fuse1.gelu(part))
        return x


def fast_reversible_block(
    block: ReversibleBlock | TransitionBlock, spec: BlockSpec, linear: MakeLinear
) -> FastReversibleBlock | FastTransitionBlock:
    """The block as fast rows."""
    kind = FastTransitionBlock if isinstance(block, TransitionBlock) else FastReversibleBlock
    return kind(block, spec, linear)  # type: ignore[arg-type]
