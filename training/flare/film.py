"""A clip of a creature that acts, filmed by a camera that is never still.

What could give an action away without being it is drawn alike for all classes: how fast the pictures follow each other,
how large the creature is and where, what it holds, which way it faces, the ground, the light, and the camera, which
drifts, trembles, turns and comes nearer. So the difference of two frames shows the camera as much as the creature.
Runners run on the spot: the ground passes by in every clip, or in none, whatever is done on it.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from creatures import Animation, Creature
from ground import ground
from PIL import Image

SIDE, FPS, FRAMES = 112, 15, 36
CANVAS = 448
"""Pixels of the world that are drawn, of which the camera sees about half, with twice the pixels of a clip."""
VIEW = 2 * SIDE
STANDING = "stance"


@dataclass(frozen=True)
class Shot:
    """What is drawn for one clip, whatever its action.

    Attributes:
        direction: 0 to 7.
        size: of the standing creature, as a share of what the camera sees.
        dwell_s: how long a picture stays.
        stretch: of the creature, width by height.
        centre: where the creature stands, as a share of the view from its middle.
        light: factors of red, green and blue; of the creature, then of the ground.
    """

    direction: int
    size: float
    dwell_s: float
    stretch: float
    centre: tuple[float, float]
    light: tuple[tuple[float, ...], tuple[float, ...]]

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> "Shot":
        """At random."""
        hue = [rng.uniform(0.7, 1.3) * rng.uniform(0.88, 1.12, 3) for _ in range(2)]
        return cls(
            direction=int(rng.integers(8)),
            size=float(rng.uniform(0.55, 0.8)),
            dwell_s=float(rng.uniform(0.13, 0.22)),
            stretch=float(math.exp(rng.uniform(-0.2, 0.2))),
            centre=(float(rng.uniform(-0.06, 0.06)), float(rng.uniform(0, 0.1))),
            light=(tuple(hue[0].tolist()), tuple(hue[1].tolist())),
        )


Shown = tuple[str, int]
"""Name of an animation, and place of a picture in it."""


def timeline(one: Animation, standing: Animation, dwell_s: float, rng: np.random.Generator) -> list[Shown]:
    """Which picture each frame shows: it stands, acts, stands again and acts again; who dies stays down."""
    stands = [(standing.name, place) for place in _order(standing)]
    acts = [(one.name, place) for place in _order(one)]
    ticks: list[Shown] = []
    wanted = math.ceil(FRAMES / FPS / dwell_s) + 2
    while len(ticks) < wanted:
        if one.action not in (STANDING, "run"):
            begin, length = int(rng.integers(len(stands))), int(rng.integers(1, 4))
            ticks += [stands[(begin + i) % len(stands)] for i in range(length)]
        ticks += acts
        if one.action == "block":
            ticks += [acts[-1]] * int(rng.integers(1, 4))  # a guard is held
        if one.action == "die":
            ticks += [acts[-1]] * wanted
    begin_s = rng.uniform(0, dwell_s) if one.action not in (STANDING, "run") else rng.uniform(0, dwell_s * len(acts))
    return [ticks[int((begin_s + frame / FPS) / dwell_s) % len(ticks)] for frame in range(FRAMES)]


def _order(one: Animation) -> list[int]:
    """Places in the order in which the game shows them once."""
    forth = list(range(len(one.pictures)))
    return forth + forth[-2:0:-1] if one.kind == "back_forth" else forth


def film(creature: Creature, action: str, package: Path, part: str, rng: np.random.Generator) -> np.ndarray:
    """`(FRAMES, SIDE, SIDE, 3)` uint8 in RGB."""
    own = creature.own
    one = own[action][rng.integers(len(own[action]))]
    standing = own[STANDING][0]
    shot = Shot.drawn(rng)
    floor = _lit(_scaled_ground(package, part, rng), shot.light[1])
    shown = timeline(one, standing, shot.dwell_s, rng)
    worlds = {picture: _world(creature, picture, standing, shot, floor) for picture in dict.fromkeys(shown)}
    views = _camera(rng)
    frames = [
        worlds[picture].transform((VIEW, VIEW), Image.Transform.AFFINE, tuple(view), Image.Resampling.BILINEAR)
        for picture, view in zip(shown, views, strict=True)
    ]
    return np.stack([np.asarray(frame.reduce(VIEW // SIDE)) for frame in frames])


def _scaled_ground(package: Path, part: str, rng: np.random.Generator) -> Image.Image:
    side = int(rng.uniform(0.5, 1.1) * CANVAS)
    floor = ground(package, part, side, rng)
    return floor.resize((CANVAS, CANVAS), Image.Resampling.BILINEAR)


def _lit(picture: Image.Image, light: tuple[float, ...]) -> Image.Image:
    """Brighter or darker, and tinted; what is transparent stays so."""
    bands = list(picture.split())
    for place, factor in enumerate(light):
        bands[place] = bands[place].point([min(255, round(level * factor)) for level in range(256)])
    return Image.merge(picture.mode, bands)


def _world(creature: Creature, shown: Shown, standing: Animation, shot: Shot, floor: Image.Image) -> Image.Image:
    """The ground with one picture of the creature on it, `CANVAS` wide."""
    still, foot_x, foot_y = creature.drawn(standing.name, 0, shot.direction)
    scale = shot.size * VIEW / max(still.width, still.height)
    wide, high = scale * math.sqrt(shot.stretch), scale / math.sqrt(shot.stretch)
    x = CANVAS / 2 + shot.centre[0] * VIEW - (still.width / 2 - foot_x) * wide
    y = CANVAS / 2 + shot.centre[1] * VIEW + (foot_y - still.height / 2) * high
    picture, foot_x, foot_y = creature.drawn(*shown, shot.direction)
    size = (max(1, round(picture.width * wide)), max(1, round(picture.height * high)))
    picture = _lit(picture.resize(size, Image.Resampling.BICUBIC), shot.light[0])
    world = floor.copy()
    world.paste(picture, (round(x - foot_x * wide), round(y - foot_y * high)), picture)
    return world


def _camera(rng: np.random.Generator) -> np.ndarray:
    """`(FRAMES, 6)`: where in the world each pixel of a frame lies, as PIL's affine transforms want it."""
    time = np.linspace(-0.5, 0.5, FRAMES)
    drift = rng.uniform(-0.1, 0.1, (2, 1)) * VIEW * time
    trembling = sum(
        rng.uniform(0, 0.006) * VIEW * np.sin(2 * np.pi * (rng.uniform(1, 9) * time + rng.uniform(0, 1, (2, 1))))
        for _ in range(4)
    )
    zoom = np.exp(rng.uniform(-0.12, 0.12) * time)
    angle = rng.uniform(-0.06, 0.06) + rng.uniform(-0.08, 0.08) * time
    x, y = CANVAS / 2 + drift + trembling
    a, b = zoom * np.cos(angle), -zoom * np.sin(angle)
    middle = VIEW / 2
    return np.stack([a, b, x - (a + b) * middle, -b, a, y - (a - b) * middle], axis=1)
