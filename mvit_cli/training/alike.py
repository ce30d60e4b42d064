"""Clips that are nearly the same: on both sides of a split they make figures too good."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOMENTS = 3
SIDE = 16
"""Of a thumbnail. Smaller ones tell photographs of one kind apart less well, larger ones suffer from scaling."""
CLIP_ALIKE, STILL_ALIKE = 0.99, 0.995
"""Correlation from which thumbnails are of the same clip, or of the same picture: one says less than three moments do.

Measured: 1.1 % of Fashion-MNIST's test pictures are as near as that to one of 57,000 others, 97.6 % or more of their
copies (JPEG down to quality 50, twice the size, brightened), 64 % of those that lost detail to scaling. Of 300 drawn
clips none is as near to another one; of copies 87 % or more at half the size, 54 % after coarse encoding."""
LEAST_SPREAD = 4.0
"""Of grey values 0..255: a thumbnail with less shows nothing that could be compared."""
ROWS_AT_ONCE = 256
NEAR = 0.05
"""Distance between standardised features, as a share of the median one between clips: copies are nearer."""
NOT_FAR = 0.5
"""The same, of clips whose thumbnails correlate: both have to agree."""


@dataclass(frozen=True)
class Leak:
    """A clip that validates or tests, and the one it is nearly the same as that is learned from.

    Attributes:
        kept, learned: their places.
        correlation: of their thumbnails; None: less than of the same clip, or not known.
        distance: between their features, as a share of the median distance.
    """

    kept: int
    learned: int
    correlation: float | None
    distance: float


def thumbnail_of(pixels: "NDArray[Any]") -> str:
    """The first, middle and last frame of the middle view, grey, shrunk to 16x16 by averaging: their bytes in base64.

    Args:
        pixels: `(views, T, H, W, 3)`, 0..255.

    Returns:
        one picture where the three are the same; empty where they are plain areas.
    """
    import numpy as np

    frames = pixels[len(pixels) // 2]
    chosen = frames[[0, len(frames) // 2, -1]].astype(np.float32)
    grey = chosen @ np.array([0.299, 0.587, 0.114], np.float32)
    small = np.clip(np.rint(_shrunk(_shrunk(grey, SIDE, 1), SIDE, 2)), 0, 255).astype(np.uint8)
    if float(_centred(small[None]).std()) < LEAST_SPREAD:
        return ""
    is_still = bool((small == small[0]).all())
    return base64.b64encode((small[:1] if is_still else small).tobytes()).decode()


def _shrunk(x: "NDArray[Any]", size: int, axis: int) -> "NDArray[Any]":
    """Means of equal parts along an axis."""
    import numpy as np

    edges = np.linspace(0, x.shape[axis], size + 1)
    sums = np.concatenate((np.zeros_like(np.take(x, [0], axis)), np.cumsum(x, axis, dtype=np.float64)), axis)
    whole = np.floor(edges).astype(int)
    more = np.minimum(whole + 1, x.shape[axis])
    shape = [-1 if i == axis else 1 for i in range(x.ndim)]
    share = (edges - whole).reshape(shape)
    at = (1 - share) * np.take(sums, whole, axis) + share * np.take(sums, more, axis)
    means: NDArray[Any] = np.diff(at, axis=axis) / (x.shape[axis] / size)
    return means


def leaks_between(
    kept: Sequence[int],
    learned: Sequence[int],
    features: "NDArray[np.floating[Any]]",
    thumbnails: Sequence[str],
) -> list[Leak]:
    """For each clip that is kept apart the nearest one that is learned from, where they are nearly the same.

    Args:
        kept, learned: places.
        features: `(clips, dims)`, one row a clip.
        thumbnails: one a clip, as of `thumbnail_of`.
    """
    if not (kept and learned):
        return []
    measure = _Measure(features[list(learned)])
    shown, _ = _standardised([thumbnails[place] for place in learned])
    found = []
    for start in range(0, len(kept), ROWS_AT_ONCE):
        some = kept[start : start + ROWS_AT_ONCE]
        own, least = _standardised([thumbnails[place] for place in some])
        rows = zip(some, measure.distances(features[list(some)]), own @ shown.T, least, strict=True)
        for place, distances, correlations, enough in rows:
            correlations[distances > NOT_FAR] = 0.0
            alike, near = int(correlations.argmax()), int(distances.argmin())
            if correlations[alike] >= enough:
                correlation = min(1.0, round(float(correlations[alike]), 4))
                found.append(Leak(place, learned[alike], correlation, round(float(distances[alike]), 4)))
            elif distances[near] <= NEAR:
                found.append(Leak(place, learned[near], None, round(float(distances[near]), 4)))
    return found


def _standardised(thumbnails: Sequence[str]) -> "tuple[NDArray[Any], NDArray[Any]]":
    """Rows whose products are correlations, zeros for a thumbnail that is not there; and the one of a copy."""
    import numpy as np

    rows = np.zeros((len(thumbnails), MOMENTS, SIDE, SIDE), np.uint8)
    enough = np.full(len(thumbnails), CLIP_ALIKE)
    for place, text in enumerate(thumbnails):
        if text:
            moments = np.frombuffer(base64.b64decode(text), np.uint8).reshape(-1, SIDE, SIDE)
            rows[place] = moments
            enough[place] = STILL_ALIKE if len(moments) == 1 else CLIP_ALIKE
    centred = _centred(rows)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    return centred / np.maximum(lengths, 1.0), enough


def _centred(thumbnails: "NDArray[Any]") -> "NDArray[Any]":
    """`(clips, moments, side, side)` -> float32 `(clips, cells)`: each moment's brightness is taken off."""
    import numpy as np

    values = thumbnails.astype(np.float32)
    centred: NDArray[Any] = values - values.mean(axis=(2, 3), keepdims=True)
    return centred.reshape(len(thumbnails), -1)


class _Measure:
    """Distances to clips that are learned from, as shares of the median one between them."""

    def __init__(self, learned: "NDArray[Any]") -> None:
        import numpy as np

        self._mean, spread = learned.mean(axis=0, dtype=np.float64), learned.std(axis=0, dtype=np.float64)
        spread[spread < 1e-6 * max(float(spread.max()), 1e-30)] = np.inf
        self._spread = spread
        self._rows = self._standard(learned)
        self._squares = np.square(self._rows).sum(axis=1)
        self._typical = _typical(self._rows)

    def distances(self, rows: "NDArray[Any]") -> "NDArray[Any]":
        """`(rows, dims)` -> `(rows, learned)`."""
        import numpy as np

        own = self._standard(rows)
        squares = np.square(own).sum(axis=1)[:, None] + self._squares - 2 * own @ self._rows.T
        found: NDArray[Any] = np.sqrt(np.maximum(squares, 0)) / self._typical
        return found

    def _standard(self, rows: "NDArray[Any]") -> "NDArray[Any]":
        standard: NDArray[Any] = (rows - self._mean) / self._spread
        return standard


def _typical(rows: "NDArray[Any]") -> float:
    """The median distance between rows, of at most 500 of them."""
    import numpy as np

    some = rows[:: max(1, len(rows) // 500)]
    squares = np.square(some, dtype=np.float64).sum(axis=1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * some @ some.T, 0))
    others = distances[~np.eye(len(some), dtype=bool)]
    return float(np.median(others)) if len(others) and np.median(others) > 0 else 1.0
