"""`mvit eval`: how right a network is on labelled clips."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mvit_cli.cli.arguments import taking
from mvit_cli.cli.engine import opened_engine
from mvit_cli.cli.flags import RunDtype
from mvit_cli.cli.help import exit_codes
from mvit_cli.cli.log_file import opened_log
from mvit_cli.cli.outputs import Place, by_option, check_apart
from mvit_cli.cli.predict_flags import Labels
from mvit_cli.cli.recognising import OnEngines
from mvit_cli.errors import UsageError

if TYPE_CHECKING:
    from mvit_cli.evaluation.judge import Judge
    from mvit_cli.evaluation.truth import Truth
    from mvit_cli.findings import Evaluation
    from mvit_cli.recognition.journal import Journal
    from mvit_cli.recognition.local_engine import Opened
    from mvit_cli.recognition.options import PredictOptions
    from mvit_cli.recognition.plan import Plan
    from mvit_cli.records import Row
    from mvit_cli.report.predict.page.frames import Pictures
    from mvit_cli.report.predict.page.writer import Page
    from mvit_cli.report.predict.run_log import RunLog

EXAMPLES = f"""\b
Examples:
  mvit eval clips/ --weights mine.safetensors           clips/CLASS/*.mp4
  mvit eval list.csv --preset v2-S --report wrong.html  columns path, label
  mvit eval clips/ -o rows.jsonl --resume               goes on where a run ended
  mvit eval rows.jsonl --truth list.csv                 rows that `mvit predict` wrote
  mvit eval clips/ --shuffle-frames --seed 0            does it see time?

\b
{exit_codes("all clips were judged", "some could not be recognised")}"""


@dataclass(frozen=True, kw_only=True)
class Arguments(OnEngines):
    """What stands behind `mvit eval`: each field is an option, with its default."""

    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="FOLDER/class/*, a list (.csv, .tsv, .jsonl) with path and label, or rows of `mvit predict`.",
            show_default=False,
        ),
    ]
    truth: Annotated[
        Path | None, typer.Option("--truth", metavar="DATA", help="Of rows: the folder or list with their labels.")
    ] = None
    split: Annotated[
        Literal["train", "val", "test", "all"] | None,
        typer.Option("--split", help="The part that is judged.  [default: test, else val, else all]"),
    ] = None
    shuffle_frames: Annotated[
        bool, typer.Option("--shuffle-frames", help="Judge the same clips with frames reversed and shuffled, too.")
    ] = False
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of shuffling, and of intervals by group.")] = 0
    labels: Labels = None
    dtype: RunDtype = "auto"
    format: Annotated[
        Literal["table", "json", "csv"] | None,
        typer.Option(
            "--format", help="Of the figures; csv: a line a class.  [default: table on a terminal, else json]"
        ),
    ] = None
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Keep the rows here too, as predict does (JSON lines)."),
    ] = None
    resume: Annotated[bool, typer.Option("--resume", help="Keep the rows that --output has, do only the others.")] = (
        False
    )
    page: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Write a page with the wrong clips (HTML).")
    ] = None

    @property
    def places(self) -> list[Place]:
        """All files that are written."""
        rows = Place("--output", self.output, "rows", self.force, keeps=self.resume) if self.output else None
        page = Place("--report", self.page, "page", self.force) if self.page else None
        return [place for place in (rows, page) if place]

    def options(self) -> "PredictOptions":
        """What is asked of recognition."""
        return replace(super().options(), labels=self.labels, dtype=self.dtype)


def _evaluate(asked: Arguments) -> None:
    """Say how right a network is: top-1, top-5, classes, calibration.

    Clips go the way of `mvit predict`; or its rows are judged afterwards, with --truth.
    """
    from mvit_cli.evaluation.evaluate import is_rows, of_rows

    with opened_log(asked.log, "eval", asked, [asked.data, *by_option(asked.places).values()]) as log:
        _check(asked)
        if is_rows(asked.data):
            _refuse_with_rows(asked)
            evaluation = of_rows(asked.data, asked.truth, asked.split, asked.options(), asked.seed)
        else:
            evaluation = _of_clips(asked, log)
        _tell(evaluation, asked)
        raise typer.Exit(1 if evaluation["failed"] or evaluation["missing"] else 0)


eval_command = taking(Arguments, _evaluate)


def _check(asked: Arguments) -> None:
    """Refuses what cannot be, before anything heavy is done."""
    if asked.resume and not asked.output:
        raise UsageError("--resume needs --output FILE", "name the file that has the rows so far")
    if asked.retry_errors and not asked.resume:
        raise UsageError("--retry-errors needs --resume", "add --resume: it goes on with the rows of --output")
    if asked.output and asked.output.suffix.lower() not in (".jsonl", ".ndjson"):
        raise UsageError(f"--output {asked.output}: rows are kept as JSON lines", "name it rows.jsonl")
    if asked.page and asked.page.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--report {asked.page}: a page is HTML", "name it wrong.html")
    read = [path for path in (asked.data, asked.truth, asked.weights, asked.labels) if path]
    for place in asked.places:
        place.check(read)
    check_apart(asked.places)


def _refuse_with_rows(asked: Arguments) -> None:
    for option, given in (
        ("--output", asked.output),
        ("--report", asked.page),
        ("--shuffle-frames", asked.shuffle_frames),
        ("--preset", asked.preset),
        ("--weights", asked.weights),
        ("--views", asked.views),
    ):
        if given:
            raise UsageError(
                f"{option} is of a run, and {asked.data} has the rows of one", f"leave {option} out, or name the clips"
            )


def _of_clips(asked: Arguments, log: "RunLog | None") -> "Evaluation":
    """Recognises all clips, or those without a row, and judges all rows."""
    from mvit_cli.evaluation.evaluate import Clips, for_judging, judge_of, judged_rows, refuse_truth
    from mvit_cli.evaluation.truth import read_truth
    from mvit_cli.recognition.planning import planned
    from mvit_cli.recognition.written import sparing

    refuse_truth(asked.truth)
    truth = read_truth(asked.data, asked.split)
    made = planned(for_judging(asked.options(), truth))
    journal = _journal(asked, made, truth)
    listing = Clips((), clips=truth.clips)
    sources = journal.remaining(listing) if journal else listing.sources()
    seed = asked.seed if asked.shuffle_frames else None
    spared = sparing(by_option(asked.places), sources or ())
    with opened_engine(made, asked.cluster, quiet=asked.quiet) as engine:
        judge = judge_of(engine, truth, asked.seed)
        if journal:
            journal.check(engine.run)
        with (
            _opened_sinks(asked, engine, judge, (journal, log)) as sinks,
            closing(judged_rows(engine, spared, seed, lambda number: "poster" if asked.page else "none")) as rows,
        ):
            for row, pictures in rows:
                sinks.take(row, pictures)
    return judge.evaluation()


@dataclass
class _Sinks:
    """Where rows go: kept, counted, judged, and the wrong ones shown."""

    judge: "Judge"
    page: "Page | None"
    others: list[object]

    def take(self, row: "Row", pictures: "Pictures | None" = None, *, earlier: bool = False) -> None:
        """Gives one row to all."""
        from mvit_cli.report.evaluation.wrong_clips import as_wrong

        if not earlier:
            for sink in self.others:
                sink.take(row, pictures)  # type: ignore[attr-defined]
        wrong = self.judge.take(row)
        if self.page and (wrong or row["status"] == "error"):
            shown = as_wrong(row, wrong.labels) if wrong and row["status"] == "ok" else row
            if earlier:
                self.page.look_back(shown)
            else:
                self.page.take(shown, pictures)


@contextmanager
def _opened_sinks(
    asked: Arguments, engine: "Opened", judge: "Judge", kept: "tuple[Journal | None, RunLog | None]"
) -> Iterator[_Sinks]:
    from mvit_cli.cli.page import opened_page
    from mvit_cli.report.evaluation.wrong_clips import figures_section
    from mvit_cli.report.predict.page.about import Job
    from mvit_cli.report.predict.progress import RunReport
    from mvit_cli.report.predict.writers import JsonLines

    journal, log = kept
    report = RunReport(
        quiet=asked.quiet,
        rows_are_seen=False,
        count_inputs=lambda: len(judge.truth.clips),
        skipped=(lambda: journal.skipped) if journal else (lambda: 0),
        written=[place.path for place in asked.places],
        resumes=asked.output is not None,
        log=log,
    )
    report.tell([*judge.truth.notes, *engine.notes])
    places = {place.option: place for place in asked.places}
    with ExitStack() as opened:
        others: list[object] = [report]
        if place := places.get("--output"):
            stream = opened.enter_context(journal.open() if journal else place.opened())
            others.insert(0, JsonLines(stream))
        page = opened.enter_context(
            opened_page(
                places.get("--report"),
                engine,
                Job(f"Wrong clips of {asked.data}", "mvit eval", "What they were taken for", only_wrong=True),
                {},
                after=lambda: figures_section(judge.evaluation()),
            )
        )
        sinks = _Sinks(judge, page, others)
        for row in journal.rows() if journal else ():
            sinks.take(row, earlier=True)
        with report.showing():
            yield sinks
    report.finish()


def _journal(asked: Arguments, planned: "Plan", truth: "Truth") -> "Journal | None":
    """What --output has of earlier runs."""
    from mvit_cli.recognition.journal import read_journal

    if not (asked.resume and asked.output):
        return None
    if asked.retry_errors and len({clip.path for clip in truth.clips}) < len(truth.clips):
        raise UsageError("--retry-errors: some files are named twice, and rows do not say which is which", "begin anew")
    journal = read_journal(asked.output, retry_errors=asked.retry_errors)
    journal.check(planned.identity)
    for row in journal.rows():
        if row["status"] == "ok" and ("orders" in row) != asked.shuffle_frames:
            raise UsageError(
                f"--resume: {asked.output} has rows {'with' if 'orders' in row else 'without'} --shuffle-frames",
                "say it as there, or name another --output",
            )
    return journal


def _tell(evaluation: "Evaluation", asked: Arguments) -> None:
    import json
    import sys

    from mvit_cli.report.evaluation.figure_tables import classes_csv, headline_of, tables_of
    from mvit_cli.report.tables import show, write_data

    format = asked.format or ("table" if sys.stdout.isatty() else "json")
    if format == "json":
        write_data(json.dumps(evaluation, ensure_ascii=False, indent=2) + "\n")
    elif format == "csv":
        write_data(classes_csv(evaluation))
    else:
        parts: list[object] = [headline_of(evaluation), ""]
        for table in tables_of(evaluation):
            parts += [table, ""]
        show(*parts[:-1], *(f"- {note}" for note in evaluation["notes"]))  # type: ignore[arg-type]
