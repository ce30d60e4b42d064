"""What stands and moves in front of the photograph: cut-outs of other photographs, laid over the frames.

A sprite may be fixed in the world (the camera sees it move when the camera moves), fixed to the camera, or move by
itself; in every case the camera's motion stays what the background says.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from motion import wobble
from photos import Photo

SIDE_PX = 96
SPRITE_PX = 80
OUTLINES = ("ellipse", "bust", "blob")


@dataclass(frozen=True)
class Sprite:
    """A cut-out in the scene: RGBA uint8 texture and, for each frame, the map from pixels to texture `(T, 3, 3)`."""

    texture: np.ndarray
    maps: np.ndarray


def view_of_pixels(side: int) -> np.ndarray:
    """Pixel indices -> view coordinates, in which the picture spans -0.5 .. 0.5; `(3, 3)`."""
    return np.array([[1 / side, 0, 0.5 / side - 0.5], [0, 1 / side, 0.5 / side - 0.5], [0, 0, 1]])


def foreground(rng: np.random.Generator, photos: list[Photo], views: np.ndarray) -> Sprite:
    """Something near the camera at an edge of the view that stands still in the world."""
    size = rng.uniform(0.5, 1.1)
    edge = rng.integers(4)
    centre = np.array([(-0.45, 0), (0.45, 0), (0, -0.45), (0, 0.45)][edge]) + rng.uniform(-0.25, 0.25, 2)
    picture = cut_out(rng, photos, str(rng.choice(OUTLINES)))
    return placed(picture, np.repeat(centre[None], len(views), 0), size, views)


def walker(
    rng: np.random.Generator, photos: list[Photo], views: np.ndarray, times: np.ndarray, largest: float
) -> Sprite:
    """Something that moves by itself: across, to and fro, or nearer; in the world or fixed to the camera's view."""
    t = (times - times[0]) / (times[-1] - times[0])
    size = np.exp(rng.uniform(np.log(0.1), np.log(largest)))
    centre = rng.uniform(-0.45, 0.45, size=2) * (1 if size < 0.35 else 0.5)
    speed = rng.uniform(0.0, 0.7) if size < 0.35 else rng.uniform(0.0, 0.35)
    direction = rng.normal(size=2) * (1, 0.4)
    direction /= np.linalg.norm(direction) + 1e-6
    kind = rng.integers(3)
    way = (t - 0.5) if kind else 0.3 * np.sin(2 * np.pi * (rng.uniform(0.5, 3) * t + rng.random()))
    centres = centre + speed * way[:, None] * direction
    growth = np.exp(rng.uniform(-0.5, 0.5) * (t - 0.5)) if kind == 2 else np.ones_like(t)
    anchored = np.repeat(np.eye(3)[None], len(t), 0) if rng.random() < 0.25 else views
    picture = cut_out(rng, photos, str(rng.choice(OUTLINES)))
    spin = rng.normal(0, 0.3) * (t - 0.5)
    return placed(picture, centres, size * growth, anchored, tall=rng.uniform(0.7, 1.8), spin=spin)


def person(rng: np.random.Generator, photos: list[Photo], views: np.ndarray, times: np.ndarray) -> list[Sprite]:
    """Somebody who talks into the camera, far or so near that the head fills the view.

    Shoulders that hardly move; a head that sways, nods and leans; a face that turns on it, with eyes and a mouth.
    """
    size = np.exp(rng.uniform(np.log(0.18), np.log(0.9)))
    centre = rng.uniform((-0.25, -0.2), (0.25, 0.15)) * (1.2 - size)
    strength = np.exp(rng.uniform(np.log(0.003), np.log(0.08)))
    top_hz = rng.uniform(0.4, 2.5)
    sway = strength * np.stack([wobble(rng, times, 0.1, top_hz), 0.6 * wobble(rng, times, 0.1, top_hz)], axis=1)
    turn = rng.uniform(0, 0.1) * size * np.stack([wobble(rng, times, 0.1, 2), 0.6 * wobble(rng, times, 0.1, 2)], axis=1)
    lean = np.exp(rng.uniform(0, 1.5) * strength * wobble(rng, times, 0.1, 1.0))
    spin = rng.uniform(0, 2.5) * strength * wobble(rng, times, 0.1, top_hz)
    speech = wobble(rng, times, 1, 5)
    # A near head hides what tells whether the camera moved, unless it stays behind as the world does.
    anchored = np.repeat(np.eye(3)[None], len(times), 0) if size < 0.35 and rng.random() < 0.4 else views
    head = centre + sway
    face = head + turn
    chin = face + size * np.array([0.0, 0.35]) + 0.02 * rng.random() * np.outer(speech, (0.2, 1))
    features = [(chin, 0.35, 0.6 * np.exp(rng.uniform(0, 0.4) * speech))]
    features += [(face + size * np.array([x, -0.12]), 0.22, 0.6) for x in (-0.2, 0.2)]
    return [
        placed(
            cut_out(rng, photos, "ellipse"), centre + size * np.array([0.0, 1.5]) + 0.3 * sway, 2.4 * size, anchored
        ),
        placed(cut_out(rng, photos, "ellipse"), head, size * lean, anchored, tall=1.35, spin=spin),
        placed(cut_out(rng, photos, "ellipse"), face, 0.8 * size * lean, anchored, tall=1.4, spin=spin),
        *(
            placed(cut_out(rng, photos, "ellipse"), at, w * size * lean, anchored, tall, spin)
            for at, w, tall in features
        ),
    ]


