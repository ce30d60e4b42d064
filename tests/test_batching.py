"""Files share batches, keep their order and their own errors, and never wait for a file that is not there yet."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from test_recognition import TRANSFORM, MeanColour, scorer
from torch import nn

from mvit_cli.errors import MediaError, MViTError
from mvit_cli.media.request import LULL, Decoded, Lull
from mvit_cli.recognition import batching
from mvit_cli.recognition.batching import Item, groups, scored
from mvit_cli.recognition.scoring import Scorer


def decoded(views: int, seed: int = 0) -> Decoded:
    pixels = np.random.default_rng(seed).integers(0, 256, (views, 2, 8, 8, 3), dtype=np.uint8)
    return Decoded(pixels=pixels, clips=(), duration_s=1.0, reader="av", warnings=(), decode_ms=1.0)


def items(*views: int | str | Lull) -> list[Item | Lull]:
    """A number: a file with so many views; a word: an error; LULL: the next is waited for."""
    made: list[Item | Lull] = []
    for seed, count in enumerate(views):
        outcome = decoded(count, seed) if isinstance(count, int) else MediaError("decode", str(count))
        made.append(LULL if count is LULL else Item(str(seed), outcome))
    return made


def views_of(grouped: Iterator[list[Item]]) -> list[list[int]]:
    return [[len(item.outcome.pixels) for item in group if isinstance(item.outcome, Decoded)] for group in grouped]


def test_files_go_together_until_a_batch_is_full() -> None:
    assert views_of(groups(items(5, 5, 5, 7, 1), lambda: 10)) == [[5, 5], [5], [7, 1]]


def test_a_file_larger_than_a_batch_goes_alone() -> None:
    assert views_of(groups(items(2, 30, 3), lambda: 8)) == [[2], [30], [3]]


def test_nothing_waits_for_a_file_that_is_not_there() -> None:
    assert views_of(groups(items(1, LULL, 1, 1, LULL, LULL), lambda: 8)) == [[1], [1, 1], []]


def test_pixels_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "MAX_GROUP_BYTES", 3 * decoded(1).pixels.nbytes)
    assert views_of(groups(items(1, 1, 1, 1), lambda: 64)) == [[1, 1, 1], [1]]


def test_a_batch_that_shrank_is_filled_less() -> None:
    sizes = iter([4, 4, 2, 2, 2, 2])
    assert views_of(groups(items(2, 2, 2, 2), lambda: next(sizes, 2))) == [[2, 2], [2], [2]]


def test_every_file_gets_its_own_scores_in_order() -> None:
    model = MeanColour()
    results = list(scored(scorer(model, 8), groups(items(2, "broken", 3, LULL, 1), lambda: 8)))
    assert model.sizes == [5, 1]
    assert [item.path for item in results] == ["0", "1", "2", "4"]
    for item in results:
        if isinstance(item.outcome, Decoded):
            alone = scorer(MeanColour()).scores(item.outcome.pixels)
            torch.testing.assert_close(item.scores, alone, rtol=0, atol=1e-6)
            assert item.model_ms > 0
        else:
            assert item.scores is None


def test_time_is_shared_by_views() -> None:
    one, three = scored(scorer(MeanColour(), 8), groups(items(1, 3), lambda: 8))
    assert three.model_ms == pytest.approx(3 * one.model_ms)


class FailsForDark(nn.Module):
    """Cannot stand a black view."""

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        means = clips.mean(dim=(2, 3, 4))
        if bool((means.amax(dim=1) < (-min(TRANSFORM.mean) / max(TRANSFORM.std)) * 0.999).any()):
            raise ArithmeticError("a black view")
        return means


def test_a_file_that_fails_spoils_no_other_of_its_batch() -> None:
    first, dark, last = items(1, 1, 1)
    assert first
    assert dark
    assert last
    assert isinstance(dark.outcome, Decoded)
    dark.outcome.pixels[:] = 0
    results = list(scored(scorer(FailsForDark(), 8), [[first, dark, last]]))
    assert isinstance(results[1].scores, MediaError)
    assert results[1].scores.message == "ArithmeticError: a black view"
    assert isinstance(results[0].scores, torch.Tensor)
    assert isinstance(results[2].scores, torch.Tensor)


def test_memory_that_runs_out_is_told_once() -> None:
    results = list(scored(scorer(MeanColour(fits=2), 8), groups(items(1, 1, 1, 1), lambda: 8)))
    assert [len(item.news) for item in results] == [1, 0, 0, 0]
    assert all(isinstance(item.scores, torch.Tensor) for item in results)


def test_a_gpu_that_fails_ends_everything() -> None:
    failing = MeanColour(fits=0, error=RuntimeError("CUDA error: unspecified launch failure"))
    with pytest.raises(MViTError, match="the GPU failed"):
        list(scored(scorer(failing), groups(items(1), lambda: 8)))


def test_a_device_that_computes_on_gets_the_next_group_before_the_last_is_awaited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    start, finish = Scorer.start, Scorer.finish
    monkeypatch.setattr(Scorer, "runs_on", True)
    monkeypatch.setattr(Scorer, "start", lambda self, files: told.append("start") or start(self, files))
    monkeypatch.setattr(Scorer, "finish", lambda self, started: told.append("finish") or finish(self, started))
    results = list(scored(scorer(MeanColour()), groups(items(1, LULL, 1, LULL, LULL, 1), lambda: 1)))
    assert told == ["start", "start", "finish", "finish", "start", "finish"]
    assert [item.path for item in results] == ["0", "2", "5"]
