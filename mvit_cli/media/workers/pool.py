"""Many files through worker processes: in input order, with a time and memory limit for each, whatever the files are.

A worker that crashes, hangs or eats memory costs its own file one row and no other. Decoding runs ahead of whoever
reads the rows, but only so far.
"""

from __future__ import annotations

import os
import queue
from contextlib import closing
from typing import TYPE_CHECKING, Any, Literal

from mvit_cli.errors import MediaError
from mvit_cli.media.windows import outcomes_of
from mvit_cli.media.workers.process import SLOTS, SMALL_FILES_AHEAD, WorkerProcess
from mvit_cli.media.workers.run import Run

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from mvit_cli.media.request import DecodeRequest, Outcome

TIMEOUT_S = 60.0
MEMORY_BYTES = 4 << 30
# FFmpeg and Pillow keep what they once took; a fresh process starts from nothing.
FILES_A_WORKER = 2000
MAX_AUTO_WORKERS = 16


def workers_auto() -> int:
    """Returns half of the processors this process may use, 1 to 16: the network wants the others."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(usable // 2, MAX_AUTO_WORKERS))


class DecodePool:
    """Worker processes that start when files come, and stay.

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
        self.events: queue.SimpleQueue[tuple[Any, Any]] = queue.SimpleQueue()
        self.workers: list[WorkerProcess] = []
        self.slots = max(SLOTS, SMALL_FILES_AHEAD // max(1, self.size))
        self._memory_bytes = memory_bytes

    def imap(self, jobs: Iterable[DecodeRequest | MediaError]) -> Generator[Outcome, None, None]:
        """Yields one outcome for each job, or one for each of its windows, in their order.

        A job that is an error already comes out as it is, in its place. Jobs are pulled by a thread, a few ahead of
        what is yielded; an exception they raise comes out in its place. Ending the generator early ends the work.

        Raises:
            MViTError: the worker processes do not start.
        """
        with closing(self.imap_with_lulls(jobs)) as outcomes:
            yield from (outcome for outcome in outcomes if outcome is not None)

    def imap_with_lulls(self, jobs: Iterable[DecodeRequest | MediaError]) -> Generator[Outcome | None, None, None]:
        """As `imap`, and yields None where the next outcome is not there yet, before it waits for it."""
        if self.size == 0:
            for job in jobs:
                for outcome in [job] if isinstance(job, MediaError) else outcomes_of(job):
                    if outcome is not None:
                        yield outcome
                        yield None
            return
        run = Run(self, jobs)
        try:
            yield from run.outcomes()
        finally:
            run.stop()

    def free_worker(self) -> WorkerProcess | None:
        """Returns a worker for one more job: an idle one, a new one, or one that has room; else None."""
        for worker in [worker for worker in self.workers if worker.done >= FILES_A_WORKER and not worker.jobs]:
            self.dismiss(worker)
        usable = [worker for worker in self.workers if worker.done + len(worker.jobs) < FILES_A_WORKER]
        best = min(usable, key=lambda worker: len(worker.jobs), default=None)
        if best is not None and not best.jobs:
            return best
        if len(self.workers) < self.size:
            self.workers.append(WorkerProcess(self.events, self.worker_module, self._memory_bytes, self.slots))
            return self.workers[-1]
        return best if best is not None and best.has_room() else None

    def dismiss(self, worker: WorkerProcess) -> tuple[int, str]:
        """Ends a worker; returns its exit code and its last words."""
        self.workers.remove(worker)
        return worker.end()

    def close(self) -> None:
        """Ends all workers; the pool can be used again."""
        while self.workers:
            self.dismiss(self.workers[-1])

    def __enter__(self) -> DecodePool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
