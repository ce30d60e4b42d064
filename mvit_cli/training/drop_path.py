"""Stochastic depth: branches of blocks that are left out at random, of each clip for itself. arXiv:1603.09382."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from mvit_cli.model.mvit import MViT


class DropPath:
    """Scales what the attention and the MLP of each block add, by hooks on the plain network, which stays as it is.

    A branch is kept with the probability `1 - rate` and then divided by it. Which ones is drawn for a whole batch at
    once, so that parts of a batch, and a batch that is shared by processes, are trained as one.

    Args:
        most: rate of the last block; it falls linearly to 0 for the first.
    """

    def __init__(self, model: "MViT", most: float) -> None:
        depth = len(model.blocks)
        self.rates = [most * index / max(depth - 1, 1) for index in range(depth) for _ in range(2)]
        self._kept: Tensor | None = None
        for index in range(depth if most else 0):
            for number, branch in enumerate(("attn", "mlp")):
                module = model.get_submodule(f"blocks.{index}.{branch}")
                module.register_forward_hook(self._hook(2 * index + number))

    def draw(self, batch: int, generator: "Generator") -> "Tensor":
        """What the branches are multiplied with, `(2 * blocks, batch)`."""
        import torch

        keep = 1 - torch.tensor(self.rates)[:, None]
        return (torch.rand(len(self.rates), batch, generator=generator) < keep).float() / keep

    def use(self, kept: "Tensor | None") -> None:
        """What the next passes use, `(2 * blocks, B)`; None: all branches stay."""
        self._kept = kept

    def _hook(self, branch: int) -> Any:
        def scale(module: Any, args: Any, output: Any) -> Any:
            if self._kept is None or not module.training:
                return output
            if isinstance(output, tuple):
                return (self._scaled(output[0], branch), *output[1:])
            return self._scaled(output, branch)

        return scale

    def _scaled(self, x: "Tensor", branch: int) -> "Tensor":
        assert self._kept is not None
        return x * self._kept[branch, :, None, None].to(x.device, x.dtype)
