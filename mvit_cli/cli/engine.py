"""`--engine`: where the plan is opened, on this machine or on a cluster."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mvit_cli.errors import MViTError, UsageError
from mvit_cli.recognition.processors import leave_processors, share_processors

if TYPE_CHECKING:
    from mvit_cli.engines.cluster import Cluster
    from mvit_cli.engines.ray import Reads
    from mvit_cli.recognition.listing import Listing
    from mvit_cli.recognition.local_engine import Opened
    from mvit_cli.recognition.plan import Plan

Engine = Annotated[
    Literal["local", "ray", "onnx", "openvino"],
    typer.Option("--engine", help="What runs the network: this process, actors of Ray, or the runtime of an export."),
]
EngineOfFeatures = Annotated[
    Literal["local", "ray"],
    typer.Option("--engine", help="What runs the network: this process, or actors of Ray; exports give scores only."),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address", metavar="HOST:PORT", help="Ray's cluster, auto, or local.  [default: RAY_ADDRESS, else local]"
    ),
]
Actors = Annotated[str, typer.Option("--actors", metavar="N|MIN:MAX", help="Actors of Ray.")]
GpusPerActor = Annotated[float, typer.Option("--gpus-per-actor", metavar="G", min=0, help="GPUs of each actor.")]
CpusPerActor = Annotated[
    float, typer.Option("--cpus-per-actor", metavar="C", min=0, help="CPUs that Ray books for each actor.")
]


def parsed_cluster(address: str | None, actors: str, gpus: float, cpus: float) -> "Cluster":
    """Where actors of Ray run.

    Raises:
        UsageError: no number of actors.
    """
    from mvit_cli.engines.cluster import Cluster

    least, _, most = actors.partition(":")
    if not (least.isdecimal() and (most or least).isdecimal() and 1 <= int(least) <= int(most or least)):
        raise UsageError(
            f"--actors {actors} is no number of actors", "give one, as 4, or the least and the most, as 2:8"
        )
    return Cluster(address or os.environ.get("RAY_ADDRESS") or "local", int(least), int(most or least), gpus, cpus)


@contextmanager
def opened_engine(
    plan: "Plan",
    cluster: "Cluster | None",
    *,
    quiet: bool,
    first: "Listing | None" = None,
    reads: "Reads | None" = None,
) -> "Iterator[Opened]":
    """Gives the network, ready for files.

    Args:
        cluster: where actors of Ray run; None: the network runs here.
        quiet: no progress of a download.
        first: inputs whose first file is decoded while the network is loaded, if that is known.
        reads: what the rows of actors are, if not predictions.
    """
    if cluster:
        from mvit_cli.engines.ray import opened
        from mvit_cli.recognition.local_engine import LocalEngine

        with opened(plan, cluster, reads or LocalEngine.rows) as engine:
            yield engine
        return
    share_processors()
    from mvit_cli.recognition.local_engine import LocalEngine, decode_pool
    from mvit_cli.report.predict.progress import loading

    with decode_pool(plan.options) as pool:
        pool.start(
            plan.first_request(first.first() if first else None)
        )  # it loads its libraries while torch is loaded here
        with loading(f"{plan.choice.name} and torch", quiet=quiet, downloads=_downloads(plan)), _uncollected():
            recogniser = plan.open(progress=not quiet)
        leave_processors(recogniser.summary["macs"])
        yield replace(recogniser, started=pool) if isinstance(recogniser, LocalEngine) else recogniser


@contextmanager
def _uncollected() -> "Iterator[None]":
    """Loads without passes of the collector over what comes to stay: a tenth of the import of torch."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # no later pass looks at it again
        if was_enabled:
            gc.enable()


def _downloads(plan: "Plan") -> bool:
    """Whether weights have to be fetched first."""
    from mvit_cli.checkpoints.find import here

    try:
        return plan.choice.found is not None and here(plan.choice.found) is None
    except MViTError:
        return True
