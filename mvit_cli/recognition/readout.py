"""What else than scores is taken from a network, by the same decoder, batches and loop."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mvit_cli.recognition.local_engine import LocalEngine

if TYPE_CHECKING:
    from torch import Tensor

Readout = Callable[[Any, "Tensor"], "Tensor"]
"""The network and normalised clips `(B, 3, T, H, W)` -> `(B, dims)`, whose mean over the views of a file is kept."""


@dataclass(frozen=True)
class Features:
    """What the classifier sees, or the mean over the grid that leaves a stage.

    Attributes:
        stage: `cube1`, `scale2`, ...; None: after the last stage and its norm: the class token, or the mean of all.
    """

    stage: str | None = None

    def __call__(self, model: Any, clips: "Tensor") -> "Tensor":
        """`(B, 3, T, H, W)` -> `(B, C)`."""
        features: Tensor = model.features(clips, self.stage)
        return features.flatten(2).mean(2) if self.stage else features


def reading(engine: LocalEngine, readout: Readout) -> LocalEngine:
    """The engine, whose items have what is read out of the network where scores were."""
    return replace(engine, scorer=replace(engine.scorer, readout=readout, reference=None))
