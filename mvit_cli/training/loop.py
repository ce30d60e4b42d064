"""The training loop, a step at a time: the one in this repository.

A step is told by its number alone: everything that is drawn comes from the seed and that number, so a run that was
stopped goes on from its state as if it had not been, and parts of a batch, on one device or several, add up to the
same step.
"""

import gc
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvit_cli.errors import MViTError
from mvit_cli.recognition.device import is_out_of_memory
from mvit_cli.training.drop_path import DropPath
from mvit_cli.training.hyperparameters import Settings, ema_share, learning_rate
from mvit_cli.training.optimizer import adamw, set_rate
from mvit_cli.training.recompute import recompute_blocks

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from mvit_cli.model.mvit import MViT

    Objective = Callable[[Tensor, tuple[Tensor, ...]], Tensor]
    """Logits `(B, outputs)` and the batch's targets -> the loss of each clip, `(B,)`."""

DRAWS = {"drop_path": 1, "mix": 2, "order": 3, "views": 4, "augment": 5}
"""What is drawn for a step or an epoch, each from a stream of its own."""


@dataclass(frozen=True)
class Batch:
    """What one process trains on in one step.

    Attributes:
        clips: `(B, 3, T, H, W)`, normalised.
        targets: whatever the objective takes, each `(B, ...)`.
    """

    clips: "Tensor"
    targets: "tuple[Tensor, ...]"

    def part(self, places: slice) -> "Batch":
        """Some of the clips."""
        return Batch(self.clips[places], tuple(target[places] for target in self.targets))


@dataclass(frozen=True)
class Stepped:
    """What a step was like.

    Attributes:
        loss: mean over the clips of all processes, before the step.
        rate: learning rate of the classifier.
        outputs: of this process's clips, `(B, outputs)`, before the step.
    """

    loss: float
    rate: float
    outputs: "Tensor"


def generator_of(seed: int, kind: str, *numbers: int) -> "Generator":
    """Random numbers that depend on the seed, on what they are for and on a step or epoch; the same for any device."""
    import numpy as np
    import torch

    state = np.random.SeedSequence((seed, DRAWS[kind], *numbers)).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) >> 1)


