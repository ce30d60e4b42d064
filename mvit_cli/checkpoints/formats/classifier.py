"""The one linear layer that classifies, whatever people put it into: `head.fc.1.`, `head.0.`, `head.`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mvit_cli.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

PLACE = "head.projection"
_HEADS = ("head.", "cls_head.")
_NETWORK = ("patch_embed.", "blocks.", "norm.", "norm_stem.", "cls_token", "pos_embed")
ONE_LAYER = "mvit runs MViT and MViTv2 with one linear classifier"


def with_classifier(tensors: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """Canonical names, with the classifier in its place if it is the only layer with weights under `head.`.

    Raises:
        CheckpointError: the classifier is more than one layer, or stands outside the network; names what is there.
    """
    inside = [name for name in tensors if name.startswith(_HEADS)]
    layers = list(dict.fromkeys(name.rpartition(".")[0] for name in inside))
    if len(layers) > 1:
        raise CheckpointError(f"its classifier is more than one layer ({_listed(layers)})", ONE_LAYER)
    if layers and layers[0] != PLACE:
        return {_moved(name, layers[0]): tensor for name, tensor in tensors.items()}
    if not layers:
        outside = [
            name.removesuffix(".weight")
            for name, tensor in tensors.items()
            if name.endswith(".weight") and tensor.ndim == 2 and not name.startswith(_NETWORK)
        ]
        if outside:
            raise CheckpointError(
                f"it has no classifier under head., but {_listed(outside)} beside the network",
                "if that one linear layer sees what the network gives, name it head. in the file, and nothing else",
            )
    return dict(tensors)


def _moved(name: str, layer: str) -> str:
    return f"{PLACE}{name.removeprefix(layer)}" if name.startswith(f"{layer}.") else name


def _listed(names: list[str]) -> str:
    return ", ".join(names[:4]) + ", ..." * (len(names) > 4)
