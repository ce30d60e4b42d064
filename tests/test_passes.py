"""Passes side by side: which clips go where, that logits are the same and in order, and that they stop."""

import heapq
import threading
from collections.abc import Iterator
from threading import Event

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_fast import SAME_SUMS, random_model
from test_model import SMALL as SMALL_V1
from test_model import SMALL_V2
from torch import Tensor

from mvit_cli.arch.config import MViTConfig
from mvit_cli.model.fast.network import FastMViT
from mvit_cli.model.fast.passes import shares, side_by_side, time_of_pass


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@given(clips=st.integers(1, 100), threads=st.integers(1, 20), most=st.integers(1, 9))
def test_every_clip_has_one_pass_and_every_thread_as_many(clips: int, threads: int, most: int) -> None:
    rounds = shares(clips, threads, most)
    assert sum(map(sum, rounds)) == clips
    for sizes in rounds:
        assert 1 <= min(sizes) <= max(sizes) <= min(most, min(sizes) + 1)
        assert len(sizes) % threads == 0 or len(sizes) < threads


def simulated(rounds: list[list[int]], threads: int) -> float:
    """When the last clip is done, in passes of one clip on one thread: each pass takes a thread as it becomes free."""
    now = 0.0
    for sizes in rounds:
        each = max(1, threads // len(sizes))
        free = [now] * (threads // each)
        for clips in sizes:
            heapq.heapreplace(free, free[0] + clips * time_of_pass(each))
        now = max(free)
    return now


def partitions(clips: int) -> Iterator[tuple[int, ...]]:
    """All ways to do clips in rounds."""
    for first in range(1, clips + 1):
        yield from ((first, *others) for others in partitions(clips - first)) if clips > first else [(first,)]


@pytest.mark.parametrize("threads", [2, 4, 8])
def test_few_clips_are_done_as_soon_as_they_can_be(threads: int) -> None:
    for clips in range(1, threads):
        best = min(simulated([[1] * passes for passes in way], threads) for way in partitions(clips))
        assert simulated(shares(clips, threads, 1), threads) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("threads", [4, 8, 64])
def test_on_many_cores_no_batch_leaves_half_of_them_idle(threads: int) -> None:
    """Beside threads that never wait, whose work can be cut anywhere: less than that nothing takes. And never longer
    than all clips of a rest at once."""
    for clips in range(1, 4 * threads):
        taken = simulated(shares(clips, threads, 1), threads)
        assert taken < 2 * max(time_of_pass(threads), clips / threads), clips
        whole, rest = divmod(clips, threads)
        assert taken <= whole + simulated([[1] * rest] if rest else [], threads) + 1e-12, clips


def test_a_clip_more_than_half_the_threads_does_not_leave_half_of_them_idle() -> None:
    """33 clips on 64 threads: two threads for each of 32, then all for the last, in 0.68 of the time of one round."""
    assert list(map(len, shares(33, 64, 1))) == [32, 1]
    assert simulated(shares(33, 64, 1), 64) == pytest.approx(0.555 + 0.1239, abs=1e-3)


def test_shares_of_two_threads() -> None:
    assert shares(14, 2, 4) == [[4, 4, 3, 3]]
    assert shares(5, 2, 1) == [[1, 1, 1, 1], [1]]
    assert shares(3, 16, 1) == [[1, 1, 1]]
    assert time_of_pass(2) * 2 == pytest.approx(1 / 0.9, abs=0.01)  # what was measured


@pytest.mark.parametrize("config", [SMALL_V1, SMALL_V2])
@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("clips", [2, 5, 6])
def test_the_logits_are_those_of_one_pass_after_another(config: MViTConfig, threads: int, clips: int) -> None:
    quick, batch = FastMViT(random_model(config)), torch.randn(clips, 3, 4, 32, 32)
    quick.side_by_side = False
    expected = quick(batch)
    quick.side_by_side = True
    torch.set_num_threads(threads)
    with torch.inference_mode():
        got = quick(batch)
    torch.testing.assert_close(got, expected, rtol=0, atol=SAME_SUMS)
    assert torch.get_num_threads() == threads


def test_as_many_passes_run_at_once_as_there_are_threads() -> None:
    """Each waits until the other has begun: one after the other they would never end."""
    together, threads = threading.Barrier(2, timeout=10), []

    def run(clips: Tensor, stop: Event) -> Tensor:
        together.wait()
        threads.append(torch.get_num_threads())
        return clips.flatten(1)[:, :1]

    clips = torch.arange(4.0).view(4, 1)
    assert side_by_side(run, clips, most=1).flatten().tolist() == [0, 1, 2, 3]
    assert threads == [1, 1, 1, 1]


def test_no_gradients_are_kept_and_inference_mode_goes_along() -> None:
    quick = FastMViT(random_model(SMALL_V1))
    assert not quick(torch.randn(2, 3, 4, 32, 32)).requires_grad
    with torch.inference_mode():
        assert quick(torch.randn(2, 3, 4, 32, 32)).is_inference()


def test_when_one_pass_fails_the_others_give_up() -> None:
    gave_up = Event()

    def run(clips: Tensor, stop: Event) -> Tensor:
        if clips[0] == 1:
            raise MemoryError("no room")
        assert stop.wait(timeout=10)
        gave_up.set()
        raise InterruptedError

    with pytest.raises(MemoryError, match="no room"):
        side_by_side(run, torch.arange(2.0), most=1)
    assert gave_up.is_set()
    assert torch.get_num_threads() == 2


def test_a_network_that_is_stopped_does_not_finish() -> None:
    quick, stop, blocks = FastMViT(random_model(SMALL_V1)), Event(), []
    quick.blocks[0].register_forward_hook(lambda *_: stop.set())
    quick.blocks[1].register_forward_hook(lambda *_: blocks.append(1))
    with torch.no_grad(), pytest.raises(InterruptedError):
        quick._logits(torch.randn(1, 3, 4, 32, 32), stop)
    assert not blocks
