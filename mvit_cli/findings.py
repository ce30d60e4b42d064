"""What `mvit eval`, `mvit embed` and `mvit similar` give, as types, like those of `records.py`."""

from typing import Annotated, Literal, NotRequired, TypedDict

from mvit_cli.records import Prediction
from mvit_cli.rules import Count, Rule, Share

Interval = Annotated[list[Share], Rule("Lower and upper end.", min_items=2, max_items=2)]
OrderName = Literal["in_order", "reversed", "shuffled"]


# mvit eval


class ClassFigures(TypedDict):
    """One class that occurs."""

    label: str
    clips: Count
    top1: Annotated[Share | None, Rule("Of its clips, those that were given it; null where clips have several.")]
    average_precision: NotRequired[Annotated[Share | None, Rule("Where clips have several labels.")]]


class Confused(TypedDict):
    """Clips of one class that were given another."""

    truth: str
    predicted: str
    clips: Count


class Published(TypedDict):
    """What the publisher of the weights says, as shares."""

    weights: str
    dataset: str
    top1: Share | None
    top5: Share | None
    views: str | None
    source: str


class OrderFigures(TypedDict):
    """The same clips with their frames in one order, with --shuffle-frames."""

    order: OrderName
    top1: Share | None
    top5: Share | None
    mean_class: Share | None
    interval95: Interval | None


class Evaluation(TypedDict):
    """How right a network is. Shares are of the clips that could be read, from 0 to 1; null where nothing tells."""

    clips: Annotated[Count, Rule("That have a row.")]
    failed: Annotated[Count, Rule("Of them, those that could not be recognised; the figures leave them out.")]
    missing: Annotated[Count, Rule("Clips of the truth without a row.")]
    top1: Annotated[Share | None, Rule("Where clips have several labels: the best class is one of them.")]
    top5: Share | None
    mean_class: Annotated[Share | None, Rule("Mean over the classes of the share of their clips that are right.")]
    map: Annotated[Share | None, Rule("Mean average precision, where clips have several labels.")]
    ece: Annotated[Share | None, Rule("Expected calibration error of the best class, 15 bins.")]
    interval95: Annotated[Interval | None, Rule("Of top1.")]
    interval_method: Annotated[Literal["wilson", "bootstrap"], Rule("bootstrap: by the groups of the truth.")]
    preset: str | None
    weights: str | None
    views: str | None
    per_class: list[ClassFigures]
    confused: Annotated[list[Confused], Rule("The most frequent ones first.")]
    published: Published | None
    orders: NotRequired[list[OrderFigures]]
    notes: list[str]


class Orders(TypedDict):
    """What a row has beside, with --shuffle-frames: predictions of the same clips with other orders of frames."""

    reversed: list[Prediction]
    shuffled: list[Prediction]
