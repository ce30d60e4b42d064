"""`mvit similar`: what is alike in a file of features."""

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mvit_cli.cli.flags import Device, Quiet
from mvit_cli.cli.help import exit_codes
from mvit_cli.cli.predict_flags import Workers
from mvit_cli.errors import UsageError, tell

if TYPE_CHECKING:
    from mvit_cli.embedding.vectors import Vectors

EXAMPLES = f"""\b
Examples:
  mvit similar videos.npz clip.mp4 --top 3
  mvit similar videos.npz others.npz | jq -r '.similar[0].path'
  mvit similar videos.npz --duplicates --above 0.98

\b
{exit_codes("every query was answered", "some files could not be read")}"""

TOGETHER = 512
"""Queries of a file for which the index is gone through once."""

FormatOption = Annotated[
    Literal["table", "jsonl"] | None,
    typer.Option("--format", help="How the result is written.  [default: table on a terminal, else jsonl]"),
]


def similar_command(
    index: Annotated[Path, typer.Argument(metavar="INDEX", help="A file that `mvit embed` wrote.", show_default=False)],
    queries: Annotated[
        list[str] | None,
        typer.Argument(metavar="[QUERY...]", help="Inputs as of predict, or a file of features.", show_default=False),
    ] = None,
    top: Annotated[int, typer.Option("--top", "-k", metavar="K", min=1, help="Rows per query.")] = 5,
    duplicates: Annotated[bool, typer.Option("--duplicates", help="Groups of near-duplicates in the index.")] = False,
    above: Annotated[
        float, typer.Option("--above", metavar="S", min=-1, max=1, help="Cosine from which two rows are duplicates.")
    ] = 0.98,
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights", "-w", metavar="NAME|FILE|URL", help="Where the weights are now.  [default: where they were]"
        ),
    ] = None,
    format: FormatOption = None,
    device: Device = "auto",
    workers: Workers = "auto",
    quiet: Quiet = False,
) -> None:
    """Find what is most alike, by the cosine of features; exactly.

    Queries go through the network that the index was made with.
    """
    import sys

    from mvit_cli.embedding import similar
    from mvit_cli.embedding.vectors import read_vectors

    if duplicates == bool(queries):
        raise UsageError("name queries, or say --duplicates: one of the two", "mvit similar INDEX QUERY...")
    vectors = read_vectors(index)
    note = similar.many_note(vectors)
    if note and not quiet:
        tell(f"note: {note}")
    form = format or ("table" if sys.stdout.isatty() else "jsonl")
    if duplicates:
        _tell_groups(similar.duplicates(vectors, above), form)
        return
    failed = _answer(vectors, queries or [], top, form, (weights, device, workers, quiet))
    raise typer.Exit(1 if failed else 0)


def _answer(vectors: "Vectors", queries: list[str], top: int, form: str, how: tuple[Any, ...]) -> int:
    """Writes what is most like each query; returns how many could not be read."""
    from mvit_cli.embedding.queries import of_file, of_inputs
    from mvit_cli.embedding.similar import most_similar
    from mvit_cli.embedding.vectors import SUFFIXES

    failed = 0
    files = [name for name in queries if Path(name).suffix.lower() in SUFFIXES]
    inputs = [name for name in queries if name not in files]
    groups = [(of_file(Path(name), vectors), TOGETHER) for name in files]
    if inputs:
        weights, device, workers, quiet = how
        asked = of_inputs(inputs, vectors, weights=weights, device=device, workers=workers, progress=not quiet)
        groups.append((asked, 1))  # a file takes longer than the index
    for group, together in groups:
        while some := list(islice(group, together)):
            found = iter(most_similar(vectors, [features for _, features in some if features is not None], top))
            for query, features in some:
                failed += features is None
                _tell_answer(query if features is None else {**query, "similar": next(found)}, form)
    return failed


def _tell_answer(answer: dict[str, Any], form: str) -> None:
    from mvit_cli.report.predict.writers import row_json
    from mvit_cli.report.tables import Column, Table, printable, show, write_data

    if form == "jsonl":
        write_data(row_json(answer).decode() + "\n")  # type: ignore[arg-type]
        return
    if answer["status"] == "error":
        show(f"{_named(answer)}: {printable(answer['error']['message'])}")
        return
    rows = tuple((f"{one['score']:.4f}", _named(one)) for one in answer["similar"])
    show(Table((Column("cosine"), Column("path", numeric=False, wraps=True)), rows, title=_named(answer)), "")


def _tell_groups(groups: Any, form: str) -> None:
    from mvit_cli.report.predict.writers import to_json
    from mvit_cli.report.tables import Column, Table, show, write_data

    if form == "jsonl":
        for group in groups:
            write_data(to_json(group).decode() + "\n")
        return
    if not groups:
        show("No two rows are that similar.")
    for number, group in enumerate(groups, 1):
        rows = tuple((_named(member),) for member in group["members"])
        title = f"Group {number}, cosine {group['lowest']:.4f} or more"
        show(Table((Column("", numeric=False, wraps=True),), rows, title=title), "")


def _named(one: Any) -> str:
    window = one.get("window")
    name: str = one["path"]
    return name + (f" {window['start_s']:.1f} to {window['end_s']:.1f} s" if window else "")
