"""How files are shown where the user says otherwise than the weights: frames, rate, pixels, normalisation."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mvit_cli.errors import UsageError
from mvit_cli.protocol import Sampling, Transform
from mvit_cli.recognition.options import Statistics
from mvit_cli.recognition.recipe import Recipe

WITH_RATE = ("clip", "resampled")
"""Ways to choose frames that go by a rate."""

MOST_FRAMES, MOST_PIXELS = 1024, 4096


@dataclass(frozen=True)
class Otherwise:
    """What was asked; None: as the weights want it.

    Attributes:
        mean: of red, green, blue, of values 0 to 1.
        std: of red, green, blue.
        frames: of a clip.
        fps: frames a second that the file is read at.
        size: pixels of a side of the square that is cut out; the short side is resized in the same proportion.
    """

    mean: Statistics | None = None
    std: Statistics | None = None
    frames: int | None = None
    fps: float | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        for option, statistics in (("--mean", self.mean), ("--std", self.std)):
            if statistics is not None and (len(statistics) != 3 or not all(abs(value) < 1000 for value in statistics)):
                raise UsageError(f"{option} {statistics} are no three numbers", f"as {option} 0.45,0.45,0.45")
        if self.std is not None and not all(value > 0 for value in self.std):
            raise UsageError("--std: pixels are divided by it, so it is more than 0", "as --std 0.225,0.225,0.225")
        for name, number, most in (("--frames", self.frames, MOST_FRAMES), ("--size", self.size, MOST_PIXELS)):
            if number is not None and not 1 <= number <= most:
                raise UsageError(f"{name} {number} is not possible", f"give a whole number from 1 to {most}")
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise UsageError(f"--fps {self.fps:g} is no rate", "give frames a second, as --fps 30")

    @property
    def said(self) -> dict[str, Any]:
        """What was asked, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def applied(self, recipe: Recipe, origin: str = "as asked") -> Recipe:
        """The recipe with it.

        Args:
            origin: who says so.

        Raises:
            UsageError: frames chosen in a way that has no rate.
        """
        sampling, transform = self._sampling(recipe.sampling), self._transform(recipe.transform)
        parts = {
            "sampling": sampling != recipe.sampling,
            "statistics": (self.mean or self.std) is not None,
            "resizing": self.size is not None,
        }
        said = [part for part, is_changed in parts.items() if is_changed]
        origins = {**recipe.origins, **dict.fromkeys(said, origin)}
        changed = replace(recipe, sampling=sampling, transform=transform, origins=origins)
        return changed.without_assuming(*said)

    def _sampling(self, sampling: Sampling) -> Sampling:
        if self.fps is not None and sampling.method not in WITH_RATE:
            raise UsageError(
                f"--fps: these weights choose frames by the way {sampling.method!r}, which has no rate",
                "leave --fps out",
            )
        if self.frames is not None and sampling.method == "image" and self.frames != 1:
            raise UsageError("--frames: these weights are of single images", "leave --frames out")
        return replace(sampling, frames=self.frames or sampling.frames, fps=self.fps or sampling.fps)

    def _transform(self, transform: Transform) -> Transform:
        crop = self.size or transform.crop
        resize = max(crop, round(transform.resize * crop / transform.crop))
        return replace(
            transform, mean=self.mean or transform.mean, std=self.std or transform.std, crop=crop, resize=resize
        )

    def note(self, recipe: Recipe) -> str:
        """What every row says of it; empty where nothing was asked that is otherwise.

        Args:
            recipe: as the weights want it.
        """
        theirs: Mapping[str, Any] = {
            "mean": recipe.transform.mean,
            "std": recipe.transform.std,
            "frames": recipe.sampling.frames,
            "fps": recipe.sampling.fps,
            "size": recipe.transform.crop,
        }
        other = {name: value for name, value in self.said.items() if value != theirs[name]}
        told = [f"{name} {_text(value)}, not {_text(theirs[name])}" for name, value in other.items()]
        return f"shown as was asked, and otherwise than the weights say: {'; '.join(told)}" if told else ""


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return "/".join(dict.fromkeys(f"{number:g}" for number in value))
    return f"{value:g}"
