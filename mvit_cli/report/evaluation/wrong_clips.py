"""The figures on the page that shows the wrong clips."""

from typing import TYPE_CHECKING

from mvit_cli.findings import Evaluation
from mvit_cli.records import OkRow
from mvit_cli.report.evaluation.figure_tables import headline_of, tables_of
from mvit_cli.report.page.templates import rendered

if TYPE_CHECKING:
    from markupsafe import Markup


def figures_section(evaluation: Evaluation) -> "Markup":
    """All tables, one below the other; the rows above them are the clips that are wrong."""
    return rendered(
        "evaluation/figures.html",
        headline=headline_of(evaluation),
        tables=tables_of(evaluation),
        notes=evaluation["notes"],
    )


def as_wrong(row: OkRow, labels: tuple[str, ...]) -> OkRow:
    """The row, saying what its clip is."""
    return {**row, "warnings": [f"this is {' and '.join(labels)}, say its labels", *row["warnings"]]}
