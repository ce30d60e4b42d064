"""Rows beside a truth, one after the other, and what they come to."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from mvit_cli.checkpoints.cards import Card
from mvit_cli.errors import MViTError
from mvit_cli.evaluation import metrics
from mvit_cli.evaluation.orders import ORDERS
from mvit_cli.evaluation.truth import Pairing, Truth
from mvit_cli.findings import ClassFigures, Confused, Evaluation, OrderFigures, OrderName, Published
from mvit_cli.recognition.labelled import LabelledClip
from mvit_cli.records import Prediction, Row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_CONFUSED = 20
IN_TOP = 5


def are_predictions(value: Any, classes: int) -> bool:
    """Whether it is what a row says of the classes, best first; a file of rows may come from anybody."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(entry, dict) and isinstance(entry.get("label"), str) for entry in value)
        and all(type(entry.get("index")) is int and 0 <= entry["index"] < classes for entry in value)
        and all(type(entry.get("score")) in (int, float) and 0 <= entry["score"] <= 1 for entry in value)
    )


@dataclass
class Answers:
    """What a network said of clips of one label each, or of several.

    Attributes:
        truth: the first class of each clip.
        rank: of the best true class among the predictions; as many as these are where it is not among them.
        listed: predictions of each clip.
        best: the best class.
        confidence: its score.
        scores, labels: `(C,)` of each clip, only where clips have several labels and all classes are listed.
    """

    truth: list[int] = field(default_factory=list)
    rank: list[int] = field(default_factory=list)
    listed: list[int] = field(default_factory=list)
    best: list[int] = field(default_factory=list)
    confidence: list[float] = field(default_factory=list)
    scores: "list[NDArray[np.float32]]" = field(default_factory=list)
    labels: "list[NDArray[np.bool_]]" = field(default_factory=list)

    def add(self, predictions: Sequence[Prediction], truth: Sequence[int], classes: int, *, all_scores: bool) -> None:
        """Notes one clip."""
        rank = next((rank for rank, entry in enumerate(predictions) if entry["index"] in truth), len(predictions))
        self.truth.append(truth[0] if truth else -1)
        self.rank.append(rank)
        self.listed.append(len(predictions))
        self.best.append(predictions[0]["index"])
        self.confidence.append(predictions[0]["score"])
        if all_scores and len(predictions) == classes:
            import numpy as np

            scores, labels = np.zeros(classes, np.float32), np.zeros(classes, bool)
            for entry in predictions:
                scores[entry["index"]] = entry["score"]
            labels[list(truth)] = True
            self.scores.append(scores)
            self.labels.append(labels)

    def within(self, k: int, classes: int) -> float | None:
        """Share of clips with a true class among the k best; None where rows list fewer than that."""
        import numpy as np

        rank, listed = np.array(self.rank), np.array(self.listed)
        if bool(((rank == listed) & (listed < min(k, classes))).any()):
            return None
        return _known(metrics.mean(rank < k))


