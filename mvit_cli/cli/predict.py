"""`mvit predict`: what is in videos and images."""

import sys
from collections.abc import Generator, Iterable, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import typer

from mvit_cli.cli.arguments import taking
from mvit_cli.cli.engine import opened_engine
from mvit_cli.cli.flags import Compile, RunDtype
from mvit_cli.cli.heatmap_option import Heat, heat_asked
from mvit_cli.cli.help import exit_codes
from mvit_cli.cli.log_file import opened_log
from mvit_cli.cli.outputs import Place, by_option, check_apart, check_named, check_plot, plot_place
from mvit_cli.cli.page import job_of, opened_page
from mvit_cli.cli.parts import part_not_taken
from mvit_cli.cli.picture import opened_picture
from mvit_cli.cli.predict_flags import (
    AllowEmpty,
    Columns,
    CsvSafe,
    Deterministic,
    EventsOption,
    FormatOption,
    Heatmap,
    HeatmapMethod,
    Labels,
    MinScore,
    NoStages,
    Output,
    OutputParts,
    Report,
    Resume,
    Smooth,
    Threshold,
    Timeline,
    Top,
)
from mvit_cli.cli.saved_videos import SaveVideo, check_videos, opened_videos, tell_of_kept, video_place, whole_rows_for
from mvit_cli.cli.sink import (
    Form,
    check_events,
    check_resume,
    check_subtitles,
    check_suffix,
    chosen_form,
    opened_writer,
)
from mvit_cli.cli.tracks_asked import OfTracks
from mvit_cli.errors import MViTError, UsageError, tell
from mvit_cli.report.predict.events import Merging

if TYPE_CHECKING:
    from pathlib import Path

    from mvit_cli.cli.row_parts import RowParts
    from mvit_cli.recognition.journal import Journal
    from mvit_cli.recognition.listing import Listing
    from mvit_cli.recognition.local_engine import Opened, Sources
    from mvit_cli.recognition.options import PredictOptions
    from mvit_cli.recognition.plan import Plan
    from mvit_cli.records import Row
    from mvit_cli.report.predict.page.frames import Pictures
    from mvit_cli.report.predict.page.writer import Page
    from mvit_cli.report.predict.progress import RunReport
    from mvit_cli.report.predict.run_log import RunLog
    from mvit_cli.report.predict.writers import Sink

EXAMPLES = f"""\b
Examples:
  mvit predict clip.mp4
  mvit predict clip.mp4 --preset camera                 weights included, works offline
  mvit predict film.mp4 --window 2 --hop 1              a timeline
  mvit predict film.mp4 --window 2 -o events.csv --events
  mvit predict film.mp4 --window 2 --hop 1 --plot film.svg
  mvit predict film.mp4 --window 2 -o film.srt --min-score 0.5 --smooth 4
  mvit predict film.mp4 --window 2 --save-video labelled.mp4
  mvit predict videos/ --weights mvitv2_s_16x4.tv_k400 > rows.jsonl
  mvit predict 'shots/**/*.mov' --format csv --output shots.csv
  mvit predict videos/ --output rows.jsonl --resume     goes on where a run ended
  mvit predict videos/ --report report.html             a page with frames and bars
  mvit predict @list.txt -o rows.parquet --output-parts 1000000
  mvit predict @list.txt --shard 3/64 --output 3.jsonl  the fourth of 64 parts; `mvit merge` joins them
  mvit predict film.mp4 --boxes tracks.jsonl            who does what: a row for each track
  find . -name '*.mp4' -print0 | mvit predict -0 - | jq -r '.path + " " + .predictions[0].label'

\b
{exit_codes("every input was recognised", "some were not")}"""


@dataclass(frozen=True, kw_only=True)
class Arguments(OfTracks):
    """What stands behind `mvit predict`: each field is an option, with its default."""

    labels: Labels = None
    top: Top = 5
    threshold: Threshold = None
    dtype: RunDtype = "auto"
    format: FormatOption = None
    columns: Columns = None
    csv_safe: CsvSafe = False
    output: Output = None
    output_parts: OutputParts = None
    events: EventsOption = False
    min_score: MinScore = None
    smooth: Smooth = None
    page: Report = None
    heatmap: Heatmap = None
    heatmap_method: HeatmapMethod = None
    plot: Timeline = None
    save_video: SaveVideo = None
    resume: Resume = False
    allow_empty: AllowEmpty = False
    compiled: Compile = False
    deterministic: Deterministic = False
    no_stages: NoStages = False

    def rows_place(self) -> Place | None:
        """The file of the rows, where they are one."""
        from mvit_cli.cli.row_parts import is_in_parts

        if self.output is None or is_in_parts(self.output, self.output_parts, self.format):
            return None
        return Place("--output", self.output, "rows", self.force, keeps=self.resume)

    def page_place(self) -> Place | None:
        """The file of the page."""
        return Place("--report", self.page, "page", self.force) if self.page else None

    def picture_place(self) -> Place | None:
        """The file of the timeline's picture."""
        return plot_place(self.plot, force=self.force) if self.plot else None

    @property
    def shown(self) -> list[Place]:
        """Files for people."""
        return [place for place in (self.page_place(), self.picture_place()) if place]

    @property
    def listing(self) -> "Listing":
        """What is to be recognised."""
        return replace(super().listing, allow_empty=self.allow_empty)

    @property
    def read(self) -> list["str | Path"]:
        """Files that are read, as far as they are named."""
        files = (self.weights, self.labels, self.boxes)
        return [name.removeprefix("@") for name in self.inputs] + [path for path in files if path]

    @property
    def places(self) -> list[Place]:
        """All files that are written."""
        rows, video = self.rows_place(), video_place(self.save_video, force=self.force)
        return [place for place in (rows, *self.shown, video) if place]

    def heat(self) -> Heat | None:
        """The heat maps that are wanted.

        Raises:
            UsageError: of what has none, or to a place where they must not be.
        """
        return heat_asked(
            self.heatmap, self.heatmap_method, self.page, self.inputs, engine=self.engine, dtype=self.dtype
        )

    def options(self) -> "PredictOptions":
        """What is asked of recognition."""
        return replace(
            self.in_windows(super().options()),
            labels=self.labels,
            top=self.top,
            threshold=self.threshold,
            dtype=self.dtype,
            compiled=self.compiled,
            deterministic=self.deterministic,
        )


