"""The creatures of the game FLARE: which pictures of their sheets show which action, as their definitions say.

A definition (`animations/enemies/zombie.txt`) names a sheet and, action by action, the box of every picture in each of
eight directions. So the labels are the authors' own. Where two actions of a creature have the same pictures, nothing
in a clip could tell them apart, and neither is used: of antlions and wyverns, for example, shooting is casting.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from PIL import Image

PACKAGE = "flare-game"
LICENCE = "CC-BY-SA-3.0 or later (art and data of FLARE, Clint Bellanger and others, as the package's copyright says)"
MODS = "usr/share/games/flare/mods"
DIRECTIONS = 8

ACTION_OF = {
    "stance": "stance",
    "run": "run",
    "swing": "swing",
    "shoot": "shoot",
    "cast": "cast",
    "cast_alt": "cast",
    "block": "block",
    "hit": "hit",
    "die": "die",
    "critdie": "die",
}
"""The classes, by the definitions' names; what else they define (spawn, shield_bash ...) few creatures have."""
ACTIONS = tuple(sorted(set(ACTION_OF.values())))
BEGINNING_OF = {("hit", "die")}
"""Who is hit begins as who dies, but gets up again: a clip tells them apart, so these pictures may be shared."""

FAMILY_OF = {
    "hobgoblin": "goblin",
    "goblin": "goblin",
    "antlion": "antlion",
    "fire_ant": "antlion",
    "ice_ant": "antlion",
    "wyvern": "wyvern",
    "skeleton": "skeleton",
    "zombie": "zombie",
    "minotaur": "minotaur",
    "stealth": "stealth",
}
"""Family by the beginning of a sheet's name. The hobgoblins are goblins: the same figures move in the same way."""

SLOTS = {
    "feet": ("default_feet", "cloth_sandals", "chain_boots", "leather_boots", "plate_boots", "mage_boots"),
    "legs": ("default_legs", "cloth_pants", "chain_greaves", "leather_pants", "plate_greaves", "mage_skirt"),
    "hands": ("default_hands", "cloth_gloves", "chain_gloves", "leather_gloves", "plate_gauntlets", "mage_sleeves"),
    "chest": ("default_chest", "cloth_shirt", "chain_cuirass", "leather_chest", "plate_cuirass", "mage_vest"),
    "head": ("head_bald", "head_short", "head_long", "chain_coif", "leather_hood", "plate_helm", "mage_hood"),
    "main": (
        "dagger",
        "longsword",
        "greatsword",
        "battle_axe",
        "mace",
        "club",
        "longbow",
        "slingshot",
        "staff",
        "wand",
    ),
    "off": ("", "buckler", "iron_buckler", "shield"),
}
"""What heroes wear and hold, drawn in layers. It is put together regardless of the action, so that it tells nothing."""


@dataclass(frozen=True)
class Picture:
    """One picture of a sheet: its box in pixels, and where in it the creature stands."""

    x: int
    y: int
    width: int
    height: int
    foot_x: int
    foot_y: int


NOTHING = Picture(0, 0, 0, 0, 0, 0)
"""Of a layer that cannot be seen just now, as a dagger behind its owner."""


@dataclass(frozen=True)
class Animation:
    """What a definition says of one name.

    Attributes:
        name: in the definition.
        action: the class.
        kind: "looped", "back_forth" or "play_once".
        pictures: `[place][direction]`.
    """

    name: str
    action: str
    kind: str
    pictures: tuple[tuple[Picture, ...], ...]

    def seen(self) -> frozenset[Picture]:
        """All its pictures, whatever their order."""
        return frozenset(picture for place in self.pictures for picture in place)


@dataclass(frozen=True)
class Definition:
    """A definition file: its sheet and all its animations by their names in the file."""

    sheet: Path
    animations: dict[str, Animation]

    def own(self) -> dict[str, tuple[Animation, ...]]:
        """The animations of each action that has pictures of its own."""
        known = list(self.animations.values())
        own: dict[str, list[Animation]] = {}
        for one in known:
            others = [other for other in known if other.action != one.action]
            same = [other for other in others if (one.action, other.action) not in BEGINNING_OF]
            alike = own.setdefault(one.action, [])
            if not any(one.seen() <= other.seen() for other in same) and one.seen() not in [a.seen() for a in alike]:
                alike.append(one)
        return {action: tuple(found) for action, found in own.items() if found}