@dataclass
class Judge:
    """Takes rows as they come; `evaluation` sums up. Memory: a few numbers a clip, all scores where it has several.

    Attributes:
        classes: names of all classes, by index.
        meant: the class of each label.
        card: what is known of the weights, where their own labels are used.
        notes: what the result says beside the figures.
    """

    truth: Truth
    classes: Sequence[str]
    meant: Mapping[str, int]
    card: Card | None = None
    seed: int = 0
    notes: list[str] = field(default_factory=list)
    run: dict[str, Any] = field(default_factory=dict)
    failed: int = 0
    unknown: int = 0
    clips: int = 0
    _groups: list[str | None] = field(default_factory=list)
    _answers: dict[OrderName, Answers] = field(default_factory=lambda: defaultdict(Answers))
    _pairing: Pairing = field(init=False)

    def __post_init__(self) -> None:
        self._pairing = Pairing(self.truth.clips)

    def take(self, row: Row) -> LabelledClip | None:
        """Judges one row; gives its clip back where the best class is wrong."""
        clip = self._pairing.take(row["path"], row.get("part"))
        if clip is None:
            self.unknown += 1
            return None
        self.clips += 1
        if row["status"] == "error":
            self.failed += 1
            return None
        self.run = self.run or {key: row[key] for key in ("preset", "weights", "views")}
        truth = [self.meant[label] for label in clip.labels]
        named = self._predictions_of(row)
        for order, predictions in named.items():
            self._answers[order].add(predictions, truth, len(self.classes), all_scores=self.truth.multilabel)
        self._groups.append(clip.group)
        return None if row["predictions"][0]["index"] in truth else clip

    def _predictions_of(self, row: Row) -> dict[OrderName, list[Prediction]]:
        """What a row says of each order of its frames.

        Raises:
            MViTError: nothing that could be judged.
        """
        told: Any = row
        named = {"in_order": told.get("predictions"), **(told.get("orders") or {})}
        if any(order not in ORDERS or not are_predictions(value, len(self.classes)) for order, value in named.items()):
            raise MViTError(
                f"the row of {row['path']} has no scores of {len(self.classes)} classes",
                "give rows that `mvit predict` wrote, with the weights and labels of that run",
            )
        return cast("dict[OrderName, list[Prediction]]", named)

    def evaluation(self) -> Evaluation:
        """All figures of the rows so far."""
        answers = self._answers["in_order"]
        several, classes = self.truth.multilabel, len(self.classes)
        figures = self._figures("in_order")
        grouped = any(self._groups)
        result: Evaluation = {
            "clips": self.clips,
            "failed": self.failed,
            "missing": self._pairing.left,
            "top1": figures["top1"],
            "top5": figures["top5"],
            "mean_class": figures["mean_class"],
            "map": self._map(answers) if several else None,
            "ece": None if several else _known(metrics.calibration_error(_array(answers.confidence), _right(answers))),
            "interval95": figures["interval95"],
            "interval_method": "bootstrap" if grouped else "wilson",
            "preset": self.run.get("preset"),
            "weights": self.run.get("weights"),
            "views": self.run.get("views"),
            "per_class": self._per_class(answers),
            "confused": [] if several else self._confused(answers),
            "published": self._published(),
            "notes": [*self.truth.notes, *self.notes, *self._told(answers, classes)],
        }
        if len(self._answers) > 1:
            result["orders"] = [self._figures(order) for order in self._answers]
        return result

    def _figures(self, order: OrderName) -> OrderFigures:
        answers = self._answers[order]
        right = _right(answers)
        if any(self._groups):
            groups = [group or f"clip {number}" for number, group in enumerate(self._groups)]
            interval = metrics.by_group(right, groups, seed=self.seed)
        else:
            interval = metrics.wilson(int(right.sum()), len(right))
        return {
            "order": order,
            "top1": answers.within(1, len(self.classes)),
            "top5": answers.within(IN_TOP, len(self.classes)) if len(self.classes) > IN_TOP else None,
            "mean_class": None if self.truth.multilabel else _known(metrics.mean_class(right, _array(answers.truth))),
            "interval95": None if math.isnan(interval[0]) else list(interval),
        }

    def _map(self, answers: Answers) -> float | None:
        import numpy as np

        if not answers.scores or len(answers.scores) < len(answers.rank):
            return None
        return _known(metrics.mean_average_precision(np.array(answers.scores), np.array(answers.labels)))

    def _per_class(self, answers: Answers) -> list[ClassFigures]:
        import numpy as np

        if not self.truth.multilabel:
            counts: Counter[int] = Counter(answers.truth)
            hits = Counter(truth for truth, right in zip(answers.truth, _right(answers), strict=True) if right)
            return [
                {"label": self.classes[index], "clips": counts[index], "top1": hits[index] / counts[index]}
                for index in sorted(counts)
            ]
        if not answers.scores or len(answers.scores) < len(answers.rank):
            return []
        scores, labels = np.array(answers.scores), np.array(answers.labels)
        return [
            {
                "label": self.classes[index],
                "clips": int(labels[:, index].sum()),
                "top1": None,
                "average_precision": _known(metrics.average_precision(scores[:, index], labels[:, index])),
            }
            for index in np.flatnonzero(labels.any(axis=0)).tolist()
        ]

    def _confused(self, answers: Answers) -> list[Confused]:
        pairs = Counter((truth, best) for truth, best in zip(answers.truth, answers.best, strict=True) if truth != best)
        ordered = sorted(pairs.items(), key=lambda entry: (-entry[1], entry[0]))
        return [
            {"truth": self.classes[truth], "predicted": self.classes[best], "clips": count}
            for (truth, best), count in ordered[:MOST_CONFUSED]
        ]

    def _published(self) -> Published | None:
        """The card's figures where the labels are exactly the card's; of a part of its classes they say nothing."""
        card = self.card
        if card is None or card.reported is None or set(self.meant.values()) != set(range(len(self.classes))):
            return None
        said = card.reported
        return {
            "weights": card.name,
            "dataset": said.dataset,
            "top1": None if said.top1 is None else said.top1 / 100,
            "top5": None if said.top5 is None else said.top5 / 100,
            "views": said.views,
            "source": said.source,
        }

    def _told(self, answers: Answers, classes: int) -> list[str]:
        told = []
        if self.unknown:
            told.append(f"rows of files that the truth does not have: {self.unknown:,}")
        if self._pairing.left:
            told.append(f"clips of the truth that have no row: {self._pairing.left:,}")
        if answers.rank and classes > IN_TOP and answers.within(IN_TOP, classes) is None:
            told.append(f"top-5 is not known: rows list fewer than {IN_TOP} classes")
        if self.truth.multilabel and answers.rank and len(answers.scores) < len(answers.rank):
            told.append("mean average precision needs the scores of all classes: run predict with --threshold 0")
        return told


def _right(answers: Answers) -> "NDArray[np.bool_]":
    return cast("NDArray[np.bool_]", _array(answers.rank) == 0)


def _array(values: Sequence[float]) -> "NDArray[Any]":
    import numpy as np

    return np.array(values) if len(values) else np.zeros(0, int)


def _known(value: float) -> float | None:
    """The value as JSON may have it."""
    return None if math.isnan(value) else float(value)
