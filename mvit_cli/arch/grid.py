"""Grid arithmetic: how many positions are left after a pooling or a convolution."""

from math import prod

THW = tuple[int, int, int]
"""Extent in time, height and width; always in this order."""


def pooled_length(length: int, kernel: int, stride: int, padding: int) -> int:
    """Positions along one axis after pooling: `floor((L + 2p - k) / s) + 1`.

    Source: MViT paper, section 3.1, equation 1.

    Raises:
        ValueError: if not even one window fits.
    """
    if length + 2 * padding < kernel:
        raise ValueError(f"a window of {kernel} does not fit a length of {length} padded by {padding}")
    return (length + 2 * padding - kernel) // stride + 1


def pooled_grid(thw: THW, kernel: THW, stride: THW, padding: THW | None = None) -> THW:
    """Grid after pooling `thw`; without `padding`, half the kernel, as in every MViT pooling."""
    padding = padding or half(kernel)
    t, h, w = (pooled_length(*axis) for axis in zip(thw, kernel, stride, padding, strict=True))
    return t, h, w


def half(kernel: THW) -> THW:
    """Padding that centres an odd kernel on its position."""
    t, h, w = kernel
    return t // 2, h // 2, w // 2


def widened(stride: THW) -> THW:
    """Kernel one wider than its stride on the axes that are strided: 1x2x2 -> 1x3x3."""
    t, h, w = (s + 1 if s > 1 else 1 for s in stride)
    return t, h, w


def floor_div(thw: THW, stride: THW) -> THW:
    """Nominal grid, by floor division; the released code sizes its position tables by it."""
    t, h, w = (n // s for n, s in zip(thw, stride, strict=True))
    return t, h, w


def is_strided(stride: THW) -> bool:
    """Whether pooling with this stride makes the grid smaller."""
    return prod(stride) > 1
