"""What is reached without a network: by the most frequent class, and by how much changes where from frame to frame.

Each classifier's one number is chosen on validation, as the network's are; test is looked at once.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from film import FPS
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

SAMPLED, SAMPLED_FPS = 16, 7.5
"""As the camera network is shown a clip: every second frame of one with 15 frames a second, from the middle."""
CELLS = 14
STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2)
NEIGHBOURS = (1, 3, 5, 9, 15, 25)


@dataclass(frozen=True)
class Baseline:
    """A way of not using a network.

    Attributes:
        name: for people.
        chosen: its number, by validation.
        val, test: top-1.
    """

    name: str
    chosen: float | None
    val: float
    test: float


def baselines(folder: Path, parts: tuple[str, ...]) -> list[Baseline]:
    """Majority, then a linear classifier and nearest neighbours, on differences and on the middle picture."""
    read = {part: _read(folder / part) for part in parts}
    labels = {part: [label for label, _ in clips] for part, clips in read.items()}
    common = Counter(labels["train"]).most_common(1)[0][0]
    shares = {part: float(np.mean([label == common for label in labels[part]])) for part in parts}
    found = [Baseline("majority", None, shares["val"], shares["test"])]
    for seen, number in (("frame differences", 0), ("middle frame", 1)):
        rows = {part: np.stack([features[number] for _, features in clips]) for part, clips in read.items()}
        linear = {strength: _linear(strength) for strength in STRENGTHS}
        found.append(_best(f"{seen}, linear", linear, rows, labels))
        near = {float(k): make_pipeline(StandardScaler(), KNeighborsClassifier(k)) for k in NEIGHBOURS}
        found.append(_best(f"{seen}, nearest neighbours", near, rows, labels))
    return found


def _linear(strength: float) -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=300))


def _best(
    name: str, tried: dict[float, Pipeline], rows: dict[str, np.ndarray], labels: dict[str, list[str]]
) -> Baseline:
    """The classifier that is best on validation, and what it reaches on test."""
    fitted = {number: one.fit(rows["train"], labels["train"]) for number, one in tried.items()}
    val = {number: float(one.score(rows["val"], labels["val"])) for number, one in fitted.items()}
    chosen = max(val, key=lambda number: val[number])
    return Baseline(name, chosen, val[chosen], float(fitted[chosen].score(rows["test"], labels["test"])))


def _read(folder: Path) -> list[tuple[str, tuple[np.ndarray, np.ndarray]]]:
    return [(path.parent.name, _features(path)) for path in sorted(folder.glob("*/*.mp4"))]


def _features(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Absolute differences of grey frames, `(15 * CELLS**2,)`, and the middle frame, `(4 * CELLS**2,)`."""
    grey = np.stack(list(_sampled(path))).astype(np.float32)
    differences = _pooled(np.abs(np.diff(grey, axis=0)), CELLS)
    return differences.ravel(), _pooled(grey[len(grey) // 2][None], 2 * CELLS).ravel()


def _sampled(path: Path) -> Iterator[np.ndarray]:
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    step = round(FPS / SAMPLED_FPS)
    begin = (len(frames) - step * SAMPLED) // 2
    yield from frames[begin : begin + step * SAMPLED : step]


def _pooled(frames: np.ndarray, cells: int) -> np.ndarray:
    """Means of `cells` by `cells` squares of each frame."""
    frames_, side = len(frames), frames.shape[1] // cells
    return frames.reshape(frames_, cells, side, cells, side).mean(axis=(2, 4))
