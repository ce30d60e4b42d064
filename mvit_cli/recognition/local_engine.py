"""Files -> rows: sources, decoding in worker processes, the network, a row for each input or window in input order."""

import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mvit_cli.checkpoints.cards import Card
from mvit_cli.errors import MediaError
from mvit_cli.media.request import (
    LULL,
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
from mvit_cli.recognition.options import PredictOptions
from mvit_cli.recognition.recipe import Recipe
from mvit_cli.recognition.rows import about_part, error_row, ok_row, prediction_list, told_of
from mvit_cli.recognition.scoring import Scorer
from mvit_cli.records import Row, Run, Summary

if TYPE_CHECKING:
    from mvit_cli.media.workers.pool import DecodePool
    from mvit_cli.model import MViT
    from mvit_cli.recognition.tracked import Boxes

Sources = Iterable[Source]
Inputs = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


def no_pictures(number: int) -> Detail:
    """For rows that nobody wants to see pictures of."""
    return "none"


@dataclass(frozen=True, kw_only=True)
class Opened(ABC):
    """A network that is ready for files, wherever it runs, and what all rows of it share.

    Attributes:
        options: what the run was asked for.
        recipe: how files are shown to it.
        run: what all rows share.
        notes: what every row's `warnings` begin with.
        summary: the object of `mvit summarize`.
        batch_size: views that go through together, at the start.
        card: what is known of the weights, if they were published.
    """

    options: PredictOptions
    recipe: Recipe
    run: Run
    notes: tuple[str, ...]
    summary: Summary
    batch_size: int
    card: Card | None = None

    @property
    def most_listed(self) -> int:
        """Classes that a row has at most."""
        threshold = self.options.threshold
        if threshold is None:
            return self.options.top
        classes = self.summary["num_classes"]
        if not threshold or self.recipe.activation == "sigmoid":
            return classes
        return max(1, min(classes, int(1.001 / threshold)))  # scores sum to 1, but for rounding

    @abstractmethod
    def rows(
        self, sources: Sources, wanted: Callable[[int], Detail] = no_pictures
    ) -> "Generator[tuple[Row, Pictures | None], None, None]":
        """Yields one row for each source, or for each of its windows, in their order, with the pictures of its file.

        Args:
            wanted: which pictures to make of a source, numbered from 0; asked ahead, from another thread.
        """


@dataclass(frozen=True, kw_only=True)
class LocalEngine(Opened):
    """The local engine: the network in this process, decoding in processes of its own.

    Attributes:
        scorer: the network with its weights on a device.
        plain: the network as the papers have it, with the same weights, for whoever looks into it; None: another
            runtime has it.
        started: workers that were started before the network was loaded, of whoever closes them; None: none.
    """

    scorer: Scorer
    plain: "MViT | None" = None
    started: "DecodePool | None" = None

    def predict(self, inputs: Inputs, boxes: "Boxes | None" = None) -> Generator[Row, None, None]:
        """Yields one row for each input, or for each of its windows or tracks, in input order."""
        with closing(self.rows(sources_of(inputs, boxes))) as seen:
            for row, _ in seen:
                yield row

    def rows(
        self,
        sources: Sources,
        wanted: Callable[[int], Detail] = no_pictures,
        pool: "DecodePool | None" = None,
    ) -> "Generator[tuple[Row, Pictures | None], None, None]":
        """Yields one row for each source, or for each of its windows, in their order, with the pictures of its file.

        Args:
            wanted, pool: as of `items`.
        """
        with closing(self.items(sources, wanted, pool)) as items:
            for item in items:
                yield self.row_of(item), None if isinstance(item.outcome, MediaError) else item.outcome.pictures

    def items(
        self,
        sources: Sources,
        wanted: Callable[[int], Detail] = no_pictures,
        pool: "DecodePool | None" = None,
        *,
        whole: bool = False,
    ) -> Generator[Item, None, None]:
        """Yields what was decoded and computed for each source, or for each of its windows, in their order.

        Decoding runs ahead while the network computes: another thread takes sources, a few ahead.

        Args:
            wanted: which pictures to make of a source, numbered from 0; asked by that thread.
            pool: workers of the caller's, which stay; none: started for this, and ended with it.
            whole: whether the frames that the crops are of are wanted too.
        """
        taken: deque[Source] = deque()  # what the pool has taken and not given back yet

        def jobs() -> Iterator[DecodeRequest | MediaError]:
            for number, source in enumerate(sources):
                taken.append(source)
                yield source.error or replace(self.request_for(source, wanted(number)), whole=whole)

        def items(outcomes: Iterable[Outcome | Lull]) -> Iterator[Item | Lull]:
            for outcome in outcomes:
                if outcome is LULL:
                    yield LULL
                else:
                    source = taken.popleft() if is_last(outcome) else taken[0]
                    yield Item(source.path, outcome, source.part, track=source.track)

        with (
            nullcontext(pool) if pool else self.decode_pool() as workers,
            closing(workers.imap_with_lulls(jobs())) as outcomes,
        ):
            waits = self.options.deterministic
            yield from scored(self.scorer, groups(items(outcomes), lambda: self.scorer.batch_size, whole=waits))

    def decode_pool(self) -> "DecodePool":
        """The worker processes that were asked for; the first may have started, others start when files come."""
        return self.started or decode_pool(self.options)

    def request_for(self, source: Source, pictures: Detail) -> DecodeRequest:
        """How a source is to be decoded."""
        return request_for(self.recipe, source, self.options.reader, pictures)

    def row_of(self, item: Item) -> Row:
        """What is said of one outcome."""
        return about_part(self._row_of(item), item.part)

    def _row_of(self, item: Item) -> Row:
        if isinstance(item.outcome, MediaError):
            return self._error_row(item, item.outcome, window_of(item.outcome))
        if isinstance(item.scores, MediaError):
            return self._error_row(item, item.scores, item.outcome.window)
        assert item.scores is not None
        predictions = prediction_list(item.scores, self.recipe.labels, self.options.top, self.options.threshold)
        warnings = [*self.notes, *item.outcome.warnings, *item.news]
        row = ok_row(item.path, self.run, item.outcome, predictions, warnings, item.model_ms)
        return told_of(item.path, item.track, row)

    def _error_row(self, item: Item, error: MediaError, window: Window | None) -> Row:
        row = error_row(item.path, error, window, in_windows=self.recipe.windows is not None)
        return told_of(item.path, item.track, row)


def decode_pool(options: PredictOptions) -> "DecodePool":
    """The worker processes that are asked for."""
    from mvit_cli.media.workers.pool import DecodePool

    return DecodePool(options.workers, options.timeout_s)


def request_for(
    recipe: Recipe, source: Source, reader: ReaderChoice = "auto", pictures: Detail = "none"
) -> DecodeRequest:
    """How a source is decoded for a network of this recipe."""
    return DecodeRequest(
        source.address or source.path,
        recipe.sampling,
        recipe.transform,
        recipe.views.clips,
        recipe.views.crops,
        reader,
        recipe.stills,
        pictures,
        recipe.windows,
        source.first_window,
        source.part,
        member=source.member,
        track=source.track,
    )


def sources_of(inputs: Inputs, boxes: "Boxes | None" = None) -> Iterator[Source]:
    """The files that the inputs stand for, as they are asked for, or their tracks."""
    if boxes is None:
        return iter_sources(_names(inputs))
    names = list(_names(inputs)) or boxes.names
    boxes.check_inputs(names)
    return boxes.sources(iter_sources(names))


def _names(inputs: Inputs) -> list[str] | Iterator[str]:
    """The inputs as `iter_sources` takes them: a single name is no sequence of letters."""
    if isinstance(inputs, str | os.PathLike):
        return [os.fspath(inputs)]
    return (os.fspath(name) for name in inputs)
