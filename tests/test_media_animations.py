"""Animated pictures are videos: the frames, their times and their windows are those that Pillow wrote."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media_clips import draw, read_number
from PIL import Image, features

from mvit_cli.errors import MediaError
from mvit_cli.media.decode import attempt, decode
from mvit_cli.media.images import probe
from mvit_cli.media.request import AT_WORK, Decoded, DecodeRequest, Windows
from mvit_cli.media.video.index import index_video
from mvit_cli.media.video.readers import readers_for
from mvit_cli.media.windows import outcomes_of
from mvit_cli.protocol import Sampling, Transform

DURATIONS_MS = [100, 50, 200, 40, 1000, *[100] * 25]
WHOLE = Transform((0.45,) * 3, (0.45,) * 3, 120, 120)
ODD = {"b.jpg": "WEBP", "a.webp": "WEBP", "a.avif": "AVIF", "a.apng": "PNG", "a.gif": "GIF"}
needs_avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow writes no AVIF")
formats = pytest.mark.parametrize("name", ["a.webp", "b.jpg", pytest.param("a.avif", marks=needs_avif), "a.apng"])


def animate(path: Path, durations_ms: list[int], **options: Any) -> str:
    """Writes an animation whose frames carry their numbers."""
    first, *others = (Image.fromarray(draw(number, 120, 120)) for number in range(len(durations_ms)))
    if ODD[path.name] == "WEBP":
        options |= {"lossless": True}
    first.save(path, ODD[path.name], save_all=True, append_images=others, duration=durations_ms, **options)
    return str(path)


def seen(path: str, indices: list[int]) -> list[tuple[int, str]]:
    """Number and state of each frame, as the reader that is chosen gives it."""
    index = index_video(path)
    reader = readers_for(index, "auto")[-1](index)
    found: list[tuple[int, str]] = [(read_number(fetched.pixels), fetched.state) for fetched in reader.frames(indices)]
    reader.close()
    return found


@formats
def test_frames_and_their_times(tmp_path: Path, name: str) -> None:
    path = animate(tmp_path / name, DURATIONS_MS)
    assert probe(path) == "video"
    index = index_video(path)
    ends_s = np.cumsum(DURATIONS_MS) / 1000
    assert np.allclose(index.times_s, [0, *ends_s[:-1]], atol=1e-3)
    if name != "a.apng":  # FFmpeg does not tell how long the last frame of one stands
        assert index.duration_s == pytest.approx(ends_s[-1], abs=1e-3)
    assert index.variable_rate
    every = range(len(DURATIONS_MS))
    assert seen(path, list(every)) == [(number, "decoded") for number in every]
    some = sorted(random.Random(0).sample(every, 6))
    assert seen(path, some) == [(number, "decoded") for number in some]


@formats
def test_windows_show_what_the_whole_file_shows(tmp_path: Path, name: str) -> None:
    path = animate(tmp_path / name, DURATIONS_MS)
    request = DecodeRequest(path, Sampling("clip", 4, 2, 10.0), WHOLE)
    index = index_video(path)
    outcomes = [
        outcome for outcome in outcomes_of(replace(request, windows=Windows(1.0, 1.0))) if outcome is not AT_WORK
    ]
    assert len(outcomes) == int(np.ceil(index.duration_s))
    for outcome in [*outcomes, decode(request)]:
        assert isinstance(outcome, Decoded)
        for view, clip in zip(outcome.pixels, outcome.clips, strict=True):
            assert [read_number(frame) for frame in view] == list(clip.indices)
        assert outcome.reader == ("pillow" if name in ("a.webp", "b.jpg") else "av")
        assert outcome.warnings == () or "shorter" in outcome.warnings[0]


@pytest.mark.parametrize("name", ["a.webp", pytest.param("a.avif", marks=needs_avif), "a.apng", "b.jpg"])
def test_a_still_among_them_stays_a_still(tmp_path: Path, name: str) -> None:
    assert probe(animate(tmp_path / name, [100])) == "image"
    if ODD[name] == "WEBP":  # the container of an animation, of which there is one frame
        path = tmp_path / "a.webp"
        data = bytearray(Path(animate(path, [100, 100])).read_bytes())
        second = data.rindex(b"ANMF")
        data[second : second + 4] = b"XXXX"
        path.write_bytes(data)
        assert probe(str(path)) == "image"


@pytest.mark.parametrize("name", ["a.webp", "a.gif"])
@pytest.mark.parametrize(("stated_ms", "shown_s"), [(0, 0.1), (10, 0.01), (20, 0.02)])
def test_frames_without_a_time_stand_a_tenth_of_a_second(
    tmp_path: Path, name: str, stated_ms: int, shown_s: float
) -> None:
    index = index_video(animate(tmp_path / name, [stated_ms] * 10))
    assert np.allclose(index.times_s, np.arange(10) * shown_s, atol=1e-3)


def test_only_pillow_reads_webp(tmp_path: Path) -> None:
    index = index_video(animate(tmp_path / "a.webp", DURATIONS_MS))
    assert [kind.name for kind in readers_for(index, "av")] == ["pillow"]
    with pytest.raises(MediaError, match="does not read animated WebP") as error:
        readers_for(index, "decord")
    assert error.value.kind == "unsupported"


def test_a_frame_too_large_is_refused_from_its_header(tmp_path: Path) -> None:
    path = Path(animate(tmp_path / "a.webp", DURATIONS_MS))
    data = bytearray(path.read_bytes())
    data[24:30] = b"\xff\x3f\x00" * 2  # 16384 x 16384
    path.write_bytes(data)
    with pytest.raises(MediaError, match="16384 x 16384") as error:
        index_video(str(path))
    assert error.value.kind == "unsupported"


@pytest.mark.parametrize("share", [0.05, 0.3, 0.7, 0.999])
def test_of_a_file_cut_short_the_whole_frames_are_shown_with_a_warning(tmp_path: Path, share: float) -> None:
    path = Path(animate(tmp_path / "a.webp", DURATIONS_MS))
    data = path.read_bytes()
    cut = data[: int(len(data) * share)]
    path.write_bytes(cut)
    begins = [at for at in range(len(data)) if data.startswith(b"ANMF", at)]
    whole = sum(at <= len(cut) for at in [*begins[1:], len(data)])
    assert 0 < whole < len(DURATIONS_MS)
    index = index_video(str(path))
    assert index.duration_s == pytest.approx(sum(DURATIONS_MS[:whole]) / 1000)
    assert index.warnings == (
        f"the file announces {len(data):,} bytes and has {len(cut):,}: its {whole} whole frames were taken",
    )
    assert seen(str(path), list(range(whole))) == [(number, "decoded") for number in range(whole)]


def test_a_file_cut_short_within_its_first_frame_is_an_error(tmp_path: Path) -> None:
    path = Path(animate(tmp_path / "a.webp", DURATIONS_MS))
    path.write_bytes(path.read_bytes()[:90])
    outcome = attempt(DecodeRequest(str(path), Sampling("clip", 4, 2, 10.0), WHOLE, stills=False))
    assert isinstance(outcome, MediaError)
    assert (outcome.kind, outcome.message) == ("decode", "the animation is cut short within its first frame")


def test_what_stands_behind_the_announced_end_is_no_frame(tmp_path: Path) -> None:
    path = Path(animate(tmp_path / "a.webp", DURATIONS_MS))
    data = path.read_bytes()
    begins = [at for at in range(len(data)) if data.startswith(b"ANMF", at)]
    path.write_bytes(data[:4] + (begins[9] - 8).to_bytes(4, "little") + data[8:])
    assert index_video(str(path)).num_frames == 9
    assert seen(str(path), [0, 8]) == [(0, "decoded"), (8, "decoded")]


def test_behind_a_damaged_frame_the_last_whole_one_stands(tmp_path: Path) -> None:
    path = Path(animate(tmp_path / "a.webp", DURATIONS_MS, kmin=0, kmax=0))
    data = bytearray(path.read_bytes())
    place = 0
    for _ in range(20 + 1):
        place = data.index(b"ANMF", place + 4)
    data[place + 8 + 16 + 8 + 5 : place + 8 + 16 + 8 + 60] = bytes(55)
    path.write_bytes(data)
    whole, held = [(number, "decoded") for number in (3, 19)], [(19, "held")] * 2
    assert seen(str(path), [3, 19, 20, 25]) == whole + held
    assert seen(str(path), [3, 25])[1] == (19, "held")


def test_jpeg_after_jpeg_by_the_name_of_a_photo(tmp_path: Path) -> None:
    pictures = []
    for number in range(12):
        Image.fromarray(draw(number)).save(tmp_path / "one.jpg", quality=92)
        pictures.append((tmp_path / "one.jpg").read_bytes())
    for name in ("stream.jpg", "stream.jpeg", "stream.png", "stream"):
        (tmp_path / name).write_bytes(b"".join(pictures))
        path = str(tmp_path / name)
        assert probe(path) == "video"
        assert index_video(path).num_frames == 12
        assert seen(path, [0, 5, 11]) == [(number, "decoded") for number in (0, 5, 11)]
