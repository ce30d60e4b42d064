"""Pictures changed at random, all frames of a clip alike, so that fewer clips teach more."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from mvit_cli.errors import UsageError

if TYPE_CHECKING:
    from PIL import Image
    from torch import Generator, Tensor

    Operation = Callable[[Image.Image, float], Image.Image]
    """A picture and how much, 0 to 1, of either sign -> the picture changed."""

MOST = 30
"""Magnitudes are counted from 0 to this, as in the paper."""
GREY = (128, 128, 128)
"""What comes in where a picture is moved away."""


@cache
def operations() -> "dict[str, Operation]":
    """What may be done, with AutoAugment's ranges. Source: arXiv:1805.09501, Table 6; arXiv:1909.13719, Figure 2."""
    from PIL import Image, ImageEnhance, ImageOps

    def moved(image: Image.Image, *matrix: float) -> Image.Image:
        return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=GREY)

    return {
        "identity": lambda image, much: image,
        "shear x": lambda image, much: moved(image, 1, 0.3 * much, 0, 0, 1, 0),
        "shear y": lambda image, much: moved(image, 1, 0, 0, 0.3 * much, 1, 0),
        "shift x": lambda image, much: moved(image, 1, 0, 0.45 * much * image.width, 0, 1, 0),
        "shift y": lambda image, much: moved(image, 1, 0, 0, 0, 1, 0.45 * much * image.height),
        "turn": lambda image, much: image.rotate(30 * much, Image.Resampling.BILINEAR, fillcolor=GREY),
        "brightness": lambda image, much: ImageEnhance.Brightness(image).enhance(1 + 0.9 * much),
        "colour": lambda image, much: ImageEnhance.Color(image).enhance(1 + 0.9 * much),
        "contrast": lambda image, much: ImageEnhance.Contrast(image).enhance(1 + 0.9 * much),
        "sharpness": lambda image, much: ImageEnhance.Sharpness(image).enhance(1 + 0.9 * much),
        "posterize": lambda image, much: ImageOps.posterize(image, 8 - round(4 * abs(much))),
        "solarize": lambda image, much: ImageOps.solarize(image, round(256 * (1 - abs(much)))),
        "auto contrast": lambda image, much: ImageOps.autocontrast(image),
        "equalize": lambda image, much: ImageOps.equalize(image),
    }


@dataclass(frozen=True)
class RandAugment:
    """So many operations, drawn for each look at a clip, each of one magnitude. Source: arXiv:1909.13719."""

    operations: int
    magnitude: int

    @classmethod
    def of(cls, text: str) -> "RandAugment":
        """From what is typed, as `2,9`.

        Raises:
            UsageError: it is something else.
        """
        found = re.fullmatch(r"([1-9][0-9]?),([0-9]{1,2})", text.replace(" ", ""))
        if not found or int(found[2]) > MOST:
            raise UsageError(
                f"--rand-augment {text!r} is not operations,magnitude", f"2,9 is usual; magnitudes go from 0 to {MOST}"
            )
        return cls(int(found[1]), int(found[2]))

    def __call__(self, frames: "Tensor", generator: "Generator") -> "Tensor":
        """`(T, H, W, 3)` of uint8 -> the same, changed."""
        import numpy as np
        import torch
        from PIL import Image

        names = list(operations())
        drawn = torch.randint(len(names), (self.operations,), generator=generator).tolist()
        signs = (2 * torch.randint(2, (self.operations,), generator=generator) - 1).tolist()
        images = [Image.fromarray(frame) for frame in frames.numpy()]
        for place, sign in zip(drawn, signs, strict=True):
            images = [operations()[names[place]](image, sign * self.magnitude / MOST) for image in images]
        return torch.from_numpy(np.stack([np.asarray(image) for image in images]))
