"""Metrics beside scikit-learn's, and beside loops written from the formulas."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mvit_cli.evaluation import metrics

sklearn_metrics = pytest.importorskip("sklearn.metrics")


def drawn(seed: int, clips: int = 60, classes: int = 7, ties: bool = False) -> tuple[NDArray[Any], NDArray[Any]]:
    generator = np.random.default_rng(seed)
    scores = generator.random((clips, classes))
    if ties:
        scores = scores.round(1)
    return scores, generator.integers(classes, size=clips)


@pytest.mark.parametrize("seed", range(3))
def test_top_k_and_mean_class_are_scikit_learns(seed: int) -> None:
    scores, truth = drawn(seed)
    for k in (1, 2, 5):
        expected = sklearn_metrics.top_k_accuracy_score(truth, scores, k=k, labels=range(7))
        assert metrics.top_k(scores, truth, k) == pytest.approx(expected, abs=1e-12)
    right = scores.argmax(axis=1) == truth
    expected = sklearn_metrics.balanced_accuracy_score(truth, scores.argmax(axis=1))
    assert metrics.mean_class(right, truth) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_average_precision_is_scikit_learns(seed: int, ties: bool) -> None:
    scores, _ = drawn(seed, ties=ties)
    truth = np.random.default_rng(seed + 9).random(scores.shape) < 0.3
    truth[:, 2] = False  # a class that does not occur counts for nothing
    occurring = [index for index in range(7) if index != 2]
    each = [sklearn_metrics.average_precision_score(truth[:, i], scores[:, i]) for i in occurring]
    assert [metrics.average_precision(scores[:, i], truth[:, i]) for i in occurring] == pytest.approx(each, abs=1e-12)
    assert metrics.mean_average_precision(scores, truth) == pytest.approx(np.mean(each), abs=1e-12)
    assert math.isnan(metrics.average_precision(scores[:, 2], truth[:, 2]))


def test_of_equal_scores_the_lower_class_is_first_as_in_rows() -> None:
    scores = np.array([[0.5, 0.5, 0.0]])
    assert metrics.ranks(scores, np.array([0])).tolist() == [0]
    assert metrics.ranks(scores, np.array([1])).tolist() == [1]


def test_calibration_error_is_the_loop_of_the_formula() -> None:
    generator = np.random.default_rng(1)
    confidence, right = generator.random(200), generator.random(200) < 0.6
    confidence[:3] = 0.0, 1.0, 1 / 15
    total = 0.0
    for number in range(15):
        inside = [
            i for i in range(200) if number / 15 < confidence[i] <= (number + 1) / 15 or (number == confidence[i] == 0)
        ]
        if inside:
            gap = np.mean([right[i] for i in inside]) - np.mean([confidence[i] for i in inside])
            total += len(inside) / 200 * abs(gap)
    assert metrics.calibration_error(confidence, right) == pytest.approx(total, abs=1e-12)
    assert metrics.calibration_error(np.array([1.0, 1.0]), np.array([True, True])) == 0


def test_wilsons_interval_is_the_published_one() -> None:
    # Newcombe (1998), Statistics in Medicine 17, table I, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    for hits, clips, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)):
        assert metrics.wilson(hits, clips) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 500).flatmap(lambda clips: st.tuples(st.integers(0, clips), st.just(clips))))
def test_wilsons_interval_is_around_the_share_and_within_0_and_1(case: tuple[int, int]) -> None:
    hits, clips = case
    low, high = metrics.wilson(hits, clips)
    assert 0 <= low <= hits / clips + 1e-12
    assert hits / clips - 1e-12 <= high <= 1


def test_groups_that_are_right_together_have_a_wider_interval() -> None:
    right = np.repeat(np.random.default_rng(0).random(20) < 0.5, 10)
    alone = metrics.by_group(right, [str(i) for i in range(200)], seed=3)
    grouped = metrics.by_group(right, [str(i // 10) for i in range(200)], seed=3)
    low, high = metrics.wilson(int(right.sum()), 200)
    # Each clip a group of its own: the bootstrap is the interval of a share, within the noise of 2000 draws.
    assert alone == pytest.approx((low, high), abs=0.02)
    # The deviation of a mean of 20 is sqrt(10) times that of one of 200.
    assert (grouped[1] - grouped[0]) / (alone[1] - alone[0]) == pytest.approx(math.sqrt(10), rel=0.2)
    assert grouped == metrics.by_group(right, [str(i // 10) for i in range(200)], seed=3)


def test_without_clips_nothing_is_known() -> None:
    empty, none = np.zeros((0, 3)), np.zeros(0, dtype=int)
    assert math.isnan(metrics.top_k(empty, none))
    assert math.isnan(metrics.mean_class(none == 1, none))
    assert all(map(math.isnan, (*metrics.wilson(0, 0), *metrics.by_group(none, []))))
    assert math.isnan(metrics.calibration_error(none, none))
