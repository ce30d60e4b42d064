"""`mvit predict`: what is in videos and images."""

import sys
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mvit_cli.cli.options import Compile, Device, NoFast, Preset, Quiet, RunDtype, Weights, count_or_auto
from mvit_cli.cli.page import opened_page
from mvit_cli.cli.processors import leave_processors, share_processors
from mvit_cli.cli.sink import Format, check_output, check_report, check_resume, chosen_format, opened_writer
from mvit_cli.errors import UsageError

if TYPE_CHECKING:
    from mvit_cli.recognition.journal import Journal
    from mvit_cli.report.predict.progress import RunReport
    from mvit_cli.report.predict.writers import RowWriter

EXAMPLES = """\b
Examples:
  mvit predict clip.mp4
  mvit predict clip.mp4 --preset camera                 weights included, works offline
  mvit predict film.mp4 --window 2 --hop 1              a timeline
  mvit predict videos/ --weights mvitv2_s_16x4.tv_k400 > rows.jsonl
  mvit predict 'shots/**/*.mov' --format csv --output shots.csv
  mvit predict videos/ --output rows.jsonl --resume     goes on where a run ended
  mvit predict videos/ --report report.html             a page with frames and bars
  find . -name '*.mp4' -print0 | mvit predict -0 - | jq -r '.path + " " + .predictions[0].label'

\b
Exit code: 0 every input was recognised, 1 some were not, 2 wrong usage, 130 interrupted."""

Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT",
        help="Video or image, folder, quoted glob, @list.txt (a path a line), or - (paths on standard input).",
        show_default=False,
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option("--labels", metavar="FILE", help="Class names, one a line or JSON.  [default: the weights']"),
]
Top = Annotated[int, typer.Option("--top", metavar="K", min=1, help="Classes an input.")]
Views = Annotated[
    str | None,
    typer.Option("--views", metavar="CxS", help="Clips x crops to average, as 5x1.  [default: the weights' protocol]"),
]
Window = Annotated[
    float | None,
    typer.Option(
        "--window", metavar="S", help="A row for each window of S seconds of a video, instead of one for all."
    ),
]
Hop = Annotated[
    float | None,
    typer.Option("--hop", metavar="S", help="Seconds from the start of a window to the next.  [default: --window]"),
]
BatchSize = Annotated[str, typer.Option("--batch-size", metavar="N|auto", help="Views that go through together.")]
Workers = Annotated[str, typer.Option("--workers", metavar="N|auto", help="Processes that decode.")]
Timeout = Annotated[
    float,
    typer.Option(
        "--timeout", metavar="S", help="Seconds that a file, or a window, may take to decode.", show_default="60"
    ),
]
Reader = Annotated[
    Literal["auto", "decord", "av"],
    typer.Option(
        "--reader", help="Library that fetches frames; auto takes decord where it is proved right, else PyAV."
    ),
]
FormatOption = Annotated[
    Format | None,
    typer.Option(
        "--format", help="How rows are written.  [default: table on a terminal, else jsonl or --output's suffix]"
    ),
]
Output = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write rows here, not to stdout.")]
Report = Annotated[
    Path | None,
    typer.Option("--report", metavar="FILE", help="Write a page too: frames, classes, timings, network (HTML)."),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Keep the rows that --output has (JSON lines), do only inputs without one.")
]
RetryErrors = Annotated[
    bool, typer.Option("--retry-errors", help="With --resume: drop the rows that are errors, do their inputs again.")
]
FailFast = Annotated[bool, typer.Option("--fail-fast", help="Stop at the first input that fails.")]
Null = Annotated[bool, typer.Option("--null", "-0", help="Paths of - and @list end with NUL, not with a line break.")]
NoStages = Annotated[bool, typer.Option("--no-stages", help="Leave the table of stages out.")]


