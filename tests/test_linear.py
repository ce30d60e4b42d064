"""The probe's classifier is the minimum that scikit-learn finds."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss as sklearn_log_loss

from mvit_cli.training.linear import Linear, log_loss, path_of, scores_of


def data(rows: int, dims: int, classes: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    truth = np.arange(rows) % classes
    features = rng.normal(size=(classes, dims))[truth] + rng.normal(scale=2.0, size=(rows, dims))
    return features * rng.uniform(0.1, 10, dims) + 3, truth


@pytest.mark.parametrize(("rows", "dims"), [(60, 7), (30, 90)])
@pytest.mark.parametrize("strength", [1.0, 0.01])
def test_the_softmax_classifier_is_scikit_learns(rows: int, dims: int, strength: float) -> None:
    """Both stop where the gradient is about 1e-8, so the logits of a convex function agree to 1e-4."""
    features, truth = data(rows, dims, 3)
    (found,) = path_of(features, np.eye(3)[truth], "softmax", [strength])
    standard = (features - features.mean(axis=0)) / features.std(axis=0)
    other = LogisticRegression(C=1 / (strength * rows), tol=1e-10, max_iter=10_000).fit(standard, truth)
    expected = other.decision_function(standard)
    logits = found.logits(features)
    centred = [values - values.mean(axis=1, keepdims=True) for values in (logits, expected)]
    assert np.abs(centred[0] - centred[1]).max() < 1e-4


def test_the_sigmoid_classifier_is_scikit_learns_of_each_class() -> None:
    features, truth = data(80, 6, 3)
    targets = np.eye(3)[truth]
    targets[::5, 0] = 1  # several labels
    (found,) = path_of(features, targets, "sigmoid", [0.05])
    standard = (features - features.mean(axis=0)) / features.std(axis=0)
    for index in range(3):
        other = LogisticRegression(C=1 / (0.05 * 80), tol=1e-10, max_iter=10_000).fit(standard, targets[:, index])
        assert np.abs(found.logits(features)[:, index] - other.decision_function(standard)).max() < 1e-4


def test_a_path_has_a_solution_each_strength_and_weaker_ones_are_larger() -> None:
    features, truth = data(40, 10, 2)
    found = path_of(features, np.eye(2)[truth], "softmax", [1.0, 0.1, 0.01])
    norms = [float(np.square(one.weight * features.std(axis=0)).sum()) for one in found]
    assert norms == sorted(norms)
    (alone,) = path_of(features, np.eye(2)[truth], "softmax", [0.01])
    assert np.allclose(found[-1].logits(features), alone.logits(features), atol=1e-4)


def test_a_dimension_that_says_nothing_gets_no_weight() -> None:
    features, truth = data(40, 3, 2)
    features[:, 1] = 7.0
    (found,) = path_of(features, np.eye(2)[truth], "softmax", [0.1])
    assert (found.weight[:, 1] == 0).all()
    assert np.isfinite(found.bias).all()


def test_scores_are_predicts_and_their_loss_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    linear = Linear(rng.normal(size=(3, 4)), rng.normal(size=3), 0.0)
    views = rng.normal(size=(10, 5, 4))  # clips, views, dims
    scores = scores_of(linear.logits(views), "softmax")
    by_hand = []
    for clip in views:
        each = [np.exp(linear.weight @ view + linear.bias) for view in clip]
        by_hand.append(np.mean([one / one.sum() for one in each], axis=0))
    assert np.allclose(scores, by_hand)
    truth = np.arange(10) % 3
    assert log_loss(scores, np.eye(3)[truth], "softmax") == pytest.approx(sklearn_log_loss(truth, scores))
    both = scores_of(linear.logits(views), "sigmoid")
    targets = (rng.random((10, 3)) < 0.4).astype(float)
    expected = np.mean([sklearn_log_loss(targets[:, c], both[:, c], labels=[0, 1]) for c in range(3)])
    assert log_loss(both, targets, "sigmoid") == pytest.approx(expected)