@dataclass(frozen=True)
class Creature:
    """Something that acts: one sheet, or the layers of a hero in the order of drawing for each direction."""

    name: str
    family: str
    layers: tuple[tuple[Definition, ...], ...]

    @cached_property
    def own(self) -> dict[str, tuple[Animation, ...]]:
        """The animations of each action; of a hero, as the first layer has them."""
        return self.layers[0][0].own()

    def drawn(self, name: str, place: int, direction: int) -> tuple[Image.Image, int, int]:
        """A picture with the point of it where the creature stands."""
        shown = [layer for layer in self.layers[direction] if name in layer.animations]
        return _put_together([(layer, layer.animations[name].pictures[place][direction]) for layer in shown])


def read_definition(path: Path, mod: Path) -> Definition | None:
    """A definition file; None where it only changes another one."""
    sheet, animations, name = "", {}, ""
    kinds: dict[str, str] = {}
    boxes: dict[str, dict[tuple[int, int], Picture]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        key, _, value = line.strip().partition("=")
        if line.startswith("INCLUDE"):
            return None
        if key.startswith("["):
            name = key.strip("[]")
            boxes[name] = {}
        elif key == "image" and not sheet:
            sheet = value
        elif key == "type":
            kinds[name] = value
        elif key == "frame":
            place, direction, *box = map(int, value.split(",")[:8])
            boxes[name][place, direction] = Picture(*box)
    for name in boxes:
        places = 1 + max((place for place, _ in boxes[name]), default=-1)
        if name in ACTION_OF:
            pictures = tuple(tuple(boxes[name].get((i, d), NOTHING) for d in range(DIRECTIONS)) for i in range(places))
            animations[name] = Animation(name, ACTION_OF[name], kinds[name], pictures)
    return Definition(mod / sheet, animations) if sheet and animations else None


def creatures(package: Path) -> list[Creature]:
    """All creatures of a family that move, one for each sheet, in the order of their names."""
    found, sheets = [], set()
    for mod in ("fantasycore", "empyrean_campaign"):
        folder = package / MODS / mod
        for path in sorted((folder / "animations" / "enemies").glob("*.txt")):
            family = next((family for begin, family in FAMILY_OF.items() if path.stem.startswith(begin)), None)
            definition = read_definition(path, folder) if family else None
            if definition and family and len(definition.animations) > 3 and definition.sheet not in sheets:
                sheets.add(definition.sheet)
                found.append(Creature(path.stem, family, ((definition,),) * DIRECTIONS))
    return found


def heroes(package: Path, rng: np.random.Generator, number: int) -> list[Creature]:
    """Men and women in armour put together at random."""
    return [_hero(package, rng, f"hero_{i:03}") for i in range(number)]


def _hero(package: Path, rng: np.random.Generator, name: str) -> Creature:
    folder = package / MODS / "fantasycore"
    avatar = folder / "animations" / "avatar" / str(rng.choice(["male", "female"]))
    worn: dict[str, Definition] = {}
    for slot, things in SLOTS.items():
        there = [thing for thing in things if not thing or (avatar / f"{thing}.txt").exists()]
        thing = str(rng.choice(there))
        definition = _read_once(avatar / f"{thing}.txt", folder) if thing else None
        if definition:
            worn[slot] = definition
    order = list(_layer_order(folder / "engine" / "hero_layers.txt"))
    return Creature(name, "hero", tuple(tuple(worn[slot] for slot in slots if slot in worn) for slots in order))


@cache
def _read_once(path: Path, folder: Path) -> Definition | None:
    return read_definition(path, folder)


def _layer_order(path: Path) -> Iterator[list[str]]:
    """The slots of each direction, what is drawn first in front."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("layer="):
            yield line.partition("=")[2].split(",")[1:]


@cache
def _sheet(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGBA")


def _put_together(layers: list[tuple[Definition, Picture]]) -> tuple[Image.Image, int, int]:
    """Layers over each other, on the smallest canvas that takes all of them."""
    left, top = max(p.foot_x for _, p in layers), max(p.foot_y for _, p in layers)
    right = max(p.width - p.foot_x for _, p in layers)
    bottom = max(p.height - p.foot_y for _, p in layers)
    canvas = Image.new("RGBA", (max(1, left + right), max(1, top + bottom)))
    for definition, p in layers:
        part = _sheet(definition.sheet).crop((p.x, p.y, p.x + p.width, p.y + p.height))
        if part.width and part.height:
            canvas.alpha_composite(part, (left - p.foot_x, top - p.foot_y))
    return canvas, left, top
