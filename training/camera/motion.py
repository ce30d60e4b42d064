"""What a camera can do in two seconds: random paths of one camera, and the label each of them deserves.

A path is where the camera looks at each sampled time, seen against the first picture it could have taken:
`dx, dy` in sides of the (square) view, positive when the camera turns right and down; `log_zoom` positive when it
zooms in; `roll` in radians, positive when the camera turns clockwise as seen from behind it. What moves in the
picture moves the other way.

Different motions are compared by their *travel*: the mean distance by which the points of the view move between the
first and the last frame, in sides of the view. For a pan that is `dx`; for a zoom or a roll it is `RADIUS` times
`log_zoom` or `roll`.
"""

from dataclasses import dataclass, replace

import numpy as np

LABELS = (
    "static",
    "pan left",
    "pan right",
    "tilt up",
    "tilt down",
    "zoom in",
    "zoom out",
    "roll clockwise",
    "roll counter-clockwise",
    "shake",
)
NUM_FRAMES = 16
FRAME_STRIDE = 4
PROTOCOL_FPS = 30
CLIP_S = (NUM_FRAMES * FRAME_STRIDE - 1) / PROTOCOL_FPS

RADIUS = 0.3826  # mean distance of the points of a unit square from its centre
STATIC_TRAVEL = 0.015  # below this, over the clip, a camera counts as static
MIN_TRAVEL = {"pan": 0.04, "tilt": 0.04, "zoom": 0.03, "roll": 0.03}
MAX_TRAVEL = {"pan": 0.60, "tilt": 0.60, "zoom": 0.30, "roll": 0.35}
SHAKE_AMPLITUDE = (0.012, 0.07)  # root mean square, in sides of the view
HAND_AMPLITUDE = 0.005
SECOND_MOTION = 0.5  # the weaker motion of a compound travels at most this share of the dominant one

CLASS_WEIGHTS = np.array([1.8, 1, 1, 1, 1, 1.4, 1.4, 1.3, 1.3, 1.2])

# What mirrors and reversed time make of each label, for training on more views of one clip.
MIRRORED = (0, 2, 1, 3, 4, 5, 6, 8, 7, 9)
TRANSPOSED = (0, 3, 4, 1, 2, 5, 6, 8, 7, 9)
REVERSED = (0, 2, 1, 4, 3, 6, 5, 8, 7, 9)


@dataclass(frozen=True)
class CameraPath:
    """Where the camera looks at each frame; all arrays are float64 `(T,)`, `times_s` the times of the frames."""

    times_s: np.ndarray
    dx: np.ndarray
    dy: np.ndarray
    log_zoom: np.ndarray
    roll: np.ndarray

    def travel(self) -> np.ndarray:
        """Signed net travel from first to last frame: pan right, tilt down, zoom in, roll clockwise; `(4,)`."""
        ends = [axis[-1] - axis[0] for axis in (self.dx, self.dy, self.log_zoom, self.roll)]
        return np.array(ends) * (1, 1, RADIUS, RADIUS)

    def scaled(self, translation: float, zoom: float) -> "CameraPath":
        """The same path as a plane at another depth sees it."""
        return replace(self, dx=self.dx * translation, dy=self.dy * translation, log_zoom=self.log_zoom * zoom)


def random_path(rng: np.random.Generator, label: int, easiness: float = 0.0) -> CameraPath:
    """A random camera path of class `label`; `easiness` 1 leaves only large motions without a second one."""
    times = sample_times(rng)
    axes = np.zeros((4, len(times)))
    name = LABELS[label]
    if name == "shake":
        axes += _shake(rng, times, easiness)
    elif name == "static":
        axes += _hand(rng, times, 1.0) if rng.random() > 0.35 else 0.0
        axes[rng.integers(4)] += rng.uniform(-1, 1) * STATIC_TRAVEL * 0.9 * _easing(rng, times) * (rng.random() < 0.4)
    else:
        axes += _move(rng, times, name, easiness)
    axes[2:] /= RADIUS
    return CameraPath(times, *axes)


def sample_times(rng: np.random.Generator) -> np.ndarray:
    """Times in seconds at which a file of a random frame rate really has the frames that the protocol asks for."""
    times = np.linspace(0, CLIP_S, NUM_FRAMES)
    fps = rng.choice([8.0, 10.0, 12.0, 15.0, 24.0, 25.0, 30.0, 60.0], p=[0.04, 0.08, 0.06, 0.1, 0.12, 0.25, 0.25, 0.1])
    return np.round(times * fps + rng.uniform(-0.5, 0.5)) / fps


