"""Tracks: the frames they are in, boxes between boxes, and the pixels that are cut out."""

import json
import math
from dataclasses import replace
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from media_clips import read_number, write_lossless, write_video
from PIL import Image

from mvit_cli.errors import MediaError
from mvit_cli.media.decode import decode
from mvit_cli.media.request import DecodeRequest, Windows
from mvit_cli.media.tracks import Followed, Motion, Track, Unit, regions_of
from mvit_cli.media.transforms import crops_of
from mvit_cli.media.workers.wire import job_of, packed_job
from mvit_cli.protocol import Sampling, Transform

TRANSFORM = Transform((0.45,) * 3, (0.225,) * 3, 32, 32)
lossless = partial(write_video, codec="ffv1", pix_fmt="bgr0")


def request_of(path: str, track: Track | None = None, frames: int = 4) -> DecodeRequest:
    return DecodeRequest(path, Sampling("clip", frames, 1, 25.0), TRANSFORM, track=track)


def frames_of(path: str) -> list[np.ndarray]:
    """All frames by PyAV alone, turned as their display matrix says."""
    with av.open(path) as container:
        frames = list(container.decode(video=0))
        return [np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90)) for frame in frames]


def square_of(boxes: list[tuple[float, ...]], height: int, width: int, margin: float) -> tuple[int, int, int]:
    """The square about all boxes of a clip by the documented rule, a number after the other: left, top, side."""
    inside = [(max(x, 0), max(y, 0), min(x + w, width), min(y + h, height)) for x, y, w, h in boxes]
    left, top = min(one[0] for one in inside), min(one[1] for one in inside)
    right, bottom = max(one[2] for one in inside), max(one[3] for one in inside)
    side = math.ceil(max(right - left, bottom - top) * (1 + 2 * margin) - 1e-3)
    x, y = math.floor((left + right - side) / 2 + 0.5), math.floor((top + bottom - side) / 2 + 0.5)
    return min(max(x, 0), width - side), min(max(y, 0), height - side), side


def straight(at: int, first: tuple[float, ...], last: tuple[float, ...]) -> tuple[float, ...]:
    """The box at a frame between two `(frame, x, y, w, h)`, by the formula of a line."""
    way = (at - first[0]) / (last[0] - first[0])
    return tuple(one + way * (other - one) for one, other in zip(first[1:], last[1:], strict=True))


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("margin", [0.0, 0.25])
def test_a_clip_of_a_track_is_that_of_a_video_cropped_about_all_its_boxes(
    tmp_path: Path, margin: float, antialias: bool
) -> None:
    path = lossless(tmp_path / "whole.mkv", 30)
    first, last = (10.0, 20.0, 30.0, 24.0, 40.0), (14.0, 60.0, 50.0, 24.0, 40.0)
    track = Track("7", "frame", (first, last), margin)
    transform = replace(TRANSFORM, antialias=antialias)
    seen = decode(replace(request_of(path, track, 5), transform=transform))
    assert seen.clips[0].indices == (10, 11, 12, 13, 14)
    left, top, side = square_of([straight(at, first, last) for at in range(10, 15)], 120, 160, margin)
    frames = frames_of(path)
    cut = [frame[top : top + side, left : left + side] for frame in frames[10:15]]
    alone = decode(replace(request_of(write_lossless(tmp_path / "cut.mkv", cut), frames=5), transform=transform))
    # Both are lossless, and the same pixels take the same way: nothing may differ.
    assert np.array_equal(seen.pixels, alone.pixels)
    assert np.array_equal(seen.pixels[0, 2], crops_of(cut[2], transform, 1)[0])
    assert (seen.clips[0].start_s, seen.clips[0].end_s) == pytest.approx((0.4, 0.6))


