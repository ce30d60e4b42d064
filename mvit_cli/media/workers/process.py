"""One worker process, seen from the pool: start it, hand it files, hear its answers and its last words."""

import contextlib
import errno
import json
import math
import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import IO, Any

from mvit_cli.errors import MediaError, MViTError, at_most
from mvit_cli.media.opening import absolute
from mvit_cli.media.remote.drivers import variables_for
from mvit_cli.media.request import AT_WORK, AtWork, DecodeRequest, LostWindowError, Outcome, is_last, window_of
from mvit_cli.media.workers.shared import Slot, anonymous_file
from mvit_cli.media.workers.wire import outcome_of, packed_job, packed_leave, parsed, read_frame, shape_of, write_frame

# Files that a worker has at most: one being decoded and the next, which waits in the worker.
SLOTS = 2
# Files that all workers have together, where pixels are few: pictures fill a batch while the network computes.
SMALL_FILES_AHEAD = 16
SMALL_BYTES = 2 << 20
TAIL_BYTES = 4096
# Reading a file of this size from a slow disk is worth a second more.
BYTES_A_SECOND = 100_000_000
START_S = 120.0
# What loaders, Python, languages and temporary folders need. Whole names: a beginning such as LANG or HOME lets keys of
# other programs through (LANGSMITH_API_KEY, HOMEBREW_GITHUB_API_TOKEN).
# fmt: off
KEPT_VARIABLES = frozenset({
    "PATH", "HOME", "TMPDIR", "TMP", "TEMP", "TZ", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_MESSAGES",
    "LC_NUMERIC", "LC_TIME", "LC_COLLATE", "LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH",
    "DYLD_FALLBACK_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES", "GLIBC_TUNABLES", "PYTHONHOME",
    "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "PYTHONNOUSERSITE", "PYTHONPLATLIBDIR", "VIRTUAL_ENV",
    "CONDA_PREFIX", "SYSTEMROOT", "WINDIR", "SYSTEMDRIVE", "COMSPEC", "USERPROFILE", "APPDATA", "LOCALAPPDATA",
    "NUMBER_OF_PROCESSORS", "PROCESSOR_ARCHITECTURE",
})
# fmt: on


@dataclass
class Job:
    """One file on its way through the pool.

    Attributes:
        number: its place in the input.
        request: what to decode; of a file in windows, what is left to decode.
        limit_s: seconds it may take; of a file in windows, each of them.
        crashes: workers it has ended so far, since its last window.
        duration_s: of the file, once a window has told it.
    """

    number: int
    request: DecodeRequest
    limit_s: float
    crashes: int = 0
    duration_s: float | None = None

    def note(self, outcome: Outcome) -> None:
        """Takes an outcome into account: what a next worker need not do again."""
        if window := window_of(outcome):
            self.request = replace(self.request, first_window=window.number + 1)
            self.duration_s, self.crashes = window.duration_s, 0

    def lost(self, error: MediaError) -> MediaError:
        """The outcome of what is left of the file where that is given up."""
        if self.request.windows is None or self.duration_s is None:
            return error
        return self.request.windows.lost_from(self.request.first_window, self.duration_s, error)


def job_for(number: int, request: DecodeRequest, timeout_s: float) -> Job:
    """Makes a job whose path holds in any folder and whose time limit grows with the file."""
    path = absolute(request.path)
    size = 0
    with contextlib.suppress(OSError, ValueError):
        size = os.stat(path).st_size
    limit_s = timeout_s + size / BYTES_A_SECOND
    return Job(number, replace(request, path=path, limit_s=limit_s, variables=variables_for(path)), limit_s)


