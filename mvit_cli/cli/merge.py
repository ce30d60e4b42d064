"""`mvit merge`: the rows of several runs, each over a part of the inputs, as one file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mvit_cli.cli.flags import Force, Quiet
from mvit_cli.cli.help import exit_codes
from mvit_cli.cli.outputs import Place, check_named
from mvit_cli.errors import tell

if TYPE_CHECKING:
    from mvit_cli.recognition.merging import Merged, Names

EXAMPLES = f"""\b
Examples:
  mvit merge rows.*.jsonl -o rows.jsonl
  mvit merge rows.*.jsonl -o rows.jsonl --inputs @list.txt    in its order; says what has no row

\b
{exit_codes("every input has its rows", "some have none, or several")}"""


def merge_command(
    files: Annotated[list[Path], typer.Argument(metavar="ROWS...", help="Files of JSON lines.", show_default=False)],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The file to write.", show_default=False)
    ],
    inputs: Annotated[
        list[str] | None,
        typer.Option("--inputs", metavar="INPUT", help="All inputs, as predict takes them: rows come in their order."),
    ] = None,
    null: Annotated[bool, typer.Option("--null", "-0", help="Paths of @list end with NUL.")] = False,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Join the rows of runs over parts of the inputs: every input once.

    Rows of other weights, views or windows are refused.
    """
    from mvit_cli.errors import MViTError
    from mvit_cli.recognition.listing import Listing
    from mvit_cli.recognition.merging import merge

    place = Place("--output", output, "rows", force)
    place.check(files)
    listing = Listing(tuple(inputs), null) if inputs else None
    if listing:
        check_named([place], listing)
    for path in files:
        if not path.is_file():
            raise MViTError(f"{path}: no such file", "check the path")
    with place.opened() as target:
        merged = merge(files, target, listing)
    if not quiet:
        _tell(merged, output)
    raise typer.Exit(0 if merged.is_whole else 1)


def _tell(merged: "Merged", output: Path) -> None:
    def named(names: "Names", what: str) -> None:
        if names.count:
            more = f" and {names.count - len(names.first):,} more" * (names.count > len(names.first))
            tell(f"{names.count:,} {what}: {', '.join(names.first)}{more}")

    tell(f"{output}: {merged.rows:,} rows, {merged.failed:,} of them errors")
    named(merged.missing, "inputs have no row")
    named(merged.repeated, "inputs have rows in several files, those of the first that is ok are kept")
    named(merged.unnamed, "inputs have rows and were not named, they are left out")
    for path in merged.torn:
        tell(f"{path}: its last row is not whole; its run goes on with --resume")