def test_whole_pictures_of_a_track_are_what_is_cut_out_for_each_clip(tmp_path: Path) -> None:
    """Two clips that share frames and have places of other sizes: each has pictures of its own."""
    path = lossless(tmp_path / "whole.mkv", 30)
    boxes = tuple((at, 20 + at, 30, 24.0 + at, 40.0 + at) for at in (10.0, 12.0, 18.0))
    asked = replace(request_of(path, Track("7", "frame", boxes, 0.0), 5), num_clips=2, whole=True)
    seen = decode(asked)
    assert set(seen.clips[0].indices) & set(seen.clips[1].indices)
    frames = frames_of(path)
    for number, clip in enumerate(seen.clips):
        sides = [(0, *straight(at, boxes[at >= 12], boxes[1 + (at >= 12)])) for at in clip.indices]
        left, top, side = square_of([one[1:] for one in sides], 120, 160, 0.0)
        whole = seen.whole_of(number)
        assert whole.indices == clip.indices
        assert whole.boxes == ((0.0, 0.0, 1.0, 1.0),)
        expected = [frames[at][top : top + side, left : left + side] for at in clip.indices]
        np.testing.assert_array_equal(whole.pixels, expected)


def test_a_place_that_follows_keeps_its_size_and_goes_with_the_object(tmp_path: Path) -> None:
    path = lossless(tmp_path / "whole.mkv", 20)
    first, last = (5.0, 20.0, 30.0, 24.0, 32.0), (8.0, 50.0, 39.0, 24.0, 40.0)
    seen = decode(request_of(path, Track("7", "frame", (first, last), 0.0, "follow")))
    frames, side = frames_of(path), 40  # the longest side of the clip
    for place, at in enumerate(range(5, 9)):
        x, y, w, h = straight(at, first, last)
        left, top = math.floor(x + w / 2 - side / 2 + 0.5), math.floor(y + h / 2 - side / 2 + 0.5)
        cut = frames[at][top : top + side, left : left + side]
        assert np.array_equal(seen.pixels[0, place], crops_of(cut, TRANSFORM, 1)[0])


