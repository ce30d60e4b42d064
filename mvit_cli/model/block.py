"""One transformer block: pooling attention and an MLP, each with its skip connection."""

import torch.nn.functional as F
from torch import Tensor, nn

from mvit_cli.arch.blocks import BlockSpec
from mvit_cli.arch.config import MViTConfig
from mvit_cli.arch.grid import THW
from mvit_cli.model.attention import PoolingAttention
from mvit_cli.model.pooling import LAYER_NORM_EPS, SkipPool


class Mlp(nn.Module):
    """Two linear layers with an exact (erf) GELU between them."""

    def __init__(self, dim_in: int, hidden: int, dim_out: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim_in, hidden)
        self.fc2 = nn.Linear(hidden, dim_out)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, N, C_in)` -> `(B, N, C_out)`."""
        return self.fc2(F.gelu(self.fc1(x)))


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
