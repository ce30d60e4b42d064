"""Passes of a network side by side on the cores of a CPU, each with threads of its own.

The threads that compute one operator together wait for each other at its end, hundreds of times a pass, and for a
processor that another program takes from one of them. Clips are independent: passes on a thread each never wait.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import cache
from threading import Event

import torch
from torch import Tensor

Pass = Callable[[Tensor, Event | None], Tensor]
"""Clips `(B, 3, T, H, W)` -> one result a clip, such as logits `(B, classes)`.

It may give up, with any exception, once the event is set; without an event nobody stops it.
"""


WAITING = 0.11
"""Share of a pass that more threads do not shorten. On two, clips side by side take 0.9 of the time of one by one.

One clip on two threads takes `WAITING + (1 - WAITING) / 2`, two of them side by side take 1: 1 / 1.11 = 0.9.
"""


def may_share_threads() -> bool:
    """Whether there are threads to share, and no compiler at work, which sees one thread."""
    return not torch.compiler.is_compiling() and torch.get_num_threads() > 1


def shares(clips: int, threads: int, most: int) -> list[list[int]]:
    """How many clips each pass takes: rounds of passes that run together, whose threads are shared evenly.

    As many clips as `threads` divides get a thread a pass, in passes of about one size; the rest follow in passes of
    one clip, in the rounds that take least by `time_of_pass`.

    Args:
        most: clips that a pass may have.
    """
    rest = clips % threads
    rounds = -(-(clips - rest) // (threads * most))
    passes = threads * rounds
    even = [(clips - rest) // passes + (i < (clips - rest) % passes) for i in range(passes)]
    return [sizes for sizes in (even, *([1] * together for together in _rounds(rest, threads))) if sizes]


def time_of_pass(threads: int) -> float:
    """Of one clip, beside that on one thread; Amdahl's law."""
    return WAITING + (1 - WAITING) / threads


@cache
def _rounds(clips: int, threads: int) -> tuple[int, ...]:
    """How many clips, fewer than threads, run together in each round, largest first."""
    least, first = [0.0], [0]
    for left in range(1, clips + 1):
        times = {passes: time_of_pass(threads // passes) + least[left - passes] for passes in range(left, 0, -1)}
        first.append(min(times, key=lambda passes: times[passes]))
        least.append(times[first[left]])
    rounds = []
    while clips:
        rounds.append(first[clips])
        clips -= first[clips]
    return tuple(sorted(rounds, reverse=True))


def side_by_side(run: Pass, clips: Tensor, most: int) -> Tensor:
    """What `run` gives for the clips, one result a clip, in passes on all of torch's threads.

    torch's number of threads is the process's: it is another one until this returns.

    Args:
        most: clips that a pass may have.
    """
    threads, results, start = torch.get_num_threads(), [], 0
    try:
        for sizes in shares(len(clips), threads, most):
            parts = clips[start : start + sum(sizes)].split(sizes)
            start += sum(sizes)
            results += _together(run, parts, max(1, threads // len(parts)), _pool(threads))
    finally:
        torch.set_num_threads(threads)
    return torch.cat(results)


def _together(run: Pass, parts: Sequence[Tensor], threads_each: int, pool: ThreadPoolExecutor) -> list[Tensor]:
    """Passes at the same time; when one fails, or the user stops the run, the others give up."""
    stop, inference = Event(), torch.is_inference_mode_enabled()

    def one(part: Tensor) -> Tensor:
        torch.set_num_threads(threads_each)
        # whether gradients are kept is a thread's own setting: one of the pool has it not from the thread that asks
        with torch.inference_mode(inference), torch.no_grad():
            return run(part, stop)

    if len(parts) == 1:
        return [one(parts[0])]
    futures = [pool.submit(one, part) for part in parts]
    try:
        for future in wait(futures, return_when=FIRST_EXCEPTION).done:
            future.result()  # raises what a pass has raised
        return [future.result() for future in futures]
    finally:
        stop.set()
        for future in futures:
            future.cancel()
        wait(futures)


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="mvit-pass")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a child has none of the threads
