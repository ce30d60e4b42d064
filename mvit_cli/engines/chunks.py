"""Work given out in pieces to workers that may die: what is tried again, what comes back in order. Plain Python.

A worker that dies may have had several chunks: each is done again alone on a worker, so that the next death tells which
is to blame. After two deaths of its own a chunk is split into its single sources; a source that has cost two more is
given up. So no source is lost, none comes twice, only poison is given up, and it ends.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

TRIES = 2
"""Workers that a chunk, and then a source alone, may cost."""


@dataclass(eq=False)
class Chunk(Generic[T]):
    """Some sources in a row.

    Attributes:
        number: its place among all chunks.
        part: of a chunk that was split, the place of this source in it.
        sources: what is to be done.
        deaths: workers that died with it alone.
        alone: whether its worker is to have nothing else meanwhile.
    """

    number: int
    part: int
    sources: tuple[T, ...]
    deaths: int = 0
    alone: bool = False

    @property
    def order(self) -> tuple[int, int]:
        """Chunks with less come first."""
        return self.number, self.part


@dataclass
class Chunks(Generic[T, R]):
    """All chunks of a run: those to be given out, those that are with workers, and results that wait for their turn.

    Attributes:
        sources: all that is to be done.
        size: sources in a chunk.
        ahead: chunks that may be begun before the first one that is not done.
    """

    sources: Iterator[T]
    size: int
    ahead: int
    _again: deque[Chunk[T]] = field(default_factory=deque)
    _done: dict[int, dict[int, Sequence[R]]] = field(default_factory=dict)
    _parts: dict[int, int] = field(default_factory=dict)  # how many a chunk was split into
    _begun: int = 0
    _next: int = 0
    _ended: bool = False

    def take(self, *, idle: bool) -> Chunk[T] | None:
        """A chunk to be given out now; None where there is none, or too many wait for an earlier one.

        Args:
            idle: whether there is a worker that has nothing: one that is to be alone needs it.
        """
        if self._again:
            return None if self._again[0].alone and not idle else self._again.popleft()
        if self._ended or self._begun - self._next >= self.ahead:
            return None
        sources = tuple(islice(self.sources, self.size))
        if not sources:
            self._ended = True
            return None
        self._begun += 1
        return Chunk(self._begun - 1, 0, sources)

    def put(self, chunk: Chunk[T], results: Sequence[R]) -> None:
        """What came of a chunk."""
        self._done.setdefault(chunk.number, {})[chunk.part] = results

    def results(self) -> Iterator[R]:
        """Yields the results whose turn it is."""
        while len(parts := self._done.get(self._next, {})) == self._parts.get(self._next, 1):
            del self._done[self._next]
            self._parts.pop(self._next, None)
            self._next += 1
            for part in sorted(parts):
                yield from parts[part]

    def lost(self, chunks: Sequence[Chunk[T]]) -> Chunk[T] | None:
        """Takes back the chunks of a worker that died; returns one that is given up, for which somebody has to `put` an
        obituary."""
        if len(chunks) > 1:
            back = sorted(chunks, key=lambda chunk: chunk.order)
            for chunk in back:
                chunk.alone = True
            self._again.extendleft(reversed(back))
            return None
        (chunk,) = chunks
        chunk.deaths, chunk.alone = chunk.deaths + 1, True
        if chunk.deaths < TRIES:
            self._again.appendleft(chunk)
        elif len(chunk.sources) > 1:
            self._parts[chunk.number] = len(chunk.sources)
            single = [Chunk(chunk.number, part, (source,), 0, True) for part, source in enumerate(chunk.sources)]
            self._again.extendleft(reversed(single))
        else:
            return chunk
        return None

    @property
    def is_over(self) -> bool:
        """Whether all results were given out, or there are none to come."""
        return self._ended and not self._again and self._next == self._begun
