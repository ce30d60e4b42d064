"""The same network for inference, as fast as plain torch operators allow; `mvit.py` is the reference it equals.

How it differs, step by step, and what each step saves: shares of the 70.5 GMACs of MViT-B 16x4, or milliseconds of its
first block on one thread of a third-generation EPYC. The arithmetic is the same but for the order of some sums.

1. Tokens are the rows of one matrix (`layout.py`): a dense channels-last grid, then the class tokens. Pooling needs no
   permute and no copy, and finds torch's kernels for that format (8x56x56x96 by 3x3x3: 10 ms instead of 25).
2. K and V are projected only where the strided pooling reads (2% of the MACs), and pooled together.
3. In the last block of a network that classifies by its class token, only that token has a query and an MLP (4%).
4. Relative positions are made for a few queries at a time (attention in MViTv2-S: 102 ms instead of 183).
5. Output projection, skip connections, norm and MLP run over a few rows at a time: what passes between them stays in
   the cache, and the hidden layer, four times the tokens, never exists as a whole (67 ms instead of 119).
6. The additions of both skip connections are part of the matrix products before them, in place on own buffers, and
   biases that follow each other are added as one.
7. On a CPU a batch is cut until the tokens of a pass take no more room than those of one MViT-B clip, so memory stays
   bounded, and passes run side by side, each on a thread of its own (`passes.py`; four clips in 0.9 of the time).
8. In bfloat16 on a CPU, bias, GELU and the skip connections' additions happen inside the products, before their sums
   are rounded (`products.py`), and keys fill whole blocks (`attention.py:padding_of`): MViT-B in 0.75 of the time on a
   processor with AMX, where the products themselves are the smaller part.

R rows, C channels; see `layout.py`.
"""

from collections.abc import Iterable, Sequence
from math import prod
from threading import Event
from typing import Any, cast

import torch
from torch import Tensor, nn

from mvit_cli.arch.blocks import BlockSpec, block_specs, blocks_through
from mvit_cli.arch.grid import pooled_grid
from mvit_cli.arch.ranges import BlockRanges
from mvit_cli.model.fast.attention import FastAttention
from mvit_cli.model.fast.int8 import Int8Linear, StaticInt8Linear, multiplies_bfloat16
from mvit_cli.model.fast.layout import RowLayout, joined, pool_grid, rows_at_a_time
from mvit_cli.model.fast.passes import Pass, may_share_threads, side_by_side
from mvit_cli.model.fast.products import FastLinear, MakeLinear, PlainLinear, fast_linear
from mvit_cli.model.fast.two_streams import fast_reversible_block
from mvit_cli.model.mvit import Block, MViT, as_clips
from mvit_cli.model.position import POSITION_NAMES, absolute_positions

CPU_TOKEN_ELEMENTS = 25_088 * 96
"""Elements of the first grid that one pass on a CPU may have: those of one MViT-B 16x4 clip."""


