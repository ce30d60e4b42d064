"""The `mvit` command: its sub-commands, and the one place where errors become messages and exit codes."""

import errno
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from mvit_cli import __version__
from mvit_cli.addresses import cleaned, scheme_of
from mvit_cli.cli.arguments import MayLeaveOut
from mvit_cli.cli.calibrate import EXAMPLES as CALIBRATE_EXAMPLES
from mvit_cli.cli.calibrate import calibrate_command
from mvit_cli.cli.embed import EXAMPLES as EMBED_EXAMPLES
from mvit_cli.cli.embed import embed_command
from mvit_cli.cli.environment import env_command
from mvit_cli.cli.evaluate import EXAMPLES as EVAL_EXAMPLES
from mvit_cli.cli.evaluate import eval_command
from mvit_cli.cli.export import EXAMPLES as EXPORT_EXAMPLES
from mvit_cli.cli.export import export_command
from mvit_cli.cli.help import HelpedCommand, HelpedGroup, exit_codes
from mvit_cli.cli.merge import EXAMPLES as MERGE_EXAMPLES
from mvit_cli.cli.merge import merge_command
from mvit_cli.cli.predict import EXAMPLES as PREDICT_EXAMPLES
from mvit_cli.cli.predict import predict_command
from mvit_cli.cli.preset_list import presets_command
from mvit_cli.cli.profile import EXAMPLES as PROFILE_EXAMPLES
from mvit_cli.cli.profile import profile_command
from mvit_cli.cli.schema import schema_command
from mvit_cli.cli.similar import EXAMPLES as SIMILAR_EXAMPLES
from mvit_cli.cli.similar import similar_command
from mvit_cli.cli.summarize import EXAMPLES as SUMMARIZE_EXAMPLES
from mvit_cli.cli.summarize import summarize_command
from mvit_cli.cli.train import EXAMPLES as TRAIN_EXAMPLES
from mvit_cli.cli.train import train_command
from mvit_cli.cli.watch import EXAMPLES as WATCH_EXAMPLES
from mvit_cli.cli.watch import watch_command
from mvit_cli.cli.weights import app as weights_app
from mvit_cli.errors import MViTError, tell

INTERRUPTED = 130
TERMINATED = 143

_NEXT_STEPS = {
    errno.ENOSPC: "free some room on that disk, or write elsewhere",
    errno.EDQUOT: "your quota is used up: free some room, or write elsewhere",
    errno.EFBIG: "that file system takes no larger files: write elsewhere",
    errno.EMFILE: "too many files are open at once: raise the limit (`ulimit -n 4096`), or use fewer --workers",
    errno.ENFILE: "this machine has too many files open: close other programs",
    errno.EACCES: "check the permissions of the place and of the folders above it",
    errno.EPERM: "check the permissions of the place and of the folders above it",
    errno.EROFS: "that place is read-only: write elsewhere",
    errno.EISDIR: "that is a folder: name a file in it",
    errno.ENOTDIR: "a part of that path is a file, not a folder: check the path",
    errno.ENOENT: "check the path: a part of it does not exist",
    errno.EEXIST: "it is there already: name another, or remove it",
    errno.ENAMETOOLONG: "give it a shorter name",
    errno.ENOMEM: "this machine has too little memory left: close other programs, or use fewer --workers",
    errno.EIO: "the disk or the network share reports an error: try another place",
    errno.EAGAIN: "too many processes or files are in use: try again, or use fewer --workers",
}
"""What to do about an error of the system that nobody has explained better."""

# Typer has its own copy of Click and exports of its errors only this one: the parent of all wrong usage.
_TyperUsageError: Any = typer.BadParameter.__base__

