"""What long videos show over time as a picture: scores in a lane for each class, and events above them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvit_cli.records import Row, Run
from mvit_cli.report.figures import FILLS, ink, picture, track
from mvit_cli.report.formats import clock, counted, listed, percent
from mvit_cli.report.palette import ink_on
from mvit_cli.report.predict.events import AS_THEY_ARE, Merging
from mvit_cli.report.predict.lanes import COLUMNS, Lanes
from mvit_cli.report.predict.terminal import run_line, shortened
from mvit_cli.report.predict.writers import begins_input
from mvit_cli.report.tables import printable

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from mvit_cli.report.predict.page.frames import Pictures

MOST_VIDEOS = 12
MOST_LANES = 12
"""Of a video alone; of several each has fewer, so that the picture stays small."""
MOST_LANES_IN_COMPANY = 6
MOST_LETTERS = 28
MOST_LETTERS_OF_NAMES = 80
HEIGHT = 0.8
"""Of a lane of 1: what is left keeps it apart from the next."""
FAINT = 0.35
OUTLINE = 0.4
"""Points: so that the lightest and the darkest colours are seen on any ground."""
WIDTH_IN, LANE_IN, AROUND_IN, HEADING_IN = 9.0, 0.27, 0.62, 0.75
"""Inches: the picture, a lane, what stands around the lanes of a video, the lines on top."""
MOST_TICKS = 10
TICKS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 18000, 36000, 86400)


class TimelinePicture:
    """Takes rows of windows and draws them when all are there; memory is bounded, whatever comes.

    Args:
        path: `.svg`, `.png` or `.pdf`; with `.dark` before it on dark ground.
        run: what all rows share.
        windows: what is recognised at once, in words.
    """

    def __init__(self, path: Path, run: Run, windows: str, merging: Merging = AS_THEY_ARE) -> None:
        self._path, self._run, self._windows = path, run, windows
        self._merging = merging
        self._videos: list[Lanes] = []
        self._more = self._without = 0
        self._previous: Row | None = None

    def take(self, row: Row, pictures: "Pictures | None" = None) -> None:
        """Takes one row in."""
        if row.get("window"):
            if begins_input(row, self._previous):
                self._end_input()
                self._more += len(self._videos) >= MOST_VIDEOS
                lanes = Lanes(row["path"], self._merging)
                self._videos = [*self._videos[:MOST_VIDEOS], lanes]
            self._videos[-1].add(row)
        elif self._previous and self._previous["path"] == row["path"] and self._previous.get("window"):
            self._videos[-1].add(row)  # the rest of a video in one error
        else:
            self._without += 1
        self._previous = row

    def close(self) -> list[str]:
        """Writes the picture, or none where no input had windows; returns what is to be told of it.

        Raises:
            MViTError: it could not be written.
        """
        self._end_input()
        videos = self._videos[:MOST_VIDEOS]
        if not videos:
            return [f"--plot {self._path}: not drawn, no input has windows"]
        most = MOST_LANES if len(videos) == 1 else MOST_LANES_IN_COMPANY
        lanes = [(video, video.chosen(most)) for video in videos]
        height = HEADING_IN + sum(AROUND_IN + LANE_IN * (1 + len(labels)) for _, labels in lanes)
        title = _name(videos[0].path) if len(videos) == 1 else run_line(self._run)
        with picture(self._path, title, self._notes(len(videos)), width=WIDTH_IN, height=height) as figure:
            _draw(figure, lanes)
        if not self._more:
            return []
        rest = f"the rows have {counted(self._more, 'more video')}"
        return [f"--plot {self._path} shows the first {MOST_VIDEOS} videos; {rest}"]

    def _end_input(self) -> None:
        if self._videos:
            self._videos[-1].close()

    def _notes(self, videos: int) -> list[str]:
        left_out = [
            f"{counted(count, what)}{more}"
            for count, what, more in ((self._more, "more video", ""), (self._without, "input", " without windows"))
            if count
        ]
        least, smooth_s = self._merging.min_score, self._merging.span_s
        events = f"least score {percent(least)}, " if least is not None else ""
        events += f"smoothed over {smooth_s:g} s, " * bool(smooth_s)
        return [
            *[run_line(self._run)] * (videos == 1),
            f"Events ({events}their time and mean score on the right) and scores from 0 to 100 % of {self._windows}.",
            *[f"Not drawn: {listed(left_out)}."] * bool(left_out),
        ]


def _name(path: str) -> str:
    """What a video is called, without its folders."""
    return shortened(printable(path.replace("\\", "/").rstrip("/").rpartition("/")[2]), MOST_LETTERS_OF_NAMES)


def _draw(figure: "Figure", videos: Sequence[tuple[Lanes, list[str]]]) -> None:
    """A video below the other; texts within events come when it is known how much room there is."""
    ratios = [AROUND_IN + LANE_IN * (1 + len(labels)) for _, labels in videos]
    rows = figure.subplots(len(videos), 1, squeeze=False, height_ratios=ratios)[:, 0]
    for axes, (video, labels) in zip(rows, videos, strict=True):
        _draw_video(axes, video, labels)
        if len(videos) > 1:
            axes.set_title(_name(video.path), loc="left")
    figure.draw_without_rendering()
    for axes, (video, labels) in zip(rows, videos, strict=True):
        _name_events(axes, video, labels)


def _draw_video(axes: "Axes", video: Lanes, labels: Sequence[str]) -> None:
    """Events on top, a lane for each class below, what was not recognised across all of them."""
    import numpy as np

    assert video.columns is not None
    edges = np.linspace(0, video.columns.length_s, COLUMNS + 1)
    places = {label: len(labels) - 1 - number for number, label in enumerate(labels)}
    best = video.best()
    for base in range(len(labels) + 1):
        axes.axhspan(base, base + HEIGHT, color=track(), linewidth=0)
    for label, place in places.items():
        fill = _fill(label, labels)
        scores = video.scores(label)
        seen = np.where([other == label for other in best], scores, np.nan)
        _steps(axes, edges, scores, place, alpha=FAINT, **fill)
        _steps(axes, edges, seen, place, **fill)
        if label in video.seen:
            total = video.seen[label]
            text = f"{clock(total.seconds)}, {percent(total.score)}"
            axes.annotate(text, (1, place + HEIGHT / 2), (5, 0), **_BESIDE)
    for label in video.seen:
        is_best = np.where([other == label for other in best], 1.0, np.nan)
        _steps(axes, edges, is_best, len(labels), **_fill(label, labels))
    failed = np.where(video.columns.of("failed") > 0, 1.0, np.nan)
    _steps(axes, edges, failed, len(labels), facecolor="none", hatch="////")
    if video.failures:
        text = f"{video.failures:,} failed"
        axes.annotate(text, (1, len(labels) + HEIGHT / 2), (5, 0), **_BESIDE)
    hidden = [label for label in video.seen if label not in places]
    if hidden:
        seconds = sum(video.seen[label].seconds for label in hidden)
        text = f"{len(hidden)} more class{'es' * (len(hidden) > 1)}, {clock(seconds)}, in grey"
        axes.annotate(text, (1, len(labels) + 1), (0, 3), **(_BESIDE | {"ha": "right", "va": "bottom"}))
    names = ["events", *(shortened(printable(label), MOST_LETTERS) for label in labels)]
    axes.set_yticks([len(labels) - number + HEIGHT / 2 for number in range(len(names))], names)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-0.1, len(labels) + 1)
    _mark_time(axes, video.duration_s)


_BESIDE: dict[str, Any] = {
    "xycoords": ("axes fraction", "data"),
    "textcoords": "offset points",
    "va": "center",
    "annotation_clip": False,
}
"""Text on the right of the lanes."""


def _fill(label: str, labels: Sequence[str]) -> Mapping[str, Any]:
    """The colour of a class that has a lane; grey for all others."""
    return FILLS[labels.index(label) % len(FILLS)] if label in labels else {"facecolor": ink(), "alpha": FAINT}


def _steps(axes: "Axes", edges: "NDArray[np.float64]", shares: "NDArray[np.float64]", base: int, **style: Any) -> None:
    """An area of steps, a share of a lane high; nothing where it is no number. Equal neighbours are one step."""
    import numpy as np

    heights = np.round(shares, 2)
    same = (heights[1:] == heights[:-1]) | (np.isnan(heights[1:]) & np.isnan(heights[:-1]))
    begins = np.flatnonzero(np.concatenate([[True], ~same]))
    tops = base + HEIGHT * heights[begins]
    if np.isfinite(tops).any():
        where = np.append(edges[begins], edges[-1])
        axes.stairs(tops, where, baseline=base, fill=True, **({"linewidth": OUTLINE} | style))


def _name_events(axes: "Axes", video: Lanes, labels: Sequence[str]) -> None:
    """Writes the class into each event that has room for it."""
    from matplotlib.colors import to_hex

    assert video.columns is not None
    column_s = video.columns.length_s / COLUMNS
    points = axes.get_window_extent().width * 72 / axes.get_figure(root=True).dpi  # type: ignore[union-attr]
    points_per_s = points / (axes.get_xlim()[1] - axes.get_xlim()[0])
    best = video.best()
    start = 0
    for end in range(1, COLUMNS + 1):
        if end < COLUMNS and best[end] == best[start]:
            continue
        label = best[start]
        if label is not None:
            text = printable(label)
            if _points(text) + 6 < (end - start) * column_s * points_per_s:
                colour = ink_on(to_hex(_fill(label, labels)["facecolor"])) if label in labels else ink()
                middle = (start + end) / 2 * column_s
                axes.text(
                    middle, len(labels) + HEIGHT / 2 - 0.02, text, ha="center", va="center", color=colour, fontsize=8
                )
        start = end


def _points(text: str) -> float:
    """How wide a text is, at 8 points."""
    from matplotlib.textpath import TextPath

    return float(TextPath((0, 0), text, size=8).get_extents().width) if text.strip() else 0.0


def _mark_time(axes: "Axes", duration_s: float) -> None:
    """The axis of time, in minutes and seconds."""
    step = next((step for step in TICKS_S if duration_s / step <= MOST_TICKS), TICKS_S[-1])
    axes.set_xlim(0, duration_s or 1.0)
    axes.set_xticks([number * step for number in range(int(duration_s / step + 1e-9) + 1)])
    axes.xaxis.set_major_formatter(lambda value, _: clock(value) if step < 1 else clock(round(value))[:-2])
    axes.spines["left"].set_visible(False)
