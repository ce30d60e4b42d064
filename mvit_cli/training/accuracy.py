"""How good scores are, beside the truth: shares of clips with their 95 % intervals."""

import math
from typing import TYPE_CHECKING, Any

from mvit_cli.trained import Accuracy

if TYPE_CHECKING:
    from numpy.typing import NDArray

Z95 = 1.959964
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
        value = mean_average_precision(scores, targets)
        if not interval:
            return _rounded(clips, None, None, None, value, (0.0, 1.0))
        rng = np.random.default_rng(0)
        samples = [
            mean_average_precision(scores[some], targets[some])
            for some in (rng.integers(0, clips, clips) for _ in range(RESAMPLES))
        ]
        low, high = np.nanpercentile(samples, [2.5, 97.5])
        return _rounded(clips, None, None, None, value, (float(low), float(high)))
    truth = targets.argmax(axis=1)
    own = scores[np.arange(clips), truth][:, None]
    is_before = (scores > own) | ((scores == own) & (np.arange(scores.shape[1]) < truth[:, None]))
    ranks = is_before.sum(axis=1)
    right = ranks == 0
    per_class = [float(right[truth == label].mean()) for label in np.unique(truth)]
    top5 = float((ranks < 5).mean()) if scores.shape[1] > 5 else None
    return _rounded(clips, float(right.mean()), top5, float(np.mean(per_class)), None, wilson(int(right.sum()), clips))


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


def wilson(right: int, clips: int) -> tuple[float, float]:
    """Wilson's score interval of a share, 95 %. Source: Wilson 1927."""
    if not clips:
        return 0.0, 1.0
    share, z2 = right / clips, Z95**2
    centre = (share + z2 / (2 * clips)) / (1 + z2 / clips)
    half = Z95 / (1 + z2 / clips) * math.sqrt(share * (1 - share) / clips + z2 / (4 * clips**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def mean_average_precision(scores: "NDArray[Any]", targets: "NDArray[Any]") -> float:
    """The mean over the classes that occur of their average precision; clips of equal score are taken together."""
    import numpy as np

    values = []
    for own, wanted in zip(scores.T, targets.T, strict=True):
        if not wanted.any():
            continue
        order = np.argsort(-own, kind="stable")
        hits = np.cumsum(wanted[order])
        last = np.append(np.flatnonzero(np.diff(own[order])), len(order) - 1)  # of clips with equal scores
        precision, recall = hits[last] / (last + 1), hits[last] / hits[-1]
        values.append(float((np.diff(recall, prepend=0.0) * precision).sum()))
    return float(np.mean(values)) if values else math.nan


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
