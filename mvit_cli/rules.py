"""What is said of a value beyond its type: ranges, forms and meanings, for the types of `records.py`."""

from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True)
class Rule:
    """What a schema says of a value beyond its type; empty fields say nothing.

    Attributes:
        description: what the value means.
        minimum: the least number.
        exclusive_minimum: what the number is above.
        maximum: the greatest number.
        pattern: regular expression that a text, or each key of a mapping, matches.
        min_length: characters of a text at least.
        min_items: entries of a list at least.
        max_items: entries of a list at most.
        required: keys of a mapping that are always there.
    """

    description: str = ""
    minimum: float | None = None
    exclusive_minimum: float | None = None
    maximum: float | None = None
    pattern: str = ""
    min_length: int | None = None
    min_items: int | None = None
    max_items: int | None = None
    required: tuple[str, ...] = ()


Count = Annotated[int, Rule(minimum=0)]
Size = Annotated[int, Rule(minimum=1)]
Amount = Annotated[float, Rule(minimum=0)]
Share = Annotated[float, Rule(minimum=0, maximum=1)]
Grid = Annotated[list[Size], Rule("Time, height, width.", min_items=3, max_items=3)]
