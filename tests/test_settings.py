"""Options from a file, from the environment, and what a run leaves in its log."""

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from mvit_cli.checkpoints.fetch.caches import url_cache_dir
from mvit_cli.checkpoints.find import find
from mvit_cli.cli.main import run
from mvit_cli.report.schema import schema_of

CLIP = str(Path(__file__).parent / "data" / "pan_left.mp4")
MVIT = Path(sys.executable).with_name("mvit")
Captured = pytest.CaptureFixture[str]

pytestmark = pytest.mark.usefixtures("decoding_in_this_process")


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    return tmp_path / "run.toml"


def rows(capsys: Captured, *words: str, code: int = 0) -> list[dict[str, Any]]:
    assert run(["predict", *words]) == code
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


# --config


def test_options_come_from_a_file_and_the_command_line_wins(settings: Path, capsys: Captured) -> None:
    settings.write_text(
        f'inputs = ["{CLIP}"]\npreset = "camera"\ntop = 2\nquiet = true\nviews = "1x1"\nmean = [0.4, 0.4, 0.4]\n'
    )
    (row,) = rows(capsys, "--config", str(settings))
    assert (row["preset"], row["views"], len(row["predictions"])) == ("camera_motion", "1x1", 2)
    assert "mean 0.4" in row["warnings"][0]
    (row,) = rows(capsys, "--top", "3", "--config", str(settings), "--views", "2x1")
    assert (row["views"], len(row["predictions"])) == ("2x1", 3)


def test_a_run_can_be_said_again_from_what_it_saved(settings: Path, capsys: Captured) -> None:
    words = (CLIP, "-p", "camera", "-k", "2", "--threshold", "0.01", "--no-fast", "-q")
    first = rows(capsys, *words, "--save-config", str(settings))
    saved = tomllib.loads(settings.read_text())
    assert saved == {"inputs": [CLIP], "preset": "camera", "top": 2, "threshold": 0.01, "no-fast": True, "quiet": True}
    again = rows(capsys, "--config", str(settings))
    assert again[0]["predictions"] == first[0]["predictions"]
    assert run(["predict", *words, "--save-config", str(settings)]) == 2
    assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("tpo = 3", ["predict has no option 'tpo'", "nearest: top"]),
        ('top = "five"', ["run.toml: top:", "'five' is not a valid int"]),
        ("top = true", ["run.toml: top is true", "it is no switch"]),
        ("quiet = 1", ["run.toml: quiet is 1", "it takes true or false"]),
        ('dtype = "flot16"', ["run.toml: dtype:", "nearest: float16"]),
        ('reader = "opencv"', ["run.toml: reader:", "is not one of"]),
        ("[top]\nk = 1", ["run.toml: top is a table", "write a plain value"]),
        ("top = ", ["is no TOML"]),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_its_key(
    text: str, told: list[str], settings: Path, capsys: Captured
) -> None:
    settings.write_text(text)
    assert run(["predict", CLIP, "--config", str(settings)]) == 2
    said = capsys.readouterr().err
    assert all(part in said for part in told), said


@pytest.mark.parametrize("command", ["embed", "eval", "train"])
def test_other_commands_take_options_from_a_file_too(command: str, settings: Path, capsys: Captured) -> None:
    settings.write_text("wokers = 2")
    assert run([command, "--config", str(settings)]) == 2
    said = capsys.readouterr().err
    assert f"{command} has no option 'wokers'" in said
    assert "workers" in said


# MVIT_*


