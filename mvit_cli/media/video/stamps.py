"""When frames are shown: the time stamps of packets in decoding order, made a time line that only goes forward."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FALLBACK_FPS = 25.0
# Without a pause between them, reordered stamps fall back by fewer usual steps than these.
REORDERED_STEPS = 32
# Packets between which the order of decoding may differ from that of display.
REORDERED = 16
# Stamps in a row that may be out of line with those on both sides of them.
STRAYS = 2
# Places in display order within which a frame without a stamp is looked for, about its neighbour in decoding order.
REACH = 8
# Stamps of transport and program streams begin anew after so many ticks.
WRAP_TICKS = 1 << 33


@dataclass(frozen=True, eq=False)
class TimeLine:
    """The frames of a stream in display order.

    Attributes:
        pts: `(frames,)` int64, ascending, repeats allowed: the stamps that the decoder's output carries; None where
            some are missing, or the count starts anew, so that only their number tells frames apart.
        ticks: `(frames,)` float64, strictly ascending: when each frame appears, in the stream's time base.
    """

    pts: "NDArray[np.int64] | None"
    ticks: "NDArray[np.float64]"


def time_line(stamps: Sequence[int | None], *, wraps: bool, anew: Collection[int] = ()) -> TimeLine | None:
    """Keeps every stamp that is usable; None where there is none at all.

    Repeats are nudged apart, missing ones set between their neighbours, strays are taken as missing; after a real
    restart stamps go on where the ones before it end.

    Args:
        stamps: in decoding order.
        wraps: whether the container's stamps begin anew after 2^33 ticks.
        anew: numbers of the packets before which the stamps of decoding fall back: even a short fall is a restart.
    """
    import numpy as np

    known = np.array([stamp for stamp in stamps if stamp is not None], dtype=np.int64)
    if not len(known):
        return None
    step = _usual_step(known)
    if len(known) == len(stamps) and not anew and not _falls_back(known, step):
        pts = np.sort(known)
        return TimeLine(pts, _apart(pts.astype(np.float64), step))
    whole = _in_line(stamps, step, wraps=wraps, anew=anew)
    if None not in whole and whole == list(stamps):
        pts = np.sort(known)
        return TimeLine(pts, _apart(pts.astype(np.float64), step))
    named = np.array([stamp for stamp in whole if stamp is not None], dtype=np.float64)
    if len(named) == len(stamps):
        return TimeLine(None, _apart(np.sort(named), step))
    return TimeLine(None, _filled(whole, np.sort(named), step))


def _usual_step(known: "NDArray[np.int64]") -> float:
    import numpy as np

    steps = np.diff(np.sort(known))
    steps = steps[steps > 0]
    return float(np.median(steps)) if len(steps) else 1.0


def _falls_back(known: "NDArray[np.int64]", step: float) -> bool:
    import numpy as np

    return bool(np.any(np.maximum.accumulate(known) - known > REORDERED_STEPS * step))


def _in_line(stamps: Sequence[int | None], step: float, *, wraps: bool, anew: Collection[int]) -> list[float | None]:
    """Moves what follows a restart behind what precedes it, and drops strays; in decoding order.

    Frames that are decoded before others they are shown after make stamps fall back as well, over a pause by far: then
    the stamps soon reach their height again, and the low one is near one before it.
    """
    line: list[float | None] = []
    run: list[float] = []  # since the last restart
    known = [stamp for stamp in stamps if stamp is not None]
    number, shift = 0, 0.0
    for place, stamp in enumerate(stamps):
        if stamp is None:
            line.append(None)
            continue
        reach, ahead = (0.0, STRAYS) if place in anew else (REORDERED_STEPS * step, REORDERED)
        coming = known[number : number + REORDERED]
        number += 1
        value = stamp + shift
        recent = run[-REORDERED:]
        top = max(recent, default=value)
        if top - value > reach:
            goes_on = any(later + shift > top - reach for later in coming[1 : ahead + 1])
            in_line = any(abs(value - other) <= REORDERED_STEPS * step for other in recent)
            if in_line and not goes_on and sum(other > value + reach for other in recent) <= STRAYS:
                line = [*line[:-REORDERED], *(_at_most(other, value + reach) for other in line[-REORDERED:])]
                run = [other for other in run if other <= value + reach]
            elif goes_on and not in_line:
                line.append(None)  # it alone fell back
                continue
            elif not goes_on:
                follows = top + step - min(coming)
                wrapped = wraps and abs(shift + WRAP_TICKS - follows) < WRAP_TICKS / 1000
                shift, run = shift + WRAP_TICKS if wrapped else follows, []
                value = stamp + shift
        line.append(value)
        run.append(value)
    return line


def _at_most(value: float | None, limit: float) -> float | None:
    return None if value is None or value > limit else value


def _filled(line: Sequence[float | None], named: "NDArray[np.float64]", step: float) -> "NDArray[np.float64]":
    """Gives every frame without a stamp the gap of about two steps nearest to its neighbour in decoding order."""
    import numpy as np

    times = list(_apart(named, step))
    neighbour = times[0] - step
    for value in line:
        if value is not None:
            neighbour = value
            continue
        near = int(np.searchsorted(times, neighbour))
        low, high = max(0, near - REACH), min(len(times) - 1, near + REACH)
        gaps = [(abs(times[at + 1] - times[at] - 2 * step), abs(at - near), at) for at in range(low, high)]
        fits = [gap for gap in gaps if times[gap[2] + 1] - times[gap[2]] > 1.5 * step]
        if near >= len(times) - 1 or (not fits and not gaps):
            times.append(times[-1] + step)
            neighbour = times[-1]
            continue
        at = min(fits or gaps)[2]
        times.insert(at + 1, times[at] + min(step, (times[at + 1] - times[at]) / 2))
        neighbour = times[at + 1]
    return np.array(times)


def _apart(ticks: "NDArray[np.float64]", step: float) -> "NDArray[np.float64]":
    """Sets repeats between their stamp and the next one, a usual step apart at most."""
    import numpy as np

    values, first, counts = np.unique(ticks, return_index=True, return_counts=True)
    if len(values) == len(ticks):
        return ticks
    room = np.append(np.diff(values), np.inf)
    pace = np.minimum(step, room / counts)
    later = np.arange(len(ticks)) - np.repeat(first, counts)
    return np.asarray(ticks + later * np.repeat(pace, counts), dtype=np.float64)


def frame_rate(times_s: "NDArray[np.float64]", announced: Sequence[float]) -> tuple[float, bool]:
    """The frames a second and whether they vary.

    A rate is constant where every frame stands within half a frame of its place; then a rate that the file announces is
    taken where it drifts by less than a quarter of a frame over the file, because the measured one carries the rounding
    of the time stamps. Where the rate varies the median interval counts: a pause must not slow the rest down.

    Args:
        times_s: `(frames,)`, ascending, the first 0.
        announced: rates from the file's header, the most trusted first.
    """
    import numpy as np

    count = len(times_s)
    if count < 2 or times_s[-1] <= 0:
        return plausible(announced), False
    measured = (count - 1) / float(times_s[-1])
    off = np.abs(times_s * measured - np.arange(count)).max()
    if off >= 0.5:
        steps = np.diff(times_s)
        return 1 / float(np.median(steps[steps > 0])), True
    for rate in announced:
        if abs(rate / measured - 1) * count < 0.25:
            return rate, False
    return measured, False


def plausible(rates: Sequence[float]) -> float:
    return next((rate for rate in rates if 0.01 <= rate <= 1000), FALLBACK_FPS)
