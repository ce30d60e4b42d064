"""When a frame of a live stream is shown: by its own stamp where that can be believed, else by when it came."""

# A stamp further away than this from the one before is of another time line: a sender that began anew.
LEAP_S = 10.0
# Between two frames whose stamps and arrivals tell nothing.
LEAST_STEP_S = 0.001


class StreamTime:
    """Puts frames on one time line that only goes forward, in the order in which they are shown.

    Args:
        base_s: where the first frame stands: after a reconnection, the seconds since the stream began.
    """

    def __init__(self, base_s: float = 0.0) -> None:
        self._next_s = base_s
        self._time_s: float | None = None
        self._stamp_s: float | None = None
        self._arrived_s = 0.0

    def at(self, stamp_s: float | None, arrived_s: float) -> float:
        """Seconds since the stream began, later than those of the frame before.

        Args:
            stamp_s: what the stream says, on a time line of its own; None: nothing.
            arrived_s: when the frame came, on any clock.
        """
        if self._time_s is None:
            self._time_s = self._next_s
        else:
            step_s = -1.0 if stamp_s is None or self._stamp_s is None else stamp_s - self._stamp_s
            if not 0 < step_s <= LEAP_S:
                step_s = max(arrived_s - self._arrived_s, LEAST_STEP_S)
            self._time_s += step_s
        self._stamp_s, self._arrived_s = stamp_s, arrived_s
        return self._time_s
