"""What stands on a video when: rows of one input, as labels over time."""

import json
import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from mvit_cli.annotated.lettering import Lettering
from mvit_cli.records import Row
from mvit_cli.report.formats import percent
from mvit_cli.report.predict.events import Event, Events
from mvit_cli.report.predict.page.timeline import LETTERS, Key

# Windows tell their times to the microsecond, frames are shown at fractions of it.
SLACK_S = 1e-6
FAILED = "not recognised"


@dataclass(frozen=True)
class Shown:
    """A part of a video with one label on it: all that an event's windows saw without a gap.

    Attributes:
        start_s: seconds from the first frame.
        end_s: seconds from the first frame, or where the next part begins, if that is before.
        label: what is written: the best class.
        score: how sure the network is, in words; empty where it failed.
        fill: number of the class's colour, from 1; 0: it has none.
        font: file of the font that has all letters of the label; empty: Pillow's own.
    """

    start_s: float
    end_s: float
    label: str
    score: str = ""
    fill: int = 0
    font: str = ""

    @property
    def failed(self) -> bool:
        """Whether there is no class for this part."""
        return not self.score

    @property
    def letter(self) -> str:
        """Of its class on the bar; empty where that has no colour."""
        return LETTERS[self.fill - 1] if self.fill else ""


@dataclass(frozen=True)
class Story:
    """All parts of one video, in the order of time.

    Attributes:
        duration_s: of the video.
    """

    shown: tuple[Shown, ...]
    duration_s: float

    def at(self, time_s: float) -> Shown | None:
        """What is written at a time; of windows that overlap the later one; None: no window looked there."""
        number = bisect_right(self.shown, time_s + SLACK_S, key=lambda part: part.start_s) - 1
        return self.shown[number] if number >= 0 and time_s < self.shown[number].end_s else None

    def classes(self) -> list[Shown]:
        """A part of each class that has a colour, those on screen longest first."""
        seconds: dict[int, float] = {}
        first: dict[int, Shown] = {}
        for part, until_s in zip(self.shown, self._ends(), strict=True):
            if part.fill:
                seconds[part.fill] = seconds.get(part.fill, 0.0) + until_s - part.start_s
                first.setdefault(part.fill, part)
        return [first[fill] for fill in sorted(first, key=lambda fill: -seconds[fill])]

    def stretches(self) -> list[tuple[float, float, Shown]]:
        """From when to when the bar has one colour: neighbouring parts of one class together."""
        joined: list[tuple[float, float, Shown]] = []
        for part, until_s in zip(self.shown, self._ends(), strict=True):
            if joined and joined[-1][1] == part.start_s and _same(joined[-1][2], part):
                joined[-1] = (joined[-1][0], until_s, joined[-1][2])
            else:
                joined.append((part.start_s, until_s, part))
        return joined

    def _ends(self) -> list[float]:
        starts = [part.start_s for part in self.shown[1:]] + [math.inf]
        return [min(part.end_s, start_s) for part, start_s in zip(self.shown, starts, strict=True)]

    def packed(self) -> bytes:
        """As JSON, for the process that writes the video."""
        return json.dumps(asdict(self)).encode()


def story_of(text: bytes) -> Story:
    """What `Story.packed` gave."""
    said = json.loads(text)
    return Story(tuple(Shown(**part) for part in said["shown"]), said["duration_s"])


def _same(one: Shown, other: Shown) -> bool:
    return (one.label, one.fill, one.failed) == (other.label, other.fill, other.failed)


class Telling:
    """The rows of one input as they come, made a story.

    Args:
        key: gives each class its colour, the same in all videos of a run.
        lettering: finds fonts.
        events: merges the windows: what is written is what `--events` gives.

    Attributes:
        rows: that were taken.
        has_class: whether one of them has a class.
        is_still: whether they are of a still image.
    """

    def __init__(self, key: Key, lettering: Lettering, events: Events) -> None:
        self._key, self._lettering, self._events = key, lettering, events
        self._shown: list[Shown] = []
        self._indices: dict[str, int] = {}  # of the classes that were listed
        self._duration_s = 0.0
        self.rows = 0
        self.has_class = self.is_still = False

    def add(self, row: Row) -> None:
        """Takes the row of the input, or of its next window."""
        self.rows += 1
        self._duration_s = max(self._duration_s, row.get("duration_s", 0.0))
        window = row.get("window")
        if row["status"] == "ok":
            self.has_class, self.is_still = True, not row["duration_s"]
            self._indices.update((entry["label"], entry["index"]) for entry in row["predictions"])
            if not window:
                best = row["predictions"][0]
                self._show(best["label"], best["score"], (0.0, math.inf))
        if window:
            self._show_all(self._events.take(row))
        if window and row["status"] == "error":
            self._shown.append(Shown(window["start_s"], window["end_s"], FAILED))

    def _show_all(self, events: Iterable[Event]) -> None:
        for event in events:
            for start_s, end_s in event.seen_s:  # which the next event ends, shown or not
                self._show(event.label, event.score, (start_s, min(end_s, event.end_s)))

    def _show(self, label: str, score: float, seen_s: tuple[float, float]) -> None:
        written, font = self._lettering.written(label, self._indices[label])
        self._shown.append(Shown(*seen_s, written, percent(score), self._key.number(label), font))

    def story(self) -> Story:
        """What stands on the video, once all rows are there."""
        self._show_all(self._events.end())
        return Story(tuple(self._shown), self._duration_s)
