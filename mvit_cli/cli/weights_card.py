"""`mvit weights card`: what one's own weights want to be shown and what their outputs are, written into their file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mvit_cli.cli.otherwise import ClipFrames, Fps, Mean, Side, Std, parsed_statistics
from mvit_cli.errors import CheckpointError, UsageError, tell

if TYPE_CHECKING:
    from mvit_cli.arch.config import MViTConfig
    from mvit_cli.recognition.recipe import Recipe

EXAMPLES = """\b
Examples:
  mvit weights card mine.safetensors --labels classes.txt --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225
  mvit weights card mine.safetensors --fps 15 --views 3x1
  mvit predict clip.mp4 --weights mine.safetensors    assumes nothing any more"""


def card_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .safetensors file; its tensors stay as they are.")],
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels", metavar="FILE", help="Class names, one per line or JSON.  [default: as the file says]"
        ),
    ] = None,
    mean: Mean = None,
    std: Std = None,
    frames: ClipFrames = None,
    fps: Fps = None,
    size: Side = None,
    views: Annotated[
        str | None, typer.Option("--views", metavar="CxS", help="Clips x crops to average, as 5x1.")
    ] = None,
    activation: Annotated[
        Literal["softmax", "sigmoid"] | None, typer.Option("--activation", help="What makes scores of the outputs.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option("--preset", "-p", metavar="NAME", help="Architecture, where the file cannot tell it.")
    ] = None,
    output: Annotated[Literal["table", "json"], typer.Option("--format", help="How the card is shown.")] = "table",
) -> None:
    """Write a card into your own weights: predict then assumes nothing.

    What is not said is as predict would have it today, and shown with who says it. The file is replaced as a whole.
    """
    from mvit_cli.checkpoints.own_card import check_can_hold, write_protocol
    from mvit_cli.recognition.said_protocol import described
    from mvit_cli.recognition.shown import Otherwise
    from mvit_cli.report.card_tables import show_record
    from mvit_cli.report.tables import write_json

    if not file.is_file():
        raise CheckpointError(f"{file}: no such file", "check the path")
    check_can_hold(file)
    asked = Otherwise(parsed_statistics(mean, "--mean"), parsed_statistics(std, "--std"), frames, fps, size)
    recipe, config = _as_it_is(file, preset)
    recipe = _with(asked.applied(recipe, "you, on the command line"), config, file, labels, (views, activation))
    write_protocol(file, _protocol(recipe, config))
    told: dict[str, Any] = {**described(recipe, config.num_classes)}
    write_json(told) if output == "json" else show_record({**told, "notes": []})
    tell(f"{file} has its card: predict assumes nothing of it any more")


def _as_it_is(file: Path, preset: str | None) -> "tuple[Recipe, MViTConfig]":
    """How predict shows the file's network today, and the network."""
    from mvit_cli.arch.summary import preset_of
    from mvit_cli.checkpoints.formats.reading import read_shapes
    from mvit_cli.checkpoints.load import describe
    from mvit_cli.recognition.recipe import recipe_of_file

    config = describe(read_shapes(file), preset).config
    found = preset_of(config)
    return recipe_of_file(file, config, found.name if found else None), config


def _with(
    recipe: "Recipe", config: "MViTConfig", file: Path, labels: Path | None, others: tuple[str | None, Any]
) -> "Recipe":
    """The recipe with class names, views and activation, if it fits the network.

    Raises:
        UsageError: another number of names, frames or pixels than the network has.
    """
    from dataclasses import replace

    from mvit_cli.checkpoints.labels import read_labels
    from mvit_cli.recognition.recipe import parse_views

    views, activation = others
    origins, by = dict(recipe.origins), "you, on the command line"
    if labels:
        recipe, origins["labels"] = replace(recipe, labels=read_labels(labels)), by
    if views:
        recipe, origins["views"] = replace(recipe, views=parse_views(views)), by
    if activation:
        recipe, origins["activation"] = replace(recipe, activation=activation), by
    for option, said, there in (
        ("--labels", len(recipe.labels or ()) or config.num_classes, config.num_classes),
        ("--frames", recipe.sampling.frames, config.frames),
        ("--size", recipe.transform.crop, config.height),
    ):
        if said != there:
            raise UsageError(
                f"{option}: {said}, and the network in {file} has {there}",
                "a card says what a network was made for; predict takes other --frames and --size, and changes nothing",
            )
    return replace(recipe, origins=origins)


def _protocol(recipe: "Recipe", config: "MViTConfig") -> Any:
    from mvit_cli.checkpoints.formats.own_protocol import OwnProtocol

    names = recipe.labels or tuple(map(str, range(config.num_classes)))
    return OwnProtocol(recipe.sampling, recipe.transform, recipe.views, recipe.activation, names, recipe.stills)