def test_boxes_are_of_the_picture_as_it_is_shown(tmp_path: Path) -> None:
    """A file turned by a quarter: its coded pictures lie, and boxes are of what stands."""
    plain = write_video(tmp_path / "plain.mp4", 12)
    turned = tmp_path / "turned.mp4"
    with av.open(plain) as source, av.open(str(turned), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    data = bytearray(turned.read_bytes())
    place = data.index(b"tkhd") + 4 + 40  # version, flags, times, id, duration, layer, volume (ISO 14496-12, 8.3.2)
    data[place : place + 36] = b"".join(
        value.to_bytes(4, "big", signed=True) for value in (0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    )
    turned.write_bytes(data)
    frames = frames_of(str(turned))
    assert frames[0].shape == (160, 120, 3)  # taller than wide: y beyond the coded height is in the picture
    seen = decode(request_of(str(turned), Track("7", "frame", ((3, 40, 110, 40, 40), (6, 40, 110, 40, 40)), 0.0)))
    expected = [crops_of(frame[110:150, 40:80], TRANSFORM, 1)[0] for frame in frames[3:7]]
    assert np.array_equal(seen.pixels[0], np.stack(expected))


def test_seconds_and_frames_say_the_same_where_the_rate_varies(tmp_path: Path) -> None:
    times = [0, 40, 80, 120, 400, 440, 1000, 1040, 1080, 1120]
    path = lossless(tmp_path / "varying.mkv", 10, times=times)
    by_frame = Track("a", "frame", ((2, 10, 40, 40, 40), (6, 102, 40, 40, 40)), 0.0, "follow")
    by_second = replace(by_frame, unit="second", boxes=((0.08, 10, 40, 40, 40), (1.0, 102, 40, 40, 40)))
    sampling = Sampling("segments", 5)
    one, other = (decode(replace(request_of(path, track), sampling=sampling)) for track in (by_frame, by_second))
    assert one.clips == other.clips
    assert np.array_equal(one.pixels, other.pixels)
    assert (one.clips[0].start_s, one.clips[0].end_s) == pytest.approx((0.08, 1.04))
    frames = frames_of(path)
    for place, at in enumerate(one.clips[0].indices):
        left = math.floor(10 + 92 * (times[at] - 80) / 920 + 0.5)  # evenly in time, not from frame to frame
        assert np.array_equal(one.pixels[0, place], crops_of(frames[at][40:80, left : left + 40], TRANSFORM, 1)[0])


def test_a_clip_sees_no_frame_before_its_track_begins_or_after_it_ends(tmp_path: Path) -> None:
    path = lossless(tmp_path / "numbers.mkv", 60)
    whole = (0.0, 0.0, 160.0, 120.0)
    motions: tuple[Motion, ...] = ("still", "follow")
    for motion in motions:
        track = Track("7", "frame", ((20, *whole), (39, *whole)), 0.0, motion)
        request = replace(request_of(path, track), num_clips=3, transform=replace(TRANSFORM, resize=120, crop=120))
        clips = decode(request).clips
        assert min(clips[0].indices) == 20
        assert max(clips[2].indices) == 39
    short = decode(request_of(path, Track("7", "frame", ((20, *whole), (21, *whole)))))
    assert set(short.clips[0].indices) == {20, 21}
    assert short.warnings[0].startswith("the track is 0.08 s long and a clip needs 0.16 s")
    assert read_number(frames_of(path)[20]) == 20


def test_what_reaches_out_of_the_picture_is_moved_into_it() -> None:
    def square(*box: float, margin: float = 0.0) -> tuple[int, ...]:
        x, y, w, h = box
        (region,) = regions_of(np.array([[x, y, x + w, y + h]]), 120, 160, margin, "still")
        return tuple(region)

    assert square(-30, 40, 60, 20) == (35, 0, 65, 30)  # of the box 30 x 20 are in the picture
    assert square(140, 100, 20, 20, margin=0.5) == (80, 120, 120, 160)
    assert square(50, 50, 20, 40, margin=0.25) == (40, 30, 100, 90)
    assert square(0, 0, 160, 120) == (0, 0, 120, 160)  # more than there is: all of it
    with pytest.raises(ValueError, match="outside"):
        square(160, 10, 30, 30)


@given(
    boxes=st.lists(
        st.tuples(*[st.floats(-300, 500) for _ in range(2)], *[st.floats(1, 400) for _ in range(2)]), min_size=1
    ),
    margin=st.floats(0, 2),
    follows=st.booleans(),
    extent=st.tuples(st.integers(1, 300), st.integers(1, 300)),
)
def test_regions_lie_in_the_picture_are_of_one_size_and_hold_the_object(
    boxes: list[tuple[float, float, float, float]], margin: float, follows: bool, extent: tuple[int, int]
) -> None:
    height, width = extent
    sides = np.array([(x, y, x + w, y + h) for x, y, w, h in boxes])
    try:
        regions = regions_of(sides, height, width, margin, "follow" if follows else "still")
    except ValueError:
        assert all(x >= width or y >= height or x + w <= 0 or y + h <= 0 for x, y, w, h in boxes)
        return
    assert len(regions) == len(boxes)
    assert len({(one.bottom - one.top, one.right - one.left) for one in regions}) == 1
    for region, (left, top, right, bottom) in zip(regions, sides, strict=True):
        assert 0 <= region.top < region.bottom <= height
        assert 0 <= region.left < region.right <= width
        inside = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
        if inside[0] < inside[2] and inside[1] < inside[3]:  # to half a pixel, and the thousandth of rounding
            assert region.left <= inside[0] + 0.51
            assert region.top <= inside[1] + 0.51
            assert region.right >= inside[2] - 0.51
            assert region.bottom >= inside[3] - 0.51


def test_tracks_that_are_not_in_the_file_say_where_they_would_be(tmp_path: Path) -> None:
    path = write_video(tmp_path / "short.mp4", 12)

    def failure(unit: Unit, *boxes: tuple[float, ...]) -> MediaError:
        with pytest.raises(MediaError) as caught:
            decode(request_of(path, Track("7", unit, boxes)))
        return caught.value

    beyond = failure("frame", (12, 10, 10, 20, 20))
    assert (beyond.kind, beyond.message) == ("empty", "its boxes begin at frame 12, the file has 12 frames, from 0")
    assert failure("second", (0.5, 10, 10, 20, 20)).message == "its boxes begin at 0.50 s, the file ends at 0.48 s"
    outside = failure("frame", (2, 170, 10, 20, 20), (5, 180, 10, 20, 20))
    assert outside.message.endswith("lie outside the picture of 160x120 pixels")
    assert outside.kind == "unsupported"


def test_what_may_not_be_meant_is_a_warning(tmp_path: Path) -> None:
    path = write_video(tmp_path / "long.mp4", 80)
    box, moved = (20.0, 20.0, 40.0, 40.0), (60.0, 20.0, 40.0, 40.0)
    seen = decode(request_of(path, Track("7", "frame", ((2, *box), (70, *moved), (99, *box)))))
    assert seen.warnings == (
        "its boxes go on to frame 99, the file has 80 frames, from 0: they may be of another file",
        "no box for 2.7 s: there it is taken to have moved straight",
    )
    assert decode(request_of(path, Track("7", "frame", ((2, *box), (70, *box))))).warnings == ()  # a place
    tiny = decode(request_of(path, Track("7", "frame", ((2, 20, 20, 4, 4), (9, 20, 20, 4, 4)))))
    assert tiny.warnings == ("its picture of 6 pixels was enlarged 5.3 times: little can be seen in it",)


def test_a_picture_has_a_track_at_its_beginning(tmp_path: Path) -> None:
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[10:30, 30:50] = 200
    Image.fromarray(picture).save(tmp_path / "square.png")
    path = str(tmp_path / "square.png")
    assert (decode(request_of(path, Track("7", "frame", ((0, 30, 10, 20, 20),), 0.0))).pixels == 200).all()
    assert (decode(request_of(path, Track("7", "second", ((0, 30, 10, 20, 20),), 0.0))).pixels == 200).all()
    with pytest.raises(MediaError, match="begin at frame 3, the file has 1 frame, from 0"):
        decode(request_of(path, Track("7", "frame", ((3, 30, 10, 20, 20),))))


def test_between_boxes_lies_a_line() -> None:
    track = Track("7", "second", ((1, 0, 0, 10, 20), (2, 10, 40, 30, 20), (4, 10, 0, 30, 20)))
    followed = Followed(track, np.arange(100) / 10, 10.0)
    found = followed.sides_at(np.array([0.0, 1.5, 3.0, 9.0]))
    assert found.tolist() == [[0, 0, 10, 20], [5, 20, 25, 40], [10, 20, 40, 40], [10, 0, 40, 20]]
    assert (followed.from_s, followed.to_s) == pytest.approx((1.0, 4.1))


def test_a_job_with_a_track_comes_over_as_it_is() -> None:
    track = Track("né\t7", "second", ((0.1, 1 / 3, 2.0, 3.0, 4.0), (1e-9, 5.0, 6.0, 7.0, 8.0)), 0.1, "follow")
    request = request_of("a.mp4", track)
    assert job_of(packed_job(1, 0, request, 60.0)) == (1, 0, request, 60.0)
    json.loads(packed_job(1, 0, request, 60.0))


def test_a_track_is_not_cut_into_windows() -> None:
    with pytest.raises(ValueError, match="not cut into windows"):
        replace(request_of("a.mp4", Track("7", "frame", ((0, 0, 0, 1, 1),))), windows=Windows(1, 1))


def test_the_digest_tells_boxes_and_how_they_are_shown() -> None:
    track = Track("7", "frame", ((0.0, 1.0, 2.0, 3.0, 4.0),))
    others = [
        replace(track, unit="second"),
        replace(track, margin=0.3),
        replace(track, motion="follow"),
        replace(track, boxes=((0.0, 1.0, 2.0, 3.0, 4.5),)),
    ]
    assert len({one.digest for one in (track, *others)}) == 5
    assert replace(track, name="8").digest == track.digest  # which is told by its name
    assert len(track.digest) == 16
