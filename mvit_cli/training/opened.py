"""What is handed on between the steps of a training."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mvit_cli.arch.config import MViTConfig
from mvit_cli.recognition.local_engine import LocalEngine
from mvit_cli.recognition.plan import Plan
from mvit_cli.training.probe import Probe

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from mvit_cli.model.mvit import MViT


@dataclass(frozen=True)
class Opened:
    """The network that is started from, on its device, and the engine around it."""

    planned: Plan
    model: "MViT"
    device: "torch.device"
    dtype: "torch.dtype"
    path: Path | None
    engine: LocalEngine


@dataclass(frozen=True)
class Seen:
    """What the network that is started from makes of the clips.

    Attributes:
        features: of each clip `(views, dims)`; None: it could not be read.
        thumbnails: of each clip, as of `thumbnail_of`.
        last: dimensions of what the network's own classifier sees.
    """

    features: "list[NDArray[np.float32] | None]"
    thumbnails: list[str]
    last: int


@dataclass(frozen=True)
class Learned:
    """What a method gives.

    Attributes:
        tensors: of the whole network, with the new classifier.
        scores: of each clip that is kept apart, by its place.
        chosen: what was chosen on validation.
    """

    tensors: "dict[str, Tensor]"
    config: MViTConfig
    scores: "dict[int, NDArray[Any]]"
    chosen: dict[str, float | int | str]


def with_head(model: "MViT", found: Probe, classes: int) -> "tuple[dict[str, Tensor], MViTConfig]":
    """The network's tensors with the classifier of a probe, on the CPU, and the configuration of both."""
    import torch

    tensors = {name: tensor.detach().cpu().float() for name, tensor in model.state_dict().items()}
    tensors["head.projection.weight"] = torch.from_numpy(found.linear.weight).float()
    tensors["head.projection.bias"] = torch.from_numpy(found.linear.bias).float()
    inputs: Literal["last", "blocks"] = "blocks" if found.inputs == "blocks" else model.config.head_inputs
    return tensors, replace(model.config, num_classes=classes, head_inputs=inputs)


def with_new_head(model: "MViT", classes: int) -> "MViT":
    """The network with a classifier of random weights, on the CPU."""
    from mvit_cli.model.mvit import MViT

    other = MViT(replace(model.config, num_classes=classes))
    body = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith("head.")}
    other.load_state_dict(body, strict=False)
    return other.float()
