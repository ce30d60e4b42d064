"""Display matrices: mirrored by the sign of the determinant, turned by the nearest quarter turn, both readers alike."""

import math
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from media_clips import draw, write_video
from media_zoo import MATRICES

from mvit_cli.errors import MediaError
from mvit_cli.media.video.av_reader import AVReader
from mvit_cli.media.video.index import index_video
from mvit_cli.media.video.orientation import orientation_of
from mvit_cli.media.video.readers import readers_for

CODED = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)


def matrix(a: float, b: float, c: float, d: float) -> bytes:
    return struct.pack("=9i", *(round(value * 65536) for value in (a, b, 0, c, d, 0, 0, 0)), 1 << 30)


def turned(degrees: float, mirror: int = 1) -> bytes:
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return matrix(mirror * cos, mirror * sin, -sin, cos)


@pytest.mark.parametrize("parts", MATRICES)
def test_eight_places(parts):
    found = orientation_of(matrix(*parts))
    assert np.array_equal(found.upright(CODED), MATRICES[parts](CODED))
    assert found.mirrors == (parts[0] * parts[3] - parts[1] * parts[2] < 0)
    assert found.warning == ""


@given(degrees=st.floats(-180, 180), mirror=st.sampled_from([1, -1]))
def test_any_turn_is_taken_to_the_nearest_quarter(degrees, mirror):
    found = orientation_of(turned(degrees, mirror))
    off = abs((degrees + 45) % 90 - 45)
    if off > 44.9:
        return  # either neighbour is as near
    near = orientation_of(turned(90 * round(degrees / 90), mirror))
    assert (found.transpose, found.flip_x, found.flip_y) == (near.transpose, near.flip_x, near.flip_y)
    if abs(off - 0.1) > 0.01:
        assert bool(found.warning) == (off > 0.1)


@pytest.mark.parametrize("degrees", [45, -45])
def test_half_way_is_not_turned(degrees):
    assert orientation_of(turned(degrees)).is_identity
    assert f"a turn by {degrees} degrees: it was turned by 0" in orientation_of(turned(degrees)).warning


def test_zeros_ask_for_nothing():
    assert orientation_of(bytes(36)) == orientation_of(b"") == orientation_of(matrix(1, 0, 0, 1))


def test_a_flat_picture_is_not_shown_flat():
    assert orientation_of(matrix(1, 0, 1, 0)).is_identity
    assert "flattens" in orientation_of(matrix(1, 0, 1, 0)).warning


@pytest.mark.parametrize("parts", [*MATRICES, (0, 0, 0, 0), (0.99985, 0.01745, -0.01745, 0.99985)])
def test_all_readers_show_a_file_alike(tmp_path, parts):
    path = Path(write_video(tmp_path / "a.mp4", 6, size=(160, 128)))
    data = path.read_bytes()
    track = data.index(b"tkhd") + 4 + 40  # of version 0
    assert data[track : track + 4] == struct.pack(">i", 65536)
    numbers = struct.unpack("=9i", matrix(*parts)) if any(parts) else (0,) * 9
    path.write_bytes(data[:track] + struct.pack(">9i", *numbers) + data[track + 36 :])
    index = index_video(str(path))
    assert bool(index.warnings) == (parts not in MATRICES and any(parts))
    upright = MATRICES.get(parts, MATRICES[1, 0, 0, 1])(draw(3, 160, 128))
    for kind in readers_for(index, "auto"):
        reader = kind(index)
        (fetched,) = reader.frames([3])
        reader.close()
        assert fetched.pixels.shape == upright.shape
        assert np.abs(fetched.pixels.astype(int) - upright).mean() < 12  # of lossy colour; another place is > 40 off


@pytest.mark.parametrize("number", [8, 10])
def test_colour_matrix_that_cannot_be_converted_is_named(tmp_path, number):
    # ffmpeg 5.1 takes them for BT.601, FFmpeg's scaler from 8 on refuses them
    options = {"x264-params": {8: "colormatrix=YCgCo", 10: "colormatrix=bt2020c"}[number]}
    path = write_video(tmp_path / "a.mp4", 4, options=options)
    with pytest.raises(MediaError, match={8: "YCgCo", 10: "BT.2020 constant"}[number]) as caught:
        index_video(path)
    assert caught.value.kind == "unsupported"


@pytest.mark.parametrize(("transfer", "name"), [("smpte2084", "PQ"), ("arib-std-b67", "HLG")])
def test_hdr_is_said(tmp_path, transfer, name):
    path = write_video(tmp_path / "a.mp4", 4, options={"x264-params": f"transfer={transfer}"})
    assert [name in warning for warning in index_video(path).warnings] == [True]


def test_interlaced_is_said(tmp_path):
    path = write_video(tmp_path / "a.mp4", 4, options={"x264-params": "interlaced=1"})
    assert ["interlaced" in warning for warning in index_video(path).warnings] == [True]
    reader = AVReader(index_video(path))
    assert len(list(reader.frames([0, 3]))) == 2
    reader.close()
