"""What the package ships, without building it: the gate builds the wheel and runs it outside the checkout."""

import tomllib
from pathlib import Path

import mvit_cli
from mvit_cli.checkpoints.cards import weights_dir

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_room_is_packaged() -> None:
    rooms = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "mvit_cli").rglob("__init__.py")}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == rooms | {"mvit_cli.weights"}


def test_every_file_that_is_no_module_is_packaged() -> None:
    packaged = {
        path
        for package, patterns in PROJECT["tool"]["setuptools"]["package-data"].items()
        for pattern in patterns
        for path in ROOT.joinpath(*package.split(".")).glob(pattern)
    }
    others = {path for path in (ROOT / "mvit_cli").rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert {path.name for path in others} >= {"py.typed", "page.css", "page.js", "predict.json"}
    assert packaged >= others


def test_every_file_of_weights_is_packaged() -> None:
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["mvit_cli.weights"]
    packaged = {path for pattern in patterns for path in (ROOT / "weights").glob(pattern)}
    assert packaged == {path for path in (ROOT / "weights").rglob("*") if path.is_file() and path.suffix != ".pyc"}


def test_the_checkout_finds_its_weights() -> None:
    assert weights_dir().resolve() == (ROOT / "weights").resolve()


def test_versions_agree() -> None:
    assert PROJECT["project"]["version"] == mvit_cli.__version__
    assert f"## {mvit_cli.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_constraints_satisfy_the_dependencies() -> None:
    pinned = {line.split("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    needed = {entry.split(";")[0].split(">")[0].split("<")[0].strip() for entry in PROJECT["project"]["dependencies"]}
    assert needed <= pinned
