"""One file from its name to clips and crops: every kind of file, and the truth about what is missing."""

import builtins
import errno
import os
from dataclasses import replace
from types import SimpleNamespace

import av
import numpy as np
import pytest
from media_clips import clip, draw, needs_decord, read_number, write_video
from PIL import Image

from mvit_cli.errors import MediaError
from mvit_cli.media.decode import attempt, damage, decode, failure_of
from mvit_cli.media.guards import words_of
from mvit_cli.media.request import Decoded, DecodeRequest, Windows
from mvit_cli.media.sources import iter_sources
from mvit_cli.media.video import av_reader
from mvit_cli.media.video.decord_reader import decord_is_installed
from mvit_cli.media.video.index import index_video
from mvit_cli.media.video.orientation import Orientation
from mvit_cli.media.windows import outcomes_of
from mvit_cli.protocol import Sampling, Transform

GREY = (0.45, 0.45, 0.45)
CLIP = Sampling("clip", 16, 4, 30.0)
EVERY = Sampling("native", 8, 1)
MODEL = Transform(GREY, GREY, 256, 224)


def numbers(decoded: Decoded, view: int = 0) -> list[int]:
    return [read_number(frame) for frame in decoded.pixels[view]]


def square(path, frames, **options) -> str:
    return write_video(path, frames, size=(128, 128), **options)


def raises(error):
    def raising(*_, **__):
        raise error

    return raising


def request(path, sampling=CLIP, transform=None, **options) -> DecodeRequest:
    # By default as large as the frames of `square`: bar codes stay whole.
    return DecodeRequest(str(path), sampling, transform or Transform(GREY, GREY, 128, 128), **options)


@pytest.mark.parametrize("reader", ["auto", "av", pytest.param("decord", marks=needs_decord)])
def test_frames_of_the_clips_are_the_sampled_ones(tmp_path, reader):
    path = square(tmp_path / "a.mp4", 150, options={"g": "30"})
    decoded = decode(request(path, num_clips=3, reader=reader))
    assert decoded.pixels.shape == (3, 16, 128, 128, 3)
    assert decoded.pixels.dtype == np.uint8
    assert [numbers(decoded, view) for view in range(3)] == [list(found.indices) for found in decoded.clips]
    assert decoded.clips[1].indices[0] == 48  # floor((150 - 53.33) / 2)
    assert (decoded.duration_s, decoded.warnings) == (pytest.approx(6.0), ())
    assert decoded.reader == ("decord" if reader == "auto" and decord_is_installed() else reader.replace("auto", "av"))
    assert decoded.decode_ms > 0


def test_readers_agree_to_the_pixel(tmp_path):
    path = write_video(tmp_path / "a.mp4", 90, size=(170, 128), options={"g": "20"})
    one, other = (
        decode(request(path, transform=MODEL, num_clips=2, num_crops=3, reader=name)) for name in ("av", "auto")
    )
    assert np.array_equal(one.pixels, other.pixels)


def test_views_of_a_clip_stand_together(tmp_path):
    path = write_video(tmp_path / "a.mp4", 60, size=(256, 128))
    decoded = decode(request(path, EVERY, num_clips=2, num_crops=3))
    whole = decode(request(path, EVERY, num_clips=2))
    assert decoded.pixels.shape == (6, 8, 128, 128, 3)
    for number in range(2):
        assert np.array_equal(decoded.pixels[3 * number + 1], whole.pixels[number])
        assert not np.array_equal(decoded.pixels[3 * number], decoded.pixels[3 * number + 2])


def test_frames_wrapped_round_are_in_their_places(tmp_path):
    decoded = decode(request(square(tmp_path / "a.mp4", 5), EVERY))
    assert numbers(decoded) == [0, 1, 2, 3, 4, 0, 1, 2]
    assert "played again from its start" in decoded.warnings[0]


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "libx264", {}),
        ("a.mov", "mpeg4", {}),
        ("a.mkv", "libx265", {"x265-params": "log-level=error"}),
        ("a.webm", "libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}),
        ("a.webm", "libvpx", {"deadline": "realtime", "cpu-used": "8"}),
        ("a.avi", "mpeg4", {"bf": "2"}),
        ("a.ts", "libx264", {}),
        ("a.mpg", "mpeg2video", {}),
        ("a.flv", "flv", {}),
        ("ünïcödé 視頻.mp4", "libx264", {}),
        ("it's 100% [odd].mp4", "libx264", {}),
    ],
)
def test_containers_and_names(tmp_path, name, codec, options):
    decoded = decode(request(square(tmp_path / name, 60, codec=codec, options=options), num_clips=2))
    assert [numbers(decoded, view) for view in range(2)] == [list(found.indices) for found in decoded.clips]
    assert decoded.warnings == ()


