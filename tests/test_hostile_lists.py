"""Labelled lists and rows of earlier runs from hostile hands, and names that pictures and subtitles are made of."""

import json
import os
import warnings
from pathlib import Path
from typing import Any

import pytest

from mvit_cli.cli.main import run
from mvit_cli.errors import MViTError, UsageError
from mvit_cli.recognition.labelled import read_labelled
from mvit_cli.report.train.pictures import draw_confusion

ROW: dict[str, Any] = {
    "path": "a.mp4",
    "status": "ok",
    "preset": "camera_motion",
    "weights": "camera_motion.embedded",
    "views": "1x1",
    "activation": "softmax",
    "predictions": [{"index": 0, "label": "static", "score": 0.5}],
    "clips": [],
    "duration_s": 1.0,
    "reader": "av",
    "warnings": [],
    "device": "cpu",
    "dtype": "float32",
    "timing_ms": {"decode": 1.0, "model": 1.0},
}


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        '{"path": "a.mp4", "label": ' + "[" * 200_000,
        '{"path": "\\ud800.mp4", "label": "x"}',
        '{"path": "a.mp4", "label": "\\udfff"}',
        '{"path": "a\\u0000.mp4", "label": "x"}',
        '{"path": "a.mp4", "label": ["x", "\\ud800"]}',
        '{"path": "a.mp4", "label": "x", "start_s": ' + "9" * 5000 + "}",
    ],
)
def test_a_line_that_is_no_clip_is_one_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "list.jsonl").write_text(text + "\n")
    with pytest.raises(MViTError, match="line 1"):
        read_labelled(tmp_path / "list.jsonl")
    assert run(["eval", str(tmp_path / "list.jsonl"), "--preset", "camera"]) == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with a name here")
def test_a_list_is_a_file_and_neither_a_pipe_nor_a_device(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    for name in ("pipe.csv", "zero.csv"):
        with pytest.raises(UsageError, match="is no file"):
            read_labelled(tmp_path / name)


@pytest.mark.parametrize(
    "change",
    [
        {"path": "\ud800"},
        {"path": 5},
        {"preset": 5},
        {"preset": ["B"]},
        {"predictions": []},
        {"predictions": None},
        {"predictions": [[]]},
        {"predictions": [{"index": -1, "label": "static", "score": 0.5}]},
        {"predictions": [{"index": 10**12, "label": "static", "score": 0.5}]},
        {"predictions": [{"index": "0", "label": "static", "score": 0.5}]},
        {"predictions": [{"index": 0, "label": "static", "score": "0.5"}]},
        {"predictions": [{"index": 0, "label": "static", "score": float("nan")}]},
        {"orders": {"backwards": ROW["predictions"]}},
        {"orders": {"reversed": []}},
    ],
)
def test_a_row_that_cannot_be_judged_is_one_error(
    change: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "truth.csv").write_text("path,label\na.mp4,static\n")
    row = ROW | {"path": str(tmp_path / "a.mp4")} | change
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    assert run(["eval", str(tmp_path / "rows.jsonl"), "--truth", str(tmp_path / "truth.csv")]) in (1, 2)
    said = capsys.readouterr().err
    assert "error: " in said
    assert "unexpected" not in said


def test_a_picture_shows_names_and_nothing_that_is_in_them(tmp_path: Path) -> None:
    labels = ["$\\frac{", "\x1b]52;c;aGk=\x07", "\u202ecod", "x" * 5000]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_confusion([[1, 0, 0, 0]] * 4, labels, tmp_path / "confusion.svg")
    drawn = (tmp_path / "confusion.svg").read_text()
    assert "$\\frac{" in drawn
    assert "\\x1b]52" in drawn
    assert "x" * 100 not in drawn


def test_no_label_forges_the_times_of_a_subtitle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = Path(__file__).parent / "data" / "clips" / "tiny_16x16.mp4"
    labels = [f"{number} --> 00:00:00,000 <b>" for number in range(10)]
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    named = ["--preset", "camera", "--labels", str(tmp_path / "labels.json"), "--window", "1", "-q"]
    for kind in ("srt", "vtt"):
        assert run(["predict", str(clip), *named, "--format", kind]) == 0
        written = capsys.readouterr().out
        cues = written.count("\n\n") - (kind == "vtt")
        assert written.count("-->") == cues >= 1
        assert kind == "srt" or "<b>" not in written


def test_a_heat_map_is_not_written_through_a_link(tmp_path: Path) -> None:
    clip = Path(__file__).parent / "data" / "clips" / "tiny_16x16.mp4"
    command = ["predict", str(clip), "--preset", "camera", "-q", "--heatmap"]
    assert run([*command, str(tmp_path / "first")]) == 0
    names = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert {Path(name).suffix for name in names} == {".npz", ".png", ".webp"}
    (tmp_path / "second").mkdir()
    (tmp_path / "mine").write_text("mine")
    for name in names:
        (tmp_path / "second" / name).symlink_to("../mine")
    assert run([*command, str(tmp_path / "second"), "--force"]) == 0
    assert (tmp_path / "mine").read_text() == "mine"
    assert sorted(path.name for path in (tmp_path / "second").iterdir()) == names
