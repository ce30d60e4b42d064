"""Groups of clips, their mirror images, and the network's input."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from motion import MIRRORED, REVERSED, TRANSPOSED

MEAN, STD = 0.45, 0.225


@dataclass(frozen=True)
class Batch:
    """Grey frames uint8 `(B, T, H, W)`, labels int64 `(B,)`, travels float32 `(B, 4)` as in `CameraPath.travel`."""

    frames: np.ndarray
    labels: np.ndarray
    travels: np.ndarray

    @staticmethod
    def joined(groups: list["Batch"]) -> "Batch":
        """All clips of the groups in one batch."""
        return Batch(
            np.concatenate([group.frames for group in groups]),
            np.concatenate([group.labels for group in groups]),
            np.concatenate([group.travels for group in groups]),
        )


def mirrored(rng: np.random.Generator, batch: Batch) -> Batch:
    """Each clip left-right mirrored, transposed and reversed in time, or not, with what that makes of its label."""
    frames, labels, travels = np.empty_like(batch.frames), batch.labels.copy(), batch.travels.copy()
    for i, clip in enumerate(batch.frames):
        mirror, transpose, reverse = rng.random(3) < 0.5
        if mirror:
            clip, labels[i], travels[i] = clip[:, :, ::-1], MIRRORED[labels[i]], travels[i] * (-1, 1, 1, -1)
        if transpose:
            clip, labels[i] = clip.transpose(0, 2, 1), TRANSPOSED[labels[i]]
            travels[i] = travels[i][[1, 0, 2, 3]] * (1, 1, 1, -1)
        if reverse:
            clip, labels[i], travels[i] = clip[::-1], REVERSED[labels[i]], -travels[i]
        frames[i] = clip
    return Batch(frames, labels, travels)


def grey(frames: np.ndarray) -> np.ndarray:
    """`(T, H, W, 3)` -> `(T, H, W)`, uint8: colour says nothing about the camera."""
    return np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames])


def network_input(frames: np.ndarray, device: torch.device) -> torch.Tensor:
    """Grey uint8 `(B, T, H, W)` -> float32 `(B, 3, T, H, W)`, normalised as the card says, three times the same."""
    pixels = torch.from_numpy(frames).to(device)[:, None].float()
    return ((pixels / 255 - MEAN) / STD).expand(-1, 3, -1, -1, -1)
