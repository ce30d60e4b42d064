"""A process that is asked, and answers, one thing after the other: what writes a video, and what reads a stream."""

import contextlib
import queue
import subprocess
import threading
import time
from collections.abc import Sequence
from typing import Any

from mvit_cli.errors import MediaError
from mvit_cli.media.guards import MEMORY_BYTES
from mvit_cli.media.workers.process import last_line, start
from mvit_cli.media.workers.shared import anonymous_file
from mvit_cli.media.workers.wire import parsed, read_frame, write_frame


class Conversation:
    """Starts `main` of a module as a program of its own, with the limits of a decoding worker; close it.

    Args:
        module: whose `main` the process runs.
        does: what it does with the file, in words of an error: `reads it`.
        handles: of slots.
        also: descriptors that it inherits.

    Attributes:
        process: the one that was started.

    Raises:
        OSError: it does not start.
    """

    def __init__(self, module: str, does: str, handles: Sequence[int | str] = (), also: Sequence[int] = ()) -> None:
        self._does = does
        self._answers: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._words = anonymous_file()
        try:
            self.process = start(module, list(handles), MEMORY_BYTES, self._words, also)
        except OSError:
            self._words.close()
            raise
        self._ear = threading.Thread(target=self._listen, daemon=True)
        self._ear.start()

    def say(self, text: bytes) -> None:
        """Tells the process something; that it has ended is heard with the next answer."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            write_frame(self.process.stdin.fileno(), text)

    def answer(self, until_s: float, late: str, hint: str) -> dict[str, Any]:
        """The next thing that the process says.

        Args:
            until_s: on the clock of `time.monotonic`.
            late, hint: of the error where it says nothing until then.

        Raises:
            MediaError: it says nothing in time, or has ended.
        """
        try:
            told = self._answers.get(timeout=max(0.0, until_s - time.monotonic()))
        except queue.Empty:
            raise MediaError("timeout", late, hint) from None
        if told is None:
            words = last_line(self._words)
            raise MediaError("crash", f"the process that {self._does} has ended" + (f": {words}" if words else ""))
        return told

    def nonsense(self) -> MediaError:
        """The error of an answer that no process of ours would give."""
        return MediaError("crash", f"the process that {self._does} gave no sense")

    def close(self) -> None:
        """Ends the process."""
        self.process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=10)
        self._ear.join(timeout=1)
        for pipe in (self.process.stdin, self.process.stdout, self._words):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]

    def _listen(self) -> None:
        assert self.process.stdout is not None
        try:
            while True:
                self._answers.put(parsed(read_frame(self.process.stdout.fileno())))
        except (EOFError, OSError, ValueError):
            self._answers.put(None)
