"""The demonstration on FLARE's creatures: which labels its clips have, and who is in which part."""

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.append(str(Path(__file__).parents[1] / "training" / "flare"))
from clips import FAMILIES, planned
from creatures import MODS, Animation, Definition, creatures, read_definition
from film import FPS, FRAMES, timeline

SHEET = Image.new("RGBA", (64, 64), (200, 30, 30, 255))


def section(name: str, kind: str, boxes: list[int]) -> str:
    """An animation with one picture a place, its box 8 pixels wide at that column, the same in all directions."""
    frames = [f"frame={place},{side},{8 * box},0,8,16,4,15" for place, box in enumerate(boxes) for side in range(8)]
    return "\n".join([f"[{name}]", f"frames={len(boxes)}", "duration=400ms", f"type={kind}", *frames, ""])


def write_creature(package: Path, name: str, *sections: str) -> Path:
    folder = package / str(MODS) / "fantasycore"
    (folder / "animations" / "enemies").mkdir(parents=True, exist_ok=True)
    (folder / "images").mkdir(exist_ok=True)
    SHEET.save(folder / "images" / f"{name}.png")
    path = folder / "animations" / "enemies" / f"{name}.txt"
    path.write_text("\n".join([f"image=images/{name}.png", "", *sections]))
    return path


STANCE = section("stance", "back_forth", [0, 1])
RUN = section("run", "looped", [2, 3])
DIE = section("die", "play_once", [4, 5, 6])
HIT = section("hit", "back_forth", [4, 5])
SHOOT, CAST = section("shoot", "play_once", [7]), section("cast", "play_once", [7])
BLOCK = section("block", "play_once", [1])


def definition(package: Path, *sections: str) -> Definition:
    found = read_definition(write_creature(package, "zombie", *sections), package / MODS / "fantasycore")
    assert found
    return found


def test_actions_with_the_same_pictures_are_not_used(tmp_path: Path) -> None:
    found = definition(tmp_path, STANCE, RUN, DIE, HIT, SHOOT, CAST, BLOCK)
    # shoot is cast; block is a part of stance; hit is how die begins, but who is hit gets up again
    assert sorted(found.own()) == ["die", "hit", "run", "stance"]


def test_a_picture_that_a_layer_lacks_is_empty(tmp_path: Path) -> None:
    lines = STANCE.replace("frame=1,3,8,0,8,16,4,15\n", "")
    pictures = definition(tmp_path, lines).animations["stance"].pictures
    assert (pictures[1][3].width, pictures[1][2].width) == (0, 8)


def test_a_definition_that_changes_another_one_is_none(tmp_path: Path) -> None:
    path = write_creature(tmp_path, "zombie", "INCLUDE animations/enemies/skeleton.txt", STANCE)
    assert read_definition(path, tmp_path / MODS / "fantasycore") is None


def test_two_definitions_of_one_sheet_are_one_creature(tmp_path: Path) -> None:
    path = write_creature(tmp_path, "goblin", STANCE, RUN, DIE, SHOOT)
    path.with_name("goblin_runner.txt").write_text(path.read_text())
    assert [(one.name, one.family) for one in creatures(tmp_path)] == [("goblin", "goblin")]


def test_no_family_stands_in_two_parts() -> None:
    named = [family for families in FAMILIES.values() for family in families]
    assert len(named) == len(set(named))


def animations(package: Path) -> dict[str, Animation]:
    known: dict[str, Animation] = definition(package, STANCE, RUN, DIE, HIT).animations
    return known


@pytest.mark.parametrize("seed", range(20))
def test_who_dies_stays_down_and_who_is_hit_stands_again(seed: int, tmp_path: Path) -> None:
    known = animations(tmp_path)
    died = timeline(known["die"], known["stance"], 0.12, np.random.default_rng(seed))
    first = next(frame for frame, (name, _) in enumerate(died) if name == "die")
    assert {name for name, _ in died[first:]} == {"die"}
    assert died[-1] == ("die", 2)
    hit = timeline(known["hit"], known["stance"], 0.12, np.random.default_rng(seed))
    assert ("stance", 0) in hit[first:] or ("stance", 1) in hit[first:]


def test_pictures_follow_each_other_as_fast_as_drawn_whatever_the_action(tmp_path: Path) -> None:
    known = animations(tmp_path)
    for name in ("run", "stance"):
        shown = timeline(known[name], known["stance"], 0.2, np.random.default_rng(0))
        changes = sum(one != other for one, other in pairwise(shown))
        # at 15 frames a second a picture of 0.2 s stays for 3 frames, so 36 frames have 11 or 12 changes
        assert changes in (11, 12), name
    assert len(shown) == FRAMES
    assert FPS * 0.2 == 3


def write_cast(package: Path) -> None:
    everything = [
        section(name, "play_once", [place]) for place, name in enumerate(("stance", "run", "swing", "die", "hit"))
    ]
    rest = [section(name, "play_once", [place]) for place, name in enumerate(("shoot", "cast", "block"), 5)]
    for name in ("skeleton", "goblin", "minotaur"):
        write_creature(package, name, *everything, *rest)
    write_creature(package, "zombie", *everything)


def test_classes_are_balanced_and_a_smaller_set_is_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clips.heroes", lambda package, rng, number: [])
    write_cast(tmp_path)
    large = planned(tmp_path, {"train": 3, "val": 2, "test": 4})
    counts = {(c.part, c.action): 0 for c in large}
    for clip in large:
        counts[clip.part, clip.action] += 1
    assert {part: number for (part, _), number in counts.items()} == {"train": 3, "val": 2, "test": 4}
    assert len(counts) == 3 * 8
    swings = [c.creature.family for c in large if (c.part, c.action) == ("test", "swing")]
    casts = [c.creature.family for c in large if (c.part, c.action) == ("test", "cast")]
    assert sorted(swings) == ["minotaur", "minotaur", "zombie", "zombie"]
    assert set(casts) == {"minotaur"}
    small = planned(tmp_path, {"train": 1, "val": 1, "test": 2})
    assert {c.path for c in small} < {c.path for c in large}
