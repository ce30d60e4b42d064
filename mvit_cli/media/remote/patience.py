"""How often and how long a server is asked: what may pass is tried again, each time after a longer wait."""

import random
import socket
import ssl
import time
from collections.abc import Callable
from typing import TypeVar

from mvit_cli.errors import MediaError

ATTEMPTS = 5
"""In a row, without a byte between them."""
MOST_ATTEMPTS = 100
CONNECT_S = 10.0
READ_S = 20.0
"""From one piece of an answer to the next."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.2, 10.0

LATER = "try again later: with --resume --retry-errors only what failed is done again"

T = TypeVar("T")


class PassingError(Exception):
    """A failure that may pass.

    Args:
        reason: for people.
        wait_s: that the server asks for.
    """

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.reason, self.wait_s = reason, wait_s


class Patience:
    """The time that one file has, and how often what fails is tried.

    Args:
        limit_s: seconds for all of it.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._deadline = time.monotonic() + limit_s

    def left_s(self, most_s: float) -> float:
        """Seconds to wait for one thing.

        Raises:
            MediaError: timeout, where there are none left.
        """
        left = self._deadline - time.monotonic()
        if left <= 0:
            text = f"the server took longer than {self._limit_s:.4g} s to give what is needed of it"
            raise MediaError("timeout", text, "give it more time with --timeout")
        return min(most_s, left)

    def tried(self, action: Callable[[], T], progress: Callable[[], int] = lambda: 0, attempts: int = ATTEMPTS) -> T:
        """What `action` gives, which only reads, and goes on where it stopped.

        Args:
            progress: grows with what has been got.
            attempts: in a row.

        Raises:
            MediaError: it failed for good.
        """
        failed, wait_s, got = 0, FIRST_WAIT_S, progress()
        for _ in range(MOST_ATTEMPTS):
            try:
                return action()
            except PassingError as error:
                reason, asked_s = error.reason, error.wait_s
            except (TimeoutError, ConnectionError, ssl.SSLError, socket.gaierror, OSError) as error:
                reason, asked_s = _reason(error), 0.0
            self.left_s(1.0)
            if progress() > got:
                failed, wait_s, got = 0, FIRST_WAIT_S, progress()
            failed += 1
            if failed == attempts:
                break
            time.sleep(self.left_s(max(min(asked_s, LONGEST_WAIT_S), wait_s * random.uniform(0.5, 1.5))))
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        kind = "timeout" if reason.startswith("no answer") else "not_found"
        tried = "" if attempts == 1 else f" (tried {attempts} times)"
        raise MediaError(kind, f"{reason}{tried}", LATER)


def _reason(error: OSError) -> str:
    """Why a connection failed, in the system's words only: a library's message may quote an address.

    Raises:
        MediaError: it will not pass.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        text = f"the server's certificate is not trusted ({error.verify_message})"
        raise MediaError("not_found", text, "check the address, or name the authority with SSL_CERT_FILE") from error
    if isinstance(error, socket.gaierror) and error.errno != socket.EAI_AGAIN:
        raise MediaError("not_found", "there is no host of this name", "check the address and the network") from error
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return f"the server cannot be read: {(error.strerror or type(error).__name__).lower()}"
