"""`mvit weights`: the published checkpoints, and what lies on this machine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from mvit_cli.cli.flags import Quiet, WeightsKey, completed_cards
from mvit_cli.cli.geometry import parse_size
from mvit_cli.cli.help import HelpedCommand, HelpedGroup
from mvit_cli.cli.weights_card import EXAMPLES as CARD_EXAMPLES
from mvit_cli.cli.weights_card import card_command
from mvit_cli.cli.weights_list import EXAMPLES as LIST_EXAMPLES
from mvit_cli.cli.weights_list import list_command
from mvit_cli.errors import DownloadError, MViTError, UsageError, tell

Format = Annotated[Literal["table", "json"], typer.Option("--format", help="How the result is written.")]
Name = Annotated[
    str,
    typer.Argument(metavar="NAME", autocompletion=completed_cards, help="Name of a card, such as mvit_b_16x4.tv_k400."),
]
NameOrFile = Annotated[
    str, typer.Argument(metavar="NAME|FILE", help="Name of a card, a checkpoint file, or an address.")
]
Preset = Annotated[
    str | None, typer.Option("--preset", metavar="NAME", help="Architecture, where the file cannot tell it.")
]
TrainedFrames = Annotated[
    int | None,
    typer.Option("--frames", metavar="T", help="Frames it was trained for, where the file cannot tell.", min=1),
]
TrainedSize = Annotated[
    str | None,
    typer.Option("--size", metavar="S|HxW", help="Pixels it was trained for, where the file cannot tell."),
]

app = typer.Typer(
    cls=HelpedGroup,
    help="List, fetch, check and convert weights.",
    rich_markup_mode=None,
    no_args_is_help=True,
)


app.command("list", epilog=LIST_EXAMPLES, cls=HelpedCommand)(list_command)
app.command("card", epilog=CARD_EXAMPLES, cls=HelpedCommand)(card_command)


@app.command("show", cls=HelpedCommand)
def show_command(name: Name, output: Format = "table") -> None:
    """Show what is known of one: what it is for, how to run it, figures, classes, pixels, licence, source, notes."""
    from mvit_cli.checkpoints.cards import labels_of
    from mvit_cli.checkpoints.find import find
    from mvit_cli.checkpoints.inventory import card_record
    from mvit_cli.report.model_card import show_card
    from mvit_cli.report.tables import write_json

    found = find(name)
    if found.card is None:
        raise UsageError(
            f"weights {found.name}: cards describe published weights only",
            f"`mvit summarize --weights {found.name}` describes a checkpoint",
        )
    record = card_record(found.card)
    show_card(record, labels_of(found.card)) if output == "table" else write_json(record)


@app.command("pull", cls=HelpedCommand)
def pull_command(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME|URL...",
            autocompletion=completed_cards,
            help="Names of cards, org/repo, hf://org/repo/file or https://...",
        ),
    ],
    force: Annotated[bool, typer.Option("--force", help="Download it although it is here.")] = False,
    quiet: Quiet = False,
) -> None:
    """Download one or several, and print their paths.

    What is on this machine already is checked and not downloaded again. What cannot be had does not keep the others.
    """
    from mvit_cli.checkpoints.find import find, obtain
    from mvit_cli.report.tables import write_data

    failed: list[MViTError] = []
    for found in [find(name) for name in names]:
        try:
            write_data(f"{obtain(found, progress=not quiet, again=force).path}\n")
        except DownloadError as error:
            failed.append(error)
    for earlier in failed[:-1]:
        tell(f"error: {earlier.message}")
    if failed:
        raise failed[-1]


@app.command("verify", cls=HelpedCommand)
def verify_command(
    name: NameOrFile, preset: Preset = None, weights_key: WeightsKey = None, output: Format = "table"
) -> None:
    """Check sha256 and strict loading.

    The digest is computed anew and compared with the published one; then the network is built and loaded.
    """
    from mvit_cli.checkpoints.verification import verify_weights
    from mvit_cli.report.card_tables import show_record
    from mvit_cli.report.tables import write_json

    record = verify_weights(name, preset, weights_key)
    if output == "json":
        write_json(record)
        return
    show_record(record)
    tell(_verdict(record))


def _verdict(record: Mapping[str, Any]) -> str:
    """What was found out, in a sentence."""
    published = record["published_as"]
    whose = f"the published {published}" if published else "of your own: no card has this digest"
    return f"good: it fits its network, tensor by tensor, and is {whose}"


@app.command("convert", cls=HelpedCommand)
def convert_command(
    source: Annotated[str, typer.Argument(metavar="IN", help="A checkpoint file, or the name of a card.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="The .safetensors file to write.")],
    preset: Preset = None,
    weights_key: WeightsKey = None,
    force: Annotated[bool, typer.Option("--force", help="Replace OUT if it is there.")] = False,
    frames: TrainedFrames = None,
    size: TrainedSize = None,
) -> None:
    """Write the canonical layout.

    Any known layout becomes one .safetensors file with its configuration in the metadata; no value changes.
    """
    from mvit_cli.checkpoints.convert import convert
    from mvit_cli.checkpoints.find import resolve_weights
    from mvit_cli.report.tables import write_data

    clips = frames, parse_size(size)
    written = convert(resolve_weights(source), target, preset, force=force, clips=clips, weights_key=weights_key)
    tell(f"layout {written.layout}, {written.params:,} parameters")
    write_data(f"{written.path}\n")


@app.command("where", cls=HelpedCommand)
def where_command(output: Format = "table") -> None:
    """Show the folders searched.

    With number and size of the published weights that lie in each.
    """
    from mvit_cli.checkpoints.inventory import folders
    from mvit_cli.report.card_tables import show_folders
    from mvit_cli.report.tables import write_json

    entries = folders()
    show_folders(entries) if output == "table" else write_json(entries)
