"""What a long video shows from when to when: neighbouring windows of one class are one event."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from mvit_cli.records import OkRow, Row, WindowSpan
from mvit_cli.report.predict.writers import begins_input, ends_input

if TYPE_CHECKING:
    from mvit_cli.findings import EventRow
    from mvit_cli.report.predict.page.frames import Pictures


@dataclass
class Event:
    """What a video shows from when to when.

    Attributes:
        scores: of the class, one a window.
        seen_s: from when to when its windows looked, those that touch together: several where windows leave gaps.
        frames: pictures of one of its windows, if there are any: of the first that has the class itself.
        heat: the same with heat, where that window has some and of this class.
    """

    label: str
    start_s: float
    end_s: float
    scores: list[float] = field(default_factory=list)
    seen_s: list[tuple[float, float]] = field(default_factory=list)
    frames: "Pictures | None" = None
    heat: "Pictures | None" = None
    _fits: int = -1  # how well the frames show it

    @property
    def score(self) -> float:
        """The mean over its windows."""
        return sum(self.scores) / len(self.scores)

    def add(self, window: WindowSpan, score: float) -> None:
        """Takes in a window."""
        start_s, end_s = window["start_s"], window["end_s"]
        self.end_s = end_s
        self.scores.append(score)
        if self.seen_s and start_s <= self.seen_s[-1][1]:
            self.seen_s[-1] = self.seen_s[-1][0], end_s
        else:
            self.seen_s.append((start_s, end_s))

    def add_frames(self, frames: "Pictures", label: str) -> None:
        """Takes in pictures of a window whose own best class may be another: then their heat is of that one."""
        is_own = label == self.label
        fits = is_own + (is_own and frames.heat is not None)
        if fits > self._fits:
            self.frames, self.heat, self._fits = frames, frames.heat if is_own else None, fits

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


@dataclass(frozen=True)
class Merging:
    """How windows become events.

    Attributes:
        min_score: events with less are left out; None: nobody asked for any to be.
        smooth_s: a class's score is its mean over the windows that begin within half of this before and after; None:
            nobody asked for it to be.
    """

    min_score: float | None = None
    smooth_s: float | None = None

    @property
    def span_s(self) -> float:
        """Seconds over which scores are smoothed; 0: they are as they are."""
        return self.smooth_s or 0.0


AS_THEY_ARE = Merging()
"""No event is left out, and no score changes."""


@dataclass
class Events:
    """Merges the windows of one video into events; of windows that overlap the later one counts where it begins."""

    merging: Merging = AS_THEY_ARE
    _near: deque[OkRow] = field(
        default_factory=deque
    )  # from half of what is smoothed over before the next to be told, on
    _frames: "deque[Pictures | None]" = field(default_factory=deque)  # of these
    _told: int = 0  # of these
    _event: Event | None = None

    @property
    def begun(self) -> Event | None:
        """The event that has begun, so far, if its score is enough so far."""
        return self._event if self._event and self._is_enough(self._event) else None

    def take(self, row: Row, frames: "Pictures | None" = None) -> Iterator[Event]:
        """Takes in the row of the next window; yields what is complete. An error ends the event before it."""
        if row["status"] == "error":
            yield from self.end()
            return
        self._near.append(row)
        self._frames.append(frames)
        while self._told < len(self._near) and self._is_past(row["window"]["start_s"]):
            yield from self._tell()

    def end(self) -> Iterator[Event]:
        """Yields what is left of the video, or of the part before a window that gave no scores."""
        while self._told < len(self._near):
            yield from self._tell()
        self._near.clear()
        self._frames.clear()
        self._told = 0
        yield from self._complete()

    def _complete(self) -> Iterator[Event]:
        """The event that has begun, if its score is enough; the next window begins another."""
        event, self._event = self._event, None
        if event and self._is_enough(event):
            yield event

    def _is_enough(self, event: Event) -> bool:
        return event.score >= (self.merging.min_score or 0.0)

    def _is_past(self, start_s: float) -> bool:
        """Whether all windows that count for the next to be told are there when one begins at `start_s`."""
        smooth_s = self.merging.span_s
        return not smooth_s or start_s > self._near[self._told]["window"]["start_s"] + smooth_s / 2

    def _tell(self) -> Iterator[Event]:
        row = self._near[self._told]
        window, (label, score) = row["window"], self._best(row)
        if self._event and self._event.label != label:
            self._event.end_s = min(self._event.end_s, window["start_s"])
            yield from self._complete()
        self._event = self._event or Event(label, window["start_s"], window["end_s"])
        self._event.add(window, score)
        frames, self._frames[self._told] = self._frames[self._told], None
        if frames:
            self._event.add_frames(frames, row["predictions"][0]["label"])
        self._told += 1
        while self._near and self._near[0]["window"]["start_s"] < window["start_s"] - self.merging.span_s / 2:
            self._near.popleft()
            self._frames.popleft()
            self._told -= 1

    def _best(self, row: OkRow) -> tuple[str, float]:
        """Label and score of the best class, smoothed; a class that a window does not list counts as 0 there."""
        here = row["window"]["start_s"]
        near = [other for other in self._near if abs(other["window"]["start_s"] - here) <= self.merging.span_s / 2]
        sums: dict[str, float] = {}
        for other in near:
            for prediction in other["predictions"]:
                sums[prediction["label"]] = sums.get(prediction["label"], 0.0) + prediction["score"]
        label = max(sums, key=lambda name: sums[name])
        return label, sums[label] / len(near)


class Listener(Protocol):
    """Is told what one input after the other shows."""

    def begin(self, row: Row) -> None:
        """An input begins, with this row, which is heard later."""

    def show(self, event: Event) -> None:
        """An event of that input is complete."""

    def hear(self, row: Row) -> None:
        """A row of that input has come, and what it completes has been told: of windows, or an error."""

    def end(self) -> None:
        """All of that input has been told."""


class Inputs:
    """Follows rows from input to input, and tells the events and the errors of each, as soon as they are complete."""

    def __init__(self, listener: Listener, merging: Merging = AS_THEY_ARE) -> None:
        self._listener, self._events = listener, Events(merging)
        self._previous: Row | None = None
        self._in_one = False

    def take(self, row: Row) -> None:
        """Takes the row of one window in, or of an input without any."""
        if begins_input(row, self._previous):
            self.close()
            self._listener.begin(row)
        self._previous, self._in_one = row, True
        for event in self._events.take(row):
            self._listener.show(event)
        self._listener.hear(row)
        if ends_input(row):
            self.close()

    def close(self) -> None:
        """Tells what is left of the input."""
        for event in self._events.end():
            self._listener.show(event)
        if self._in_one:
            self._listener.end()
        self._in_one = False


class EventWriter(Protocol):
    """Writes events and errors as they come: JSON lines, a JSON document, separated values."""

    def take(self, row: "Row | EventRow") -> None:
        """Writes one."""

    def close(self) -> None:
        """Writes what comes after the last."""


class EventRows:
    """Gives the events of inputs to a writer, and errors as they are."""

    def __init__(self, writer: EventWriter, merging: Merging = AS_THEY_ARE) -> None:
        self._writer, self._inputs = writer, Inputs(self, merging)
        self._path = ""

    def take(self, row: Row, pictures: "Pictures | None" = None) -> None:
        """Takes the row of one window in; writes what is complete."""
        self._inputs.take(row)

    def close(self) -> None:
        """Writes what is left."""
        self._inputs.close()
        self._writer.close()

    def begin(self, row: Row) -> None:
        """Keeps the path, which events have."""
        self._path = row["path"]

    def show(self, event: Event) -> None:
        """Writes an event."""
        self._writer.take(event.row(self._path))

    def hear(self, row: Row) -> None:
        """Writes an error."""
        if row["status"] == "error":
            self._writer.take(row)

    def end(self) -> None:
        """Nothing comes after an input."""
