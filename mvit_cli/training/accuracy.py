"""How good scores are, beside the truth: shares of clips with their 95 % intervals."""

from typing import TYPE_CHECKING, Any

from mvit_cli.evaluation import metrics
from mvit_cli.trained import Accuracy

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESAMPLES = 200


def accuracy_of(
    scores: "NDArray[Any]", targets: "NDArray[Any]", *, multilabel: bool, interval: bool = True
) -> Accuracy:
    """The figures of some clips.

    Args:
        scores, targets: `(clips, classes)`; of one label a clip each row of the targets has a single 1.
        interval: of several labels too, where it takes a while; else it says nothing, 0 to 1.

    Returns:
        Of one label a clip: top-1 with Wilson's interval, top-5 where there are more than five classes, and the mean
        over the classes of their top-1. Of several: mean average precision with a bootstrapped interval.
    """
    import numpy as np

    clips = len(scores)
    if multilabel:
        value = metrics.mean_average_precision(scores, targets > 0)
        if not interval:
            return _rounded(clips, None, None, None, value, (0.0, 1.0))
        rng = np.random.default_rng(0)
        samples = [
            metrics.mean_average_precision(scores[some], targets[some] > 0)
            for some in (rng.integers(0, clips, clips) for _ in range(RESAMPLES))
        ]
        low, high = np.nanpercentile(samples, [2.5, 97.5])
        return _rounded(clips, None, None, None, value, (float(low), float(high)))
    truth = targets.argmax(axis=1)
    ranks = metrics.ranks(scores, truth)
    right = ranks == 0
    top5 = metrics.mean(ranks < 5) if scores.shape[1] > 5 else None
    interval95 = metrics.wilson(int(right.sum()), clips)
    return _rounded(clips, metrics.mean(right), top5, metrics.mean_class(right, truth), None, interval95)


def _rounded(
    clips: int,
    top1: float | None,
    top5: float | None,
    mean_class: float | None,
    precision: float | None,
    interval: tuple[float, float],
) -> Accuracy:
    def short(value: float | None) -> float | None:
        return None if value is None else round(value, 6)

    return {
        "clips": clips,
        "top1": short(top1),
        "top5": short(top5),
        "mean_class": short(mean_class),
        "map": short(precision),
        "interval95": [round(interval[0], 6), round(interval[1], 6)],
    }


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
