"""One input in the table: a line, and what opens below it: frames, classes, timings, or its windows over time."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from mvit_cli.records import OkRow, Row
from mvit_cli.report.page.templates import rendered
from mvit_cli.report.predict.page.frames import Pictures, Strip
from mvit_cli.report.predict.page.heat_key import HeatKey
from mvit_cli.report.predict.page.timeline import Timeline

if TYPE_CHECKING:
    from markupsafe import Markup

State = Literal["ok", "warned", "error"]

MOST_WARNINGS = 5
FOUND_FROM = 0.5
"""Scores by sigmoid are each for itself: from this score on a class counts as found."""


@dataclass(frozen=True)
class Film:
    """A strip, and what it shows in words; the same frames with heat, where there are any."""

    strip: Strip
    told: str
    heat: Strip | None = None


@dataclass(frozen=True)
class Entry:
    """What the template has of one input.

    Attributes:
        place: number of the input, from 1.
        notice: what the last column says: a warning, what was wrong, or nothing.
        label, score: the best class; of windows the one seen longest, with the mean of its scores.
        classes: name and score, best first.
        found: the classes it counts for, where these are not the best class alone.
        hint: what to do about an error.
        thumbnail: a few frames, and what they are in words.
        films: frames of clips.
        left_out: what is said of clips that are not shown.
        facts: names and what they stand for.
        timeline: of windows.
        track: the object of the input that it is about; None: the input itself.
    """

    place: int
    path: str
    state: State
    notice: str = ""
    label: str | None = None
    score: float | None = None
    classes: Sequence[tuple[str, float]] = ()
    found: Sequence[str] = ()
    duration_s: float = 0.0
    warnings: Sequence[str] = ()
    hint: str = ""
    thumbnail: Film | None = None
    films: Sequence[Film] = ()
    left_out: str = ""
    facts: Sequence[tuple[str, str]] = field(default_factory=list)
    timeline: Timeline | None = None
    track: str | None = None

    @property
    def has_heat(self) -> bool:
        """Whether heat lies over some of its frames."""
        spans = self.timeline.spans if self.timeline else ()
        return any(film.heat for film in self.films) or any(span.heat for span in spans)

    @property
    def folder(self) -> str:
        """Of the path, with its slash; may be empty."""
        return self.path[: len(self.path) - len(self.name)]

    @property
    def name(self) -> str:
        """Of the file."""
        return self.path.rpartition("/")[2] or self.path


def entry_html(entry: Entry, opened: bool, heat: HeatKey | None = None) -> "Markup":
    """The lines of the table about an input.

    Args:
        opened: whether more than the line is seen at once.
        heat: what the colours over its frames are.
    """
    return rendered("predict/page/entry.html", entry=entry, opened=opened, heat=heat)


def entry_of(row: Row, place: int, pictures: Pictures | None, notes: Sequence[str]) -> Entry:
    """What a row without windows says.

    Args:
        place: number of the input, from 1.
        pictures: of the input, if there are any.
        notes: warnings that all rows share, said elsewhere.
    """
    if row["status"] == "error":
        error = row["error"]
        return Entry(
            place,
            row["path"],
            "error",
            notice=f"{error['kind']}: {error['message']}",
            hint=error.get("hint", ""),
            facts=[("path", row["path"]), *_track(row), ("error", error["kind"])],
            track=row.get("track"),
        )
    warnings = [warning for warning in row["warnings"] if warning not in notes]
    best = row["predictions"][0]
    films = _films(row, pictures) if pictures else []
    few = len(films) > 1 and len(films) < len(row["clips"])
    return Entry(
        place,
        row["path"],
        "warned" if warnings else "ok",
        notice=noticed(warnings),
        label=best["label"],
        score=best["score"],
        classes=[(entry["label"], entry["score"]) for entry in row["predictions"]],
        found=found if len(found := found_in(row)) > 1 else (),
        duration_s=row["duration_s"],
        warnings=warnings,
        thumbnail=thumbnail_of(pictures.poster) if pictures else None,
        films=films,
        left_out=f"{len(films)} of {len(row['clips'])} clips are shown." if few else "",
        facts=_facts(row),
        track=row.get("track"),
    )


def entry_of_windows(timeline: Timeline) -> Entry:
    """What the windows of one input say, as far as they have come."""
    most = timeline.warnings.most_common(MOST_WARNINGS)
    warnings = [f"{text} ({count} window{'s' * (count > 1)})" for text, count in most]
    if timeline.failures:
        first = next((span.label for span in timeline.spans if span.failed), "see the rows")
        warnings.insert(0, f"{timeline.failures} of {timeline.windows} windows failed: {first}")
    label, score = timeline.longest()
    is_empty = label is None and not timeline.failures
    return Entry(
        timeline.place,
        timeline.path,
        "error" if timeline.failures else "warned" if warnings else "ok",
        notice="nothing reaches the least score" if is_empty else noticed(warnings),
        label=label,
        score=score,
        found=list(dict.fromkeys(span.label for span in timeline.spans if not span.failed)),
        duration_s=timeline.duration_s,
        warnings=warnings,
        thumbnail=thumbnail_of(timeline.poster) if timeline.poster else None,
        facts=timeline.facts or [("path", timeline.path)],
        timeline=timeline,
    )


def found_in(row: OkRow) -> list[str]:
    """The classes that a row counts for: the best; of scores each for itself also all others from a half on."""
    best, *others = row["predictions"]
    each = row.get("activation") == "sigmoid"
    return [best["label"], *(entry["label"] for entry in others if each and entry["score"] >= FOUND_FROM)]


def noticed(warnings: Sequence[str]) -> str:
    """What a line says of several warnings."""
    more = f" (and {len(warnings) - 1} more)" if len(warnings) > 1 else ""
    return f"{warnings[0]}{more}" if warnings else ""


def _films(row: OkRow, pictures: Pictures) -> list[Film]:
    heat = pictures.heat.strips if pictures.heat else [None] * len(pictures.strips)
    return [Film(strip, _told(strip, row), hot) for strip, hot in zip(pictures.strips, heat, strict=True)]


def thumbnail_of(strip: Strip) -> Film:
    """The frames in the line."""
    return Film(strip, f"{strip.num_frames} frames" if strip.num_frames > 1 else "the picture")


def _told(strip: Strip, row: OkRow) -> str:
    if not row["duration_s"]:
        return "the picture as the network sees it"
    clip = row["clips"][strip.clip]
    frames = f"{strip.num_frames} frame{'s' * (strip.num_frames > 1)}"
    return f"clip {strip.clip + 1} of {len(row['clips'])}, {clip['start_s']:.2f} to {clip['end_s']:.2f} s, {frames}"


def _track(row: Row) -> list[tuple[str, str]]:
    return [("track", row["track"])] if "track" in row else []


def _facts(row: OkRow) -> list[tuple[str, str]]:
    timing = row["timing_ms"]
    return [
        ("path", row["path"]),
        *_track(row),
        ("clips", f"{len(row['clips'])}"),
        ("length", f"{row['duration_s']:.2f} s" if row["duration_s"] else "a still image"),
        ("read by", row["reader"]),
        ("time", f"{timing['decode']:,.1f} ms to decode, {timing['model']:,.1f} ms in the network"),
    ]
