"""Shapes that stand for tensors, where a network is told without its numbers and without torch."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class TensorShape:
    """Stands for a tensor where only its shape matters; it can do what `layouts` does with tensors."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def unsqueeze(self, axis: int) -> "TensorShape":
        """With an axis of length 1 before `axis`."""
        return TensorShape((*self.shape[:axis], 1, *self.shape[axis:]), self.dtype)

    def concatenated(self, others: Sequence["TensorShape"]) -> "TensorShape":
        """With the rows of `others` below its own."""
        return TensorShape((self.shape[0] + sum(other.shape[0] for other in others), *self.shape[1:]), self.dtype)

    def __getitem__(self, index: None) -> "TensorShape":
        return self.unsqueeze(0)
