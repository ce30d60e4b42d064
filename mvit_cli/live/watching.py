"""From a stream to rows: one row every so often on the newest frames, again and again, also after the stream was away.

The stream, the network and the clock are handed in, so that all of this can be seen without any of them.
"""

import math
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

from mvit_cli.errors import MediaError, MViTError
from mvit_cli.live.pacing import Pacer
from mvit_cli.live.ring import Seen
from mvit_cli.media.request import Decoded
from mvit_cli.records import Prediction

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0


class Clock(Protocol):
    """Seconds that go on, and waiting for them."""

    def now(self) -> float:
        """Seconds since some moment."""

    def sleep(self, seconds: float) -> None:
        """Waits."""


class Feed(Protocol):
    """One connection to a stream."""

    def newest(self, after: int, every_s: float) -> Seen | None:
        """What the newest frames show, as soon as one came behind the frame of that number, by `Ring.is_ready`.

        Returns:
            None: the stream has ended.

        Raises:
            MediaError: it broke, or nothing came for too long.
        """

    def close(self) -> None:
        """Ends the connection."""


@dataclass(frozen=True)
class Scored:
    """What the network makes of some frames.

    Attributes:
        predictions: best first.
        warnings: what is not as it should be.
        model_ms: milliseconds it took.
    """

    predictions: list[Prediction]
    warnings: list[str]
    model_ms: float


@dataclass(frozen=True)
class Watched:
    """One row, as it is known before it is written.

    Attributes:
        dropped: frames since the last row that was given out which none has shown, because this machine is too slow.
        lag_s: from when the newest frame came to when its row was there.
        reconnects: how often the stream was away so far.
    """

    seen: Seen
    scored: Scored
    dropped: int
    lag_s: float
    reconnects: int


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is wanted of a stream.

    Attributes:
        name: what messages call it, without credentials.
        every_s: seconds between rows.
        min_score: rows whose best class has less are left out.
        on_change: of rows in a row with the same best class only the first is given out.
        most_rows: after so many it is enough.
        duration_s: after so many seconds from the first row on it is enough.
        retries: how often in a row it is tried again after the stream broke or ended; 0 where its end is its end.
        patient: whether that holds for the very first try too.
    """

    name: str
    every_s: float
    min_score: float = 0.0
    on_change: bool = False
    most_rows: float = math.inf
    duration_s: float = math.inf
    retries: float = 0
    patient: bool = False


class Choice:
    """Which rows are given out."""

    def __init__(self, min_score: float, on_change: bool) -> None:
        self._min_score, self._on_change = min_score, on_change
        self._last: str | None = None

    def takes(self, best: Prediction) -> bool:
        """Whether the row with this best class is one; a class that is back after a row below the score is a change."""
        label = best["label"] if best["score"] >= self._min_score else None
        before, self._last = self._last, label
        return label is not None and not (self._on_change and label == before)


def pause_s(failures: int) -> float:
    """Seconds to wait after so many failures in a row: each twice as long as the one before, up to a limit."""
    return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures - 1, 10))


class Watch:
    """Watches one stream.

    Args:
        connect: opens the stream; is told where on its time line the first frame will stand.
        score: the network. A MediaError of it ends the watch.
        tell: takes a line for people.
    """

    def __init__(
        self,
        connect: Callable[[float], Feed],
        score: Callable[[Decoded], Scored],
        asked: Asked,
        clock: Clock,
        tell: Callable[[str], None],
    ) -> None:
        self._connect, self._score, self._asked, self._clock, self._tell = connect, score, asked, clock, tell
        self._pacer = Pacer(asked.every_s)
        self._choice = Choice(asked.min_score, asked.on_change)
        self._begin_s: float | None = None  # when the first frame of the stream came
        self._rows = 0
        self._dropped = 0
        self._reconnects = 0
        self._failures = 0

    def rows(self) -> Generator[Watched, None, None]:
        """Yields rows until it is enough, or the stream has ended and does not come back.

        Raises:
            MViTError: the stream cannot be opened, or broke and did not come back.
        """
        while not self._is_enough():
            base_s = 0.0 if self._begin_s is None else self._clock.now() - self._begin_s
            error: MediaError | None = None
            try:
                with closing(self._connect(base_s)) as feed:
                    yield from self._of(feed)
            except MediaError as failure:
                error = failure
            if self._is_enough() or (error is None and not self._asked.retries):
                return
            self._wait_for_more(error)

    def _of(self, feed: Feed) -> Generator[Watched, None, None]:
        """The rows of one connection."""
        newest = 0
        while True:
            self._clock.sleep(min(self._pacer.wait_s(self._clock.now()), self._left_s()))
            if self._is_enough():
                return
            seen = feed.newest(newest, self._asked.every_s)
            if seen is None:
                return
            if self._begin_s is None:
                self._begin_s = seen.arrived_s - (seen.end_s - 1 / seen.fps)
            newest = seen.newest
            self._pacer.begin(self._clock.now())
            try:
                scored = self._score(seen.decoded)
            except MediaError as error:
                raise MViTError(f"{self._asked.name}: {error.message}", error.hint) from error
            self._failures = 0
            self._dropped += seen.dropped
            if self._choice.takes(scored.predictions[0]):
                self._rows += 1
                lag_s = self._clock.now() - seen.arrived_s
                yield Watched(seen, scored, self._dropped, lag_s, self._reconnects)
                self._dropped = 0

    def _left_s(self) -> float:
        if self._begin_s is None:
            return math.inf
        return max(0.0, self._begin_s + self._asked.duration_s - self._clock.now())

    def _is_enough(self) -> bool:
        return self._rows >= self._asked.most_rows or not self._left_s()

    def _wait_for_more(self, error: MediaError | None) -> None:
        asked, reason = self._asked, error.message if error else "the stream ended"
        self._failures += 1
        is_first = self._begin_s is None and not asked.patient
        if is_first or self._failures > asked.retries:
            tries = f", and {asked.retries:g} tries to reach it again failed" if self._failures > 1 else ""
            raise MViTError(f"{asked.name}: {reason}{tries}", (error and error.hint) or "check what sends it")
        wait_s = pause_s(self._failures)
        count = "" if math.isinf(asked.retries) else f" ({self._failures} of {asked.retries:g})"
        self._tell(f"{asked.name}: {reason}; trying again in {wait_s:g} s{count}")
        self._clock.sleep(min(wait_s, self._left_s()))
        self._reconnects += 1
