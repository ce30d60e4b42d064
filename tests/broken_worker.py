"""A worker that does not start."""

import os


def main() -> None:
    os.write(2, b"ImportError: a library is missing\n")
    os._exit(1)
