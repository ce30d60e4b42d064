"""Between which bounds the numbers lie that a block multiplies: what its products in 8-bit integers are scaled by."""

from dataclasses import dataclass
from typing import NamedTuple

STEPS = 255
"""Of a byte."""


class Range(NamedTuple):
    """The least and the greatest number; zero lies between them."""

    low: float
    high: float

    @property
    def scale(self) -> tuple[float, int]:
        """The size of a step, and the byte that stands for zero, which has to be exact."""
        step = (self.high - self.low) / STEPS
        return step, round(-self.low / step)


@dataclass(frozen=True)
class BlockRanges:
    """The inputs of a block's linear layers, but for that of the attention's output projection.

    Attributes:
        attn: what comes out of the first norm: queries, keys and values are made of it.
        mlp: what comes out of the second norm.
        hidden: the MLP's hidden layer, after GELU.
    """

    attn: Range
    mlp: Range
    hidden: Range
