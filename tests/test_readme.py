"""What the README says is true: its commands run, its outputs are current."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"(?:<!-- (?P<marker>ci:\w+) -->\n)?```sh\n(?P<body>.*?)```", README, re.DOTALL)
COMMANDS = [line for marker, body in BLOCKS if not marker for line in body.splitlines() if line.startswith("mvit ")]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_run_as_printed(command: str) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_first_command_recognises_the_example() -> None:
    first = next(body for marker, body in BLOCKS if marker == "ci:first")
    command = first[first.index("mvit predict") :].strip()
    done = subprocess.run(
        [sys.executable, "-m", "mvit_cli", *command.split()[1:]], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert '"label": "pan left"' in done.stdout.splitlines()[0].split("}")[0]


def test_outputs_and_the_table_of_presets_are_current() -> None:
    done = subprocess.run([sys.executable, "benchmarks/update_readme.py", "--check"], cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_no_path_or_host_of_one_machine_is_named() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    files = [ROOT / name for name in listed.stdout.split() if name.endswith((".md", ".py", ".toml", ".txt", "run"))]
    words = ("/ro" + "ot/", "/wo" + "rk/", "/ho" + "me/", "127.0.0.1:80" + "80")
    found = [f"{path.name}: {word}" for path in files for word in words if word in path.read_text(encoding="utf-8")]
    assert not found