def _predict(asked: Arguments) -> None:
    """Say what happens in videos and images.

    Each input gives one row: the best classes with their scores, or what was wrong with the file.
    With --window a video gives a row for each window: a timeline; with --boxes one for each track.
    """
    with opened_log(asked.log, "predict", asked, [*asked.read, *by_option(asked.places).values()]) as log:
        raise typer.Exit(_recognised(asked, log))


predict_command = taking(Arguments, _predict)


def _recognised(asked: Arguments, log: "RunLog | None") -> int:
    """Recognises all inputs; returns the exit code."""
    from mvit_cli.recognition.planning import planned

    asked.heat()  # what has none is refused
    options = asked.options()
    if not asked.shard and not asked.quiet and (note := part_not_taken()):
        tell(f"note: {note}")
    form = _checked_places(asked)
    made, failed = planned(options), 0
    with _row_parts(asked, form) as parts:
        journal = _journal(asked, made, form, parts)
        sources = _sources(asked, journal)
        if sources is None and journal and not asked.shown:
            _repair(journal, parts)
            report = _report(asked, journal, log)
            tell_of_kept(asked.save_video, journal, report)
        else:
            pictured = asked.page is not None or asked.heatmap is not None  # which the network's page asks for
            first = None if journal or pictured else asked.listing
            with opened_engine(made, asked.cluster, quiet=asked.quiet, first=first) as recogniser:
                if journal and made.identity["views"] is None:  # now the file has told what rows will say of it
                    journal.check(recogniser.run)
                report = _report(asked, journal, log)
                failed = _run(asked, recogniser, form, journal, report, sources or (), parts)
    asked.tell_of_unused(report)
    return _finished(asked, report, journal) or min(failed, 1)


def _run(
    asked: Arguments,
    recogniser: "Opened",
    form: Form,
    journal: "Journal | None",
    report: "RunReport",
    sources: "Sources",
    parts: "RowParts | None" = None,
) -> int:
    """Gives the rows of all sources to whoever wants them; returns how many videos could not be saved."""
    from mvit_cli.recognition.local_engine import LocalEngine
    from mvit_cli.recognition.written import sparing

    if form.format != "table":  # whose first lines say it
        report.tell(recogniser.notes)
    if isinstance(recogniser, LocalEngine):
        recogniser.scorer.watch = report.at_view
    spared = sparing(by_option(asked.places), sources)
    heat = asked.heat()
    settings = {"workers": asked.workers, "reader": asked.reader, "timeout": f"{asked.timeout:g} s a file"}
    with (
        opened_page(
            asked.page_place(),
            recogniser,
            job_of(asked.listing.named),
            settings,
            journal,
            heat=heat.key(recogniser.recipe.views.crops) if heat else None,
            merging=form.merging,
        ) as page,
        opened_picture(asked.picture_place(), recogniser, form.merging, journal, report.tell) as picture,
        opened_videos(asked.save_video, recogniser, report, journal, form.merging, force=asked.force) as videos,
        opened_writer(
            form,
            asked.rows_place(),
            recogniser,
            stages=not asked.no_stages,
            journal=journal,
            around=report.making_way,
        )
        if not parts
        else parts.opened(journal, report.making_way) as writer,
        closing(_rows(recogniser, report.watched(videos.noted(spared) if videos else spared), heat, page)) as rows,
        report.showing(),
    ):
        sinks: list[Sink] = [sink for sink in (page, picture, writer, report, videos) if sink is not None]
        _give_out(rows, sinks, asked.fail_fast)
    return videos.failed if videos else 0


