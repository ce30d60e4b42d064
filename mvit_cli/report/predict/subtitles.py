"""A long video's timeline as subtitles: neighbouring windows of one class are one cue. SubRip and WebVTT.

Source: WebVTT, W3C, section 4 (cue timings, escapes); SubRip as players read it.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Literal

from mvit_cli.errors import UsageError
from mvit_cli.records import OkRow, Row
from mvit_cli.report.formats import percent
from mvit_cli.report.predict.writers import encoded
from mvit_cli.report.tables import printable

if TYPE_CHECKING:
    from mvit_cli.report.predict.page.frames import Pictures

SubtitleFormat = Literal["srt", "vtt"]


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


@dataclass
class Events:
    """Merges the windows of one video into events; of windows that overlap the later one counts where it begins.

    Attributes:
        smooth_s: a class's score is its mean over the windows that begin within half of this before and after.
    """

    smooth_s: float = 0.0
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
        if self._event:
            yield self._event
            self._event = None

    def _is_past(self, start_s: float) -> bool:
        """Whether all windows that count for the next to be told are there when one begins at `start_s`."""
        return not self.smooth_s or start_s > self._near[self._told]["window"]["start_s"] + self.smooth_s / 2

    def _tell(self) -> Iterator[Event]:
        row = self._near[self._told]
        window, (label, score) = row["window"], self._best(row)
        if self._event and self._event.label != label:
            self._event.end_s = min(self._event.end_s, window["start_s"])
            yield self._event
            self._event = None
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


class Subtitles:
    """Writes the events of one video as cues, each as soon as it is complete.

    Args:
        stream: takes bytes.
        min_score: events with less are left out.
        smooth_s: as of `Events`.
    """

    def __init__(
        self, stream: BinaryIO, format: SubtitleFormat, min_score: float | None = None, smooth_s: float = 0.0
    ) -> None:
        self._stream, self._format, self._min_score = stream, format, min_score or 0.0
        self._events = Events(smooth_s)
        self._path: str | None = None
        self._cues = 0
        if format == "vtt":
            self._write("WEBVTT\n\n")

    def take(self, row: Row, pictures: "Pictures | None" = None) -> None:
        """Takes one row in; writes what is complete.

        Raises:
            UsageError: a row of a second video.
        """
        if self._path not in (None, row["path"]):
            raise UsageError(
                f"--format {self._format}: subtitles are of one video, and {row['path']} is a second",
                "name one, or write JSON lines",
            )
        self._path = row["path"]
        for event in self._events.add(row) if row["status"] == "ok" else self._events.end():
            self._show(event)

    def close(self) -> None:
        """Writes what is left."""
        for event in self._events.end():
            self._show(event)

    def _show(self, event: Event) -> None:
        if event.score < self._min_score:
            return
        self._cues += 1
        text = printable(f"{event.label} {percent(event.score)}")
        if self._format == "vtt":
            text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        text = text.replace("-->", "->")  # SubRip has no escapes, and no text may look like the times of another cue
        times = f"{self._clock(event.start_s)} --> {self._clock(event.end_s)}"
        self._write(f"{self._cues}\n{times}\n{text}\n\n")

    def _clock(self, seconds: float) -> str:
        """Hours, minutes, seconds, thousandths; SubRip has a comma before these."""
        thousandths = round(seconds * 1000)
        hours, rest = divmod(thousandths, 3_600_000)
        minutes, rest = divmod(rest, 60_000)
        point = "." if self._format == "vtt" else ","
        return f"{hours:02}:{minutes:02}:{rest // 1000:02}{point}{rest % 1000:03}"

    def _write(self, text: str) -> None:
        self._stream.write(encoded(text))
        self._stream.flush()
