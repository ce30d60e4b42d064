"""Where results go: data to stdout or a file, in one of the formats."""

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, TextIO, cast

from mvit_cli.errors import MViTError, UsageError

if TYPE_CHECKING:
    from mvit_cli.cli.outputs import Place
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
    output: "Place | None",
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
    from mvit_cli.report.predict.writers import SEPARATORS, JsonDocument, JsonLines, OnTerminal, SeparatedValues

    with _opened_stream(output, journal) as stream:
        model, in_windows = recogniser.summary, recogniser.recipe.windows is not None
        writer: RowWriter
        # Exact in a pipe and in a file; a name must not steer a terminal.
        data = cast("BinaryIO", OnTerminal(stream)) if stream.isatty() else stream.buffer
        if format == "table":
            blocks = Timelines if in_windows else PredictionBlocks
            writer = blocks(Screen(stream), recogniser.run, recogniser.notes, model if stages else None)
        elif format == "json":
            writer = JsonDocument(data, model)
        elif format == "jsonl":
            writer = JsonLines(data)
        else:
            top = min(recogniser.most_listed, model["num_classes"])
            writer = SeparatedValues(data, SEPARATORS[format], top, in_windows=in_windows)
        attributed = _Attributed(writer, str(output) if output else "stdout", around)
        try:
            yield attributed
            attributed.close()
        except BaseException:
            with suppress(OSError):  # the first failure is the one to tell
                writer.close()
            raise


@contextmanager
def _opened_stream(output: "Place | None", journal: "Journal | None") -> Iterator[TextIO]:
    """Gives the text stream that rows go to; a file is closed on the way out."""
    if not output:
        yield sys.stdout
        return
    with ExitStack() as held:
        try:
            file = journal.open() if journal else held.enter_context(output.opened())
        except OSError as error:
            raise MViTError(f"{output}: {error.strerror}", "choose another place") from error
        stream = io.TextIOWrapper(file, encoding="utf-8", newline="\n")
        try:
            yield stream
        finally:
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
