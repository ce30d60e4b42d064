"""Files -> rows: sources, decoding in worker processes, the network, a row for each input or window in input order."""

import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Literal, Protocol

from mvit_cli.checkpoints.cards import Card
from mvit_cli.errors import MediaError, MViTError, first_line
from mvit_cli.media.protocol import (
    DecodeRequest,
    Detail,
    Outcome,
    Pictures,
    ReaderChoice,
    Window,
    is_last,
    window_of,
)
from mvit_cli.media.sources import Source, iter_sources
from mvit_cli.recognition.recipe import Recipe
from mvit_cli.recognition.rows import Row, error_row, ok_row, prediction_list
from mvit_cli.recognition.scoring import Scorer

Auto = Literal["auto"]
Inputs = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]

TIMEOUT_S = 60.0


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
    summary: Row
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
        from mvit_cli.media.pool import DecodePool

        paths: deque[str] = deque()  # of what the pool has taken and not given back yet

        def jobs() -> Iterator[DecodeRequest | MediaError]:
            for number, source in enumerate(sources):
                paths.append(source.path)
                detail = viewer.wanted(number) if viewer else "none"
                yield source.error or self._request(source, reader, detail)

        with DecodePool(workers, timeout_s) as pool, closing(pool.imap(jobs())) as outcomes:
            for outcome in outcomes:
                row = self._row(paths.popleft() if is_last(outcome) else paths[0], outcome)
                if viewer:
                    viewer.look(row, None if isinstance(outcome, MediaError) else outcome.pictures)
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

    def _row(self, path: str, outcome: Outcome) -> Row:
        """The row of one outcome: whatever fails in it is its own row's error, unless the device itself fails."""
        if isinstance(outcome, MediaError):
            return self._error_row(path, outcome, window_of(outcome))
        started = time.perf_counter()
        try:
            scores = self.scorer.scores(outcome.pixels)
        except MediaError as error:
            return self._error_row(path, error, outcome.window)
        except Exception as error:
            if "CUDA error" in str(error):
                raise MViTError(f"the GPU failed: {first_line(error)}", "run again, or use --device cpu") from error
            failure = MediaError("internal", f"{type(error).__name__}: {first_line(error)}")
            return self._error_row(path, failure, outcome.window)
        model_ms = (time.perf_counter() - started) * 1000
        warnings = [*self.notes, *outcome.warnings, *self.scorer.take_news()]
        return ok_row(
            path, self.run, outcome, prediction_list(scores, self.recipe.labels, self.top), warnings, model_ms
        )

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
