"""How predict would show a checkpoint a file, and who says each part of that."""

from pathlib import Path

from mvit_cli.arch.config import MViTConfig
from mvit_cli.arch.summary import preset_of
from mvit_cli.checkpoints.cards import Card
from mvit_cli.protocol import SaidProtocol
from mvit_cli.recognition.recipe import Recipe, recipe_of_card, recipe_of_file

NAMES_SHOWN = 5


def protocol_of(
    card: Card | None, path: Path | None, config: MViTConfig, weights_key: str | None = None
) -> SaidProtocol:
    """The protocol of weights with a card, or of a file of one's own.

    Raises:
        CheckpointError: predict would refuse the file.
    """
    if card or path is None:
        assert card is not None
        return described(recipe_of_card(card), config.num_classes)
    preset = preset_of(config)
    recipe = recipe_of_file(path, config, preset.name if preset else None, weights_key)
    return described(recipe, config.num_classes)


def described(recipe: Recipe, num_classes: int) -> SaidProtocol:
    """A recipe as plain values."""
    sampling, transform, origins = recipe.sampling, recipe.transform, recipe.origins
    return {
        "sampling": {
            "method": sampling.method,
            "frames": sampling.frames,
            "stride": sampling.stride,
            "fps": sampling.fps,
            "past_end": sampling.beyond,
            "origin": origins["sampling"],
        },
        "statistics": {
            "mean": list(transform.mean),
            "std": list(transform.std),
            "origin": origins["statistics"],
        },
        "channels": {"order": transform.channels, "origin": origins["channels"]},
        "resizing": {
            "resize": transform.resize,
            "crop": transform.crop,
            "interpolation": transform.interpolation,
            "antialias": transform.antialias,
            "origin": origins["resizing"],
        },
        "views": {"views": str(recipe.views), "over": recipe.views.over, "origin": origins["views"]},
        "activation": {"activation": recipe.activation, "origin": origins["activation"]},
        "labels": {
            "classes": num_classes,
            "named": recipe.labels is not None,
            "first": list((recipe.labels or ())[:NAMES_SHOWN]),
            "origin": origins["labels"] if recipe.labels else "nobody names them",
        },
    }
