"""The file that a training leaves: the network with a classifier of its own, and all that `predict` has to know."""

import json
import platform
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvit_cli import __version__
from mvit_cli.arch.config import MViTConfig
from mvit_cli.checkpoints.convert import save_weights
from mvit_cli.checkpoints.formats.own_protocol import PROTOCOL_KEY, TRAINING_KEY, OwnProtocol, protocol_to_json
from mvit_cli.checkpoints.load import CONFIG_KEY, config_to_json
from mvit_cli.recognition.local_engine import LocalEngine
from mvit_cli.trained import Trained
from mvit_cli.training.data import Lesson

if TYPE_CHECKING:
    from torch import Tensor


def write_own(
    tensors: "dict[str, Tensor]", config: MViTConfig, engine: LocalEngine, lesson: Lesson, result: Trained
) -> None:
    """Writes the weights that the result names, whole or not at all.

    Raises:
        MViTError: the file cannot be written.
    """
    recipe = engine.recipe
    protocol = OwnProtocol(
        recipe.sampling, recipe.transform, recipe.views, lesson.activation, lesson.labels, recipe.stills
    )
    metadata = {
        "format": "pt",
        "mvit_version": __version__,
        CONFIG_KEY: config_to_json(config),
        PROTOCOL_KEY: protocol_to_json(protocol),
        TRAINING_KEY: json.dumps(_history(engine, lesson, result)),
    }
    save_weights(tensors, metadata, Path(result["weights"]))


def _history(engine: LocalEngine, lesson: Lesson, result: Trained) -> dict[str, Any]:
    """What the weights were made of."""
    import numpy as np
    import torch

    counts = {
        part: Counter(label for i in getattr(lesson.split, part) for label in lesson.clips[i].labels)
        for part in ("train", "val", "test")
    }
    licence = {"licence": engine.card.licence} if engine.card else {}
    return {
        "method": result["method"],
        "origin": {"weights": result["started_from"], "preset": result["preset"], **licence},
        "data": {label: {part: own[label] for part, own in counts.items()} for label in lesson.labels},
        "failed": len(result["failed"]),
        "split": result["split"],
        "chosen": result["chosen"],
        "metrics": result["metrics"],
        "baseline": result["baseline"],
        "leaks": len(result["leaks"]),
        "protocol": {"views": str(engine.recipe.views), "sampling": asdict(engine.recipe.sampling)},
        "versions": {
            "mvit": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }
