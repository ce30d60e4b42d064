"""Habits of docstrings that are the same in all rooms."""

import ast
import inspect
from pathlib import Path

import pytest

import mvit_cli

PACKAGE = Path(mvit_cli.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))


def documented(path: Path) -> list[tuple[ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, str, str]]:
    """Classes and functions of a file: the node, where it stands, and its docstring."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.append(
                (node, f"{path.relative_to(PACKAGE)}:{node.lineno} {node.name}", ast.get_docstring(node) or "")
            )
    return found


def fields_of(node: ast.ClassDef) -> set[str]:
    return {ast.unparse(line.target) for line in node.body if isinstance(line, ast.AnnAssign)}


def entries(docstring: str, section: str) -> list[str]:
    """Names explained below `section:`, one an entry of its first indentation."""
    lines = inspect.cleandoc(docstring).splitlines()
    if f"{section}:" not in lines:
        return []
    below = lines[lines.index(f"{section}:") + 1 :]
    end = next((n for n, line in enumerate(below) if line and not line.startswith(" ")), len(below))
    named = [line.strip().partition(":")[0] for line in below[:end] if line.startswith("    ") and line[4:5].strip()]
    return [name.strip() for text in named for name in text.split(",")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_fields_are_attributes_and_parameters_are_args(path: Path) -> None:
    wrong = []
    for node, place, docstring in documented(path):
        if isinstance(node, ast.ClassDef):
            built = any(isinstance(inner, ast.FunctionDef) and inner.name == "__init__" for inner in node.body)
            wrong += [place] if "Args:" in docstring and not built else []
            wrong += [
                f"{place} {name}"
                for name in entries(docstring, "Attributes")
                if not built and fields_of(node) and name not in fields_of(node)
            ]
        else:
            names = {arg.arg for arg in ast.walk(node.args) if isinstance(arg, ast.arg)}
            wrong += [f"{place} {name}" for name in entries(docstring, "Args") if name.lstrip("*") not in names]
            wrong += [place] if "Attributes:" in docstring else []
    assert not wrong


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_sections_have_the_names_all_rooms_use(path: Path) -> None:
    others = {"Parameters:", "Params:", "Arguments:", "Return:", "Exceptions:", "Throws:", "Fields:"}
    assert not [place for _, place, docstring in documented(path) if others & set(docstring.splitlines())]
