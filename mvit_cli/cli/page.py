"""`mvit predict --report FILE`: where the page goes, and what it tells beside the rows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mvit_cli import __version__
from mvit_cli.addresses import cleaned
from mvit_cli.report.predict.events import AS_THEY_ARE, Merging

if TYPE_CHECKING:
    from markupsafe import Markup

    from mvit_cli.cli.outputs import Place
    from mvit_cli.recognition.journal import Journal
    from mvit_cli.recognition.local_engine import Opened
    from mvit_cli.recognition.recipe import Recipe
    from mvit_cli.report.predict.page.about import About, Job
    from mvit_cli.report.predict.page.heat_key import HeatKey
    from mvit_cli.report.predict.page.writer import Page

MOST_NAMED = 3


@contextmanager
def opened_page(
    place: "Place | None",
    recogniser: "Opened",
    job: "Job",
    settings: Mapping[str, str],
    journal: "Journal | None" = None,
    after: "Callable[[], Markup] | None" = None,
    heat: "HeatKey | None" = None,
    merging: Merging = AS_THEY_ARE,
) -> "Iterator[Page | None]":
    """Gives the page, begun, with the rows that earlier runs left; on the way out it is completed.

    Args:
        place: where to; None: no page is wanted.
        job: what the page is about.
        settings: of the run, beside what the recogniser knows.
        journal: of the rows that are there already.
        after: what stands below the rows.
        heat: what the colours over frames are, where heat maps are wanted.
        merging: how windows become events.
    """
    from mvit_cli.report.predict.page.writer import Page

    if place is None:
        yield None
        return
    about = replace(_about(recogniser, job, settings, heat), merging=merging)
    with place.opened(), Page(place.path, about, after) as page:
        for row in journal.rows() if journal else ():
            page.look_back(row)
        yield page


def job_of(inputs: Sequence[str]) -> "Job":
    """What is recognised, with a title: the inputs as they were named."""
    from mvit_cli.report.predict.page.about import Job

    named = ["standard input" if name == "-" else cleaned(name) for name in inputs]
    more = f" and {len(named) - MOST_NAMED:,} more" if len(named) > MOST_NAMED else ""
    return Job(", ".join(named[:MOST_NAMED]) + more)


def _about(recogniser: "Opened", job: "Job", settings: Mapping[str, str], heat: "HeatKey | None") -> "About":
    import torch

    from mvit_cli.checkpoints.inventory import card_record
    from mvit_cli.report.predict.page.about import About

    settings = {
        **_protocol(recogniser.recipe),
        "batch size": f"{recogniser.batch_size}",
        **settings,
        "made": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC by mvit {__version__}, torch {torch.__version__}",
    }
    card = card_record(recogniser.card) if recogniser.card else None
    return About(recogniser.run, recogniser.notes, recogniser.summary, job, card, settings, heat)


def _protocol(recipe: "Recipe") -> dict[str, str]:
    """How a file is shown to the network, in words."""
    sampling, transform = recipe.sampling, recipe.transform
    crop = transform.crop
    rate = f" of {sampling.fps:g} a second" if sampling.fps else ""
    every = f", one in {sampling.stride}{rate}" if sampling.steps else ""
    alone = ": each class for itself" if recipe.activation == "sigmoid" else ""
    return {
        "scores": f"{recipe.activation}{alone}",
        "frames of a clip": f"{sampling.frames}{every} ({sampling.method})",
        "pixels": f"short side {transform.resize}, cut to {crop} × {crop}, {transform.interpolation}",
    }
