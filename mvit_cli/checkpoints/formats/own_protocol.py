"""How files of our own say what their network wants to be shown and what its outputs are: nothing is left to assume.

`mvit train` writes it into the metadata of a safetensors file, beside the configuration.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, get_args

from mvit_cli.checkpoints.formats.settings import read_json
from mvit_cli.errors import CheckpointError
from mvit_cli.protocol import Activation, Sampling, Transform, Views

PROTOCOL_KEY = "mvit_protocol"
"""Where it stands in the metadata (JSON)."""
TRAINING_KEY = "mvit_training"
"""Where it stands in the metadata what the weights were made of: data, split, versions, own figures (JSON)."""

MAX_VIEWS = 100
MAX_PIXELS = 4096
MAX_STRIDE = 10_000


@dataclass(frozen=True)
class OwnProtocol:
    """All that stands between a file and its scores.

    Attributes:
        labels: class names in the order of the outputs.
        stills: whether a still image may stand for a video of equal frames.
    """

    sampling: Sampling
    transform: Transform
    views: Views
    activation: Activation
    labels: tuple[str, ...]
    stills: bool = True


def protocol_to_json(protocol: OwnProtocol) -> str:
    """As the metadata keeps it."""
    return json.dumps(asdict(protocol), ensure_ascii=False)


def protocol_in(metadata: Mapping[str, str], frames: int, side: int, num_classes: int) -> OwnProtocol | None:
    """What the metadata of a file says; None where it says nothing.

    Args:
        frames, side, num_classes: of its network, which the protocol must fit.

    Raises:
        CheckpointError: what stands there is no protocol, or not of this network.
    """
    text = metadata.get(PROTOCOL_KEY)
    if text is None:
        return None
    told = read_json(text, "the protocol in the file's metadata")
    try:
        protocol = _protocol(told)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"the protocol in the file's metadata is not usable ({error})", "") from error
    pairs = (
        ("frames", protocol.sampling.frames, frames),
        ("pixels a side", protocol.transform.crop, side),
        ("class names", len(protocol.labels), num_classes),
    )
    for name, said, is_so in pairs:
        if said != is_so:
            raise CheckpointError(
                f"the protocol in the file's metadata is for {said} {name}, its network for {is_so}",
                "the file was changed by hand; take the one that `mvit train` wrote",
            )
    return protocol


def _protocol(told: Any) -> OwnProtocol:
    """The protocol of what was read, each number within bounds."""
    sampling, transform = Sampling(**told["sampling"]), Transform(**_tuples(told["transform"]))
    views, labels, activation = Views(**told["views"]), tuple(told["labels"]), told["activation"]
    whole = [
        (sampling.frames, MAX_PIXELS),
        (sampling.stride, MAX_STRIDE),
        (transform.resize, MAX_PIXELS),
        (views.clips, MAX_VIEWS),
        (views.crops, 3),
    ]
    if not all(type(value) is int and 1 <= value <= most for value, most in whole) or views.crops == 2:
        raise ValueError("a number that is none, or too large")
    statistics = (*transform.mean, *transform.std)
    if len(transform.mean) != 3 or not all(isinstance(v, int | float) and abs(v) < 1000 for v in statistics):
        raise ValueError("mean and std are three numbers each")
    if not all(isinstance(label, str) for label in labels) or activation not in get_args(Activation):
        raise ValueError("labels are texts, and the activation is softmax or sigmoid")
    return OwnProtocol(sampling, transform, views, activation, labels, bool(told.get("stills", True)))


def _tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
