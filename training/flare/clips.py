"""The labelled set: which creature does what in which clip, written as small H.264 files.

    python training/flare/clips.py --data DIR [--scale 0.05] [--sheet clips.png]

Whole families are kept apart: nobody in validation or test looks or moves as anybody in training does, and the ground
is another one, too. Test is zombies and minotaurs, which stand upright as heroes and skeletons do; validation, on
which everything was chosen, is goblins. Each class has as many clips as any other, in each part; within a class each
family that has the action has as many as any other.
"""

import argparse
import shutil
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from creatures import ACTIONS, PACKAGE, Creature, creatures, heroes
from film import FPS, SIDE, film
from PIL import Image

sys.path.append(str(Path(__file__).parents[1]))
from packages import unpack_debian

FAMILIES = {
    "train": ("antlion", "hero", "skeleton", "stealth", "wyvern"),
    "val": ("goblin",),
    "test": ("minotaur", "zombie"),
}
PARTS = tuple(FAMILIES)
PER_CLASS = {"train": 300, "val": 40, "test": 50}
HEROES = 200


@dataclass(frozen=True)
class Clip:
    """One clip of the set; its number and what it shows are all that its pictures depend on."""

    part: str
    action: str
    number: int
    creature: Creature

    @property
    def path(self) -> str:
        """Below the folder of the set."""
        return f"{self.part}/{self.action}/{self.creature.family}-{self.creature.name}-{self.number:04}.mp4"

    def frames(self, package: Path) -> np.ndarray:
        """`(FRAMES, SIDE, SIDE, 3)` uint8."""
        rng = np.random.default_rng((PARTS.index(self.part), ACTIONS.index(self.action), self.number, 1))
        return film(self.creature, self.action, package, self.part, rng)


def planned(package: Path, per_class: dict[str, int]) -> list[Clip]:
    """All clips; a smaller set is the beginning of a larger one, class by class."""
    cast = creatures(package) + heroes(package, np.random.default_rng(0), HEROES)
    clips = []
    for place, (part, families) in enumerate(FAMILIES.items()):
        for index, action in enumerate(ACTIONS):
            able = {name: [c for c in cast if c.family == name and action in c.own] for name in families}
            able = {name: members for name, members in able.items() if members}
            for number in range(per_class[part]):
                rng = np.random.default_rng((place, index, number, 0))
                members = able[list(able)[number % len(able)]]
                clips.append(Clip(part, action, number, members[rng.integers(len(members))]))
    return clips


def write_set(data: Path, per_class: dict[str, int]) -> Path:
    """The folder of the set, written when it is not there, as many clips at a time as there are processors."""
    package = unpack_debian(PACKAGE, data)
    folder = data / ("clips-" + "-".join(str(per_class[part]) for part in PARTS))
    if folder.exists():
        return folder
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    clips = planned(package, per_class)
    for clip in clips:
        (partial / clip.path).parent.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor() as pool:
        for done, _ in enumerate(pool.map(_write, clips, [package] * len(clips), [partial] * len(clips), chunksize=8)):
            print(f"\r{done + 1} of {len(clips)} clips", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    partial.rename(folder)
    return folder


def _write(clip: Clip, package: Path, folder: Path) -> None:
    with av.open(str(folder / clip.path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "24", "preset": "medium", "threads": "1"})
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        for frame in clip.frames(package):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode())


def sheet(package: Path, per_class: dict[str, int], path: Path) -> None:
    """A picture of some clips of each part and class, a clip a line."""
    rows = []
    for part in PARTS:
        for action in ACTIONS:
            clip = [c for c in planned(package, per_class) if (c.part, c.action) == (part, action)][-1]
            rows.append(np.hstack(list(clip.frames(package)[::3])))
    Image.fromarray(np.vstack(rows)).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder for the package and the clips")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the clips")
    parser.add_argument("--sheet", type=Path, help="write a picture of some clips instead")
    args = parser.parse_args()
    if args.sheet:
        sheet(unpack_debian(PACKAGE, args.data), scaled(args.scale), args.sheet)
    else:
        print(write_set(args.data, scaled(args.scale)))


def scaled(share: float) -> dict[str, int]:
    """Clips of each class and part, for trying out fewer."""
    return {part: max(2, round(share * number)) for part, number in PER_CLASS.items()}


if __name__ == "__main__":
    main()