def _move(rng: np.random.Generator, times: np.ndarray, name: str, easiness: float) -> np.ndarray:
    """A pan, tilt, zoom or roll, perhaps with a weaker second motion, in a hand or on a tripod; travel `(4, T)`."""
    kind, _, direction = name.partition(" ")
    axis = ("pan", "tilt", "zoom", "roll").index(kind)
    sign = 1 if direction in ("right", "down", "in", "clockwise") else -1
    low, high = MIN_TRAVEL[kind], MAX_TRAVEL[kind]
    low = np.exp(np.log(low) + easiness * np.log(0.5 * high / low))
    travel = np.exp(rng.uniform(np.log(low), np.log(high)))
    axes = np.zeros((4, len(times)))
    axes[axis] = sign * travel * _easing(rng, times)
    if rng.random() < 0.55 * (1 - easiness):
        second = (axis + rng.integers(1, 4)) % 4
        axes[second] = rng.choice([-1, 1]) * travel * rng.uniform(0.05, SECOND_MOTION) * _easing(rng, times)
    if rng.random() < 0.6:
        axes += _hand(rng, times, 1.0 + 45 * travel * rng.random() ** 2)
    return axes


def _easing(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """Progress from 0 at the first frame to 1 at the last: steady, eased, or resting at one end; `(T,)`."""
    t = (times - times[0]) / (times[-1] - times[0])
    rest = rng.uniform(0, 0.35) if rng.random() < 0.35 else 0.0
    t = np.clip((t - rest * rng.integers(2)) / (1 - rest), 0, 1)
    smooth = t * t * (3 - 2 * t)
    shape = rng.integers(4)
    if shape == 0:
        t = t**1.6
    elif shape == 1:
        t = 1 - (1 - t) ** 1.6
    return t + rng.random() * (smooth - t)


def wobble(rng: np.random.Generator, times: np.ndarray, low_hz: float, high_hz: float) -> np.ndarray:
    """Smooth noise of root mean square 1 made of four tones; `(T,)`."""
    hz = rng.uniform(low_hz, high_hz, size=(4, 1))
    tones = rng.normal(size=(4, 1)) * np.sin(2 * np.pi * (hz * times + rng.random((4, 1))))
    noise = tones.sum(axis=0)
    noise -= noise.mean()
    return noise / (np.sqrt(np.mean(noise**2)) + 1e-6)


def _hand(rng: np.random.Generator, times: np.ndarray, strength: float) -> np.ndarray:
    amplitude = HAND_AMPLITUDE * strength * rng.random() * np.array([1, 1, 0.15, 0.3])
    return np.stack([a * wobble(rng, times, 0.3, 4.0) for a in amplitude])


def _shake(rng: np.random.Generator, times: np.ndarray, easiness: float) -> np.ndarray:
    """To and fro without getting anywhere: the line through each oscillation is taken out; travel `(4, T)`."""
    low, high = SHAKE_AMPLITUDE
    amplitude = np.exp(rng.uniform(np.log(low) + easiness * np.log(0.5 * high / low), np.log(high)))
    angle = rng.uniform(0, 2 * np.pi)
    weights = np.array([np.cos(angle), np.sin(angle), 0.1 * rng.random(), 0.4 * rng.random()])
    top_hz = rng.uniform(2.0, 7.0)
    axes = np.stack([w * wobble(rng, times, 0.9, top_hz) for w in weights])
    # Both diagonals of a hand's tremor are alive, however it is held.
    axes[:2] += 0.4 * np.stack([wobble(rng, times, 0.9, top_hz) for _ in range(2)])
    axes *= np.exp(rng.uniform(0, 0.7) * wobble(rng, times, 0.2, 1.5))  # it comes in bursts
    line = np.stack([np.ones_like(times), times - times.mean()])
    axes -= (axes @ np.linalg.pinv(line)) @ line
    ends = axes[:, -1:] - axes[:, :1]
    axes -= 0.7 * ends * (times - times[0]) / (times[-1] - times[0])
    scale = amplitude / (np.sqrt(np.mean(np.sum(axes[:2] ** 2, axis=0))) + 1e-6)
    return axes * scale
