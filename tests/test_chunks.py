"""Work given out to workers that die: nothing is lost, nothing comes twice, the order stays, poison ends."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvit_cli.engines.chunks import TRIES, Chunk, Chunks


def ran(count: int, size: int, poison: set[int], workers: int, seed: int) -> tuple[list[str], dict[int, int]]:
    """Results of a run whose workers die of some sources, and of others by chance; how often each source was begun."""
    chance = random.Random(seed)
    chunks: Chunks[int, str] = Chunks(iter(range(count)), size, ahead=8)
    has: dict[int, list[Chunk[int]]] = {worker: [] for worker in range(workers)}
    begun: dict[int, int] = {}
    results: list[str] = []
    deaths_by_chance = 1
    while not chunks.is_over:
        for _ in range(2 * workers):
            free = [worker for worker, its in has.items() if len(its) < 2 and not any(chunk.alone for chunk in its)]
            worker = min(free, key=lambda worker: len(has[worker]), default=None)
            if worker is not None and (chunk := chunks.take(idle=not has[worker])):
                has[worker].append(chunk)
        busy = [worker for worker in has if has[worker]]
        if busy:
            worker = chance.choice(busy)
            chunk = chance.choice(has[worker])  # both run at a time
            for source in chunk.sources:
                begun[source] = begun.get(source, 0) + 1
            by_chance = deaths_by_chance and chance.random() < 0.05
            if by_chance or poison & set(chunk.sources):
                deaths_by_chance -= bool(by_chance)
                if lost := chunks.lost(has[worker]):
                    chunks.put(lost, [f"obituary {lost.sources[0]}"])
                has[worker] = []
            else:
                has[worker].remove(chunk)
                chunks.put(chunk, [f"row {source}" for source in chunk.sources])
        results += chunks.results()
    return results, begun


@settings(max_examples=200)
@given(
    count=st.integers(0, 60),
    size=st.integers(1, 9),
    poison=st.sets(st.integers(0, 59), max_size=3),
    workers=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_every_source_comes_once_and_in_order(count: int, size: int, poison: set[int], workers: int, seed: int) -> None:
    results, begun = ran(count, size, poison, workers, seed)
    assert [int(result.split()[1]) for result in results] == list(range(count))
    assert {int(result.split()[1]) for result in results if "obituary" in result} >= poison & set(range(count))
    assert all(times <= 4 * TRIES + 8 for times in begun.values())  # a run with poison ends


@pytest.mark.parametrize("seed", range(20))
def test_only_the_poison_is_given_up(seed: int) -> None:
    results, _ = ran(40, 8, {13, 14, 30}, 2, seed)
    assert [result for result in results if "obituary" in result] == ["obituary 13", "obituary 14", "obituary 30"]


def test_a_chunk_that_is_late_holds_the_others_up_only_so_far() -> None:
    chunks: Chunks[int, int] = Chunks(iter(range(100)), 1, ahead=4)
    first = chunks.take(idle=True)
    others = [chunk for _ in range(10) if (chunk := chunks.take(idle=True))]
    assert len(others) == 3
    for chunk in others:
        chunks.put(chunk, chunk.sources)
    assert (list(chunks.results()), chunks.take(idle=True)) == ([], None)
    assert first is not None
    chunks.put(first, first.sources)
    assert list(chunks.results()) == [0, 1, 2, 3]
