"""What the shapes of a canonical state dict say about the network they belong to."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from typing import Literal

from mvit_cli.arch.grid import THW
from mvit_cli.errors import CheckpointError

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class BlockFacts:
    """One block, as its tensors show it; None where they cannot tell.

    Attributes:
        kernel_q, kernel_kv: pooling kernels; None: no pooling convolution.
        rel_pos_thw: rows of the tables of relative positions; 0: no table.
        fuse_hidden: hidden channels of the MLP that joins the streams of a reversible network; 0: none.
    """

    dim_in: int
    dim_attn: int
    dim_out: int
    mlp_hidden: int
    head_dim: int | None
    kernel_q: THW | None
    kernel_kv: THW | None
    rel_pos_thw: THW
    fuse_hidden: int


@dataclass(frozen=True)
class Facts:
    """Everything but the strides, the pooling mode and the habits of the code a file comes from.

    Attributes:
        pos_lengths: positions in each table of absolute ones, without the class token's.
        norm_width: channels that the last norm sees.
    """

    blocks: tuple[BlockFacts, ...]
    num_classes: int
    patch_kernel: THW
    cls_token: bool
    pos_embed: Literal["none", "joint", "separate"]
    pos_lengths: Mapping[str, int]
    norm_stem: bool
    norm_width: int
    qkv_bias: bool

    @property
    def stage_starts(self) -> tuple[int, ...]:
        """First block of each stage: where the width of the attention changes."""
        widths = [block.dim_attn for block in self.blocks]
        return (0, *(i for i in range(1, len(widths)) if widths[i] != widths[i - 1]))

    @property
    def stage_depths(self) -> tuple[int, ...]:
        """Blocks in each stage."""
        starts = self.stage_starts
        return tuple(end - start for start, end in zip(starts, (*starts[1:], len(self.blocks)), strict=True))

    @property
    def stage_channels(self) -> tuple[int, ...]:
        """Width of the attention in each stage."""
        return tuple(self.blocks[start].dim_attn for start in self.stage_starts)

    @property
    def stage_head_dims(self) -> tuple[int | None, ...]:
        """Width of a head in each stage, from the norms after its poolings; None in a stage that pools nothing."""
        starts = self.stage_starts
        stages = [self.blocks[start:end] for start, end in zip(starts, (*starts[1:], None), strict=True)]
        return tuple(next((block.head_dim for block in stage if block.head_dim), None) for stage in stages)

    @property
    def rel_pos_space(self) -> bool:
        """Whether there are tables of relative positions in space."""
        return any(block.rel_pos_thw[1] for block in self.blocks)

    @property
    def rel_pos_time(self) -> bool:
        """Whether there are tables of relative positions in time."""
        return any(block.rel_pos_thw[0] for block in self.blocks)

    @property
    def has_pooling_tensors(self) -> bool:
        """Whether any pooling is a convolution."""
        return any(block.kernel_q or block.kernel_kv for block in self.blocks)

    @property
    def pools_q_everywhere(self) -> bool:
        """Whether Q has a pooling convolution in blocks that do not begin a stage, as in MViTv2."""
        inside = [block for i, block in enumerate(self.blocks) if i == 0 or i not in self.stage_starts]
        return bool(inside) and all(block.kernel_q for block in inside)

    @property
    def expand_in(self) -> Literal["attn", "mlp"]:
        """Where the tokens get wider."""
        return "mlp" if any(block.dim_attn != block.dim_out for block in self.blocks) else "attn"

    @property
    def reversible(self) -> Literal["no", "mean", "mlp"]:
        """Whether the last norm sees two streams, and whether an MLP joins them where a stage begins."""
        if self.norm_width != 2 * self.blocks[-1].dim_out:
            return "no"
        return "mlp" if any(block.fuse_hidden for block in self.blocks) else "mean"

    @property
    def patch_frames(self) -> int | None:
        """Length of the token grid in time that the position tables were made for."""
        if "pos_embed_temporal" in self.pos_lengths:
            return self.pos_lengths["pos_embed_temporal"]
        rows = self.blocks[0].rel_pos_thw[0]
        return (rows + 1) // 2 if rows else None

    @property
    def patch_side(self) -> int | None:
        """Longer side of the token grid that the position tables were made for; None if they cannot tell."""
        rows = self.blocks[0].rel_pos_thw[1]
        if rows:
            return (rows + 1) // 2
        area = self.pos_lengths.get("pos_embed_spatial")
        if area and isqrt(area) ** 2 == area:
            return isqrt(area)
        return None


def read_facts(shapes: Shapes) -> Facts:
    """The facts that canonical names and shapes give.

    Raises:
        CheckpointError: if the tensors every MViT has are not there.
    """
    depth = 1 + max((int(m[1]) for m in (re.match(r"blocks\.(\d{1,9})\.", key) for key in shapes) if m), default=-1)
    if not depth:
        raise CheckpointError("the file holds no transformer blocks", "is it an MViT checkpoint?")
    if depth > len(shapes):
        raise CheckpointError(f"the file names a block {depth - 1}, but holds {len(shapes)} tensors", "")
    num_cls = int("cls_token" in shapes)
    names = [name for name in ("pos_embed", "pos_embed_spatial", "pos_embed_temporal") if name in shapes]
    lengths = {name: shapes[name][1] - (num_cls if name == "pos_embed" else 0) for name in names}
    return Facts(
        blocks=tuple(_block(shapes, index) for index in range(depth)),
        num_classes=_need(shapes, "head.projection.weight")[0],
        patch_kernel=_thw(_need(shapes, "patch_embed.proj.weight")[2:]),
        cls_token=bool(num_cls),
        pos_embed="joint" if "pos_embed" in lengths else "separate" if lengths else "none",
        pos_lengths=lengths,
        norm_stem="norm_stem.weight" in shapes,
        norm_width=shapes.get("norm.weight", (0,))[0],
        qkv_bias="blocks.0.attn.qkv.bias" in shapes,
    )


def _block(shapes: Shapes, index: int) -> BlockFacts:
    prefix = f"blocks.{index}."
    head = next((shapes[key] for part in "qkv" if (key := f"{prefix}attn.norm_{part}.weight") in shapes), None)
    t, h, w = (shapes.get(f"{prefix}attn.rel_pos_{axis}", (0,))[0] for axis in "thw")
    return BlockFacts(
        dim_in=_need(shapes, prefix + "norm1.weight")[0],
        dim_attn=_need(shapes, prefix + "attn.proj.weight")[0],
        dim_out=_need(shapes, prefix + "mlp.fc2.weight")[0],
        mlp_hidden=_need(shapes, prefix + "mlp.fc1.weight")[0],
        head_dim=head[0] if head else None,
        kernel_q=_kernel(shapes, prefix + "attn.pool_q.weight"),
        kernel_kv=_kernel(shapes, prefix + "attn.pool_k.weight"),
        rel_pos_thw=(t, h, w),
        fuse_hidden=shapes.get(prefix + "fuse.fc1.weight", (0,))[0],
    )


def _kernel(shapes: Shapes, key: str) -> THW | None:
    return _thw(shapes[key][2:]) if key in shapes else None


def _thw(shape: tuple[int, ...]) -> THW:
    if len(shape) != 3:
        raise CheckpointError(f"a kernel of shape {shape} is not one over time, height and width", "")
    return shape[0], shape[1], shape[2]


def _need(shapes: Shapes, key: str) -> tuple[int, ...]:
    if key not in shapes:
        hint = "it may be pre-training weights without a classifier" if key.startswith("head") else "it is incomplete"
        raise CheckpointError(f"the file has no {key}", hint)
    return shapes[key]
