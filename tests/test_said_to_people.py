"""What is written for people: nothing in it steers a terminal, no word is cut, and nobody else speaks in between."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mvit_cli
from mvit_cli.cli.main import run
from mvit_cli.errors import at_most, tell
from mvit_cli.report.tables import write_json

PACKAGE = Path(mvit_cli.__file__).parent
STEERING = "a\x1b]52;c;eA==\x07\x7f\x9b2J\u202e\udce9"
# Where text goes out itself, and where it goes to a process of ours or is our own help.
DOORS = {
    ("errors.py", "tell"),
    ("report/tables.py", "write"),
    ("report/tables.py", "write_data"),
    ("cli/main.py", "_root"),
    ("cli/main.py", "_invoke"),
    ("profiling/end_to_end.py", "_main"),
    ("profiling/memory.py", "_main"),
}


def writers(tree: ast.AST, function: str = "") -> Iterator[str]:
    """Names of the functions that print, or write to a standard stream."""
    for node in ast.iter_child_nodes(tree):
        inside = node.name if isinstance(node, ast.FunctionDef) else function
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in ("print", "typer.echo", "click.echo") or called.endswith(("stdout.write", "stderr.write")):
                yield inside
            if called == "stream.write" and inside == "write":
                yield inside
        yield from writers(node, inside)


def test_all_that_is_said_goes_through_one_door() -> None:
    found = {
        (path.relative_to(PACKAGE).as_posix(), function)
        for path in PACKAGE.rglob("*.py")
        for function in writers(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found <= DOORS, "use errors.tell, or write_data and write_json of report/tables.py"


def test_a_message_cannot_steer_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    tell(f"it is {STEERING}")
    assert capsys.readouterr().err.rstrip("\n").isprintable()


def test_a_document_is_exact_in_a_pipe_and_harmless_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    document = {"name": STEERING}
    write_json(document)
    assert json.loads(capsys.readouterr().out) == document
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    write_json(document)
    assert all(line.isprintable() for line in capsys.readouterr().out.splitlines())


@pytest.mark.parametrize("text", ["word " * 100, "x" * 500, "short"])
def test_long_messages_end_between_words(text: str) -> None:
    said = at_most(text.strip())
    assert len(said) <= 200
    assert said in ("short", "x" * 197 + "...") or said.removesuffix("...").endswith("word")


REMARK = """
import sys, warnings
import mvit_cli.cli.main as face
from mvit_cli.__main__ import main
from mvit_cli.errors import MViTError

def remarks():
    warnings.warn_explicit("a remark", UserWarning, "cuda.py", 1, module="torch.cuda")
    raise MViTError("it fails", "do otherwise")

face._invoke = lambda arguments: remarks()
main()
"""


@pytest.mark.parametrize("options", [(), ("-W", "default")])
def test_torch_remarks_nothing_before_our_error(options: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, *options, "-c", REMARK], capture_output=True, text=True)
    assert done.returncode == 1
    assert ("a remark" in done.stderr) == bool(options)  # who asks for warnings has them
    assert done.stderr.endswith("error: it fails\nhint: do otherwise\n")


def test_a_number_of_threads_that_would_crash_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["profile", "--preset", "camera", "--threads", "50000"]) == 2
    assert "more than this machine has processors" in capsys.readouterr().err
