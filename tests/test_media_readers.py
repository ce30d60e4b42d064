"""Every frame a reader gives is the frame that was asked for: bar codes against the truth of ffmpeg."""

import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from media_clips import clip, expected, needs_decord, read_number, write_video

from mvit_cli.errors import MediaError
from mvit_cli.media.video.av_reader import AVReader
from mvit_cli.media.video.decord_reader import DecordReader
from mvit_cli.media.video.index import index_video, why_not_decord
from mvit_cli.media.video.readers import readers_for

TRUTH = expected()
WITH_BARS = [name for name, truth in TRUTH.items() if truth and truth.get("bar") and name != "jpeg.mp4"]
DAMAGED = {
    "corrupt_mid.mp4",
    "corrupt_mid_hevc.mp4",
    "tail_zeroed.mp4",
    "fuzz_hevc_decord_abort.mp4",
    "fuzz_hevc_slow.mp4",
}
# Quarter turns to the left that bring the displayed picture back to the coded one, where the bars stand on top.
TURNS = {"rot90.mp4": 3, "rot180.mp4": 2, "rot270.mp4": 1}


def fetch(reader_class, index, places):
    """Returns place -> (pixels, state), the later one where a place came twice."""
    reader = reader_class(index)
    try:
        return {place: (pixels, state) for place, pixels, state in reader.frames(places)}
    finally:
        reader.close()


