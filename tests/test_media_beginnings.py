"""What a container says falsely or not at all: where decoding can begin, which packets are frames, when, how long."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_clips import clip, draw, needs_decord, read_number, write_video

from mvit_cli.errors import MediaError
from mvit_cli.media.decode import decode
from mvit_cli.media.request import DecodeRequest
from mvit_cli.media.video.av_reader import AVReader
from mvit_cli.media.video.index import index_video, why_not_decord
from mvit_cli.media.video.readers import readers_for
from mvit_cli.protocol import Sampling, Transform

GREY = (0.45, 0.45, 0.45)


@dataclass(frozen=True)
class Remux:
    """What a copy of a file's packets leaves out or says falsely."""

    first: int = 0
    all_keys: bool = False
    pts_of: dict[int, int] | None = None  # number of a packet -> its time stamp


def remux(source: str, target, how: Remux) -> str:
    with av.open(source) as read, av.open(str(target), "w") as written:
        stream = written.add_stream_from_template(read.streams.video[0])
        packets = [packet for packet in read.demux(video=0) if packet.size]
        for number, packet in enumerate(packets[how.first :]):
            packet.stream = stream
            packet.is_keyframe = packet.is_keyframe or how.all_keys
            if how.pts_of and number in how.pts_of:
                packet.pts = packet.dts = how.pts_of[number]
            written.mux(packet)
    return str(target)


def shown(path: str, places=None) -> tuple[list[int], set[str]]:
    """Returns the numbers on the frames at `places` and their states."""
    index = index_video(path)
    reader = AVReader(index)
    try:
        got = {fetched.place: fetched for fetched in reader.frames(places or range(index.num_frames))}
    finally:
        reader.close()
    return [read_number(got[place].pixels) for place in sorted(got)], {fetched.state for fetched in got.values()}


