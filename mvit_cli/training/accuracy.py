"""How good scores are, beside the truth: shares of clips with their 95 % intervals."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mvit_cli.evaluation import metrics
from mvit_cli.trained import Accuracy

if TYPE_CHECKING:
    from numpy.typing import NDArray


def accuracy_of(
    scores: "NDArray[Any]",
    targets: "NDArray[Any]",
    *,
    multilabel: bool,
    groups: Sequence[str] | None = None,
    interval: bool = True,
) -> Accuracy:
    """The figures of some clips.

    Args:
        scores, targets: `(clips, classes)`; of one label a clip each row of the targets has a single 1.
        groups: of each clip, where several were cut from one recording; then intervals are bootstrapped by group.
        interval: False: it says nothing, 0 to 1; where only the figure is wanted.

    Returns:
        Of one label a clip: top-1 with its interval (Wilson's without groups), top-5 where there are more than five
        classes, and the mean over the classes of their top-1. Of several: mean average precision with a bootstrapped
        interval.
    """
    told: Accuracy = {
        "clips": len(scores),
        "top1": None,
        "top5": None,
        "mean_class": None,
        "map": None,
        "interval95": [0.0, 1.0],
        "interval_method": "bootstrap" if groups or multilabel else "wilson",
    }
    if multilabel:
        wanted = targets > 0
        told["map"] = round(metrics.mean_average_precision(scores, wanted), 6)
        if interval:
            each = groups or [str(place) for place in range(len(scores))]
            told["interval95"] = _rounded(
                metrics.bootstrapped(lambda some: metrics.mean_average_precision(scores[some], wanted[some]), each)
            )
        return told
    truth = targets.argmax(axis=1)
    ranks = metrics.ranks(scores, truth)
    right = ranks == 0
    told["top1"] = round(metrics.mean(right), 6)
    told["top5"] = round(metrics.mean(ranks < 5), 6) if scores.shape[1] > 5 else None
    told["mean_class"] = round(metrics.mean_class(right, truth), 6)
    if interval:
        told["interval95"] = _rounded(
            metrics.by_group(right, groups) if groups else metrics.wilson(int(right.sum()), len(right))
        )
    return told


def _rounded(interval: tuple[float, float]) -> list[float]:
    return [round(end, 6) for end in interval]


def main_figure(accuracy: Accuracy) -> float:
    """Top-1, or with several labels a clip the mean average precision."""
    value = accuracy["top1"] if accuracy["top1"] is not None else accuracy["map"]
    assert value is not None
    return value


def confusion(scores: "NDArray[Any]", targets: "NDArray[Any]") -> "NDArray[Any]":
    """`(classes, classes)`: clips of each class, a row, by what they were taken for."""
    import numpy as np

    classes = scores.shape[1]
    counts: NDArray[Any] = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (targets.argmax(axis=1), scores.argmax(axis=1)), 1)
    return counts