def _rows(
    recogniser: "Opened", sources: "Sources", heat: Heat | None, page: "Page | None"
) -> "Generator[tuple[Row, Pictures | None], None, None]":
    """The rows of all sources with the pictures that the page wants, with heat where that is wanted."""
    from mvit_cli.recognition.local_engine import no_pictures

    wanted = page.wanted if page else no_pictures
    return heat.rows(recogniser, sources, wanted) if heat else recogniser.rows(sources, wanted)


def _give_out(rows: "Iterable[tuple[Row, Pictures | None]]", sinks: "Sequence[Sink]", fail_fast: bool) -> None:
    """Gives row after row to all sinks, as they come."""
    for row, pictures in rows:
        for sink in sinks:
            sink.take(row, pictures)
        if fail_fast and row["status"] == "error":
            return


def _checked_places(asked: Arguments) -> Form:
    """The form of the rows, after all places that are written to were found fit."""
    form = chosen_form(
        asked.format,
        asked.output,
        asked.columns,
        safe=asked.csv_safe,
        merging=Merging(asked.min_score, asked.smooth),
        in_windows=asked.window is not None,
        events=asked.events,
        drawn=any((asked.plot, asked.page, asked.save_video)),
    )
    if asked.plot:
        if asked.window is None:
            raise UsageError("--plot draws a timeline, which needs windows", "add --window 2")
        check_plot(asked.plot, asked.read, force=asked.force)
    check_events(form, resume=asked.resume, is_in_parts=asked.output is not None and asked.rows_place() is None)
    whole = [*asked.shown, *whole_rows_for(asked.save_video if asked.window else None)]
    check_resume(asked.resume, asked.retry_errors, asked.output, form, whole)
    for place in asked.places:
        place.check(asked.read)
    check_apart(asked.places)
    check_named(asked.places, asked.listing)
    check_suffix(asked.format, asked.output, asked.page)
    check_subtitles(form, asked.listing)
    check_videos(asked.save_video, asked.listing, force=asked.force)
    return replace(form, of_tracks=asked.boxes is not None)


def _row_parts(asked: Arguments, form: Form) -> "AbstractContextManager[RowParts | None]":
    """The files of the rows, where they are more than one of lines."""
    from mvit_cli.cli.row_parts import opened_row_parts

    return opened_row_parts(
        asked.output, asked.output_parts, form, resume=asked.resume, force=asked.force, read=asked.read
    )


def _repair(journal: "Journal", parts: "RowParts | None") -> None:
    """Cuts a torn last row off, and finishes what an earlier run could not."""
    if not parts:
        journal.repair()
        return
    with parts.opened(journal):
        pass


def _journal(asked: Arguments, planned: "Plan", form: Form, parts: "RowParts | None") -> "Journal | None":
    """What the output has of earlier runs; None where a run does not go on with it.

    Raises:
        UsageError: its rows are of another network, of other weights or views.
    """
    from mvit_cli.recognition.journal import read_journal
    from mvit_cli.recognition.kept_rows import json_lines

    if not (asked.resume and asked.output):
        return None
    if parts:
        journal = parts.journal(planned, retry_errors=asked.retry_errors)
    else:
        file = form.file(in_windows=planned.windows is not None)
        reader = file.lines if file else json_lines
        journal = read_journal(asked.output, planned.windows, retry_errors=asked.retry_errors, reader=reader)
    journal.check(planned.identity)
    return journal


def _sources(asked: Arguments, journal: "Journal | None") -> "Sources | None":
    """The inputs that are still to be done; None if all have their row."""
    if journal:
        return journal.remaining(asked.listing)
    return asked.listing.sources()


def _report(asked: Arguments, journal: "Journal | None", log: "RunLog | None") -> "RunReport":
    from mvit_cli.report.predict.progress import RunReport

    return RunReport(
        quiet=asked.quiet,
        rows_are_seen=asked.output is None and sys.stdout.isatty(),
        count_inputs=asked.listing.counter(),
        skipped=(lambda: journal.skipped) if journal else (lambda: 0),
        written=[place.path for place in asked.places if place.kind not in ("picture", "video")],
        pictures=[asked.plot] if asked.plot else [],
        resumes=asked.output is not None and asked.output.suffix.lower() in (".jsonl", ".ndjson", ".csv", ".tsv"),
        log=log,
    )


def _finished(asked: Arguments, report: "RunReport", journal: "Journal | None") -> int:
    """Sums the run up; returns the exit code: 1 if a row of it, or one that its file had before, is an error.

    Raises:
        MViTError: nothing was named, and that may be a slip; a part of many may well have nothing to do.
    """
    report.finish()
    if not (report.tally.inputs or report.tally.skipped or asked.allow_empty or asked.shard):
        raise MViTError("no input was named", "check what writes the list; --allow-empty if there may be nothing to do")
    earlier = journal.failed if journal else 0
    if journal and earlier:
        rows = f"{earlier} row{'s' * (earlier != 1)}"
        done = "name their inputs" if journal.retry_errors else "--retry-errors does them"
        report.tell([f"{asked.output} has {rows} with errors of earlier runs; {done} again"])
    return 1 if report.tally.errors or earlier else 0
