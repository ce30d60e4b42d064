"""Multiscale Vision Transformer for clips and images, to be read beside the papers from top to bottom.

MViT: arXiv:2104.11227. MViTv2: arXiv:2112.01526. Tokens, pooling and attention are in `attention.py`, to be read first;
positions in `position.py`; blocks with two streams in `reversible.py`. `fast/` computes the same, faster.

B batch, N tokens (class token + T*H*W), N' queries and N_k keys after pooling, C channels, H heads, D head dim (C / H).
`thw` is the grid (T, H, W) that a sequence of tokens lies on; the class token, where there is one, comes first.
"""

import torch
from torch import Tensor, nn

from mvit_cli.arch.blocks import BlockSpec, block_specs, blocks_through, head_width
from mvit_cli.arch.config import MViTConfig
from mvit_cli.arch.cost import RGB
from mvit_cli.arch.grid import THW
from mvit_cli.model.pooling_attention import (
    LAYER_NORM_EPS,
    Mlp,
    PooledQKV,
    PoolingAttention,
    SkipPool,
    TokenPool,
    grid_to_tokens,
    split_cls,
    tokens_to_grid,
)
from mvit_cli.model.position import POSITION_NAMES, absolute_positions, position_tables
from mvit_cli.model.reversible import ReversibleBlock, TransitionBlock, reversible_block

# --- block: MViT paper, sections 3.2 and 3.3, and Table A.1


class Block(nn.Module):
    """Pre-norm block that may shrink the grid (in the attention) and widen the tokens (in the attention or the MLP).

    Where the width changes, the skip connection is the *normalised* input through a linear layer; elsewhere it is the
    input itself. Source: MViT paper, Table A.1 ("normalised skip").
    """

    def __init__(self, config: MViTConfig, block: BlockSpec) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(block.dim_in, LAYER_NORM_EPS)
        self.attn = PoolingAttention(config, block)
        self.norm2 = nn.LayerNorm(block.dim_attn, LAYER_NORM_EPS)
        self.mlp = Mlp(block.dim_attn, block.mlp_hidden, block.dim_out)
        self.widens_in_attn = block.dim_in != block.dim_attn
        self.widens_in_mlp = block.dim_attn != block.dim_out
        self.proj = nn.Linear(block.dim_in, block.dim_out) if block.dim_in != block.dim_out else None
        self.pool_skip = SkipPool(block.kernel_skip, block.stride_q) if block.kernel_skip else None

    def forward(self, x: Tensor, thw: THW) -> tuple[Tensor, THW]:
        """`(B, N, C_in)` on the grid `thw` -> `(B, N', C_out)` and its grid."""
        normed = self.norm1(x)
        attended, q_thw = self.attn(normed, thw)
        skip = self.proj(normed) if self.proj and self.widens_in_attn else x
        x = (self.pool_skip(skip, thw) if self.pool_skip else skip) + attended

        normed = self.norm2(x)
        skip = self.proj(normed) if self.proj and self.widens_in_mlp else x
        return skip + self.mlp(normed), q_thw

    def attention_input(self, x: Tensor) -> Tensor:
        """What the attention is given of the incoming tokens `(B, N, C_in)`."""
        normed: Tensor = self.norm1(x)
        return normed


# --- network: MViT paper, Table 3; MViTv2 paper, Table 1


class PatchEmbed(nn.Module):
    """The convolution that turns cubes of pixels into tokens."""

    def __init__(self, config: MViTConfig) -> None:
        super().__init__()
        self.proj = nn.Conv3d(
            RGB, config.stage_channels[0], config.patch_kernel, config.patch_stride, config.patch_padding
        )

    def forward(self, clips: Tensor) -> tuple[Tensor, THW]:
        """`(B, 3, T, H, W)` -> `(B, T'*H'*W', C)` and the token grid."""
        grid = self.proj(clips)
        t, h, w = grid.shape[2:]
        return grid_to_tokens(grid), (t, h, w)


