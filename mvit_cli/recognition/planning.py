"""The plan of a run on any engine: our own network, or a file of another runtime."""

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mvit_cli.arch.config import MViTConfig
from mvit_cli.arch.summary import preset_of, summarize_config
from mvit_cli.checkpoints.load import config_from_json
from mvit_cli.errors import CheckpointError, UsageError
from mvit_cli.protocol import Sampling, Transform
from mvit_cli.recognition.local_engine import LocalEngine
from mvit_cli.recognition.options import PredictOptions
from mvit_cli.recognition.plan import Plan, plan
from mvit_cli.recognition.recipe import Recipe, parse_views
from mvit_cli.recognition.runtimes import RuntimeName, check_runtime, description_in, opened
from mvit_cli.recognition.scoring import Scorer

if TYPE_CHECKING:
    from torch import nn

BATCH = 4
"""Views that go through together where the file takes any number."""


def planned(options: PredictOptions) -> Plan:
    """Finds and checks what was asked, as `plan`; a file of another runtime is read for what it says of itself.

    Raises:
        UsageError: an unknown preset, weights, device or other value, or what that runtime cannot do.
        CheckpointError: weights or labels that are not there or cannot be read.
        MViTError: the runtime is not here.
    """
    if options.engine == "local":
        return plan(options)
    engine: RuntimeName = options.engine
    check_runtime(engine)
    wrong = {
        "--device": options.device not in ("auto", "cpu"),
        "--dtype": options.dtype not in ("auto", "float32"),
        "--compile": options.compiled,
        "--preset": options.preset is not None,
        "--weights-key": options.weights_key is not None,
        "--frames": options.frames is not None,
        "--size": options.size is not None,
    }
    for option, is_given in wrong.items():
        if is_given:
            raise UsageError(f"{option} is about our own network, not about --engine {engine}", f"drop {option}")
    if options.weights is None:
        raise UsageError(f"--engine {engine} runs a file", "add --weights FILE, which mvit export wrote")
    made = plan(options)
    if made.choice.found is None or made.choice.found.path is None:
        raise UsageError(f"--engine {engine} runs a file, and --weights {options.weights} is none", "name the file")
    told = description_in(made.choice.found.path, engine)
    try:
        return _ForeignPlan(
            made.options, made.choice, None, made.labels, made.views, made.windows, engine, *_read(told)
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise CheckpointError(
            f"{options.weights}: what it says of itself is not usable ({type(error).__name__}: {error})",
            "export it again",
        ) from error


def _read(told: dict[str, Any]) -> tuple[MViTConfig, Recipe, int | None]:
    """Configuration, protocol, and clips at a time (None: any number) of a description."""
    transform = {**told["transform"], "mean": tuple(told["transform"]["mean"]), "std": tuple(told["transform"]["std"])}
    labels = told["labels"]
    recipe = Recipe(
        Sampling(**told["sampling"]),
        Transform(**transform),
        replace(parse_views(str(told["views"])), over="max" if told.get("over_views") == "max" else "mean"),
        tuple(map(str, labels)) if labels else None,
        bool(told["stills"]),
        activation="sigmoid" if told["output"]["activation"] == "sigmoid" else "softmax",
    )
    batch = told["input"]["shape"][0]
    return config_from_json(json.dumps(told["config"])), recipe, batch if isinstance(batch, int) else None


@dataclass(frozen=True)
class _ForeignPlan(Plan):
    """A plan whose network is in a file of another runtime.

    Attributes:
        engine: the runtime.
        config: of the network in the file.
        told: how it wants to be shown a file.
        batch: clips at a time; None: any number.
    """

    engine: RuntimeName
    config: MViTConfig
    told: Recipe
    batch: int | None

    def recipe(self) -> Recipe:
        """As `Plan.recipe`, of what the file says."""
        return self.asked_of(self.told, self.config.num_classes)

    def open(self, *, progress: bool = False) -> LocalEngine:
        """As `Plan.open`."""
        import torch

        assert self.choice.found is not None
        assert self.choice.found.path is not None
        recipe, options = self.recipe(), self.options
        summary = summarize_config(self.config, preset_of(self.config))
        batch_size = self.batch or (options.batch_size if options.batch_size != "auto" else BATCH)
        network = _module(self.choice.found.path, self.engine)
        scorer = Scorer(network, recipe.transform, torch.device("cpu"), torch.float32, batch_size)
        scorer = replace(scorer, whole_batches=self.batch is not None, activation=recipe.activation)
        scorer = replace(scorer, over_views=recipe.views.over)
        notes = (self.otherwise.note(self.told), self.labels.note, f"the network runs in {self.engine}")
        return self.engine_of(scorer, recipe, summary, notes)


def _module(path: Any, engine: RuntimeName) -> "nn.Module":
    """A file as a module, as the scorer calls it."""
    from torch import Tensor, nn

    class Foreign(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.run = opened(path, engine)

        def forward(self, clips: Tensor) -> Tensor:
            return self.run(clips)

    return Foreign()
