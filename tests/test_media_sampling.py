"""Sampled frames equal loops written from each protocol, and times decide where the rate varies."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from media_clips import clip

from mvit_cli.media.request import DecodeRequest
from mvit_cli.media.video.index import index_video
from mvit_cli.media.video.sampling import clip_span_s, sample, short_video_warning
from mvit_cli.protocol import Sampling, Transform

RATES = [30.0, 25.0, 24.0, 15.0, 30000 / 1001, 60.0, 6.0]

frames_of_file = st.integers(1, 900)
rate_of_file = st.sampled_from(RATES)
clip_length = st.sampled_from([(16, 4), (32, 3), (40, 3), (8, 8), (1, 1)])
clip_count = st.integers(1, 10)


def constant(frames: int, fps: float, sampling: Sampling, num_clips: int) -> list[list[int]]:
    clips = sample(np.arange(frames) / fps, frames / fps, fps, sampling, num_clips)
    return [list(clip.indices) for clip in clips]


@given(frames=frames_of_file, fps=rate_of_file, length=clip_length, num_clips=clip_count)
def test_clip_is_pyslowfasts(frames, fps, length, num_clips):
    num_frames, stride = length
    span = max(1.0, stride * num_frames / 30 * fps)
    delta = max(frames - span, 0)
    for method in ("clip", "leading"):
        found = constant(frames, fps, Sampling(method, num_frames, stride, 30.0), num_clips)
        for number, chosen in enumerate(found):
            start = delta * number / num_clips
            if method == "clip":
                start = math.floor(delta / 2) if num_clips == 1 else number * math.floor(delta / (num_clips - 1))
            assert_are_frames_at(chosen, start, start + span - 1, frames)


def assert_are_frames_at(chosen: list[int], first: float, last: float, frames: int) -> None:
    """As torch's linspace in float32 says; within 2e-5 of a whole number, some units in the last place, on either side.

    There torch itself gives 42.999996 with a processor's vector instructions and 43 without.
    """
    places = torch.linspace(first, last, len(chosen))
    exact = torch.linspace(first, last, len(chosen), dtype=torch.float64)
    expected = torch.clamp(places, 0, frames - 1).long().tolist()
    for frame, wanted, place in zip(chosen, expected, exact.tolist(), strict=True):
        assert frame == wanted or (abs(place - round(place)) < 2e-5 and abs(frame - wanted) == 1)


@given(frames=frames_of_file, fps=rate_of_file, length=clip_length, num_clips=clip_count)
def test_a_rate_in_mmaction2_is_a_span_that_loops(frames, fps, length, num_clips):
    num_frames, stride = length
    span = np.maximum(1, num_frames * stride * (fps / 25))
    room = max(frames - span, 0)
    offsets = np.arange(num_clips) * np.floor(room / float(num_clips - 1)) if num_clips > 1 else [room // 2]
    steps = np.linspace(0, span - 1, num_frames).astype(np.int32)
    expected = [np.mod(offset + steps, frames).astype(int).tolist() for offset in offsets]
    sampling = Sampling("clip", num_frames, stride, 25.0, past_end="loop")
    assert constant(frames, fps, sampling, num_clips) == expected


@given(frames=frames_of_file, fps=rate_of_file, num_frames=st.sampled_from([16, 32]), num_clips=st.integers(2, 10))
def test_resampled_is_torchvisions(frames, fps, num_frames, num_clips):
    step = fps / 7.5
    if step.is_integer():
        resampled = list(range(frames))[:: int(step)]
    else:
        ticks = torch.arange(math.floor(frames * 7.5 / fps), dtype=torch.float32)
        resampled = (ticks * step).floor().to(torch.int64).tolist()
    windows = len(resampled) - num_frames + 1
    if windows < 1:
        return  # torchvision drops such a video; see test_short_video_holds_its_last_frame
    starts = torch.linspace(0, windows - 1, steps=num_clips).floor().to(torch.int64).tolist()
    expected = [resampled[start : start + num_frames] for start in starts]
    assert constant(frames, fps, Sampling("resampled", num_frames, 1, 7.5), num_clips) == expected


@given(frames=frames_of_file, fps=rate_of_file, length=clip_length, num_clips=clip_count)
def test_native_is_mmaction2s(frames, fps, length, num_clips):
    num_frames, stride = length
    span = (num_frames - 1) * stride + 1
    room = max(frames - span, 0)
    expected = []
    for number in range(num_clips):
        start = room // 2 if num_clips == 1 else int(np.round(number * (room / (num_clips - 1))))
        expected.append([(start + step * stride) % frames for step in range(num_frames)])
    assert constant(frames, fps, Sampling("native", num_frames, stride), num_clips) == expected


@given(frames=frames_of_file, fps=rate_of_file, num_frames=st.sampled_from([16, 32, 40]))
def test_segments_are_pyslowfasts(frames, fps, num_frames):
    size = (frames - 1) / num_frames
    expected = []
    for number in range(num_frames):
        start, end = int(np.round(size * number)), int(np.round(size * (number + 1)))
        expected.append((start + end) // 2)
    assert constant(frames, fps, Sampling("segments", num_frames), 1) == [expected]


@given(frames=frames_of_file, fps=rate_of_file, length=clip_length, num_clips=st.integers(2, 10))
def test_charades_holds_the_last_frame_as_pyslowfast_does(frames, fps, length, num_clips):
    num_frames, stride = length
    span = (num_frames - 1) * stride + 1
    gap = float(max(frames - span, 0)) / (num_clips - 1)
    expected = [
        [max(min(round(gap * clip) + place * stride, frames - 1), 0) for place in range(num_frames)]
        for clip in range(num_clips)
    ]
    assert constant(frames, fps, Sampling("native", num_frames, stride, past_end="hold"), num_clips) == expected


@given(frames=frames_of_file, fps=rate_of_file, length=clip_length, num_clips=clip_count)
def test_repeat_is_the_last_frame_that_mmaction2s_clip_has(frames, fps, length, num_clips):
    num_frames, stride = length
    room = max(frames - (num_frames - 1) * stride - 1, 0)
    expected = []
    for number in range(num_clips):
        start = room // 2 if num_clips == 1 else int(np.round(number * (room / (num_clips - 1))))
        inside = [place for place in range(start, start + num_frames * stride, stride) if place < frames]
        expected.append(inside + [inside[-1]] * (num_frames - len(inside)))
    assert constant(frames, fps, Sampling("native", num_frames, stride, past_end="repeat"), num_clips) == expected


@given(frames=frames_of_file, fps=rate_of_file, num_frames=st.sampled_from([16, 32, 40]), num_clips=st.integers(1, 5))
def test_uniform_is_mmaction2s(frames, fps, num_frames, num_clips):
    segment = float(frames - 1) / num_frames
    duration = segment / (num_clips + 1)
    expected = [
        [int(np.round(segment * place)) + int(duration * (clip + 1)) for place in range(num_frames)]
        for clip in range(num_clips)
    ]
    assert constant(frames, fps, Sampling("uniform", num_frames), num_clips) == expected
    if num_clips > 1:  # PySlowFast has no rule for these
        assert constant(frames, fps, Sampling("segments", num_frames), num_clips) == expected


def test_a_clip_of_mmaction2_and_one_of_pyslowfast_are_not_quite_the_same():
    """56 frames by 16: a segment has 3.4375; the second begins at round(3.4375) = 3 and ends at round(6.875) = 7."""
    ours = constant(56, 30.0, Sampling("uniform", 16), 1)[0]
    theirs = constant(56, 30.0, Sampling("segments", 16), 1)[0]
    assert (ours[1], theirs[1]) == (3 + int(3.4375 / 2), (3 + 7) // 2) == (4, 5)


@given(
    gaps=st.lists(st.floats(0.001, 3.0), min_size=0, max_size=60),
    last=st.floats(0.01, 1.0),
    fps=st.floats(1, 120),
    method=st.sampled_from(["clip", "leading", "resampled", "native", "segments", "uniform", "image"]),
    num_clips=clip_count,
)
@settings(max_examples=50)
def test_any_time_line_gives_clips_inside_the_video(gaps, last, fps, method, num_clips):
    times = np.cumsum([0.0, *gaps])
    duration = float(times[-1]) + last
    sampling = Sampling(method, 8, 4, 30.0)
    clips = sample(times, duration, fps, sampling, num_clips)
    assert len(clips) == num_clips
    for found in clips:
        assert len(found.indices) == 8
        assert all(0 <= index < len(times) for index in found.indices)
        assert 0 <= found.start_s <= found.end_s <= duration
        if method in ("clip", "leading", "resampled", "segments", "uniform"):
            assert list(found.indices) == sorted(found.indices)
    starts = [found.start_s for found in clips]
    assert starts == sorted(starts)


@given(frames=st.integers(2, 400), num_clips=st.integers(1, 5), seed=st.integers(0, 99))
@settings(max_examples=40)
def test_jitter_below_half_a_frame_changes_nothing(frames, num_clips, seed):
    sampling = Sampling("clip", 16, 4, 30.0)
    jitter = np.random.default_rng(seed).uniform(-0.45, 0.45, frames) / 25
    jitter[0] = 0
    times = np.arange(frames) / 25 + jitter
    shaken = sample(times, frames / 25, 25.0, sampling, num_clips)
    assert [list(clip.indices) for clip in shaken] == constant(frames, 25.0, sampling, num_clips)


def test_clip_over_a_freeze_covers_two_seconds_not_forty():
    index = index_video(clip("vfr_freeze.mp4"))
    middle = sample(index.times_s, index.duration_s, index.fps, Sampling("clip", 16, 4, 30.0), 1)[0]
    assert middle.end_s - middle.start_s == pytest.approx(64 / 30)
    assert set(middle.indices) == {99}  # 40 s of one frame on screen
    first, last = sample(index.times_s, index.duration_s, index.fps, Sampling("clip", 16, 4, 30.0), 2)
    assert first.indices[-1] == 52  # 63 frames of 1/30 s at 25 frames a second
    assert last.indices[0] >= 146


def test_rates_are_honoured():
    # The same two seconds at 15 and at 60 frames a second.
    slow = constant(150, 15.0, Sampling("clip", 16, 4, 30.0), 1)[0]
    fast = constant(600, 60.0, Sampling("clip", 16, 4, 30.0), 1)[0]
    assert fast[-1] - fast[0] == 127
    assert slow[-1] - slow[0] == 31


@pytest.mark.parametrize("method", ["clip", "resampled"])
def test_short_video_holds_its_last_frame(method):
    sampling = Sampling(method, 16, 4 if method == "clip" else 1, 30.0 if method == "clip" else 7.5)
    (indices,) = constant(17, 25.0, sampling, 1)
    assert indices[0] == 0
    assert indices[-4:] == ([16] * 4 if method == "clip" else [indices[-1]] * 4)
    note = short_video_warning(17 / 25, 25.0, sampling)
    assert note == "the video is 0.68 s long and a clip needs 2.13 s: its last frame was held"


def test_short_video_of_native_sampling_starts_again():
    (indices,) = constant(10, 25.0, Sampling("native", 8, 4), 1)
    assert indices == [0, 4, 8, 2, 6, 0, 4, 8]
    assert "played again from its start" in short_video_warning(0.4, 25.0, Sampling("native", 8, 4))


def test_long_enough_video_gives_no_warning():
    assert short_video_warning(64 / 30, 30.0, Sampling("clip", 16, 4, 30.0)) is None
    assert short_video_warning(0.04, 25.0, Sampling("segments", 16)) is None
    assert short_video_warning(0.04, 25.0, Sampling("image", 1)) is None


@pytest.mark.parametrize("method", ["clip", "leading", "resampled", "native", "segments", "uniform", "image"])
def test_one_frame_is_enough(method):
    assert constant(1, 25.0, Sampling(method, 16, 4, 30.0), 3) == [[0] * 16] * 3


def test_image_takes_the_middle():
    assert constant(101, 25.0, Sampling("image", 1), 1) == [[50]]
    assert constant(100, 25.0, Sampling("image", 1), 5) == [[10], [30], [50], [70], [90]]


def test_clip_says_which_seconds_it_covers():
    (found,) = sample(np.arange(300) / 30, 10.0, 30.0, Sampling("clip", 16, 4, 30.0), 1)
    assert (found.start_s, found.end_s) == pytest.approx((118 / 30, 118 / 30 + 64 / 30))
    (whole,) = sample(np.arange(300) / 30, 10.0, 30.0, Sampling("segments", 16), 1)
    assert (whole.start_s, whole.end_s) == (0.0, 10.0)
    assert clip_span_s(Sampling("native", 16, 4), 25.0) == pytest.approx(61 / 25)


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "clip", "frames": 16, "stride": 4},
        {"method": "clip", "frames": 0, "stride": 4, "fps": 30.0},
        {"method": "resampled", "frames": 16, "fps": -1.0},
        {"method": "random", "frames": 16},
    ],
)
def test_impossible_sampling_is_refused(wrong):
    with pytest.raises(ValueError, match=r"sampling method|not possible"):
        Sampling(**wrong)


@pytest.mark.parametrize("wrong", [{"num_clips": 0}, {"num_crops": 2}, {"reader": "torchcodec"}])
def test_impossible_request_is_refused(wrong):
    transform = Transform((0.45,) * 3, (0.225,) * 3, 256, 224)
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DecodeRequest("a.mp4", Sampling("image", 1), transform, **wrong)
