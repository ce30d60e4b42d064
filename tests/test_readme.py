"""What the README and the pages say is true: their commands run, their outputs are current."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import mvit_cli
from mvit_cli.arch import get_preset
from mvit_cli.cli.main import run

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = "".join(
    path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md")) if path.stem != "tutorial"
)
BLOCKS = re.findall(r"(?:<!-- (?P<marker>ci:\w+) -->\n)?```sh\n(?P<body>.*?)```", README + PAGES, re.DOTALL)
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
FENCED = re.findall(r"^```(\w*)\n(.*?)^```$", README + PAGES, re.DOTALL | re.MULTILINE)
SHOWN = sorted(  # commands on files of the reader's own
    line.split("#")[0].split("|")[0].strip()
    for language, body in FENCED
    for line in body.splitlines()
    if not language and line.startswith("mvit ")
)
COMMANDS = [line for marker, body in BLOCKS if not marker for line in body.splitlines() if line.startswith("mvit ")]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_run_as_printed(command: str) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("line", SHOWN)
def test_options_of_commands_that_are_only_shown_exist(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = line.split()
    command = words[1 : 3 if words[1] == "weights" and len(words) > 2 and not words[2].startswith("-") else 2]
    assert run([*command, "--help"]) == 0
    known = set(re.findall(r"-{1,2}[\w-]+", capsys.readouterr().out))
    assert not {word.partition("=")[0] for word in words[2:] if re.match(r"--?[a-zA-Z0]", word)} - known


@pytest.mark.parametrize("block", PYTHON)
def test_python_blocks_run(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    (tmp_path / "clips").mkdir()
    shutil.copy(ROOT / "tests/data/pan_left.mp4", tmp_path / "clips")
    model = mvit_cli.build_model(get_preset("mvit_b_16x4").config)
    torch.save({"model_state": model.state_dict()}, tmp_path / "file.pyth")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(block, names)
    names["recogniser"].close()
    with torch.inference_mode():
        assert names["model"](torch.zeros(1, 3, 16, 224, 224)).shape == (1, 400)
    assert float(names["scores"].sum()) == pytest.approx(1)
    assert names["row"]["predictions"][0]["label"] == "pan left"
    assert names["summary"]["params"] > 36e6


def test_the_first_command_recognises_the_example() -> None:
    first = next(body for marker, body in BLOCKS if marker == "ci:first")
    command = first[first.index("mvit predict") :].strip()
    done = subprocess.run(
        [sys.executable, "-m", "mvit_cli", *command.split()[1:]], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert '"label": "pan left"' in done.stdout.splitlines()[0].split("}")[0]


def test_outputs_and_the_table_of_presets_are_current() -> None:
    done = subprocess.run([sys.executable, "scripts/update_docs.py", "--check"], cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_no_path_or_host_of_one_machine_is_named() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    files = [ROOT / name for name in listed.stdout.split() if name.endswith((".md", ".py", ".toml", ".txt", "run"))]
    words = ("/ro" + "ot/", "/wo" + "rk/", "/ho" + "me/", "127.0.0.1:80" + "80")
    found = [f"{path.name}: {word}" for path in files for word in words if word in path.read_text(encoding="utf-8")]
    assert not found
