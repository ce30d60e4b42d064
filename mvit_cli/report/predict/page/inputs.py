"""One input in the table: a line of the index, and below it its frames, classes and timings."""

from collections.abc import Sequence
from typing import Literal, Protocol

from mvit_cli.records import OkRow, Row, RowError
from mvit_cli.report.formats import percent
from mvit_cli.report.predict.page.markup import Html, bar, bars, definitions, jpeg, number, tag

COLUMNS = (  # title, class, what it is
    ("#", "n", "place in the input"),
    ("frames", "", "frames from all clips"),
    ("input", "", "path of the file"),
    ("class", "", "best class"),
    ("score", "n", "its score, mean of all views"),
    ("length", "n", "seconds"),
    ("decode", "n", "milliseconds to read and cut"),
    ("network", "n", "milliseconds of the network"),
    ("state", "", "ok, warnings or error"),
)

PARTS: tuple[Literal["decode", "model"], ...] = ("decode", "model")
TIMES = {"decode": "decode", "model": "network"}


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
    """A few frames of the whole file, and a strip a clip."""

    @property
    def poster(self) -> Strip: ...
    @property
    def strips(self) -> Sequence[Strip]: ...


def head() -> Html:
    """The titles of the columns."""
    cells = (tag("th", title, scope="col", class_=kind or None, title=what) for title, kind, what in COLUMNS)
    return tag("thead", tag("tr", *cells))


def file_rows(row: Row, place: int, pictures: Pictures | None, notes: Sequence[str], opened: bool) -> Html:
    """What the table has of one input.

    Args:
        place: number of the row, from 1.
        pictures: of the input, if there are any.
        notes: warnings that all rows share, said elsewhere.
        opened: whether more than the line is seen at once.
    """
    if row["status"] == "error":
        error = row["error"]
        hint = tag("p", error["hint"], class_="dim") if "hint" in error else ""
        return _body(row, place, None, _error_cells(error), [tag("p", error["message"], class_="message"), hint], "bad")
    warnings = [warning for warning in row["warnings"] if warning not in notes]
    more = tag("details", tag("summary", "frames, classes, timings"), *_details(row, pictures, warnings), open=opened)
    return _body(row, place, pictures, _best_cells(row, warnings), [more])


def _body(
    row: Row, place: int, pictures: Pictures | None, cells: list[Html], below: list[object], kind: str | None = None
) -> Html:
    """Two lines of the table: the one by which it is sorted, and what stands below."""
    poster: object = ""
    if pictures:
        strip = pictures.poster
        alt = f"{strip.num_frames} frames" if strip.num_frames > 1 else "the picture"
        poster = jpeg(strip.jpeg, strip.width, strip.height, alt)
    line = tag(
        "tr",
        tag("td", number(place, f"{place}"), class_="n place", rowspan=2),
        tag("td", poster, class_="poster", rowspan=2),
        tag("th", *_path(row), scope="row", class_="path"),
        *cells,
    )
    return tag("tbody", line, tag("tr", tag("td", *below, colspan=len(COLUMNS) - 2), class_="more"), class_=kind)


def _path(row: Row) -> list[object]:
    """The name so that it is seen first, the folder before it, the window after it."""
    folder, slash, name = row["path"].rpartition("/")
    parts: list[object] = [tag("span", folder + slash, class_="folder"), tag("span", name, class_="name")]
    if window := row.get("window"):
        parts.append(tag("span", f" {window['start_s']:.1f} to {window['end_s']:.1f} s", class_="window"))
    return parts


def _best_cells(row: OkRow, warnings: Sequence[str]) -> list[Html]:
    best, length, timing = row["predictions"][0], row["duration_s"], row["timing_ms"]
    told = f"{len(warnings)} warning{'s' * (len(warnings) > 1)}" if warnings else "ok"
    return [
        tag("td", tag("span", best["label"], class_="label"), bar(best["score"]), class_="class"),
        tag("td", number(best["score"], percent(best["score"])), class_="n score"),
        tag("td", number(length, f"{length:.1f} s") if length else "", class_="n extra"),
        *(tag("td", number(timing[name], f"{timing[name]:,.0f} ms"), class_="n extra") for name in PARTS),
        tag("td", told, class_="state warned" if warnings else "state"),
    ]


def _error_cells(error: RowError) -> list[Html]:
    nothing = [tag("td", class_="n extra")] * 3
    return [
        tag("td", class_="class"),
        tag("td", class_="n score"),
        *nothing,
        tag("td", f"error: {error['kind']}", class_="state"),
    ]


def _details(row: OkRow, pictures: Pictures | None, warnings: Sequence[str]) -> list[object]:
    strips = pictures.strips if pictures else ()
    films = [_film(strip, row) for strip in strips]
    few = len(strips) < len(row["clips"]) and len(strips) > 1
    missing = tag("p", f"{len(strips)} of {len(row['clips'])} clips are shown.", class_="dim") if few else ""
    told = tag("ul", *(tag("li", warning) for warning in warnings), class_="warnings") if warnings else ""
    scores = (
        (best["label"], best["score"], number(best["score"], percent(best["score"]))) for best in row["predictions"]
    )
    classes = bars("class", "score", scores)
    return [*films, missing, tag("div", classes, tag("div", _facts(row), told), class_="side")]


def _film(strip: Strip, row: OkRow) -> Html:
    clip = row["clips"][strip.clip]
    frames = f"{strip.num_frames} frame{'s' * (strip.num_frames > 1)}"
    told = f"clip {strip.clip + 1} of {len(row['clips'])}, {clip['start_s']:.2f} to {clip['end_s']:.2f} s, {frames}"
    if not row["duration_s"]:
        told = "the picture as the network sees it"
    film = tag(
        "div",
        jpeg(strip.jpeg, strip.width, strip.height, told),
        class_="film long" if strip.num_frames > 8 else "film",
        tabindex=0,
        role="region",
        aria_label=told,
    )
    return tag("figure", film, tag("figcaption", told))


def _facts(row: OkRow) -> Html:
    timing = row["timing_ms"]
    return definitions(
        [
            ("path", row["path"]),
            ("clips", f"{len(row['clips'])}"),
            ("length", f"{row['duration_s']:.2f} s" if row["duration_s"] else "a still image"),
            ("read by", row["reader"]),
            *((TIMES[name], number(timing[name], f"{timing[name]:,.1f} ms")) for name in PARTS),
        ]
    )
