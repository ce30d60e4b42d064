"""What holds for a whole run: the job, the network, the weights, the settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mvit_cli.records import Run, Summary
from mvit_cli.report.formats import size_text
from mvit_cli.report.page.document import beginning
from mvit_cli.report.page.templates import rendered
from mvit_cli.report.predict.events import AS_THEY_ARE, Merging
from mvit_cli.report.predict.page.heat_key import HeatKey
from mvit_cli.report.summarize.stage_tables import footnotes, headline, stage_table

if TYPE_CHECKING:
    from markupsafe import Markup

Record = Mapping[str, Any]
Fact = tuple[str, str | tuple[str, ...] | None]

FIGURES = (("top-1", "top1"), ("top-5", "top5"))


@dataclass(frozen=True)
class Job:
    """What a page is about.

    Attributes:
        title: what was recognised.
        command: what was run.
        found: heading of the classes that were found.
        only_wrong: the rows are those whose best class is not what their labels say, and those that failed.
    """

    title: str
    command: str = "mvit predict"
    found: str = "What was found"
    only_wrong: bool = False


@dataclass(frozen=True)
class About:
    """What a page says beside its rows.

    Attributes:
        run: what all rows share: preset, weights, views, device, dtype.
        notes: warnings that all rows share.
        model: the object of `mvit summarize`.
        card: what is known of the weights, as `mvit weights show` gives it; None without a card.
        settings: other settings of the run, by name.
        heat: what the colours over frames are, where there are any.
        merging: how windows become events.
    """

    run: Run
    notes: tuple[str, ...]
    model: Summary
    job: Job
    card: Record | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    heat: HeatKey | None = None
    merging: Merging = AS_THEY_ARE

    @property
    def name(self) -> str:
        """What the network is called."""
        return self.run["preset"] or "MViT of its own geometry"

    @property
    def weights(self) -> str:
        """What the weights are called."""
        return "random weights" if self.run["weights"] == "none" else f"{self.run['weights']}"

    @property
    def classes(self) -> str:
        """Of what the network knows classes."""
        return f"{self.model['num_classes']:,} classes" + (f" of {self.card['labels']['dataset']}" if self.card else "")


def beginning_of(about: About) -> "Markup":
    """All that stands before the line on the state."""
    run = about.run
    leads = (
        f"{about.classes}, by {about.weights}",
        f"{about.name}, {run['views']} views, {run['device']} {run['dtype']}",
    )
    return beginning(about.job.title, about.job.command, leads, about.notes)


def ending_of(about: About, fewer: str, after: "Markup | str") -> "Markup":
    """All that stands below the rows.

    Args:
        fewer: what is said of pictures that are not there; may be empty.
        after: a section of the command's own.
    """
    model = about.model
    return rendered(
        "predict/page/ending.html",
        fewer=fewer,
        after=after,
        weights=_weights(about),
        card=about.card,
        run=_run(about),
        headline=headline(model),
        stages=stage_table(model),
        shares={stage["name"]: stage["macs"] / model["macs"] for stage in model["stages"]},
        footnotes=footnotes(model),
    )


def _weights(about: About) -> list[Fact]:
    """The card of the weights, in short."""
    card = about.card
    if card is None:
        return [("name", about.weights)]
    return [
        ("name", card["name"]),
        ("licence", card["licence"]),
        *_accuracy(card),
        ("classes", f"{card['labels']['classes']:,} of {card['labels']['dataset']}"),
        ("source", card["address"]),
        ("sha256", card["source"]["sha256"] or card["source"]["sha256_prefix"]),
        ("size", size_text(card["source"]["size_bytes"]) if card["source"]["size_bytes"] else None),
    ]


def _accuracy(card: Record) -> list[Fact]:
    """What the publisher reports; else what we measured ourselves."""
    reported = card["reported"]
    if reported:
        figures = [f"{name} {reported[key]:.2f} %" for name, key in FIGURES if reported[key]]
        views = f", {reported['views']} views" if reported["views"] else ""
        told = f"{', '.join(figures)} on {reported['dataset']}{views}" if figures else "no figures"
        return [("reported", told), ("reported in", reported["source"])]
    measured = tuple(
        f"{100 * table['accuracy']:.1f} % of {table['clips']:,} clips: {name.replace('_', ' ')}"
        for name, table in card["evaluation"].items()
        if isinstance(table, Mapping) and "accuracy" in table
    )
    return [("measured", measured)]


def _run(about: About) -> list[Fact]:
    """The settings that make the run repeatable."""
    clips, _, crops = about.run["views"].partition("x")
    return [
        ("preset", about.name),
        ("weights", about.weights),
        ("views", f"{about.run['views']} (clips × crops: {clips} × {crops})"),
        ("device", about.run["device"]),
        ("number format", about.run["dtype"]),
        *about.settings.items(),
    ]
