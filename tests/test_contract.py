"""What scripts may rely on: keys, their order, defaults and exit codes of `mvit predict`."""

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

import mvit_cli
from mvit_cli.cli.main import run

CLIP = str(Path(__file__).parent / "data" / "pan_left.mp4")
OK_KEYS = [
    *(
        "path",
        "status",
        "preset",
        "weights",
        "views",
        "activation",
        "predictions",
        "clips",
        "duration_s",
        "reader",
        "warnings",
    ),
    *("device", "dtype", "timing_ms"),
]
KINDS = {"not_found", "unsupported", "empty", "decode", "timeout", "crash", "memory", "internal"}


pytestmark = pytest.mark.usefixtures("decoding_in_this_process")


def rows(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> list[dict[str, Any]]:
    assert run(["predict", *arguments, "--preset", "camera", "-q"]) == code
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_row_has_exactly_these_keys_in_this_order(capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = rows(capsys, CLIP)
    assert list(row) == OK_KEYS
    assert (row["path"], row["status"]) == (CLIP, "ok")
    assert (row["preset"], row["weights"]) == ("camera_motion", "camera_motion.embedded")
    assert [list(entry) for entry in row["predictions"]] == [["index", "label", "score"]] * 5
    assert all(list(part) == ["start_s", "end_s"] for part in row["clips"])
    assert list(row["timing_ms"])[:2] == ["decode", "model"]
    assert (row["device"], row["dtype"], row["warnings"]) == ("cpu", "float32", [])
    assert row["reader"] in ("decord", "av")
    assert row["duration_s"] == pytest.approx(3.0, abs=0.1)


def test_predictions_come_best_first_with_scores_from_0_to_1(capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = rows(capsys, CLIP, "--top", "10")
    scores = [entry["score"] for entry in row["predictions"]]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    assert sum(scores) == pytest.approx(1, abs=1e-5)
    assert row["predictions"][0]["label"] == "pan left"


def test_views_default_to_the_cards_protocol(capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = rows(capsys, CLIP)
    assert row["views"] == "3x1"
    assert len(row["clips"]) == 3
    (row,) = rows(capsys, CLIP, "--views", "2x3")
    assert row["views"] == "2x3"
    assert len(row["clips"]) == 2


def test_an_error_row_has_exactly_these_keys(capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = rows(capsys, "nowhere.mp4", code=1)
    assert list(row) == ["path", "status", "error"]
    assert (row["path"], row["status"]) == ("nowhere.mp4", "error")
    assert list(row["error"]) in (["kind", "message"], ["kind", "message", "hint"])
    assert row["error"]["kind"] in KINDS


def test_with_a_window_each_row_says_which_seconds_it_is_about(capsys: pytest.CaptureFixture[str]) -> None:
    *ok, lost = rows(capsys, CLIP, "nowhere.mp4", "--window", "2", "--hop", "0.5", code=1)
    assert [row["window"] for row in ok] == [
        {"start_s": 0.0, "end_s": 2.0},
        {"start_s": 0.5, "end_s": 2.5},
        {"start_s": 1.0, "end_s": 3.0},
    ]
    assert {tuple(row) for row in ok} == {("path", "status", "window", *OK_KEYS[2:])}
    assert {row["views"] for row in ok} == {"1x1"}
    assert {row["duration_s"] for row in ok} == {3.0}
    assert list(lost) == ["path", "status", "window", "error"]
    assert lost["window"] is None


def test_without_a_hop_windows_follow_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    starts = [row["window"]["start_s"] for row in rows(capsys, CLIP, "--window", "1.5", "--views", "1x3")]
    assert starts == [0.0, 1.5]


def test_the_json_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["predict", CLIP, "nowhere.mp4", "--preset", "camera", "--format", "json", "-q"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert list(document) == ["model", "results", "counts"]
    assert document["counts"] == {"ok": 1, "error": 1}
    assert document["model"] == mvit_cli.summarize("camera")


def test_python_gives_the_rows_of_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = mvit_cli.predict([CLIP], preset="camera")
    (printed,) = rows(capsys, CLIP)
    assert list(row) == list(printed)
    assert row["status"] == "ok"
    assert row["predictions"] == printed["predictions"]
    pieces = list(mvit_cli.predict([CLIP], preset="camera", window_s=2, hop_s=0.5))
    assert [row["predictions"] for row in pieces if row["status"] == "ok"] == [
        row["predictions"] for row in rows(capsys, CLIP, "--window", "2", "--hop", "0.5")
    ]


def test_python_defaults_are_those_of_the_command_line() -> None:
    defaults = {name: part.default for name, part in inspect.signature(mvit_cli.predict).parameters.items()}
    assert (defaults.pop("inputs"), defaults.pop("boxes")) == ((), None)
    assert defaults == {
        **dict.fromkeys(("preset", "weights", "weights_key", "labels", "threshold", "views", "window_s", "hop_s")),
        **dict.fromkeys(("mean", "std", "frames", "fps", "size")),
        **dict.fromkeys(("device", "dtype", "batch_size", "workers", "reader"), "auto"),
        "top": 5,
        "max_windows": 100_000,
        "timeout_s": 60.0,
        "fast": True,
        "compiled": False,
        "deterministic": False,
        "engine": "local",
    }
