"""`mvit predict --plot`: what is drawn of a film is what its rows say, in a file that stays small."""

import importlib.util
import json
import random
import re
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from mvit_cli.cli.main import run
from mvit_cli.errors import MViTError
from mvit_cli.records import Row, Run
from mvit_cli.report.predict.events import Merging
from mvit_cli.report.predict.lanes import COLUMNS, Columns, Lanes
from mvit_cli.report.predict.timeline_picture import MOST_LANES, MOST_VIDEOS, TimelinePicture

pytest.importorskip("matplotlib")

DATA = Path(__file__).parent / "data"
FILM = str(DATA / "clips" / "vfr_freeze.mp4")
SHORT = str(DATA / "pan_left.mp4")
COMMAND = ("predict", "--preset", "camera", "-q", "--views", "1x1", "--window", "4", "--hop", "2")
RUN: Run = {
    "preset": "camera_motion", "weights": "none", "views": "1x1", "activation": "softmax", "device": "cpu",
    "dtype": "float32",
}  # fmt: skip

pytestmark = pytest.mark.usefixtures("decoding_in_this_process")


def window(start: float, end: float, scores: dict[str, float], length: float, path: str = "a/film.mp4") -> Row:
    """The row of a window; one without scores failed."""
    row: dict[str, Any] = {"path": path, "window": {"start_s": start, "end_s": end}, "duration_s": length}
    if scores:
        best = sorted(scores.items(), key=lambda pair: -pair[1])
        row |= {"status": "ok", "predictions": [{"index": 0, "label": name, "score": value} for name, value in best]}
    else:
        row |= {"status": "error", "error": {"kind": "decode", "message": "broken"}}
    return cast("Row", row)


def film(windows: int, *, length: float = 3.0, hop: float = 1.0, seed: int = 7) -> list[Row]:
    """Windows that overlap, of four classes; every tenth failed."""
    draw, end = random.Random(seed), (windows - 1) * hop + length
    return [
        window(n * hop, n * hop + length, {} if n % 10 == 9 else {name: draw.random() for name in "abcd"}, end)
        for n in range(windows)
    ]


def drawn(target: Path, rows: list[Row]) -> list[str]:
    picture = TimelinePicture(target, RUN, "windows of 3 s, one every 1 s")
    for row in rows:
        picture.take(row)
    return picture.close()


def test_a_column_has_the_mean_score_of_the_windows_that_cover_it() -> None:
    rows, lanes = film(40), Lanes("a/film.mp4")
    for row in rows:
        lanes.add(row)
    length = 42.0
    fine = 20  # moments of a column that are looked at; windows begin and end on multiples of 1 s, between columns
    for name in "abcd":
        expected = []
        for column in range(COLUMNS):
            moments = (np.arange(fine) + 0.5) * length / COLUMNS / fine + column * length / COLUMNS
            over = [(row, m) for m in moments for row in rows if _covers(row, m) and row["status"] == "ok"]
            scores = [_score(row, name) for row, _ in over]
            expected.append(sum(scores) / len(scores) if scores else float("nan"))
        # Sums over 20 moments a column find its edges to 1/20 of it; scores of neighbours differ by less than 1.
        assert lanes.scores(name) == pytest.approx(expected, abs=1 / fine, nan_ok=True)


def _covers(row: Row, moment: float) -> bool:
    span = row.get("window")
    return span is not None and span["start_s"] <= moment < span["end_s"]


def _score(row: Row, name: str) -> float:
    assert row["status"] == "ok"
    return next(entry["score"] for entry in row["predictions"] if entry["label"] == name)


