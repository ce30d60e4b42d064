"""An independent judge of camera motion: sparse optical flow and a similarity found by RANSAC, frame to frame.

Nothing here is learned and nothing of the network is used, so its labels can test the network on real footage.
"""

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from motion import LABELS, MIN_TRAVEL, RADIUS, SECOND_MOTION, SHAKE_AMPLITUDE, STATIC_TRAVEL

MIN_POINTS = 25
MIN_INLIERS = 0.5
CUT_DIFFERENCE = 40.0  # mean grey levels between two frames
MAX_WOBBLE = 0.25  # of the travel, about the straight way; more is neither a clear move nor a shake


@dataclass(frozen=True)
class Judgement:
    """Index of the label, or None with the `reason` why there is none; signed travel `(4,)`."""

    label: int | None
    travel: np.ndarray
    reason: str


def frame_motions(frames: np.ndarray) -> np.ndarray:
    """Camera motion between neighbouring frames, `(N - 1, 5)`: right, down, log zoom, roll, share of inliers.

    Right and down are in shorter sides of the picture.
    Rows of nan mean that the two frames could not be matched: a cut, or no texture.
    """
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    return np.array([_pair_motion(a, b) for a, b in pairwise(grey)]).reshape(-1, 5)


def _pair_motion(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    unknown = np.full(5, np.nan)
    if np.abs(a.astype(np.int16) - b).mean() > CUT_DIFFERENCE:
        return unknown
    points = cv2.goodFeaturesToTrack(a, 300, 0.01, 7)
    if points is None or len(points) < MIN_POINTS:
        return unknown
    moved, found, _ = cv2.calcOpticalFlowPyrLK(a, b, points, None, winSize=(15, 15), maxLevel=3)
    back, found_back, _ = cv2.calcOpticalFlowPyrLK(b, a, moved, None, winSize=(15, 15), maxLevel=3)
    kept = (found & found_back).astype(bool).ravel() & (np.linalg.norm(back - points, axis=2).ravel() < 0.7)
    if kept.sum() < MIN_POINTS:
        return unknown
    height, width = a.shape
    centre = np.array([[(width - 1) / 2, (height - 1) / 2]])
    before, after = points[kept][:, 0] - centre, moved[kept][:, 0] - centre
    similarity, inliers = cv2.estimateAffinePartial2D(before, after, ransacReprojThreshold=1.0, maxIters=2000)
    if similarity is None:
        return unknown
    (c, _, tx), (s, _, ty) = similarity
    side = min(height, width)
    # The camera moves against the picture.
    return np.array([-tx / side, -ty / side, np.log(np.hypot(c, s)), -np.arctan2(s, c), inliers.mean()])


def judge(motions: np.ndarray) -> Judgement:
    """What the camera does in a window of `frame_motions`."""
    if np.isnan(motions).any():
        return Judgement(None, np.zeros(4), "cut or no texture")
    if np.median(motions[:, 4]) < MIN_INLIERS:
        return Judgement(None, np.zeros(4), "no common motion")
    paths = np.cumsum(motions[:, :4] * (1, 1, RADIUS, RADIUS), axis=0)
    travel = paths[-1]
    size = np.abs(travel)
    line = np.linspace(0, 1, len(paths))[:, None]
    wobble = np.sqrt(np.mean(np.sum((paths[:, :2] - line * travel[:2]) ** 2, axis=1)))
    first, second = np.argsort(size)[::-1][:2]
    if size[first] < STATIC_TRAVEL:
        if wobble < 0.5 * SHAKE_AMPLITUDE[0]:
            return Judgement(LABELS.index("static"), travel, "")
        if wobble > SHAKE_AMPLITUDE[0]:
            return Judgement(LABELS.index("shake"), travel, "")
        return Judgement(None, travel, "between static and shake")
    kind = ("pan", "tilt", "zoom", "roll")[first]
    if size[first] < MIN_TRAVEL[kind] or wobble > MAX_WOBBLE * size[first]:
        return Judgement(None, travel, "too slow or too shaky")
    if size[second] > SECOND_MOTION * size[first]:
        return Judgement(None, travel, "no dominant motion")
    ends = {"pan": ("left", "right"), "tilt": ("up", "down"), "zoom": ("out", "in")}
    ends["roll"] = ("counter-clockwise", "clockwise")
    return Judgement(LABELS.index(f"{kind} {ends[kind][int(travel[first] > 0)]}"), travel, "")
