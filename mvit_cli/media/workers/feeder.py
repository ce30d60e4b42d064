"""The thread that pulls jobs for a pool."""

import queue
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mvit_cli.errors import MediaError
from mvit_cli.media.request import DecodeRequest


@dataclass(frozen=True)
class Arrival:
    """A job, and its place in the input."""

    number: int
    job: DecodeRequest | MediaError


@dataclass(frozen=True)
class End:
    """There are no more jobs: how many there were, and what went wrong with the next."""

    count: int
    failure: BaseException | None


class Feeder:
    """A thread that pulls jobs as room is made for them, so that a slow input never holds finished rows back."""

    def __init__(self, jobs: Iterable[DecodeRequest | MediaError], room: int, events: queue.SimpleQueue[Any]) -> None:
        self._jobs, self._events = jobs, events
        self._room = threading.Semaphore(room)
        self._stopped = False
        threading.Thread(target=self._feed, daemon=True).start()

    def make_room(self) -> None:
        """Lets one more job be pulled."""
        self._room.release()

    def stop(self) -> None:
        """Ends the thread as soon as the jobs let it."""
        self._stopped = True
        self._room.release()

    def _feed(self) -> None:
        jobs = iter(self._jobs)
        number, failure = 0, None
        try:
            while self._room.acquire() and not self._stopped:
                self._events.put((self, Arrival(number, next(jobs))))
                number += 1
        except StopIteration:
            pass
        except BaseException as error:
            failure = error
        finally:
            if hasattr(jobs, "close"):
                jobs.close()
        self._events.put((self, End(number, failure)))
