"""When the next row is due, and which frames no row has shown although a row in time would have.

No clock and no stream in here: times come in, times go out.

    moments of rows     begin, begin + every_s, begin + 2 every_s, ...
    a row at t          shows the frames in (t - span_s, t]
    a machine too slow  misses moments; then the next row begins as soon as the last one is done, with the newest frames

So the newest frame of a row is at most one gap between frames old when its pass begins, and the lag is that and one
pass of the network, however slow the network is: nothing ever waits in a line.
"""

import math
from collections.abc import Iterable

# Of seconds that were added up.
ROUNDING_S = 1e-6


class Pacer:
    """Moments of rows on a grid.

    Args:
        every_s: seconds from one moment to the next.
    """

    def __init__(self, every_s: float) -> None:
        self.every_s = every_s
        self._begin_s: float | None = None
        self._next_s = -math.inf

    def wait_s(self, now_s: float) -> float:
        """Seconds until the next row is due; 0 where it is."""
        return max(0.0, self._next_s - now_s)

    def begin(self, now_s: float) -> None:
        """A row begins: the next is due at the first moment after this, and those that have passed are left out."""
        if self._begin_s is None:
            self._begin_s = now_s
        passed = math.floor((now_s - self._begin_s + ROUNDING_S) / self.every_s)
        self._next_s = self._begin_s + (passed + 1) * self.every_s


def unseen(times_s: Iterable[float], last_end_s: float, shown_s: tuple[float, float], every_s: float) -> int:
    """How many frames between two rows a row on time would have shown and none did.

    Where rows on time would leave no gap, that is all of them. Where they would, the moments that were missed are laid
    evenly between the two rows, whose ends are off their own moments by up to a frame.

    Args:
        times_s: when frames appear.
        last_end_s: end of what the last row showed.
        shown_s: begin and end of what the new one shows.
        every_s: seconds between rows.
    """
    from_s, end_s = shown_s
    span_s, between_s = end_s - from_s, end_s - last_end_s
    between = [time_s for time_s in times_s if last_end_s - ROUNDING_S <= time_s < from_s - ROUNDING_S]
    if every_s <= span_s + ROUNDING_S:
        return len(between)
    hop_s = between_s / max(1, round(between_s / every_s))
    ends_s = (last_end_s + (math.floor((time_s - last_end_s) / hop_s) + 1) * hop_s for time_s in between)
    return sum(end - time_s <= span_s and end < end_s - hop_s / 2 for time_s, end in zip(between, ends_s, strict=True))
