"""A linear classifier on features: the minimum of a convex function, found to the end."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mvit_cli.protocol import Activation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[Any]

STRENGTHS = (10.0, 3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 1e-3, 1e-4, 1e-5)
"""Regularisation that is tried, the strongest first: each solution is the next one's start."""
MOST_STEPS = 300
SMALL = 10_000_000
"""Products of one step that a single thread does."""


@dataclass(frozen=True)
class Linear:
    """`logits = features @ weight.T + bias`.

    Attributes:
        weight: float64 `(classes, dims)`.
        bias: float64 `(classes,)`.
        strength: of the regularisation.
    """

    weight: "Floats"
    bias: "Floats"
    strength: float

    def logits(self, features: "Floats") -> "Floats":
        """`(..., dims)` -> `(..., classes)`."""
        logits: Floats = features @ self.weight.T + self.bias
        return logits


def scores_of(logits: "Floats", activation: Activation) -> "Floats":
    """What predict makes of logits `(views, classes)`: the mean over the views of their softmax or sigmoid."""
    import numpy as np

    if activation == "sigmoid":
        with np.errstate(over="ignore"):
            each = 1 / (1 + np.exp(-logits))
    else:
        each = np.exp(logits - logits.max(axis=-1, keepdims=True))
        each /= each.sum(axis=-1, keepdims=True)
    mean: Floats = each.mean(axis=-2)
    return mean


def log_loss(scores: "Floats", targets: "Floats", activation: Activation) -> float:
    """Mean over the clips of the cross entropy of their scores; with a sigmoid over their classes too."""
    return float(log_losses(scores, targets, activation).mean())


def log_losses(scores: "Floats", targets: "Floats", activation: Activation) -> "Floats":
    """The cross entropy of each clip, `(clips,)`."""
    import numpy as np

    likely = np.clip(scores, 1e-12, 1)
    if activation == "softmax":
        losses: Floats = -(targets * np.log(likely)).sum(axis=1)
        return losses
    unlikely = np.clip(1 - scores, 1e-12, 1)
    both: Floats = -(targets * np.log(likely) + (1 - targets) * np.log(unlikely)).mean(axis=1)
    return both


def path_of(
    features: "Floats", targets: "Floats", activation: Activation, strengths: Sequence[float] = STRENGTHS
) -> list[Linear]:
    """The classifier at each strength: it minimises `mean(loss) + strength / 2 * |W|^2` over standardised features.

    The loss is the cross entropy; with a sigmoid the sum over the classes of the binary one. The bias is free. Where
    there are more dimensions than rows the same minimum is found in the space that the rows span.

    Args:
        features: `(rows, dims)`; `targets`: `(rows, classes)`, each from 0 to 1.

    Returns:
        One each strength, for features as they are given, not standardised.
    """
    import numpy as np

    mean, std = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    std[std < 1e-6 * max(float(std.max()), 1e-30)] = np.inf  # a dimension that says nothing gets no weight
    x = (features - mean) / std
    basis = None
    if x.shape[1] > x.shape[0]:
        basis = np.linalg.qr(x.T)[0]  # (dims, rows): the weights are combinations of the rows
        x = x @ basis
    found, start = [], None
    for strength in strengths:
        start = _minimum(x, targets, activation, strength, start)
        weight = (start[:, :-1] if basis is None else start[:, :-1] @ basis.T) / std
        found.append(Linear(weight, start[:, -1] - weight @ mean, strength))
    return found


def _minimum(
    x: "Floats", targets: "Floats", activation: Activation, strength: float, start: "Floats | None"
) -> "Floats":
    """`(classes, dims + 1)`, the bias last, by L-BFGS in double precision."""
    import numpy as np
    import torch

    from mvit_cli.training.objective import losses_of

    rows, classes = torch.from_numpy(np.ascontiguousarray(x, np.float64)), targets.shape[1]
    wanted = torch.from_numpy(np.ascontiguousarray(targets, np.float64))
    begin = np.zeros((classes, x.shape[1] + 1)) if start is None else start
    both = torch.from_numpy(begin.copy()).requires_grad_()
    search = torch.optim.LBFGS(
        [both], max_iter=MOST_STEPS, tolerance_grad=1e-9, tolerance_change=1e-13, line_search_fn="strong_wolfe"
    )
    scale = classes if activation == "sigmoid" else 1  # `losses_of` gives a mean over classes

    def loss() -> Any:
        search.zero_grad()
        logits = rows @ both[:, :-1].T + both[:, -1]
        value = scale * losses_of(logits, wanted, activation).mean() + strength / 2 * (both[:, :-1] ** 2).sum()
        value.backward()
        return value

    threads = torch.get_num_threads()
    if rows.numel() * classes < SMALL:
        torch.set_num_threads(1)  # threads that wait for each other take longer than the products
    try:
        with torch.enable_grad():
            search.step(loss)
    finally:
        torch.set_num_threads(threads)
    solution: Floats = both.detach().numpy()
    return solution
