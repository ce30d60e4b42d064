"""A virtual camera films a photograph: random clips with known camera motion, for training and for testing.

    python training/camera/generate.py --data DIR --sheet clips.png    # look at some
    python training/camera/generate.py --data DIR --speed              # clips a second on one core

The photograph is a plane. Each frame is one homography from the picture's pixels to the photograph's: where the
camera stood at the start (random place, scale, slant), times how it has moved since (`motion.py`). Nearer planes move
more when the camera travels (parallax), cut-outs of other photographs move on their own as people and cars do, and
the result is aged the way real footage is: brightness, blur, noise, scaling, compression.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from degrade import degrade
from motion import CLASS_WEIGHTS, LABELS, CameraPath, random_path
from photos import Photo, fetch, load
from sprites import SIDE_PX, draw, foreground, person, view_of_pixels, walker

MIN_TEXTURE = 5.0  # mean absolute difference of neighbouring pixels times 2, in grey levels, of a filmable view


@dataclass(frozen=True)
class Clip:
    """Frames uint8 `(T, 96, 96, 3)`, index of the label, and the signed travel of `CameraPath.travel`."""

    frames: np.ndarray
    label: int
    travel: np.ndarray


def generate(rng: np.random.Generator, photos: list[Photo], label: int | None = None, easiness: float = 0.0) -> Clip:
    """One random clip filmed over one of `photos`."""
    if label is None:
        label = int(rng.choice(len(LABELS), p=CLASS_WEIGHTS / CLASS_WEIGHTS.sum()))
    path = random_path(rng, label, easiness)
    frames = film(rng, photos, path, moving=LABELS[label] != "static")
    hard = rng.random() > 0.7 * easiness
    return Clip(degrade(rng, frames, path) if hard else frames, label, path.travel())


def film(rng: np.random.Generator, photos: list[Photo], path: CameraPath, moving: bool) -> np.ndarray:
    """The frames that a camera on `path` takes of a random scene; uint8 `(T, 96, 96, 3)`."""
    turning = rng.random() < 0.5
    focal = rng.uniform(0.8, 3.0)
    views = rotation_maps(path, focal) if turning else plane_maps(path)
    frames = None
    for _ in range(6):
        photo = photos[rng.integers(len(photos))]
        frames = warp_photo(photo, random_start(rng, photo, path), views, path)
        texture = np.abs(np.diff(frames[[0, -1]].astype(np.int16), axis=2)).mean() * 2
        if texture > MIN_TEXTURE or not moving:
            break
    if not moving and rng.random() < 0.25:  # a plain wall, which shows that a camera stands still by nothing else
        frames = np.clip(frames.mean() + (frames - frames.mean()) * rng.uniform(0, 0.4), 0, 255).astype(np.uint8)
    if not turning and rng.random() < 0.4:
        depth = rng.uniform(1.15, 1.9)
        draw(frames, foreground(rng, photos, plane_maps(path.scaled(depth, depth))))
    for _ in range(rng.choice([0, 1, 2, 3], p=[0.4, 0.3, 0.2, 0.1])):
        draw(frames, walker(rng, photos, views, path.times_s, largest=0.45 if moving else 0.6))
    if rng.random() < (0.3 if moving else 0.5):
        for part in person(rng, photos, views, path.times_s):
            draw(frames, part)
    return frames


def plane_maps(path: CameraPath) -> np.ndarray:
    """View at each time -> view at the start, for a camera that travels along a wall; `(T, 3, 3)`."""
    maps = _turned_and_zoomed(path)
    maps[:, 0, 2] = path.dx
    maps[:, 1, 2] = path.dy
    return maps


def rotation_maps(path: CameraPath, focal: float) -> np.ndarray:
    """View at each time -> view at the start, for a camera that turns on the spot; `(T, 3, 3)`.

    Args:
        focal: focal length in sides of the view.
    """
    yaw, pitch = np.arctan(path.dx / focal), np.arctan(path.dy / focal)
    turns = np.zeros((len(yaw), 3, 3))
    turns[:, 0, 0], turns[:, 0, 2] = np.cos(yaw), np.sin(yaw)
    turns[:, 2, 0], turns[:, 2, 2] = -np.sin(yaw), np.cos(yaw)
    turns[:, 1, 1] = 1
    nods = np.zeros_like(turns)
    nods[:, 1, 1], nods[:, 1, 2] = np.cos(pitch), np.sin(pitch)
    nods[:, 2, 1], nods[:, 2, 2] = -np.sin(pitch), np.cos(pitch)
    nods[:, 0, 0] = 1
    lens = np.diag([focal, focal, 1.0])
    return lens @ turns @ nods @ np.linalg.inv(lens) @ _turned_and_zoomed(path)


def _turned_and_zoomed(path: CameraPath) -> np.ndarray:
    scale, cos, sin = np.exp(-path.log_zoom), np.cos(path.roll), np.sin(path.roll)
    maps = np.zeros((len(scale), 3, 3))
    maps[:, 0, 0], maps[:, 0, 1] = scale * cos, -scale * sin
    maps[:, 1, 0], maps[:, 1, 1] = scale * sin, scale * cos
    maps[:, 2, 2] = 1
    return maps


def random_start(rng: np.random.Generator, photo: Photo, path: CameraPath) -> np.ndarray:
    """View at the start -> pixels of the photograph's level 0: a random place, scale and slant; `(3, 3)`."""
    height, width = photo.levels[0].shape[:2]
    zooming = np.exp(np.clip(np.abs(path.log_zoom).max(), 0, 1) * 0.5)
    side = np.exp(rng.uniform(np.log(SIDE_PX * 0.8), np.log(0.85 * min(height, width)))) * zooming
    side = min(side, 0.95 * min(height, width))
    # The middle of the journey is somewhere in the photograph; beyond its edges the scene is mirrored.
    margin = 0.4 * side
    x = rng.uniform(margin, width - margin) - side * (path.dx[0] + path.dx[-1]) / 2
    y = rng.uniform(margin, height - margin) - side * (path.dy[0] + path.dy[-1]) / 2
    turn = rng.normal(0, np.radians(6))
    slant = np.eye(3)
    slant[2, :2] = rng.uniform(-0.25, 0.25, size=2)
    place = np.array([[side * np.cos(turn), -side * np.sin(turn), x], [side * np.sin(turn), side * np.cos(turn), y]])
    return np.vstack([place, [0, 0, 1]]) @ slant


