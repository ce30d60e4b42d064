"""What the package ships, without building it: the gate builds the wheel and runs it outside the checkout."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import mvit_cli
from mvit_cli.checkpoints.cards import weights_dir

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_room_is_packaged() -> None:
    rooms = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "mvit_cli").rglob("__init__.py")}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == rooms


def test_every_file_that_is_no_module_is_packaged() -> None:
    packaged = {
        path
        for package, patterns in PROJECT["tool"]["setuptools"]["package-data"].items()
        for pattern in patterns
        for path in ROOT.joinpath(*package.split(".")).glob(pattern)
    }
    others = {path for path in (ROOT / "mvit_cli").rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert {path.name for path in others} >= {"py.typed", "page.css", "page.js", "entry.html", "predict.json"}
    assert packaged >= others


def test_every_file_of_weights_is_packaged() -> None:
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["mvit_cli.weights"]
    packaged = {path for pattern in patterns for path in (ROOT / "weights").glob(pattern)}
    assert packaged == {path for path in (ROOT / "weights").rglob("*") if path.is_file() and path.suffix != ".pyc"}


def test_the_checkout_finds_its_weights() -> None:
    assert weights_dir().resolve() == (ROOT / "weights").resolve()


def lay_out(folder: Path, as_wheel: bool) -> Path:
    """Copies the package as a clone or a wheel has it; gives the folder where its weights then lie."""
    if not as_wheel:
        for name in ("mvit_cli", "weights"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        return folder / "weights"
    setuptools = PROJECT["tool"]["setuptools"]
    for package in setuptools["packages"]:
        source = ROOT / setuptools["package-dir"].get(package, package.replace(".", "/"))
        for pattern in ("*.py", *setuptools["package-data"].get(package, ())):
            for path in source.glob(pattern):
                copy = folder.joinpath(*package.split("."), path.relative_to(source))
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
    return folder / "mvit_cli" / "weights"


@pytest.mark.parametrize("as_wheel", [False, True], ids=["checkout", "wheel"])
def test_weights_are_found_without_an_installation(tmp_path: Path, as_wheel: bool) -> None:
    weights = lay_out(tmp_path, as_wheel)
    code = "from mvit_cli.checkpoints.cards import *; print(weights_dir()); print(len(card_names()))"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    for command in (["-c", code], ["-m", "mvit_cli", "weights", "show", "camera_motion.embedded"]):
        done = subprocess.run([sys.executable, *command], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        if "-c" in command:
            assert done.stdout.split() == [str(weights), str(len(list((ROOT / "weights").glob("*.toml"))))]


def test_versions_agree() -> None:
    assert PROJECT["project"]["version"] == mvit_cli.__version__
    assert f"## {mvit_cli.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_constraints_satisfy_the_dependencies() -> None:
    pinned = {line.split("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    needed = {entry.split(";")[0].split(">")[0].split("<")[0].strip() for entry in PROJECT["project"]["dependencies"]}
    assert needed <= pinned
