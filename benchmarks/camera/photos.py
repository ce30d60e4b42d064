"""The photographs that the virtual camera films: fetched from Debian packages when training, never committed.

Run as a script it fetches, prints the table of photographs and writes a contact sheet:

    python benchmarks/camera/photos.py --data DIR [--sheet photos.png]

The split into training and held-out photographs is by scene: two pictures of one scene (stereo pairs, retouched
copies) share a group, and a group is either trained on or held out, by a hash of its name.
"""

import argparse
import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

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


PACKAGES = (
    PhotoPackage(
        "python3-skimage",
        "public domain and CC0 (see skimage/data/README.txt of the package)",
        tuple(
            "astronaut.png brick.png camera.png chelsea.png coffee.png coins.png grass.png gravel.png ihc.png "
            "hubble_deep_field.jpg moon.png motorcycle_left.png motorcycle_right.png retina.jpg rocket.jpg".split()
        ),
    ),
    PhotoPackage(
        "opencv-doc",
        "Apache-2.0 / BSD-3-Clause (stills of the OpenCV samples and tutorials)",
        tuple(
            "plant.jpg aero1.jpg aero3.jpg aloeL.jpg aloeR.jpg apple.jpg baboon.jpg basketball1.png basketball2.png "
            "board.jpg box.png box_in_scene.png building.jpg butterfly.jpg chicky_512.png ela_modified.jpg "
            "ela_original.jpg fruits.jpg graf1.png graf3.png home.jpg leuvenA.jpg leuvenB.jpg licenseplate_motion.jpg "
            "messi5.jpg orange.jpg rubberwhale1.png rubberwhale2.png smarties.png squirrel_cls.jpg starry_night.jpg "
            "stuff.jpg sudoku.png butterfly.png 000.jpg home.png scenetext01.jpg scenetext02.jpg scenetext03.jpg "
            "scenetext04.jpg scenetext05.jpg scenetext06.jpg scenetext_segmented_word01.jpg "
            "scenetext_segmented_word02.jpg scenetext_segmented_word03.jpg scenetext_segmented_word04.jpg "
            "scenetext_segmented_word05.jpg pexels_double_decker_bus.jpg newspaper.jpg motion_original.jpg "
            "astra_color.jpg realsense.jpg period_input.jpg ldr_debevec.jpg".split()
        ),
    ),
    PhotoPackage(
        "mate-backgrounds",
        "GPL-2.0-or-later",
        tuple(
            "Aqua.jpg Blinds.jpg Dune.jpg FreshFlower.jpg Garden.jpg GreenMeadow.jpg LadyBird.jpg RainDrops.jpg "
            "Storm.jpg TwoWings.jpg Wood.jpg YellowFlower.jpg".split()
        ),
    ),
    PhotoPackage(
        "lomiri-wallpapers-16.04",
        "CC-BY-4.0, CC-BY-SA-4.0, CC0-1.0 (by file, see the package)",
        tuple(
            "Bridge_by_Sander_Klootwijk.jpg Dragonfly_by_Bolly.jpg Picture_0B_by_freespace.jpg "
            "Picture_1A_by_freespace.jpg Wine_by_Jakkub_Mede.jpg aitzgorri_by_Aitzol_Berasategi.jpg "
            "analogpattern_by_Peter_Nerlich.jpg free_by_Peter_Nerlich.jpg friends_by_Aitzol_Berasategi.jpg "
            "greentock_by_Peter_Nerlich.jpg life_by_Aitzol_Berasategi.jpg picosdeeuropa_by_Aitzol_Berasategi.jpg "
            "seeding_by_Clements_Engelhardt.jpg sunset_by_Aitzol_Berasategi.jpg umang_by_Abhishek_Mudgal.jpg".split()
        ),
    ),
    PhotoPackage(
        "lomiri-wallpapers-20.04",
        "CC-BY-SA-3.0",
        ("Infinite-Sea_by_Aury88.jpg", "Kleiber_by_Lukas_Baubkus.jpg"),
    ),
    PhotoPackage(
        "plasma-workspace-wallpapers",
        "GPL-2.0-or-later",
        tuple(
            f"{name}/contents/images/2560x1600.jpg"
            for name in ("BytheWater", "ColorfulCups", "EveningGlow", "FallenLeaf", "OneStandsOut", "Path", "Grey")
        ),
    ),
)

SAME_SCENE = {
    "motorcycle": ("motorcycle_left", "motorcycle_right"),
    "plants": ("plant", "aloeL", "aloeR"),
    "aerial": ("aero1", "aero3"),
    "fruit": ("apple", "orange", "fruits"),
    "basketball": ("basketball1", "basketball2"),
    "box": ("box", "box_in_scene"),
    "notebook": ("ela_modified", "ela_original"),
    "graffiti": ("graf1", "graf3"),
    "leuven": ("leuvenA", "leuvenB"),
    "whale": ("rubberwhale1", "rubberwhale2"),
    "cars": ("licenseplate_motion", "motion_original"),
    "signs": tuple(f"scenetext_segmented_word{n:02d}" for n in range(1, 6)),
    "brushes": ("Picture_0B_by_freespace", "Picture_1A_by_freespace"),
    "robin": ("000",),
}
GROUP_OF = {stem: group for group, stems in SAME_SCENE.items() for stem in stems}


def is_held_out(group: str) -> bool:
    """Whether a scene is kept for testing, the same on every machine."""
    return int(hashlib.sha256(group.encode()).hexdigest()[:8], 16) / 0xFFFFFFFF < HELD_OUT_SHARE


def fetch(data: Path) -> None:
    """Downloads and unpacks the packages that are missing under `data`."""
    for package in PACKAGES:
        unpack_debian(package.name, data)


def unpack_debian(name: str, data: Path) -> Path:
    """The unpacked Debian package `name` under `data`, downloaded with apt when it is not there."""
    target = data / "packages" / name
    if target.exists():
        return target
    downloads = data / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    subprocess.run(["apt-get", "-q", "download", name], cwd=downloads, check=True)
    archive = max(downloads.glob(f"{name}_*.deb"))
    partial = target.with_suffix(".partial")
    subprocess.run(["dpkg", "-x", archive, partial], check=True)
    partial.rename(target)
    return target


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
