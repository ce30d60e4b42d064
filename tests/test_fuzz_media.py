"""Broken videos and pictures in sixty formats through the command: a row each, a whole page, nothing unexpected."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is measured with Linux's means")


def fuzzed(timeout_s: float, *options: str) -> dict[str, Any]:
    """The document of a run in which nothing went wrong."""
    command = [sys.executable, str(BENCHMARKS / "fuzz_media.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    document: dict[str, Any] = json.loads(done.stdout[done.stdout.index("\n{") :])
    assert document["failures"] == []
    return document


@pytest.mark.timeout(300)  # of a busy machine; alone it takes ten seconds
def test_a_file_of_each_format_and_some_broken_ones_give_a_row_each() -> None:
    document = fuzzed(290, "--files", "100", "--batch", "100", "--seed", "15")
    assert document["formats"] >= 40
    assert document["files"] == document["rows"] == 100
    assert document["outcomes"]["decode"] > 3


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_thousand_broken_files_give_all_their_rows_within_limits() -> None:
    document = fuzzed(3600, "--files", "10000", "--batch", "2500", "--seed", "16")
    assert document["files"] == 10_000
    assert document["rows"] > 10_000  # those in windows have several


@pytest.mark.parametrize(
    "fault",
    [
        '<script src="https://example.org/a.js"></script>',
        '<img src="//example.org/a.png">',
        '<p onclick="alert(1)">',
        '<link rel="stylesheet" href="a.css">',
        '<a href="javascript:alert(1)">a</a>',
        "<b><i></b></i>",
        "<style>a { background: url(a.png) }</style>",
    ],
)
def test_the_judge_of_pages_finds_what_it_looks_for(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    faults_of_page = importlib.import_module("hostile_pages").faults_of_page
    page = "<!doctype html><html><body><a href='#top'>a</a>%s</body></html>"
    assert faults_of_page((page % "").encode()) == []
    assert faults_of_page((page % fault).encode())
