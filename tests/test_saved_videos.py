"""`--save-video`: what is written is the clip itself, with its times and its sound, and words that can be read."""

import json
import math
import shutil
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from media_clips import clip, draw, read_number, write_video

from mvit_cli.annotated import lettering
from mvit_cli.annotated.drawing import Canvas, Layout, fitting, layout_of
from mvit_cli.annotated.filming import film
from mvit_cli.annotated.lettering import Lettering, font_for
from mvit_cli.annotated.story import Shown, Story
from mvit_cli.cli.main import run
from mvit_cli.media.guards import check_file
from mvit_cli.report.palette import FILLS, luminance


def story(*parts: tuple[float, float, str, int], duration_s: float) -> Story:
    return Story(tuple(Shown(start, end, label, "97.3 %", fill) for start, end, label, fill in parts), duration_s)


def filmed(source: str | Path, target: Path, told: Story | None = None) -> list[str]:
    return film(
        check_file(str(source)), told or story((0, math.inf, "spin", 1), duration_s=4), str(target), lambda *_: None
    )


def frames_of(path: str | Path) -> list[tuple[float, np.ndarray]]:
    container: Any
    with av.open(str(path)) as container:
        return [(float(f.pts * f.time_base), f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]


def sound_of(path: str | Path) -> list[tuple[float, bytes]]:
    """What is heard, packet by packet: those that an edit list hides lead to it only."""
    container: Any
    with av.open(str(path)) as container:
        packets = container.demux(audio=0)
        return [(float(p.pts * p.time_base), bytes(p)) for p in packets if p.size and not p.is_discard]


def contrast(one: np.ndarray, other: np.ndarray) -> float:
    """Of two colours, by WCAG 2."""
    light, dark = sorted((luminance("#" + bytes(map(int, colour)).hex()) for colour in (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def with_sound(path: Path, frames: int, seconds: float, codec: str = "aac", size: tuple[int, int] = (320, 240)) -> Path:
    """A video of 25 numbered frames a second, and a tone."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        audio: Any = container.add_stream(codec, rate=16000)
        audio.codec_context.layout = "mono"
        for number in range(frames):
            container.mux(video.encode(av.VideoFrame.from_ndarray(draw(number, *size), format="rgb24")))
        container.mux(video.encode(None))
        tone = (8000 * np.sin(np.arange(int(16000 * seconds)) / 6)).astype(np.int16)
        for start in range(0, len(tone), 1024):
            frame = av.AudioFrame.from_ndarray(tone[None, start : start + 1024], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16000, start, Fraction(1, 16000)
            container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
    return path


@pytest.mark.parametrize("name", ["vfr_freeze.mp4", "rot90.mp4", "editlist_cut.mp4", "seventeen_frames.mp4", "h264.ts"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_every_frame_is_there_at_its_time(name: str, suffix: str, tmp_path: Path) -> None:
    filmed(clip(name), tmp_path / f"out{suffix}")
    source, made = frames_of(clip(name)), frames_of(tmp_path / f"out{suffix}")
    with av.open(clip(name)) as container:
        begins_s = (container.start_time or 0) / 1e6
    slack_s = 0.0006 if suffix == ".mkv" else 1e-6  # Matroska counts milliseconds; MP4 takes any tick as it is
    assert [time_s for time_s, _ in made] == pytest.approx([time_s - begins_s for time_s, _ in source], abs=slack_s)
    if name != "rot90.mp4":  # its code lies on its side
        assert [read_number(frame[60:240]) for _, frame in made[::40]] == [
            read_number(frame[60:]) for _, frame in source[::40]
        ]


def test_a_clip_that_was_filmed_upright_is_written_upright(tmp_path: Path) -> None:
    filmed(clip("rot90.mp4"), tmp_path / "out.mp4")
    with av.open(clip("rot90.mp4")) as container:
        first = next(container.decode(video=0))
        coded, quarters = first.to_ndarray(format="rgb24"), first.rotation // 90
    with av.open(str(tmp_path / "out.mp4")) as container:
        first = next(container.decode(video=0))
        made = first.to_ndarray(format="rgb24")
    assert (quarters % 2, first.rotation) == (1, 0)
    upright = np.rot90(coded, quarters)  # both count against the clock
    twice = upright.repeat(2, 0).repeat(2, 1)  # 180 pixels are too few for words
    height, width = twice.shape[:2]
    assert made.shape[:2] == Layout(width, height).size[::-1]
    error = np.abs(made[60:height].astype(float) - twice[60:])
    assert error.mean() < 5 < np.abs(made[60:height].astype(float) - twice[::-1, ::-1][60:]).mean()


def test_beside_plate_and_strip_the_picture_is_the_source(tmp_path: Path) -> None:
    source = write_video(tmp_path / "in.mp4", 30, size=(320, 240))
    filmed(source, tmp_path / "out.mp4", story((0, 1.2, "a", 1), duration_s=1.2))
    layout = Layout(320, 240)
    for (_, before), (_, after) in zip(frames_of(source), frames_of(tmp_path / "out.mp4"), strict=True):
        assert after.shape == (layout.size[1], 320, 3)
        error = before[60:240].astype(float) - after[60:240]
        # x264 at crf 20 loses little of a smooth picture; what is drawn beside the plate would cost far more.
        assert 10 * np.log10(255**2 / np.mean(error**2)) > 35


def test_the_bar_has_the_palettes_colours_where_the_windows_were(tmp_path: Path) -> None:
    source = write_video(tmp_path / "in.mp4", 50, size=(320, 240))
    told = story((0, 1, "spin", 1), (1, 2, "swing", 3), duration_s=2)
    filmed(source, tmp_path / "out.mp4", told)
    left, top, right, bottom = Layout(320, 240).bar
    made = frames_of(tmp_path / "out.mp4")
    for time_s, fill in ((0.3, 1), (0.7, 1), (1.3, 3), (1.7, 3)):
        x = left + round((right - left) * time_s / 2)
        colour = [int(FILLS[fill - 1][at : at + 2], 16) for at in (1, 3, 5)]
        # Chroma has half the resolution and is quantised: within 12 of 255 in the middle of an area.
        assert made[0][1][(top + bottom) // 2 + 6, x] == pytest.approx(colour, abs=12)
    for number in (5, 40):  # the mark is white where the video is
        x = left + round((right - left) * made[number][0] / 2)
        assert made[number][1][top + 3 : bottom - 3, x].mean() > 200


def test_labels_change_with_the_windows_and_the_later_of_two_counts() -> None:
    told = story((0, 2, "a", 1), (1, 3, "b", 2), (4, 6, "c", 3), duration_s=7)
    shown = [part.label if (part := told.at(time_s)) else None for time_s in (0, 0.99, 1, 2.5, 3, 4, 5.9, 6.5)]
    assert shown == ["a", "a", "b", "b", None, "c", "c", None]
    assert [(start, end) for start, end, _ in told.stretches()] == [(0, 1), (1, 3), (4, 6)]


@pytest.mark.parametrize("ground", [0, 128, 255])
def test_words_are_read_on_every_ground(ground: int, tmp_path: Path) -> None:
    path = tmp_path / "in.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for _ in range(5):
            frame = av.VideoFrame.from_ndarray(np.full((360, 640, 3), ground, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    filmed(path, tmp_path / "out.mp4", story((0, 9, "HHHHHHHH", 2), duration_s=0.2))
    layout, made = Layout(640, 360), frames_of(tmp_path / "out.mp4")[3][1]
    plate = made[layout.pad : layout.pad + layout.letter, layout.pad + 2 * layout.letter :][:, : 4 * layout.letter]
    lights = plate.reshape(-1, 3)[plate.sum(2).argsort(axis=None)]
    ink, paper = lights[-20], made[layout.pad + 2, layout.pad + 40]  # above the letters
    assert contrast(ink, paper) >= 4.5  # WCAG 2, level AA
    strip = made[layout.words_top : layout.words_top + layout.small, 320:]
    lights = strip.reshape(-1, 3)[strip.sum(2).argsort(axis=None)]
    assert contrast(lights[-5], lights[0]) >= 4.5


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
@pytest.mark.parametrize("seconds", [1.0, 2.5])  # the video has 1 s
def test_sound_is_copied_packet_by_packet(suffix: str, seconds: float, tmp_path: Path) -> None:
    source = with_sound(tmp_path / "in.mp4", 25, seconds)
    assert filmed(source, tmp_path / f"out{suffix}") == []
    before, after = sound_of(source), sound_of(tmp_path / f"out{suffix}")
    assert [data for _, data in after] == [data for _, data in before]
    assert [time_s for time_s, _ in after] == pytest.approx([time_s for time_s, _ in before], abs=0.0011)
    assert len(frames_of(tmp_path / f"out{suffix}")) == 25


def test_sound_that_a_container_does_not_take_becomes_aac(tmp_path: Path) -> None:
    source = with_sound(tmp_path / "in.mkv", 25, 1.0, codec="pcm_s16le")
    filmed(source, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
        tone = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    assert len(tone) / 16000 == pytest.approx(1.0, abs=0.15)  # packets of 64 ms, the last one filled up
    peak = np.abs(np.fft.rfft(tone[2000:14000])).argmax() * 16000 / 12000
    assert peak == pytest.approx(16000 / (2 * np.pi * 6), abs=3)


def test_video_that_begins_after_its_sound_still_does(tmp_path: Path) -> None:
    source = clip("video_starts_late.mp4")
    filmed(source, tmp_path / "out.mp4")
    assert frames_of(tmp_path / "out.mp4")[0][0] == pytest.approx(2.0)
    before, after = sound_of(source), sound_of(tmp_path / "out.mp4")
    assert [data for _, data in after] == [data for _, data in before]
    assert after[0][0] == before[0][0] == 0


def test_odd_sides_become_even_and_small_pictures_large(tmp_path: Path) -> None:
    for size, width in (((321, 241), 322), ((16, 16), 240), ((175, 131), 350)):
        source = write_video(tmp_path / "in.mp4", 3, size=size, pix_fmt="yuv444p")
        filmed(source, tmp_path / "out.mp4")
        first = frames_of(tmp_path / "out.mp4")[0][1]
        assert first.shape[1] == width
        assert first.shape[0] % 2 == 0


def test_pixels_that_are_shown_wide_are_written_wide(tmp_path: Path) -> None:
    path = tmp_path / "in.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(2, 1)
        for number in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(draw(number, 320, 240), format="rgb24")))
        container.mux(stream.encode(None))
    filmed(path, tmp_path / "out.mp4")
    layout = Layout(640, 240)
    with av.open(str(tmp_path / "out.mp4")) as container:
        made = container.streams.video[0]
        assert (made.width, made.height) == layout.size
        assert made.sample_aspect_ratio in (None, 1)


def test_letters_that_no_font_has_are_told_and_not_drawn_as_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lettering, "_fonts", lambda: iter([lettering.PILLOWS_OWN]))
    lettering.font_for.cache_clear()
    told: list[str] = []
    names = Lettering(told.append)
    assert names.written("spin", 3) == ("spin", "")
    assert names.written("射箭", 3) == ("class 3", "")
    assert names.written("стрельба", 4) == ("class 4", "")
    lettering.font_for.cache_clear()
    assert len(told) == 1
    assert "no font here has all letters of '射箭'" in told[0]


def test_labels_cannot_steer() -> None:
    text, _ = Lettering(lambda _: None).written("a\x1b[2J\u202eb" + "c" * 5000, 0)
    assert text.startswith("a\\x1b[2J\\u202eb")
    assert len(text) <= 120
    assert font_for("spin") == ""


@pytest.mark.parametrize("size", [(240, 16), (240, 240), (1920, 1080)])
def test_long_labels_stay_within_the_picture(size: tuple[int, int]) -> None:
    layout = Layout(*size)
    canvas = Canvas(layout, story((0, 1, "w" * 120, 1), duration_s=1))
    blank = np.full((size[1], size[0], 3), 255, np.uint8)
    drawn = canvas.drawn(blank, 0.5)
    assert drawn.shape == (layout.size[1], layout.size[0], 3)
    assert (drawn[: size[1], size[0] - layout.pad :] == 255).all()  # the plate ends before the edge
    cut = fitting("w" * 120, "", 20, 100)
    assert cut.endswith("w...")
    assert len(cut) < 15


def test_all_names_of_colours_are_shown_where_they_fit_into_three_lines() -> None:
    parts = [(float(at), at + 1.0, f"class number {at}", at + 1) for at in range(6)]
    told = story(*parts, duration_s=6)
    assert [layout_of(width, 240, told).lines for width in (1600, 640, 320)] == [1, 2, 3]
    layout = layout_of(640, 240, told)
    strip = Canvas(layout, told).drawn(np.zeros((240, 640, 3), np.uint8), 0)[layout.words_top :]
    colours = {tuple(colour) for colour in strip.reshape(-1, 3)}
    assert all(tuple(bytes.fromhex(fill[1:])) in colours for fill in FILLS[:6])


# The command.


def command(*names: object, out: Path) -> list[str]:
    return ["predict", *map(str, names), "--preset", "camera", "--format", "jsonl", "--save-video", str(out)]


def test_each_window_has_its_label_in_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_video(tmp_path / "in.mp4", 75, size=(320, 240))
    assert run([*command(source, out=tmp_path / "out.mp4"), "--window", "1"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == 3
    assert len(frames_of(tmp_path / "out.mp4")) == 75
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]


def test_a_folder_gets_a_video_for_each_and_a_broken_file_costs_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inputs = tmp_path / "in"
    (inputs / "a").mkdir(parents=True)
    for name in ("clip.mp4", "a/clip.mp4"):
        shutil.copy(clip("seventeen_frames.mp4"), inputs / name)
    shutil.copy(clip("audio_only.mp4"), inputs / "broken.mp4")
    out = inputs / "out"  # among the inputs: what is written is not read in turn
    assert run(command(inputs, out=out)) == 1
    seen = capsys.readouterr()
    rows = [json.loads(line) for line in seen.out.splitlines()]
    assert sorted((Path(row["path"]).name, row["status"]) for row in rows) == [
        ("broken.mp4", "error"), ("clip.mp4", "ok"), ("clip.mp4", "ok"),
    ]  # fmt: skip
    names = sorted(path.name for path in out.iterdir())
    assert len(names) == 2
    assert all(name.startswith("clip.mp4-") and name.endswith(".mp4") for name in names)
    assert all(len(frames_of(out / name)) == 17 for name in names)
    assert f"2 videos saved in {out}" in seen.err


def test_stills_have_rows_and_no_video(weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    for name in ("a.png", "b.png"):
        Image.new("RGB", (300, 200)).save(tmp_path / name)
    named = [str(tmp_path / name) for name in ("a.png", "b.png")]
    options = ["--weights", weights, "--format", "jsonl", "--save-video", str(tmp_path / "out")]
    assert run(["predict", *named, *options]) == 0
    seen = capsys.readouterr()
    assert [json.loads(line)["status"] for line in seen.out.splitlines()] == ["ok", "ok"]
    assert seen.err.count("a still image has no video to save") == 1
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("link", ["itself", "symbolic", "hard"])
def test_no_input_is_written_over(link: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = tmp_path / "in.mp4", tmp_path / "out.mp4"
    shutil.copy(clip("seventeen_frames.mp4"), source)
    before = source.read_bytes()
    if link == "itself":
        out = source
    else:
        (out.symlink_to if link == "symbolic" else out.hardlink_to)(source)
    assert run([*command(source, out=out), "--force"]) == 2
    assert "would overwrite" in capsys.readouterr().err
    assert source.read_bytes() == before


def test_what_is_there_stays_without_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = clip("seventeen_frames.mp4")
    (tmp_path / "out.mp4").write_bytes(b"mine")
    assert run(command(source, out=tmp_path / "out.mp4")) == 2
    assert "--force replaces it" in capsys.readouterr().err
    assert run([*command(source, out=tmp_path / "out.mp4"), "--force"]) == 0
    assert len(frames_of(tmp_path / "out.mp4")) == 17
    assert run(command(source, out=tmp_path / "folder")) == 0
    (made,) = (tmp_path / "folder").iterdir()
    first = made.stat().st_mtime_ns
    capsys.readouterr()
    assert run(command(source, out=tmp_path / "folder")) == 1
    assert "is there already; --force replaces it" in capsys.readouterr().err
    assert made.stat().st_mtime_ns == first
    again = command(tmp_path / "folder", out=tmp_path / "folder")
    assert run([*again, "--force"]) == 2
    assert "which this run reads" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("names", "out", "told"),
    [
        (["a.mp4", "b.mp4"], "out.mp4", "name a folder"),
        (["a.mp4"], "out.avi", "name it out.mp4"),
        (["-"], "out.mkv", "name a folder"),
        (["a.mp4"], "missing/out.mp4", "there is no folder"),
    ],
)
def test_a_place_that_does_not_fit_is_refused_before_any_work(
    names: list[str], out: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command(*names, out=tmp_path / out)) in (1, 2)
    seen = capsys.readouterr()
    assert told in seen.err
    assert seen.out == ""
    assert list(tmp_path.iterdir()) == []


def test_windows_of_an_earlier_run_are_on_the_video(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, rows = write_video(tmp_path / "in.mp4", 75, size=(320, 240)), tmp_path / "rows.jsonl"
    options = ["--window", "1", "--output", str(rows)]
    assert run([*command(source, out=tmp_path / "whole.mp4"), *options]) == 0
    rows.write_text(rows.read_text().splitlines(keepends=True)[0])
    assert run([*command(source, out=tmp_path / "out.mp4"), *options, "--resume"]) == 0
    whole, resumed = frames_of(tmp_path / "whole.mp4"), frames_of(tmp_path / "out.mp4")
    assert len(resumed) == 75
    for place in (10, 60):  # the same drawing in the same encoder: equal but for the scores' last digit
        assert np.abs(whole[place][1].astype(int) - resumed[place][1]).mean() < 2
    assert run([*command(source, out=tmp_path / "late.mp4"), *options, "--resume"]) == 0
    assert not (tmp_path / "late.mp4").exists()
    assert "no video of 1 input that had all rows before" in capsys.readouterr().err


def _long(tmp_path: Path) -> str:
    return write_video(tmp_path / "in.mp4", 1500, size=(640, 480), options={"preset": "ultrafast"})


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(("signal_name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGKILL", -9)])
def test_an_end_in_the_middle_leaves_nothing(signal_name: str, code: int, tmp_path: Path) -> None:
    source, out = _long(tmp_path), tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, "-m", "mvit_cli", *command(source, out=out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 100
    while (
        not any(path.stat().st_size for path in out.glob(".mvit-*"))
        and process.poll() is None
        and time.monotonic() < until
    ):
        time.sleep(0.05)
    assert process.poll() is None
    process.send_signal(getattr(signal, signal_name))
    said, _ = process.communicate(timeout=60)
    assert process.returncode == code
    assert b'"status": "ok"' in said
    while list(out.iterdir()) and time.monotonic() < until:  # where it was killed the other process clears up
        time.sleep(0.05)
    assert list(out.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_a_full_disk_leaves_nothing_but_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mvit_cli.annotated.film_process._Writer.module", "full_disk_worker")
    source = write_video(tmp_path / "in.mp4", 100, size=(640, 480))
    assert run(command(source, out=tmp_path / "out.mp4")) == 1
    seen = capsys.readouterr()
    assert "File too large" in seen.err
    assert "make room" in seen.err
    assert json.loads(seen.out)["status"] == "ok"
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_a_process_that_dies_costs_one_video(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mvit_cli.annotated.film_process._Writer.module", "broken_worker")
    names = [shutil.copy(clip("seventeen_frames.mp4"), tmp_path / name) for name in ("a.mp4", "b.mp4")]
    assert run(command(*names, out=tmp_path / "out")) == 1
    seen = capsys.readouterr()
    assert [json.loads(line)["status"] for line in seen.out.splitlines()] == ["ok", "ok"]
    assert seen.err.count("not saved: ") == 2
    assert seen.err.count("the process that writes it has ended") == 2
    assert list((tmp_path / "out").iterdir()) == []
