"""Parts of files, and random looks at them: what training sees beside the protocol's views."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mvit_cli.errors import MediaError
from mvit_cli.media.decode import decode
from mvit_cli.media.request import DecodeRequest, Look, Windows
from mvit_cli.protocol import Sampling, Transform

CLIP = str(Path(__file__).parent / "data" / "pan_left.mp4")  # 3 s, 25 frames a second
TRANSFORM = Transform((0.45,) * 3, (0.225,) * 3, 32, 32)
WHOLE = DecodeRequest(CLIP, Sampling("clip", 4, 4, 30.0), TRANSFORM)


def spans(request: DecodeRequest) -> list[tuple[float, float]]:
    return [(round(clip.start_s, 2), round(clip.end_s, 2)) for clip in decode(request).clips]


def test_a_part_is_sampled_like_a_video_of_its_own() -> None:
    """To a frame of this file, 1/25 s."""
    first, second = spans(replace(WHOLE, num_clips=2, part=(1.0, 2.0)))
    (alone,) = spans(replace(WHOLE, part=(2.2, None)))
    assert first == pytest.approx((1.0, 1.53), abs=0.04)
    assert second == pytest.approx((1.47, 2.0), abs=0.04)
    assert alone == pytest.approx((2.33, 2.87), abs=0.04)
    both = decode(replace(WHOLE, num_clips=2, part=(1.0, 2.0))).clips
    assert min(both[0].indices) >= 25
    assert max(both[1].indices) < 50


def test_a_part_shorter_than_a_clip_is_told_and_one_behind_the_end_refused() -> None:
    (warning,) = decode(replace(WHOLE, part=(1.0, 1.2))).warnings
    assert warning.startswith("the part is 0.20 s long and a clip needs 0.53 s")
    with pytest.raises(MediaError, match=r"the part begins at 9 s, the video ends at 3\.0"):
        decode(replace(WHOLE, part=(9.0, None)))


@pytest.mark.parametrize(("start", "begins"), [(0.0, 0.0), (0.5, 1.23), (1.0, 2.47)])
def test_a_look_begins_anywhere_in_the_file(start: float, begins: float) -> None:
    (clip,) = decode(replace(WHOLE, look=Look(start))).clips
    assert clip.start_s == pytest.approx(begins, abs=0.04)
    assert clip.end_s - clip.start_s == pytest.approx(16 / 30, abs=0.04)


def test_a_look_stays_in_its_part() -> None:
    for start in (0.0, 0.3, 1.0):
        (clip,) = decode(replace(WHOLE, part=(1.0, 2.0), look=Look(start))).clips
        assert 1.0 - 0.04 <= clip.start_s <= clip.end_s <= 2.0 + 0.04


def test_a_look_at_segments_leaves_out_a_little() -> None:
    request = replace(WHOLE, sampling=Sampling("segments", 4))
    early, late = (decode(replace(request, look=Look(start))).clips[0].indices for start in (0.0, 1.0))
    assert early[0] < late[0]
    assert early[-1] < late[-1]


@pytest.mark.parametrize("antialias", [False, True])
def test_the_box_of_a_look_is_cut_resized_and_mirrored(antialias: bool) -> None:
    transform = replace(TRANSFORM, antialias=antialias)
    exact = replace(transform, resize=48, crop=48)
    frame = decode(replace(WHOLE, transform=replace(exact, resize=96, crop=96), look=Look(0.5))).pixels[0]
    box = (0.25, 0.5, 0.75, 1.0)
    plain = decode(replace(WHOLE, transform=transform, look=Look(0.5, box))).pixels[0]
    assert plain.shape == (4, 32, 32, 3)
    mirrored = decode(replace(WHOLE, transform=transform, look=Look(0.5, box, mirrored=True))).pixels[0]
    assert np.array_equal(mirrored, plain[:, :, ::-1])
    # the same place of the same frame, made small in two steps: equal but for what blurs at edges
    small = np.stack([np.asarray(Image.fromarray(one[48:, 24:72]).resize((32, 32))) for one in frame])
    assert np.abs(small.astype(float) - plain.astype(float)).mean() < 12
    other = decode(replace(WHOLE, transform=transform, look=Look(0.5, (0.0, 0.0, 0.5, 0.5)))).pixels[0]
    assert np.abs(small.astype(float) - other.astype(float)).mean() > 24


def test_a_still_image_is_looked_at_too(tmp_path: Path) -> None:
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:, 30:] = 200
    Image.fromarray(picture).save(tmp_path / "half.png")
    request = replace(WHOLE, path=str(tmp_path / "half.png"), look=Look(0.0, (0.5, 0.0, 1.0, 1.0)))
    assert (decode(request).pixels == 200).all()


def test_looks_that_are_none_are_refused() -> None:
    for look in ((-0.1,), (0.0, (0.5, 0.0, 0.5, 1.0)), (0.0, (0.0, 0.0, 1.0, 1.1))):
        with pytest.raises(ValueError, match="shares from 0 to 1"):
            Look(*look)
    with pytest.raises(ValueError, match="one clip with one crop"):
        replace(WHOLE, num_clips=2, look=Look(0.0))
    with pytest.raises(ValueError, match="not cut into windows"):
        replace(WHOLE, part=(0.0, 1.0), windows=Windows(1.0, 1.0))