def warp_photo(photo: Photo, start: np.ndarray, views: np.ndarray, path: CameraPath, side: int = SIDE_PX) -> np.ndarray:
    """Films a photograph from `start` along `views`; uint8 `(T, side, side, 3)`."""
    pixels_a_pixel = np.hypot(start[0, 0], start[1, 0]) / side * np.exp(-path.log_zoom.mean())
    level = int(np.clip(round(np.log2(max(pixels_a_pixel, 1e-3))), 0, len(photo.levels) - 1))
    half = 0.5**level
    shrink = np.array([[half, 0, 0.5 * half - 0.5], [0, half, 0.5 * half - 0.5], [0, 0, 1]])
    maps = shrink @ start @ views @ view_of_pixels(side)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    texture = photo.levels[level]
    return np.stack(
        [cv2.warpPerspective(texture, m, (side, side), flags=flags, borderMode=cv2.BORDER_REFLECT_101) for m in maps]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Look at generated clips, or measure how fast they come.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sheet", type=Path, help="write two clips of each class (PNG)")
    parser.add_argument("--speed", action="store_true")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    fetch(args.data)
    photos = load(args.data, held_out=False)
    rng = np.random.default_rng(args.seed)
    if args.sheet:
        clips = [generate(rng, photos, label) for label in range(len(LABELS)) for _ in range(2)]
        rows = [np.hstack(list(clip.frames[::2])) for clip in clips]
        for clip, row in zip(clips, rows, strict=True):
            text = f"{LABELS[clip.label]} {np.round(clip.travel, 2)}"
            cv2.putText(row, text, (2, 10), cv2.FONT_HERSHEY_SIMPLEX, 0.35, (255, 0, 0), 1)
        cv2.imwrite(str(args.sheet), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))
    if args.speed:
        begin = time.process_time()
        for _ in range(300):
            generate(rng, photos)
        print(f"{300 / (time.process_time() - begin):.0f} clips/s on one core")


if __name__ == "__main__":
    main()
