"""Many files through worker processes: in input order, with a time and memory limit for each, whatever the files are.

A worker that crashes, hangs or eats memory costs its own file one row and no other. Decoding runs ahead of whoever
reads the rows, but only so far.

All that the pool knows is changed by one thread, the one that reads the outcomes; the feeder and the ears of the
workers only put messages into one queue. So there is no lock here, and nothing happens while nobody reads.
"""

import atexit
import math
import os
import queue
import signal
import weakref
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, suppress
from typing import Any, Literal

from mvit_cli.errors import MediaError, MViTError
from mvit_cli.media.guards import MEMORY_BYTES
from mvit_cli.media.request import AT_WORK, LULL, TIMEOUT_S, DecodeRequest, Lull, Outcome, is_last
from mvit_cli.media.windows import outcomes_of
from mvit_cli.media.workers.feeder import Arrival, End, Feeder
from mvit_cli.media.workers.outbox import Outbox
from mvit_cli.media.workers.process import SLOTS, SMALL_FILES_AHEAD, Job, WorkerProcess, job_for
from mvit_cli.media.workers.stopwatch import Clock

# FFmpeg and Pillow keep what they once took; a fresh process starts from nothing.
FILES_A_WORKER = 2000
MAX_AUTO_WORKERS = 16
# Pixels that wait for an earlier file before no later one is begun.
BUFFER_BYTES = 1 << 30
# Windows of one file that wait to be read before its decoding rests.
WINDOWS_AHEAD = 4
STARTS = 3
# A worker that was killed from outside is no fault of its file: it gets a second one.
TRIES = 2
# Exit code of a worker that its own alarm has ended; none on Windows.
ALARM = -getattr(signal, "SIGALRM", math.inf)

_POOLS: "weakref.WeakSet[DecodePool]" = weakref.WeakSet()


