"""What a picture shows of one video over time: a lane for each class, in as many columns as can be seen."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING, Literal

from mvit_cli.records import Row
from mvit_cli.report.predict.events import AS_THEY_ARE, Event, Events, Merging

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COLUMNS = 480
"""Of a picture: an even number, so that columns can be joined two by two."""

Kind = Literal["score", "covered", "event", "failed"]


class Columns:
    """Sums over time by column, of a fixed number of them whatever the length of a video.

    Args:
        length_s: of all columns; where more is added, neighbours are joined until it has room.
    """

    def __init__(self, length_s: float) -> None:
        self.length_s = max(length_s, 1e-3)
        self._sums: dict[tuple[Kind, str], NDArray[np.float64]] = {}

    def add(self, kind: Kind, label: str, start_s: float, end_s: float, weight: float = 1.0) -> None:
        """Adds `weight` for each second from start to end."""
        import numpy as np

        while end_s > self.length_s * (1 + 1e-9):
            self._join()
        width = self.length_s / COLUMNS
        first, last = int(start_s / width), min(ceil(end_s / width), COLUMNS)
        edges = np.arange(first, last + 1) * width
        seconds = np.minimum(edges[1:], end_s) - np.maximum(edges[:-1], start_s)
        self._sums.setdefault((kind, label), np.zeros(COLUMNS))[first:last] += weight * seconds.clip(0)

    def of(self, kind: Kind, label: str = "") -> "NDArray[np.float64]":
        """The sums, one a column."""
        import numpy as np

        return self._sums.get((kind, label), np.zeros(COLUMNS))

    def _join(self) -> None:
        import numpy as np

        self.length_s *= 2
        for sums in self._sums.values():
            sums[:] = np.concatenate([sums.reshape(-1, 2).sum(axis=1), np.zeros(COLUMNS // 2)])


@dataclass
class Seen:
    """A class as the best one: of all its events.

    Attributes:
        first_s: when the first begins.
        scores: sum over their windows.
    """

    first_s: float
    seconds: float = 0.0
    scores: float = 0.0
    windows: int = 0

    @property
    def score(self) -> float:
        """The mean over its windows."""
        return self.scores / self.windows


@dataclass
class Lanes:
    """Takes the windows of one video in; memory is bounded whatever its length.

    Attributes:
        merging: a class that reaches its least score has a lane, the best one or not.
        seen: classes with an event.
        highest: the best score of every class that was listed.
        failures: windows that gave no scores.
    """

    path: str
    merging: Merging = AS_THEY_ARE
    duration_s: float = 0.0
    seen: dict[str, Seen] = field(default_factory=dict)
    highest: dict[str, float] = field(default_factory=dict)
    windows: int = 0
    failures: int = 0

    def __post_init__(self) -> None:
        self._events = Events(self.merging)
        self.columns: Columns | None = None

    def add(self, row: Row) -> None:
        """Takes in the row of a window, or that of a rest without one."""
        self.windows += 1
        self.failures += row["status"] == "error"
        window = row.get("window")
        if not window:
            return
        start_s, end_s = window["start_s"], window["end_s"]
        self.duration_s = max(self.duration_s, row.get("duration_s", 0.0), end_s)
        self.columns = self.columns or Columns(self.duration_s)
        if row["status"] == "ok":
            self.columns.add("covered", "", start_s, end_s)
            for entry in row["predictions"]:
                label, score = entry["label"], entry["score"]
                self.highest[label] = max(self.highest.get(label, 0.0), score)
                self.columns.add("score", label, start_s, end_s, score)
        else:
            self.columns.add("failed", "", start_s, end_s)
        self._show(self._events.take(row))

    def close(self) -> None:
        """Takes in what is left of the video."""
        self._show(self._events.end())

    def _show(self, events: Iterable[Event]) -> None:
        assert self.columns is not None
        for event in events:
            seen = self.seen.setdefault(event.label, Seen(event.start_s))
            seen.seconds += event.end_s - event.start_s
            seen.scores += sum(event.scores)
            seen.windows += len(event.scores)
            self.columns.add("event", event.label, event.start_s, event.end_s)

    def chosen(self, most: int) -> list[str]:
        """At most so many classes: those that are seen longest, in the order in which they appear; then the others."""
        longest = sorted(self.seen, key=lambda label: (-self.seen[label].seconds, self.seen[label].first_s))[:most]
        best = sorted(longest, key=lambda label: self.seen[label].first_s)
        least = self.merging.min_score
        beside = [] if least is None else [
            label for label, score in self.highest.items() if score >= least and label not in self.seen
        ]  # fmt: skip
        return (best + sorted(beside, key=lambda label: -self.highest[label]))[:most]

    def scores(self, label: str) -> "NDArray[np.float64]":
        """The mean score of a class by column, over the windows that cover it; NaN where none does."""
        import numpy as np

        assert self.columns is not None
        covered = self.columns.of("covered")
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(covered > 0, self.columns.of("score", label) / covered, np.nan)

    def best(self) -> "list[str | None]":
        """The class of the event that takes most of each column; None where there is none."""
        import numpy as np

        assert self.columns is not None
        if not self.seen:
            return [None] * COLUMNS
        labels: list[str] = list(self.seen)
        seconds = np.stack([self.columns.of("event", label) for label in labels])
        return [
            labels[number] if most > 0 else None for number, most in zip(seconds.argmax(0), seconds.max(0), strict=True)
        ]
