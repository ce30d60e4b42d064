"""Random looks at a clip: begun anywhere in its file, cropped anywhere in its frames."""

import math
import re
from typing import TYPE_CHECKING

from mvit_cli.media.request import Look

if TYPE_CHECKING:
    from torch import Generator

LEAST_AREA = 0.35
"""Of the frame; the ImageNet recipe's 0.08 is for a million pictures."""
MOST_ASPECT = 4 / 3
_SIDED = re.compile(r"(?<![a-z])(left|right|clockwise|counter-?clockwise)(?![a-z])", re.IGNORECASE)


def is_sided(label: str) -> bool:
    """Whether a label speaks of left and right, which mirrored clips would exchange."""
    return bool(_SIDED.search(label.replace("_", " ")))


def look_of(generator: "Generator", *, mirror: bool, least_area: float = LEAST_AREA) -> Look:
    """A random look: area and aspect of the crop as in Inception's recipe, arXiv:1409.4842, section 6.

    Args:
        least_area: share of the frame that is seen at least.
    """
    import torch

    start, area, aspect, x, y, side = torch.rand(6, generator=generator, dtype=torch.float64).tolist()
    area = least_area + area * (1 - least_area)
    stretch = math.exp((2 * aspect - 1) * math.log(MOST_ASPECT) / 2)
    width, height = min(1.0, math.sqrt(area) * stretch), min(1.0, math.sqrt(area) / stretch)
    left, top = x * (1 - width), y * (1 - height)
    return Look(start, (left, top, min(1.0, left + width), min(1.0, top + height)), mirror and side < 0.5)