def placed(
    picture: np.ndarray,
    centres: np.ndarray,
    sizes: np.ndarray | float,
    views: np.ndarray,
    tall: np.ndarray | float = 1.0,
    spin: np.ndarray | None = None,
) -> Sprite:
    """A cut-out at `centres` `(T, 2)`, `sizes` wide and `tall` times as high, turned by `spin`; `(T,)` or constant."""
    angle = np.zeros(len(views)) if spin is None else spin
    cos, sin = np.cos(angle) * SPRITE_PX / sizes, np.sin(angle) * SPRITE_PX / sizes
    place = np.zeros((len(views), 3, 3))
    place[:, 0, 0], place[:, 0, 1] = cos, -sin
    place[:, 1, 0], place[:, 1, 1] = sin / tall, cos / tall
    place[:, :2, 2] = SPRITE_PX / 2 - np.einsum("tij,tj->ti", place[:, :2, :2], centres)
    place[:, 2, 2] = 1
    return Sprite(picture, place @ views @ view_of_pixels(SIDE_PX))


def cut_out(rng: np.random.Generator, photos: list[Photo], shape: str) -> np.ndarray:
    """A random piece of a photograph with a soft outline; RGBA uint8 `(80, 80, 4)`."""
    photo = photos[rng.integers(len(photos))]
    texture = photo.levels[int(rng.integers(min(2, len(photo.levels))))]
    side = int(rng.uniform(0.2, 0.9) * min(texture.shape[:2]))
    y, x = rng.integers(texture.shape[0] - side), rng.integers(texture.shape[1] - side)
    piece = cv2.resize(texture[y : y + side, x : x + side], (SPRITE_PX, SPRITE_PX), interpolation=cv2.INTER_AREA)
    outline = np.zeros((SPRITE_PX, SPRITE_PX), np.uint8)
    middle = SPRITE_PX // 2
    if shape == "ellipse":
        cv2.ellipse(outline, (middle, middle), (middle - 8, middle - 6), 0, 0, 360, 255, -1)
    elif shape == "bust":
        cv2.ellipse(outline, (middle, 22), (14, 17), 0, 0, 360, 255, -1)
        cv2.ellipse(outline, (middle, 76), (30, 40), 0, 180, 360, 255, -1)
    else:
        noise = cv2.resize(rng.random((5, 5), dtype=np.float32), (SPRITE_PX, SPRITE_PX), interpolation=cv2.INTER_CUBIC)
        fall = np.hypot(*np.mgrid[-1 : 1 : SPRITE_PX * 1j, -1 : 1 : SPRITE_PX * 1j])
        outline = ((noise > 0.2 + 0.6 * fall**2) & (fall < 0.95)).astype(np.uint8) * 255
    outline = cv2.GaussianBlur(outline, (0, 0), rng.uniform(0.8, 2.5))
    if rng.random() < 0.35:  # skin, cloth and sky have little to hold on to
        piece = cv2.GaussianBlur(piece, (0, 0), rng.uniform(1, 5))
    tint = rng.uniform(0.5, 1.3, size=3)
    piece = np.clip(piece * tint, 0, 255).astype(np.uint8)
    return np.dstack([piece, outline])


def draw(frames: np.ndarray, sprite: Sprite) -> None:
    """Lays the sprite over the frames, in place."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    side = frames.shape[1]
    for frame, to_texture in zip(frames, sprite.maps, strict=True):
        layer = cv2.warpPerspective(sprite.texture, to_texture, (side, side), flags=flags)
        alpha = layer[..., 3:].astype(np.uint16)
        frame[:] = (layer[..., :3] * alpha + frame * (255 - alpha)) // 255
