"""What each place of a clip adds to a logit, whatever the head: a gradient times the pixels that adds up.

The trap: a LayerNorm gives the same for `x` and `2 x`, so along `x` the network behind it does not change, and the
gradient of a logit times the activations before a norm, summed, is about zero. A softmax hides what it was fed in the
same way. So three things are kept as they are while the gradient is taken: the deviation that a norm divides by, the
weights of each attention, and the share of itself that GELU lets a number pass, `gelu(x) = x * Phi(x)`. The network is
then a linear function of its pixels, its biases and its positions together, and by Euler's theorem

    logit = sum over pixels of x * d logit / d x + sum over biases and positions of b * d logit / d b,

exactly: the pixels' part is the heat, and what is left is what the network says of any clip with the same weights.

Source: Ali et al. 2022, arXiv:2202.07304, section 3 (norms and attention heads); here with pooled queries, keys, values
and skip connections. A maximum passes the gradient to the place it was found.
"""

from typing import TYPE_CHECKING

from mvit_cli.arch.grid import THW

if TYPE_CHECKING:
    from torch import Tensor

    from mvit_cli.model import MViT


def gradient(model: "MViT", clips: "Tensor", index: int, *, beside_others: bool = False) -> "Tensor":
    """What each place adds to the logit of a class.

    Args:
        clips: `(B, 3, T, H, W)`, normalised; a pixel of the mean colour is 0 and adds nothing.
        index: of the class.
        beside_others: of the logit less the mean of all other classes' logits, which alone decides the scores.

    Returns:
        `(B, ceil(T/s_T), ceil(H/s_H), ceil(W/s_W))`: cells as large as the stride of the patches.
    """
    pixels = by_pixel(model, clips, index, beside_others=beside_others)
    return in_cells(pixels, model.config.patch_stride)


def by_pixel(model: "MViT", clips: "Tensor", index: int, *, beside_others: bool = False) -> "Tensor":
    """The same for each pixel of each frame: `(B, T, H, W)`."""
    import torch

    from mvit_cli.model.linearised import linearised

    with torch.inference_mode(False), torch.enable_grad():
        shown = clips.detach().clone().requires_grad_()
        logits = linearised(model, of_pixels=True)(shown)
        wanted = logits[:, index].sum()
        if beside_others and logits.shape[1] > 1:
            wanted = wanted - (logits.sum() - wanted) / (logits.shape[1] - 1)
        (slope,) = torch.autograd.grad(wanted, shown)
        summed: Tensor = (slope * shown.detach()).sum(dim=1)
    return summed


def in_cells(pixels: "Tensor", size: THW) -> "Tensor":
    """Sums of `(B, T, H, W)` over cells; the last of an axis may be smaller."""
    import torch.nn.functional as F

    padding = [pad for n, s in zip(reversed(pixels.shape[1:]), reversed(size), strict=True) for pad in (0, -n % s)]
    grid = F.pad(pixels, padding)
    for axis, extent in zip((1, 3, 5), size, strict=True):
        grid = grid.unflatten(axis, (-1, extent))
    summed: Tensor = grid.sum(dim=(2, 4, 6))
    return summed
