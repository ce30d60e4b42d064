"""Decoded files put together into batches, scored, and taken apart again: one result for each, in their order."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from mvit_cli.errors import MediaError, MViTError, first_line
from mvit_cli.media.request import LULL, Decoded, Lull, Outcome
from mvit_cli.media.tracks import Track
from mvit_cli.recognition.scoring import Scorer, Started

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

T = TypeVar("T")

MAX_GROUP_BYTES = 1 << 28
"""Pixels that wait for a batch to fill; one file may have more."""


@dataclass
class Item:
    """One outcome of decoding on its way to a row.

    Attributes:
        part: seconds of the file from which, and up to which, it was looked at; None: it was not cut.
        track: the object of the file that it is about; None: the file itself.
        scores: float32 `(classes,)`; an error where there are none.
        model_ms: its part of the time the network took, milliseconds.
        news: what happened while it was scored.
    """

    path: str
    outcome: Outcome
    part: tuple[float, float | None] | None = None
    scores: "Tensor | MediaError | None" = None
    model_ms: float = 0.0
    news: list[str] = field(default_factory=list)
    track: Track | None = None


def groups(items: Iterable[Item | Lull], batch_size: Callable[[], int], *, whole: bool = False) -> Iterator[list[Item]]:
    """Puts items together until their views fill a batch, or until no more are ready.

    Args:
        items: LULL says that the next one has to be waited for: what is there goes ahead.
        batch_size: asked again for each group, as it shrinks when memory runs out.
        whole: wait for what is not ready: who is together with whom follows from the order of the items alone.

    Yields:
        a group; an empty one where nothing is there to go ahead.
    """
    group: list[Item] = []
    views = num_bytes = 0
    for item in items:
        if item is LULL and whole:
            continue
        more, more_bytes = (0, 0) if item is LULL else _size_of(item.outcome)
        if item is LULL or (group and (views + more > batch_size() or num_bytes + more_bytes > MAX_GROUP_BYTES)):
            yield group
            group, views, num_bytes = [], 0, 0
        if item is not LULL:
            group.append(item)
            views, num_bytes = views + more, num_bytes + more_bytes
    if group:
        yield group


def _size_of(outcome: Outcome) -> tuple[int, int]:
    """Views that an outcome has, and the bytes that wait with it."""
    return (len(outcome.pixels), outcome.num_bytes) if isinstance(outcome, Decoded) else (0, 0)


def scored(scorer: Scorer, grouped: Iterable[list[Item]]) -> Iterator[Item]:
    """Scores group after group; on a GPU the next group is handed over before the scores of one are waited for.

    Raises:
        MViTError: the GPU itself failed.
    """
    running: _Group | None = None
    for items in grouped:
        begun = _Group(scorer, items) if items else None
        if running:
            yield from running.finished()
        running = begun
        if running and not scorer.runs_on:
            yield from running.finished()
            running = None
    if running:
        yield from running.finished()


class _Group:
    """Files that are scored together; whatever fails in one file is that file's error alone."""

    def __init__(self, scorer: Scorer, items: list[Item]) -> None:
        self._scorer, self._items = scorer, items
        self._decoded = [item for item in items if isinstance(item.outcome, Decoded)]
        self._since = time.perf_counter()
        self._started = _attempt(partial(scorer.start, _pixels(self._decoded))) if self._decoded else None

    def finished(self) -> list[Item]:
        """All items, those that were decoded with scores or an error."""
        if self._decoded:
            self._take_scores()
            milliseconds = (time.perf_counter() - self._since) * 1000
            views = [len(pixels) for pixels in _pixels(self._decoded)]
            for item, own in zip(self._decoded, views, strict=True):
                item.model_ms = milliseconds * own / sum(views)
            self._decoded[0].news = self._scorer.take_news()
        return self._items

    def _take_scores(self) -> None:
        started = self._started
        scores = _attempt(partial(self._scorer.finish, started)) if isinstance(started, Started) else started
        if isinstance(scores, list):
            for item, its_scores in zip(self._decoded, scores, strict=True):
                item.scores = its_scores
        elif len(self._decoded) == 1 or self._scorer.deterministic:
            for item in self._decoded:  # alone, each would be in another batch
                item.scores = scores
        else:
            for item in self._decoded:
                alone = _attempt(partial(self._scorer.scores_of, _pixels([item])))
                item.scores = alone[0] if isinstance(alone, list) else alone


def _pixels(items: list[Item]) -> "list[NDArray[Any]]":
    return [item.outcome.pixels for item in items if isinstance(item.outcome, Decoded)]


def _attempt(work: Callable[[], T]) -> T | MediaError:
    """What the work gives, or its failure as an error of the file.

    Raises:
        MViTError: the GPU itself failed, which no other file would survive.
    """
    try:
        return work()
    except MediaError as error:
        return error
    except Exception as error:
        if "CUDA error" in str(error):
            raise MViTError(f"the GPU failed: {first_line(error)}", "run again, or use --device cpu") from error
        return MediaError("internal", f"{type(error).__name__}: {first_line(error)}")
