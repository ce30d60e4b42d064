"""What else than scores is taken from a network, by the same decoder, batches and loop."""

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from mvit_cli.errors import MediaError
from mvit_cli.media.request import Detail
from mvit_cli.recognition.local_engine import LocalEngine, Sources, no_pictures
from mvit_cli.recognition.rows import ok_row
from mvit_cli.records import Row

if TYPE_CHECKING:
    from torch import Tensor

    from mvit_cli.media.workers.pool import DecodePool

NumberFormat = Literal["float32", "float16"]
DIGITS: dict[str, int] = {"float32": 9, "float16": 5}
"""Decimal digits that tell all numbers of a format apart."""

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


@dataclass(frozen=True)
class FeatureRows:
    """The network's features as rows, wherever it runs.

    Attributes:
        stage: as of `Features`.
        format: of the numbers.
    """

    stage: str | None
    format: NumberFormat

    def __call__(
        self,
        engine: LocalEngine,
        sources: Sources,
        wanted: Callable[[int], Detail] = no_pictures,
        pool: "DecodePool | None" = None,
    ) -> Generator[tuple[Row, None], None, None]:
        """As `LocalEngine.rows`, but with `features` where predictions were, and without pictures."""
        reader = reading(engine, Features(self.stage))
        with closing(reader.items(sources, wanted, pool)) as items:
            for item in items:
                row: Any
                if item.scores is None or isinstance(item.outcome, MediaError) or isinstance(item.scores, MediaError):
                    row = {**engine.row_of(item), "features": None}
                else:
                    warnings = [*engine.notes, *item.outcome.warnings, *item.news]
                    row = ok_row(item.path, engine.run, item.outcome, [], warnings, item.model_ms)
                    del row["predictions"], row["activation"]
                    row["features"] = _numbers(item.scores, self.format)
                yield row, None


def _numbers(features: "Tensor", format: NumberFormat) -> list[float]:
    values = features.half() if format == "float16" else features.float()
    return [float(f"{value:.{DIGITS[format]}g}") for value in values.tolist()]
