"""`mvit profile --input`: where the time of `mvit predict FILE` goes, phase by phase."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest
import torch
from profile_document import CAMERA, document
from schemas import problems, unnoticed_changes

from mvit_cli.cli.main import run
from mvit_cli.errors import MViTError
from mvit_cli.profiling import end_to_end as file
from mvit_cli.profiling.end_to_end import FileSetup, weights_here
from mvit_cli.report.profile import costs

CLIP = Path(__file__).parent / "data" / "pan_left.mp4"
SETUP = FileSetup(path=str(CLIP), preset="camera_motion", weights="camera_motion.embedded", threads=1)
WARM = [
    "open and index",
    "decode",
    "resize and crop",
    "hand over",
    "copy to the device",
    "normalise",
    "model",
    "scores",
]


@pytest.fixture(scope="module")
def timed() -> Iterator[dict[str, Any]]:
    """One file for all tests; the new process is one that only says what it would."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(file, "REPEATS", 1)
        patch.setattr(file, "run_module", answering({"phases": {"load torch": 900.0, "recognise": 100.0}}))
        yield file.profile_file(SETUP)


def answering(answer: dict[str, Any]) -> Any:
    def run_module(module: str, *arguments: str) -> CompletedProcess[str]:
        assert module == "mvit_cli.profiling.end_to_end"
        assert FileSetup(**json.loads(arguments[0])).preset == "camera_motion"
        return CompletedProcess([], 0, json.dumps({**answer, "ended": time.time()}), "")

    return run_module


def test_phases_of_a_file_add_up_and_stand_in_the_order_of_events(timed: dict[str, Any]) -> None:
    warm = timed["warm"]
    assert [phase["name"] for phase in warm["phases"]] == WARM
    assert all(phase["ms"] >= 0 for phase in warm["phases"])
    assert sum(phase["ms"] for phase in warm["phases"]) == pytest.approx(warm["total_ms"])
    assert sum(phase["share"] for phase in warm["phases"]) == pytest.approx(1)
    assert timed["decoding_ms"] + timed["recognising_ms"] == pytest.approx(warm["total_ms"])
    took = {phase["name"]: phase["ms"] for phase in warm["phases"]}
    assert min(took["decode"], took["resize and crop"], took["model"]) > 0
    assert took["copy to the device"] == 0  # a CPU has no other memory


def test_a_new_process_ends_with_its_own_end(timed: dict[str, Any]) -> None:
    phases = {phase["name"]: phase["ms"] for phase in timed["cold"]["phases"]}
    assert list(phases) == ["load torch", "recognise", "end"]
    assert phases["load torch"] == 900.0


def test_it_says_what_was_shown_to_which_network(timed: dict[str, Any]) -> None:
    assert (timed["weights"], timed["views"], timed["file"]) == ("camera_motion.embedded", "3x1", str(CLIP))
    assert timed["duration_s"] == pytest.approx(3, abs=0.1)


def test_a_slow_network_is_what_the_model_phase_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "REPEATS", 1)
    recogniser = file._recogniser(SETUP)
    recogniser.scorer.batch_size = 1
    recogniser.scorer.model.patch_embed.register_forward_hook(lambda *_: time.sleep(0.05))
    pixels = np.zeros((3, 16, 96, 96, 3), np.uint8)
    phases = file._scoring(recogniser, pixels)
    assert phases["model"] > 3 * 50
    model = recogniser.scorer.model
    assert not model._forward_hooks
    assert not model._forward_pre_hooks
    assert torch.isfinite(recogniser.scorer.scores(pixels)).all()


def test_the_tables_name_both_processes(timed: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    failed = {"batch_size": 1, "dtype": "float32", "threads": 1, "error": "out of memory"}
    profile = document(failed) | {"end_to_end": timed}
    costs.show_profile(profile, CAMERA)
    told = " ".join(capsys.readouterr().out.split())
    assert told.index("a new process") < told.index("load torch") < told.index("the same process")
    assert "weights camera_motion.embedded" in told
    assert "a file about every" in told
    csv = costs.profile_csv(profile)
    assert ",,,cold,load torch,900.0" in csv


def test_the_schema_knows_a_file(timed: dict[str, Any]) -> None:
    profile = document({"batch_size": 1, "dtype": "float32", "threads": 1, "error": "out of memory"})
    profile["end_to_end"] = timed
    assert problems("profile", profile) == []
    assert unnoticed_changes("profile", profile) == []


def test_a_file_that_is_not_recognised_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(file, "run_module", answering({"error": {"message": "no video stream", "hint": "look"}}))
    with pytest.raises(MViTError, match="no video stream"):
        file.profile_file(SETUP)
    monkeypatch.setattr(file, "run_module", lambda *_: CompletedProcess([], 1, "", "first\nbroken: deeply"))
    with pytest.raises(MViTError, match="broken: deeply"):
        file.profile_file(SETUP)


def test_published_weights_are_taken_where_they_are_here() -> None:
    assert weights_here("camera_motion") == "camera_motion.embedded"
    assert weights_here("mvit_s_16x4") == "none"


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--input", "nowhere.mp4"], 1, "nowhere.mp4: no such file"),
        (["--weights", "none"], 2, "with --input only"),
        (["--input", str(CLIP), "--frames", "8"], 2, "no --frames"),
        (["--input", str(CLIP), "--compile"], 2, "without --compile"),
    ],
)
def test_wrong_usage_of_input_is_told_at_once(
    options: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["profile", "--preset", "camera", *options]) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert said in told.err


@pytest.mark.slow
def test_a_new_process_is_timed_from_its_start_to_its_end() -> None:
    started = time.time()
    phases = file._cold(SETUP)
    whole = 1000 * (time.time() - started)
    assert list(phases) == [
        "start Python and the command line",
        "load torch",
        "load the network",
        "start the decoder",
        "open, decode, resize",
        "recognise",
        "end",
    ]
    assert all(ms >= 0 for ms in phases.values())
    assert 0.8 * whole < sum(phases.values()) <= whole
