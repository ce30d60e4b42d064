"""What the page says of the colours that lie over frames: which they are, what they stand for, how they were found."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

MEANINGS = {
    "gradient": "what each cell of pixels adds to the logit of {label}",
    "split": "what each place of the last grid adds to the logit of {label}",
    "rollout": "what share of the class token comes from each patch, whatever the class",
}


@dataclass(frozen=True)
class HeatKey:
    """The key of the colours.

    Attributes:
        method: gradient, split or rollout.
        colours: from nothing to the most, as `#rrggbb`.
        crops: of a clip, of which the middle one is shown.
    """

    STEPS: ClassVar = 24

    method: str
    colours: Sequence[str]
    crops: int = 1

    def told(self, label: str) -> str:
        """What heat is, of a class."""
        return MEANINGS[self.method].format(label=label)

    def seen(self, label: str) -> str:
        """What heat shows, in short: for those who listen."""
        return "where the network looked" if self.method == "rollout" else f"where {label} was seen"
