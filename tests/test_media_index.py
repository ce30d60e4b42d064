"""The index against the truth of ffmpeg, and what is refused before any decoder sees it."""

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_clips import clip, expected, write_video

from mvit_cli.errors import MediaError
from mvit_cli.media.images import probe
from mvit_cli.media.video.container import packets_of
from mvit_cli.media.video.index import index_video, why_not_decord

TRUTH = expected()
# Packets whose frames the decoder cannot make: the index counts what should be shown, the reader says what is missing.
UNDECODABLE = {"corrupt_mid.mp4": 3, "corrupt_mid_hevc.mp4": 5, "tail_zeroed.mp4": 32}


class Stumbling:
    """A container whose demuxer fails twice between three packets, and stays broken after them."""

    def __init__(self):
        self.steps = iter(["a", IndexError("list index out of range"), "b", av.error.InvalidDataError(1, "bad"), "c"])
        self.tries = 0

    def demux(self, stream):
        while True:
            self.tries += 1
            step = next(self.steps, av.error.InvalidDataError(1, "bad"))
            if isinstance(step, Exception):
                raise step
            yield step


def test_packets_go_on_after_damage_and_end_in_the_end():
    container = Stumbling()
    assert list(packets_of(container, None)) == ["a", "b", "c"]
    assert container.tries < 200


def refusal(path) -> str:
    """Returns the kind of the error that a file gives."""
    try:
        kind = probe(str(path))
    except MediaError as error:
        return error.kind
    assert kind == "video"
    with pytest.raises(MediaError) as caught:
        index_video(str(path))
    assert caught.value.hint
    return caught.value.kind


@pytest.mark.parametrize("name", [name for name, truth in TRUTH.items() if truth and name != "jpeg.mp4"])
def test_index_counts_the_frames_that_are_shown(name):
    index = index_video(clip(name))
    assert index.num_frames == TRUTH[name]["n"] + UNDECODABLE.get(name, 0)
    assert (index.width, index.height) == (TRUTH[name]["w"], TRUTH[name]["h"])
    assert index.times_s[0] == 0
    assert np.all(np.diff(index.times_s) > 0)
    assert index.duration_s > index.times_s[-1]


@pytest.mark.parametrize("name", [name for name, truth in TRUTH.items() if truth is None])
def test_what_ffmpeg_gets_nothing_from_is_refused(name):
    assert refusal(clip(name)) in ("decode", "unsupported", "empty")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("hevc.mp4", "open groups"),
        ("h264.ts", "mpegts"),
        ("mpeg4_bframes.avi", "avi"),
        ("editlist_cut.mp4", "33 hidden packets"),
        ("vp9_odd_175x131.webm", "damage in VP9"),
        ("cover_first.mp4", "another of the file's video streams"),
        ("trunc_faststart50.mp4", "damaged"),
        ("cut_decord_hang.mp4", "hidden packets"),
    ],
)
def test_index_knows_where_decord_would_be_wrong(name, reason):
    assert reason in why_not_decord(index_video(clip(name)))


@pytest.mark.parametrize("name", ["vfr_freeze.mp4", "av1.mp4", "one_frame.mp4", "real_demo_340x256.mp4"])
def test_plain_files_are_left_to_decord(name):
    assert why_not_decord(index_video(clip(name))) is None


def test_a_pause_does_not_slow_the_rate_of_a_file_down():
    index = index_video(clip("vfr_freeze.mp4"))
    assert index.variable_rate
    assert index.fps == pytest.approx(25)
    assert index.duration_s == pytest.approx(48)  # 200 frames of 40 ms and 40 s of pause


@pytest.mark.parametrize("fps", [Fraction(30000, 1001), 24, 15, 60])
def test_constant_rate_is_exact(tmp_path, fps):
    index = index_video(write_video(tmp_path / "a.mp4", 40, fps=fps))
    assert index.fps == float(fps)
    assert not index.variable_rate
    assert index.duration_s == pytest.approx(40 / float(fps), abs=1e-4)  # time base of the container


