"""A virtual camera films real footage of a fixed camera: half-real clips, test (b).

What moved in the footage moves in the clip, and the camera moves as `motion.py` says. That can be told only from what
stands still in the scene. A view of a face before a bare wall does not say whether the head moves or the camera; such
views are a test of their own, in which no network can be right but by luck.
"""

from collections.abc import Iterator

import cv2
import numpy as np
from degrade import degrade
from footage import Footage, Video
from generate import MIN_TEXTURE, plane_maps, rotation_maps
from motion import CLASS_WEIGHTS, LABELS, CameraPath, random_path
from sprites import SIDE_PX, view_of_pixels

EDGE = 6.0  # grey levels from one pixel of the view to the next that can be seen under noise and compression
EDGE_SHARE = 0.01  # of the pixels of a view: about the length of one side
SWAY_PX = 2  # what sways by less, in pixels of the footage (as leaves in the wind do), stands
FLICKER = 10  # grey levels by which noise changes what stands


def refilmed(
    videos: list[tuple[Footage, Video]], count: int, seed: int, told: bool | None = True
) -> Iterator[tuple[np.ndarray, int, str]]:
    """Clips of a virtual camera over videos of a fixed camera: frames uint8 `(T, 96, 96, 3)`, label, file.

    Args:
        told: whether the clips show something that stands and tells how the camera moves, or nothing of the kind;
            None takes views as they come.
    """
    rng = np.random.default_rng((seed, 2))
    fixed = [(footage, video) for footage, video in videos if footage.fixed_camera]
    for _ in range(count):
        label = int(rng.choice(len(LABELS), p=CLASS_WEIGHTS / CLASS_WEIGHTS.sum()))
        frames = None
        while frames is None:
            footage, video = fixed[rng.integers(len(fixed))]
            path = random_path(rng, label)
            frames = _filmed(rng, video, path, told)
        yield (degrade(rng, frames, path) if rng.random() < 0.5 else frames), label, footage.file


def _filmed(rng: np.random.Generator, video: Video, path: CameraPath, told: bool | None) -> np.ndarray | None:
    """One clip whose view never leaves the video's picture, or None where that cannot be or it is not as `told`."""
    height, width = video.frames.shape[1:3]
    side = rng.uniform(0.4, 0.8) * min(height, width)
    maps = rotation_maps(path, rng.uniform(1.0, 3.0)) if rng.random() < 0.5 else plane_maps(path)
    corners = np.array([[-0.5, 0.5, 0.5, -0.5], [-0.5, -0.5, 0.5, 0.5], [1, 1, 1, 1]])
    seen = maps @ corners
    seen = side * seen[:, :2] / seen[:, 2:]
    low, high = seen.min(axis=(0, 2)), seen.max(axis=(0, 2))
    room = np.array([width - 1, height - 1]) - (high - low)
    if (room < 0).any():
        return None
    x, y = rng.random(2) * room - low
    to_video = np.array([[side, 0, x], [0, side, y], [0, 0, 1]]) @ maps @ view_of_pixels(SIDE_PX)
    start = rng.choice(video.starts(0.1))
    picked = np.clip(np.searchsorted(video.times_s, start + path.times_s), 0, len(video.times_s) - 1)
    blur = 0.4 * side / SIDE_PX if side / SIDE_PX > 1.2 else 0.0
    frames = np.stack([_view(video.frames[index], m, blur) for index, m in zip(picked, to_video, strict=True)])
    texture = np.abs(np.diff(frames[[0, -1]].astype(np.int16), axis=2)).mean() * 2
    as_told = told is None or _tells(video.frames[picked], to_video, blur) == told
    return frames if as_told and texture > MIN_TEXTURE else None


def _view(picture: np.ndarray, to_pixels: np.ndarray, blur: float) -> np.ndarray:
    """What the virtual camera sees of a picture `(H, W[, 3])`; `(96, 96[, 3])`."""
    if blur:
        picture = cv2.GaussianBlur(picture, (0, 0), blur)
    return cv2.warpPerspective(picture, to_pixels, (SIDE_PX, SIDE_PX), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


def _tells(frames: np.ndarray, to_video: np.ndarray, blur: float) -> bool:
    """Whether the views of `frames` `(T, H, W, 3)` always show upright and level edges of what stands still."""
    mask = standing(frames).astype(np.uint8)
    middle = cv2.cvtColor(frames[len(frames) // 2], cv2.COLOR_RGB2GRAY)
    for to_pixels in to_video[[0, len(to_video) // 2, -1]]:
        stands = _view(mask * 255, to_pixels, 0)[1:, 1:] == 255
        view = _view(middle, to_pixels, max(blur, 0.8)).astype(np.float32)
        for axis in (0, 1):
            edges = np.abs(np.diff(view, axis=axis))[-stands.shape[0] :, -stands.shape[1] :] > EDGE
            if (edges & stands).mean() < EDGE_SHARE:
                return False
    return True


def standing(frames: np.ndarray) -> np.ndarray:
    """Which pixels of a fixed camera's `frames` `(T, H, W, 3)` show the same thing throughout; bool `(H, W)`."""
    pictures = [cv2.GaussianBlur(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), (0, 0), 1.0) for frame in frames]
    near = np.ones((2 * SWAY_PX + 1, 2 * SWAY_PX + 1), np.uint8)
    middle = pictures[len(pictures) // 2].astype(np.int16)
    low, high = cv2.erode(middle, near) - FLICKER, cv2.dilate(middle, near) + FLICKER
    stands = np.all([(low <= picture) & (picture <= high) for picture in pictures], axis=0)
    return cv2.erode(stands.astype(np.uint8), near) == 1
