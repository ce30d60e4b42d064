"""Clips that are nearly the same: on both sides of a split they make figures too good."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOMENTS = 3
SIDE = 8
BITS = MOMENTS * SIDE * SIDE
MOST_BITS = 16
"""Of 192: pictures that were scaled and encoded again differ in fewer, other pictures in about 90."""
LEAST_SPREAD = 4.0
"""Of grey values 0..255: a picture with less shows nothing that a hash could tell."""
ROWS_AT_ONCE = 256
NEAR = 0.05
"""Distance between standardised features, as a share of the median one between clips: copies are nearer."""
NOT_FAR = 0.5
"""The same, of clips whose hashes are near: of plain pictures these say little, so that the features have to agree."""


@dataclass(frozen=True)
class Leak:
    """A clip that validates or tests, and the one it is nearly the same as that is learned from.

    Attributes:
        kept, learned: their places.
        bits: of their perceptual hashes, how many of 192 differ; None: many, or not known.
        distance: between their features, as a share of the median distance.
    """

    kept: int
    learned: int
    bits: int | None
    distance: float


def perceptual_hash(pixels: "NDArray[Any]") -> str:
    """The difference hash of the first, middle and last frame of the middle view: 192 bits, hexadecimal.

    Of each frame: grey, shrunk to 9x8 by averaging; a bit says whether a pixel is brighter than its right neighbour.

    Args:
        pixels: `(views, T, H, W, 3)`, 0..255.

    Returns:
        empty where the frames are plain areas.
    """
    import numpy as np

    frames = pixels[len(pixels) // 2]
    chosen = frames[[0, len(frames) // 2, -1]].astype(np.float32)
    grey = chosen @ np.array([0.299, 0.587, 0.114], np.float32)
    if float(grey.std(axis=(1, 2)).min()) < LEAST_SPREAD:
        return ""
    small = _shrunk(_shrunk(grey, SIDE, 1), SIDE + 1, 2)
    return np.packbits(small[:, :, 1:] < small[:, :, :-1]).tobytes().hex()


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
    hashes: Sequence[str],
) -> list[Leak]:
    """For each clip that is kept apart the nearest one that is learned from, where they are nearly the same.

    Args:
        kept, learned: places.
        features: `(clips, dims)`, one row a clip.
        hashes: one a clip, as of `perceptual_hash`.
    """
    if not (kept and learned):
        return []
    import numpy as np

    measure = _Measure(features[list(learned)])
    codes, told = _codes(hashes)
    learned_codes, learned_told = codes[list(learned)], told[list(learned)]
    found = []
    for start in range(0, len(kept), ROWS_AT_ONCE):
        some = kept[start : start + ROWS_AT_ONCE]
        for place, distances in zip(some, measure.distances(features[list(some)]), strict=True):
            near, least = int(distances.argmin()), BITS
            close = np.flatnonzero((distances <= NOT_FAR) & learned_told) if told[place] else ()
            if len(close):
                bits = _differing(learned_codes[close], codes[place])
                least = int(bits.min())
            if least <= MOST_BITS:
                near = int(close[bits.argmin()])
                found.append(Leak(place, learned[near], least, round(float(distances[near]), 4)))
            elif distances[near] <= NEAR:
                found.append(Leak(place, learned[near], None, round(float(distances[near]), 4)))
    return found


def _codes(hashes: Sequence[str]) -> "tuple[NDArray[np.uint8], NDArray[np.bool_]]":
    """The bytes of hashes, `(clips, 24)`, and which of them there are."""
    import numpy as np

    told = np.array([bool(text) for text in hashes])
    whole = "".join(text or "0" * (BITS // 4) for text in hashes)
    return np.frombuffer(bytes.fromhex(whole), np.uint8).reshape(-1, BITS // 8), told


def _differing(some: "NDArray[np.uint8]", one: "NDArray[np.uint8]") -> "NDArray[Any]":
    """How many bits of each row differ from those of one."""
    import numpy as np

    bits: NDArray[Any] = np.unpackbits(some ^ one, axis=1).sum(axis=1, dtype=np.int64)
    return bits


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
