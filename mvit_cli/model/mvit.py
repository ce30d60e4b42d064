"""Multiscale Vision Transformer for clips and images. MViT (arXiv:2104.11227), MViTv2 (arXiv:2112.01526).

B batch, N tokens (class token + T*H*W), C channels.
"""

import torch
from torch import Tensor, nn

from mvit_cli.arch.blocks import block_specs
from mvit_cli.arch.config import MViTConfig
from mvit_cli.arch.cost import RGB
from mvit_cli.arch.grid import THW
from mvit_cli.model.block import Block
from mvit_cli.model.fast.network import FastMViT
from mvit_cli.model.pooling import LAYER_NORM_EPS, TokenPool
from mvit_cli.model.position import POSITION_NAMES, absolute_positions, position_tables


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
        return grid.flatten(2).transpose(1, 2), (t, h, w)


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
        self.blocks = nn.ModuleList(Block(config, block) for block in block_specs(config))
        self.norm = nn.LayerNorm(config.stage_channels[-1], LAYER_NORM_EPS)
        self.head = Head(config.stage_channels[-1], config.num_classes)
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
        if clips.ndim == 4:
            clips = clips.unsqueeze(2)
        if clips.ndim != 5 or clips.shape[1] != RGB:
            raise ValueError(f"clips must be (B, 3, T, H, W) or (B, 3, H, W), not {tuple(clips.shape)}")
        x, thw = self.patch_embed(clips)
        x = self._add_positions(x, thw)
        if self.norm_stem is not None:
            x = self.norm_stem(x)
        for block in self.blocks:
            x, thw = block(x, thw)
        return self.head(self._pooled(x))

    def compile_inference(self) -> FastMViT:
        """The same network, parameters and logits, made for inference only; see `fast.py`.

        To be called after loading, moving and casting.
        """
        return FastMViT(self)

    def _add_positions(self, x: Tensor, thw: THW) -> Tensor:
        """Puts the class token in front of `(B, T*H*W, C)` and adds the absolute positions: `(B, N, C)`."""
        if self.cls_token is not None:
            x = torch.cat((self.cls_token.expand(len(x), -1, -1), x), dim=1)
        tables = {name: getattr(self, name) for name in POSITION_NAMES}
        positions = absolute_positions(tables, self.config.patch_thw, thw)
        return x if positions is None else x + positions

    def _pooled(self, x: Tensor) -> Tensor:
        """What the classifier sees of `(B, N, C)`: `(B, C)`."""
        if self.config.head_pooling == "cls":
            return self.norm(x[:, 0])
        if self.config.head_pooling == "mean":
            return self.norm(x).mean(dim=1)
        return self.norm(x[:, int(self.config.cls_token) :].mean(dim=1))


def _init_weights(module: nn.Module) -> None:
    """Truncated normal weights and zero biases, as in both papers' training."""
    if isinstance(module, nn.Linear | TokenPool) and module.weight is not None:
        nn.init.trunc_normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)
