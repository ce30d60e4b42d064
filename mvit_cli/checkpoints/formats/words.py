"""What the words of a file come to, of whatever code base: the parts of a protocol, each believed within bounds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mvit_cli.protocol import Activation, Sampling, Views

Colours = tuple[float, float, float]
Channels = Literal["rgb", "bgr"]

MAX_VIEWS = 100
MAX_PIXELS = 4096


@dataclass(frozen=True)
class Resizing:
    """How a frame becomes a square; the fields of `protocol.Transform` of the same names."""

    resize: int
    crop: int
    interpolation: Literal["bilinear", "bicubic"]
    antialias: bool
    resize_dtype: Literal["uint8", "float"]
    rule: Literal["torchvision", "mmaction2"] = "torchvision"


@dataclass(frozen=True)
class Said:
    """The parts of a protocol that a file states; None where it is silent.

    Attributes:
        statistics: mean and standard deviation of red, green and blue, of values from 0 to 1.
        channels: the order that the network is shown.
        activation: what makes scores of the network's outputs.
        other_classes: the classifier is another than that of the card which the file was made from.
        places: name of a part -> where it stands.
        missing: what the file says elsewhere, in other files; empty if nothing.
        unfit: what it says that is of another network, and is not taken; empty if nothing.
    """

    sampling: Sampling | None = None
    statistics: tuple[Colours, Colours] | None = None
    channels: Channels | None = None
    resizing: Resizing | None = None
    views: Views | None = None
    activation: Activation | None = None
    labels: tuple[str, ...] | None = None
    other_classes: bool = False
    places: Mapping[str, str] = field(default_factory=dict)
    missing: str = ""
    unfit: str = ""


def placed(place: str, missing: str = "", **parts: Any) -> Said:
    """The parts that are there, all from one place."""
    told = {name: value for name, value in parts.items() if value is not None}
    return Said(**told, places=dict.fromkeys(told, place), missing=missing)


def section(cfg: Mapping[Any, Any], name: str) -> Mapping[str, Any]:
    """A dictionary in another; empty where there is none."""
    found = cfg.get(name)
    return found if isinstance(found, dict) else {}


def word(value: Any) -> str:
    """A text; empty where there is none."""
    return value[:200] if isinstance(value, str) else ""


def whole(value: Any, most: int) -> int | None:
    """A whole number from 1 to `most`; None where there is none."""
    return value if type(value) is int and 1 <= value <= most else None


def colours(value: Any, *, positive: bool = False) -> Colours | None:
    """Three numbers that can be a mean, or a deviation, which is positive; one stands for all three."""
    numbers = value if isinstance(value, list | tuple) else [value] * 3
    if len(numbers) != 3 or not all(type(number) in (int, float) and -1000 < number < 1000 for number in numbers):
        return None
    red, green, blue = map(float, numbers)
    return None if positive and min(red, green, blue) <= 0 else (red, green, blue)
