"""From the pixels of files to their scores: batches of views, softmax, mean."""

import gc
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from math import prod
from typing import TYPE_CHECKING, Any

from mvit_cli.arch.cost import RGB
from mvit_cli.errors import MediaError
from mvit_cli.protocol import Activation, OverViews, Transform
from mvit_cli.recognition.device import is_out_of_memory

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from mvit_cli.arch.config import MViTConfig

# Work for one batch, in MACs: enough to keep the device busy, little enough to fit. Estimates, not measurements: about
# a second of a CPU core's matrix products, and of a GPU what a batch of 32 clips of MViTv2-S asks for.
MACS_A_BATCH = {"cpu": 1e11, "mps": 5e11, "cuda": 2e12}
MAX_BATCH = 64


MEMORY_SHARE = 0.5
"""Of the memory that is free at the start, what one batch may take."""


def auto_batch_size(
    macs: int, device: str, view_bytes: int = 0, free_bytes: int | None = None, threads: int = 1
) -> int:
    """Views that go through the network together, from what one costs and the kind of device.

    Args:
        threads: of a CPU, on each of which a view can be computed; the size is a multiple of theirs, if it can.
        view_bytes: memory that a view takes on the device, as of `memory_of_view`.
        free_bytes: memory that the device has; None: not known.
    """
    size = max(threads, round(MACS_A_BATCH[device] / macs) // threads * threads)
    if view_bytes and free_bytes is not None:
        size = min(size, int(MEMORY_SHARE * free_bytes / view_bytes))
    return max(1, min(MAX_BATCH, size))


def memory_of_view(config: "MViTConfig", number_bytes: int) -> int:
    """An estimate of the bytes that one more view in a batch takes while it is computed.

    Its pixels as float32, twice; and the first block's tokens ten times: before and after its norm, Q, what attention
    gives, a copy for pooling, and the MLP's hidden layer. On a CPU it is less once there are more views than threads.
    """
    tokens = prod(config.patch_thw) * config.stage_channels[0]
    return 2 * 4 * RGB * prod(config.input_thw) + (6 + round(config.mlp_ratio)) * tokens * number_bytes


def free_memory(device: "torch.device", *, all_of_it: bool = False) -> int | None:
    """Bytes that nobody uses at the moment, or all that there are; None where the system does not tell."""
    import torch

    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[all_of_it])
    try:
        return os.sysconf("SC_PHYS_PAGES" if all_of_it else "SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # no Linux
        return None


@dataclass(frozen=True)
class Started:
    """Files whose views are on the device: how many each has, and the scores of all views in parts."""

    views: list[int]
    parts: "list[Tensor]"


@dataclass
class Scorer:
    """Scores clips with a network on its device.

    Attributes:
        batch_size: views a batch; halved for good when memory runs out.
        whole_batches: what is left for the last batch is filled up, as a compiled network takes one shape only.
        activation: softmax over the classes, or a sigmoid of each output, whose scores do not sum to 1.
        reference: the network in float32, which the first view is shown too, to tell how far the logits drift.
        deterministic: nothing that differs from run to run decides how views are computed: no batch is halved, and a
            GPU takes only kernels that repeat to the bit.
        over_views: what becomes of the scores of a file's views; of what is read out always the mean.
        readout: the network and normalised clips -> what is taken instead of scores, see `recognition/readout.py`.
        watch: told after each batch how many views of how many are done.
        lock: of the network, which computes for one caller at a time.
    """

    model: "nn.Module"
    transform: Transform
    device: "torch.device"
    dtype: "torch.dtype"
    batch_size: int
    reference: "nn.Module | None" = None
    whole_batches: bool = False
    activation: Activation = "softmax"
    deterministic: bool = False
    over_views: OverViews = "mean"
    readout: "Callable[[nn.Module, Tensor], Tensor] | None" = None
    watch: "Callable[[int, int], None] | None" = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    _news: list[str] = field(default_factory=list)

    def for_one_caller(self) -> "Scorer":
        """The same network with news of its own, for one of several threads."""
        return replace(self, _news=[])

    def scores(self, pixels: "NDArray[Any]") -> "Tensor":
        """The mean over the views of their scores, or the largest.

        Args:
            pixels: `(views, T, H, W, 3)`, 0..255.

        Returns:
            float32 `(classes,)`, on the CPU; means of a softmax sum to 1.

        Raises:
            MediaError: memory, where not even one view fits; internal, where a score is not a number.
        """
        scores = self.scores_of([pixels])[0]
        if isinstance(scores, MediaError):
            raise scores
        return scores

    def scores_of(self, files: "Sequence[NDArray[Any]]") -> "list[Tensor | MediaError]":
        """The scores of several files, whose views share batches; an error for a file whose scores are not numbers.

        Raises:
            MediaError: memory, as `scores`.
        """
        return self.finish(self.start(files))

    def start(self, files: "Sequence[NDArray[Any]]") -> Started:
        """Hands the views of several files to the device; a GPU computes on while Python does something else."""
        import torch

        pixels = [torch.from_numpy(views) for views in files]
        with torch.inference_mode():
            parts = self._all_views(pixels[0] if len(pixels) == 1 else torch.cat(pixels))
        return Started([len(views) for views in files], parts)

    def finish(self, started: Started) -> "list[Tensor | MediaError]":
        """Waits for what was started; one mean of scores, or an error, for each file."""
        import torch

        with torch.inference_mode():
            scores = torch.cat(started.parts).cpu()
            largest = self.over_views == "max" and not self.readout
            means = [views.amax(dim=0) if largest else views.mean(dim=0) for views in scores.split(started.views)]
        wrong = MediaError(
            "internal",
            "the network gave " + ("features" if self.readout else "scores") + " that are not numbers",
            "try --dtype float32",
        )
        return [mean if bool(torch.isfinite(mean).all()) else wrong for mean in means]

    @property
    def runs_on(self) -> bool:
        """Whether the device goes on computing after `start`."""
        return self.device.type == "cuda"

    def take_news(self) -> list[str]:
        """What happened since the last call that a row should say: memory that ran out."""
        news, self._news = self._news, []
        return news

    def _all_views(self, pixels: "Tensor") -> "list[Tensor]":
        """`(views, classes)` in parts: batch after batch, tried again with half as many views when memory runs out."""
        parts: list[Tensor] = []
        start = 0
        while start < len(pixels):
            try:
                with self.lock, self._kernels():
                    parts.append(self._one_batch(pixels[start : start + self.batch_size]))
                start += self.batch_size
                if self.watch:
                    self.watch(min(start, len(pixels)), len(pixels))
                continue
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            self._halve(len(pixels) - start)  # outside `except`: the traceback would keep the tensors alive
        return parts

    def _kernels(self) -> "AbstractContextManager[None]":
        import torch

        if not self.deterministic:
            return nullcontext()
        return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True)

    def _one_batch(self, pixels: "Tensor") -> "Tensor":
        import torch

        if self.device.type == "cuda":
            pixels = pixels.pin_memory().to(self.device, non_blocking=True)
        clips = normalised(pixels.to(self.device), self.transform).to(self.dtype)
        num_views = len(clips)
        if self.whole_batches and num_views < self.batch_size:
            clips = torch.cat((clips, clips[-1:].expand(self.batch_size - num_views, -1, -1, -1, -1)))
        if self.readout:
            return self.readout(self.model, clips)[:num_views].float()
        logits = self.model(clips)[:num_views].float()
        if self.reference is not None:
            self._tell_drift(clips[:1], logits[:1])
        scores: Tensor = logits.sigmoid() if self.activation == "sigmoid" else logits.softmax(dim=-1)
        return scores

    def _tell_drift(self, clips: "Tensor", logits: "Tensor") -> None:
        assert self.reference is not None
        import torch

        expected = self.reference(clips.float())
        self.reference = None  # once is enough, and its weights take memory
        drift, span = float((logits - expected).abs().max()), float(expected.max() - expected.min())
        name = "int8" if self.dtype == torch.float32 else str(self.dtype).removeprefix("torch.")
        self._news.append(
            f"{name}: logits of the first view differ by up to {drift:.2g} from float32's, which span {span:.3g}"
        )

    def _halve(self, views: int) -> None:
        import torch

        size = min(self.batch_size, views)
        if self.deterministic and size > 1:
            message = f"{size} views do not fit into the memory of {self.device}"
            raise MediaError("memory", message, f"--deterministic halves no batch: try --batch-size {size // 2}")
        if size == 1:
            raise MediaError("memory", f"one view does not fit into the memory of {self.device}", "try --device cpu")
        self.batch_size = size // 2
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        self._news.append(f"out of memory on {self.device}: the batch size is now {self.batch_size}, it was {size}")


def normalised(pixels: "Tensor", transform: Transform) -> "Tensor":
    """`(B, T, H, W, 3)`, 0..255 -> float32 `(B, 3, T, H, W)`: 0..1, less the mean, by the standard deviation.

    On the network's device, so that bytes cross the bus and not floats.
    """
    import torch

    mean, std = (torch.tensor(values, device=pixels.device) for values in (transform.mean, transform.std))
    pictures = pixels.to(torch.float32).div(255).sub_(mean).div_(std)
    return (pictures if transform.channels == "rgb" else pictures.flip(-1)).permute(0, 4, 1, 2, 3)
