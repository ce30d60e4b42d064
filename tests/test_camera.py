"""The embedded camera_motion network: its files, and what it sees in a moving camera.

The clips here are filmed over a picture of random blobs by the exact geometry of the definitions: a camera that turns
right moves the picture to the left, and so on. Accuracy on photographs and on real footage is measured by
`training/camera/evaluate.py`; here a class counts as seen if most of a few clear clips of it are.
"""

from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from safetensors.torch import load_file

import mvit_cli

WEIGHTS = Path(__file__).parents[1] / "weights"
EXAMPLE = Path(__file__).parent / "data" / "pan_left.mp4"
LABELS = (WEIGHTS / "labels" / "camera_motion.txt").read_text(encoding="utf-8").splitlines()
OPPOSITES = [
    ("pan left", "pan right"),
    ("tilt up", "tilt down"),
    ("zoom in", "zoom out"),
    ("roll clockwise", "roll counter-clockwise"),
]
MOVES = {  # right, down (sides of the view), log zoom, roll (radians) over the clip
    "static": (0, 0, 0, 0),
    "pan left": (-0.25, 0, 0, 0),
    "pan right": (0.25, 0, 0, 0),
    "tilt up": (0, -0.25, 0, 0),
    "tilt down": (0, 0.25, 0, 0),
    "zoom in": (0, 0, 0.4, 0),
    "zoom out": (0, 0, -0.4, 0),
    "roll clockwise": (0, 0, 0, 0.4),
    "roll counter-clockwise": (0, 0, 0, -0.4),
}
FRAMES, SIDE = 16, 96


@cache
def network() -> torch.nn.Module:
    return mvit_cli.load_model("camera_motion", weights=WEIGHTS / "camera_motion.safetensors")


def scene(seed: int) -> Image.Image:
    """A picture with structure at every scale, as photographs have."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((288, 288, 3))
    for cells in (6, 12, 24, 48, 96):
        noise = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        picture += (np.asarray(noise.resize((288, 288), Image.Resampling.BICUBIC), float) - 128) / cells**0.5
    pixels = np.clip(128 + 1.6 * picture, 0, 255).astype(np.uint8)
    return Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(0.7))


def filmed(picture: Image.Image, right: float, down: float, log_zoom: float, roll: float) -> torch.Tensor:
    """The clip `(3, 16, 96, 96)`, normalised, that a camera takes that moves evenly by these amounts."""
    frames = []
    for t in np.linspace(-0.5, 0.5, FRAMES):
        scale, angle = np.exp(-log_zoom * t), roll * t
        a, b = scale * np.cos(angle), scale * np.sin(angle)
        x0, y0 = 144 + right * t * SIDE, 144 + down * t * SIDE
        half = (SIDE - 1) / 2
        coefficients = (a, -b, x0 - a * half + b * half, b, a, y0 - b * half - a * half)
        frame = picture.transform((SIDE, SIDE), Image.Transform.AFFINE, coefficients, Image.Resampling.BILINEAR)
        frames.append(np.asarray(frame, np.float32))
    clip = torch.from_numpy(np.stack(frames)).permute(3, 0, 1, 2)
    return (clip / 255 - 0.45) / 0.225


@cache
def clips(label: str) -> torch.Tensor:
    return torch.stack([filmed(scene(seed), *MOVES[label]) for seed in range(6)])


def called(batch: torch.Tensor) -> str:
    """The label that most clips of the batch get."""
    with torch.inference_mode():
        indices = network()(batch).argmax(1).tolist()
    return Counter(LABELS[i] for i in indices).most_common(1)[0][0]


def test_weights_load_strictly_and_are_finite() -> None:
    tensors = load_file(WEIGHTS / "camera_motion.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    assert set(tensors) == set(network().state_dict())
    assert all(torch.isfinite(tensor).all() for tensor in tensors.values())


def test_files_are_small_enough_for_the_wheel() -> None:
    shipped = (WEIGHTS / "camera_motion.safetensors", WEIGHTS / "labels" / "camera_motion.txt")
    assert shipped[0].stat().st_size <= 3_000_000
    assert sum(path.stat().st_size for path in shipped) <= 3_200_000
    assert EXAMPLE.stat().st_size <= 400_000


@pytest.mark.parametrize("label", MOVES)
def test_camera_motion_is_recognised(label: str) -> None:
    assert called(clips(label)) == label


@pytest.mark.parametrize(("label", "opposite"), OPPOSITES)
def test_reversed_frames_are_the_opposite_motion(label: str, opposite: str) -> None:
    assert called(clips(label).flip(2)) == opposite


@pytest.mark.parametrize("label", [label for pair in OPPOSITES for label in pair])
def test_shuffled_frames_are_a_shake(label: str) -> None:
    """Shuffled, an even motion goes to and fro. One order in five still gets somewhere by chance (15-23 %)."""
    rng = np.random.default_rng(1)
    names = Counter(called(clips(label)[:, :, rng.permutation(FRAMES)]) for _ in range(20))
    assert names["shake"] > 10, names
    assert names[label] < 8, names


@pytest.mark.parametrize(("label", "mirrored"), [("pan left", "pan right"), ("roll clockwise", OPPOSITES[3][1])])
def test_mirrored_picture_is_the_opposite_motion(label: str, mirrored: str) -> None:
    assert called(clips(label).flip(4)) == mirrored


def test_example_clip_is_a_pan_to_the_left() -> None:
    (row,) = mvit_cli.predict([EXAMPLE], preset="camera_motion")
    assert row["status"] == "ok", row
    best = row["predictions"][0]
    assert best["label"] == "pan left"
    assert best["score"] > 0.5
