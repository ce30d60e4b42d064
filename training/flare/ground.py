"""The ground that creatures stand on: tiles of the game, and things that stand about, put together at random."""

from functools import cache
from pathlib import Path

import numpy as np
from creatures import MODS
from PIL import Image

TILESETS = {"train": ("grassland", "cave", "snowplains"), "val": ("dungeon",), "test": ("dungeon",)}
"""No ground of validation or test is seen in training."""
FLOOR = range(16, 32)
"""Numbers of the plain floor tiles, the same in all tilesets."""
STEP_X, STEP_Y = 32, 16
THINGS = 10


def ground(package: Path, part: str, side: int, rng: np.random.Generator) -> Image.Image:
    """A square of ground, `side` pixels wide, as RGB."""
    floors, things = _tiles(package, str(rng.choice(TILESETS[part])))
    canvas = Image.new("RGBA", (side, side), (40, 40, 40, 255))
    for row in range(-1, side // STEP_Y + 2):
        for column in range(-1, side // (2 * STEP_X) + 2):
            tile = floors[rng.integers(len(floors))]
            _put(canvas, tile, column * 2 * STEP_X + row % 2 * STEP_X, row * STEP_Y)
    for x, y in sorted(rng.uniform(0, side, (THINGS, 2)), key=lambda place: place[1]):
        if things and max(abs(x - side / 2), abs(y - side / 2)) > side / 4:  # beside the one that acts
            _put(canvas, things[rng.integers(len(things))], int(x), int(y))
    return canvas.convert("RGB")


def _put(canvas: Image.Image, tile: tuple[Image.Image, int, int], x: int, y: int) -> None:
    picture, foot_x, foot_y = tile
    canvas.paste(picture, (x - foot_x, y - foot_y), picture)


@cache
def _tiles(package: Path, name: str) -> tuple[list[tuple[Image.Image, int, int]], list[tuple[Image.Image, int, int]]]:
    """Floor tiles and things of a tileset: a picture and the point of it that is placed."""
    folder = package / MODS / "fantasycore"
    with Image.open(folder / "images" / "tilesets" / f"tileset_{name}.png") as opened:
        sheet = opened.convert("RGBA")
    floors, things = [], []
    for line in (folder / "tilesetdefs" / f"tileset_{name}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("tile="):
            number, x, y, width, height, foot_x, foot_y = map(int, line.partition("=")[2].split(",")[:7])
            tile = (sheet.crop((x, y, x + width, y + height)), foot_x, foot_y)
            if number in FLOOR:
                floors.append(tile)
            elif height > 2 * STEP_Y:
                things.append(tile)
    return floors, things