@pytest.mark.parametrize(
    "name", ["av1.mp4", "hevc.mp4", "h264.ts", "editlist_cut.mp4", "vp9_odd_175x131.webm", "h264_10bit.mp4"]
)
def test_kept_clips_decode_without_a_warning(name):
    decoded = decode(request(clip(name), transform=MODEL, num_clips=2, num_crops=3))
    assert decoded.pixels.shape == (6, 16, 224, 224, 3)
    assert decoded.warnings == ()


def test_gif_is_a_video(tmp_path):
    frames = [Image.fromarray(draw(number, 128, 128)) for number in range(12)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=100)
    decoded = decode(request(tmp_path / "a.gif", Sampling("segments", 4)))
    assert numbers(decoded) == list(decoded.clips[0].indices)
    assert decoded.duration_s == pytest.approx(1.2)


def test_gif_of_one_frame(tmp_path):
    Image.fromarray(draw(7, 128, 128)).save(tmp_path / "a.gif")
    assert numbers(decode(request(tmp_path / "a.gif", Sampling("image", 1)))) == [7]


def test_large_frames_are_shrunk_one_by_one(tmp_path):
    options = {"preset": "ultrafast"}
    path = write_video(tmp_path / "a.mp4", 2, size=(3840, 2160), options=options)
    decoded = decode(request(path, Sampling("segments", 2), MODEL))
    assert decoded.pixels.shape == (1, 2, 224, 224, 3)


def test_variable_rate_is_sampled_by_time(tmp_path):
    # 30 frames in the first second, then one a second: the clip from the middle shows the slow part.
    times = [33 * number for number in range(30)] + [1000 + 1000 * number for number in range(9)]
    path = square(tmp_path / "a.mkv", 39, times=times)
    decoded = decode(request(path))
    (found,) = decoded.clips
    assert found.end_s - found.start_s == pytest.approx(64 / 30)
    assert numbers(decoded) == list(found.indices)
    assert len(set(found.indices)) <= 4


def test_rotated_video_is_upright():
    # Coded as 320 x 180, shown as 180 x 320, so that its bars stand on the left side.
    decoded = decode(request(clip("rot90.mp4"), EVERY, Transform(GREY, GREY, 180, 180), num_crops=3))
    top, _, bottom = decoded.pixels
    whole = np.concatenate([top, bottom[:, 40:]], axis=1)
    assert [read_number(np.rot90(frame, 3)) for frame in whole] == list(decoded.clips[0].indices)


def test_short_video_says_so():
    decoded = decode(request(clip("seventeen_frames.mp4"), num_clips=5))
    assert decoded.warnings == ("the video is 0.68 s long and a clip needs 2.13 s: its last frame was held",)
    assert {found.indices for found in decoded.clips} == {decoded.clips[0].indices}


def test_single_frame_is_a_video():
    decoded = decode(request(clip("one_frame.mp4"), num_clips=2))
    assert decoded.clips[0].indices == (0,) * 16
    assert np.array_equal(decoded.pixels[0, 0], decoded.pixels[1, 15])


def test_missing_frames_are_counted():
    decoded = decode(request(clip("tail_zeroed.mp4"), Sampling("segments", 16)))
    held = [index for index in decoded.clips[0].indices if index > 67]  # frames 68 to 99 hold zeros
    message = f"{len(held)} of 16 frames could not be decoded; the nearest earlier frame was repeated"
    assert message in decoded.warnings


def test_damaged_frames_are_counted():
    decoded = decode(request(clip("corrupt_mid_hevc.mp4"), num_clips=5))
    assert any("frames are damaged" in warning for warning in decoded.warnings)
    assert any("could not be decoded" in warning for warning in decoded.warnings)


