"""What is measured: a network with random weights on a device, and random clips for it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mvit_cli.arch.config import MViTConfig
from mvit_cli.arch.presets import get_preset
from mvit_cli.arch.summary import resized
from mvit_cli.recognition.device import INT8

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from mvit_cli.model import MViT
    from mvit_cli.model.fast.network import FastMViT


@dataclass(frozen=True, kw_only=True)
class Setup:
    """Everything that decides the speed; plain values, so that another process can be given them.

    Attributes:
        device, dtype: names as torch has them: `cuda:1`, `bfloat16`; `int8`: of the linear layers on the fast path.
        threads: of the CPU; None: torch's own choice.
        fast: the fast path, which `predict` runs; else the plain network, layer by layer.
    """

    preset: str = "B"
    frames: int | None = None
    size: tuple[int, int] | None = None
    device: str = "cpu"
    dtype: str = "float32"
    threads: int | None = None
    compiled: bool = False
    fast: bool = True

    @property
    def config(self) -> MViTConfig:
        """The network's configuration.

        Raises:
            UsageError: if there is no such preset.
            ValueError: if the architecture cannot take that geometry.
        """
        return resized(get_preset(self.preset).config, self.frames, self.size)


@dataclass(frozen=True)
class Prepared:
    """The network, ready to run; `forward` takes a batch.

    Attributes:
        network: what runs, or what was compiled: the fast path or the plain network.
    """

    setup: Setup
    network: "FastMViT | MViT"
    forward: "Callable[[Tensor], Tensor]"
    device: "torch.device"
    dtype: "torch.dtype"

    def batch(self, batch_size: int) -> "Tensor":
        """Random clips, `(B, 3, T, H, W)`."""
        import torch

        shape = (batch_size, 3, *self.network.config.input_thw)
        return torch.randn(shape, device=self.device, dtype=self.dtype)


def prepare(setup: Setup) -> Prepared:
    """Builds the network on its device; compilation happens at the first run."""
    config = setup.config
    import torch

    from mvit_cli.checkpoints.load import load_model
    from mvit_cli.model.fast.network import FastMViT
    from mvit_cli.model.fast.products import PlainLinear
    from mvit_cli.recognition.compiling import compiled as compile_network

    if setup.threads:
        torch.set_num_threads(setup.threads)
    model = load_model(config, device=setup.device, dtype="float32" if setup.dtype == INT8 else setup.dtype)
    network: FastMViT | MViT = model
    if setup.dtype == INT8:
        network = FastMViT(model).to_int8()
    elif setup.fast:
        network = FastMViT(model, PlainLinear) if setup.compiled else FastMViT(model)
    runs: dict[torch.Size, Any] = {}  # a compiled network takes one shape only

    @torch.inference_mode()
    def forward(clips: "Tensor") -> "Tensor":
        if setup.compiled and clips.shape not in runs:
            runs[clips.shape] = compile_network(network, clips)
        logits: Tensor = runs.get(clips.shape, network)(clips)
        return logits

    parameter = next(model.parameters())
    return Prepared(setup, network, forward, parameter.device, parameter.dtype)