def test_variables_stand_for_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setenv("MVIT_PRESET", "camera")
    (row,) = rows(capsys, CLIP, "-q")
    assert row["preset"] == "camera_motion"
    assert run(["summarize", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["preset"] == "camera_motion"
    monkeypatch.setenv("MVIT_PRESET", "B")
    (row,) = rows(capsys, CLIP, "-q", "--weights", "camera")  # weights tell their preset themselves
    assert row["preset"] == "camera_motion"
    monkeypatch.setenv("MVIT_DEVICE", "tpu")
    assert run(["predict", CLIP, "-p", "camera"]) == 2
    assert "there is no device 'tpu'" in capsys.readouterr().err
    assert run(["predict", "--help"]) == 0
    said = capsys.readouterr().out
    assert "MVIT_PRESET" in said
    assert "MVIT_DEVICE" in said


def test_a_folder_of_weights_is_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: str) -> None:
    (tmp_path / "mine.safetensors").write_bytes(Path(weights).read_bytes())
    monkeypatch.setenv("MVIT_WEIGHTS_DIR", str(tmp_path))
    assert find("mine.safetensors").path == tmp_path / "mine.safetensors"
    assert url_cache_dir() == tmp_path


# --log


def events(path: Path) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in path.read_text().splitlines()]
    checked = Draft202012Validator(schema_of("log"))
    assert not [error.message for event in found for error in checked.iter_errors(event)]
    return found


def test_a_log_says_what_happened(tmp_path: Path, capsys: Captured) -> None:
    log, out = tmp_path / "log.jsonl", tmp_path / "rows.jsonl"
    words = ["predict", CLIP, "nowhere.mp4", "-p", "camera", "-q", "-o", str(out), "--log", str(log)]
    assert run([*words, "--mean", "0.4"]) == 1
    started, *others, finished = events(log)
    assert started["command"] == "predict"
    assert started["options"]["inputs"] == [CLIP, "nowhere.mp4"]
    assert started["options"]["mean"] == "0.4"
    assert {"mvit", "torch", "python"} <= started["versions"].keys()
    kinds = [event["event"] for event in others]
    assert kinds == ["warning", "error", "written"]  # said once, not for each row
    assert (others[1]["path"], others[1]["kind"]) == ("nowhere.mp4", "not_found")
    assert (others[2]["path"], others[2]["bytes"]) == (str(out), out.stat().st_size)
    assert (finished["exit_code"], finished["rows"], finished["ok"]) == (1, 2, 1)
    assert finished["errors"] == {"not_found": 1}
    assert run([*words, "--force"]) == 1  # the next run goes on in the same log
    assert [event["event"] for event in events(log)].count("started") == 2


def test_a_log_says_why_nothing_was_done(tmp_path: Path, capsys: Captured) -> None:
    log = tmp_path / "log.jsonl"
    assert (
        run(
            [
                "predict",
                CLIP,
                "--weights",
                "https://user:secret@host.example/m.pth?token=1",
                "--preset",
                "nonsense",
                "--log",
                str(log),
            ]
        )
        == 2
    )
    started, stopped = events(log)
    assert "secret" not in log.read_text()
    assert "token" not in log.read_text()
    assert (stopped["event"], stopped["exit_code"]) == ("stopped", 2)
    assert "there is no preset 'nonsense'" in stopped["message"]
    assert started["event"] == "started"


@pytest.mark.parametrize("name", ["rows.jsonl", "clip.mp4", "other.txt", "."])
def test_a_log_destroys_nothing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.chdir(tmp_path)
    Path("clip.mp4").write_bytes(Path(CLIP).read_bytes())
    Path("other.txt").write_text("mine")
    Path("rows.jsonl").write_text("")
    assert run(["predict", "clip.mp4", "-p", "camera", "-o", "rows.jsonl", "--log", name]) == 2
    assert f"--log {name} is" in capsys.readouterr().err
    assert Path("other.txt").read_text() == "mine"


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
def test_ctrl_c_is_in_the_log_and_rows_that_are_kept_are_said(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"{number}.mp4").write_bytes(Path(CLIP).read_bytes())
    log, out = tmp_path / "log.jsonl", tmp_path / "rows.jsonl"
    words = [
        str(MVIT),
        "predict",
        *map(str, tmp_path.glob("*.mp4")),
        "-p",
        "camera",
        "--views",
        "15x3",
        "-o",
        str(out),
        "--log",
        str(log),
    ]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    while process.poll() is None and not (out.exists() and out.stat().st_size):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130, said
    kept = len(out.read_text().splitlines())
    assert (
        f"{kept} row{'s' * (kept != 1)} of this run are kept in {out}; the same command with --resume goes on" in said
    )
    stopped = events(log)[-1]
    assert (stopped["event"], stopped["exit_code"], stopped["message"]) == ("stopped", 130, "interrupted")
