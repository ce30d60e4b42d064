"""How long a transfer is waited for, and where a redirect may lead."""

import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from mvit_cli.addresses import redacted, why_astray
from mvit_cli.checkpoints.fetch.place import check_url
from mvit_cli.errors import DownloadError, tell

CONNECT_S = 3.5
"""Name resolution and connection together: a machine without network is answered within 5 s."""
FIRST_ANSWER_S = 30.0
"""First response of a server that is there: a mirror may have to fetch the file first. `$HF_HUB_ETAG_TIMEOUT`."""
READ_S = 30.0
"""From one piece of a body to the next. `$HF_HUB_DOWNLOAD_TIMEOUT`."""

T = TypeVar("T")


def first_answer_s() -> float:
    """Seconds until a server's first response."""
    return _seconds("HF_HUB_ETAG_TIMEOUT", FIRST_ANSWER_S)


def read_s() -> float:
    """Seconds until the next piece of a body."""
    return _seconds("HF_HUB_DOWNLOAD_TIMEOUT", READ_S)


def first_answer(url: str, call: Callable[[], T]) -> T:
    """The result of `call`, which asks `url`. Who does not even connect is given up before who is slow to answer.

    Raises:
        TimeoutError: nobody is there, or nothing was answered in time.
    """
    limit = first_answer_s()
    reached = threading.Event()
    threading.Thread(target=_connect, args=(url, reached), daemon=True).start()
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # carried over to the waiting thread
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)  # resolving a host's name knows no time limit of its own
    thread.start()
    thread.join(min(CONNECT_S, limit))
    if thread.is_alive() and reached.is_set() and limit > CONNECT_S:
        tell(f"{redacted(url)} is there but slow to answer: waiting up to {limit:g} s")
        thread.join(limit - CONNECT_S)
    else:
        limit = min(CONNECT_S, limit)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError(f"no answer within {limit:g} s")
    return results[0]


def refuse_astray(asked: str, led_to: str) -> None:
    """Stops a redirect to where a first address may not lead, from https to http, or from outside into this network.

    Raises:
        DownloadError: names both places, without credentials.
    """
    try:
        check_url(led_to)
    except ValueError as error:
        raise DownloadError(f"{redacted(asked)} leads astray: {error}", "do not use this address") from None
    wrong = why_astray(asked, led_to) if urlsplit(asked).scheme == "https" else ""
    if not wrong:
        return
    raise DownloadError(f"{redacted(asked)} leads astray: url {redacted(led_to)!r} {wrong}", "do not use this address")


def _seconds(name: str, usual: float) -> float:
    try:
        given = float(os.environ.get(name, ""))
    except ValueError:
        return usual
    return given if 0 < given < 86400 else usual


def _connect(url: str, reached: threading.Event) -> None:
    parts = urlsplit(url)
    host = parts.hostname or ""
    proxy = None if proxy_bypass(host) else getproxies().get(parts.scheme)
    with suppress(OSError, ValueError):
        place = urlsplit(proxy if "://" in proxy else f"http://{proxy}") if proxy else parts
        port = place.port or (443 if place.scheme == "https" else 80)
        with socket.create_connection((place.hostname or "", port), CONNECT_S):
            reached.set()
