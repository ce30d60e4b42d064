"""Time that does not run while this process is stopped: Ctrl-Z and a suspended machine make no file late."""

import threading
import time

TICK_S = 0.25
# A longer time between two ticks was no time of ours: even a busy machine lets a thread run more often.
STOPPED_S = 2.0


class Clock:
    """Seconds on a clock that a thread keeps ticking between `start` and `stop`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = time.monotonic()
        self._lost_s = 0.0
        self._stopped: threading.Event | None = None

    def now(self) -> float:
        """Seconds, as `time.monotonic` but for those that this process was stopped."""
        with self._lock:
            moment = time.monotonic()
            gap_s = moment - self._last
            if self._stopped and gap_s > STOPPED_S:
                self._lost_s += gap_s - TICK_S
            self._last = moment
            return moment - self._lost_s

    def start(self) -> None:
        self.now()
        stopped = self._stopped = threading.Event()
        threading.Thread(target=self._tick, args=(stopped,), daemon=True).start()

    def stop(self) -> None:
        if self._stopped:
            self._stopped.set()
            self._stopped = None

    def _tick(self, stopped: threading.Event) -> None:
        while not stopped.wait(TICK_S):
            self.now()
