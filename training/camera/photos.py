"""The photographs that the virtual camera films: fetched from Debian packages when training, never committed.

Run as a script it fetches, prints the table of photographs and writes a contact sheet:

    python training/camera/photos.py --data DIR [--sheet photos.png]

Which pictures, from which packages and under which licences, is written in `photos.toml`.
The split into training and held-out photographs is by scene: two pictures of one scene (stereo pairs, retouched
copies) share a group, and a group is either trained on or held out, by a hash of its name.
"""

import argparse
import hashlib
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

sys.path.append(str(Path(__file__).parents[1]))
from packages import unpack_debian

LONG_SIDE_PX = 800
MIN_SIDE_PX = 64
HELD_OUT_SHARE = 0.2


@dataclass(frozen=True)
class PhotoPackage:
    """A Debian package, the licence of its pictures, and the names of those that are photographs."""

    name: str
    licence: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Photo:
    """One photograph as a pyramid: level 0 has a long side of at most 800 px, each further level half of it.

    `levels` are uint8 `(H, W, 3)` in RGB.
    """

    name: str
    group: str
    levels: tuple[np.ndarray, ...]


TABLE = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
PACKAGES = tuple(
    PhotoPackage(entry["name"], entry["licence"], tuple(entry["photographs"])) for entry in TABLE["package"]
)
GROUP_OF = {stem: group for group, stems in TABLE["same_scene"].items() for stem in stems}


def is_held_out(group: str) -> bool:
    """Whether a scene is kept for testing, the same on every machine."""
    return int(hashlib.sha256(group.encode()).hexdigest()[:8], 16) / 0xFFFFFFFF < HELD_OUT_SHARE


def fetch(data: Path) -> None:
    """Downloads and unpacks the packages that are missing under `data`."""
    for package in PACKAGES:
        unpack_debian(package.name, data)


def load(data: Path, held_out: bool) -> list[Photo]:
    """The training photographs, or the held-out ones, in the order of the table."""
    photos = []
    for package in PACKAGES:
        for file in package.files:
            group = group_of(file)
            if is_held_out(group) == held_out:
                photos.append(Photo(file, group, _pyramid(_find(data / "packages" / package.name, file))))
    return photos


def group_of(file: str) -> str:
    """Name of the scene that a photograph shows."""
    stem = file.split("/")[0] if "/" in file else Path(file).stem
    return GROUP_OF.get(stem, stem)


def _find(root: Path, file: str) -> Path:
    found = sorted(path for path in root.rglob(Path(file).name) if path.as_posix().endswith("/" + file))
    if not found:
        raise FileNotFoundError(f"{file} is not in {root}: another version of the package?")
    return found[0]


def _pyramid(path: Path) -> tuple[np.ndarray, ...]:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f"cannot read {path}")
    picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    scale = min(1.0, LONG_SIDE_PX / max(picture.shape[:2]))
    levels = [cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)]
    while min(levels[-1].shape[:2]) >= 2 * MIN_SIDE_PX:
        levels.append(cv2.resize(levels[-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    return tuple(levels)


def main() -> None:
    parser = argparse.ArgumentParser(description="Fetch the photographs and list them.")
    parser.add_argument("--data", type=Path, required=True, help="folder for packages, outside the repository")
    parser.add_argument("--sheet", type=Path, help="write a contact sheet (PNG)")
    args = parser.parse_args()
    fetch(args.data)
    tiles = []
    for held_out in (False, True):
        for photo in load(args.data, held_out):
            print(f"{'held out' if held_out else 'train':9}{photo.group:40}{photo.name:50}{photo.levels[0].shape}")
            tiles.append(cv2.resize(photo.levels[-1], (96, 72)) // (1 if held_out else 2))
    if args.sheet:
        tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 12)
        rows = [np.hstack(tiles[i : i + 12]) for i in range(0, len(tiles), 12)]
        cv2.imwrite(str(args.sheet), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