def test_fewer_than_half_of_the_frames_is_an_error(tmp_path):
    path = square(tmp_path / "a.mp4", 100, options={"g": "10"})
    with open(path, "rb") as file:
        data = bytearray(file.read())
    start, end = data.index(b"mdat") + 4, data.index(b"moov")
    data[start + (end - start) // 4 : end] = bytes(end - start - (end - start) // 4)
    damaged = tmp_path / "b.mp4"
    damaged.write_bytes(bytes(data))
    with pytest.raises(MediaError, match=r"only \d+ of 16 frames could be decoded") as error:
        decode(request(damaged, Sampling("segments", 16)))
    assert error.value.kind == "decode"


def test_still_stands_for_a_video_unless_refused(tmp_path):
    Image.fromarray(draw(9, 128, 128)).save(tmp_path / "a.png")
    decoded = decode(request(tmp_path / "a.png", num_clips=2))
    assert (numbers(decoded), decoded.reader, decoded.duration_s) == ([9] * 16, "pillow", 0.0)
    assert "still image" in decoded.warnings[0]
    with pytest.raises(MediaError, match="still image") as error:
        decode(request(tmp_path / "a.png", stills=False))
    assert error.value.kind == "unsupported"
    assert decode(request(tmp_path / "a.png", Sampling("image", 1), stills=False)).warnings == ()


def test_float_transform_keeps_fractions(tmp_path):
    path = write_video(tmp_path / "a.mp4", 20)
    decoded = decode(request(path, transform=Transform(GREY, GREY, 312, 312, resize_dtype="float"), num_crops=3))
    assert decoded.pixels.dtype == np.float32
    assert decoded.pixels.max() <= 255
    assert np.any(decoded.pixels % 1)


@needs_decord
def test_reader_that_gives_up_is_followed_by_av():
    # 16 pixels wide: decord's rows are padded, and it fails.
    assert decode(request(clip("tiny_16x16.mp4"), EVERY, transform=MODEL)).reader == "av"
    with pytest.raises(MediaError, match="decord") as error:
        decode(request(clip("tiny_16x16.mp4"), EVERY, transform=MODEL, reader="decord"))
    assert error.value.kind == "decode"


def test_array_can_be_given(tmp_path):
    made = []

    def allocate(shape, dtype):
        made.append(np.zeros(shape, dtype))
        return made[0]

    decoded = decode(request(square(tmp_path / "a.mp4", 20)), allocate)
    assert decoded.pixels is made[0]
    assert made[0].any()


def test_attempt_returns_every_failure(tmp_path, monkeypatch):
    assert attempt(request(tmp_path / "none.mp4")).kind == "not_found"
    path = square(tmp_path / "a.mp4", 5)

    monkeypatch.setattr("mvit_cli.media.decode.index_video", raises(MemoryError()))
    assert attempt(request(path)).kind == "memory"
    monkeypatch.setattr("mvit_cli.media.decode.index_video", raises(RuntimeError("surprise")))
    failure = attempt(request(path))
    assert (failure.kind, failure.message) == ("internal", "RuntimeError: surprise")


def test_reading_leaves_no_open_file(tmp_path):
    folder = "/proc/self/fd"
    if not os.path.isdir(folder):
        pytest.skip("no list of open files on this system")
    path = square(tmp_path / "a.mp4", 20)
    decode(request(path))
    before = len(os.listdir(folder))
    for name in (path, clip("corrupt_mid_hevc.mp4"), clip("tail_zeroed.mp4")):
        attempt(request(name, transform=MODEL))
        attempt(request(name, transform=MODEL, reader="av"))
    assert len(os.listdir(folder)) <= before


@pytest.mark.parametrize("windows", [None, Windows(1.0, 1.0)])
def test_a_file_is_checked_once_and_opened_as_often_as_libraries_need(tmp_path, monkeypatch, windows):
    looked, opened = [], []
    look, load = builtins.open, av.open
    monkeypatch.setattr(builtins, "open", lambda *args, **options: looked.append(args[0]) or look(*args, **options))
    monkeypatch.setattr(av, "open", lambda *args, **options: opened.append(args[0]) or load(*args, **options))
    path = square(tmp_path / "a.mp4", 20)
    opened.clear()
    found = list(outcomes_of(replace(request(path), windows=windows, reader="av")))
    assert isinstance(found[-1], Decoded)
    assert (looked.count(path), opened.count(path)) == (1, 2)  # PyAV: for the packets, then for the frames


@pytest.mark.parametrize("states", [["damaged"] * 16, ["held", "damaged"] * 8, ["held"] * 16])
def test_a_clip_without_one_clean_frame_is_lost(states):
    with pytest.raises(MediaError) as caught:
        damage(states)
    assert caught.value.kind == "decode"
    assert caught.value.hint


def test_one_clean_frame_among_damaged_ones_is_shown_with_a_warning():
    assert damage(["decoded"] + ["damaged"] * 15) == [
        "15 of 16 frames are damaged; the decoder concealed what it could"
    ]


@pytest.mark.parametrize(
    ("number", "kind", "word"),
    [
        (errno.ENOMEM, "memory", "memory"),
        (errno.EMFILE, "internal", "too many open files"),
        (errno.EINVAL, "internal", "OSError"),
    ],
)
def test_errors_of_the_system_have_their_own_words(number, kind, word):
    failure = failure_of(OSError(number, os.strerror(number)), "a.mp4")
    assert failure.kind == kind
    assert word in failure.message
    assert "space" not in failure.hint


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EOPNOTSUPP, errno.EIO])
def test_errors_of_ffmpeg_speak_of_colours_only_where_it_converts_them(tmp_path, monkeypatch, number):
    def fails(*_, **__):
        av.error.err_check(-number)

    path = square(tmp_path / "a.mp4", 5)
    with monkeypatch.context() as patched:
        patched.setattr("mvit_cli.media.decode.index_video", fails)
        failure = attempt(request(path))
    assert failure.kind == "decode"
    assert os.strerror(number) in failure.message
    assert "colour" not in failure.message
    frame = SimpleNamespace(to_ndarray=fails, format=SimpleNamespace(name="yuv420p"), colorspace=8)
    playback = av_reader._Playback(index_video(path))
    with pytest.raises((MediaError, av.error.FFmpegError)) as error:
        playback.to_rgb(frame)
    playback.close()
    assert ("colour matrix 8" in failure_of(error.value, path).message) == (number != errno.EIO)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
