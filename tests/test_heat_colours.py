"""Heat over pictures: where it is laid, what overlapping crops make of it, and what nobody saw."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from media_clips import clip, draw

from mvit_cli.insight.colours import UNSEEN, colour_scale, over_crop, over_whole, step_of, strength_of
from mvit_cli.media.decode import attempt
from mvit_cli.media.request import Decoded, DecodeRequest, Windows
from mvit_cli.media.transforms import crops_of
from mvit_cli.media.whole import MOST_BYTES, Gathering, boxes_of
from mvit_cli.media.windows import outcomes_of
from mvit_cli.protocol import Sampling, Transform

HALF = (0.5,) * 3


def request(crop: int = 64, crops: int = 3, name: str = "rot90.mp4", **changes: Any) -> DecodeRequest:
    transform = Transform(HALF, HALF, 64, crop)
    return DecodeRequest(clip(name), Sampling("clip", 4, 2, 30.0), transform, 2, crops, whole=True, **changes)


@pytest.mark.parametrize("size", [(128, 320), (320, 128)])
@pytest.mark.parametrize("crop", [64, 48])
def test_boxes_are_where_the_crops_are(size: tuple[int, int], crop: int) -> None:
    """A frame whose red and green say where a pixel lies: the corners of a crop tell its place."""
    height, width = size
    frame = np.zeros((height, width, 3), np.uint8)
    frame[..., 0], frame[..., 1] = np.linspace(0, 255, width)[None], np.linspace(0, 255, height)[:, None]
    asked = request(crop)
    for (left, top, right, bottom), seen in zip(
        boxes_of(height, width, asked), crops_of(frame, asked.transform, 3), strict=True
    ):
        found = seen[0, 0, 0] / 255, seen[0, 0, 1] / 255, seen[-1, -1, 0] / 255, seen[-1, -1, 1] / 255
        assert found == pytest.approx((left, top, right, bottom), abs=0.02)  # half a pixel of 64, and rounding


def test_whole_frames_are_those_of_the_clips_in_their_own_proportion() -> None:
    decoded = attempt(request())
    assert isinstance(decoded, Decoded)
    (whole,) = decoded.whole
    shown = sorted({index for one in decoded.clips for index in one.indices})
    assert whole.indices == tuple(shown)
    assert whole.pixels.shape == (len(shown), 320, 180, 3)
    assert whole.times_s == pytest.approx([index / 25 for index in shown], abs=1e-6)
    for number, one in enumerate(decoded.clips):  # where a crop lies in the whole frame there is what it shows
        frame = whole.pixels[whole.indices.index(one.indices[0])]
        for crop, (left, top, right, bottom) in enumerate(whole.boxes):
            part = frame[round(top * 320) : round(bottom * 320), round(left * 180) : round(right * 180)]
            assert part.mean() == pytest.approx(decoded.pixels[number * 3 + crop, 0].mean(), abs=3)


@pytest.mark.parametrize(
    ("ratio", "size"), [((2, 1), (448, 168)), ((1, 2), (298, 448)), ((0, 1), (320, 240)), ((9, 1), (320, 240))]
)
def test_pixels_that_are_shown_wide_are_wide_in_whole_frames(
    ratio: tuple[int, int], size: tuple[int, int], tmp_path: Path
) -> None:
    """Of 320 x 240 pixels: 2 to 1 is 640 x 240, 1 to 2 is 320 x 480, at most 448; 9 to 1 is a damaged header."""
    path = tmp_path / "in.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(*ratio)
        for number in range(30):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(draw(number, 320, 240), format="rgb24")))
        container.mux(stream.encode(None))
    asked = replace(request(), path=str(path))
    for outcome in (attempt(asked), *outcomes_of(replace(asked, windows=Windows(1.0, 1.0)))):
        assert isinstance(outcome, Decoded)
        (whole,) = outcome.whole
        assert whole.pixels.shape[1:3] == size[::-1]


def test_windows_have_whole_frames_of_their_own() -> None:
    outcomes = [one for one in outcomes_of(request(windows=Windows(1.0, 0.5))) if isinstance(one, Decoded)]
    assert len(outcomes) > 2
    for one in outcomes:
        (whole,) = one.whole
        assert set(whole.indices) == {index for part in one.clips for index in part.indices}
        assert one.window is not None
        assert min(whole.times_s) >= one.window.start_s - 0.04


def test_nobody_who_does_not_ask_gets_them() -> None:
    decoded = attempt(DecodeRequest(clip("rot90.mp4"), Sampling("clip", 4, 2, 30.0), Transform(HALF, HALF, 64, 64)))
    assert isinstance(decoded, Decoded)
    assert decoded.whole == ()


def test_many_frames_are_smaller_so_that_all_are_bounded() -> None:
    frame = np.zeros((1080, 1920, 3), np.uint8)
    assert Gathering(request(), 10).small(frame).shape == (252, 448, 3)
    for count in (1000, 100_000):
        small = Gathering(request(), count).small(frame)
        assert 0.5 * MOST_BYTES < count * small.nbytes <= MOST_BYTES


def test_the_mean_is_laid_where_crops_overlap_and_what_none_saw_is_dimmed() -> None:
    frame = np.full((20, 80, 3), 100, np.uint8)
    nothing, all_of_it = np.zeros((2, 2), np.float32), np.ones((2, 2), np.float32)
    half = over_crop(frame[:, :10], np.full((2, 2), 0.5, np.float32))
    shown = over_whole(frame, [all_of_it, nothing], [(0.0, 0.0, 0.5, 1.0), (0.25, 0.0, 0.75, 1.0)])
    assert (shown[:, :20] == over_crop(frame[:, :20], all_of_it)).all()
    assert (shown[:, 20:40] == half[0, 0]).all()
    assert (shown[:, 40:60] == 100).all()
    assert (shown[:, 60:] == round(100 * UNSEEN)).all()


def test_the_scale_is_seen_in_grey_and_what_speaks_against_is_nothing() -> None:
    scale = [bytes.fromhex(colour[1:]) for colour in colour_scale(9, background=0)]
    lightness = [0.299 * red + 0.587 * green + 0.114 * blue for red, green, blue in scale]
    assert all(one < other for one, other in pairwise(lightness))
    assert colour_scale(9)[0] == "#808080"
    heat = np.asarray([[[[-3.0, 0.0], [1.0, 2.0]]]], np.float32)
    assert strength_of(heat).ravel().tolist() == pytest.approx([0, 0, 0.5, 1], abs=0.01)  # the quantile is near 2
    assert not strength_of(-np.abs(heat)).any()


def test_frames_belong_to_the_steps_that_cover_them() -> None:
    assert [step_of(frame, 8, 4) for frame in range(8)] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [step_of(frame, 4, 4) for frame in range(4)] == [0, 1, 2, 3]
