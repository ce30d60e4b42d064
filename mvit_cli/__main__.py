"""`python -m mvit_cli` and the `mvit` command."""

import atexit
import os
import signal
import sys
import warnings
from contextlib import suppress


def main() -> None:
    """Runs the command line and ends the process with its exit code."""
    end = _End()
    atexit.register(end)  # before all others, and so run after them, when no thread is waited for any more
    _open_closed_streams()
    if not sys.warnoptions:  # what torch remarks on the way is no message of ours, and stands before it
        warnings.filterwarnings("ignore", module=r"torch(\.|$)")
    try:
        from mvit_cli.cli.main import run

        code = run()
    except KeyboardInterrupt:  # outside the boundary in `run`, or while it cleans up
        code = 130
    # From here on nothing is left to clean up: a second Ctrl-C ends the process without a traceback of torch's.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    end.code = code
    sys.exit(code)


class _End:
    """The last that runs: all is said and closed, and the system takes the memory back at once.

    Python would take every object apart before, which after `import torch` takes as long as a third of that import.

    Attributes:
        code: the exit code; None: the process ends otherwise, and Python has to say how.
    """

    code: int | None = None

    def __call__(self) -> None:
        if self.code is None or sys.getprofile() or sys.gettrace():  # who looks on has something to say after us
            return
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # nobody reads, or it is closed
                stream.flush()
        os._exit(self.code)


def _open_closed_streams() -> None:
    """Puts the null device where a stream was closed (`2>&-`): no file may get its number, no message go elsewhere.

    Writing to a closed stdout stays an error, as it is opened for reading.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_WRONLY if name == "stderr" else os.O_RDONLY)
            setattr(sys, name, open(descriptor, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115


if __name__ == "__main__":
    main()
