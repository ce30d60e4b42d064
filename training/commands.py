"""`mvit` as anybody would type it, for the demonstrations: what a command prints as JSON."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
MVIT = (sys.executable, "-m", "mvit_cli")
INTERRUPTED = 130


def mvit(*arguments: str) -> dict[str, Any]:
    """Runs `mvit`, whose progress goes to this terminal, and reads the document that it prints.

    A training that Ctrl-C ended prints one as well, of the best weights so far.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    done = subprocess.run([*MVIT, *arguments, "--format", "json"], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    if done.returncode and not (done.returncode == INTERRUPTED and done.stdout):
        done.check_returncode()
    document: dict[str, Any] = json.loads(done.stdout)
    return document