def test_events_are_those_of_the_rows_and_each_column_has_the_one_that_holds_it() -> None:
    lanes = Lanes("film.mp4")
    for row in (
        window(0, 4, {"a": 0.9, "b": 0.1}, 12),
        window(2, 6, {"a": 0.7, "b": 0.3}, 12),
        window(4, 8, {"b": 0.6, "a": 0.4}, 12),  # the event of a ends where this begins
        window(6, 10, {}, 12),
        window(10, 12, {"a": 0.5, "c": 0.1}, 12),
    ):
        lanes.add(row)
    lanes.close()
    assert {name: (seen.first_s, seen.seconds, seen.windows) for name, seen in lanes.seen.items()} == {
        "a": (0.0, 6.0, 3),
        "b": (4.0, 4.0, 1),
    }
    assert lanes.seen["a"].score == pytest.approx((0.9 + 0.7 + 0.5) / 3)
    second = COLUMNS // 12
    best = [lanes.best()[n * second + second // 2] for n in range(12)]
    assert best == ["a"] * 4 + ["b"] * 4 + [None] * 2 + ["a"] * 2
    assert lanes.failures == 1


def test_a_class_has_a_lane_where_it_was_the_best_or_reached_the_least_score() -> None:
    rows = [window(n, n + 1, {"a": 0.9, "b": 0.5 + n / 10, "c": 0.2}, 3) for n in range(3)]
    for least, expected in ((None, ["a"]), (0.65, ["a", "b"]), (0.1, ["a", "b", "c"]), (0.95, [])):
        lanes = Lanes("film.mp4", Merging(least))
        for row in rows:
            lanes.add(row)
        lanes.close()
        assert lanes.chosen(9) == expected


def test_a_video_longer_than_it_said_keeps_every_second() -> None:
    columns, draw, added = Columns(2.0), random.Random(3), 0.0
    for n in range(50):
        end = n + draw.random()
        columns.add("event", "a", float(n), end)
        added += end - n
    assert columns.length_s == 64.0
    assert columns.of("event", "a").sum() == pytest.approx(added)
    spread = columns.of("event", "a")
    assert spread[int(50 / 64 * COLUMNS) + 1 :].sum() == 0


def test_ten_hours_of_many_classes_are_a_small_picture(tmp_path: Path) -> None:
    draw, length = random.Random(5), 36_000.0
    rows = [
        window(start, start + 12.0, {f"class {draw.randrange(400)}": draw.random()}, length)
        for start in np.arange(0.0, length, 12.0)
    ]
    drawn(tmp_path / "film.svg", rows)
    text = (tmp_path / "film.svg").read_text(encoding="utf-8")
    assert len(text) < 300_000  # 3,000 windows; of 480 columns that all differ, 13 lanes have about 20 bytes an edge
    assert "10:00:00" in text
    assert len(set(re.findall(r">(class \d+)<", text))) == MOST_LANES
    assert re.search(r">\d+ more classes, \d:\d\d:\d\d\.\d, in grey<", text)


def test_the_picture_says_in_text_what_it_shows_and_is_the_same_file_again(tmp_path: Path) -> None:
    rows = film(30)
    for suffix in (".svg", ".png", ".pdf", ".dark.svg"):
        one, other = tmp_path / f"one{suffix}", tmp_path / f"other{suffix}"
        assert drawn(one, rows) == drawn(other, rows) == []
        assert one.read_bytes() == other.read_bytes()
    text = (tmp_path / "one.svg").read_text(encoding="utf-8")
    for part in (">film.mp4<", ">a<", ">d<", ">0:15<", ">3 failed<", "windows of 3 s, one every 1 s", "random weights"):
        assert part in text
    assert "<path" in text
    assert "#fcfcfa" not in text  # white ground on light, its own on dark
    assert "#111315" in (tmp_path / "one.dark.svg").read_text(encoding="utf-8")


def test_several_videos_stand_below_each_other_and_what_is_left_out_is_told(tmp_path: Path) -> None:
    rows = [window(0, 2, {"a": 0.9}, 2, f"films/{number}.mp4") for number in range(MOST_VIDEOS + 2)]
    still = cast("Row", {"path": "a.png", "status": "ok", "predictions": [], "duration_s": 0.0})
    told = drawn(tmp_path / "films.svg", [*rows, still])
    assert told == [
        f"--plot {tmp_path / 'films.svg'} shows the first {MOST_VIDEOS} videos; the rows have 2 more videos"
    ]
    text = (tmp_path / "films.svg").read_text(encoding="utf-8")
    assert [f">{number}.mp4<" in text for number in range(MOST_VIDEOS + 2)] == [True] * MOST_VIDEOS + [False] * 2
    assert "Not drawn: 2 more videos and 1 input without windows." in text


def test_a_name_cannot_break_the_picture(tmp_path: Path) -> None:
    name = "<b>&\x1b[31m\udce9$x$.mp4"
    drawn(tmp_path / "a.svg", [window(0, 2, {"</text>&": 0.9}, 2, name)])
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert "&lt;b&gt;&amp;\\x1b[31m\\udce9$x$.mp4" in text
    assert "&lt;/text&gt;&amp;" in text


def test_a_run_draws_what_it_writes_and_goes_on_with_what_was_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, picture = tmp_path / "rows.jsonl", tmp_path / "film.svg"
    command = [*COMMAND[:-4], "--window", "1", "--hop", "0.5", SHORT, "nowhere.mp4", "--plot", str(picture)]
    assert run([*command, "--format", "jsonl"]) == 1
    *windows, _ = lines = capsys.readouterr().out.splitlines(keepends=True)
    text = picture.read_text(encoding="utf-8")
    assert {json.loads(line)["predictions"][0]["label"] for line in windows} == {"pan left"}
    assert ">pan left<" in text
    assert ">pan_left.mp4<" in text
    assert "windows of 1 s, one every 0.5 s" in text
    assert "Not drawn: 1 input without windows." in text
    rows.write_text("".join(lines[:3]), encoding="utf-8")
    assert run([*command, "-o", str(rows), "--resume"]) == 1  # a picture of ours is replaced
    assert len(rows.read_text(encoding="utf-8").splitlines()) == len(lines)
    # Scores may differ in the seventh digit, and a picture has two.
    assert picture.read_text(encoding="utf-8") == text


def test_events_on_top_of_a_picture_have_the_least_score_that_is_asked_for(tmp_path: Path) -> None:
    target = tmp_path / "film.svg"
    assert run([*COMMAND, FILM, "--plot", str(target), "--min-score", "0.93", "--format", "jsonl"]) == 0
    text = target.read_text(encoding="utf-8")
    assert "least score 93.0 %" in text
    assert ">static<" in text


def test_without_windows_there_is_no_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    still = str(DATA / "moves" / "nothing.png")
    target = tmp_path / "a.svg"
    assert run(["predict", SHORT, "--preset", "camera", "--plot", str(target)]) == 2
    told = capsys.readouterr()
    assert "error: --plot draws a timeline, which needs windows\nhint: add --window 2\n" in told.err
    assert told.out == ""
    command = [word for word in COMMAND if word != "-q"]
    assert run([*command, still, "--plot", str(target), "--format", "jsonl"]) == 1
    assert f"--plot {target}: not drawn, no input has windows" in " ".join(capsys.readouterr().err.split())
    assert not target.exists()


def test_a_picture_goes_over_no_input_and_no_file_of_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = tmp_path / "clip.svg"  # a video by what it has
    clip.write_bytes(Path(SHORT).read_bytes())
    assert run([*COMMAND, str(clip), "--plot", str(clip), "--force"]) == 2
    assert clip.read_bytes() == Path(SHORT).read_bytes()
    foreign = tmp_path / "foreign.pdf"
    foreign.write_bytes(b"%PDF-1.4\n" + b"x" * 40_000 + b"/Creator (somebody)")
    assert run([*COMMAND, SHORT, "--plot", str(foreign)]) == 2
    assert "was not made by this command" in capsys.readouterr().err
    assert run([*COMMAND, SHORT, "--plot", str(tmp_path / "a.jpg")]) == 2
    assert "a picture is .svg, .png or .pdf" in capsys.readouterr().err
    own = tmp_path / "own.pdf"
    for _ in range(2):  # a PDF says at its end who made it
        assert run([*COMMAND, SHORT, "--plot", str(own), "--format", "jsonl"]) == 0


def test_a_missing_extra_is_told_before_anything_is_recognised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "matplotlib" else there(name))
    assert run([*COMMAND, SHORT, "--plot", str(tmp_path / "a.svg")]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "--plot needs matplotlib" in told.err


def test_a_run_that_is_cut_short_leaves_the_picture_that_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "film.svg"
    drawn(target, film(5))
    before, take = target.read_bytes(), TimelinePicture.take

    def stopped(self: TimelinePicture, row: Row, pictures: Any = None) -> None:
        take(self, row, pictures)
        raise KeyboardInterrupt

    monkeypatch.setattr(TimelinePicture, "take", stopped)
    assert run([*COMMAND, SHORT, "--plot", str(target), "--format", "jsonl"]) == 130
    assert target.read_bytes() == before
    command = [word for word in COMMAND if word != "-q"]
    assert run([*command, SHORT, "--plot", str(tmp_path / "new.svg"), "--format", "jsonl"]) == 130
    assert "new.svg" not in capsys.readouterr().err  # which keeps no rows
    assert [path.name for path in tmp_path.iterdir()] == ["film.svg"]


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "film.svg"
    drawn(target, film(5))
    before = target.read_bytes()

    def full(path: Path, data: Any) -> int:
        with path.open("wb") as stream:
            stream.write(bytes(data[:100]))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(MViTError, match="No space left"):
        drawn(target, film(6))
    assert target.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["film.svg"]
