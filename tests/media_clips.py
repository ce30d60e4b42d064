"""Test videos whose frames carry their number as a bar code: made here, kept in data/, or lying beside the checkout."""

import json
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from mvit_cli.media.video.decord_reader import decord_is_installed

KEPT = Path(__file__).parent / "data" / "clips"
# A larger set with the same kind of truth, where somebody has put it.
BESIDE = Path(__file__).parents[2] / "shared" / "clips"

needs_decord = pytest.mark.skipif(not decord_is_installed(), reason="decord is not installed")


def expected() -> dict[str, dict | None]:
    """Returns the truth of every file at hand."""
    truth: dict[str, dict | None] = {}
    for folder in (BESIDE, KEPT):
        if (folder / "expected.json").exists():
            truth |= json.loads((folder / "expected.json").read_text())
    return truth


def clip(name: str) -> str:
    """Returns the path of a test video; skips the test where it is not at hand."""
    for folder in (KEPT, BESIDE):
        if (folder / name).exists():
            return str(folder / name)
    return pytest.skip(f"{name} is not at hand")


def draw(number: int, width: int = 160, height: int = 120) -> np.ndarray:
    """Returns an RGB frame: above 12 bits of `number` and two check cells, below a gradient that moves with it."""
    frame = np.empty((height, width, 3), np.uint8)
    frame[...] = ((np.arange(width)[None, :, None] + 3 * number + np.array([0, 40, 80])) % 200 + 20).astype(np.uint8)
    cells = [(number >> bit) & 1 for bit in range(11, -1, -1)] + [1, 0]
    edges = np.linspace(0, width, 15).astype(int)
    for cell, left, right in zip(cells, edges, edges[1:], strict=False):
        frame[: max(height // 8, 4), left:right] = 235 if cell else 16
    return frame


def read_number(frame: np.ndarray) -> int:
    """Returns the number a frame carries; -1 without the check cells, -2 where a cell is neither black nor white."""
    height, width = frame.shape[:2]
    strip = max(height // 8, 4)
    rows = frame[strip // 4 : max(strip // 4 + 1, 3 * strip // 4)]
    edges = np.linspace(0, width, 15)
    values = []
    for left, right in pairwise(edges):
        middle, reach = (left + right) / 2, max((right - left) / 6, 0.5)
        first = int(middle - reach)
        values.append(rows[:, first : int(middle + reach) + 1].mean())
    bits = [value > 128 for value in values]
    if not bits[12] or bits[13]:
        return -1
    if any(90 < value < 166 for value in values):
        return -2
    return sum(1 << (11 - place) for place, bit in enumerate(bits[:12]) if bit)


def write_video(
    path: Path,
    frames: int,
    *,
    codec: str = "libx264",
    size: tuple[int, int] = (160, 120),
    fps: Fraction | int = 25,
    pix_fmt: str = "yuv420p",
    times: list[int] | None = None,
    options: dict[str, str] | None = None,
    first: int = 0,
) -> str:
    """Writes frames numbered from `first` on; `times` are in milliseconds. Returns the path."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps, options=options or {})
        stream.width, stream.height = size
        stream.pix_fmt = pix_fmt
        if times is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(draw(first + number, *size), format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return str(path)


def write_lossless(path: Path, frames: list[np.ndarray]) -> str:
    """A lossless video of frames `(H, W, 3)`; returns its path."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "bgr0"
        for picture in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            container.mux(stream.encode(frame.reformat(format="bgr0")))
        container.mux(stream.encode())
    return str(path)
