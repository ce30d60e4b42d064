"""Files behind http and https: read by parts where the server can, else whole, and from nowhere that was not named.

The connection goes to the address that was checked, so a name that changes its mind leads nowhere else.
"""

import base64
import http.client
import ipaddress
import os
import re
import socket
import ssl
from collections.abc import Mapping
from functools import cache
from typing import IO, Any
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

from mvit_cli.addresses import lead_inside, places_of, redacted
from mvit_cli.errors import MediaError
from mvit_cli.media.content import MAX_COPY_BYTES, check_copy_size
from mvit_cli.media.remote.patience import CONNECT_S, READ_S, PassingError, Patience

REDIRECTS = (301, 302, 303, 307, 308)
MOST_REDIRECTS = 5
PASSING = (408, 425, 429, 500, 502, 503, 504)
PIECE_BYTES = 1 << 16
PRIVATE_HOSTS = "MVIT_PRIVATE_HOSTS"
_NUMBER = re.compile(r"[0-9]{1,15}")
# Letters of a path or a query that are sent as they stand there.
_AS_IT_IS = "/%:@!$&'()*+,;=~?-._"
# Names that no public name server knows.
INSIDE = (".local", ".localhost", ".localdomain", ".internal", ".lan", ".home.arpa", ".intranet", ".corp", ".svc")
PAGES = ("text/html", "application/xhtml+xml")
NO_RANGES = "the server does not give parts of files"


