"""The same clips with their frames in other orders: what does not change then was not seen in time.

Source: MViT paper, section 5, Table "shuffling frames in inference".
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mvit_cli.findings import OrderName
from mvit_cli.protocol import Activation

if TYPE_CHECKING:
    from torch import Tensor

ORDERS: tuple[OrderName, ...] = ("in_order", "reversed", "shuffled")


@dataclass(frozen=True)
class Orders:
    """Scores of clips in order, reversed and shuffled, side by side: `(B, 3 * classes)`.

    How a clip is shuffled depends on its pixels and the seed alone: not on what else is in the batch.
    """

    activation: Activation
    seed: int

    def __call__(self, model: Any, clips: "Tensor") -> "Tensor":
        """`(B, 3, T, H, W)` -> `(B, 3 * classes)`."""
        import torch

        shuffled = torch.stack([clip[:, self.order_of(clip)] for clip in clips])
        logits = [model(given).float() for given in (clips, clips.flip(2), shuffled)]
        scores = [one.sigmoid() if self.activation == "sigmoid" else one.softmax(dim=-1) for one in logits]
        return torch.cat(scores, dim=-1)

    def order_of(self, clip: "Tensor") -> list[int]:
        """A permutation of the frames of a clip `(3, T, H, W)`."""
        import random
        import zlib

        digest = zlib.crc32(clip.float().cpu().contiguous().numpy().tobytes())
        order = list(range(clip.shape[1]))
        random.Random(f"{self.seed} {digest}").shuffle(order)
        return order
