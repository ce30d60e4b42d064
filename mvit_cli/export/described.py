"""What an exported network carries with it: how it wants to be shown a file, and what its outputs are called."""

import json
from dataclasses import asdict
from typing import Any

from mvit_cli import __version__
from mvit_cli.arch.config import MViTConfig
from mvit_cli.arch.cost import RGB
from mvit_cli.recognition.recipe import Recipe
from mvit_cli.recognition.runtimes import INPUT, OUTPUT
from mvit_cli.records import Run


def description(config: MViTConfig, recipe: Recipe, run: Run, batch: int | None = None) -> dict[str, Any]:
    """Everything a user of the file needs to know, as plain values for JSON."""
    return {
        "mvit_version": __version__,
        "preset": run["preset"],
        "weights": run["weights"].replace("\\", "/").rpartition("/")[2],  # no path of this machine
        "input": {
            "name": INPUT,
            "shape": [batch or "batch", RGB, *config.input_thw],
            "axes": "batch, red green blue, time, height, width",
            "values": "0..1, less mean, by std",
        },
        "output": {"name": OUTPUT, "shape": [batch or "batch", config.num_classes], "activation": recipe.activation},
        "sampling": asdict(recipe.sampling),
        "transform": asdict(recipe.transform),
        "views": str(recipe.views),
        "over_views": recipe.views.over,
        "stills": recipe.stills,
        "labels": list(recipe.labels) if recipe.labels else None,
        "config": asdict(config),
    }


def as_text(what: dict[str, Any]) -> str:
    """The description as it stands in the metadata."""
    return json.dumps(what, ensure_ascii=False)