def test_hidden_frames_of_vp8_are_no_frames(tmp_path):
    # As encoders do with alternate reference frames: a packet more, whose show_frame bit is 0.
    plain = write_video(tmp_path / "plain.webm", 20, codec="libvpx")
    path = str(tmp_path / "hidden.webm")
    with av.open(plain) as source, av.open(path, "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.size == 0:
                continue
            packet.stream = stream
            if number == 10:
                data = bytes(packet)
                hidden = av.Packet(bytes([data[0] & ~0x10]) + data[1:])
                hidden.stream, hidden.time_base = stream, packet.time_base
                hidden.pts = hidden.dts = packet.pts - 5
                target.mux(hidden)
            target.mux(packet)
    with av.open(path) as container:
        assert sum(packet.size > 0 for packet in container.demux(video=0)) == 21
    with av.open(path) as container:
        assert sum(1 for _ in container.decode(video=0)) == 20
    assert index_video(path).num_frames == 20


def test_cut_file_says_what_is_missing(tmp_path):
    whole = Path(write_video(tmp_path / "whole.mkv", 100, options={"g": "10"}))
    assert index_video(str(whole)).warnings == ()
    half = tmp_path / "half.mkv"
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert "the file announces 4.00 s, but its frames end after" in index_video(str(half)).warnings[0]


def test_missing_file(tmp_path):
    assert refusal(tmp_path / "none.mp4") == "not_found"


def test_name_with_nul():
    assert refusal("a\0b.mp4") == "not_found"


def test_folder_is_no_video(tmp_path):
    assert refusal(tmp_path) == "unsupported"


def test_empty_file(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"")
    assert refusal(tmp_path / "a.mp4") == "empty"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_pipe_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "a.mp4")  # opening it would wait for ever
    assert refusal(tmp_path / "a.mp4") == "unsupported"


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXTINF:4,\nhttp://127.0.0.1:9/a.ts\n",
        "ffconcat version 1.0\nfile 'secret.mp4'\n",
        "\ufeff#EXTM3U\n",
        '<?xml version="1.0"?>\n<MPD profiles="urn:mpeg:dash:profile:isoff-live:2011"></MPD>',
        "[playlist]\nFile1=/etc/passwd\n",
    ],
)
def test_scripts_that_name_other_files_are_refused(tmp_path, text):
    (tmp_path / "a.mp4").write_text(text)
    assert refusal(tmp_path / "a.mp4") == "unsupported"


@pytest.mark.parametrize(
    "content", [b"not a video\n" * 90, bytes(range(256)) * 40, b"<html>403</html>" * 20, b"\0" * 5000]
)
def test_other_content_is_a_clean_error(tmp_path, content):
    (tmp_path / "a.mp4").write_bytes(content)
    assert refusal(tmp_path / "a.mp4") == "decode"


def test_names_that_look_like_protocols_and_patterns_are_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = write_video(tmp_path / "a.mp4", 5)
    for name in ("concat:a.mp4", "%03d.mp4", "it's (1) [x].mp4", "ünïcödé 視頻.mp4", "no_suffix", "a\nb.mp4"):
        os.link(source, name)
        assert index_video(name).num_frames == 5


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX only")
def test_name_that_is_not_utf8(tmp_path):
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.mp4")
    os.rename(write_video(tmp_path / "a.mp4", 5), name)
    index = index_video(name)
    assert index.num_frames == 5
    assert "UTF-8" in why_not_decord(index)


def test_a_gif_of_giant_frames_is_refused_by_its_size(tmp_path):
    """FFmpeg does not tell sizes beyond its own limit."""
    path = Path(tmp_path / "a.gif")
    write_video(path, 2, codec="gif", pix_fmt="rgb8")
    data = bytearray(path.read_bytes())
    data[6:10] = (16384).to_bytes(2, "little") * 2
    path.write_bytes(data)
    with pytest.raises(MediaError, match="frames of 16384 x 16384, more than 36 million") as caught:
        index_video(str(path))
    assert caught.value.kind == "unsupported"
