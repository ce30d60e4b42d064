"""The method `probe`: the network stays as it is, a linear classifier learns from what it sees."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mvit_cli.training.accuracy import accuracy_of, main_figure
from mvit_cli.training.data import Lesson
from mvit_cli.training.diary import Diary, Moment
from mvit_cli.training.linear import STRENGTHS, Linear, log_losses, path_of, scores_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HeadInputs = Literal["last", "blocks"]


@dataclass(frozen=True)
class Probe:
    """The classifier that was chosen.

    Attributes:
        inputs: what it sees: what the network's own classifier sees, or the means of all blocks too.
        loss: log loss on validation.
    """

    linear: Linear
    inputs: HeadInputs
    loss: float


def seen_by(rows: "NDArray[np.float32]", inputs: HeadInputs, last: int) -> "NDArray[np.float32]":
    """Of features `(..., dims)` the part that a classifier sees; `last` are the dimensions of the last tokens."""
    return rows if inputs == "blocks" else rows[..., -last:]


def probe(lesson: Lesson, features: "Sequence[NDArray[np.float32] | None]", last: int, diary: Diary) -> Probe:
    """Finds the classifier on validation, by log loss, among inputs and strengths of regularisation.

    Each view of a clip is learned from; on validation the scores of a clip's views are averaged, as `predict` does.

    Args:
        features: of each clip `(views, dims)`; None: not read.
        last: dimensions of what the network's own classifier sees, the last ones.
    """
    import numpy as np

    targets = lesson.targets()
    learned = [(i, rows) for i in lesson.split.train if (rows := features[i]) is not None]
    held = [(i, rows) for i in lesson.split.val if (rows := features[i]) is not None]
    wanted = np.concatenate([np.repeat(targets[i : i + 1], len(rows), axis=0) for i, rows in learned])
    truth = targets[[i for i, _ in held]]
    dims = learned[0][1].shape[1]
    choices: tuple[HeadInputs, ...] = ("last", "blocks") if dims > last else ("last",)
    best: list[_Tried] = []
    for number, inputs in enumerate(choices):
        x = np.concatenate([seen_by(rows, inputs, last) for _, rows in learned]).astype(np.float64)
        tried = []
        for place, linear in enumerate(path_of(x, wanted, lesson.activation)):
            scores = probe_scores(linear, inputs, last, [rows for _, rows in held], lesson)
            one = _Tried(linear, inputs, log_losses(scores, truth, lesson.activation))
            tried.append(one)
            figure = main_figure(accuracy_of(scores, truth, multilabel=lesson.multilabel, interval=False))
            diary.figures(inputs=inputs, strength=linear.strength, val_loss=round(one.loss, 6), val=round(figure, 6))
            done = number * len(STRENGTHS) + place + 1
            diary.told(Moment("classifier", done, len(choices) * len(STRENGTHS), one.loss, figure))
        if not best or min(one.loss for one in tried) < min(one.loss for one in best):
            best = tried
    chosen = _strongest_of_the_best(best)
    return Probe(chosen.linear, chosen.inputs, chosen.loss)


@dataclass(frozen=True)
class _Tried:
    """A classifier and its loss on each clip that validates."""

    linear: Linear
    inputs: HeadInputs
    losses: "NDArray[Any]"

    @property
    def loss(self) -> float:
        return float(self.losses.mean())


def _strongest_of_the_best(tried: Sequence[_Tried]) -> _Tried:
    """The strongest regularisation whose loss is not told apart from the least one: within one standard error of it.

    Source: Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, section 7.10.
    """
    best = min(tried, key=lambda one: one.loss)
    error = float(best.losses.std()) / len(best.losses) ** 0.5
    return next(one for one in tried if one.loss <= best.loss + error)


def probe_scores(
    linear: Linear, inputs: HeadInputs, last: int, clips: "Sequence[NDArray[np.float32]]", lesson: Lesson
) -> "NDArray[Any]":
    """`(clips, classes)`: the mean over the views of each clip."""
    import numpy as np

    logits = [linear.logits(seen_by(rows, inputs, last).astype(np.float64)) for rows in clips]
    return np.stack([scores_of(one, lesson.activation) for one in logits])
