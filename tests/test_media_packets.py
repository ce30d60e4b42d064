"""Packets that bring no picture, in each codec that has them: parameter sets, hidden frames and messages in packets of
their own, as recorders of network streams write them. Plain decoding from the start is the oracle."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import pytest
from media_clips import read_number, write_video

from mvit_cli.media.request import ReaderChoice
from mvit_cli.media.video.index import index_video
from mvit_cli.media.video.readers import readers_for

FRAMES = 40


def is_h264_slice(header: int) -> bool:
    return 1 <= header & 31 <= 5


def is_hevc_slice(header: int) -> bool:
    return header >> 1 & 63 < 32


def units_of(data: bytes) -> list[bytes]:
    """The units of a packet of MP4, each with its length of four bytes."""
    units, at = [], 0
    while at + 4 <= len(data):
        size = 4 + int.from_bytes(data[at : at + 4], "big")
        units.append(data[at : at + size])
        at += size
    return units


def apart(is_slice: Callable[[int], bool]) -> Callable[[bytes], list[bytes]]:
    """Splits a packet into what stands before its slices, and them."""

    def split(data: bytes) -> list[bytes]:
        units = units_of(data)
        heads = [unit for unit in units if not is_slice(unit[4])]
        slices = [unit for unit in units if is_slice(unit[4])]
        return [part for part in (b"".join(heads), b"".join(slices)) if part]

    return split


def frames_of_av1(data: bytes) -> list[bytes]:
    """Splits a temporal unit behind each frame, hidden ones too."""
    parts, at, begin = [], 0, 0
    while at < len(data):
        kind, place, size, shift = data[at] >> 3 & 15, at + (2 if data[at] & 4 else 1), 0, 0
        while True:
            size |= (data[place] & 127) << shift
            place, shift = place + 1, shift + 7
            if data[place - 1] < 128:
                break
        at = place + size
        if kind in (3, 6):
            parts.append(data[begin:at])
            begin = at
    return parts


def with_an_old_frame(data: bytes) -> list[bytes]:
    """Puts a packet that shows an earlier frame again behind each tenth (VP9 bitstream specification, 6.2)."""
    return [data, b"\x88"] if len(data) % 10 == 0 else [data]


def in_parts(source: str, target: Path, split: Callable[[bytes], list[bytes]], encoder: str) -> int:
    """Copies a file with each packet split; returns the number of packets."""
    count = 0
    with av.open(source) as read, av.open(str(target), "w") as written:
        video = read.streams.video[0]
        if encoder.startswith("libsvt"):  # there is no encoder of the name of the decoder
            stream: Any = written.add_stream(encoder, rate=25, options={"preset": "12"})
            stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        else:
            stream = written.add_stream_from_template(video)
        for packet in read.demux(video):
            parts = split(bytes(packet)) if packet.size else []
            for number, data in enumerate(parts):
                part = av.Packet(data)
                part.stream, part.time_base, part.pts = stream, packet.time_base, packet.pts
                part.dts = (packet.dts or 0) - len(parts) + 1 + number
                part.is_keyframe = packet.is_keyframe and number == 0
                written.mux(part)
                count += 1
    return count


def plainly(path: str) -> list[int]:
    """The numbers on the frames that a decoder gives from the start, past packets that it has no use for."""
    numbers = []
    with av.open(path) as container:
        for packet in container.demux(container.streams.video[0]):
            with suppress(av.error.InvalidDataError):  # a packet without a frame is an error for H.264
                numbers += [read_number(frame.to_ndarray(format="rgb24")) for frame in packet.decode()]
    return numbers


@pytest.mark.parametrize(
    ("encoder", "options", "split", "first", "suffix"),
    [
        ("libx264", {"g": "20", "x264-params": "aud=1"}, apart(is_h264_slice), ".mp4", ".mkv"),
        ("libx264", {"g": "20", "x264-params": "aud=1"}, apart(is_h264_slice), ".mp4", ".flv"),
        ("libx265", {"x265-params": "keyint=20:aud=1:log-level=0"}, apart(is_hevc_slice), ".mp4", ".mp4"),
        ("libsvtav1", {"preset": "12"}, frames_of_av1, ".mp4", ".mkv"),
        ("libvpx-vp9", {"g": "20", "b": "200k"}, with_an_old_frame, ".webm", ".mkv"),
    ],
)
def test_a_packet_without_a_picture_is_no_frame(
    tmp_path: Path,
    encoder: str,
    options: dict[str, str],
    split: Callable[[bytes], list[bytes]],
    first: str,
    suffix: str,
) -> None:
    whole = write_video(tmp_path / f"whole{first}", FRAMES, codec=encoder, options=options)
    path = tmp_path / f"parts{suffix}"
    assert in_parts(whole, path, split, encoder) > FRAMES
    plain = plainly(str(path))
    assert set(plain) == set(range(FRAMES))
    index = index_video(str(path))
    assert index.num_frames == len(plain)
    assert index.duration_s == pytest.approx(FRAMES / 25, abs=0.05)
    assert not index.warnings
    choices: tuple[ReaderChoice, ...] = ("auto", "av")
    for choice in choices:
        reader = readers_for(index, choice)[-1](index)
        for places in (range(len(plain)), range(3, len(plain), 11)):
            found = {fetched.place: fetched for fetched in reader.frames(list(places))}
            assert [read_number(found[place].pixels) for place in places] == [plain[place] for place in places]
            assert {fetched.state for fetched in found.values()} == {"decoded"}
        reader.close()
