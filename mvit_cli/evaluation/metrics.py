"""Figures of merit: scores of clips beside what people have said of them. Plain numpy.

`N` clips, `C` classes; scores are `(N, C)`, a truth of one class a clip is `(N,)` of indices, of several `(N, C)` of
booleans. All figures are shares from 0 to 1; without a clip they are not a number.
"""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NORMAL_95 = 1.959963984540054
"""Quantile of the normal distribution that has 2.5 % above it."""


def ranks(scores: "NDArray[Any]", truth: "NDArray[Any]") -> "NDArray[np.int64]":
    """How many classes score higher than the true one, `(N,)`; of equal scores the lower class is first."""
    import numpy as np

    own = np.take_along_axis(scores, truth[:, None], axis=1)
    before = (scores == own) & (np.arange(scores.shape[1]) < truth[:, None])
    found: NDArray[np.int64] = ((scores > own) | before).sum(axis=1)
    return found


def top_k(scores: "NDArray[Any]", truth: "NDArray[Any]", k: int = 1) -> float:
    """Share of clips whose class is among the k best."""
    return mean(ranks(scores, truth) < k)


def mean_class(right: "NDArray[Any]", truth: "NDArray[Any]") -> float:
    """Mean over the classes that occur of the share of their clips that are right.

    Args:
        right: `(N,)` of booleans.
        truth: `(N,)`.
    """
    import numpy as np

    return mean([right[truth == index].mean() for index in np.unique(truth)])


def mean(values: "Sequence[Any] | NDArray[Any]") -> float:
    """Their mean; not a number where there are none."""
    return float(sum(values) / len(values)) if len(values) else math.nan


def wilson(hits: int, clips: int, quantile: float = NORMAL_95) -> tuple[float, float]:
    """The 95 % interval of a share, without the normal approximation's intervals beyond 0 and 1.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference (1927), equation for p.
    """
    if not clips:
        return math.nan, math.nan
    share, squared = hits / clips, quantile**2
    centre = (share + squared / (2 * clips)) / (1 + squared / clips)
    half = quantile / (1 + squared / clips) * math.sqrt(share * (1 - share) / clips + squared / (4 * clips**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def by_group(values: "NDArray[Any]", groups: Sequence[str], *, seed: int = 0, draws: int = 2000) -> tuple[float, float]:
    """The 95 % interval of a mean whose clips come in groups: whole groups are drawn with replacement (bootstrap).

    Clips that were cut from one recording are right or wrong together: an interval that counts each alone is too
    narrow.

    Args:
        values: `(N,)`.
        groups: of each clip.
    """
    import numpy as np

    if not len(values):
        return math.nan, math.nan
    names, place = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.bincount(place, weights=values.astype(np.float64))
    sizes = np.bincount(place)
    generator = np.random.default_rng(seed)
    means = np.empty(draws)
    for draw in range(draws):
        drawn = generator.integers(len(names), size=len(names))
        means[draw] = sums[drawn].sum() / sizes[drawn].sum()
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def bootstrapped(
    figure: "Callable[[NDArray[np.intp]], float]", groups: Sequence[str], *, seed: int = 0, draws: int = 200
) -> tuple[float, float]:
    """The 95 % interval of any figure of clips that come in groups, each drawn as a whole with replacement.

    Args:
        figure: of the places of some clips, one clip perhaps several times.
        groups: of each clip; a name of its own where it is for itself.
    """
    import numpy as np

    names, place = np.unique(np.asarray(groups), return_inverse=True)
    members = [np.flatnonzero(place == name) for name in range(len(names))]
    generator = np.random.default_rng(seed)
    figures = [
        figure(np.concatenate([members[name] for name in generator.integers(len(names), size=len(names))]))
        for _ in range(draws)
    ]
    low, high = np.nanquantile(figures, (0.025, 0.975))
    return float(low), float(high)


def average_precision(scores: "NDArray[Any]", truth: "NDArray[Any]") -> float:
    """Area below the curve of precision over recall of one class, as steps: equal scores are one step.

    Args:
        scores: `(N,)`.
        truth: `(N,)` of booleans; without a True it is not a number.
    """
    import numpy as np

    positives = int(truth.sum())
    if not positives:
        return math.nan
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(truth[order])
    last = np.append(np.diff(scores[order]) != 0, True)  # of each run of equal scores
    recall, precision = hits[last] / positives, hits[last] / (np.flatnonzero(last) + 1)
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def mean_average_precision(scores: "NDArray[Any]", truth: "NDArray[Any]") -> float:
    """Mean over the classes that occur.

    Args:
        truth: `(N, C)` of booleans.
    """
    import numpy as np

    classes = np.flatnonzero(truth.any(axis=0))
    return mean([average_precision(scores[:, index], truth[:, index]) for index in classes])


def calibration_error(confidence: "NDArray[Any]", right: "NDArray[Any]", bins: int = 15) -> float:
    """Expected calibration error: how far the scores are from the shares of right answers, mean over equal bins.

    Args:
        confidence: `(N,)`, scores 0..1.
        right: `(N,)` of booleans.

    Source: C. Guo et al., On Calibration of Modern Neural Networks (2017), equation 5; their 15 bins.
    """
    import numpy as np

    if not len(confidence):
        return math.nan
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(place, weights=right.astype(np.float64) - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))
