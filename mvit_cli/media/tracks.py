"""One object of a video, where somebody's detector saw it: which frames show it, and what is cut out of them.

Boxes are in pixels of the picture as it is shown, upright; between two boxes of a track the object moves straight and
evenly, in time. What is cut out is a square: a network that resizes and crops it keeps its proportions, and loses
neither head nor feet of somebody who stands.
"""

import math
import struct
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from mvit_cli.errors import MediaError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from mvit_cli.media.request import Clip

Unit = Literal["frame", "second"]
Motion = Literal["still", "follow"]

MARGIN = 0.25
"""What is shown of the surroundings on each side, as a share of the object's longer side, unless the user says
otherwise: what an action is often shows beside the body, and a network that crops the centre takes some of it away."""

GAP_S = 2.0
"""Between two boxes farther apart than this nobody saw the object: that its way was straight is a guess."""

ENLARGED = 4.0
"""How many times a picture may be enlarged before a row says so."""


@dataclass(frozen=True)
class Track:
    """One object: its boxes in one video, and how they are shown.

    Attributes:
        name: what the detector calls it.
        unit: what the boxes are at: numbers of frames as they are shown, from 0, or seconds from the first frame.
        boxes: `(at, x, y, w, h)` each, ascending by `at`; pixels of the upright picture, from its upper left corner.
        margin: beside the object on each side, as a share of its longer side.
        motion: still: each clip shows one place, all that the object covers in it, as a camera that stands; follow: the
            place goes with the object.
    """

    name: str
    unit: Unit
    boxes: tuple[tuple[float, ...], ...]
    margin: float = MARGIN
    motion: Motion = "still"

    @classmethod
    def of(cls, said: "Mapping[str, Any]") -> "Track":
        """The track that `dataclasses.asdict` gave, on its way through JSON."""
        return cls(**{**said, "boxes": tuple(map(tuple, said["boxes"]))})

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that another track, or one that is shown otherwise, has not."""
        digest = blake2b(f"{self.unit} {self.margin!r} {self.motion}".encode(), digest_size=8)
        for box in self.boxes:
            digest.update(struct.pack("<5d", *box))
        return digest.hexdigest()


class Region(NamedTuple):
    """What is cut out of a picture, in whole pixels; the ends are the first ones that are not."""

    top: int
    left: int
    bottom: int
    right: int


@dataclass
class Followed:
    """A track in a video whose frames are known.

    Attributes:
        track: whose boxes they are.
        times_s: `(frames,)`: when each frame of the video appears, in seconds.
        duration_s: of the video.
        from_s, to_s: seconds of the video that the track is in, from its first frame to the end of its last.

    Raises:
        MediaError: empty, where the video ends before the track begins.
    """

    track: Track
    times_s: "NDArray[np.float64]"
    duration_s: float
    from_s: float = field(init=False)
    to_s: float = field(init=False)
    _seconds: "NDArray[np.float64]" = field(init=False)
    _sides: "NDArray[np.float64]" = field(init=False)  # (boxes, 4): left, top, right, bottom
    _regions: dict[tuple[int, int, int], list[Region]] = field(default_factory=dict)
    _beyond: bool = False

    def __post_init__(self) -> None:
        import numpy as np

        boxes = np.array(self.track.boxes, dtype=np.float64)
        self._sides = np.concatenate([boxes[:, 1:3], boxes[:, 1:3] + boxes[:, 3:5]], axis=1)
        count, at = len(self.times_s), boxes[:, 0]
        if self.track.unit == "frame":
            inside = at < count
            self._seconds = self.times_s[np.minimum(at, count - 1).astype(np.int64)]
        else:
            inside = (at < self.duration_s) | (at == 0)  # which a still image has too
            self._seconds = at
        if not inside[0]:
            raise MediaError("empty", f"its boxes begin at {self._told(at[0])}, {self._has(count)}", _HINT_OF_PLACES)
        self._beyond = not bool(inside[-1])
        self._seconds, self._sides = self._seconds[inside], self._sides[inside]
        first, last = np.searchsorted(self.times_s, self._seconds[[0, -1]], side="right") - 1
        self.from_s = float(self.times_s[first])
        self.to_s = float(self.times_s[last + 1]) if last + 1 < count else self.duration_s

    def _told(self, at: float) -> str:
        return f"frame {at:,.0f}" if self.track.unit == "frame" else f"{at:.2f} s"

    def _has(self, count: int) -> str:
        if self.track.unit == "frame":
            return f"the file has {count:,} frame{'s' * (count != 1)}, from 0"
        return f"the file ends at {self.duration_s:.2f} s"

    def notes(self) -> list[str]:
        """Sentences on what may not be as it was meant."""
        import numpy as np

        notes = []
        if self._beyond:
            last = self._told(self.track.boxes[-1][0])
            notes.append(f"its boxes go on to {last}, {self._has(len(self.times_s))}: they may be of another file")
        moved = np.any(np.diff(self._sides, axis=0) != 0, axis=1)  # a place that stays is no guess
        longest = float(np.diff(self._seconds)[moved].max(initial=0))
        if longest > GAP_S:
            notes.append(f"no box for {longest:.1f} s: there it is taken to have moved straight")
        return notes

    def sides_at(self, seconds: "NDArray[np.float64]") -> "NDArray[np.float64]":
        """`(n,)` seconds -> `(n, 4)`: left, top, right and bottom, before the first box and after the last as there."""
        import numpy as np

        return np.stack([np.interp(seconds, self._seconds, side) for side in self._sides.T], axis=1)

    def region(self, clips: "Sequence[Clip]", number: int, place: int, height: int, width: int) -> Region:
        """What one frame of a clip shows.

        Args:
            number: of the clip.
            place: of the frame in it.
            height, width: of the frame, upright.

        Raises:
            MediaError: unsupported, where the clip has nothing of the object.
        """
        key = number, height, width
        if key not in self._regions:
            clip = clips[number]
            sides = self.sides_at(self.times_s[list(clip.indices)])
            try:
                self._regions[key] = regions_of(sides, height, width, self.track.margin, self.track.motion)
            except ValueError:
                x, y, right, bottom = sides[0].tolist()
                where = (
                    f"its box at {clip.start_s:.2f} s ({x:.0f},{y:.0f} to {right:.0f},{bottom:.0f}) and those after it"
                )
                raise MediaError(
                    "unsupported", f"{where} lie outside the picture of {width}x{height} pixels", _HINT_OF_PIXELS
                ) from None
        return self._regions[key][place]

    def enlarged(self, crop: int) -> list[str]:
        """A sentence where what was cut out is much smaller than the `crop` pixels that are made of it."""
        smallest = min(
            (min(one.bottom - one.top, one.right - one.left) for found in self._regions.values() for one in found),
            default=crop,
        )
        if crop <= ENLARGED * smallest:
            return []
        return [f"its picture of {smallest} pixels was enlarged {crop / smallest:.1f} times: little can be seen in it"]


_HINT_OF_PLACES = "frame counts from 0 in the order of display, second from the first frame on"
_HINT_OF_PIXELS = "x, y, w and h are pixels of the upright picture, from its upper left corner"


def regions_of(sides: "NDArray[np.float64]", height: int, width: int, margin: float, motion: Motion) -> "list[Region]":
    """What is cut out of the frames of a clip: squares of one size, moved into the picture where they reach out of it.

    The object is what of its box is in the picture. Its longer side, in the clip, is widened by the margin and rounded
    up; where that is more than a side of the picture, all of this side is shown.

    Args:
        sides: `(T, 4)`: left, top, right, bottom.
        margin: on each side, as a share of the longer side.

    Raises:
        ValueError: no box has a part in the picture.
    """
    import numpy as np

    inside = np.clip(sides, 0, (width, height, width, height))
    seen = (inside[:, 2] > inside[:, 0]) & (inside[:, 3] > inside[:, 1])
    if not seen.any():
        raise ValueError("outside the picture")
    if motion == "still":
        union = np.concatenate([inside[seen, :2].min(axis=0), inside[seen, 2:].max(axis=0)])
        inside = np.repeat(union[None], len(sides), axis=0)
        seen = np.ones(len(sides), dtype=bool)
    extents = inside[:, 2:] - inside[:, :2]
    # Less a thousandth of a pixel: 1.5 x 40 is 60, however it was rounded on the way.
    side = max(1, math.ceil(float(extents[seen].max()) * (1 + 2 * margin) - 1e-3))
    regions = []
    for centre_x, centre_y in (inside[:, :2] + inside[:, 2:]) / 2:
        (left, right), (top, bottom) = _within(centre_x, side, width), _within(centre_y, side, height)
        regions.append(Region(top, left, bottom, right))
    return regions


def _within(centre: float, side: int, extent: int) -> tuple[int, int]:
    """First pixel, and the first one that is not, of a side about a centre that is moved into the picture."""
    first = max(0, min(math.floor(centre - side / 2 + 0.5), extent - side))
    return first, min(first + side, extent)
