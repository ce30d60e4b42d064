"""The colours of pages and pictures: told apart in grey and by eyes that lack a cone, and text on them is read."""

from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mvit_cli.report import figures, palette

Array = NDArray[np.float64]

XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
"""Linear sRGB to CIE XYZ, D65 (IEC 61966-2-1)."""

EYES = {  # linear sRGB as it is seen; full deficiency: Machado, Oliveira, Fernandes 2009, table of severity 1.0
    "all cones": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
FAR = 25.0  # of CIE 1976; 2.3 is just noticeable side by side, ten times that also far apart and small
STEP = 7.0  # of lightness, 0 to 100, between any two fills: eight of them from 25 to 88
NEIGHBOURS = 20.0  # of lightness, between fills that touch


def lab(colour: str, eyes: str = "all cones") -> Array:
    """CIELAB (CIE 1976) of a colour as it is seen."""
    seen = np.clip(EYES[eyes] @ np.array(palette.linear(colour)), 0, 1)
    parts = XYZ @ seen / (XYZ @ np.ones(3))
    x, y, z = (np.cbrt(t) if t > (6 / 29) ** 3 else t / (3 * (6 / 29) ** 2) + 4 / 29 for t in parts)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(one: str, other: str) -> float:
    """Of WCAG 2: 1 to 21."""
    dark, light = sorted((palette.luminance(one), palette.luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_lab_knows_white_black_and_grey() -> None:
    assert lab("#ffffff") == pytest.approx([100, 0, 0], abs=0.02)
    assert lab("#000000") == pytest.approx([0, 0, 0], abs=1e-9)
    assert lab("#777777")[0] == pytest.approx(50, abs=0.3)  # the middle grey of sRGB


@pytest.mark.parametrize("eyes", EYES)
def test_fills_are_far_apart_for_all_eyes(eyes: str) -> None:
    near = {
        (one, other): distance
        for one, other in combinations(palette.FILLS, 2)
        if (distance := float(np.linalg.norm(lab(one, eyes) - lab(other, eyes)))) < FAR
    }
    assert not near


def test_fills_are_told_apart_in_grey() -> None:
    lightness = [float(lab(colour)[0]) for colour in palette.FILLS]
    assert min(after - before for before, after in pairwise(sorted(lightness))) > STEP
    assert min(abs(after - before) for before, after in pairwise(lightness)) > NEIGHBOURS


@pytest.mark.parametrize("ground", [palette.LIGHT, palette.DARK, palette.PRINT], ids=["light", "dark", "print"])
def test_text_is_read_on_every_ground(ground: palette.Ground) -> None:
    for name in ("ink", "dim", "accent", "warn", "bad"):
        assert contrast(getattr(ground, name), ground.paper) > 4.5, name  # WCAG 2, 1.4.3


@pytest.mark.parametrize("fill", palette.FILLS)
def test_text_is_read_on_every_fill(fill: str) -> None:
    assert contrast(palette.ink_on(fill), fill) > 4.5


@pytest.mark.parametrize(
    ("lines", "ground"), [(palette.LINES, palette.PRINT), (palette.LINES_ON_DARK, palette.DARK)], ids=["light", "dark"]
)
def test_lines_are_seen_on_their_ground(lines: tuple[str, ...], ground: palette.Ground) -> None:
    assert min(contrast(colour, ground.paper) for colour in lines) > 3  # WCAG 2, 1.4.11


def test_a_dark_picture_is_dark_and_the_same_otherwise(tmp_path: Path) -> None:
    corners = {}
    for name in ("a.png", "a.dark.png"):
        with figures.picture(tmp_path / name, "title", width=2, height=2) as figure:
            figure.subplots().plot([0, 1], [0, 1], **figures.line(0))
        corners[name] = Image.open(tmp_path / name).convert("RGB").getpixel((1, 1))
    assert corners == {"a.png": (255, 255, 255), "a.dark.png": (0x11, 0x13, 0x15)}


def test_a_share_is_as_dark_as_it_is_high() -> None:
    colours = figures.colours_of_shares()
    greys = [float(np.array([0.2126, 0.7152, 0.0722]) @ np.array(colours(share)[:3])) for share in np.linspace(0, 1, 9)]
    assert greys == sorted(greys, reverse=True)
    assert greys[0] - greys[-1] > 0.5
