"""What holds for a whole run: the network, the weights, the settings."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mvit_cli.records import Run, Summary
from mvit_cli.report.formats import size_text
from mvit_cli.report.predict.page.markup import Html, bar, bars, definitions, lines, tag, text
from mvit_cli.report.summarize.stage_tables import footnotes, stage_table
from mvit_cli.report.tables import Column, Table

Record = Mapping[str, Any]

MOST_CLASSES = 12
FIGURES = (("top-1", "top1"), ("top-5", "top5"))


@dataclass(frozen=True)
class About:
    """What a page says beside its rows.

    Attributes:
        run: what all rows share: preset, weights, views, device, dtype.
        notes: warnings that all rows share.
        model: the object of `mvit summarize`.
        card: what is known of the weights, as `mvit weights show` gives it; None without a card.
        settings: other settings of the run, by name.
    """

    run: Run
    notes: tuple[str, ...]
    model: Summary
    card: Record | None = None
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What the network is called."""
        return self.run["preset"] or "MViT of its own geometry"

    @property
    def weights(self) -> str:
        """What the weights are called."""
        return "random weights" if self.run["weights"] == "none" else f"{self.run['weights']}"


def network_section(about: About) -> Html:
    """Stage by stage, as `mvit summarize` has it."""
    notes = tag("ul", *(tag("li", note) for note in footnotes(about.model)), class_="notes")
    table = tag("div", table_html(stage_table(about.model), about.model), class_="scroll", tabindex=0)
    return tag("section", tag("h2", "The network"), table, notes, id="network")


def table_html(table: Table, model: Summary) -> Html:
    """A table as HTML; its column without a title holds bars, which are drawn anew."""
    shares = {stage["name"]: stage["macs"] / model["macs"] for stage in model["stages"]}

    def cell(column: Column, content: str, row: tuple[str, ...], kind: str = "td") -> Html:
        if not column.title.strip():
            return tag("td", bar(shares[row[0]]) if row[0] in shares else "", class_="wide")
        scope = "row" if kind == "th" else None
        return tag(kind, lines(content.split("\n")), scope=scope, class_="n" if column.numeric else None)

    def line(row: tuple[str, ...]) -> Html:
        kinds = ["th", *["td"] * (len(row) - 1)]
        return tag("tr", *(cell(*each) for each in zip(table.columns, row, [row] * len(row), kinds, strict=True)))

    titles = (
        tag("th", column.title.replace("\n", " ").strip(), scope="col", class_="n" if column.numeric else None)
        for column in table.columns
    )
    foot = tag("tfoot", line(table.footer)) if table.footer else ""
    return tag("table", tag("thead", tag("tr", *titles)), tag("tbody", *map(line, table.rows)), foot, class_="stages")


def weights_section(about: About) -> Html:
    """The card of the weights, in short."""
    card = about.card
    if card is None:
        told = "No card tells of these weights: neither their licence nor their accuracy is known here."
        return tag("section", tag("h2", "The weights"), definitions([("name", about.weights)]), tag("p", told))
    entries = [
        ("name", card["name"]),
        ("licence", card["licence"]),
        *_accuracy(card),
        ("classes", f"{card['labels']['classes']:,} of {card['labels']['dataset']}"),
        ("source", card["address"]),
        ("sha256", card["source"]["sha256"] or card["source"]["sha256_prefix"]),
        ("size", size_text(card["source"]["size_bytes"]) if card["source"]["size_bytes"] else None),
    ]
    notes = tag("ul", *(tag("li", note) for note in card["notes"]), class_="notes")
    return tag("section", tag("h2", "The weights"), definitions(entries), notes if card["notes"] else "", id="weights")


def _accuracy(card: Record) -> list[tuple[str, object]]:
    """What the publisher reports; else what we measured ourselves."""
    reported = card["reported"]
    if reported:
        figures = [f"{name} {reported[key]:.2f} %" for name, key in FIGURES if reported[key]]
        views = f", {reported['views']} views" if reported["views"] else ""
        told = f"{', '.join(figures)} on {reported['dataset']}{views}" if figures else "no figures"
        return [("reported", told), ("reported in", reported["source"])]
    measured = [
        f"{100 * table['accuracy']:.1f} % of {table['clips']:,} clips: {name.replace('_', ' ')}"
        for name, table in card["evaluation"].items()
        if isinstance(table, Mapping) and "accuracy" in table
    ]
    return [("measured", lines(measured))]


def run_section(about: About) -> Html:
    """The settings that make the run repeatable."""
    clips, _, crops = about.run["views"].partition("x")
    entries = [
        ("preset", about.name),
        ("weights", about.weights),
        ("views", f"{about.run['views']} (clips × crops: {clips} × {crops})"),
        ("device", about.run["device"]),
        ("number format", about.run["dtype"]),
        *about.settings.items(),
    ]
    return tag("section", tag("h2", "The run"), definitions(entries), id="run")


def classes_section(found: Counter[str]) -> Html:
    """How often each class was the best one; nothing for a single file."""
    total = found.total()
    if total < 2:
        return Html("")
    best = found.most_common(MOST_CLASSES)
    table = bars("best class", "inputs", ((label, count / total, text(count)) for label, count in best))
    rest = len(found) - len(best)
    more = tag("p", f"and {rest} more classes", class_="dim") if rest else ""
    return tag("section", tag("h2", "What was found"), table, more, id="found")
