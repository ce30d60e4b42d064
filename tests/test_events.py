"""`--events`: neighbouring windows of one class as one row."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any, cast

import pytest
from pages import read_page
from schemas import problems, unnoticed_changes

from mvit_cli.annotated import videos
from mvit_cli.annotated.story import Story
from mvit_cli.cli.main import run
from mvit_cli.report.predict.events import EventRows, Merging
from mvit_cli.report.predict.separated import EVENT_COLUMNS, SeparatedValues
from mvit_cli.report.predict.writers import JsonLines

CLIP = str(Path(__file__).parent / "data" / "clips" / "vfr_freeze.mp4")
SHORT = str(Path(__file__).parent / "data" / "pan_left.mp4")
COMMAND = ("predict", "--preset", "camera", "-q", "--views", "1x1", "--window", "4", "--hop", "2")

pytestmark = pytest.mark.usefixtures("decoding_in_this_process")


def rows_of(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> list[dict[str, Any]]:
    assert run([*COMMAND, *arguments, "--format", "jsonl"]) == code
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def merged(windows: list[dict[str, Any]], smooth: float, least: float) -> list[dict[str, Any]]:
    """Events of rows of windows, from the words of the docs: all windows are at hand, nothing is streamed."""
    found: list[dict[str, Any]] = []
    for row in windows:
        if row["status"] == "error":
            found.append({"error": row})
            continue
        others = [other for other in windows if other["status"] == "ok" and other["path"] == row["path"]]
        start = row["window"]["start_s"]
        near = [other for other in others if abs(other["window"]["start_s"] - start) <= smooth / 2]
        means: dict[str, float] = {}
        for other in near:
            for entry in other["predictions"]:
                means[entry["label"]] = means.get(entry["label"], 0.0) + entry["score"] / len(near)
        label = sorted(means, key=lambda name: means[name])[-1]
        before = found[-1] if found and "error" not in found[-1] and found[-1]["path"] == row["path"] else None
        if before and before["label"] != label:
            before["end"] = min(before["end"], start)
        if not before or before["label"] != label:
            before = {"path": row["path"], "label": label, "start": start, "scores": []}
            found.append(before)
        before["end"] = row["window"]["end_s"]
        before["scores"].append(means[label])
    return [one for one in found if "error" in one or sum(one["scores"]) / len(one["scores"]) >= least]


@pytest.mark.parametrize(("smooth", "least"), [(0.0, 0.0), (8.0, 0.0), (0.0, 0.95)])
def test_events_are_the_windows_merged(smooth: float, least: float, capsys: pytest.CaptureFixture[str]) -> None:
    windows = rows_of(capsys, CLIP, "nowhere.mp4", SHORT, "--top", "9", code=1)
    options = ("--events", "--top", "9", "--smooth", str(smooth), "--min-score", str(least))
    events = rows_of(capsys, CLIP, "nowhere.mp4", SHORT, *options, code=1)
    expected = merged(windows, smooth, least)
    assert len(events) == len(expected)
    assert any("error" in event for event in events)
    for event, told in zip(events, expected, strict=True):
        assert problems("events", event) == []
        assert unnoticed_changes("events", event) == []
        if "error" in told:
            assert event == told["error"]
            continue
        assert (event["path"], event["label"], event["windows"]) == (told["path"], told["label"], len(told["scores"]))
        assert (event["start_s"], event["end_s"]) == (told["start"], told["end"])
        assert event["score"] == pytest.approx(sum(told["scores"]) / len(told["scores"]))


def test_the_document_is_what_the_schema_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*COMMAND, SHORT, "nowhere.mp4", "--events", "--format", "json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert problems("events", document) == []
    assert unnoticed_changes("events", document) == []
    assert document["counts"] == {"ok": len(document["results"]) - 1, "error": 1}
    event = document["results"][0]
    for key in event:
        assert problems("events", {name: value for name, value in event.items() if name != key})


@pytest.mark.parametrize(("format", "separator"), [("csv", ","), ("tsv", "\t")])
def test_separated_values_have_the_same_rows_and_always_one_heading(
    format: str, separator: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / f"events.{format}"
    assert run([*COMMAND, SHORT, "nowhere.mp4", "--events", "-o", str(output), "--top", "1"]) == 1
    heading, *lines = csv.reader(io.StringIO(output.read_text(encoding="utf-8")), delimiter=separator)
    assert heading == [
        "path", "status", "start_s", "end_s", "label", "score", "windows", "error_kind", "error_message", "path_bytes",
    ]  # fmt: skip
    *events, error = rows_of(capsys, SHORT, "nowhere.mp4", "--events", "--top", "1", code=1)
    assert [line[:7] for line in lines[:-1]] == [[str(event[name]) for name in heading[:7]] for event in events]
    assert (lines[-1][1], lines[-1][7]) == ("error", error["error"]["kind"])
    assert run([*COMMAND, SHORT, "-o", str(output), "--resume"]) == 2  # rows of windows do not go behind events


@pytest.mark.parametrize("asked", [["--events"], []])
def test_a_table_shows_events(asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """On a terminal as --format table: of windows it shows events, said or not."""
    chosen = ("--smooth", "8", "--min-score", "0.6", "--top", "9")
    events = rows_of(capsys, CLIP, "nowhere.mp4", SHORT, "--events", *chosen, code=1)
    assert len(rows_of(capsys, CLIP, "--events")) > len([one for one in events if one["path"] == CLIP])
    assert run([*COMMAND, CLIP, "nowhere.mp4", SHORT, *asked, *chosen, "--format", "table", "--no-stages"]) == 1
    printed = capsys.readouterr().out
    times = r"^ +(\d+):(\d\d\.\d) – +(\d+):(\d\d\.\d)  [^\d%]* +([\d.]+) %  (.+)$"
    lines = [
        (60 * int(m1) + float(s1), 60 * int(m2) + float(s2), float(score), label)
        for m1, s1, m2, s2, score, label in re.findall(times, printed, re.MULTILINE)
    ]
    assert lines == [
        (one["start_s"], round(one["end_s"], 1), round(100 * one["score"], 1), one["label"])
        for one in events
        if one["status"] == "ok"
    ]
    assert "no file or folder of this name" in printed or "nowhere.mp4" in printed


@pytest.mark.parametrize(
    "chosen", [("--smooth", "8"), ("--min-score", "0.95"), ("--smooth", "8", "--min-score", "0.6")]
)
def test_page_and_video_show_the_events(
    chosen: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stories: list[Story] = []

    def write_video(_: object, story: Story, *__: object) -> list[str]:
        stories.append(story)
        return []

    monkeypatch.setattr(videos, "write_video", write_video)
    shown = ("--report", str(tmp_path / "page.html"), "--save-video", str(tmp_path / "out"), "--top", "9")
    windows = rows_of(capsys, CLIP, SHORT, *chosen, *shown)  # which stay as they are
    events = rows_of(capsys, CLIP, SHORT, "--events", "--top", "9", *chosen)
    assert len(events) < len(merged(windows, 0.0, 0.0))  # the options change something here
    for path, story in zip((CLIP, SHORT), stories, strict=True):
        own = [event for event in events if event["path"] == path]
        assert [(start, end, part.label, part.score) for start, end, part in story.stretches()] == [
            (event["start_s"], event["end_s"], event["label"], f"{100 * event['score']:.1f} %") for event in own
        ]
    lines = [line for table in read_page(tmp_path / "page.html").all("table", "spans") for line in table.all("tr")[1:]]
    assert [(*line.values()[:2], line.all("span", "label")[0].text, line.values()[2]) for line in lines] == [
        (event["start_s"], event["end_s"], event["label"], pytest.approx(event["score"], rel=1e-6)) for event in events
    ]  # events have seven digits


def test_one_path_named_twice_is_two_inputs_and_events_come_when_they_are_over() -> None:
    stream = io.BytesIO()
    writer = EventRows(JsonLines(stream), Merging(smooth_s=100.0))
    row: Any = {
        "path": "=a\udce9.mp4",
        "status": "ok",
        "window": {"start_s": 0.0, "end_s": 2.0},
        "predictions": [{"index": 0, "label": "run", "score": 0.5}],
        "duration_s": 2.0,
    }
    for number in (1, 2):
        writer.take(row)
        assert len(stream.getvalue().splitlines()) == number
    writer.close()
    assert [json.loads(line)["path_bytes"] for line in stream.getvalue().splitlines()] == ["PWHpLm1wNA=="] * 2
    table = io.BytesIO()
    safe = EventRows(SeparatedValues(table, ",", EVENT_COLUMNS, safe=True))
    safe.take(cast("Any", row))
    assert table.getvalue().decode().splitlines()[1].startswith('"\'=a\\xe9.mp4","ok",0.0,2.0,"run",0.5,1,')


@pytest.mark.parametrize(
    ("more", "message", "hint"),
    [
        (["--format", "csv"], "--events are of windows of a video", "add --window 2"),
        (["--window", "2", "--format", "srt"], "the cues of srt are events anyway", "drop --events"),
        (["--window", "2", "-o", "x.csv", "--columns", "path"], "events have their own", "drop --columns"),
        (["--window", "2", "-o", "x.jsonl", "--csv-safe"], "--csv-safe is about csv and tsv", "drop it"),
        (["--window", "2", "-o", "x.jsonl", "--resume"], "--resume cannot go on with events", "drop --events"),
        (["--window", "2", "-o", "x.parquet"], "--events go into one file", "-o events.jsonl"),
        (["--window", "2", "-o", "x.jsonl", "--output-parts", "2"], "--events go into one file", "-o events.jsonl"),
    ],
)
def test_what_does_not_fit_together_is_wrong_usage(
    more: list[str], message: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["predict", CLIP, "--preset", "camera", "--events", *more]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert message in told
    assert hint in told