app = typer.Typer(
    cls=HelpedGroup,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Terminated(KeyboardInterrupt):
    """The system asks the program to end: it ends as it does on Ctrl-C, with what it has begun brought to an end."""


@app.callback(
    invoke_without_command=True,
    epilog="\b\nExamples:\n"
    "  mvit predict clip.mp4 --preset camera     needs no download\n"
    "  mvit predict videos/ > rows.jsonl\n"
    "  mvit summarize --preset B\n"
    "  mvit weights list\n\n"
    f"{exit_codes('all is well', 'something failed')}\n\n"
    "Variables: MVIT_PRESET and MVIT_DEVICE stand for --preset and --device; MVIT_WEIGHTS_DIR is a folder where "
    "weights are looked for, and kept that come from an address; MVIT_OFFLINE=1 fetches nothing.",
)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """Know what happens in a video: recognition with Multiscale Vision Transformers."""
    if version:
        print(f"mvit {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


app.command("predict", epilog=PREDICT_EXAMPLES, cls=MayLeaveOut)(predict_command)
app.command("summarize", epilog=SUMMARIZE_EXAMPLES, cls=HelpedCommand)(summarize_command)
app.command("profile", epilog=PROFILE_EXAMPLES, cls=HelpedCommand)(profile_command)
app.command("merge", epilog=MERGE_EXAMPLES, cls=HelpedCommand)(merge_command)
app.command("embed", epilog=EMBED_EXAMPLES, cls=HelpedCommand)(embed_command)
app.command("similar", epilog=SIMILAR_EXAMPLES, cls=HelpedCommand)(similar_command)
app.command("eval", epilog=EVAL_EXAMPLES, cls=HelpedCommand)(eval_command)
app.command("export", epilog=EXPORT_EXAMPLES, cls=HelpedCommand)(export_command)
app.command("calibrate", epilog=CALIBRATE_EXAMPLES, cls=HelpedCommand)(calibrate_command)
app.command("train", epilog=TRAIN_EXAMPLES, cls=HelpedCommand)(train_command)
app.command("watch", epilog=WATCH_EXAMPLES, cls=HelpedCommand)(watch_command)
app.command("presets", cls=HelpedCommand)(presets_command)
app.command("schema", cls=HelpedCommand)(schema_command)
app.command("env", cls=HelpedCommand)(env_command)
app.add_typer(weights_app, name="weights")


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code; the only error boundary.

    Args:
        arguments: what stands after `mvit`; default: the process's.
    """
    try:
        with _termination_raised():
            return _invoke(sys.argv[1:] if arguments is None else arguments)
    except Terminated:
        tell("terminated")
        return TERMINATED
    except KeyboardInterrupt:
        tell("interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # whoever reads has had enough
        return 0
    except Exception as error:
        message, hint, code = _told(error)
        _write_error(cleaned(message), cleaned(hint))
        return code
    finally:
        _settle_stdout()


@contextmanager
def _termination_raised() -> Iterator[None]:
    """Makes SIGTERM an exception, where nobody else takes care of it."""

    def terminate(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
        raise Terminated

    main_thread = threading.current_thread() is threading.main_thread()
    if not main_thread or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _invoke(arguments: Sequence[str]) -> int:
    from typer.main import get_command

    command, code = get_command(app), 0
    if instruction := os.environ.get("_MVIT_COMPLETE"):  # a shell asks what may come next
        from typer.completion import shell_complete

        return shell_complete(command, {}, "mvit", "_MVIT_COMPLETE", instruction)
    try:
        # Not `command.main`: it has a boundary of its own, which ends the process on a closed pipe.
        with command.make_context("mvit", list(arguments)) as context:
            command.invoke(context)
    except typer.Exit as done:
        code = done.exit_code
    except _TyperUsageError as error:
        if type(error).__name__ != "NoArgsIsHelpError":
            raise
        print(error.format_message())
    sys.stdout.flush()
    return code


def _told(error: Exception) -> tuple[str, str, int]:
    """What happened, what to do next, and the exit code."""
    if isinstance(error, MViTError):
        return error.message, error.hint, error.exit_code
    if isinstance(error, _TyperUsageError):
        where = error.ctx.command_path if error.ctx else "mvit"
        if looks_like_input := _input_for_command(error.format_message()):
            return error.format_message(), f"`mvit predict {looks_like_input}` recognises it", 2
        message = error.format_message().replace("Value error, ", "")
        return message, _near_choice(message) or f"`{where} --help` shows what there is", 2
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}", _NEXT_STEPS.get(error.errno or 0, "check the place named"), 1
    if os.environ.get("MVIT_TRACEBACK"):
        raise error
    lines = str(error).strip().splitlines() or [""]
    hint = "with MVIT_TRACEBACK=1 it shows where: please report that"
    return f"unexpected: {type(error).__name__}: {lines[0]}", hint, 1


def _near_choice(message: str) -> str:
    """What was meant where a value is none of those that there are; empty: nothing is near."""
    found = re.search(r"'([^']*)' is not one of (.+)", message)
    if not found:
        return ""
    from difflib import get_close_matches

    near = get_close_matches(found[1].lower(), re.findall(r"'([^']*)'", found[2]), n=2)
    return f"nearest: {', '.join(near)}" if near else ""


def _input_for_command(message: str) -> str:
    """The file or folder that stands where a command should; empty where it is none."""
    from mvit_cli.recognition.written import is_media_name

    found = re.match(r"No such command '(.+)'", message)
    name = found[1] if found else ""
    is_input = name and (is_media_name(Path(name)) or scheme_of(name) or os.path.exists(name))
    return name if is_input else ""


def _write_error(message: str, hint: str) -> None:
    tell(f"error: {message}")
    if hint:
        tell(f"hint: {hint}")


def _settle_stdout() -> None:
    """Where nothing can be written to stdout any more, what Python still holds back for it must not fail at the end."""
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
