"""What stands above the table: how often each class was found, how sure the network was, how many inputs failed."""

from collections import Counter
from typing import TYPE_CHECKING

from mvit_cli.records import OkRow, Row
from mvit_cli.report.formats import percent
from mvit_cli.report.page.templates import rendered
from mvit_cli.report.predict.page.entries import found_in
from mvit_cli.report.predict.page.timeline import Key

if TYPE_CHECKING:
    from markupsafe import Markup

MOST_CLASSES = 12
LONGEST_LABEL = 100
BINS = 10


class Overview:
    """Counts rows; memory does not grow with them."""

    def __init__(self, key: Key, notes: tuple[str, ...], title: str) -> None:
        self._key = key
        self._notes = notes
        self._title = title
        self.found: Counter[str] = Counter()
        self.scores = [0] * BINS
        self.states: Counter[str] = Counter()
        self.windows = False
        self._each = False

    def count(self, row: Row) -> None:
        """Takes in one row."""
        window = row.get("window")
        self.windows |= window is not None
        if row["status"] == "error":
            self.states["failed"] += 1
            return
        self.states["with warnings" if set(row["warnings"]) - set(self._notes) else "ok"] += 1
        self._count_scores(row)
        for label in dict.fromkeys(found_in(row)):
            self.found[label] += 1
            if window:
                self._key.number(label)

    def _count_scores(self, row: OkRow) -> None:
        self._each |= row.get("activation") == "sigmoid"
        self.scores[min(int(row["predictions"][0]["score"] * BINS), BINS - 1)] += 1

    def html(self, most_bytes: int) -> "Markup | str":
        """The section, in at most as many bytes; nothing while there are fewer than two rows to count."""
        total = self.states.total()
        if total < 2 or not self.found:
            return ""
        for most in range(MOST_CLASSES, -1, -1):
            part = self._section(most)
            if len(part.encode("utf-8", "surrogatepass")) <= most_bytes:
                return part
        return ""

    def _section(self, most: int) -> "Markup":
        unit = "windows" if self.windows else "inputs"
        total = sum(self.scores)
        classes = [
            (_shortened(label), count / total, count, self._key.number(label) if self.windows else 0)
            for label, count in self.found.most_common(most)
        ]
        rest = len(self.found) - len(classes)
        highest = max(self.scores)
        columns = [
            (i, count, 100 * count / highest, f"{10 * i} to {10 * i + 10} %") for i, count in enumerate(self.scores)
        ]
        return rendered(
            "predict/page/overview.html",
            title=self._title,
            unit=unit,
            classes=classes,
            letters=[self._key.letter(label) if self.windows else "" for label, _ in self.found.most_common(most)],
            rest=f"and {rest:,} more classes" if rest > 1 else "and one more class" if rest else "",
            each=self._each,
            columns=columns,
            told="; ".join(f"{name}: {count}" for _, count, _, name in columns if count),
            states=[(name, self.states[name], percent(self.states[name] / self.states.total())) for name in STATES],
        )


STATES = ("ok", "with warnings", "failed")


def _shortened(label: str) -> str:
    return label if len(label) <= LONGEST_LABEL else f"{label[: LONGEST_LABEL - 3]}..."
