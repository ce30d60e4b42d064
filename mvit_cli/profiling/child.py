"""A module of this package as a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import mvit_cli


def run_module(module: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Runs a module's `__main__` with this very package, wherever it was imported from, to its end."""
    package = str(Path(mvit_cli.__file__).parent.parent)
    paths = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": paths},
    )


def why_it_failed(done: "subprocess.CompletedProcess[str]") -> str:
    """The last thing that a process said, or its exit code."""
    return (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