@pytest.mark.parametrize("opener", ["builtins.open", "av.open", "PIL.Image.open"])
def test_what_this_process_lacks_is_not_said_of_the_file(tmp_path, monkeypatch, number, opener):
    picture = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(picture)
    path = str(picture) if opener == "PIL.Image.open" else square(tmp_path / "a.mp4", 2)
    refusal = av.error.FFmpegError(number, os.strerror(number)) if opener == "av.open" else OSError(number, "no")
    monkeypatch.setattr(opener, raises(refusal))
    failure = attempt(request(path))
    monkeypatch.undo()
    assert failure.kind == ("memory" if number == errno.ENOMEM else "internal")
    assert "ulimit" in failure.hint or number == errno.ENOMEM


def test_a_list_of_files_that_cannot_be_opened_is_not_blamed_either(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "scandir", raises(OSError(errno.EMFILE, "Too many open files")))
    with pytest.raises(OSError, match="Too many open files"):
        list(iter_sources([str(tmp_path)]))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(2, "No such file or directory", "/tmp/xyz"), "No such file or directory"),
        (
            ValueError("cannot identify image file <_io.BufferedReader name='/tmp/x'>"),
            "cannot identify image file a file",
        ),
        (ValueError("odd <a <b> c> end"), "odd a file end"),
        (SyntaxError(""), "SyntaxError"),
        (ValueError("words " * 60), " ".join(["words"] * 32) + "..."),
        (ValueError("x" * 300), "x" * 197 + "..."),
    ],
)
def test_words_of_a_library_are_whole_and_tell_no_path(error, words):
    assert words_of(error) == words
    assert len(words) <= 200


def test_colours_that_cannot_be_converted_are_an_error_of_the_file(tmp_path, monkeypatch):
    path = square(tmp_path / "a.mp4", 2)
    for refusal in (ValueError("no context"), av.error.FFmpegError(errno.EIO, "Input/output error")):
        convert = raises(refusal)
        monkeypatch.setattr(Orientation, "upright", lambda *_, convert=convert: convert())
        failure = attempt(request(path, reader="av"))
        assert failure.kind == "decode"
        assert "cannot be converted to RGB" in failure.message
