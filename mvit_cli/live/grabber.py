"""The process that reads one stream: it keeps the newest frames and answers what they show. See `feed.Connection`.

Two threads besides the one that answers: one reads packets as they come, one decodes them. Where decoding falls behind,
packets up to the newest key frame are left out, and counted.

    {"open": {...}, "now": ...}                  to the process: what to watch
    {"ask": 7, "after": 120, "every_s": 1.0}     to the process: what do the newest frames show?
    {"says": "ready"}                            it has started; then once more: the stream is open
    {"says": "decoded", "number": 7, ...}        what they show, pixels by shared memory; see `workers/wire.py`
    {"says": "alive", "number": 7, "ended": true}    nothing more comes
    {"says": "error", "number": 7, "error": [kind, message, hint]}
"""

import json
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mvit_cli.errors import MediaError
from mvit_cli.live.capture import Capture, Told, opened, paced
from mvit_cli.live.ring import Frame, Seen
from mvit_cli.media.decode import failure_of
from mvit_cli.media.workers.shared import Slot
from mvit_cli.media.workers.wire import job_of, packed, read_frame
from mvit_cli.media.workers.worker import say, set_up

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream

# Packets that wait to be decoded; then the sender waits.
MOST_WAITING = 4096


@dataclass(frozen=True)
class Ask:
    """What is asked of the process: number, newest frame known, seconds between rows."""

    number: int
    after: int
    every_s: float


class Grabber:
    """The threads that read and decode, and what they share."""

    def __init__(self, capture: Capture) -> None:
        self._capture, self._told = capture, capture.told
        self._waiting: deque[tuple[Packet[VideoStream] | None, float]] = deque()
        self._packets = threading.Condition()
        self._frames = threading.Condition()  # and the lock of the ring
        self._error: MediaError | None = None
        self._ended = False

    def start(self) -> None:
        """Starts both threads."""
        for work in (self._read, self._decode):
            threading.Thread(target=work, daemon=True).start()

    def seen(self, ask: Ask, slot: Slot) -> Seen | MediaError | None:
        """Waits for what the newest frames show; None: no more comes."""
        ring = self._capture.ring
        with self._frames:
            while True:
                if ring.is_ready(ask.after, time.monotonic(), ask.every_s, ended=self._ended):
                    return ring.seen(ask.every_s, slot.array)
                if self._error:
                    return self._error
                if self._ended:
                    return None
                self._frames.wait(1.0)

    def _read(self) -> None:
        try:
            packets = self._capture.packets()
            for packet, arrived_s in paced(packets, time.monotonic, time.sleep, realtime=self._told.realtime):
                with self._packets:
                    self._packets.wait_for(lambda: len(self._waiting) < MOST_WAITING)
                    self._waiting.append((packet, arrived_s))
                    self._packets.notify_all()
        except Exception as error:
            self._fail(error)
        with self._packets:
            self._waiting.append((None, time.monotonic()))
            self._packets.notify_all()

    def _decode(self) -> None:
        try:
            while (taken := self._next()) is not None:
                self._show(self._capture.take(*taken, is_late=self._is_late))
            self._show(self._capture.finish())
        except Exception as error:
            self._fail(error)
        with self._frames:
            self._ended = True
            self._frames.notify_all()

    def _show(self, frames: Iterator[Frame]) -> None:
        for frame in frames:
            with self._frames:
                self._capture.ring.add(frame)
                self._frames.notify_all()

    def _is_late(self, arrived_s: float) -> bool:
        return time.monotonic() - arrived_s > self._told.behind_s

    def _next(self) -> "tuple[Packet[VideoStream], float] | None":
        """The next packet to decode; None at the end."""
        with self._packets:
            self._packets.wait_for(lambda: bool(self._waiting))
            count = to_leave_out(
                [(packet is not None and packet.is_keyframe, arrived_s) for packet, arrived_s in self._waiting],
                time.monotonic() - self._told.behind_s,
            )
            for _ in range(count):
                self._waiting.popleft()
            packet, arrived_s = self._waiting.popleft()
            self._packets.notify_all()
        if count:
            with self._frames:
                self._capture.skip(count)
        return None if packet is None else (packet, arrived_s)

    def _fail(self, error: Exception) -> None:
        with self._frames:
            self._error = failure_of(error, "")


def to_leave_out(waiting: list[tuple[bool, float]], before_s: float) -> int:
    """How many packets at the head of the line are left out: those before the newest key frame, where the line is old.

    Args:
        waiting: whether each is a key frame, and when it came.
        before_s: a packet that came before this is old.
    """
    if waiting[0][1] >= before_s:
        return 0
    return max((place for place, (is_key, _) in enumerate(waiting) if is_key), default=0)


def main() -> None:
    """Reads the stream that it is told of until nobody asks any more."""
    asked_from, answers_to, (slot,) = set_up(_load_libraries)
    told = told_of(read_frame(asked_from)[0])
    asks: queue.SimpleQueue[Ask] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(asked_from, asks), daemon=True).start()
    try:
        capture = Capture(told, *opened(told))
    except Exception as error:
        _answer(answers_to, 0, failure_of(error, ""))
        os._exit(0)
    grabber = Grabber(capture)
    grabber.start()
    say(answers_to, {"says": "ready"})
    while True:
        ask = asks.get()
        _answer(answers_to, ask.number, grabber.seen(ask, slot))


def told_text(told: Told) -> bytes:
    """The text of a frame that says what to watch: the request crosses as a job does."""
    from dataclasses import asdict

    return json.dumps({**asdict(told), "number": 0, "slot": 0, "limit_s": 0.0}).encode()


def told_of(text: bytes) -> Told:
    """What such a frame says."""
    said, job = json.loads(text), job_of(text)
    assert isinstance(job, tuple)
    names = ("url", "format", "options", "span_s", "base_s", "realtime", "behind_s")
    return Told(request=job[2], **{name: said[name] for name in names})


def _answer(answers_to: int, number: int, outcome: Seen | MediaError | None) -> None:
    if outcome is None:
        say(answers_to, {"says": "alive", "number": number, "ended": True})
        return
    text = json.loads(packed(number, outcome.decoded if isinstance(outcome, Seen) else outcome)[0])
    if isinstance(outcome, Seen):
        for name in ("newest", "from_s", "end_s", "arrived_s", "dropped", "fps"):
            text[name] = getattr(outcome, name)
    say(answers_to, text)


def _receive(asked_from: int, asks: "queue.SimpleQueue[Ask]") -> None:
    """Ends the process as soon as nobody asks any more, also while it waits for the stream."""
    try:
        while True:
            said = json.loads(read_frame(asked_from)[0])
            asks.put(Ask(said["ask"], said["after"], said["every_s"]))
    finally:
        os._exit(0)


def _load_libraries() -> None:
    """Loads what decoding needs before memory is limited."""
    import av
    import numpy
    from PIL import Image

    Image.init()
    del av, numpy


if __name__ == "__main__":
    main()
