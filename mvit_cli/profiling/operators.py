"""Time, arithmetic and memory traffic of each class of operators, stage by stage.

Every operator that torch runs passes through a dispatch mode, which takes the time around it and lets it be. It sees
what the network calls, as `linear` and `scaled_dot_product_attention`, not what a kernel makes of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch.utils._python_dispatch import TorchDispatchMode

from mvit_cli.profiling.clock import Clock, Moment, clock_of, give_head_start, synchronize
from mvit_cli.profiling.counting import Work, place_of, work_of
from mvit_cli.profiling.setup import Prepared
from mvit_cli.profiling.stage_times import FIRST, stage_hooks

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch._ops import OpOverload

HEAD_START_EVERY = 100
"""Operators after which a GPU is made to wait for the host again; its queue holds about a thousand entries."""


@dataclass(frozen=True)
class Timed:
    """One operator of a run: where, what, and how many milliseconds."""

    stage: str
    work: Work
    ms: float


class OperatorTimer(TorchDispatchMode):
    """Takes down every operator; `stage` is set from outside."""

    def __init__(self, device: "torch.device", clock: Clock, weights: frozenset[int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.stage = FIRST
        self.taken: list[tuple[str, Work, Moment, Moment]] = []
        self._device, self._clock, self._weights = device, clock, weights
        self._next_head_start = 0

    def __torch_dispatch__(
        self,
        func: "OpOverload",
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if len(self.taken) >= self._next_head_start:
            give_head_start(self._device)
            self._next_head_start = len(self.taken) + HEAD_START_EVERY
        start = self._clock()
        output = func(*args, **(kwargs or {}))
        end = self._clock()
        work = work_of(func, args, kwargs or {}, output, self._weights)
        if work:
            self.taken.append((self.stage, work, start, end))
        return output


def operator_run(prepared: Prepared, clips: "Tensor") -> list[Timed]:
    """Every operator of one run of the network as it is, never compiled, that computes or moves anything."""
    import torch

    device, network = prepared.device, prepared.network
    weights = frozenset(map(place_of, (*network.parameters(), *network.buffers()))) - {0}
    synchronize(device)
    timer = OperatorTimer(device, clock_of(device), weights)

    def begins(stage: str) -> None:
        timer.stage = stage

    with stage_hooks(network, begins), torch.inference_mode(), timer:
        network(clips)
    synchronize(device)
    return [Timed(stage, work, end() - start()) for stage, work, start, end in timer.taken]
