"""What the linear layers of a network are given while it runs, watched to find how their inputs are best rounded."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn

from mvit_cli.arch.ranges import STEPS, BlockRanges, Range
from mvit_cli.model.mvit import Block, MViT

KEPT = 4096
"""Numbers of each input and run that are kept, drawn at random: what the best range is chosen on."""
SHARES = tuple(share / 20 for share in range(6, 21))
"""Of the least and of the greatest number seen: what is tried as a bound."""


class RangeWatch:
    """Keeps some of what a plain network's linear layers are given, and finds ranges for it."""

    def __init__(self, model: MViT) -> None:
        self._blocks = cast("list[Block]", list(model.blocks))
        self._random = torch.Generator().manual_seed(0)
        self._kept: dict[tuple[int, str], list[Tensor]] = defaultdict(list)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watches every run of the network meanwhile."""
        hooks = []
        for number, block in enumerate(self._blocks):
            hooks += [
                block.norm1.register_forward_hook(self._hook(number, "attn")),
                block.norm2.register_forward_hook(self._hook(number, "mlp")),
                block.mlp.fc2.register_forward_pre_hook(self._hook(number, "hidden")),
            ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _hook(self, number: int, name: str) -> Any:
        def look(module: nn.Module, given: tuple[Tensor, ...], *made: Tensor) -> None:
            values = (made or given)[0].detach().flatten().float().cpu()
            drawn = values[torch.randint(len(values), (KEPT,), generator=self._random)]
            self._kept[number, name].append(torch.cat((drawn, torch.stack(values.aminmax()))))

        return look

    def ranges(self) -> tuple[BlockRanges, ...]:
        """The ranges of all blocks, by what was seen.

        Raises:
            ValueError: nothing was seen, or what is no number.
        """
        names = ("attn", "mlp", "hidden")
        return tuple(
            BlockRanges(**{name: best_range(torch.cat(self._kept[number, name])) for name in names})
            for number in range(len(self._blocks))
        )


def best_range(values: Tensor) -> Range:
    """The range in whose 256 steps `(N,)` values lose least, in the mean of squares.

    A step costs all values a twelfth of its square; what lies outside costs its distance. A few large values may be
    worth neither: each bound is tried at some shares of the extreme (the way of post-training quantisation in general).

    Raises:
        ValueError: a value is no number.
    """
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    if not (torch.isfinite(values).all() and high > low):
        raise ValueError("the network gives no numbers, or nothing but zeros")
    tried = {Range(low * below, high * above) for below in SHARES for above in SHARES}
    return min(sorted(tried), key=lambda one: float((as_bytes(values, one) - values).square().mean()))


def as_bytes(values: Tensor, one: Range) -> Tensor:
    """The numbers that the bytes of some values stand for."""
    step, zero = one.scale
    return values.div(step).add_(zero).round_().clamp_(0, STEPS).sub_(zero).mul_(step)
