"""Time of each stage, from hooks at the modules where a stage begins."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

from mvit_cli.profiling.clock import Moment, clock_of, synchronize
from mvit_cli.profiling.setup import Prepared

if TYPE_CHECKING:
    from torch import Tensor, nn

    from mvit_cli.model import MViT
    from mvit_cli.model.fast.network import FastMViT

FIRST = "cube1"


def stage_ms(prepared: Prepared, clips: "Tensor") -> dict[str, float]:
    """Milliseconds of each stage in one run: `cube1`, `scale2`, ..., `head`; together they are the whole run.

    `cube1` holds the patch convolution and the positions, `head` the final norm and the classifier. A network that
    takes the batch in several passes goes through a stage as often; its time is the sum.
    """
    device = prepared.device
    synchronize(device)
    clock = clock_of(device)
    moments: list[tuple[str, Moment]] = [(FIRST, clock())]
    with stage_hooks(prepared.network, lambda name: moments.append((name, clock()))):
        prepared.forward(clips)
    moments.append(("end", clock()))
    synchronize(device)
    at = [(name, moment()) for name, moment in moments]
    times: dict[str, float] = {}
    for (name, start), (_, end) in pairwise(at):
        times[name] = times.get(name, 0.0) + end - start
    return times


@contextmanager
def stage_hooks(network: "MViT | FastMViT", begins: Callable[[str], None]) -> Iterator[None]:
    """Calls `begins` with a stage's name whenever one begins, the head where the last block has ended.

    Passes over parts of a batch come one after the other meanwhile, on all threads: side by side they would be in
    several stages at once.
    """
    from mvit_cli.model.fast.network import FastMViT

    depths = network.config.stage_depths
    starts: dict[str, nn.Module] = {FIRST: network.patch_embed}
    starts |= {f"scale{stage + 2}": network.blocks[sum(depths[:stage])] for stage in range(len(depths))}
    handles = [
        module.register_forward_pre_hook(lambda _module, _inputs, name=name: begins(name))
        for name, module in starts.items()
    ]
    handles.append(network.blocks[-1].register_forward_hook(lambda _module, _inputs, _output: begins("head")))
    passes = network if isinstance(network, FastMViT) else None
    try:
        if passes:
            passes.side_by_side = False
        yield
    finally:
        if passes:
            passes.side_by_side = True
        for handle in handles:
            handle.remove()
