"""What the page asks of pictures; decoding makes them."""

from collections.abc import Sequence
from typing import Protocol


class Strip(Protocol):
    """Frames of one clip side by side."""

    @property
    def clip(self) -> int: ...
    @property
    def num_frames(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def jpeg(self) -> bytes: ...


class Pictures(Protocol):
    """A few frames of the whole file, and a strip a clip; the same with heat laid over them, where it was found."""

    @property
    def poster(self) -> Strip: ...
    @property
    def strips(self) -> Sequence[Strip]: ...
    @property
    def heat(self) -> "Pictures | None": ...
