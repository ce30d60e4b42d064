"""Less memory for more work: what a block computes inside is not kept for the way back but computed again."""

from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mvit_cli.model.mvit import MViT


def recompute_blocks(model: "MViT") -> None:
    """From now on only the tokens between blocks are kept; a step is the same, and takes a forward pass more.

    The memory of a step falls from that of all blocks to that of one and the tokens between them. Source: Chen et al.
    2016, arXiv:1604.06174, section 4.
    """
    from torch.utils.checkpoint import checkpoint

    for block in model.blocks:
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)