class Head(nn.Module):
    """The classifier."""

    def __init__(self, dim: int, num_classes: int) -> None:
        super().__init__()
        self.projection = nn.Linear(dim, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, C)` -> `(B, num_classes)`."""
        return self.projection(x)


class MViT(nn.Module):
    """The network: patches, positions, blocks, norm, classifier.

    Between the blocks of a reversible one, two streams lie side by side: `(B, N, 2C)`, both the same at first.

    Names of parameters are PySlowFast's, with one joint `qkv`: the canonical layout of this project's checkpoints.
    """

    norm_stem: nn.LayerNorm | None
    cls_token: nn.Parameter | None

    def __init__(self, config: MViTConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = PatchEmbed(config)
        for name, table in position_tables(config).items():
            self.register_parameter(name, table)
        self.norm_stem = nn.LayerNorm(config.stage_channels[0], LAYER_NORM_EPS) if config.norm_stem else None
        make = Block if config.streams == 1 else reversible_block
        self.blocks = nn.ModuleList(make(config, block) for block in block_specs(config))
        self.norm = nn.LayerNorm(config.streams * config.stage_channels[-1], LAYER_NORM_EPS)
        self.head = Head(head_width(config), config.num_classes)
        self.apply(_init_weights)

    def forward(self, clips: Tensor) -> Tensor:
        """Logits, no softmax.

        Args:
            clips: float `(B, 3, T, H, W)`, normalised; images may come as `(B, 3, H, W)`.

        Returns:
            `(B, num_classes)`.

        Raises:
            ValueError: if the shape is not one of these.
        """
        return self.head(self.features(clips))

    def features(self, clips: Tensor, stage: str | None = None) -> Tensor:
        """What the classifier sees, or the grid of tokens that leaves a stage.

        Args:
            clips: as `forward` takes them.
            stage: `cube1` (patches with positions), `scale2`, `scale3`, ...; None: after the last stage and the norm.

        Returns:
            `(B, C)` without a stage; with one `(B, C, T, H, W)`, not normalised and without the class token. A
            reversible network gives both streams, one after the other: `2C`.

        Raises:
            ValueError: if the shape is wrong or there is no such stage.
        """
        if stage is None:
            means: list[Tensor] = []
            x, _ = self._tokens(clips, len(self.blocks), means if self.config.head_inputs == "blocks" else None)
            return torch.cat((*means, self._pooled(x)), dim=1)
        x, thw = self._tokens(clips, blocks_through(self.config, stage))
        return tokens_to_grid(split_cls(x, thw)[1], thw)

    def pooled_qkv(self, clips: Tensor, block: int) -> PooledQKV:
        """Queries, keys, values and relative positions of a block, counted from 0; its `attn` has scale and heads.

        Raises:
            ValueError: if the shape is wrong or there is no such block.
        """
        if not 0 <= block < len(self.blocks):
            raise ValueError(f"block must be 0 to {len(self.blocks) - 1}, not {block}")
        x, thw = self._tokens(clips, block)
        chosen = self.blocks[block]
        assert isinstance(chosen, Block | ReversibleBlock | TransitionBlock)
        return chosen.attn.pooled_qkv(chosen.attention_input(x), thw)

    def _tokens(self, clips: Tensor, blocks: int, means: list[Tensor] | None = None) -> tuple[Tensor, THW]:
        """Tokens `(B, N, C)` after that many blocks, and their grid; `means` takes those of earlier ones, `(B, C)`."""
        x, thw = self.patch_embed(as_clips(clips))
        x = self._add_positions(x, thw)
        if self.norm_stem is not None:
            x = self.norm_stem(x)
        x = x.repeat(1, 1, self.config.streams)
        for index, block in enumerate(self.blocks[:blocks]):
            x, thw = block(x, thw)
            if means is not None and index < blocks - 1:
                means.append(split_cls(x, thw)[1].mean(dim=1))
        return x, thw

    def _add_positions(self, x: Tensor, thw: THW) -> Tensor:
        """Puts the class token in front of `(B, T*H*W, C)` and adds the absolute positions: `(B, N, C)`."""
        if self.cls_token is not None:
            x = torch.cat((self.cls_token.expand(x.shape[0], -1, -1), x), dim=1)
        tables = {name: getattr(self, name) for name in POSITION_NAMES}
        positions = absolute_positions(tables, self.config, thw)
        return x if positions is None else x + positions

    def _pooled(self, x: Tensor) -> Tensor:
        """What the classifier sees of `(B, N, C)`: `(B, C)`."""
        if self.config.head_pooling == "cls":
            return self.norm(x[:, 0])
        if self.config.head_pooling == "mean":
            return self.norm(x).mean(dim=1)
        return self.norm(x[:, int(self.config.cls_token) :].mean(dim=1))


def as_clips(clips: Tensor) -> Tensor:
    """`(B, 3, T, H, W)`; a batch of images `(B, 3, H, W)` as clips of one frame.

    Raises:
        ValueError: if the shape is neither.
    """
    if clips.ndim == 4:
        clips = clips.unsqueeze(2)
    if clips.ndim != 5 or clips.shape[1] != RGB:
        raise ValueError(f"clips must be (B, 3, T, H, W) or (B, 3, H, W), not {tuple(clips.shape)}")
    return clips


def _init_weights(module: nn.Module) -> None:
    """Truncated normal weights and zero biases, as in both papers' training."""
    if isinstance(module, nn.Linear | TokenPool) and module.weight is not None:
        nn.init.trunc_normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
