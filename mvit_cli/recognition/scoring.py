"""From the pixels of one file to its scores: batches of views, softmax, mean."""

import gc
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mvit_cli.errors import MediaError
from mvit_cli.media.protocol import Transform

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from torch import Tensor, nn

# Work for one batch, in MACs: enough to keep the device busy, little enough to fit. Estimates, not measurements: about
# a second of a CPU core's matrix products, and of a GPU what a batch of 32 clips of MViTv2-S asks for.
MACS_A_BATCH = {"cpu": 1e11, "mps": 5e11, "cuda": 2e12}
MAX_BATCH = 64


def auto_batch_size(macs: int, device: str) -> int:
    """Views that go through the network together, from the cost of one view and the kind of device."""
    return max(1, min(MAX_BATCH, round(MACS_A_BATCH[device] / macs)))


@dataclass
class Scorer:
    """Scores clips with a network on its device.

    Attributes:
        batch_size: views a batch; halved for good when memory runs out.
    """

    model: "nn.Module"
    transform: Transform
    device: "torch.device"
    dtype: "torch.dtype"
    batch_size: int
    _news: list[str] = field(default_factory=list)

    def scores(self, pixels: "NDArray[Any]") -> "Tensor":
        """The mean over the views of the softmax scores.

        Args:
            pixels: `(views, T, H, W, 3)`, 0..255.

        Returns:
            float32 `(classes,)`, on the CPU, summing to 1.

        Raises:
            MediaError: memory, where not even one view fits; internal, where a score is not a number.
        """
        import torch

        with torch.inference_mode():
            scores = self._all_views(torch.from_numpy(pixels)).mean(dim=0)
        if not bool(torch.isfinite(scores).all()):
            raise MediaError("internal", "the network gave scores that are not numbers", "try --dtype float32")
        return scores

    def take_news(self) -> list[str]:
        """What happened since the last call that a row should say: memory that ran out."""
        news, self._news = self._news, []
        return news

    def _all_views(self, pixels: "Tensor") -> "Tensor":
        """`(views, classes)`: batch after batch, each tried again with half as many views when memory runs out."""
        import torch

        parts: list[Tensor] = []
        start = 0
        while start < len(pixels):
            try:
                parts.append(self._one_batch(pixels[start : start + self.batch_size]))
                start += self.batch_size
                continue
            except (RuntimeError, MemoryError) as error:
                if not _is_out_of_memory(error):
                    raise
            self._halve(len(pixels) - start)  # outside `except`: the traceback would keep the tensors alive
        return torch.cat(parts)

    def _one_batch(self, pixels: "Tensor") -> "Tensor":
        clips = normalised(pixels.to(self.device), self.transform).to(self.dtype)
        scores: Tensor = self.model(clips).float().softmax(dim=-1)
        return scores.cpu()

    def _halve(self, views: int) -> None:
        import torch

        size = min(self.batch_size, views)
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
    return pixels.to(torch.float32).div(255).sub_(mean).div_(std).permute(0, 4, 1, 2, 3)


def _is_out_of_memory(error: BaseException) -> bool:
    """CUDA has a class of its own for it; the CPU's allocator and mps only say so."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    message = str(error).lower()
    return "out of memory" in message or "can't allocate memory" in message