class HttpFile:
    """One file of a server.

    Args:
        address: as the user named it; user and password in it go to that host alone.
        patience: the time it has.

    Attributes:
        size: bytes, once `begin` has told it.
    """

    def __init__(self, address: str, patience: Patience) -> None:
        self._named = self._now = address
        self._patience = patience
        self._connection: http.client.HTTPConnection | None = None
        self._place: tuple[str, str | None, int | None] = "", None, None
        self._proxied: Mapping[str, str] = {}
        self._whole: http.client.HTTPResponse | None = None
        self._version: tuple[str | None, ...] = ()
        self.size = 0

    def begin(self, count: int) -> bytes | None:
        """The first bytes; None where the server does not give parts.

        Raises:
            MediaError: it is not there, or cannot be had.
        """

        def ask() -> bytes | None:
            response = self._answer({"Range": f"bytes=0-{count - 1}"})
            said = re.fullmatch(r"bytes (?:0-\d+|\*)/(\d{1,15})", response.getheader("Content-Range", ""))
            self._version = _version(response)
            if response.getheader("Content-Type", "").partition(";")[0].strip().lower() in PAGES:
                self.close()
                hint = "an address that answers with a page needs a log-in, or another link"
                raise MediaError("unsupported", "a page (HTML), not a video", hint)
            if response.status == 206 and said:
                self.size, got = int(said[1]), bytearray()
                self._receive(response, got, min(count, self.size))
                return bytes(got)
            if response.status == 416 and said and said[1] == "0":
                return b""
            if response.status == 200:
                self._whole = response
                return None
            self.close()
            raise PassingError("the server answers to a range with what is none")

        return self._patience.tried(ask)

    def read_at(self, start: int, count: int) -> bytes:
        """Bytes from a place on; a connection that is cut is taken up where it stopped.

        Raises:
            MediaError: they cannot be had, or the file has changed.
        """
        count = min(count, self.size - start)
        got = bytearray()

        def ask() -> None:
            response = self._answer({"Range": f"bytes={start + len(got)}-{start + count - 1}"})
            place = response.getheader("Content-Range", "")
            if response.status != 206 or not place.startswith(f"bytes {start + len(got)}-"):
                self.close()
                raise MediaError("decode", "the server has another file now than at the start", "run it again")
            if _version(response) != self._version or not place.endswith(f"/{self.size}"):
                self.close()
                raise MediaError("decode", "the file was changed while it was read", "run it again")
            self._receive(response, got, count - len(got))

        if count > 0:
            self._patience.tried(ask, lambda: len(got))
        return bytes(got)

    def pour(self, file: IO[bytes]) -> None:
        """Writes all of it, where the server does not give parts; a connection that is cut is begun again.

        Raises:
            MediaError: it cannot be had, or is too large.
        """

        def ask() -> None:
            response, self._whole = self._whole or self._answer({}), None
            length = response.getheader("Content-Length", "")
            announced = int(length) if _NUMBER.fullmatch(length) else None
            check_copy_size(announced or 0, NO_RANGES)
            file.seek(0)
            file.truncate()
            while piece := self._piece(response, PIECE_BYTES):
                file.write(piece)
                if file.tell() > MAX_COPY_BYTES:
                    self.close()
                    check_copy_size(file.tell(), NO_RANGES)
            if announced is not None and file.tell() < announced:
                self.close()
                raise PassingError("the server broke off in the middle")

        self._patience.tried(ask)

    def close(self) -> None:
        """Ends the connection; the next question opens another."""
        if self._connection:
            self._connection.close()
        self._connection = self._whole = None

    # --- one question

    def _answer(self, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        """An answer with a body, behind all redirects."""
        address = self._now
        for _ in range(MOST_REDIRECTS + 1):
            try:
                response = self._ask(address, headers)
            except http.client.HTTPException as error:
                self.close()
                raise PassingError("the server broke off") from error
            except OSError:
                self.close()
                raise
            if response.status in (200, 206, 416):
                self._now = address
                return response
            self.close()
            if response.status in REDIRECTS:
                led_to = _joined(address, response.getheader("Location", ""))
                _check_way(address, led_to)
                address = led_to
            elif response.status in PASSING:
                raise PassingError(f"the server answers with {response.status}", _retry_after(response))
            elif self._now != self._named:  # what it led to may have been signed for a while
                address = self._now = self._named
            else:
                raise _refusal(response.status)
        raise MediaError("not_found", "the redirects of the server do not end", "check the address")

    def _ask(self, address: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
        parts = _parts_of(address)
        place = parts.scheme, parts.hostname, parts.port
        if self._connection is None or self._place != place:
            self.close()
            self._connection, self._place = self._connected(parts), place
        target = quote(parts.path or "/", safe=_AS_IT_IS) + (
            f"?{quote(parts.query, safe=_AS_IT_IS)}" if parts.query else ""
        )
        sent = {"User-Agent": "mvit", "Accept-Encoding": "identity", **headers}
        named = urlsplit(self._named)
        if named.username is not None and (named.scheme, named.hostname, named.port) == place:
            user = f"{unquote(named.username)}:{unquote(named.password or '')}"
            sent["Authorization"] = "Basic " + base64.b64encode(user.encode()).decode()
        if self._proxied and parts.scheme == "http":
            target = f"http://{parts.netloc.rpartition('@')[2]}{target}"
            sent |= self._proxied
        self._connection.request("GET", target, headers=sent)
        self._connection.sock.settimeout(self._patience.left_s(READ_S))
        return self._connection.getresponse()

    def _connected(self, parts: SplitResult) -> http.client.HTTPConnection:
        """A connection to the host of an address, to be opened with the first question."""
        host = parts.hostname or ""
        limit_s = self._patience.left_s(CONNECT_S)
        if _is_number(host):
            self._check_place(host, [host])
        proxy = None if proxy_bypass(host) else getproxies().get(parts.scheme)
        if proxy:
            connection, self._proxied = _through(proxy, parts, limit_s)
            return connection
        self._proxied = {}
        places = places_of(host, parts.port)
        self._check_place(host, places)
        return _Direct(host, parts.port, places, limit_s, secure=parts.scheme == "https")

    def _check_place(self, host: str, places: list[str]) -> None:
        """Refuses a host inside this network that was not named."""
        if lead_inside(places) and not may_be_inside(host, self._named):
            raise MediaError(
                "not_found",
                f"{'it' if host == urlsplit(self._named).hostname else 'the server'} leads to {host}, an address inside"
                " this network",
                f"if you mean it, name its number, or put {host} into {PRIVATE_HOSTS}",
            )

    def _receive(self, response: http.client.HTTPResponse, into: bytearray, count: int) -> None:
        """Appends so many bytes of an answer."""
        end = len(into) + count
        while len(into) < end:
            piece = self._piece(response, min(PIECE_BYTES, end - len(into)))
            if not piece:
                self.close()
                raise PassingError("the server broke off in the middle")
            into += piece
        if response.length == 0:
            response.read()  # the connection is free for the next question
        else:
            self.close()

    def _piece(self, response: http.client.HTTPResponse, count: int) -> bytes:
        """What comes next of an answer; nothing at its end, or where it was cut."""
        limit_s = self._patience.left_s(READ_S)
        if self._connection and self._connection.sock:
            self._connection.sock.settimeout(limit_s)
        try:
            return response.read1(count)
        except http.client.HTTPException as error:
            self.close()
            raise PassingError("the server broke off in the middle") from error
        except (OSError, ValueError) as error:
            self.close()
            raise error if isinstance(error, OSError) else PassingError("the server broke off") from error


class _Direct(http.client.HTTPConnection):
    """A connection to one of some numeric addresses, whatever the name of the host means meanwhile."""

    def __init__(self, host: str, port: int | None, places: list[str], limit_s: float, *, secure: bool) -> None:
        self.default_port = 443 if secure else 80
        super().__init__(host, port, timeout=limit_s)
        self._places, self._secure = places, secure

    def connect(self) -> None:
        """Opens it.

        Raises:
            OSError: no address answers.
        """
        for number, place in enumerate(self._places, 1):
            try:
                self.sock: Any = socket.create_connection((place, self.port), self.timeout)
                break
            except OSError:
                if number == len(self._places):
                    raise
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._secure:
            self.sock = _context().wrap_socket(self.sock, server_hostname=self.host)


@cache
def _context() -> ssl.SSLContext:
    return ssl.create_default_context()


def _through(proxy: str, parts: SplitResult, limit_s: float) -> tuple[http.client.HTTPConnection, dict[str, str]]:
    """A connection through a proxy that the user has set, and what each question says to it."""
    at = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if at.scheme not in ("http", "https") or not at.hostname:
        raise MediaError("not_found", f"a proxy of the kind {at.scheme} is not used", "set one of http, or none")
    said = {}
    if at.username:
        user = f"{unquote(at.username)}:{unquote(at.password or '')}"
        said["Proxy-Authorization"] = "Basic " + base64.b64encode(user.encode()).decode()
    if parts.scheme == "http":
        return http.client.HTTPConnection(at.hostname, at.port or 80, timeout=limit_s), {**said, "Via": "1.1 mvit"}
    connection = http.client.HTTPSConnection(at.hostname, at.port or 80, timeout=limit_s, context=_context())
    connection.set_tunnel(parts.hostname or "", parts.port or 443, said)
    return connection, {}


def may_be_inside(host: str, named: str) -> bool:
    """Whether a host may be inside this network: the user has named it as one that is, or allows it.

    Args:
        named: the address that the user named.
    """
    allowed = {name.strip().lower() for name in os.environ.get(PRIVATE_HOSTS, "").split(",")}
    if host in allowed:
        return True
    if host != urlsplit(named).hostname:
        return False
    return "." not in host or host.endswith(INSIDE) or _is_number(host)


def _is_number(host: str) -> bool:
    try:
        return bool(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        return False


def _parts_of(address: str) -> SplitResult:
    """The parts of an address.

    Raises:
        MediaError: it is none; its own message could quote a password.
    """
    try:
        parts = urlsplit(address)
        if parts.hostname and parts.port != 0:  # which raises where it is no number
            return parts
    except ValueError:
        pass
    raise MediaError("not_found", "no valid address", "check its host and port") from None


def _joined(address: str, location: str) -> str:
    """Where a redirect leads."""
    try:
        return urljoin(address, location)
    except ValueError:
        raise MediaError("not_found", "the server leads to no valid address", "do not use this address") from None


def _check_way(asked: str, led_to: str) -> None:
    parts = _parts_of(led_to)
    if parts.scheme not in ("http", "https") or (urlsplit(asked).scheme == "https" and parts.scheme != "https"):
        text = f"the server leads to {redacted(led_to)}, which is not an https address"
        raise MediaError("not_found", text, "do not use this address")


def _refusal(status: int) -> MediaError:
    if status in (401, 403):
        hint = "check its permissions; an address that was signed may have run out: sign it anew"
        return MediaError("not_found", f"the server does not allow it ({status})", hint)
    if status in (404, 410):
        return MediaError("not_found", f"the server has no such file ({status})", "check the address")
    return MediaError("not_found", f"the server answers with an error ({status})", "check the address")


def _version(response: http.client.HTTPResponse) -> tuple[str | None, ...]:
    """What is another when the file is another."""
    return response.getheader("ETag"), response.getheader("Last-Modified")


def _retry_after(response: http.client.HTTPResponse) -> float:
    said = response.getheader("Retry-After", "")
    return float(said) if _NUMBER.fullmatch(said) else 0.0
