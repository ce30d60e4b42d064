"""Where results go: data to stdout or a file, in one of the formats."""

import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

from mvit_cli.errors import MViTError, UsageError

if TYPE_CHECKING:
    from mvit_cli.recognition.journal import Journal
    from mvit_cli.recognition.recogniser import Recogniser
    from mvit_cli.records import Row
    from mvit_cli.report.predict.page.inputs import Pictures
    from mvit_cli.report.predict.writers import RowWriter, Sink

Format = Literal["table", "jsonl", "json", "csv", "tsv"]

_BY_SUFFIX: dict[str, Format] = {".json": "json", ".csv": "csv", ".tsv": "tsv"}


def chosen_format(named: Format | None, output: Path | None) -> Format:
    """The format asked for; else that of the file's suffix; else a table on a terminal and JSON lines elsewhere."""
    if named:
        return named
    if output:
        return _BY_SUFFIX.get(output.suffix.lower(), "jsonl")
    return "table" if sys.stdout.isatty() else "jsonl"


def check_output(
    output: Path, read: Iterable[str | Path], option: str = "--output", example: str = "rows.jsonl"
) -> None:
    """Refuses a file that cannot be written, before anything heavy is done; touches nothing.

    Args:
        read: what the run reads and must not overwrite.
        option: what named the file.
        example: a name for a file of its kind.

    Raises:
        UsageError: a folder, or one of the files that are read.
        MViTError: not writable.
    """
    check_place(option, output, example)
    for path in filter(os.path.isfile, read):
        if output.exists() and os.path.samefile(output, path):
            raise UsageError(f"{option} {output} would overwrite {path}, which this run reads", "name another file")


def check_report(report: Path, output: Path | None, read: Iterable[str | Path]) -> None:
    """Refuses a page that cannot be written, as `check_output` does, or that would stand where the rows go.

    Raises:
        UsageError: a folder, no regular file, the file of the rows, or one that is read.
        MViTError: not writable.
    """
    check_output(report, read, "--report", "report.html")
    if report.exists() and not report.is_file():
        raise UsageError(f"--report {report} is no regular file", "name a file, as --report report.html")
    if output and report.resolve() == output.resolve():
        raise UsageError(f"--report and --output are both {report}", "name two files")


def check_place(option: str, path: Path, example: str) -> None:
    """Refuses a file that cannot be written; touches nothing.

    Args:
        example: a name for a file of this kind.

    Raises:
        UsageError: a folder.
        MViTError: in no folder, or not writable.
    """
    if path.is_dir():
        raise UsageError(f"{option} {path} is a folder", f"name a file in it: {path / example}")
    if not path.parent.is_dir():
        raise MViTError(f"{option} {path}: there is no folder {path.parent}", f"mkdir -p {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise MViTError(f"{option} {path}: no permission to write it", "choose another place")


def check_plot(path: Path) -> None:
    """Refuses a picture that could not be written, before anything is measured for it; touches nothing.

    Raises:
        UsageError: a folder, or neither SVG nor PNG by its suffix.
        MViTError: not writable, or matplotlib is not installed.
    """
    from importlib.util import find_spec

    if path.suffix.lower() not in (".svg", ".png"):
        raise UsageError(f"--plot {path}: a picture is .svg or .png", f"name it {path.stem or 'picture'}.svg")
    check_place("--plot", path, "picture.svg")
    if not find_spec("matplotlib"):
        raise MViTError("--plot needs matplotlib, which is not installed", "pip install 'mvit[plot]' brings it")


def check_resume(resume: bool, retry_errors: bool, output: Path | None, format: Format) -> None:
    """Refuses what a run cannot go on with.

    Raises:
        UsageError: no file, a format in which rows cannot be found again, or errors to retry without a run to resume.
    """
    if retry_errors and not resume:
        raise UsageError("--retry-errors needs --resume", "add --resume: it goes on with the rows of --output")
    if resume and not output:
        raise UsageError("--resume needs --output FILE", "name the file that has the rows so far")
    if resume and format != "jsonl":
        raise UsageError(
            f"--resume cannot go on with --format {format}", "write JSON lines: --format jsonl --output rows.jsonl"
        )


@contextmanager
def opened_writer(
    format: Format,
    output: Path | None,
    recogniser: "Recogniser",
    *,
    stages: bool,
    journal: "Journal | None",
    around: Callable[[], AbstractContextManager[None]],
) -> "Iterator[Sink]":
    """Gives the writer of rows; what comes after the last row is written when it is closed, also on the way out.

    Args:
        stages: whether a table has the stages beside it.
        journal: of the rows that `output` has and keeps.
        around: entered around each row that is written.
    """
    from mvit_cli.report.predict.spans import Timelines
    from mvit_cli.report.predict.terminal import PredictionBlocks, Screen
    from mvit_cli.report.predict.writers import SEPARATORS, JsonDocument, JsonLines, SeparatedValues

    stream: TextIO
    try:
        if journal:
            stream = io.TextIOWrapper(journal.open(), encoding="utf-8")
        else:
            stream = output.open("w", encoding="utf-8", newline="\n") if output else sys.stdout
    except OSError as error:
        raise MViTError(f"--output {output}: {error.strerror}", "choose another place") from error
    model, in_windows = recogniser.summary, recogniser.recipe.windows is not None
    writer: RowWriter
    if format == "table":
        blocks = Timelines if in_windows else PredictionBlocks
        writer = blocks(Screen(stream), recogniser.run, recogniser.notes, model if stages else None)
    elif format == "json":
        writer = JsonDocument(stream.buffer, model)
    elif format == "jsonl":
        writer = JsonLines(stream.buffer)
    else:
        top = min(recogniser.options.top, model["num_classes"])
        writer = SeparatedValues(stream.buffer, SEPARATORS[format], top, in_windows=in_windows)
    attributed = _Attributed(writer, f"--output {output}" if output else "stdout", around)
    try:
        yield attributed
        attributed.close()
    except BaseException:
        with suppress(OSError):  # the first failure is the one to tell
            writer.close()
        raise
    finally:
        if output:
            with suppress(OSError):  # every row was flushed
                stream.close()


class _Attributed:
    """A writer whose failures name the place: a full disk must not look like a bad input."""

    def __init__(self, writer: "RowWriter", place: str, around: Callable[[], AbstractContextManager[None]]) -> None:
        self._writer = writer
        self._place = place
        self._around = around

    def take(self, row: "Row", pictures: "Pictures | None" = None) -> None:
        """Writes a row.

        Raises:
            BrokenPipeError: nobody reads any more.
            MViTError: the row could not be written.
        """
        with self._around():
            self._do(lambda: self._writer.take(row, pictures))

    def close(self) -> None:
        """Writes what comes after the last row; raises as `write` does."""
        self._do(self._writer.close)

    def _do(self, step: Callable[[], None]) -> None:
        try:
            step()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise MViTError(f"{self._place}: {error.strerror}", "make room, or name another place") from error
