"""The map at the door names what exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAP = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
DOCUMENTS = ("ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md")
PLACE = re.compile(r"`((?:[\w.-]+/)*[\w-]+\.py)(?::([\w.]+))?`|`((?:[\w.-]+/)+)`|`([\w.-]+\.(?:md|toml|txt))`")
MOST_FILES = 16


def found(path: str) -> Path:
    """A path from the root of the checkout, or from the package."""
    return next((place for place in (ROOT / path, ROOT / "mvit_cli" / path) if place.exists()), ROOT / path)


def places(text: str) -> list[tuple[str, str]]:
    """Each path in back-quotes, and the name after its colon or nothing."""
    return [(path or folder or document, name) for path, name, folder, document in PLACE.findall(text)]


def names_defined(path: Path) -> set[str]:
    """`function`, `Class`, `Class.method`, `CONSTANT` of a module, without importing it."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
            for inner in node.body if isinstance(node, ast.ClassDef) else []:
                if isinstance(inner, ast.FunctionDef):
                    names.add(f"{node.name}.{inner.name}")
                elif isinstance(inner, ast.AnnAssign):
                    names.add(f"{node.name}.{ast.unparse(inner.target)}")
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            names |= {
                ast.unparse(target) for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            }
    return names


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_that_is_named_exists(document: str) -> None:
    named = places((ROOT / document).read_text(encoding="utf-8"))
    assert named
    assert not [path for path, _ in named if not found(path).exists()]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_name_is_defined_where_it_is_said_to_be(document: str) -> None:
    pairs = [(path, name) for path, name in places((ROOT / document).read_text(encoding="utf-8")) if name]
    assert not [f"{path}:{name}" for path, name in pairs if name not in names_defined(found(path))]


def test_every_folder_of_the_package_has_its_line() -> None:
    folders = {path.parent.relative_to(ROOT).as_posix() + "/" for path in (ROOT / "mvit_cli").rglob("__init__.py")}
    assert not {folder for folder in folders if f"`{folder}`" not in MAP}


def test_the_walk_of_one_clip_is_short() -> None:
    walk = MAP.split("## The walk of one clip")[1].split("\n## ")[0]
    files = {path for path, _ in places(walk) if path.endswith(".py")}
    assert 8 < len(files) <= MOST_FILES


def test_the_rules_of_the_rooms_are_those_of_the_test() -> None:
    from test_rooms import ALLOWED

    section = MAP.split("## Who may import whom")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", section, re.MULTILINE)
    assert {room: set(re.findall(r"`(\w+)`", others)) for room, others in rows} == ALLOWED
