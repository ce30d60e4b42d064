"""One connection to a stream, seen from the program: a process that reads it, asked for what its newest frames show."""

import contextlib
import json
import math
import os
import queue
import subprocess
import threading
import time
from dataclasses import replace
from typing import Any

from mvit_cli.errors import MediaError, MViTError
from mvit_cli.live.address import Address
from mvit_cli.live.capture import Told
from mvit_cli.live.grabber import told_text
from mvit_cli.live.ring import Seen
from mvit_cli.media.guards import MEMORY_BYTES
from mvit_cli.media.request import Decoded, DecodeRequest
from mvit_cli.media.workers.process import START_S, last_line, start
from mvit_cli.media.workers.shared import Slot, anonymous_file
from mvit_cli.media.workers.wire import outcome_of, parsed, read_frame, shape_of, write_frame

STDIN = 0


class SystemClock:
    """The clock that this program and the process that reads share."""

    def now(self) -> float:
        """Seconds since the machine started."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Waits."""
        if seconds > 0:
            time.sleep(seconds)


def told_for(address: Address, request: DecodeRequest, *, span_s: float | None = None, realtime: bool = False) -> Told:
    """What the process is told of a stream."""
    return Told(address.url, address.format, address.options, request, span_s, realtime=realtime)


class Connection:
    """A process that has a stream open.

    Args:
        told: what to watch.
        timeout_s: seconds to wait for the stream, and for a frame of it.
        base_s: where its first frame stands on the time line.

    Raises:
        MediaError: it cannot be opened, or does not answer in time.
        MViTError: the process does not start.
    """

    module = "mvit_cli.live.grabber"

    def __init__(self, told: Told, timeout_s: float, base_s: float = 0.0) -> None:
        self._timeout_s, self._request = timeout_s, told.request
        self._answers: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._asked = 0
        self._words, self._slot = anonymous_file(), Slot()
        # The process has a standard input of its own, by which it is asked: ours gets another number.
        descriptor = None if told.url else os.dup(STDIN)
        try:
            self._process = self._started(descriptor)
        except OSError as error:
            self._words.close()
            self._slot.close()
            reason = error.strerror or str(error)
            raise MViTError(f"the process that reads the stream does not start: {reason}") from error
        finally:
            if descriptor is not None:
                os.close(descriptor)
        self._ear = threading.Thread(target=self._listen, daemon=True)
        self._ear.start()
        try:
            self._answer(START_S, "the process that reads it did not start")
            url = told.url if descriptor is None else f"pipe:{descriptor}"
            self._say(told_text(replace(told, url=url, base_s=base_s)))
            told_so = self._answer(timeout_s, f"it did not answer in {timeout_s:g} s")
            if told_so["says"] == "error":
                raise outcome_error(told_so)
        except BaseException:
            self.close()
            raise

    def _started(self, descriptor: int | None) -> "subprocess.Popen[bytes]":
        also = () if descriptor is None else (descriptor,)
        return start(self.module, [self._slot.handle], MEMORY_BYTES, self._words, also)

    def newest(self, after: int, every_s: float) -> Seen | None:
        """As of `watching.Feed`."""
        self._asked += 1
        self._say(json.dumps({"ask": self._asked, "after": after, "every_s": every_s}).encode())
        told = self._answer(self._timeout_s, f"no new frame came in {self._timeout_s:g} s")
        try:
            if told.get("number") != self._asked:
                raise ValueError("an answer that nobody asked for")
            if told["says"] == "error":
                raise outcome_error(told)
            return None if told["says"] == "alive" else self._seen(told)
        except (KeyError, TypeError, ValueError) as error:  # it is no longer ours
            raise MediaError("crash", "the process that reads it gave no sense") from error

    def _seen(self, told: dict[str, Any]) -> Seen:
        place = shape_of(told, math.prod(self._request.pixels_shape))
        if place is None:
            raise ValueError("no pixels")
        decoded = outcome_of(told, self._slot.array(*place).copy())
        assert isinstance(decoded, Decoded)
        from_s, end_s, arrived_s, fps = (float(told[name]) for name in ("from_s", "end_s", "arrived_s", "fps"))
        return Seen(decoded, int(told["newest"]), from_s, end_s, arrived_s, int(told["dropped"]), fps)

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=10)
        self._ear.join(timeout=1)
        for pipe in (self._process.stdin, self._process.stdout, self._words):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
        self._slot.close()

    def _say(self, text: bytes) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # that it has ended is heard
            write_frame(self._process.stdin.fileno(), text)

    def _answer(self, wait_s: float, late: str) -> dict[str, Any]:
        """The next thing that the process says.

        Raises:
            MediaError: it says nothing in time, or has ended.
        """
        try:
            told = self._answers.get(timeout=wait_s)
        except queue.Empty:
            raise MediaError("timeout", late, "check what sends it; --timeout gives it more time") from None
        if told is None:
            words = last_line(self._words)
            raise MediaError("crash", "the process that reads it has ended" + (f": {words}" if words else ""))
        return told

    def _listen(self) -> None:
        assert self._process.stdout is not None
        try:
            while True:
                self._answers.put(parsed(read_frame(self._process.stdout.fileno())))
        except (EOFError, OSError, ValueError):
            self._answers.put(None)


def outcome_error(told: dict[str, Any]) -> MediaError:
    """The error that an answer tells."""
    error = outcome_of({"window": None, **told}, None)
    if not isinstance(error, MediaError):
        raise TypeError("no error")
    return error
