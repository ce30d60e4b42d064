"""`python -m mvit_cli` and the `mvit` command."""

import signal
import sys


def main() -> None:
    """Runs the command line and ends the process with its exit code."""
    try:
        from mvit_cli.cli.main import run

        code = run()
    except KeyboardInterrupt:  # outside the boundary in `run`, or while it cleans up
        code = 130
    # From here on nothing is left to clean up: a second Ctrl-C ends the process without a traceback of torch's.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(code)


if __name__ == "__main__":
    main()