class WorkerProcess:
    """A decoding process. Its messages come into `events` as `(worker, message)`; None when it has ended.

    Args:
        events: where messages go.
        module: whose `main` the process runs.
        memory_bytes: memory one file may take.
        slots: files it may have, if their pixels are few.
        now: the clock that tells when it is late.
    """

    def __init__(
        self,
        events: queue.SimpleQueue[Any],
        module: str,
        memory_bytes: int,
        slots: int,
        now: Callable[[], float],
    ) -> None:
        self._now = now
        self.slots: list[Slot] = []
        self.jobs: deque[tuple[Job, int]] = deque()
        self.ready = False
        self.rests = False
        self.done = 0
        self._most_bytes = 0  # of pixels that a file of it gave
        self._since = self._now()  # start of the process, then of the first job
        with contextlib.ExitStack() as opened:
            try:
                self._words = opened.enter_context(anonymous_file())
                for _ in range(slots):
                    self.slots.append(Slot())
                    opened.callback(self.slots[-1].close)
                self._process = start(module, [slot.handle for slot in self.slots], memory_bytes, self._words)
            except OSError as error:
                reason = error.strerror or str(error)
                raise MViTError(f"the processes that decode do not start: {reason}", _next_step(error)) from error
            opened.pop_all()
        self._ear = threading.Thread(target=self._listen, args=(events,), daemon=True)
        self._ear.start()

    def has_room(self) -> bool:
        """Whether it may be given one more job: how many depends on what files have turned out to be."""
        are_small = 0 < self._most_bytes <= SMALL_BYTES
        return len(self.jobs) < (len(self.slots) if are_small else SLOTS)

    def send(self, job: Job) -> None:
        """Gives the process a job; call only while it has room."""
        slot = next(slot for slot in range(len(self.slots)) if slot not in (busy for _, busy in self.jobs))
        if not self.jobs and self.ready:
            self._since = self._now()
        self.jobs.append((job, slot))
        self._tell(packed_job(job.number, slot, job.request, job.limit_s))

    def go_on(self) -> None:
        """Lets the process put the next window of its file into the place of the last one."""
        self.rests = False
        self._since = self._now()
        self._tell(packed_leave(self.jobs[0][0].number))

    def _tell(self, text: bytes) -> None:
        assert self._process.stdin is not None
        # A process that has just ended is noticed by its silence.
        with contextlib.suppress(OSError):
            write_frame(self._process.stdin.fileno(), text)

    def begin(self) -> None:
        """The process has started: the time of its first job runs from now."""
        self.ready = True
        self._since = self._now()

    def deadline(self) -> float:
        """When the process is late, on its clock."""
        if not self.ready:
            return self._since + START_S
        return self._since + self.jobs[0][0].limit_s if self.jobs and not self.rests else math.inf

    def take_answer(self, answer: dict[str, Any]) -> tuple[Job, Outcome | AtWork]:
        """The job and what it gave, with pixels of its own; AT_WORK: only that it is still at it.

        After the last outcome of a job the next job begins; after pixels before it the process rests until `go_on`.

        Raises:
            ValueError: it is no answer to that job.
        """
        job, slot = self.jobs[0] if self.jobs else (None, 0)
        if job is None or answer.get("number") != job.number:
            raise ValueError("an answer that nobody asked for")
        self._since = self._now()
        if answer["says"] == "alive":
            return job, AT_WORK
        pixels, refused = None, False
        place = shape_of(answer, math.prod(job.request.pixels_shape))
        if place:
            try:
                pixels = self.slots[slot].array(*place).copy()
                self._most_bytes = max(self._most_bytes, pixels.nbytes)
            except (MemoryError, OSError):  # of this process, which the network shares
                refused = True
        outcome = outcome_of(answer, pixels)
        if refused:
            error = MediaError("memory", "there is no memory for its pixels", "use fewer --workers or smaller batches")
            window = window_of(outcome)
            outcome = LostWindowError(error, window) if window else error
        job.note(outcome)
        if is_last(outcome):
            self.rests = False
            self.jobs.popleft()
            self.done += 1
        elif place:
            self.rests = True
        return job, outcome

    def end(self) -> tuple[int, str]:
        """Kills the process if it lives; returns its exit code and its last words, a line of printable characters."""
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=10)  # a process that waits for a dead disk cannot be ended
        self._ear.join(timeout=1)
        last_words = last_line(self._words)
        for pipe in (self._process.stdin, self._process.stdout, self._words):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
        for slot in self.slots:
            slot.close()
        return -9 if self._process.returncode is None else self._process.returncode, last_words

    def _listen(self, events: queue.SimpleQueue[Any]) -> None:
        assert self._process.stdout is not None
        try:
            while True:
                events.put((self, parsed(read_frame(self._process.stdout.fileno()))))
        except ValueError:  # nothing that a worker of ours would say
            self._process.kill()
        except (EOFError, OSError):
            pass
        finally:
            self._process.wait()
            events.put((self, None))


def last_line(words: IO[bytes]) -> str:
    """The last line of what a process has written, in printable characters."""
    size = words.seek(0, os.SEEK_END)
    words.seek(max(0, size - TAIL_BYTES))
    lines = [line for line in words.read(TAIL_BYTES).decode(errors="replace").splitlines() if line.strip()]
    last = "".join(letter if letter.isprintable() else " " for letter in lines[-1]) if lines else ""
    return at_most(last.strip())


def _next_step(error: OSError) -> str:
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return "raise the limit of open files (`ulimit -n 4096`), or use fewer --workers"
    return "use fewer --workers, or --workers 0 to decode in the main process"


def _environment() -> dict[str, str]:
    """What a worker may know of this program's environment: no token and no password is of use to it."""
    kept = {name: value for name, value in os.environ.items() if name.upper() in KEPT_VARIABLES}
    # One thread of arithmetic a worker: there are as many workers as are wanted. One heap: another takes 64 MB of
    # what a file may have, or not, as it happens.
    return {**kept, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}


def start(
    module: str, handles: list[int | str], memory_bytes: int, words: IO[bytes], also: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """Starts `main` of a module as a program of its own, with this program's search path.

    Args:
        handles: of slots.
        memory_bytes: what it may take beside what it has at its start.
        words: where it writes what nobody asked for.
        also: descriptors that it inherits.
    """
    settings = json.dumps({"slots": handles, "memory_bytes": memory_bytes})
    # "" is the folder of this moment; entries that are no folders belong to import hooks.
    places = [os.path.abspath(place) if not place or os.path.isdir(place) else place for place in sys.path]
    program = f"import sys; sys.path[:] = {places!r}; from {module} import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", program, settings],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=words,
        # A buffered pipe that a thread waits on cannot be closed: the interpreter would abort at its end.
        bufsize=0,
        env=_environment(),
        pass_fds=[*(handle for handle in handles if isinstance(handle, int)), *also],
    )
