"""One pass of files through the pool: who decodes what, what is late, what is lost, and in which order it comes out."""

from __future__ import annotations

import math
import queue
import signal
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mvit_cli.errors import MediaError, MViTError
from mvit_cli.media.request import is_last
from mvit_cli.media.workers.outbox import Outbox
from mvit_cli.media.workers.process import Job, job_for
from mvit_cli.media.workers.worker import READY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mvit_cli.media.request import DecodeRequest, Outcome
    from mvit_cli.media.workers.pool import DecodePool
    from mvit_cli.media.workers.process import WorkerProcess

# Pixels that wait for an earlier file before no later one is begun.
BUFFER_BYTES = 1 << 30
# Windows of one file that wait to be read before its decoding rests.
WINDOWS_AHEAD = 4
STARTS = 3
# A worker that was killed from outside is no fault of its file: it gets a second one.
TRIES = 2


@dataclass(frozen=True)
class _Arrival:
    number: int
    job: DecodeRequest | MediaError


@dataclass(frozen=True)
class _End:
    count: int
    failure: BaseException | None


class _Feeder:
    """A thread that pulls jobs as room is made for them, so that a slow input never holds finished rows back."""

    def __init__(self, jobs: Iterable[DecodeRequest | MediaError], room: int, events: queue.SimpleQueue[Any]) -> None:
        self._jobs, self._events = jobs, events
        self._room = threading.Semaphore(room)
        self._stopped = False
        threading.Thread(target=self._feed, daemon=True).start()

    def make_room(self) -> None:
        self._room.release()

    def stop(self) -> None:
        self._stopped = True
        self._room.release()

    def _feed(self) -> None:
        jobs = iter(self._jobs)
        number, failure = 0, None
        try:
            while self._room.acquire() and not self._stopped:
                self._events.put((self, _Arrival(number, next(jobs))))
                number += 1
        except StopIteration:
            pass
        except BaseException as error:
            failure = error
        finally:
            if hasattr(jobs, "close"):
                jobs.close()
        self._events.put((self, _End(number, failure)))


class Run:
    """One pass of jobs through a pool, which serves one pass at a time."""

    def __init__(self, pool: DecodePool, jobs: Iterable[DecodeRequest | MediaError]) -> None:
        self._pool = pool
        # Those with the workers, and a few that are done and wait for an earlier one.
        self._feeder = _Feeder(jobs, pool.slots * pool.size + 4, pool.events)
        self._waiting: deque[Job] = deque()
        self._done = Outbox()
        self._end: _End | None = None
        self._failed_starts = 0

    def outcomes(self) -> Iterator[Outcome | None]:
        """Yields what each job gave, in their order, and None where the next is not there yet and is waited for."""
        while True:
            while outcome := self._done.take():
                if is_last(outcome):
                    self._feeder.make_room()
                self._let_go_on()
                self._catch_up()
                self._hand_out()  # the reader may be away for long: workers have as much to do as they can take
                yield outcome
            if self._end is not None and self._end.count == self._done.next:
                if self._end.failure is not None:
                    raise self._end.failure
                return
            self._hand_out()
            if self._pool.events.empty():
                yield None
            self._listen()
            self._end_late_ones()

    def stop(self) -> None:
        """Ends what is still under way."""
        self._feeder.stop()
        for worker in [worker for worker in self._pool.workers if worker.jobs]:
            self._pool.dismiss(worker)

    def _hand_out(self) -> None:
        while self._waiting:
            if self._done.num_bytes > BUFFER_BYTES and self._waiting[0].number != self._done.next:
                return
            worker = self._pool.free_worker()
            if worker is None:
                return
            worker.send(self._waiting.popleft())

    def _let_go_on(self) -> None:
        """Lets workers put their next window in, as long as not too many of the file wait."""
        for worker in self._pool.workers:
            if worker.rests and self._done.count(worker.jobs[0][0].number) < WINDOWS_AHEAD:
                worker.go_on()

    def _listen(self) -> None:
        """Waits for something to happen, at most until a worker is late, and takes in all that has happened.

        All of it: whoever reads the outcomes may have been away for long, and a worker is late only if it has not
        answered since.
        """
        now = time.monotonic()
        left_s = min((worker.deadline() - now for worker in self._pool.workers), default=math.inf)
        wait_s = max(0.0, min(left_s, 60.0)) if self._pool.workers else None
        with suppress(queue.Empty):
            self._dispatch(*self._pool.events.get(timeout=wait_s))
        self._catch_up()

    def _catch_up(self) -> None:
        """Takes in all that has happened, without waiting."""
        with suppress(queue.Empty):
            while True:
                self._dispatch(*self._pool.events.get_nowait())

    def _dispatch(self, sender: Any, message: Any) -> None:
        if sender is self._feeder:
            self._take(message)
        elif sender in self._pool.workers:  # and not one that was ended
            self._hear(sender, message)

    def _take(self, message: _Arrival | _End) -> None:
        if isinstance(message, _End):
            self._end = message
        elif isinstance(message.job, MediaError):
            self._done.put(message.number, message.job)
        else:
            self._waiting.append(job_for(message.number, message.job, self._pool.timeout_s))

    def _hear(self, worker: WorkerProcess, message: Any) -> None:
        if message is None:
            self._bury(worker)
        elif message == READY:
            self._failed_starts = 0
            worker.begin()
        else:
            job, outcome = worker.take_answer(message)
            if outcome is not None:
                self._done.put(job.number, outcome)
            self._let_go_on()

    def _bury(self, worker: WorkerProcess) -> None:
        """A worker has ended by itself: its file is to blame, unless it had not begun or was killed from outside."""
        code, last_words = self._pool.dismiss(worker)
        jobs = [job for job, _ in worker.jobs]
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts == STARTS:
                raise MViTError(
                    f"the processes that decode do not start: {last_words or f'exit code {code}'}",
                    "use --workers 0 to decode in the main process",
                )
        elif jobs:
            jobs[0].crashes += 1
            error = _obituary(code, last_words)
            if jobs[0].crashes == TRIES or error.kind != "crash":
                self._give_up(jobs.pop(0), error)
        self._waiting.extendleft(reversed(jobs))

    def _end_late_ones(self) -> None:
        now = time.monotonic()
        for worker in [worker for worker in self._pool.workers if worker.deadline() <= now]:
            if not worker.ready:
                self._bury(worker)
                continue
            self._pool.dismiss(worker)
            late, *rest = (job for job, _ in worker.jobs)
            message = f"decoding took longer than {late.limit_s:.4g} s"
            self._give_up(late, MediaError("timeout", message, "give it more time with --timeout"))
            self._waiting.extendleft(reversed(rest))

    def _give_up(self, job: Job, error: MediaError) -> None:
        self._done.put(job.number, job.lost(error))


def _obituary(code: int, last_words: str) -> MediaError:
    """Returns the error of a file whose worker ended with an exit code, and wrote its last words."""
    hint = "the file is damaged; convert it, or try --reader av"
    said = f": {last_words}" if last_words else ""
    if any(sign in last_words for sign in ("bad_alloc", "MemoryError", "annot allocate memory")):
        return MediaError("memory", f"decoding needs more memory than there is{said}", "scale the file down")
    if code < 0:
        name = signal.Signals(-code).name
        if name == "SIGALRM":
            return MediaError("timeout", "decoding took too long", "give it more time with --timeout")
        return MediaError("crash", f"the decoder crashed ({name}{said})", hint)
    return MediaError("crash", f"the decoder ended with exit code {code}{said}", hint)
