"""Subtitles: neighbouring windows of one class are one cue, as players read them."""

import io
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvit_cli.cli.main import run
from mvit_cli.errors import UsageError
from mvit_cli.report.predict.events import Event, Events, Merging
from mvit_cli.report.predict.subtitles import SubtitleFormat, Subtitles

CLIP = Path(__file__).parent / "data" / "clips" / "vfr_freeze.mp4"


def window(start: float, end: float, scores: dict[str, float], path: str = "film.mp4") -> Any:
    listed = sorted(scores.items(), key=lambda item: -item[1])
    return {
        "path": path,
        "status": "ok",
        "window": {"start_s": start, "end_s": end},
        "predictions": [{"index": 0, "label": label, "score": score} for label, score in listed],
    }


def failed(path: str = "film.mp4") -> Any:
    return {"path": path, "status": "error", "error": {"kind": "decode", "message": "broken"}}


def events(*rows: Any, smooth_s: float = 0.0) -> list[Event]:
    made = Events(Merging(smooth_s=smooth_s))
    return [event for row in rows for event in made.take(row)] + list(made.end())


def written(*rows: Any, format: SubtitleFormat = "srt", **merging: Any) -> str:
    stream = io.BytesIO()
    writer = Subtitles(stream, format, Merging(**merging))
    for row in rows:
        writer.take(row)
    writer.close()
    return stream.getvalue().decode()


def test_neighbours_of_one_class_are_one_cue() -> None:
    rows = [window(0, 2, {"run": 0.8}), window(2, 4, {"run": 0.6}), window(4, 3723.5, {"jump": 0.9})]
    assert written(*rows) == (
        "1\n00:00:00,000 --> 00:00:04,000\nrun 70.0 %\n\n2\n00:00:04,000 --> 01:02:03,500\njump 90.0 %\n\n"
    )


def test_web_video_text_has_a_heading_points_and_escapes() -> None:
    text = written(window(0, 1.5, {"a < b & c --> d\n\x1b[2J": 0.5}), format="vtt")
    assert text.startswith("WEBVTT\n\n1\n00:00:00.000 --> 00:00:01.500\na &lt; b &amp; c --&gt; d")
    assert "\x1b" not in text
    assert len(text.splitlines()) == 6  # a name is one line


def test_of_windows_that_overlap_the_later_one_counts() -> None:
    found = events(window(0, 4, {"run": 1}), window(2, 6, {"jump": 1}), window(4, 8, {"jump": 1}))
    assert [(event.label, event.start_s, event.end_s) for event in found] == [("run", 0, 2), ("jump", 2, 8)]


def test_what_scores_less_is_left_out() -> None:
    text = written(window(0, 2, {"run": 0.3}), window(2, 4, {"jump": 0.9}), min_score=0.5)
    assert text == "1\n00:00:02,000 --> 00:00:04,000\njump 90.0 %\n\n"


def test_smoothing_is_the_mean_over_the_windows_around() -> None:
    rows = [window(t, t + 1, ({"run": 0.9, "jump": 0.1} if t != 3 else {"jump": 0.6, "run": 0.4})) for t in range(7)]
    assert [event.label for event in events(*rows)] == ["run", "jump", "run"]
    (one,) = events(*rows, smooth_s=2)
    # Windows 2, 3 and 4 have window 3 among their three: (0.9 + 0.4 + 0.9) / 3; the ends have two windows.
    assert one.scores == pytest.approx([0.9, 0.9, 2.2 / 3, 2.2 / 3, 2.2 / 3, 0.9, 0.9])


@given(
    st.lists(st.tuples(st.floats(0.1, 5), st.sampled_from("abc"), st.floats(0, 1)), min_size=1, max_size=30),
    st.floats(0, 12),
)
def test_streamed_smoothing_equals_a_loop_over_all_windows(
    steps: list[tuple[float, str, float]], smooth: float
) -> None:
    starts = [sum(step for step, _, _ in steps[:number]) for number in range(len(steps))]
    rows = [
        window(start, start + 1, {label: score, "rest": 1 - score})
        for start, (_, label, score) in zip(starts, steps, strict=True)
    ]
    expected = []
    for here in starts:
        near = [row for row, start in zip(rows, starts, strict=True) if abs(start - here) <= smooth / 2]
        means: dict[str, float] = {}
        for row in near:
            for entry in row["predictions"]:
                means[entry["label"]] = means.get(entry["label"], 0) + entry["score"] / len(near)
        expected.append(max(means.values()))
    found = [score for event in events(*rows, smooth_s=smooth) for score in event.scores]
    assert found == pytest.approx(expected)


def test_a_window_without_scores_ends_the_event_before_it() -> None:
    text = written(window(0, 2, {"run": 1}), failed(), window(4, 6, {"run": 1}), smooth_s=100.0)
    assert text.count("-->") == 2


def test_a_second_video_is_refused() -> None:
    with pytest.raises(UsageError, match=r"subtitles are of one video, and b\.mp4 is a second"):
        written(window(0, 1, {"run": 1}), window(0, 1, {"run": 1}, "b.mp4"))


@pytest.mark.parametrize("names", [["a.mp4", "b.mp4"], ["folder"], ["@list.txt"]])
def test_several_inputs_are_refused_before_any_work(
    names: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    for name in ("a.mp4", "folder/a.mp4", "folder/b.mp4"):
        shutil.copy(CLIP, name)
    Path("list.txt").write_text("a.mp4\nb.mp4\n")
    assert run(["predict", *names, "--preset", "camera", "--window", "4", "-o", "out.vtt"]) == 2
    assert "--format vtt: subtitles are of one video, and there are more inputs" in capsys.readouterr().err
    assert not Path("out.vtt").exists()


def test_the_command_writes_what_a_player_reads(tmp_path: Path) -> None:
    import av

    output = tmp_path / "film.srt"
    command = ["predict", str(CLIP), "--preset", "camera", "--window", "4", "--hop", "2", "-o", str(output), "-q"]
    assert run(command) == 0
    cues = re.findall(r"^(\d+:\d+:\d+),\d+ --> .*\n(.*?) \d", output.read_text(), re.MULTILINE)
    assert cues == [("00:00:00", "pan right"), ("00:00:02", "static"), ("00:00:44", "pan right")]
    with av.open(str(output)) as container:  # FFmpeg's own reader of subtitles
        packets = [packet for packet in container.demux() if packet.size]
    assert [float(packet.pts * packet.time_base) for packet in packets if packet.pts is not None] == [0, 2, 44]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--format", "srt"], "--format srt is a timeline, which needs windows"),
        (["--window", "2", "--format", "jsonl", "--min-score", "0.5"], "pages and videos, not about jsonl of windows"),
        (["--format", "csv", "--smooth", "3"], "not about whole files hint: add --window 2 and --events"),
        (["--format", "csv", "--smooth", "0"], "not about whole files hint: add --window 2 and --events"),
        (["-o", "x.srt", "--window", "2", "--resume"], "--resume cannot go on with --format srt"),
        (["--format", "vtt", "--window", "2", "--columns", "path"], "--columns is about csv and tsv"),
    ],
)
def test_what_does_not_fit_together_is_wrong_usage(
    more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["predict", str(CLIP), "--preset", "camera", *more]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
