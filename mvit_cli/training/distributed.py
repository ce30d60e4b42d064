"""Several processes that train as one, as torchrun starts them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

from mvit_cli.training.asked import TrainOptions

PATIENCE = timedelta(hours=24)
"""How long processes wait for each other: the first one may be looking at many clips."""


@dataclass(frozen=True)
class Place:
    """This process among all.

    Attributes:
        rank: its number; 0 writes.
        world: how many there are.
    """

    rank: int = 0
    world: int = 1

    @property
    def leads(self) -> bool:
        """Whether it writes and tells."""
        return self.rank == 0

    def wait(self) -> None:
        """Until all others are here."""
        if self.world > 1:
            import torch.distributed as dist

            dist.barrier()

    @contextmanager
    def one_after_the_other(self) -> Iterator[None]:
        """The leading process first, then the others: they find on disk what it has computed."""
        if not self.leads:
            self.wait()
        yield
        if self.leads:
            self.wait()


@contextmanager
def among_processes(options: TrainOptions) -> Iterator[tuple[TrainOptions, Place]]:
    """The place of this process, and the options with a device of its own; alone where nobody has started several."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world < 2:
        yield options, Place()
        return
    import torch
    import torch.distributed as dist

    on_gpu = torch.cuda.is_available() and options.device in ("auto", "cuda")
    if on_gpu:
        local = int(os.environ.get("LOCAL_RANK", "0"))
        torch.cuda.set_device(local)
        options = replace(options, device=f"cuda:{local}")
    dist.init_process_group("nccl" if on_gpu else "gloo", timeout=PATIENCE)
    try:
        yield options, Place(dist.get_rank(), world)
    finally:
        dist.destroy_process_group()
