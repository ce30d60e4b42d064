"""What is minimised: cross entropy with smoothed labels, or a binary one a class; and clips mixed with each other."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mvit_cli.protocol import Activation

if TYPE_CHECKING:
    from torch import Generator, Tensor


def targets_of(classes: Sequence[Sequence[int]], num_classes: int) -> "Tensor":
    """float32 `(B, num_classes)`: 1 for each class of a clip, else 0."""
    import torch

    targets = torch.zeros(len(classes), num_classes)
    for row, own in zip(targets, classes, strict=True):
        row[list(own)] = 1.0
    return targets


def losses_of(logits: "Tensor", targets: "Tensor", activation: Activation, smoothing: float = 0.0) -> "Tensor":
    """The loss of each clip, `(B,)`.

    With a softmax the cross entropy `-sum(t log p)`, where the targets give the share `smoothing` to all C classes
    alike: `t' = (1 - smoothing) t + smoothing / C`. With a sigmoid the mean over the classes of the binary one, with
    `t' = (1 - smoothing) t + smoothing / 2`. Source of the smoothing: Szegedy et al., arXiv:1512.00567, section 7.

    Args:
        logits, targets: `(B, C)`.
    """
    import torch.nn.functional as F

    if activation == "sigmoid":
        smoothed = (1 - smoothing) * targets + smoothing / 2
        return F.binary_cross_entropy_with_logits(logits, smoothed, reduction="none").mean(dim=1)
    smoothed = (1 - smoothing) * targets + smoothing / targets.shape[1]
    return -(smoothed * logits.log_softmax(dim=1)).sum(dim=1)


def mixed(
    clips: "Tensor", targets: "Tensor", mixup: float, cutmix: float, generator: "Generator"
) -> "tuple[Tensor, Tensor]":
    """Each clip with a share of another one of the batch, and the targets alike; where both are asked for, either.

    Source: mixup, arXiv:1710.09412; CutMix, arXiv:1905.04899, the box the same in all frames.

    Args:
        clips: `(B, 3, T, H, W)`; `targets`: `(B, C)`.
        mixup, cutmix: parameter of the Beta distribution that the share is drawn from; 0: not at all.
    """
    import torch

    if not (mixup or cutmix) or len(clips) < 2:
        return clips, targets
    cut = bool(cutmix) and (not mixup or bool(torch.rand((), generator=generator) < 0.5))
    alpha = cutmix if cut else mixup
    gammas = torch._standard_gamma(torch.full((2,), alpha), generator=generator)
    share = float(gammas[0] / gammas.sum().clamp_min(1e-12))
    others = clips.flip(0)
    if not cut:
        return share * clips + (1 - share) * others, share * targets + (1 - share) * targets.flip(0)
    height, width = clips.shape[-2:]
    side = (1 - share) ** 0.5
    top, left = (int(torch.randint(extent, (), generator=generator)) for extent in (height, width))
    rows = slice(max(0, top - int(height * side) // 2), min(height, top + int(height * side) // 2))
    columns = slice(max(0, left - int(width * side) // 2), min(width, left + int(width * side) // 2))
    clips = clips.clone()
    clips[..., rows, columns] = others[..., rows, columns]
    share = 1 - (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)
    return clips, share * targets + (1 - share) * targets.flip(0)