def chosen(count: int) -> list[int]:
    """Returns six frames at random, the last one, and four of a clip with stride 4 in the middle."""
    clip_of_four = {min(count - 1, count // 2 + 4 * step) for step in range(4)}
    return sorted({*random.Random(count).sample(range(count), min(6, count)), *clip_of_four, count - 1})


def numbers(frames, name):
    return [read_number(np.rot90(pixels, TURNS.get(name, 0))) for pixels, _ in frames]


@pytest.mark.parametrize("name", WITH_BARS)
def test_av_gives_every_frame_ffmpeg_gives(name):
    index = index_video(clip(name))
    got = fetch(AVReader, index, range(index.num_frames))
    shown = [frame for _, frame in sorted(got.items()) if frame[1] != "held"]
    assert numbers(shown, name) == TRUTH[name]["bar"]
    assert len(shown) == index.num_frames or name in DAMAGED


@pytest.mark.parametrize("name", [name for name in WITH_BARS if name not in DAMAGED])
def test_av_gives_the_frames_asked_for(name):
    index = index_video(clip(name))
    places = chosen(index.num_frames)
    got = fetch(AVReader, index, places)
    assert sorted(got) == places
    assert numbers([got[place] for place in places], name) == [TRUTH[name]["bar"][place] for place in places]
    assert {state for _, state in got.values()} == {"decoded"}


@needs_decord
@pytest.mark.parametrize("name", WITH_BARS)
def test_decord_is_right_or_fails_where_the_index_lets_it(name):
    index = index_video(clip(name))
    if why_not_decord(index):
        with pytest.raises(MediaError, match="decord would be wrong"):
            readers_for(index, "decord")
        return
    places = chosen(index.num_frames)
    try:
        got = fetch(DecordReader, index, places)
    except MediaError:
        assert name in DAMAGED  # given up, not wrong: PyAV takes over
        return
    assert numbers([got[place] for place in places], name) == [TRUTH[name]["bar"][place] for place in places]


@pytest.mark.parametrize(
    "name",
    [
        "real_demo_340x256.mp4",
        "real_bikes_640x272.mp4",
        "real_box_disordered_pts.mp4",
        "real_6fps.mp4",
        "tiny_16x16.mp4",
    ],
)
def test_seeking_gives_the_frames_of_a_pass_from_the_start(name):
    index = index_video(clip(name))
    count = index.num_frames
    whole = fetch(AVReader, index, range(count) if count < 100 else range(0, count, 9))
    places = sorted(random.Random(0).sample(sorted(whole), 5))
    for reader in readers_for(index, "auto") if name != "tiny_16x16.mp4" else (AVReader,):
        for place, (pixels, _) in fetch(reader, index, places).items():
            assert np.array_equal(pixels, whole[place][0])


def test_damaged_middle_is_marked_and_what_follows_keeps_its_place():
    index = index_video(clip("corrupt_mid_hevc.mp4"))
    got = fetch(AVReader, index, range(100))
    states = [got[place][1] for place in range(100)]
    assert states[:27] == ["decoded"] * 27
    assert states[27] == "held"
    assert read_number(got[27][0]) == 26  # the nearest earlier frame stands for the missing one
    assert numbers([got[28], got[29]], "") == [28, 29]
    assert states.count("held") == 5
    assert "damaged" in states


def test_missing_tail_is_held_and_said():
    got = fetch(AVReader, index_video(clip("tail_zeroed.mp4")), [60, 70, 99])
    assert [(read_number(pixels), state) for pixels, state in got.values()] == [
        (60, "decoded"),
        (67, "held"),
        (67, "held"),
    ]


def test_frames_of_another_size_are_scaled_to_the_first():
    got = fetch(AVReader, index_video(clip("size_change.ts")), [10, 90])
    assert {pixels.shape for pixels, _ in got.values()} == {(240, 320, 3)}
    assert [read_number(pixels) for pixels, _ in got.values()] == [10, 90]


def test_rotation_turns_the_picture_upright():
    (pixels, _), = fetch(AVReader, index_video(clip("rot90.mp4")), [7]).values()  # fmt: skip
    assert pixels.shape == (320, 180, 3)  # coded as 320 x 180
    assert read_number(np.rot90(pixels, 3)) == 7


@needs_decord
def test_demanded_decord_is_refused_with_the_reason():
    with pytest.raises(MediaError, match=r"open groups of pictures") as error:
        readers_for(index_video(clip("hevc.mp4")), "decord")
    assert error.value.kind == "unsupported"
    assert "--reader" in error.value.hint


@needs_decord
def test_large_frames_are_left_to_av_unless_decord_is_demanded(tmp_path):
    index = index_video(write_video(tmp_path / "a.mp4", 2, size=(1920, 1080), options={"preset": "ultrafast"}))
    assert readers_for(index, "auto") == (AVReader,)
    assert readers_for(index, "decord") == (DecordReader,)


def test_without_decord_av_reads_everything(monkeypatch):
    monkeypatch.setattr("mvit_cli.media.video.readers.decord_is_installed", lambda: False)
    index = index_video(clip("vfr_freeze.mp4"))
    assert readers_for(index, "auto") == (AVReader,)
    with pytest.raises(MediaError, match="not installed"):
        readers_for(index, "decord")


@pytest.mark.parametrize(
    ("suffix", "codec", "options"),
    [
        (".mp4", "libx264", {"g": "12", "bf": "3"}),
        (".mkv", "libx264", {"g": "12", "x264-params": "open-gop=1:bframes=3"}),
        (".mp4", "libx264", {"g": "30", "x264-params": "intra-refresh=1"}),
        (".mkv", "libx265", {"x265-params": "log-level=error:keyint=15"}),
        (".webm", "libvpx", {"g": "12", "deadline": "realtime", "cpu-used": "8"}),
        (".flv", "libx264", {"g": "12"}),
        (".mov", "mpeg4", {"g": "12"}),
        (".avi", "mjpeg", {}),
        (".ts", "mpeg2video", {"g": "12", "bf": "2"}),
        (".wmv", "wmv2", {"g": "12"}),
    ],
)
@given(data=st.data())
@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_choice_of_frames_of_any_container_is_right(tmp_path, data, suffix, codec, options):
    path = tmp_path / f"a{suffix}"
    if not path.exists():
        pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        write_video(path, 40, codec=codec, options=options, fps=Fraction(25), pix_fmt=pix_fmt)
    index = index_video(str(path))
    assert index.num_frames == 40
    places = sorted(data.draw(st.sets(st.integers(0, 39), min_size=1, max_size=12)))
    for reader in readers_for(index, "auto"):
        got = fetch(reader, index, places)
        assert [read_number(got[place][0]) for place in places] == places
