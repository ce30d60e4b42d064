"""The windows of one video: which class it is from when to when, and how sure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from mvit_cli.records import OkRow, Row
from mvit_cli.report.formats import clock, percent
from mvit_cli.report.palette import FILLS
from mvit_cli.report.predict.events import Event, Events
from mvit_cli.report.predict.page.frames import Pictures, Strip

MOST_SPANS = 400
"""Of a video whose class changes more often, spans too short to be seen are joined with the one before."""
MOST_PICTURES = 40
LETTERS = "ABCDEFGH"


class Key:
    """Colours and letters of classes: the same on the whole page, given out as classes appear."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, label: str) -> int:
        """From 1; 0 where all colours are taken."""
        if label not in self._numbers and len(self._numbers) < len(FILLS):
            self._numbers[label] = len(self._numbers) + 1
        return self._numbers.get(label, 0)

    def letter(self, label: str) -> str:
        """Of a class; of those without a colour nothing."""
        number = self.number(label)
        return LETTERS[number - 1] if number else ""


@dataclass
class Span:
    """An event, or neighbouring windows that failed in the same way.

    Attributes:
        label: the class, or what was wrong.
        scores: sum of the scores of the best class.
        picture: frames of one of its windows.
        heat: the same frames with heat laid over them.
    """

    label: str
    start_s: float
    end_s: float
    failed: bool = False
    scores: float = 0.0
    windows: int = 0
    picture: Strip | None = None
    heat: Strip | None = None

    @property
    def score(self) -> float:
        """The mean."""
        return self.scores / max(self.windows, 1)

    @property
    def length_s(self) -> float:
        """Its seconds."""
        return self.end_s - self.start_s


@dataclass
class Timeline:
    """Windows of one input as they come; memory is bounded whatever the length of the video.

    A span ends where the next begins: of windows that overlap the later one counts. What scores less than the least
    score has no span.

    Attributes:
        place: number of the input, from 1.
        key: colours of classes.
        notes: warnings that all rows share, said elsewhere.
        events: merges the windows.
    """

    place: int
    path: str
    key: Key
    notes: Sequence[str]
    events: Events = field(default_factory=Events)
    duration_s: float = 0.0
    _spans: list[Span] = field(default_factory=list)  # that are complete
    windows: int = 0
    failures: int = 0
    shortest_s: float = 0.0
    poster: Strip | None = None
    warnings: Counter[str] = field(default_factory=Counter)
    facts: list[tuple[str, str]] = field(default_factory=list)
    timing: Counter[str] = field(default_factory=Counter)

    def add(self, row: Row, pictures: Pictures | None) -> None:
        """Takes in the row of a window."""
        window = row["window"]
        assert window is not None
        self.windows += 1
        self.duration_s = max(self.duration_s, row.get("duration_s", 0.0), window["end_s"])
        self._put(self.events.take(row, pictures))
        if row["status"] == "error":
            self.failures += 1
            self._append(Span(row["error"]["message"], window["start_s"], window["end_s"], failed=True, windows=1))
            return
        self.warnings.update(text for text in row["warnings"] if text not in self.notes)
        self.timing.update(row["timing_ms"])
        self._facts(row)
        if pictures:
            self.poster = self.poster or pictures.poster

    def end(self) -> None:
        """Takes in what is left of the input."""
        self._put(self.events.end())

    @property
    def spans(self) -> list[Span]:
        """All so far, that which has begun among them."""
        begun = self.events.begun
        return [*self._spans, self._span_of(begun)] if begun else self._spans

    def _put(self, events: Iterable[Event]) -> None:
        for event in events:
            self._append(self._span_of(event))

    def _span_of(self, event: Event) -> Span:
        windows = len(event.scores)
        span = Span(event.label, event.start_s, event.end_s, scores=sum(event.scores), windows=windows)
        if event.frames and sum(each.picture is not None for each in self._spans) < MOST_PICTURES:
            span.picture, span.heat = event.frames.poster, event.heat.poster if event.heat else None
        return span

    def _append(self, span: Span) -> None:
        """Adds a span; one that goes on where another of its kind ends is part of that."""
        last = self._spans[-1] if self._spans else None
        if last:
            last.end_s = min(last.end_s, span.start_s)
        if last and (last.label, last.failed, last.end_s) == (span.label, span.failed, span.start_s):
            last.end_s = span.end_s
            last.scores += span.scores
            last.windows += span.windows
            return
        if len(self._spans) >= MOST_SPANS - 1:  # beside that which has begun
            self._join_short()
        self._spans.append(span)

    def _join_short(self) -> None:
        """Halves the number of spans, the shortest first."""
        lengths = sorted(span.length_s for span in self._spans)
        self.shortest_s = lengths[len(lengths) // 2]
        kept: list[Span] = []
        for span in self._spans:
            if kept and (span.length_s <= self.shortest_s or span.label == kept[-1].label):
                kept[-1].end_s = span.end_s
            else:
                kept.append(span)
        self._spans = kept

    def _facts(self, row: OkRow) -> None:
        self.facts = [
            ("path", row["path"]),
            ("windows", f"{self.windows:,}"),
            ("length", clock(row["duration_s"])),
            ("read by", row["reader"]),
            ("time", f"{self.timing['decode']:,.0f} ms to decode, {self.timing['model']:,.0f} ms in the network"),
        ]

    def longest(self) -> tuple[str | None, float | None]:
        """The class that is seen longest, and the mean of its scores; None where all windows failed."""
        seconds: dict[str, float] = {}
        for span in self.spans:
            if not span.failed:
                seconds[span.label] = seconds.get(span.label, 0.0) + span.length_s
        if not seconds:
            return None, None
        label = max(seconds, key=seconds.__getitem__)
        of_label = [span for span in self.spans if span.label == label and not span.failed]
        return label, sum(span.scores for span in of_label) / sum(span.windows for span in of_label)

    # What the template draws with.

    def share(self, seconds: float) -> str:
        """Seconds as a share of the video, for the template."""
        return f"{100 * seconds / (self.duration_s or 1.0):.3f}%"

    def has_room(self, span: Span) -> bool:
        """Whether a letter can be read within a span."""
        return span.length_s > 0.015 * self.duration_s

    def fill(self, span: Span) -> str:
        """The class of style that has its colour."""
        return "failed" if span.failed else f"fill{self.key.number(span.label)}"

    def ink(self, span: Span) -> str:
        """The class of style that is read on that colour."""
        return "on-failed" if span.failed else f"on{self.key.number(span.label)}"

    def letter(self, span: Span) -> str:
        """Its letter."""
        return "!" if span.failed else self.key.letter(span.label)

    def told_of(self, span: Span) -> str:
        """A span in words."""
        score = "" if span.failed else f", {percent(span.score)}"
        return f"{clock(span.start_s)} to {clock(span.end_s)}: {span.label}{score}"

    @property
    def middle(self) -> str:
        """The moment in the middle."""
        return clock(self.duration_s / 2)

    @property
    def told(self) -> str:
        """The whole in words."""
        return f"{self.windows} windows in {len(self.spans)} spans, listed in the table"

    @property
    def left_out(self) -> str:
        """What is not drawn, and what is drawn otherwise than the rows have it."""
        told = []
        if self.events.merging.span_s:
            told.append(f"Scores are means over {self.events.merging.span_s:g} s around.")
        if self.events.merging.min_score:
            told.append(f"Spans that score less than {percent(self.events.merging.min_score)} are left out.")
        if self.shortest_s:
            told.append(f"Spans of at most {self.shortest_s:.1f} s are joined with those before them.")
        return " ".join([*told, "The rows have all windows."]) if told else ""
