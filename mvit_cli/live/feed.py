"""One connection to a stream, seen from the program: a process that reads it, asked for what its newest frames show."""

import json
import math
import os
import time
from dataclasses import replace
from typing import Any

from mvit_cli.errors import MediaError, MViTError
from mvit_cli.live.address import Address
from mvit_cli.live.capture import Told
from mvit_cli.live.grabber import told_text
from mvit_cli.live.ring import Seen
from mvit_cli.media.request import Decoded, DecodeRequest
from mvit_cli.media.workers.conversation import Conversation
from mvit_cli.media.workers.process import START_S
from mvit_cli.media.workers.shared import Slot
from mvit_cli.media.workers.wire import outcome_of, shape_of

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
        self._asked = 0
        self._slot = Slot()
        # The process has a standard input of its own, by which it is asked: ours gets another number.
        descriptor = None if told.url else os.dup(STDIN)
        try:
            also = () if descriptor is None else (descriptor,)
            self._talk = Conversation(self.module, "reads it", [self._slot.handle], also)
        except OSError as error:
            self._slot.close()
            reason = error.strerror or str(error)
            raise MViTError(f"the process that reads the stream does not start: {reason}") from error
        finally:
            if descriptor is not None:
                os.close(descriptor)
        try:
            self._answer(START_S, "the process that reads it did not start")
            url = told.url if descriptor is None else f"pipe:{descriptor}"
            self._talk.say(told_text(replace(told, url=url, base_s=base_s)))
            told_so = self._answer(timeout_s, f"it did not answer in {timeout_s:g} s")
            if told_so["says"] == "error":
                raise outcome_error(told_so)
        except BaseException:
            self.close()
            raise

    def newest(self, after: int, every_s: float) -> Seen | None:
        """As of `watching.Feed`."""
        self._asked += 1
        self._talk.say(json.dumps({"ask": self._asked, "after": after, "every_s": every_s}).encode())
        told = self._answer(self._timeout_s, f"no new frame came in {self._timeout_s:g} s")
        try:
            if told.get("number") != self._asked:
                raise ValueError("an answer that nobody asked for")
            if told["says"] == "error":
                raise outcome_error(told)
            return None if told["says"] == "alive" else self._seen(told)
        except (KeyError, TypeError, ValueError) as error:  # it is no longer ours
            raise self._talk.nonsense() from error

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
        self._talk.close()
        self._slot.close()

    def _answer(self, wait_s: float, late: str) -> dict[str, Any]:
        return self._talk.answer(time.monotonic() + wait_s, late, "check what sends it; --timeout gives it more time")


def outcome_error(told: dict[str, Any]) -> MediaError:
    """The error that an answer tells."""
    error = outcome_of({"window": None, **told}, None)
    if not isinstance(error, MediaError):
        raise TypeError("no error")
    return error
