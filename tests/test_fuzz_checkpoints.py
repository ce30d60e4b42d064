"""Hostile checkpoints through all commands: limits of time and memory hold, and what is wrong is said as one error."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "fuzz_checkpoints.py"


def fuzzed(count: int, seed: int, timeout_s: float) -> dict[str, Any]:
    """The document of a run in which nothing went wrong."""
    command = [sys.executable, str(SCRIPT), "--count", str(count), "--seed", str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s)
    assert done.returncode == 0, done.stdout[:4000] + done.stderr[-2000:]
    document: dict[str, Any] = json.loads(done.stdout[done.stdout.index("\n{") :])
    assert document["files"] == count
    assert document["wrong"] == 0
    return document


@pytest.mark.timeout(300)  # of a busy machine; alone it takes ten seconds
@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured with Linux's means")
def test_some_hostile_checkpoints_are_answered_within_limits() -> None:
    outcomes = fuzzed(40, 15, 290)["outcomes"]
    assert outcomes["ok"] > 10
    assert outcomes["error 1"] > 40


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured with Linux's means")
def test_ten_thousand_hostile_checkpoints_are_answered_within_limits() -> None:
    fuzzed(10_000, 16, 4 * 3600)
