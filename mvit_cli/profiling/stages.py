"""Time of each stage, from hooks at the modules where a stage begins."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

from mvit_cli.profiling.setup import Prepared
from mvit_cli.profiling.timing import synchronize

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from mvit_cli.model import MViT

Moment = Callable[[], float]
"""Asked after the run: milliseconds on some clock of the device."""


def stage_ms(prepared: Prepared, clips: "Tensor") -> dict[str, float]:
    """Milliseconds of each stage in one run: `cube1`, `scale2`, ..., `head`; together they are the whole run.

    `cube1` holds the patch convolution and the positions, `head` the final norm and the classifier.
    """
    device = prepared.device
    moments: list[tuple[str, Moment]] = []
    synchronize(device)
    clock = _cuda_clock(device) if device.type == "cuda" else _host_clock(device)
    with _hooks(prepared.model, lambda name: moments.append((name, clock()))):
        prepared.forward(clips)
        moments.append(("end", clock()))
    synchronize(device)
    at = [(name, moment()) for name, moment in moments]
    return {name: end - start for (name, start), (_, end) in pairwise(at)}


@contextmanager
def _hooks(model: "MViT", begins: Callable[[str], None]) -> Iterator[None]:
    """Calls `begins` with a stage's name just before its first module runs."""
    depths = model.config.stage_depths
    firsts = [sum(depths[:stage]) for stage in range(len(depths))]
    starts = {"cube1": model.patch_embed, "head": model.norm}
    starts |= {f"scale{stage + 2}": model.blocks[first] for stage, first in enumerate(firsts)}
    handles = [
        module.register_forward_pre_hook(lambda _module, _inputs, name=name: begins(name))
        for name, module in starts.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _cuda_clock(device: "torch.device") -> Callable[[], Moment]:
    """Events in the stream: nothing waits for the GPU while it runs."""
    import torch

    first = torch.cuda.Event(enable_timing=True)
    first.record(torch.cuda.current_stream(device))

    def now() -> Moment:
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(device))
        return lambda: first.elapsed_time(event)

    return now


def _host_clock(device: "torch.device") -> Callable[[], Moment]:
    def now() -> Moment:
        synchronize(device)
        moment = 1000 * time.perf_counter()
        return lambda: moment

    return now