class Trainer:
    """A network, its optimizer and its averaged weights, which together are the state of a run.

    Under torchrun each process gives its own share of a batch, and torch's DDP averages their gradients.

    Args:
        model: on its device; its parameters are changed.
        objective: see above.

    Attributes:
        step: steps done.
        micro_batch: clips that go through together; halved for good when memory runs out.
        recomputes: whether what blocks compute inside is computed again on the way back, for want of memory.
        average: averaged weights by name; those of the model itself where none are kept.
    """

    def __init__(self, model: "MViT", settings: Settings, objective: "Objective") -> None:
        self.model, self.settings, self.objective = model.train(), settings, objective
        self.device = next(model.parameters()).device
        self.optimizer = adamw(model, settings)
        self.drop_path = DropPath(model, settings.drop_path)
        self.step = 0
        self.rank, self.world = place_of_process()
        self.micro_batch = max(1, settings.batch_size // self.world)
        self.recomputes = False
        self.average = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        self._parallel = _parallel(model) if self.world > 1 else None
        self._fits = self._parallel is None

    def train_on(self, batch: Batch) -> Stepped:
        """One step.

        Raises:
            MViTError: not even one clip fits into memory, or the loss is not a number.
        """
        rate = learning_rate(self.settings, self.step)
        set_rate(self.optimizer, rate)
        kept = self._kept(len(batch.clips))
        loss, outputs = self._gradients(batch, kept)
        loss = _mean_of_all(loss) if self.world > 1 else loss
        if not loss < float("inf"):
            raise MViTError(f"the loss of step {self.step + 1} is {loss}", "a smaller --lr helps")
        if self.settings.most_gradient:
            import torch

            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.most_gradient)
        self.optimizer.step()
        self.step += 1
        self._average()
        return Stepped(loss, rate, outputs)

    def _kept(self, clips: int) -> "Tensor | None":
        """The branches that stay for this process's clips, drawn for those of all processes."""
        if not self.settings.drop_path:
            return None
        generator = generator_of(self.settings.seed, "drop_path", self.step)
        return self.drop_path.draw(clips * self.world, generator)[:, self.rank * clips : (self.rank + 1) * clips]

    def _gradients(self, batch: Batch, kept: "Tensor | None") -> "tuple[float, Tensor]":
        """Leaves the gradient of the mean loss in the parameters; tried with less memory when that runs out.

        Several processes wait for each other within a step, where none could try again. So each finds out before the
        first one, alone, what fits; clips are all of one size, so it fits from then on.
        """
        if not self._fits:
            self._tried(batch, kept, alone=True)
            self._fits = True
        return self._tried(batch, kept)

    def _tried(self, batch: Batch, kept: "Tensor | None", *, alone: bool = False) -> "tuple[float, Tensor]":
        while True:
            self._forget_gradients()
            try:
                return self._in_parts(batch, kept, alone=alone)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if self.world > 1 and not alone:
                    raise MViTError(
                        f"the memory of {self.device} ran out in the middle of the training",
                        "--resume goes on; give a smaller --batch-size if it happens again",
                    ) from error
            self._save_memory(len(batch.clips))  # outside `except`: the traceback would keep the tensors alive

    def _forget_gradients(self) -> None:
        """Zeros, in memory of their own: left to torch, gradients of two parameters may be views of one tensor.

        With one clip at a time that of the class token and that of its position are; parts of a batch would be added
        up in both at once.
        """
        import torch

        for parameter in self.model.parameters():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            parameter.grad.zero_()

    def _in_parts(self, batch: Batch, kept: "Tensor | None", *, alone: bool) -> "tuple[float, Tensor]":
        """The loss and what it comes from; `alone`: gradients stay in this process."""
        import torch

        total, outputs = 0.0, []
        size = len(batch.clips)
        for start in range(0, size, self.micro_batch):
            places = slice(start, start + self.micro_batch)
            part = batch.part(places)
            self.drop_path.use(None if kept is None else kept[:, places])
            with self._alone_until(not alone and start + self.micro_batch >= size):
                logits = self._logits(part.clips)
                loss = self.objective(logits, part.targets).sum() / size
                loss.backward()
            total += float(loss.detach())
            outputs.append(logits.detach())
        self.drop_path.use(None)
        return total, torch.cat(outputs)

    def _logits(self, clips: "Tensor") -> "Tensor":
        import torch

        network = self._parallel or self.model
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            logits: Tensor = network(clips)
        return logits.double() if logits.dtype == torch.float64 else logits.float()

    def _alone_until(self, last: bool) -> "AbstractContextManager[Any]":
        """Gradients cross between the processes with the last part only."""
        return nullcontext() if last or self._parallel is None else self._parallel.no_sync()

    def _save_memory(self, clips: int) -> None:
        """Fewer clips at a time; not even one: what its blocks compute is computed twice instead of kept."""
        import torch

        size = min(self.micro_batch, clips)
        if size == 1 and self.recomputes:
            raise MViTError(
                f"training on one clip at a time does not fit into the memory of {self.device}",
                "use a smaller --preset, or --device cpu",
            )
        if size == 1:
            self._recompute()
        self.micro_batch = max(1, size // 2)
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _recompute(self) -> None:
        self.recomputes = True
        recompute_blocks(self.model)

    def _average(self) -> None:
        import torch

        keep = ema_share(self.settings, self.step)
        with torch.no_grad():
            for name, tensor in self.model.state_dict().items():
                self.average[name].lerp_(tensor, 1 - keep)

    def save(self, path: Path, **more: Any) -> None:
        """Writes the state of the run, whole or not at all, with what else belongs to it (numbers, texts, tensors)."""
        import torch

        state: dict[str, Any] = {"step": self.step, "micro_batch": self.micro_batch, "average": self.average}
        state["recomputes"] = self.recomputes
        state |= {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "more": more}
        partial = path.with_name(f".{path.name}.partial")
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)

    def restore(self, path: Path) -> dict[str, Any]:
        """Takes a state that was saved; returns what else was saved with it.

        Raises:
            MViTError: it is not one, or of another network.
        """
        import torch

        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            for name, tensor in state["average"].items():
                self.average[name].copy_(tensor)
            self.step, self.micro_batch = int(state["step"]), int(state["micro_batch"])
            if state.get("recomputes") and not self.recomputes:
                self._recompute()
            more: dict[str, Any] = state["more"]
        except Exception as error:
            raise MViTError(f"{path} is no state of this training ({error})", "begin anew without --resume") from error
        return more


def shares(places: "Sequence[int]", rank: int, world: int) -> "Sequence[int]":
    """A process's part of a batch: the processes' parts, one after the other, are the batch."""
    size = len(places) // world
    return places[rank * size : (rank + 1) * size]


def place_of_process() -> tuple[int, int]:
    """Number of this process and of all; 0 of 1 where it is alone."""
    import torch.distributed as dist

    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def _parallel(model: "MViT") -> Any:
    from torch.nn.parallel import DistributedDataParallel

    return DistributedDataParallel(model)


def _mean_of_all(value: float) -> float:
    import torch
    import torch.distributed as dist

    total = torch.tensor(value, dtype=torch.float64)
    if dist.get_backend() == "nccl":
        total = total.cuda()
    dist.all_reduce(total)
    return float(total) / dist.get_world_size()