def workers_auto() -> int:
    """Half of the processors this process may use, 1 to 16: the network wants the others."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(usable // 2, MAX_AUTO_WORKERS))


class DecodePool:
    """Worker processes that start when files come, and stay; one pass of files at a time goes through them.

    Args:
        workers: processes at most; 0 decodes in this process, without limits.
        timeout_s: seconds for one file, or for one window of it; a large file gets a second more for each 100 MB.
        memory_bytes: memory one file may take, where the system can limit it (Linux).
    """

    worker_module = "mvit_cli.media.workers.worker"

    def __init__(
        self,
        workers: int | Literal["auto"] = "auto",
        timeout_s: float = TIMEOUT_S,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        self.size = workers_auto() if workers == "auto" else workers
        if self.size < 0:
            raise ValueError(f"workers must be 0 or more, got {workers}")
        if not timeout_s > 0:
            raise ValueError(f"timeout_s must be more than 0, got {timeout_s}")
        self.timeout_s = timeout_s
        self.workers: list[WorkerProcess] = []
        self._slots = max(SLOTS, SMALL_FILES_AHEAD // max(1, self.size))
        self._memory_bytes = memory_bytes
        self._events: queue.SimpleQueue[tuple[Any, Any]] = queue.SimpleQueue()
        self._feeder: Feeder | None = None  # of the pass that is under way
        self._waiting: deque[Job] = deque()
        self._done = Outbox()
        self._end: End | None = None
        self._failed_starts = 0
        self._begun: DecodeRequest | None = None
        self._clock = Clock()
        self._process_id = os.getpid()
        _POOLS.add(self)

    def start(self, first: DecodeRequest | None = None) -> None:
        """Starts a first worker, which loads its libraries while the caller loads others; files come later.

        Args:
            first: what the next pass is going to begin with, if that is known: it is decoded meanwhile.
        """
        if not self.size or self.workers:
            return
        worker = self._free_worker()
        if worker and first:
            worker.send(job_for(0, first, self.timeout_s))
            self._begun = first

    def imap(self, jobs: Iterable[DecodeRequest | MediaError]) -> Generator[Outcome, None, None]:
        """Yields one outcome for each job, or one for each of its windows, in their order.

        A job that is an error already comes out as it is, in its place. Jobs are pulled by a thread, a few ahead of
        what is yielded; an exception they raise comes out in its place. Ending the generator early ends the work.

        Raises:
            MViTError: the worker processes do not start.
        """
        with closing(self.imap_with_lulls(jobs)) as outcomes:
            yield from (outcome for outcome in outcomes if outcome is not LULL)

    def imap_with_lulls(self, jobs: Iterable[DecodeRequest | MediaError]) -> Generator[Outcome | Lull, None, None]:
        """As `imap`, and yields LULL where the next outcome is not there yet, before it waits for it."""
        if self.size == 0:
            yield from _in_this_process(jobs)
            return
        self._begin(jobs)
        self._clock.start()
        try:
            yield from self._outcomes()
        finally:
            self._stop()

    def _begin(self, jobs: Iterable[DecodeRequest | MediaError]) -> None:
        self._waiting, self._done, self._end, self._failed_starts = deque(), Outbox(), None, 0
        # Those with the workers, and a few that are done and wait for an earlier one.
        self._feeder = Feeder(jobs, self._slots * self.size + 4, self._events)
        if self._begun:
            self._claim_begun()

    def _claim_begun(self) -> None:
        """Takes the first job for the one that was begun before, or ends its worker where it is another."""
        begun, self._begun = self._begun, None
        answers: list[tuple[Any, Any]] = []
        while (event := self._events.get())[0] is not self._feeder:
            answers.append(event)
        if not isinstance(event[1], Arrival) or event[1].job != begun:
            self._dismiss(self.workers[0])
            self._take(event[1])
        for answer in answers:
            self._dispatch(*answer)

    def _stop(self) -> None:
        """Ends what is still under way."""
        self._clock.stop()
        if self._feeder:
            self._feeder.stop()
        for worker in [worker for worker in self.workers if worker.jobs]:
            self._dismiss(worker)

    def _outcomes(self) -> Iterator[Outcome | Lull]:
        assert self._feeder is not None
        while True:
            while outcome := self._done.take():
                if is_last(outcome):
                    self._feeder.make_room()
                self._let_go_on()
                # Before the reader has it, who may be away for long: workers have as much to do as they can take.
                self._catch_up()
                self._hand_out()
                yield outcome
            if self._end is not None and self._end.count == self._done.next:
                if self._end.failure is not None:
                    raise self._end.failure
                return
            self._hand_out()
            if self._events.empty():
                yield LULL
            self._listen()
            self._end_late_ones()

    def _hand_out(self) -> None:
        while self._waiting:
            # The file whose turn it is must be begun whatever waits: only its outcomes let the others out.
            if self._done.num_bytes > BUFFER_BYTES and self._waiting[0].number != self._done.next:
                return
            worker = self._free_worker()
            if worker is None:
                return
            worker.send(self._waiting.popleft())

    def _free_worker(self) -> WorkerProcess | None:
        """A worker for one more job: an idle one, a new one, or one that has room; else None."""
        for worker in [worker for worker in self.workers if worker.done >= FILES_A_WORKER and not worker.jobs]:
            self._dismiss(worker)
        usable = [worker for worker in self.workers if worker.done + len(worker.jobs) < FILES_A_WORKER]
        best = min(usable, key=lambda worker: len(worker.jobs), default=None)
        if best is not None and not best.jobs:
            return best
        if len(self.workers) < self.size:
            limits = self._memory_bytes, self._slots
            self.workers.append(WorkerProcess(self._events, self.worker_module, *limits, self._clock.now))
            return self.workers[-1]
        return best if best is not None and best.has_room() else None

    def _let_go_on(self) -> None:
        """Lets workers put their next window in, as long as not too many of the file wait."""
        for worker in self.workers:
            if worker.rests and self._done.count(worker.jobs[0][0].number) < WINDOWS_AHEAD:
                worker.go_on()

    def _listen(self) -> None:
        """Waits for something to happen, at most until a worker is late, and takes in all that has happened.

        All of it: whoever reads the outcomes may have been away for long, and a worker is late only if it has not
        answered since.
        """
        now = self._clock.now()
        left_s = min((worker.deadline() - now for worker in self.workers), default=math.inf)
        wait_s = max(0.0, min(left_s, 60.0)) if self.workers else None
        with suppress(queue.Empty):
            self._dispatch(*self._events.get(timeout=wait_s))
        self._catch_up()

    def _catch_up(self) -> None:
        """Takes in all that has happened, without waiting."""
        with suppress(queue.Empty):
            while True:
                self._dispatch(*self._events.get_nowait())

    def _dispatch(self, sender: Any, message: Any) -> None:
        # Messages of workers that were ended, and of the feeder of an earlier pass, may still come: they are dropped.
        if sender is self._feeder:
            self._take(message)
        elif sender in self.workers:
            self._hear(sender, message)

    def _take(self, message: Arrival | End) -> None:
        if isinstance(message, End):
            self._end = message
        elif isinstance(message.job, MediaError):
            self._done.put(message.number, message.job)
        else:
            self._waiting.append(job_for(message.number, message.job, self.timeout_s))

    def _hear(self, worker: WorkerProcess, message: Any) -> None:
        if message is None:
            self._bury(worker)
        elif message["says"] == "ready":
            self._failed_starts = 0
            worker.begin()
        else:
            try:
                job, outcome = worker.take_answer(message)
            except ValueError:  # it is no longer ours
                self._bury(worker)
                return
            if outcome is not AT_WORK:
                self._done.put(job.number, outcome)
            if isinstance(outcome, MediaError) and outcome.kind == "memory":
                # What the file has left behind would be taken from the next one's share.
                self._dismiss(worker)
                self._waiting.extendleft(reversed([job for job, _ in worker.jobs]))
            self._let_go_on()

    def _bury(self, worker: WorkerProcess) -> None:
        """A worker has ended by itself: its file is to blame, unless it had not begun or was killed from outside."""
        is_late = worker.deadline() <= self._clock.now()
        code, last_words = self._dismiss(worker)
        jobs = [job for job, _ in worker.jobs]
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts == STARTS:
                raise MViTError(
                    f"the processes that decode do not start: {last_words or f'exit code {code}'}",
                    "use --workers 0 to decode in the main process",
                )
        elif jobs and (is_late or code != ALARM):  # its alarm ran on while all of us were stopped
            # Jobs behind the first were only waiting in the worker: they go back without blame.
            jobs[0].crashes += 1
            error = _obituary(code, last_words)
            if jobs[0].crashes == TRIES or error.kind != "crash":
                self._give_up(jobs.pop(0), error)
        self._waiting.extendleft(reversed(jobs))

    def _end_late_ones(self) -> None:
        now = self._clock.now()
        for worker in [worker for worker in self.workers if worker.deadline() <= now]:
            if not worker.ready:
                self._bury(worker)
                continue
            self._dismiss(worker)
            late, *rest = (job for job, _ in worker.jobs)
            message = f"decoding took longer than {late.limit_s:.4g} s"
            self._give_up(late, MediaError("timeout", message, "give it more time with --timeout"))
            self._waiting.extendleft(reversed(rest))

    def _give_up(self, job: Job, error: MediaError) -> None:
        self._done.put(job.number, job.lost(error))

    def _dismiss(self, worker: WorkerProcess) -> tuple[int, str]:
        """Ends a worker; returns its exit code and its last words."""
        self.workers.remove(worker)
        return worker.end()

    def close(self) -> None:
        """Ends all workers; the pool can be used again."""
        self._begun = None
        while self.workers:
            self._dismiss(self.workers[-1])

    def __enter__(self) -> "DecodePool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@atexit.register
def _close_all() -> None:
    """Ends the workers of iterators that were left in the middle; a forked child leaves them to its parent."""
    for pool in _POOLS:
        if pool._process_id == os.getpid():
            pool.close()


def _in_this_process(jobs: Iterable[DecodeRequest | MediaError]) -> Iterator[Outcome | Lull]:
    for job in jobs:
        for outcome in [job] if isinstance(job, MediaError) else outcomes_of(job):
            if outcome is not AT_WORK:
                yield outcome
                yield LULL  # nothing is decoded meanwhile: what is there must not wait for more


def _obituary(code: int, last_words: str) -> MediaError:
    """The error of a file whose worker ended with an exit code, and wrote its last words."""
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
