"""What a training tells while it runs: to its log, and to whoever watches."""

import csv
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Phase = Literal["features", "classifier", "training", "validation"]


@dataclass(frozen=True)
class Moment:
    """How far a training is.

    Attributes:
        phase: what is done now.
        done, total: of its clips, strengths or steps.
        loss: of the latest step, or on validation.
        accuracy: top-1 or mean average precision on validation, the latest; None: not known yet.
        note: a sentence for people; empty: none.
    """

    phase: Phase
    done: int
    total: int
    loss: float | None = None
    accuracy: float | None = None
    note: str = ""


Told = Callable[[Moment], None]


def nobody(moment: Moment) -> None:
    """For trainings that nobody watches."""


@dataclass
class Diary:
    """The log of a run: `log.jsonl` with all that happened, `log.csv` with the figures of each epoch or strength.

    Attributes:
        told: who watches.
        leads: whether this process writes; of several one does.
        history: the lines of `log.csv`.
        stopped: what ended it before its time, Ctrl-C or a request of the system; whoever asked for it raises it.
        labels, confusion: classes, and clips that validate of each, a row, by what they were taken for; None: clips
            have several labels.
    """

    folder: Path
    told: Told = nobody
    leads: bool = True
    history: list[dict[str, Any]] = field(default_factory=list)
    stopped: KeyboardInterrupt | None = None
    labels: tuple[str, ...] = ()
    confusion: list[list[int]] | None = None
    started: float = field(default_factory=time.monotonic)

    def begin(self, *, anew: bool) -> None:
        """Makes the folder; anew: earlier logs go."""
        if not self.leads:
            return
        self.folder.mkdir(exist_ok=True)
        if anew:
            for name in ("log.jsonl", "log.csv"):
                (self.folder / name).unlink(missing_ok=True)

    def write(self, event: str, **values: Any) -> None:
        """A line of the log."""
        if not self.leads:
            return
        line = {"event": event, "seconds": round(time.monotonic() - self.started, 3), **values}
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=True, default=str) + "\n")

    def note(self, sentence: str, phase: Phase = "features") -> None:
        """A sentence, for the log and for people."""
        self.write("note", text=sentence)
        self.told(Moment(phase, 0, 0, note=sentence))

    def figures(self, **values: Any) -> None:
        """A line of `log.csv`, and the same in the log; each line has the same columns."""
        self.history.append(values)
        self.write("figures", **values)
        if not self.leads:
            return
        with (self.folder / "log.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, list(self.history[0]))
            table.writeheader()
            table.writerows(self.history)