def predict_command(
    inputs: Inputs,
    preset: Preset = None,
    weights: Weights = None,
    labels: Labels = None,
    top: Top = 5,
    views: Views = None,
    window: Window = None,
    hop: Hop = None,
    device: Device = "auto",
    dtype: RunDtype = "auto",
    batch_size: BatchSize = "auto",
    workers: Workers = "auto",
    timeout: Timeout = 60.0,
    reader: Reader = "auto",
    format: FormatOption = None,
    output: Output = None,
    page: Report = None,
    resume: Resume = False,
    retry_errors: RetryErrors = False,
    fail_fast: FailFast = False,
    null: Null = False,
    no_fast: NoFast = False,
    compiled: Compile = False,
    no_stages: NoStages = False,
    quiet: Quiet = False,
) -> None:
    """Say what happens in videos and images.

    Each input gives one row: the best classes with their scores, or what was wrong with the file.
    With --window a video gives a row for each window: a timeline.
    """
    if not timeout > 0:
        raise UsageError(f"--timeout {timeout:g} is no time", "give seconds, as --timeout 60")
    batch, processes = count_or_auto(batch_size, "--batch-size"), count_or_auto(workers, "--workers")
    wanted = chosen_format(format, output)
    read = [path for path in (*(name.removeprefix("@") for name in inputs), weights, labels) if path]
    if output:
        check_output(output, read)
    if page:
        check_report(page, output, read)
    check_resume(resume, retry_errors, output, wanted)

    from mvit_cli.recognition.journal import read_journal
    from mvit_cli.recognition.predict import known_run, load_recogniser
    from mvit_cli.recognition.recipe import parse_windows
    from mvit_cli.recognition.recogniser import input_counter
    from mvit_cli.report.predict.progress import RunReport

    windows = parse_windows(window, hop, reader)
    journal, sources = None, None
    if resume and output:
        journal = read_journal(output, windows, retry_errors=retry_errors)
        journal.check(known_run(preset, weights, views, windows))
        sources = journal.remaining(inputs, null_separated=null)
        if sources is None and not page:
            journal.repair()
            raise typer.Exit(_finished(RunReport(quiet=quiet, rows_are_seen=False), journal))
    share_processors()
    recogniser = load_recogniser(
        preset,
        weights,
        labels=labels,
        top=top,
        views=views,
        windows=windows,
        device=device,
        dtype=dtype,
        batch_size=batch,
        fast=not no_fast,
        compiled=compiled,
        progress=not quiet,
    )
    leave_processors(recogniser.summary["macs"])
    if journal:
        journal.check(recogniser.run)
    report = RunReport(
        quiet=quiet,
        rows_are_seen=output is None and sys.stdout.isatty(),
        count_inputs=input_counter(inputs, null_separated=null),
    )
    if wanted != "table":  # whose first lines say it
        report.tell(recogniser.notes)
    settings = {"workers": workers, "reader": reader, "timeout": f"{timeout:g} s a file"}
    with (
        opened_page(page, recogniser, settings, journal) as viewer,
        opened_writer(wanted, output, recogniser, stages=not no_stages, journal=journal) as writer,
    ):
        if journal:
            rows = recogniser.rows_of(sources or (), workers=processes, reader=reader, timeout_s=timeout, viewer=viewer)
        else:
            rows = recogniser.rows(
                inputs, workers=processes, reader=reader, timeout_s=timeout, viewer=viewer, null_separated=null
            )
        _write_all(rows, writer, report, journal, fail_fast)
    raise typer.Exit(_finished(report, journal))


def _finished(report: "RunReport", journal: "Journal | None") -> int:
    """Sums the run up; returns the exit code: 1 if a row of it, or one that its file had before, is an error."""
    earlier = 0
    if journal:
        report.tally.skipped, earlier = journal.skipped, journal.failed
    report.finish()
    if journal and earlier:
        rows = f"{earlier} row{'s' * (earlier != 1)}"
        done = "name their inputs" if journal.retry_errors else "--retry-errors does them"
        report.tell([f"{journal.path} has {rows} with errors of earlier runs; {done} again"])
    return 1 if report.tally.errors or earlier else 0


def _write_all(
    rows: Generator[dict[str, Any]],
    writer: "RowWriter",
    report: "RunReport",
    journal: "Journal | None",
    fail_fast: bool,
) -> None:
    """Writes row after row as they come; on the way out, whatever the reason, the decoding processes end."""
    with closing(rows), report.showing():
        for row in rows:
            with report.making_way():
                writer.write(row)
            if journal:
                report.tally.skipped = journal.skipped
            report.count(row)
            if fail_fast and row["status"] == "error":
                return
