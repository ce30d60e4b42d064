"""A program of the user's that does not use up the rows of `mvit_cli.predict` ends as it says, not as threads end."""

import os
import subprocess
import sys
import textwrap

import pytest
from media_clips import clip

BEGINNING = """
    import os, sys
    import mvit_cli
    files = [{clip!r}] * 40
    rows = mvit_cli.predict(files, preset="camera", views="1x1", workers=2)
    assert next(rows)["status"] == "ok"
"""
ENDS = {
    "at module level": ("", 0, ""),
    "break": ("for row in rows: break", 0, ""),
    "zip of two": (
        'both = zip(rows, mvit_cli.predict(files, preset="camera", views="1x1", workers=1))\nnext(both)',
        0,
        "",
    ),
    "the user's exception": ("for row in rows: raise LookupError('mine')", 1, "LookupError: mine"),
    "the user's exit code": ("for row in rows: sys.exit(7)", 7, ""),
    "a forked child": (
        "child = os.fork()\nif not child: sys.exit(5)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5\nnext(rows)\nsys.exit(3)",
        3,
        "",
    ),
}

OFTEN = ("at module level", "a forked child")
"""In each run of the tests; the others take seconds each too, and have a faster test in `test_media_workers.py`."""


@pytest.mark.skipif(os.name != "posix", reason="forks and signals of POSIX")
@pytest.mark.parametrize("how", [pytest.param(how, marks=() if how in OFTEN else pytest.mark.slow) for how in ENDS])
def test_the_exit_code_is_the_users(how: str) -> None:
    end, code, told = ENDS[how]
    program = textwrap.dedent(BEGINNING).format(clip=clip("rot90.mp4")) + end
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stderr
    assert done.stderr.strip().endswith(told)
    assert bool(done.stderr) == bool(told)  # nothing but what the user's program says
