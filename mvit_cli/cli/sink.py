"""Where results go: data to stdout or a file, in one of the formats."""

import io
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, TextIO, cast

from mvit_cli.errors import MViTError, UsageError
from mvit_cli.report.predict.events import AS_THEY_ARE, Merging

if TYPE_CHECKING:
    from mvit_cli.cli.outputs import Place
    from mvit_cli.recognition.journal import Journal
    from mvit_cli.recognition.listing import Listing
    from mvit_cli.recognition.local_engine import Opened
    from mvit_cli.records import Row, Summary
    from mvit_cli.report.predict.events import EventWriter
    from mvit_cli.report.predict.page.frames import Pictures
    from mvit_cli.report.predict.separated import SeparatedFile
    from mvit_cli.report.predict.subtitles import SubtitleFormat
    from mvit_cli.report.predict.writers import RowWriter, Sink

Format = Literal["table", "jsonl", "json", "csv", "tsv", "srt", "vtt", "parquet"]
SUBTITLES = ("srt", "vtt")

_BY_SUFFIX: dict[str, Format] = {".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "tsv"}
_BY_SUFFIX |= {".srt": "srt", ".vtt": "vtt", ".parquet": "parquet"}


@dataclass(frozen=True)
class Form:
    """How rows are written.

    Attributes:
        columns: of separated values; none: the usual ones.
        safe: no cell of separated values is a formula for a spreadsheet.
        events: rows are events instead of windows.
        merging: of events and subtitles, and of pictures, pages and videos beside rows.
        of_tracks: whether rows are of tracks.
    """

    format: Format
    columns: tuple[str, ...] = ()
    safe: bool = False
    events: bool = False
    merging: Merging = AS_THEY_ARE
    of_tracks: bool = False

    def file(self, *, in_windows: bool) -> "SeparatedFile | None":
        """What goes on with a file of this form; None for JSON lines and what is made of them."""
        if self.format in ("jsonl", "parquet"):
            return None
        from mvit_cli.report.predict.separated import SEPARATORS, SeparatedFile

        return SeparatedFile(SEPARATORS[self.format], self.columns, self.safe, in_windows, self.of_tracks)


def chosen_form(
    named: Format | None,
    output: Path | None,
    columns: str | None = None,
    *,
    safe: bool = False,
    merging: Merging = AS_THEY_ARE,
    in_windows: bool = False,
    events: bool = False,
    drawn: bool = False,
) -> Form:
    """The format asked for; else that of the file's suffix; else a table on a terminal and JSON lines elsewhere.

    Args:
        drawn: whether events go into a picture, a page or a video too: `merging` has a sense then.

    Raises:
        UsageError: columns that there are not, or what belongs to another format.
    """
    format = named or _format_of(output)
    if events:
        return _form_of_events(format, columns, safe=safe, in_windows=in_windows, merging=merging)
    if format in SUBTITLES:
        if not in_windows:
            raise UsageError(f"--format {format} is a timeline, which needs windows", "add --window 2")
        if columns is None and not safe:
            return Form(format, merging=merging)
    has_events = (drawn and in_windows) or format in SUBTITLES or (format == "table" and in_windows)
    for option, given in (("--min-score", merging.min_score), ("--smooth", merging.smooth_s)):
        if given is not None and not has_events:
            rows = f"{format} of windows" if in_windows else "whole files"
            more = "--events" if in_windows else "--window 2 and --events"
            raise UsageError(
                f"{option} is about events, subtitles, pictures, pages and videos, not about {rows}",
                f"add {more}, --format srt, --plot, --report or --save-video, or drop {option}",
            )
    if format in ("csv", "tsv"):
        from mvit_cli.report.predict.separated import named_columns

        return Form(format, named_columns(columns) if columns is not None else (), safe, merging=merging)
    for option, value in (("--columns", columns is not None), ("--csv-safe", safe)):
        if value:
            raise UsageError(
                f"{option} is about csv and tsv, not about {format}", f"add --format csv, or drop {option}"
            )
    return Form(format, merging=merging)


def _form_of_events(format: Format, columns: str | None, *, safe: bool, in_windows: bool, merging: Merging) -> Form:
    """How events are written."""
    for wrong, what, hint in (
        (not in_windows, "--events are of windows of a video", "add --window 2"),
        (format in SUBTITLES, f"--events: the cues of {format} are events anyway", "drop --events"),
        (columns is not None, "--columns chooses among those of windows, and events have their own", "drop --columns"),
        (safe and format not in ("csv", "tsv"), f"--csv-safe is about csv and tsv, not about {format}", "drop it"),
    ):
        if wrong:
            raise UsageError(what, hint)
    return Form(format, safe=safe, events=True, merging=merging)


def check_subtitles(form: Form, listing: "Listing") -> None:
    """Refuses subtitles of several inputs, as far as that is known before any is read.

    Raises:
        UsageError: says so.
    """
    if form.format in SUBTITLES and listing.are_several:
        raise UsageError(
            f"--format {form.format}: subtitles are of one video, and there are more inputs",
            "name one, or write events of all: --events -o events.csv",
        )


def check_events(form: Form, *, resume: bool, is_in_parts: bool) -> None:
    """Refuses events where only rows of windows can be written.

    Raises:
        UsageError: a run that goes on, several files of rows, Parquet or an address.
    """
    if form.events and resume:
        raise UsageError(
            "--resume cannot go on with events: which windows were seen does not stand in them",
            "drop --resume, or write rows of windows and drop --events",
        )
    if form.events and (is_in_parts or form.format == "parquet"):
        raise UsageError("--events go into one file here, not into parts, Parquet or an address", "-o events.jsonl")


def _format_of(output: Path | None) -> Format:
    if output is None:
        return "table" if sys.stdout.isatty() else "jsonl"
    return _BY_SUFFIX.get(output.suffix.lower(), "jsonl")


def check_suffix(named: Format | None, output: Path | None, page: Path | None) -> None:
    """Refuses names that say something else than what would be written.

    Raises:
        UsageError: says which.
    """
    if output and output.suffix and not named and output.suffix.lower() not in _BY_SUFFIX:
        raise UsageError(
            f"--output {output}: rows are not written as {output.suffix}",
            f"name it {_stem(output) or 'rows'}.jsonl, .parquet, .json, .csv, .tsv, .srt or .vtt, or say --format",
        )
    if page and page.suffix and page.suffix.lower() not in (".html", ".htm"):
        raise UsageError(
            f"--report {page}: a page is not written as {page.suffix}", f"name it {_stem(page) or 'report'}.html"
        )


def _stem(path: Path) -> str:
    return path.name.partition(".")[0]


def check_resume(
    resume: bool, retry_errors: bool, output: Path | None, form: Form, shown: "Sequence[Place]" = ()
) -> None:
    """Refuses what a run cannot go on with.

    Args:
        shown: page and picture, which need all of a row.

    Raises:
        UsageError: no file, a format in which rows cannot be found again, errors to retry without a run to resume, or a
            page or picture of rows of which only a part is known.
    """
    format = form.format
    if retry_errors and not resume:
        raise UsageError("--retry-errors needs --resume", "add --resume: it goes on with the rows of --output")
    if resume and not output:
        raise UsageError("--resume needs --output FILE", "name the file that has the rows so far")
    if resume and format in ("json", "table", *SUBTITLES):
        raise UsageError(
            f"--resume cannot go on with --format {format}", "write JSON lines: --format jsonl --output rows.jsonl"
        )
    for place in shown:
        if resume and format not in ("jsonl", "parquet"):
            raise UsageError(
                f"{place.option} shows all of a row, and {format} has a part of those of earlier runs",
                f"leave {place.option} out, or write JSON lines",
            )


@contextmanager
def opened_writer(
    form: Form,
    output: "Place | None",
    recogniser: "Opened",
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
    from mvit_cli.report.predict.events import EventRows
    from mvit_cli.report.predict.spans import Timelines
    from mvit_cli.report.predict.subtitles import Subtitles
    from mvit_cli.report.predict.terminal import PredictionBlocks, Screen
    from mvit_cli.report.predict.writers import JsonDocument, JsonLines, OnTerminal

    format = form.format
    with _opened_stream(output, journal) as stream:
        model, in_windows = recogniser.summary, recogniser.recipe.windows is not None
        writer: RowWriter
        # Exact in a pipe and in a file; a name must not steer a terminal.
        data = cast("BinaryIO", OnTerminal(stream)) if stream.isatty() else stream.buffer
        if format == "table":
            told = Screen(stream), recogniser.run, recogniser.notes, model if stages else None
            writer = Timelines(*told, form.merging) if in_windows else PredictionBlocks(*told)
        elif form.events:
            writer = EventRows(_event_writer(data, form, model), form.merging)
        elif format == "json":
            writer = JsonDocument(data, model)
        elif format == "jsonl":
            writer = JsonLines(data)
        elif format in SUBTITLES:
            writer = Subtitles(data, cast("SubtitleFormat", format), form.merging)
        else:
            top = min(recogniser.most_listed, model["num_classes"])
            writer = _separated(data, form, output, top, in_windows=in_windows, journal=journal)
        attributed = Attributed(writer, str(output) if output else "stdout", around)
        try:
            yield attributed
            attributed.close()
        except BaseException:
            with suppress(OSError):  # the first failure is the one to tell
                writer.close()
            raise


def _event_writer(data: "BinaryIO", form: Form, model: "Summary") -> "EventWriter":
    from mvit_cli.report.predict.separated import EVENT_COLUMNS, SEPARATORS, SeparatedValues
    from mvit_cli.report.predict.writers import JsonDocument, JsonLines

    if form.format == "json":
        return JsonDocument(data, model)
    if form.format == "jsonl":
        return JsonLines(data)
    return SeparatedValues(data, SEPARATORS[form.format], EVENT_COLUMNS, safe=form.safe)


def _separated(
    data: "BinaryIO", form: Form, output: "Place | None", top: int, *, in_windows: bool, journal: "Journal | None"
) -> "RowWriter":
    """The writer of separated values; one that goes on with a file has the columns of that file."""
    from mvit_cli.report.predict.separated import SEPARATORS, SeparatedValues, usual_columns

    columns = form.columns or usual_columns(top, in_windows=in_windows, of_tracks=form.of_tracks)
    begun = bool(journal and not journal.is_empty)
    file = form.file(in_windows=in_windows)
    if begun and output and file:
        columns = file.columns_of(output.path)
    return SeparatedValues(data, SEPARATORS[form.format], columns, safe=form.safe, heading=not begun)


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


class Attributed:
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
