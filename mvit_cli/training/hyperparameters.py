"""The numbers of a training, and the learning rate that they make."""

import math
from dataclasses import dataclass

from mvit_cli.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a network is trained.

    Attributes:
        steps: of the optimizer, in all.
        batch_size: clips a step, over all processes.
        lr: highest learning rate, that of the classifier.
        warm_up: share of the steps in which the rate rises to it.
        lr_end: what is left of the rate at the end, as a share.
        cycles: how often the rate rises and falls; each time to `later_peak` of the time before.
        layer_decay: the rate of a block, as a share of that of the block after it. Source: ELECTRA, BEiT.
        betas: of AdamW.
        weight_decay: of AdamW; of matrices and kernels, not of biases, norms, positions and the class token.
        most_gradient: the gradient's norm is cut to this; 0: it is left.
        drop_path: how often the last block's branches are left out, falling linearly to 0 for the first block.
        label_smoothing: see `objective.losses_of`.
        mixup, cutmix: see `objective.mixed`.
        ema: the averaged weights keep this share at each step, less at the beginning; 0: no average.
        seed: of everything that is drawn.
    """

    steps: int
    batch_size: int
    lr: float
    warm_up: float = 0.1
    lr_end: float = 0.01
    cycles: int = 1
    later_peak: float = 1.0
    layer_decay: float = 1.0
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.05
    most_gradient: float = 1.0
    drop_path: float = 0.0
    label_smoothing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    ema: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuses what no training can be made with.

        Raises:
            UsageError: names the number.
        """
        for name in ("steps", "batch_size", "cycles"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} {getattr(self, name)} is less than 1", "give a whole number from 1 on")
        if not 0 < self.lr < math.inf:
            raise UsageError(f"--lr {self.lr:g} is no learning rate", "give one above 0, as --lr 0.0005")
        for name in ("warm_up", "lr_end", "drop_path", "label_smoothing", "ema"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"{name} {getattr(self, name):g} is not from 0 to below 1", "see `mvit train --help`")


def learning_rate(settings: Settings, step: int) -> float:
    """The rate of a step, counted from 0: in each cycle a linear rise, then half a cosine down to `lr_end`.

    Source: SGDR, arXiv:1608.03983, equation 5, with a warm-up before it.
    """
    length = max(1, settings.steps // settings.cycles)
    cycle = min(step // length, settings.cycles - 1)
    step -= cycle * length
    peak = settings.lr * settings.later_peak**cycle
    rise = settings.warm_up * length
    if step < rise:
        return peak * (step + 1) / max(rise, 1)
    progress = min(1.0, (step - rise) / max(length - rise, 1))
    return peak * (settings.lr_end + (1 - settings.lr_end) * 0.5 * (1 + math.cos(math.pi * progress)))


def ema_share(settings: Settings, step: int) -> float:
    """What the averaged weights keep after that many steps: at the beginning they follow more quickly."""
    return min(settings.ema, step / (step + 10))
