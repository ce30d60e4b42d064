"""`--log FILE`: opened before anything is done, closed with the exit code, whatever happens in between."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from mvit_cli import __version__
from mvit_cli.errors import MViTError, UsageError, first_line

if TYPE_CHECKING:
    from mvit_cli.report.predict.run_log import RunLog

Log = Annotated[
    Path | None,
    typer.Option("--log", metavar="FILE", help="Append what happens as JSON lines: start, warnings, errors, end."),
]


@contextmanager
def opened_log(path: Path | None, command: str, asked: Any, apart: Iterable[str | Path]) -> "Iterator[RunLog | None]":
    """Gives the log, begun with what was asked; on the way out it is told how the run ended.

    Args:
        asked: the record of options.
        apart: files that the run reads or writes otherwise.

    Raises:
        UsageError: one of these, or a file that is no log.
        MViTError: it cannot be written.
    """
    if path is None:
        yield None
        return
    from mvit_cli.report.predict.run_log import RunLog

    with _stream(path, apart) as stream:
        log = RunLog(stream)
        log.start(command, _said(asked), {"mvit": __version__, **_versions()})
        try:
            yield log
        except typer.Exit as done:
            log.end(done.exit_code)
            raise
        except KeyboardInterrupt as error:
            code, word = (143, "terminated") if type(error).__name__ == "Terminated" else (130, "interrupted")
            log.end(code, word)
            raise
        except MViTError as error:
            log.end(error.exit_code, error.message)
            raise
        except BaseException as error:
            log.end(1, f"{type(error).__name__}: {first_line(error)}")
            raise


def _stream(path: Path, apart: Iterable[str | Path]) -> BinaryIO:
    from mvit_cli.report.predict.run_log import BEGINS

    if path.is_dir():
        raise UsageError(f"--log {path} is a folder", f"name a file in it: {path / 'log.jsonl'}")
    for other in filter(os.path.exists, apart):
        if path.exists() and os.path.samefile(path, other):
            raise UsageError(f"--log {path} is {other}, which this run reads or writes", "name another file")
    try:
        if path.is_file() and path.stat().st_size:
            with path.open("rb") as file:
                if file.read(len(BEGINS)) != BEGINS:
                    raise UsageError(f"--log {path} is there already and no log", "name another file")
        return path.open("ab", buffering=0)
    except OSError as error:
        raise MViTError(f"--log {path}: {error.strerror}", "choose another place") from error


def _said(asked: Any) -> dict[str, Any]:
    """The options that are not as usual, by name; no password in an address."""
    from mvit_cli.addresses import redacted

    def plain(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [plain(one) for one in value]
        text = str(value) if isinstance(value, Path) else value
        return redacted(text) if isinstance(text, str) and "://" in text else text

    told = ((part.name, getattr(asked, part.name), part.default) for part in fields(asked))
    return {name.replace("_", "-"): plain(value) for name, value, usual in told if usual is MISSING or value != usual}


def _versions() -> dict[str, str]:
    """Of what decides scores; nothing is loaded for it."""
    import platform
    from importlib import metadata

    found = {"python": platform.python_version()}
    for name in ("torch", "av", "decord"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
