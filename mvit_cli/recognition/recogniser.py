"""Files -> rows: sources, decoding in worker processes, the network, a row for each input or window in input order."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Literal, Protocol

from mvit_cli.checkpoints.cards import Card
from mvit_cli.errors import MediaError
from mvit_cli.media.request import (
    LULL,
    TIMEOUT_S,
    DecodeRequest,
    Detail,
    Lull,
    Outcome,
    Pictures,
    ReaderChoice,
    Window,
    is_last,
    window_of,
)
from mvit_cli.media.sources import Source, iter_sources
from mvit_cli.recognition.batching import Item, groups, scored
from mvit_cli.recognition.recipe import Recipe
from mvit_cli.recognition.rows import Row, error_row, ok_row, prediction_list
from mvit_cli.recognition.scoring import Scorer
from mvit_cli.records import Summary

Auto = Literal["auto"]
Inputs = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


class Viewer(Protocol):
    """Somebody who looks at frames beside the rows."""

    def wanted(self, number: int) -> Detail:
        """Which pictures to make of an input, numbered from 0; asked by another thread, a few inputs ahead."""

    def look(self, row: Row, pictures: Pictures | None) -> None:
        """Sees a row before it is given on, with the pictures of its file, if there are any."""


@dataclass(frozen=True)
class Recogniser:
    """A network with its weights on a device, and the way files are shown to it.

    Attributes:
        top: classes a row.
        run: what all rows share: `preset`, `weights`, `views`, `device`, `dtype`.
        notes: what every row's `warnings` begin with.
        summary: the object of `mvit summarize`.
        card: what is known of the weights, if they were published.
    """

    scorer: Scorer
    recipe: Recipe
    top: int
    run: Row
    notes: tuple[str, ...]
    summary: Summary
    card: Card | None = None

    def rows(
        self,
        inputs: Inputs,
        *,
        workers: int | Auto = "auto",
        reader: ReaderChoice = "auto",
        timeout_s: float = TIMEOUT_S,
        viewer: Viewer | None = None,
        null_separated: bool = False,
    ) -> Generator[Row, None, None]:
        """Yields one row for each input, or for each of its windows, in input order.

        Decoding runs ahead while the network computes.

        Args:
            viewer: sees frames too.
            null_separated: paths on standard input and in lists end with NUL instead of a line break.
        """
        sources = iter_sources(_names(inputs), null_separated=null_separated)
        yield from self.rows_of(sources, workers=workers, reader=reader, timeout_s=timeout_s, viewer=viewer)

    def rows_of(
        self,
        sources: Iterable[Source],
        *,
        workers: int | Auto = "auto",
        reader: ReaderChoice = "auto",
        timeout_s: float = TIMEOUT_S,
        viewer: Viewer | None = None,
    ) -> Generator[Row, None, None]:
        """Yields one row for each source, as `rows` does; sources are taken a few ahead, by another thread."""
        from mvit_cli.media.workers.pool import DecodePool

        paths: deque[str] = deque()  # of what the pool has taken and not given back yet

        def jobs() -> Iterator[DecodeRequest | MediaError]:
            for number, source in enumerate(sources):
                paths.append(source.path)
                detail = viewer.wanted(number) if viewer else "none"
                yield source.error or self._request(source, reader, detail)

        def items(outcomes: Iterable[Outcome | Lull]) -> Iterator[Item | Lull]:
            for outcome in outcomes:
                if outcome is LULL:
                    yield LULL
                else:
                    yield Item(paths.popleft() if is_last(outcome) else paths[0], outcome)

        with DecodePool(workers, timeout_s) as pool, closing(pool.imap_with_lulls(jobs())) as outcomes:
            for item in scored(self.scorer, groups(items(outcomes), lambda: self.scorer.batch_size)):
                row = self._row(item)
                if viewer:
                    viewer.look(row, None if isinstance(item.outcome, MediaError) else item.outcome.pictures)
                yield row

    def _request(self, source: Source, reader: ReaderChoice, pictures: Detail) -> DecodeRequest:
        recipe = self.recipe
        return DecodeRequest(
            source.path,
            recipe.sampling,
            recipe.transform,
            recipe.views.clips,
            recipe.views.crops,
            reader,
            recipe.stills,
            pictures,
            recipe.windows,
            source.first_window,
        )

    def _row(self, item: Item) -> Row:
        if isinstance(item.outcome, MediaError):
            return self._error_row(item.path, item.outcome, window_of(item.outcome))
        if isinstance(item.scores, MediaError):
            return self._error_row(item.path, item.scores, item.outcome.window)
        assert item.scores is not None
        predictions = prediction_list(item.scores, self.recipe.labels, self.top)
        warnings = [*self.notes, *item.outcome.warnings, *item.news]
        return ok_row(item.path, self.run, item.outcome, predictions, warnings, item.model_ms)

    def _error_row(self, path: str, error: MediaError, window: Window | None) -> Row:
        return error_row(path, error, window, in_windows=self.recipe.windows is not None)


def input_counter(names: list[str], *, null_separated: bool = False) -> Callable[[], int] | None:
    """What counts the inputs that names stand for; None where standard input or a pipe tells them, but only once."""
    if all(os.path.isfile(name[1:]) if name.startswith("@") else name != "-" for name in names):
        return lambda: sum(1 for _ in iter_sources(names, null_separated=null_separated))
    return None


def _names(inputs: Inputs) -> list[str] | Iterator[str]:
    """The inputs as `iter_sources` takes them: a single name is no sequence of letters."""
    if isinstance(inputs, str | os.PathLike):
        return [os.fspath(inputs)]
    return (os.fspath(name) for name in inputs)
