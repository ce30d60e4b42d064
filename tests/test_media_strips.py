"""Frames for people: the right ones, in order, as JPEG files of bounded size, and only where they are asked for."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from media_clips import clip
from PIL import Image

from mvit_cli.media.decode import attempt, decode
from mvit_cli.media.request import Clip, DecodeRequest, Detail, Pictures, Strip
from mvit_cli.media.strips import GAP, MAX_STRIPS, POSTER_BYTES, STRIP_BYTES, evenly, pictures_of
from mvit_cli.media.workers.pool import DecodePool
from mvit_cli.protocol import Sampling, Transform

GREY = (0.45, 0.45, 0.45)


def request(detail: Detail = "strips", clips: int = 3, frames: int = 16, side: int = 96, crops: int = 1):
    transform = Transform(GREY, GREY, side, side)
    return DecodeRequest("x.mp4", Sampling("clip", frames, 4, 30.0), transform, clips, crops, pictures=detail)


def clips_of(number: int, frames: int = 16) -> list[Clip]:
    return [Clip(tuple(range(first, first + frames)), first / 25, first / 25 + 1) for first in range(number)]


def opened(strip: Strip) -> np.ndarray:
    with Image.open(io.BytesIO(strip.jpeg)) as image:
        assert image.format == "JPEG"
        assert image.size == (strip.width, strip.height)
        return np.asarray(image.convert("RGB"))


def greys(strip: Strip) -> list[float]:
    """The mean of each frame."""
    picture, side = opened(strip), strip.height
    return [picture[:, left : left + side].mean() for left in range(0, strip.width, side + GAP)]


def graded(views: int, frames: int, side: int = 96) -> np.ndarray:
    """Frames of one grey each, brighter from frame to frame and from view to view."""
    shades = np.linspace(50, 250, views * frames).reshape(views, frames, 1, 1, 1)
    return np.broadcast_to(shades, (views, frames, side, side, 3)).astype(np.uint8)


def test_a_strip_has_the_frames_of_its_clip_in_order() -> None:
    pixels = graded(3, 16)
    pictures = pictures_of(pixels, clips_of(3), request())
    assert [strip.clip for strip in pictures.strips] == [0, 1, 2]
    for strip, view in zip(pictures.strips, pixels, strict=True):
        np.testing.assert_allclose(greys(strip), view.mean(axis=(1, 2, 3)), atol=4)  # JPEG, and the gap beside


def test_the_poster_shows_the_whole_file() -> None:
    poster = pictures_of(graded(3, 16), clips_of(3), request("poster")).poster
    shades = np.linspace(50, 250, 48)
    np.testing.assert_allclose(greys(poster), shades[[6, 18, 30, 42]], atol=4)


def test_of_three_crops_the_middle_one_is_shown() -> None:
    pixels = np.repeat(np.array([60, 120, 180, 70, 130, 190], np.uint8), 16 * 32 * 32 * 3).reshape(6, 16, 32, 32, 3)
    pictures = pictures_of(pixels, clips_of(2), request(clips=2, side=32, crops=3))
    assert [round(greys(strip)[0], -1) for strip in pictures.strips] == [120, 130]


def test_pixels_with_fractions_are_shown_too() -> None:
    pixels = graded(1, 4, 32).astype(np.float32) + 0.4
    assert greys(pictures_of(pixels, clips_of(1, 4), request(clips=1, frames=4, side=32)).poster)


def test_of_long_clips_and_many_clips_some_are_chosen() -> None:
    pictures = pictures_of(graded(30, 64, 16), clips_of(30, 64), request(clips=30, frames=64, side=16))
    assert [strip.clip for strip in pictures.strips] == evenly(30, MAX_STRIPS)
    assert {strip.num_frames for strip in pictures.strips} == {16}


@pytest.mark.parametrize(
    ("count", "most", "places"), [(3, 5, [0, 1, 2]), (4, 2, [1, 3]), (1, 4, [0]), (9, 3, [1, 4, 7])]
)
def test_evenly(count: int, most: int, places: list[int]) -> None:
    assert evenly(count, most) == places


def test_noise_fits_the_bytes_too() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 224, 224, 3), np.uint8)
    pictures = pictures_of(pixels, clips_of(2), request(clips=2, side=224))
    assert len(pictures.poster.jpeg) <= POSTER_BYTES
    assert all(len(strip.jpeg) <= STRIP_BYTES for strip in pictures.strips)


def seen(path: str, detail: Detail, workers: int) -> Pictures | None:
    asked = replace(request(detail, clips=2, frames=4), path=path)
    with DecodePool(workers) as pool:
        (outcome,) = pool.imap([asked])
    return outcome.pictures


def test_pictures_cross_from_the_worker() -> None:
    there = seen(clip("rot90.mp4"), "strips", workers=1)
    assert there == seen(clip("rot90.mp4"), "strips", workers=0)
    assert len(there.strips) == 2


def test_nobody_asks_and_nothing_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("mvit_cli.media.decode.pictures_of", refuse)
    assert attempt(replace(request("none"), path=clip("rot90.mp4"))).pictures is None
    assert seen(clip("rot90.mp4"), "none", workers=0) is None


def test_a_still_image_is_shown_once(tmp_path: Path) -> None:
    Image.new("RGB", (60, 40), (200, 30, 90)).save(tmp_path / "still.png")
    pictures = decode(replace(request(), path=str(tmp_path / "still.png"))).pictures
    assert [strip.num_frames for strip in (pictures.poster, *pictures.strips)] == [1, 1]
    np.testing.assert_allclose(opened(pictures.poster).mean(axis=(0, 1)), (200, 30, 90), atol=6)  # JPEG
