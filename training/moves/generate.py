"""Draws the tiny labelled set of the tests and the documents: three motions, filmed by a camera that stands.

    python training/moves/generate.py tests/data/moves

A ball that bounces, a pendulum that swings, a bar that spins: each clip with its own colours, speed, place and size.
They are drawn pictures, not filmed actions: what is reached on them says nothing of films.
"""

import math
import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

SIDE, FPS, FRAMES = 96, 15, 34
CLIPS = 20

Shape = Callable[[float, np.ndarray, np.ndarray], np.ndarray]
"""Seconds and the coordinates of pixels, -1 to 1 -> how much of each is covered, 0 to 1."""


def disc(x: np.ndarray, y: np.ndarray, at: tuple[float, float], radius: float) -> np.ndarray:
    """A disc with a soft edge."""
    return np.clip((radius - np.hypot(x - at[0], y - at[1])) * SIDE / 2 + 0.5, 0, 1)


def bar(x: np.ndarray, y: np.ndarray, one: tuple[float, float], other: tuple[float, float], width: float) -> np.ndarray:
    """A bar from one point to another with a soft edge."""
    dx, dy = other[0] - one[0], other[1] - one[1]
    along = np.clip(((x - one[0]) * dx + (y - one[1]) * dy) / (dx * dx + dy * dy), 0, 1)
    return np.clip((width - np.hypot(x - one[0] - along * dx, y - one[1] - along * dy)) * SIDE / 2 + 0.5, 0, 1)


def bounce(rng: np.random.Generator) -> Shape:
    """A ball that falls to the floor and comes up again."""
    at, radius = rng.uniform(-0.5, 0.5), rng.uniform(0.15, 0.3)
    rate, height, phase = rng.uniform(0.8, 1.6), rng.uniform(0.8, 1.3), rng.uniform()

    def shape(t: float, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        share = (t * rate + phase) % 1
        return disc(x, y, (at, 0.85 - radius - height * 4 * share * (1 - share)), radius)

    return shape


def swing(rng: np.random.Generator) -> Shape:
    """A pendulum on a string."""
    length, radius = rng.uniform(0.9, 1.4), rng.uniform(0.12, 0.25)
    rate, most = rng.uniform(0.6, 1.2), rng.uniform(0.5, 0.9)
    phase, at = rng.uniform(0, 2 * math.pi), rng.uniform(-0.2, 0.2)

    def shape(t: float, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        angle = most * math.sin(2 * math.pi * rate * t + phase)
        end = (at + length * math.sin(angle), -0.9 + length * math.cos(angle))
        return np.maximum(disc(x, y, end, radius), bar(x, y, (at, -0.9), end, 0.03))

    return shape


def spin(rng: np.random.Generator) -> Shape:
    """A bar that turns about its middle, either way."""
    length, width, rate = rng.uniform(0.4, 0.75), rng.uniform(0.06, 0.14), rng.uniform(0.3, 0.7) * rng.choice((-1, 1))
    phase, x0, y0 = rng.uniform(0, math.pi), rng.uniform(-0.2, 0.2), rng.uniform(-0.2, 0.2)

    def shape(t: float, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        angle = 2 * math.pi * rate * t + phase
        dx, dy = length * math.cos(angle), length * math.sin(angle)
        return bar(x, y, (x0 - dx, y0 - dy), (x0 + dx, y0 + dy), width)

    return shape


CLASSES: dict[str, Callable[[np.random.Generator], Shape]] = {"bounce": bounce, "spin": spin, "swing": swing}


def frames_of(shape: Shape, rng: np.random.Generator) -> np.ndarray:
    """`(FRAMES, SIDE, SIDE, 3)` uint8: the shape before a ground of two colours."""
    ground, other, colour = rng.uniform(40, 130, 3), rng.uniform(40, 130, 3), rng.uniform(150, 255, 3)
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    slope = rng.uniform(-1, 1, 2)
    share = np.clip(0.5 + 0.5 * (slope[0] * x + slope[1] * y), 0, 1)[..., None]
    back = share * ground + (1 - share) * other
    frames = []
    for number in range(FRAMES):
        covered = shape(number / FPS, x, y)[..., None]
        frames.append(np.rint(covered * colour + (1 - covered) * back).astype(np.uint8))
    return np.stack(frames)


def write(path: Path, frames: np.ndarray) -> None:
    """A small H.264 file, the same bytes for the same frames."""
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "30", "preset": "veryslow", "threads": "1"})
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode())


def main(folder: Path, clips: int = CLIPS) -> None:
    """Writes all clips, each class into its folder."""
    for place, (name, make) in enumerate(CLASSES.items()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(clips):
            rng = np.random.default_rng((place, number))
            write(folder / name / f"{number:02}.mp4", frames_of(make(rng), rng))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else CLIPS)
