"""`mvit weights list`: which weights there are, which fit what, and which are on this machine."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import typer

from mvit_cli.cli.flags import completed_presets
from mvit_cli.errors import UsageError, tell

Entry = Mapping[str, Any]

EXAMPLES = """\b
Examples:
  mvit weights list --dataset k400 --layout timm
  mvit weights list --cached
  mvit weights list --preset v2-S --format json | jq -r '.[].name'"""


def list_command(
    output: Annotated[Literal["table", "json"], typer.Option("--format", help="How the result is written.")] = "table",
    dataset: Annotated[
        str | None, typer.Option("--dataset", metavar="NAME", help="Only with classes of it: k400, ssv2, in1k ...")
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option("--layout", metavar="NAME", help="Only of a code base: torchvision, timm, mmaction2 ..."),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset", "-p", metavar="NAME", autocompletion=completed_presets, help="Only of this architecture."
        ),
    ] = None,
    use: Annotated[Literal["video", "images"] | None, typer.Option("--use", help="Only for these inputs.")] = None,
    cached: Annotated[
        bool, typer.Option("--cached", help="Only what is on this machine, and needs no network.")
    ] = False,
) -> None:
    """List all weights there are, or those that fit.

    What they are for, classes, top-1, size, licence, and whether the file is on this machine. Needs no network.
    """
    from mvit_cli.checkpoints.inventory import inventory
    from mvit_cli.report.card_tables import show_list
    from mvit_cli.report.tables import write_json

    entries = known = inventory()
    if dataset is not None:
        entries = _of_dataset(dataset, known)
    if layout is not None:
        of_layout = _of_layout(layout, known)
        entries = [entry for entry in entries if entry in of_layout]
    if preset is not None:
        from mvit_cli.arch.presets import resolve_preset

        entries = [entry for entry in entries if entry["preset"] == resolve_preset(preset)]
    if use is not None:
        entries = [entry for entry in entries if entry["use"] == use]
    if cached:
        entries = [entry for entry in entries if entry["path"]]
    if output == "json":
        write_json(entries)
    elif entries:
        show_list(entries)
    else:
        tell("no weights fit all of that: leave one of the options out")


def _of_dataset(name: str, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those whose classes are of a dataset, by its name, its abbreviation, or the beginning of its name."""
    from mvit_cli.report.card_tables import short_dataset

    wanted = _letters(name)
    found = [
        entry
        for entry in entries
        if wanted
        and (wanted == _letters(short_dataset(entry["dataset"])) or _letters(entry["dataset"]).startswith(wanted))
    ]
    if not found:
        known = sorted({short_dataset(entry["dataset"]) for entry in entries})
        raise UsageError(f"--dataset: no weights have classes of {name!r}", f"there are {', '.join(known)}")
    return found


def _of_layout(name: str, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = [entry for entry in entries if name and entry["layout"].startswith(name.lower())]
    if not found:
        from mvit_cli.checkpoints.formats.layouts import LAYOUTS

        raise UsageError(f"--layout: no weights have {name!r}", f"layouts are {', '.join(LAYOUTS)}")
    return found


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())
