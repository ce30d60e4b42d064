"""Blocks of a reversible MViT, to be read beside "Reversible Vision Transformers", arXiv:2302.04869, section 3.

Two streams of tokens, `x_1` and `x_2`, run through the network, both the embedded tokens at first. What a block adds to
one of them it computes from the other, so the incoming streams could be computed back from the outgoing ones and need
not be kept for training; here only the way forward is of interest. Where a stage begins, the grid shrinks and the
tokens get wider, nothing can be computed back: the streams are joined, pass a usual block, and part as two copies.

Between blocks the streams lie side by side, `(B, N, 2C)`; shapes and letters as in `mvit.py`. There is no class token.
"""

import torch
from torch import Tensor, nn

from mvit_cli.arch.blocks import BlockSpec
from mvit_cli.arch.config import MViTConfig
from mvit_cli.arch.grid import THW
from mvit_cli.model.pooling_attention import LAYER_NORM_EPS, Mlp, PoolingAttention


class ReversibleBlock(nn.Module):
    """`y_1 = x_1 + F(x_2)`, `y_2 = x_2 + G(y_1)`: F is norm and attention, G is norm and MLP.

    Source: arXiv:2302.04869, section 3.1 and, for pooled keys and values, 3.3.2.
    """

    def __init__(self, config: MViTConfig, block: BlockSpec) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(block.dim_in, LAYER_NORM_EPS)
        self.attn = PoolingAttention(config, block)
        self.norm2 = nn.LayerNorm(block.dim_attn, LAYER_NORM_EPS)
        self.mlp = Mlp(block.dim_attn, block.mlp_hidden, block.dim_out)

    def forward(self, x: Tensor, thw: THW) -> tuple[Tensor, THW]:
        """`(B, N, 2C)` on the grid `thw` -> the same shape and grid."""
        x_1, x_2 = x.chunk(2, dim=2)
        attended, thw = self.attn(self.norm1(x_2), thw)
        y_1 = x_1 + attended
        y_2 = x_2 + self.mlp(self.norm2(y_1))
        return torch.cat((y_1, y_2), dim=2), thw

    def attention_input(self, x: Tensor) -> Tensor:
        """What the attention is given of the incoming streams `(B, N, 2C)`: the second, normalised."""
        normed: Tensor = self.norm1(x.chunk(2, dim=2)[1])
        return normed


class TransitionBlock(nn.Module):
    """The first block of a later stage: joins the streams, pools the queries and widens the tokens.

    Unlike in MViT, the skip connection is the joined input as it is, through a linear layer where the width changes
    and then through the pooling of the queries, with its norm. Source: arXiv:2302.04869, section 3.3.1.
    """

    def __init__(self, config: MViTConfig, block: BlockSpec) -> None:
        super().__init__()
        self.fuse = Mlp(block.dim_in, block.fuse_hidden, block.dim_in) if block.fuse_hidden else None
        self.norm1 = nn.LayerNorm(block.dim_in, LAYER_NORM_EPS)
        self.attn = PoolingAttention(config, block)
        self.norm2 = nn.LayerNorm(block.dim_attn, LAYER_NORM_EPS)
        self.mlp = Mlp(block.dim_attn, block.mlp_hidden, block.dim_out)
        self.proj = nn.Linear(block.dim_in, block.dim_attn) if block.dim_in != block.dim_attn else None

    def forward(self, x: Tensor, thw: THW) -> tuple[Tensor, THW]:
        """`(B, N, 2C_before)` on the grid `thw` -> two copies of the pooled tokens, `(B, N', 2C)`, and their grid."""
        x = self._joined(x)
        skip = self.attn.pooled_as_queries(self.proj(x) if self.proj else x, thw)
        attended, q_thw = self.attn(self.norm1(x), thw)
        x = skip + attended
        x = x + self.mlp(self.norm2(x))
        return torch.cat((x, x), dim=2), q_thw

    def attention_input(self, x: Tensor) -> Tensor:
        """What the attention is given of the incoming streams `(B, N, 2C_before)`: both joined, normalised."""
        normed: Tensor = self.norm1(self._joined(x))
        return normed

    def _joined(self, x: Tensor) -> Tensor:
        """The mean of both streams, or both beside each other plus what an MLP makes of them."""
        return torch.stack(x.chunk(2, dim=2)).mean(dim=0) if self.fuse is None else x + self.fuse(x)


def reversible_block(config: MViTConfig, block: BlockSpec) -> ReversibleBlock | TransitionBlock:
    """The block of a reversible network that a spec describes."""
    return TransitionBlock(config, block) if block.joins_streams else ReversibleBlock(config, block)
