"""Parameters and multiply-accumulates, counted from the formulas.

Counted MACs: every convolution, every linear layer, both attention products and the relative-position products.
Not counted: norms, activations, softmax, pooling by maximum or average. One MAC is what the papers print as a "FLOP".
"""

from dataclasses import dataclass
from math import prod

from mvit_cli.arch.arithmetic import block_steps
from mvit_cli.arch.blocks import BlockSpec, head_width
from mvit_cli.arch.config import MViTConfig
from mvit_cli.arch.positions import absolute_rows

RGB = 3


@dataclass(frozen=True)
class Cost:
    """Parameters of a part of the network, and MACs of running it on one clip."""

    params: int
    macs: int

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.params + other.params, self.macs + other.macs)


def linear(tokens: int, dim_in: int, dim_out: int) -> Cost:
    """A linear layer with bias over `tokens` tokens."""
    return Cost((dim_in + 1) * dim_out, tokens * dim_in * dim_out)


def layer_norm(dim: int) -> Cost:
    """LayerNorm: gain and bias; its arithmetic is not counted."""
    return Cost(2 * dim, 0)


def patch_embed_cost(config: MViTConfig) -> Cost:
    """The patch convolution, the class token, the absolute positions and the stem norm."""
    dim, patches = config.stage_channels[0], config.num_patches
    per_patch = RGB * prod(config.patch_kernel)
    rows = sum(absolute_rows(config).values())
    cost = Cost((per_patch + 1) * dim + rows * dim, patches * per_patch * dim)
    return cost + layer_norm(dim) if config.norm_stem else cost


def block_cost(config: MViTConfig, block: BlockSpec) -> Cost:
    """One transformer block: the sum of its steps."""
    return sum((Cost(step.params, step.macs) for step in block_steps(config, block)), Cost(0, 0))


def head_cost(config: MViTConfig) -> Cost:
    """The final norm and the classifier, which sees one token, and the means of earlier ones where it is configured."""
    return layer_norm(config.streams * config.stage_channels[-1]) + linear(1, head_width(config), config.num_classes)
