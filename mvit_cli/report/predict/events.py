"""What a long video shows from when to when: neighbouring windows of one class are one event."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from mvit_cli.records import OkRow, Row
from mvit_cli.report.predict.writers import begins_input, ends_input

if TYPE_CHECKING:
    from mvit_cli.findings import EventRow
    from mvit_cli.report.predict.page.frames import Pictures


@dataclass
class Event:
    """What a video shows from when to when.

    Attributes:
        scores: of the class, one a window.
    """

    label: str
    start_s: float
    end_s: float
    scores: list[float] = field(default_factory=list)

    @property
    def score(self) -> float:
        """The mean over its windows."""
        return sum(self.scores) / len(self.scores)

    def row(self, path: str) -> "EventRow":
        """As it is written, of the video that is called `path`."""
        return {
            "path": path,
            "status": "ok",
            "start_s": self.start_s,
            "end_s": self.end_s,
            "label": self.label,
            "score": float(f"{self.score:.7g}"),  # as many digits as that of a window
            "windows": len(self.scores),
        }


@dataclass
class Events:
    """Merges the windows of one video into events; of windows that overlap the later one counts where it begins.

    Attributes:
        smooth_s: a class's score is its mean over the windows that begin within half of this before and after.
        min_score: events with less are left out.
    """

    smooth_s: float = 0.0
    min_score: float | None = None
    _near: deque[OkRow] = field(default_factory=deque)  # from half of `smooth_s` before the next to be told, on
    _told: int = 0  # of these
    _event: Event | None = None

    def add(self, row: OkRow) -> Iterator[Event]:
        """Takes in the next window; yields what is complete."""
        self._near.append(row)
        while self._told < len(self._near) and self._is_past(row["window"]["start_s"]):
            yield from self._tell()

    def end(self) -> Iterator[Event]:
        """Yields what is left of the video, or of the part before a window that gave no scores."""
        while self._told < len(self._near):
            yield from self._tell()
        self._near.clear()
        self._told = 0
        yield from self._complete()

    def _complete(self) -> Iterator[Event]:
        """The event that has begun, if its score is enough; the next window begins another."""
        event, self._event = self._event, None
        if event and event.score >= (self.min_score or 0.0):
            yield event

    def _is_past(self, start_s: float) -> bool:
        """Whether all windows that count for the next to be told are there when one begins at `start_s`."""
        return not self.smooth_s or start_s > self._near[self._told]["window"]["start_s"] + self.smooth_s / 2

    def _tell(self) -> Iterator[Event]:
        row = self._near[self._told]
        window, (label, score) = row["window"], self._best(row)
        if self._event and self._event.label != label:
            self._event.end_s = min(self._event.end_s, window["start_s"])
            yield from self._complete()
        self._event = self._event or Event(label, window["start_s"], window["end_s"])
        self._event.end_s = window["end_s"]
        self._event.scores.append(score)
        self._told += 1
        while self._near and self._near[0]["window"]["start_s"] < window["start_s"] - self.smooth_s / 2:
            self._near.popleft()
            self._told -= 1

    def _best(self, row: OkRow) -> tuple[str, float]:
        """Label and score of the best class, smoothed; a class that a window does not list counts as 0 there."""
        here = row["window"]["start_s"]
        near = [other for other in self._near if abs(other["window"]["start_s"] - here) <= self.smooth_s / 2]
        sums: dict[str, float] = {}
        for other in near:
            for prediction in other["predictions"]:
                sums[prediction["label"]] = sums.get(prediction["label"], 0.0) + prediction["score"]
        label = max(sums, key=lambda name: sums[name])
        return label, sums[label] / len(near)


class EventWriter(Protocol):
    """Writes events and errors as they come: JSON lines, a JSON document, separated values."""

    def take(self, row: "Row | EventRow") -> None:
        """Writes one."""

    def close(self) -> None:
        """Writes what comes after the last."""


class EventRows:
    """Merges the windows of each input into events, each given to a writer as soon as it is complete.

    Errors are given on as they are; one ends the event before it.

    Args:
        min_score, smooth_s: as of `Events`.
    """

    def __init__(self, writer: EventWriter, min_score: float | None = None, smooth_s: float = 0.0) -> None:
        self._writer, self._events = writer, Events(smooth_s, min_score)
        self._previous: Row | None = None

    def take(self, row: Row, pictures: "Pictures | None" = None) -> None:
        """Takes the row of one window in; writes what is complete."""
        if self._previous and begins_input(row, self._previous):
            self._give(self._events.end(), self._previous["path"])
        self._previous = row
        if row["status"] == "ok":
            self._give(self._events.add(row), row["path"])
        else:
            self._give(self._events.end(), row["path"])
            self._writer.take(row)
        if ends_input(row):
            self._give(self._events.end(), row["path"])

    def close(self) -> None:
        """Writes what is left."""
        if self._previous:
            self._give(self._events.end(), self._previous["path"])
        self._writer.close()

    def _give(self, events: Iterable[Event], path: str) -> None:
        for event in events:
            self._writer.take(event.row(path))
