"""`python -m mvit_cli` and the `mvit` command."""

import sys


def main() -> None:
    """Runs the command line and ends the process with its exit code."""
    try:
        from mvit_cli.cli.main import run

        code = run()
    except KeyboardInterrupt:  # before or after the boundary in `run`
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
