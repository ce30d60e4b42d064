"""Errors a user can cause: what happened, and what to do next.

    MViTError             exit code 1: something in the world is not as needed
    |-- UsageError        exit code 2: an option or a name that the tool does not know
    |-- CheckpointError   weights that cannot be read, recognised or fitted into the network
    |-- DownloadError     weights that could not be fetched, or are not what their card says
    `-- MediaError        an input that gives no frames: an error row, after which the run goes on
        `-- LostWindowError (media/request.py): one window of a video, and the rest of it as far as it is lost

A wrong value in a call of the library is a `ValueError`. Every error below becomes a message and an exit code in
`cli/main.py`, and nowhere else.
"""

import importlib.util
import os
import shutil
import sys
from pathlib import Path
from typing import ClassVar


class MViTError(Exception):
    """Something in the world is not as needed: a file, the network, a checkpoint, a device.

    Args:
        message: what happened, naming the file or option.
        hint: one line on what to do next; may be empty.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(MViTError):
    """An option or name that the tool does not know. Exit code 2."""

    exit_code: ClassVar[int] = 2


class CheckpointError(MViTError):
    """A checkpoint that cannot be read, recognised or fitted into the network."""


class DownloadError(MViTError):
    """Weights that could not be fetched, or that are not what their card says.

    Args:
        message, hint: as of all errors.
        unanswered: the network was not to be asked or did not answer; what lies on this machine may do instead.
    """

    def __init__(self, message: str, hint: str = "", *, unanswered: bool = False) -> None:
        super().__init__(message, hint)
        self.unanswered = unanswered


class MediaError(MViTError):
    """An input that gives no frames.

    Args:
        kind: the row's `error.kind`: one of `not_found, unsupported, empty, decode, timeout, crash, memory, internal`.
        message: what happened, without the path.
        hint: one line on what to do next; may be empty.
    """

    def __init__(self, kind: str, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.kind = kind


def first_line(error: BaseException) -> str:
    """The first line of what an exception says; its kind where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def at_most(text: str, letters: int = 200) -> str:
    """A text that may be long, cut between two words; a single long word is cut where it must be."""
    if len(text) <= letters:
        return text
    kept = text[: letters - 3]
    return (kept.rsplit(" ", 1)[0] or kept) + "..."


def printable(text: str, *, in_lines: bool = False) -> str:
    r"""Text that cannot steer the terminal: control characters, C0, C1 and bidi, and stray bytes become `\x1b`.

    Args:
        in_lines: line breaks stay.
    """
    if text.isprintable():
        return text
    return "".join(
        char
        if char.isprintable() or (in_lines and char == "\n")
        else char.encode("unicode_escape", "backslashreplace").decode()
        for char in text
    )


def tell(text: str) -> None:
    """Writes a line for people to stderr; whatever names stand in it, it cannot steer the terminal."""
    print(printable(text), file=sys.stderr, flush=True)


def how_to_install(*packages: str) -> str:
    """The command that adds packages to this installation of mvit: of pipx, of uv, or a plain environment.

    pipx and uv leave a file of their own in the environments that they make; one that uv made has no pip.
    """
    prefix, names = Path(sys.prefix), " ".join(packages)
    if (prefix / "pipx_metadata.json").is_file() or "pipx" in prefix.parts:
        return f"pipx inject mvit {names}"
    if (prefix / "uv-receipt.toml").is_file() or {"uv", "tools"} <= set(prefix.parts):
        return f"uv tool install {' '.join(f'--with {name}' for name in packages)} mvit"
    if importlib.util.find_spec("pip") is None:
        here = os.environ.get("VIRTUAL_ENV") == sys.prefix
        return f"uv pip install {names}" if here else f"uv pip install --python {sys.executable} {names}"
    on_path = shutil.which("pip")
    is_ours = on_path is not None and Path(on_path).parent == Path(sys.executable).parent
    return f"pip install {names}" if is_ours else f"{sys.executable} -m pip install {names}"