class FastMViT(nn.Module):
    """Runs the parameters of an `MViT`, which it shares; made once, after loading, moving and casting.

    Afterwards it follows neither a training of the parameters nor a move of the plain network.

    Args:
        linear: makes the linear layers; `PlainLinear` where torch's compiler is to see through them.

    Attributes:
        side_by_side: whether passes over parts of a batch may run at the same time; not where hooks watch a run.
    """

    def __init__(self, model: MViT, linear: MakeLinear = fast_linear) -> None:
        super().__init__()
        self.config, self.side_by_side = model.config, True
        self.patch_embed, self.norm_stem = model.patch_embed, model.norm_stem
        self.norm, self.head, self.cls_token = model.norm, model.head, model.cls_token
        self.tables = {name: getattr(model, name) for name in POSITION_NAMES}
        specs = block_specs(model.config)
        reversible = model.config.streams == 2
        make = PlainBlock if model.config.pool_first else fast_reversible_block if reversible else FastBlock
        blocks = cast(Iterable[Any], model.blocks)
        self.blocks = nn.ModuleList(make(block, spec, linear) for block, spec in zip(blocks, specs, strict=True))

    def to_int8(self, ranges: Sequence[BlockRanges] | None = None) -> "FastMViT":
        """Takes 8-bit integers for the weights of all linear layers but the classifier; for a CPU.

        Args:
            ranges: of each block, what its layers are given; they are then rounded by it, and the attention's output
                projection stays a float; none: by the range of each call.

        Raises:
            ValueError: if the network pools before it projects, or is reversible.
        """
        for number, block in enumerate(self.blocks):
            if not isinstance(block, FastBlock):
                raise ValueError("reversible networks, and those that pool before they project, have no int8 layers")
            block.to_int8(ranges[number] if ranges else None)
        return self

    @torch.no_grad()
    def forward(self, clips: Tensor) -> Tensor:
        """Logits, as `MViT.forward`.

        Raises:
            ValueError: if the shape is none of those.
        """
        return self._in_passes(self._logits, as_clips(clips))

    @torch.no_grad()
    def features(self, clips: Tensor, stage: str | None = None) -> Tensor:
        """What the classifier sees, or the grid of tokens that leaves a stage, as `MViT.features`.

        Raises:
            ValueError: if the shape is wrong or there is no such stage.
        """
        if stage is None:
            return self._in_passes(self._classified, as_clips(clips))
        blocks = blocks_through(self.config, stage)
        return self._in_passes(lambda part, stop: self._grid_after(blocks, part, stop), as_clips(clips))

    def _in_passes(self, run: Pass, clips: Tensor) -> Tensor:
        """`run` over a batch `(B, 3, T, H, W)`, in as many passes as memory asks for."""
        most = self._clips_a_pass(clips)
        if self.side_by_side and len(clips) > 1 and clips.device.type == "cpu" and may_share_threads():
            return side_by_side(run, clips, max(1, most // torch.get_num_threads()))
        return torch.cat([run(part, None) for part in clips.split(most)])

    def _clips_a_pass(self, clips: Tensor) -> int:
        if clips.device.type != "cpu":
            return max(1, len(clips))
        config = self.config
        t, h, w = clips.shape[2:]
        grid = pooled_grid((t, h, w), config.patch_kernel, config.patch_stride, config.patch_padding)
        return max(1, CPU_TOKEN_ELEMENTS // (prod(grid) * config.streams * config.stage_channels[0]))

    def _logits(self, clips: Tensor, stop: Event | None) -> Tensor:
        """`(B, 3, T, H, W)` -> `(B, num_classes)`."""
        return self.head(self._classified(clips, stop))

    def _classified(self, clips: Tensor, stop: Event | None) -> Tensor:
        """`(B, 3, T, H, W)` -> what the classifier sees, `(B, C)`."""
        means: list[Tensor] = []
        x, layout = self._rows(clips, len(self.blocks), stop, cls_only=self.config.head_pooling == "cls", means=means)
        return torch.cat((*means, self._pooled(x, layout)), dim=1)

    def _grid_after(self, blocks: int, clips: Tensor, stop: Event | None) -> Tensor:
        """`(B, 3, T, H, W)` -> the grid `(B, C, T', H', W')` after that many blocks."""
        x, layout = self._rows(clips, blocks, stop, cls_only=False)
        return layout.grid(x).permute(0, 4, 1, 2, 3)

    def _rows(
        self, clips: Tensor, blocks: int, stop: Event | None, *, cls_only: bool, means: list[Tensor] | None = None
    ) -> tuple[Tensor, RowLayout]:
        """Rows `(R, C)` after that many blocks, and their layout.

        Args:
            cls_only: of the last of these blocks only the class tokens are wanted.
            means: takes what the classifier sees of each earlier block, `(B, C)`.

        Raises:
            InterruptedError: when told to stop; nobody waits for the result.
        """
        x, layout = self._embed(clips)
        for index, block in enumerate(self.blocks[:blocks]):
            if stop and stop.is_set():
                raise InterruptedError("another pass failed, or the run was stopped")
            x, layout = block(x, layout, cls_only=cls_only and index == blocks - 1)
            if means is not None and self.config.head_inputs == "blocks" and index < blocks - 1:
                means.append(layout.grid(x).mean(dim=(1, 2, 3)))
        return x, layout

    def _embed(self, clips: Tensor) -> tuple[Tensor, RowLayout]:
        """Patches as rows `(R, C)`; the positions are added while the channels are moved last."""
        if clips.device.type == "cpu":  # its convolution then gives rows, and takes 0.7 of the time in bfloat16
            clips = clips.contiguous(memory_format=torch.channels_last_3d)
        tokens, thw = self.patch_embed(clips)
        layout, grid = RowLayout(len(clips), thw, int(self.config.cls_token)), tokens.unflatten(1, thw)
        # one buffer for grid and class tokens, written once: concatenating them later would copy the largest tensor
        x = tokens.new_empty(layout.num_rows, tokens.shape[2])
        positions = absolute_positions(self.tables, self.config, layout.thw)
        if positions is None:
            layout.grid(x).copy_(grid)
        else:
            torch.add(grid, positions[:, layout.num_cls :].unflatten(1, layout.thw), out=layout.grid(x))
        if self.cls_token is not None:
            layout.cls(x).copy_(self.cls_token if positions is None else self.cls_token + positions[:, :1])
        x = x if self.norm_stem is None else self.norm_stem(x)
        return (x.repeat(1, 2) if self.config.streams == 2 else x), layout

    def _pooled(self, x: Tensor, layout: RowLayout) -> Tensor:
        """What the classifier sees of the rows `(R, C)`: `(B, C)`."""
        if self.config.head_pooling == "cls":
            return self.norm(layout.cls(x)[:, 0])
        if self.config.head_pooling == "mean":
            return layout.tokens_of(self.norm(x)).mean(dim=1)
        return self.norm(layout.grid(x).mean(dim=(1, 2, 3)))


class FastBlock(nn.Module):
    """One block; it may change the rows it is given. Same parameters as the plain block, which it shares."""

    fc1: FastLinear
    fc2: FastLinear
    attn_proj: FastLinear
    proj: FastLinear | None

    def __init__(self, block: Block, spec: BlockSpec, linear: MakeLinear) -> None:
        super().__init__()
        self.norm1, self.norm2, self.dim_out = block.norm1, block.norm2, spec.dim_out
        self.widens_in_attn, self.widens_in_mlp = block.widens_in_attn, block.widens_in_mlp
        self.kernel_skip, self.stride_skip = spec.kernel_skip, spec.stride_q
        self.attn = FastAttention(block.attn, spec, linear)
        attn_proj, fc1, fc2 = block.attn.proj, block.mlp.fc1, block.mlp.fc2
        bias_attn, bias_mlp = attn_proj.bias.detach(), fc2.bias.detach()
        # biases that are added to the same rows are added as one: that of the skip connection's layer with its sum's
        if block.proj and self.widens_in_attn:
            bias_attn = bias_attn + block.proj.bias
        elif block.proj:
            bias_mlp = bias_mlp + block.proj.bias
        self.attn_proj = linear(attn_proj.weight, bias_attn)
        self.fc1, self.fc2 = linear(fc1.weight, fc1.bias), linear(fc2.weight, bias_mlp)
        self.proj = linear(block.proj.weight, None) if block.proj else None

    def to_int8(self, ranges: BlockRanges | None) -> None:
        """Takes 8-bit integers for the weights of all linear layers, or of all whose inputs' ranges are known.

        The attention's output projection is not among those: it has about a tenth of their products, and of MViTv2-S
        alone it moves the logits by 0.19 of their deviation, all others together by 0.11 (random weights).
        """
        if ranges:
            self._to_static_int8(ranges)
            return
        for of in (self, self.attn):
            for name, layer in list(of.named_children()):
                if isinstance(layer, PlainLinear):
                    setattr(of, name, Int8Linear(layer.weight, layer.bias))

    def _to_static_int8(self, ranges: BlockRanges) -> None:
        """Queries, keys and values, and all that is made of them, are bfloat16 where the CPU multiplies that."""
        attn, mlp, hidden = ranges.attn, ranges.mlp, ranges.hidden
        fc1, fc2, proj, attn_proj = (cast(Any, layer) for layer in (self.fc1, self.fc2, self.proj, self.attn_proj))
        within = torch.bfloat16 if multiplies_bfloat16() else torch.float32
        linear_q, linear_kv = cast(Any, self.attn.linear_q), cast(Any, self.attn.linear_kv)
        self.attn = self.attn.in_format(within)
        self.attn.linear_q = StaticInt8Linear(linear_q.weight, linear_q.bias, attn, makes=within)
        self.attn.linear_kv = StaticInt8Linear(linear_kv.weight, linear_kv.bias, attn, makes=within)
        self.attn_proj = fast_linear(attn_proj.weight.to(within), attn_proj.bias.to(within))
        self.fc1 = StaticInt8Linear(fc1.weight, fc1.bias, mlp, gives=hidden)
        self.fc2 = StaticInt8Linear(fc2.weight, fc2.bias, hidden)
        if proj:
            self.proj = StaticInt8Linear(proj.weight, None, attn if self.widens_in_attn else mlp)

    def forward(self, x: Tensor, layout: RowLayout, *, cls_only: bool = False) -> tuple[Tensor, RowLayout]:
        """Rows `(R, C_in)` -> `(R', C_out)`; with `cls_only` those of the class tokens alone."""
        normed = self.norm1(x)
        attended, pooled = self.attn(normed, layout, cls_only=cls_only)
        skip = self._skip(normed if self.widens_in_attn else x, layout, cls_only=cls_only)
        del x, normed  # the largest tensors: not needed while the MLP runs
        return self._projected_and_mlp(skip, attended), pooled

    def _skip(self, source: Tensor, layout: RowLayout, *, cls_only: bool) -> Tensor:
        """The skip connection of the attention, in rows that may be written to."""
        if cls_only:
            source = layout.cls(source).flatten(0, 1)
        if self.proj and self.widens_in_attn:
            source = self.proj(source)  # its bias comes with that of `attn_proj`, as a maximum lets it pass
        if self.kernel_skip is None or cls_only:
            return source
        grid = pool_grid(layout.grid(source), self.kernel_skip, self.stride_skip, None, "max")
        return joined(grid.flatten(0, 3), layout.cls(source).flatten(0, 1))

    def _projected_and_mlp(self, x: Tensor, attended: list[Tensor]) -> Tensor:
        """`x + proj(attended)`, then the MLP with its skip connection; some rows at a time."""
        # `x` is this block's own: where the width stays, its rows become the output one part after the other
        out = x.new_empty(len(x), self.dim_out) if self.widens_in_mlp else x
        start = 0
        for source in attended:
            for part in source.split(rows_at_a_time(source)):
                rows = slice(start, start + len(part))
                normed = self.norm2(self.attn_proj.add_(x[rows], part))
                hidden = self.fc1.gelu(normed)
                if self.proj and self.widens_in_mlp:
                    self.proj(normed, out=out[rows])
                self.fc2.add_(out[rows], hidden)
                start = rows.stop
        return out


class PlainBlock(nn.Module):
    """A block as it is, between rows and tokens: for pooling before the projection."""

    def __init__(self, block: Block, spec: BlockSpec, linear: MakeLinear) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor, layout: RowLayout, *, cls_only: bool = False) -> tuple[Tensor, RowLayout]:
        """Rows `(R, C_in)` -> `(R', C_out)`."""
        tokens, thw = self.block(layout.tokens_of(x), layout.thw)
        layout = layout.on(thw)
        return layout.rows_of(tokens), layout