def plainly(path: str) -> list[int]:
    """Returns the numbers on all frames that PyAV gives by its defaults."""
    with av.open(path) as container:
        return [read_number(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


@pytest.mark.parametrize(
    ("suffix", "codec", "options"),
    [
        (".ts", "libx264", {"g": "25", "bf": "2"}),
        (".mkv", "libx264", {"g": "25", "x264-params": "open-gop=1:bframes=3"}),
        (".flv", "libx264", {"g": "25", "bf": "2"}),
        (".mp4", "libx264", {"g": "25", "bf": "0"}),
        (".ts", "libx265", {"x265-params": "log-level=error:keyint=25:min-keyint=25"}),
        (".mkv", "libx265", {"x265-params": "log-level=error:keyint=25:min-keyint=25"}),
        (".ts", "mpeg2video", {"g": "25", "bf": "2"}),
        (".mpg", "mpeg2video", {"g": "25", "bf": "2"}),
    ],
)
def test_what_refers_to_frames_before_the_file_is_left_out(tmp_path, suffix, codec, options):
    whole = write_video(tmp_path / f"whole{suffix}", 70, codec=codec, options=options)
    path = remux(whole, tmp_path / f"cut{suffix}", Remux(first=8))
    index = index_video(path)
    numbers, states = shown(path)
    assert numbers == plainly(path)
    assert 20 <= numbers[0] <= 30
    assert numbers == list(range(numbers[0], 70))
    assert states == {"decoded"}
    assert index.times_s[0] == 0
    assert index.duration_s == pytest.approx(len(numbers) / 25, abs=0.01)
    assert "refer to frames before the file begins and were left out" in index.warnings[0]
    assert why_not_decord(index)
    assert shown(path, [3, 40]) == ([numbers[3], numbers[40]], {"decoded"})


def test_the_row_says_how_much_was_left_out(tmp_path):
    whole = write_video(tmp_path / "whole.ts", 70, size=(128, 128), options={"g": "25", "bf": "0"})
    path = remux(whole, tmp_path / "cut.ts", Remux(first=10))
    decoded = decode(DecodeRequest(path, Sampling("native", 8, 1), Transform(GREY, GREY, 128, 128)))
    assert decoded.duration_s == pytest.approx(1.8, abs=0.01)
    assert decoded.warnings == (
        "the first 0.60 s (15 frames) refer to frames before the file begins and were left out",
    )


def test_a_stream_without_any_frame_to_begin_with_is_refused(tmp_path):
    whole = write_video(tmp_path / "whole.ts", 20, options={"g": "50", "bf": "0"})
    path = remux(whole, tmp_path / "cut.ts", Remux(first=10))
    with pytest.raises(MediaError, match="no frame could be decoded"):
        index_video(path)


@pytest.mark.parametrize(
    ("suffix", "codec", "options"),
    [
        (".mp4", "mpeg4", {"g": "60"}),
        (".mov", "qtrle", {"g": "60"}),
        (".avi", "mpeg4", {"g": "60", "bf": "2"}),
        (".flv", "flv", {"g": "60"}),
        (".mkv", "libx264", {"g": "60"}),
        (".mkv", "libx265", {"x265-params": "log-level=error:keyint=60"}),
    ],
)
def test_key_frames_that_are_none_do_not_smear(tmp_path, suffix, codec, options):
    pix_fmt = "rgb24" if codec == "qtrle" else "yuv420p"
    whole = write_video(tmp_path / f"whole{suffix}", 60, codec=codec, options=options, pix_fmt=pix_fmt)
    path = remux(whole, tmp_path / f"flagged{suffix}", Remux(all_keys=True))
    index = index_video(path)
    whole_pass, _ = shown(path)
    assert whole_pass == plainly(path)
    # FFmpeg itself finds out the false ones of H.264
    assert why_not_decord(index) or index.key_pts.tolist() == [0]
    for places in ([30], [7, 41], [59]):
        for kind in readers_for(index, "auto"):
            reader = kind(index)
            got = {fetched.place: fetched for fetched in reader.frames(places)}
            reader.close()
            assert [read_number(got[place].pixels) for place in places] == [whole_pass[place] for place in places]
            assert {fetched.state for fetched in got.values()} == {"decoded"}


@needs_decord
@pytest.mark.parametrize(("codec", "options"), [("libx264", {"g": "1"}), ("mjpeg", {})])
def test_key_frames_that_are_all_real_are_left_to_decord(tmp_path, codec, options):
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = write_video(tmp_path / "a.mp4", 10, codec=codec, options=options, pix_fmt=pix_fmt)
    assert why_not_decord(index_video(path)) is None


def not_coded(tmp_path, suffix: str) -> str:
    """Writes 60 frames of MPEG-4, all intra, of which 10 to 19 are packets without a picture."""
    whole = write_video(tmp_path / f"whole{suffix}", 60, codec="mpeg4", options={"g": "1"})
    path = str(tmp_path / f"holes{suffix}")
    with av.open(whole) as read, av.open(path, "w") as written:
        stream = written.add_stream_from_template(read.streams.video[0])
        for number, packet in enumerate(packet for packet in read.demux(video=0) if packet.size):
            out = packet
            if 10 <= number < 20:
                # vop_coding_type P, no whole second, a marker, time 0 of 5 bits, a marker, vop_coded 0
                out = av.Packet(b"\0\0\1\xb6" + bytes([0b01_0_1_0000, 0b0_1_0_11111]))
                out.pts, out.dts, out.duration, out.time_base = (
                    packet.pts,
                    packet.dts,
                    packet.duration,
                    packet.time_base,
                )
            out.stream = stream
            written.mux(out)
    return path


@pytest.mark.parametrize("suffix", [".avi", ".mp4", ".mkv"])
def test_where_a_packet_brings_no_picture_the_earlier_one_stands(tmp_path, suffix):
    path = not_coded(tmp_path, suffix)
    index = index_video(path)
    numbers, states = shown(path)
    assert numbers == plainly(path) == [*range(10), *range(20, 60)]
    assert states == {"decoded"}
    assert index.warnings == ()
    assert index.times_s[9:11] == pytest.approx([0.36, 0.8], abs=0.002)
    assert index.duration_s == pytest.approx(2.4, abs=0.05)


@pytest.mark.parametrize(("suffix", "tick"), [(".mkv", 40), (".flv", 40), (".webm", 40)])
def test_one_repeated_stamp_costs_no_other(tmp_path, suffix, tick):
    times = [tick * number for number in range(60)] + [20_000 + tick * number for number in range(60)]
    codec = "libvpx" if suffix == ".webm" else "libx264"
    options = {"deadline": "realtime", "cpu-used": "8"} if codec == "libvpx" else {"bf": "0", "g": "12"}
    whole = write_video(tmp_path / f"whole{suffix}", 120, codec=codec, times=times, options=options)
    path = remux(whole, tmp_path / f"repeat{suffix}", Remux(pts_of={30: times[29]}))
    index = index_video(path)
    assert index.times_s == pytest.approx(np.array(times) / 1000, abs=0.0015)
    assert index.duration_s == pytest.approx(22.4, abs=0.05)
    assert index.warnings == ()
    assert shown(path) == (list(range(120)), {"decoded"})
    assert shown(path, [29, 30, 31, 90]) == ([29, 30, 31, 90], {"decoded"})


@pytest.mark.parametrize(("codec", "suffix"), [("libx264", ".h264"), ("libx265", ".hevc"), ("mpeg2video", ".m2v")])
@pytest.mark.parametrize("fps", [30, Fraction(30000, 1001), 50])
def test_elementary_streams_have_the_rate_they_state(tmp_path, codec, suffix, fps):
    options = {"x265-params": "log-level=error"} if codec == "libx265" else {}
    index = index_video(write_video(tmp_path / f"a{suffix}", 20, codec=codec, fps=fps, options=options))
    assert index.fps == pytest.approx(float(fps))
    assert index.duration_s == pytest.approx(20 / float(fps))
    assert index.warnings == ()


def test_a_rate_that_was_assumed_is_said(tmp_path):
    options = {"x265-params": "log-level=error:no-vui-timing-info=1"}
    index = index_video(write_video(tmp_path / "a.hevc", 20, codec="libx265", fps=30, options=options))
    assert (index.fps, index.duration_s) == (25, pytest.approx(0.8))
    assert index.warnings == ("the stream states no rate: 25 frames a second were assumed",)


def test_a_last_frame_stands_as_long_as_packet_and_header_say(tmp_path):
    path = str(tmp_path / "a.mp4")
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        packets = [
            packet
            for number in range(11)
            for packet in stream.encode(av.VideoFrame.from_ndarray(draw(number), format="rgb24"))
        ]
        packets += stream.encode()
        packets[-1].duration = round(90 / packets[-1].time_base)
        for packet in packets:
            container.mux(packet)
    index = index_video(path)
    assert index.duration_s == pytest.approx(90.4)
    assert index.warnings == ()


def test_a_stray_first_stamp_is_said(tmp_path):
    times = [0] + [26 * 3_600_000 + 40 * number for number in range(1, 30)]
    index = index_video(write_video(tmp_path / "a.mkv", 30, times=times, options={"bf": "0"}))
    assert "lies 26.00 h before all others" in index.warnings[0]
    assert index.num_frames == 30


def test_encrypted_video_is_said_to_be_encrypted(tmp_path):
    path = str(tmp_path / "a.mp4")
    key = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "76" * 16, "encryption_kid": "a7" * 16}
    whole = write_video(tmp_path / "whole.mp4", 10)
    with av.open(whole) as read, av.open(path, "w", options=key) as written:
        stream = written.add_stream_from_template(read.streams.video[0])
        for packet in read.demux(video=0):
            if packet.size:
                packet.stream = stream
                written.mux(packet)
    with pytest.raises(MediaError, match="encrypted") as caught:
        index_video(path)
    assert caught.value.kind == "unsupported"


def box(kind: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content


def encrypted(path: Path, entry: bytes) -> str:
    """Scrambles the slices of a file, and says so in the sample description alone (ISO/IEC 14496-12, 8.12)."""
    data = bytearray(path.read_bytes())
    said = box(b"sinf", box(b"frma", entry) + box(b"schm", bytes(4) + b"cenc\0\1\0\0"))
    begin, first = 0, len(data)
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", entry):
        begin = data.index(kind, begin) + 4
        first = min(first, begin)
        size = int.from_bytes(data[begin - 8 : begin - 4], "big")
        data[begin - 8 : begin - 4] = (size + len(said)).to_bytes(4, "big")
    data[begin - 4 : begin] = b"encv"
    data[begin - 8 + size : begin - 8 + size] = said
    at, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    while at < end:
        size = int.from_bytes(data[at : at + 4], "big")
        for place in range(at + 12, at + 4 + size):
            data[place] = (data[place] * 37 + place * 101) & 255 | 1
        at += 4 + size
    path.write_bytes(data)
    return str(path)


@pytest.mark.parametrize(
    ("codec", "options", "entry"),
    [("libx264", {}, b"avc1"), ("libx265", {"x265-params": "log-level=0"}, b"hev1")],
)
def test_what_only_the_sample_description_calls_encrypted_is_encrypted(tmp_path, codec, options, entry):
    path = encrypted(Path(write_video(tmp_path / "a.mp4", 30, codec=codec, options=options)), entry)
    with av.open(path) as container:
        assert not any(packet.has_sidedata("encryption_info") for packet in container.demux(video=0))
    with pytest.raises(MediaError, match="the video is encrypted") as caught:
        index_video(path)
    assert caught.value.kind == "unsupported"


def test_packed_frames_of_divx_are_frames():
    # Packets that are not coded stand for pictures packed into the ones before them.
    assert index_video(clip("real_ucf_packed_bframes.avi")).num_frames == 164
