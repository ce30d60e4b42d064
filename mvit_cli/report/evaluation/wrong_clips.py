"""The figures on the page that shows the wrong clips."""

from mvit_cli.findings import Evaluation
from mvit_cli.records import OkRow, Summary
from mvit_cli.report.evaluation.figure_tables import headline_of, tables_of
from mvit_cli.report.predict.page.about import table_html
from mvit_cli.report.predict.page.markup import Html, join, tag


def figures_section(evaluation: Evaluation, model: Summary) -> Html:
    """All tables, one below the other; the rows above them are the clips that are wrong."""
    parts = []
    for table in tables_of(evaluation):
        parts.append(tag("h3", table.title) if table.title else "")
        parts.append(tag("div", table_html(table, model), class_="scroll", tabindex=0))
    notes = tag("ul", *(tag("li", note) for note in evaluation["notes"]), class_="notes") if evaluation["notes"] else ""
    told = f"{headline_of(evaluation)}. The clips above are those whose best class is wrong, and those that failed."
    return tag("section", tag("h2", "How right it is"), tag("p", told), join(parts), notes, id="figures")


def as_wrong(row: OkRow, labels: tuple[str, ...]) -> OkRow:
    """The row, saying what its clip is."""
    return {**row, "warnings": [f"this is {' and '.join(labels)}, say its labels", *row["warnings"]]}
