"""`--help` of every command: nothing cut at any width, on a terminal and in a pipe; and what a shell completes."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from mvit_cli.arch.presets import get_preset
from mvit_cli.cli.help import GROUPS, page_of
from mvit_cli.cli.main import app, run
from mvit_cli.errors import UsageError

Captured = pytest.CaptureFixture[str]
ROOT: Any = get_command(app)
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
BOX = str.maketrans(dict.fromkeys("╭─╮│╰╯", " "))
MVIT = Path(sys.executable).with_name("mvit")


def commands(command: Any = ROOT, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield words
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*words, name))


def context_of(words: tuple[str, ...]) -> Any:
    context = ROOT.make_context("mvit", [], resilient_parsing=True)
    for word in words:
        context = type(context)(context.command.commands[word], info_name=word, parent=context)
    return context


def words_of(words: tuple[str, ...]) -> set[str]:
    """Every word that the help of a command has to say."""
    context = context_of(words)
    page = page_of(context.command, context)
    text = [page.usage, *page.text, *page.examples, *page.ending]
    return set(" ".join(text + [part for one in page.sections for row in one.rows for part in row]).split())


@pytest.mark.parametrize("terminal", [False, True], ids=["pipe", "terminal"])
@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_no_line_is_too_long_and_no_word_is_cut(
    words: tuple[str, ...], width: int, terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    assert run([*words, "--help"]) == 0
    shown = ESCAPES.sub("", capsys.readouterr().out)
    assert max(map(len, shown.splitlines())) <= width
    assert ("╭─ " in shown) == terminal
    assert "…" not in shown
    assert not words_of(words) - set(shown.translate(BOX).split())
    assert not re.search(r"\{[A-Z]|default: \(|<=x|x>=|<[a-z]+\|", shown)


@pytest.mark.parametrize("command", ["predict", "embed", "eval", "train", "profile"])
def test_options_stand_in_groups_in_one_order(command: str) -> None:
    context = context_of((command,))
    titles = [section.title for section in page_of(context.command, context).sections]
    assert titles == [title for title in (*GROUPS, "Other") if title in titles]
    assert {"What", "Network", "Running", "Output"} <= set(titles)
    (other,) = [section for section in page_of(context.command, context).sections if section.title == "Other"]
    assert [name for name, _ in other.rows] == ["-h, --help"]


def test_an_example_that_goes_on_is_one_command_for_a_shell(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert run(["predict", "--help"]) == 0
    pipeline = re.search(r"  (find .*\n.*\n?.*label')", capsys.readouterr().out)
    assert pipeline
    echoed = 'jq() { echo "$2"; }; find() { :; }; mvit() { :; }\n' + pipeline[1]
    done = subprocess.run(["bash", "-c", echoed], capture_output=True, text=True, check=True)
    assert done.stdout == '.path + " " + .predictions[0].label\n'


@pytest.mark.parametrize("words", [("predict",), ("embed",), ("eval",), ("train",), ("merge",), ("similar",), ()])
def test_every_command_that_reads_files_names_all_exit_codes(words: tuple[str, ...]) -> None:
    context = context_of(words)
    ending = " ".join(page_of(context.command, context).ending)
    assert re.search(r"Exit code: 0 .+, 1 .+, 2 wrong usage, 130 interrupted, 143 terminated\.", ending)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["predict", "x", "--formt", "json"], "--format"),
        (["predict", "x", "--format", "jsnl"], "nearest: jsonl"),
        (["predict", "x", "--reader", "decrd"], "nearest: decord"),
        (["predict", "x", "--engine", "onx"], "nearest: onnx"),
        (["predict", "x", "--device", "cude"], "did you mean cuda?"),
        (["predict", "x", "--preset", "camra"], "did you mean camera"),
        (["predict", "x", "--weights", "mvitv2_s.tv_k400"], "nearest: mvitv2_s_16x4.tv_k400"),
        (["predict", "x", "--columns", "lable_1", "--format", "csv"], "nearest: label_1"),
        (["embed", "x", "-o", "a.npz", "--dtype", "flot16"], "nearest: float16"),
        (["train", "x", "-o", "a.safetensors", "--method", "prob"], "nearest: probe"),
        (["schema", "predct"], "nearest: predict"),
        (["pedict", "x"], "Did you mean 'predict'?"),
        (["weights", "shw"], "Did you mean 'show'?"),
    ],
)
def test_what_is_misspelt_is_told_the_nearest(words: list[str], meant: str, capsys: Captured) -> None:
    assert run(words) == 2
    assert meant in capsys.readouterr().err


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("mvit-b", "mvit_b_16x4"),
        ("MViT_B", "mvit_b_16x4"),
        ("mvitv1-b", "mvit_b_16x4"),
        ("mvitv2-s", "mvitv2_s_16x4"),
        ("mvitv2_l", "mvitv2_l_40x3"),
        ("mvitv2_huge", "mvitv2_huge_cls"),  # the only one that begins so
        ("mvit-camera", "camera_motion"),
    ],
)
def test_a_preset_goes_by_what_people_call_it(said: str, meant: str) -> None:
    assert get_preset(said).name == meant


@pytest.mark.parametrize("said", ["mvit", "mvi", "mvitv2", "m"])
def test_what_may_be_several_presets_is_none(said: str) -> None:
    with pytest.raises(UsageError, match="no preset"):
        get_preset(said)


def completed(line: str) -> list[str]:
    """What bash offers behind a line, by the script that `--show-completion` prints."""
    words = line.split(" ")
    script = (
        f'PATH="{MVIT.parent}:$PATH"; mvit() {{ "{MVIT}" "$@"; }}; eval "$("{MVIT}" --show-completion)"\n'
        f"COMP_WORDS=({' '.join(words[:-1])} '{words[-1]}'); COMP_CWORD={len(words) - 1}\n"
        '_mvit_completion mvit; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("mvit pre", ["predict", "presets"]),
        ("mvit predict --preset mvitv2_t", ["mvitv2_tiny"]),
        ("mvit predict --format js", ["jsonl", "json"]),
    ],
)
def test_bash_completes_commands_options_and_names(line: str, offered: list[str]) -> None:
    assert completed(line) == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_installed_for_a_shell(shell: str, tmp_path: Path) -> None:
    environment = os.environ | {"HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = subprocess.run([MVIT, "--install-completion", shell], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert (
        written
        == {
            "bash": {".bashrc", ".bash_completions/mvit.sh"},
            "zsh": {".zshrc", ".zfunc/_mvit"},
            "fish": {".config/fish/completions/mvit.fish"},
        }[shell]
    )


@pytest.mark.parametrize(
    ("shell", "offered"), [("zsh", "_arguments '*: :((\"mvitv2_tiny\"))'"), ("fish", "mvitv2_tiny")]
)
def test_zsh_and_fish_are_answered_in_their_own_form(shell: str, offered: str) -> None:
    environment = os.environ | {
        "_MVIT_COMPLETE": f"complete_{shell}",
        "_TYPER_COMPLETE_ARGS": "mvit predict --preset mvitv2_t",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    done = subprocess.run([MVIT], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == offered
