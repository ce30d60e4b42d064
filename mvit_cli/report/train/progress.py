"""What a person sees on stderr while weights are made."""

import sys
import time
from typing import TYPE_CHECKING, Literal, Protocol, Self

from mvit_cli.errors import tell
from mvit_cli.report.tables import printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

EVERY_S = 30.0
"""Between two lines where stderr is no terminal."""
_WORDS = {
    "features": "looking at clips",
    "classifier": "choosing a classifier",
    "training": "training",
    "validation": "validating",
}


class Moment(Protocol):
    """How far a training is; see `training/diary.py`."""

    @property
    def phase(self) -> Literal["features", "classifier", "training", "validation"]:
        """What is done now."""

    @property
    def done(self) -> int:
        """Of `total`."""

    @property
    def total(self) -> int:
        """Clips, strengths, steps or epochs."""

    @property
    def loss(self) -> float | None:
        """The latest."""

    @property
    def accuracy(self) -> float | None:
        """On validation, 0 to 1, the latest."""

    @property
    def note(self) -> str:
        """A sentence; empty: none."""


class TrainProgress:
    """A bar with loss, accuracy and time left on a terminal; elsewhere a line now and then.

    Args:
        quiet: nothing is written.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._phase = ""
        self._told_s = time.monotonic()
        self._began_s = time.monotonic()

    def __enter__(self) -> Self:
        if not self._quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def take(self, moment: Moment) -> None:
        """Shows a moment."""
        if self._quiet:
            return
        if moment.note:
            self._say(f"note: {moment.note}")
            return
        figures = _figures(moment)
        if self._bar:
            self._advance(self._bar, moment, figures)
        elif moment.done == moment.total or time.monotonic() - self._told_s > EVERY_S:
            self._told_s = time.monotonic()
            self._say(f"{_WORDS[moment.phase]}: {moment.done} of {moment.total}{figures}{self._left(moment)}")
        if moment.phase == "validation":
            self._say(f"epoch {moment.done} of {moment.total}{figures}")

    def _advance(self, bar: "Progress", moment: Moment, figures: str) -> None:
        text = _WORDS[moment.phase] + figures
        if moment.phase == "validation":
            return
        if moment.phase != self._phase or self._task is None:
            if self._task is not None:
                bar.remove_task(self._task)
            self._phase, self._task = moment.phase, bar.add_task(text, total=moment.total)
        bar.update(self._task, completed=moment.done, description=text)

    def _left(self, moment: Moment) -> str:
        if moment.phase != self._phase:
            self._phase, self._began_s, self._first = moment.phase, time.monotonic(), moment.done
            return ""
        done = moment.done - self._first
        if done <= 0 or moment.done == moment.total:
            return ""
        return f", {(time.monotonic() - self._began_s) / done * (moment.total - moment.done):.0f} s left"

    def _say(self, line: str) -> None:
        if self._bar:
            self._bar.console.print(printable(line), markup=False, highlight=False)
        else:
            tell(line)


def _figures(moment: Moment) -> str:
    loss = "" if moment.loss is None else f", loss {moment.loss:.3f}"
    return loss + ("" if moment.accuracy is None else f", accuracy {100 * moment.accuracy:.1f} %")
