"""What people type instead of what is written in the manual, and what they are told."""

import json
from pathlib import Path

import pytest
import torch

from mvit_cli.arch.presets import preset_names
from mvit_cli.checkpoints.find import find
from mvit_cli.cli.flags import dtype_named
from mvit_cli.cli.main import run
from mvit_cli.errors import UsageError, how_to_install

Captured = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("said", "meant"),
    [("fp16", "float16"), ("half", "float16"), ("BF16", "bfloat16"), ("fp32", "float32"), (" int8", "int8")],
)
def test_number_formats_go_by_their_other_names(said: str, meant: str) -> None:
    assert dtype_named(said) == meant


@pytest.mark.parametrize("command", [["predict", "x.mp4"], ["profile", "--preset", "camera"]])
def test_a_number_format_that_is_misspelt_is_told_the_nearest(command: list[str], capsys: Captured) -> None:
    assert run([*command, "--dtype", "floaf16"]) == 2
    told = capsys.readouterr().err
    assert "there is no dtype 'floaf16' here" in told
    assert "float16" in told


def test_the_name_of_a_preset_means_its_usual_weights(capsys: Captured) -> None:
    assert find("B").name == find("mvit-b-16x4").name == "mvit_b_16x4.tv_k400"
    assert find("camera").name == "camera_motion.embedded"
    assert run(["weights", "show", "camera"]) == 0
    assert "camera_motion.embedded" in capsys.readouterr().out
    with pytest.raises(UsageError, match="no weights are named 'S'"):
        find("S")  # nothing was published for it


def test_short_options(capsys: Captured, weights: str) -> None:
    assert run(["summarize", "-p", "camera", "--format", "json"]) == 0
    assert '"camera_motion"' in capsys.readouterr().out
    assert run(["predict", "nothing.mp4", "-w", weights, "-k", "2", "-q"]) == 1
    assert "no such file" in capsys.readouterr().out


@pytest.mark.parametrize(("typed", "hinted"), [("clip.mp4", True), ("folder", True), ("pedict", False)])
def test_a_file_in_the_place_of_a_command_hints_at_predict(
    typed: str, hinted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    assert run([typed]) == 2
    assert (f"`mvit predict {typed}` recognises it" in capsys.readouterr().err) == hinted


def test_verifying_ends_with_a_verdict(capsys: Captured, weights: str) -> None:
    assert run(["weights", "verify", "camera"]) == 0
    assert capsys.readouterr().err.startswith(
        "good: it fits its network, tensor by tensor, and is the published camera"
    )
    assert run(["weights", "verify", weights]) == 0
    assert "of your own" in capsys.readouterr().err


def test_presets_are_listed_with_use_cost_and_weights(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(["presets", "--format", "json"]) == 0
    entries = {entry["preset"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert list(entries) == list(preset_names())
    assert entries["mvit_b_16x4"]["macs"] == pytest.approx(70.5e9, rel=0.01)  # as in the paper
    assert entries["mvit_b_16x4"]["weights"][0] == "mvit_b_16x4.tv_k400"
    assert (entries["mvit_s_16x4"]["weights"], entries["mvitv2_tiny"]["use"]) == ([], "images")
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["presets"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in preset_names())
    assert max(map(len, shown.splitlines())) <= 100


def test_a_report_has_versions_and_no_secret(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_SECRET")
    monkeypatch.setenv("HF_ENDPOINT", "https://user:SECRET@mirror.example")
    for format in ("json", "table"):
        assert run(["env", "--format", format]) == 0
        shown = capsys.readouterr().out
        assert "SECRET" not in shown
        assert torch.__version__.partition("+")[0] in shown
        assert "embedded" in shown
    assert run(["env", "--format", "json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["HF_TOKEN"] == "set"
    assert record["devices"][0].startswith("cpu")


@pytest.mark.parametrize("command", ["predict", "profile"])
def test_help_names_every_exit_code(command: str, capsys: Captured) -> None:
    assert run([command, "--help"]) == 0
    assert "130 interrupted, 143 terminated" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("left", "told"),
    [
        ("pipx_metadata.json", "pipx inject mvit matplotlib"),
        ("uv-receipt.toml", "uv tool install --with matplotlib mvit"),
        ("pyvenv.cfg", "-m pip install matplotlib"),
    ],
)
def test_hints_to_install_fit_the_way_it_was_installed(
    left: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / left).write_text("")
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert how_to_install("matplotlib").endswith(told)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    if left == "pyvenv.cfg":  # as uv makes them
        assert how_to_install("matplotlib").startswith("uv pip install --python ")
        monkeypatch.setenv("VIRTUAL_ENV", str(tmp_path))
        assert how_to_install("matplotlib", "numpy") == "uv pip install matplotlib numpy"


def test_what_is_missing_is_hinted_at_in_that_way(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert run(["summarize", "-p", "camera", "--plot", "a.svg"]) == 1
    assert f"hint: {how_to_install('matplotlib')} brings it" in capsys.readouterr().err
