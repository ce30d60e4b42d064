"""`mvit embed`: features of videos and images, for search, clustering and classifiers of one's own."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from mvit_cli.cli.arguments import taking
from mvit_cli.cli.engine import EngineOfFeatures, opened_engine
from mvit_cli.cli.flags import dtype_among
from mvit_cli.cli.help import exit_codes
from mvit_cli.cli.log_file import opened_log
from mvit_cli.cli.outputs import Place, by_option, check_named
from mvit_cli.cli.recognising import OfInputs, OnEngines
from mvit_cli.errors import UsageError

if TYPE_CHECKING:
    from mvit_cli.embedding.embed import Embedder
    from mvit_cli.recognition.journal import Journal
    from mvit_cli.recognition.local_engine import Sources
    from mvit_cli.recognition.options import PredictOptions
    from mvit_cli.recognition.readout import NumberFormat
    from mvit_cli.report.predict.run_log import RunLog

EXAMPLES = f"""\b
Examples:
  mvit embed videos/ -o videos.npz
  mvit embed videos/ -o videos.parquet --stage scale4   the grid's mean after a stage
  mvit embed film.mp4 -o film.npz --window 2            a vector for each window
  mvit embed videos/ -o videos.npz --resume             goes on where a run ended
  mvit embed videos/ -o videos.npz --engine ray --actors 4   on many machines
  mvit similar videos.npz clip.mp4                      the most similar ones

\b
{exit_codes("every input has features", "some have none")}"""


@dataclass(frozen=True, kw_only=True)
class Arguments(OfInputs, OnEngines):
    """What stands behind `mvit embed`: each field is an option, with its default."""

    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE", help="The file to write: .npz, .parquet or .jsonl.", show_default=False
        ),
    ]
    stage: Annotated[
        str | None,
        typer.Option(
            "--stage",
            metavar="NAME",
            help="Mean over the grid of a stage, as scale4.  [default: what the classifier sees, after the norm]",
        ),
    ] = None
    dtype: Annotated[
        str,
        typer.Option(
            "--dtype",
            parser=dtype_among("float32", "float16"),
            metavar="float32|float16",
            help="Number format of the features.",
        ),
    ] = "float32"
    engine: EngineOfFeatures = "local"
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the rows of --output, or of its .part: only the other inputs.")
    ] = False

    def options(self) -> "PredictOptions":
        """What is asked of recognition."""
        return self.in_windows(super().options())


def _embed(asked: Arguments) -> None:
    """Write what the network makes of videos and images before it classifies.

    A row for each input, or each window: features, or null and what was wrong with the file.
    """
    with opened_log(asked.log, "embed", asked, [*asked.inputs, asked.output]) as log:
        raise typer.Exit(_embedded(asked, log))


embed_command = taking(Arguments, _embed)


def _embedded(asked: Arguments, log: "RunLog | None") -> int:
    """Writes the features of all inputs; returns the exit code."""
    from mvit_cli.embedding.embed import embedder_of
    from mvit_cli.embedding.vectors import made_of, part_of
    from mvit_cli.recognition.journal import read_journal
    from mvit_cli.recognition.plan import plan
    from mvit_cli.recognition.readout import FeatureRows

    place, part = _checked(asked), part_of(asked.output)
    planned, format = plan(asked.options()), cast("NumberFormat", asked.dtype)
    journal = read_journal(part, planned.windows, retry_errors=asked.retry_errors)
    journal.check(planned.identity)
    reads = FeatureRows(asked.stage, format)
    with opened_engine(planned, asked.cluster, quiet=asked.quiet, reads=reads) as engine:
        embedder = embedder_of(engine, planned, asked.stage, format)
        journal.check(engine.run)
        _check_same(journal, embedder, part)
        sources = journal.remaining(asked.listing)
        failed = _run(asked, embedder, journal, sources or (), (place, log))
    made_of(part, asked.output, embedder.facts)
    return 1 if failed else 0


def _checked(asked: Arguments) -> Place:
    """The place of the file, after it was found fit; its part is what a run goes on with."""
    from mvit_cli.embedding.continuing import taken_apart
    from mvit_cli.embedding.vectors import SUFFIXES, need_pyarrow, part_of

    output, part = asked.output, part_of(asked.output)
    if output.suffix.lower() not in SUFFIXES:
        raise UsageError(f"--output {output}: features are written as .npz, .parquet or .jsonl", "name one of these")
    if output.suffix.lower() == ".parquet":
        need_pyarrow()
    if asked.retry_errors and not asked.resume:
        raise UsageError("--retry-errors needs --resume", "add --resume: it goes on with the rows of --output")
    place = Place("--output", output, "rows", asked.force, keeps=asked.resume)
    read = [name for name in (*(name.removeprefix("@") for name in asked.inputs), asked.weights) if name]
    place.check(read)
    check_named([place], asked.listing)
    if part.exists() and not asked.resume:
        if not asked.force and (part != output or part.stat().st_size):
            raise UsageError(f"{part} has rows of a run that did not end", "--resume goes on, --force begins anew")
        Place("--output", part, "rows", force=True).check(read)
        part.unlink()
    if asked.resume and part != output and output.exists() and not part.exists():
        taken_apart(output, part)
    return place


def _check_same(journal: "Journal", embedder: "Embedder", part: Path) -> None:
    """Refuses to go on with features of another stage, of other weights or numbers."""
    for row in journal.rows():
        there = row.get("embedder")
        if isinstance(there, dict):
            for name, value in embedder.facts.items():
                if there.get(name) != value:
                    raise UsageError(
                        f"--resume: {part} has features with {name} {there.get(name)}, and this run has {value}",
                        "run with the same options, or name another file",
                    )
            return


def _run(
    asked: Arguments, embedder: "Embedder", journal: "Journal", sources: "Sources", to: "tuple[Place, RunLog | None]"
) -> int:
    """Writes a row for each input that has none; returns how many rows are errors."""
    from mvit_cli.recognition.local_engine import LocalEngine
    from mvit_cli.recognition.written import sparing
    from mvit_cli.report.predict.progress import RunReport
    from mvit_cli.report.predict.writers import JsonLines

    report = RunReport(
        quiet=asked.quiet,
        rows_are_seen=False,
        count_inputs=asked.listing.counter(),
        skipped=lambda: journal.skipped,
        written=[journal.path],
        resumes=True,
        log=to[1],
    )
    if isinstance(embedder.engine, LocalEngine):
        embedder.engine.scorer.watch = report.at_view
    spared = report.watched(sparing(by_option([to[0]]), sources))
    report.tell(embedder.engine.notes)
    with journal.open() as stream, closing(embedder.rows(spared)) as rows:
        lines = JsonLines(stream)
        with report.showing():
            for row in rows:
                lines.take(row)  # type: ignore[arg-type]
                report.take(row)  # type: ignore[arg-type]
                if asked.fail_fast and row["status"] == "error":
                    break
    report.finish()
    return report.tally.errors.total() + journal.failed
