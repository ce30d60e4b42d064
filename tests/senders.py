"""Senders of a transport stream on the loopback interface: what a camera or an encoder would be."""

import http.server
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

DATAGRAM = 7 * 188


@contextmanager
def tcp_sender(*shows: bytes, hold: bool = False) -> Iterator[int]:
    """Gives the port of a server that sends one of the shows to each caller in turn, and then is gone.

    Args:
        hold: the last connection stays open and silent.
    """
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    over = threading.Event()

    def serve() -> None:
        with suppress(OSError):
            for number, show in enumerate(shows):
                connection, _ = server.accept()
                with connection, suppress(OSError):
                    connection.sendall(show)
                    if hold and number == len(shows) - 1:
                        over.wait()
        server.close()  # a caller that nobody answers would wait

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield port
    finally:
        over.set()
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(5)


@contextmanager
def udp_sender(show: bytes, port: int) -> Iterator[None]:
    """Sends a show again and again, a datagram at a time."""
    over = threading.Event()

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not over.is_set():
                for place in range(0, len(show), DATAGRAM):
                    sender.sendto(show[place : place + DATAGRAM], ("127.0.0.1", port))
                    time.sleep(0.002)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(5)


def free_port() -> int:
    """A port that nobody has at the moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def http_sender(answer: Callable[[http.server.BaseHTTPRequestHandler], None]) -> Iterator[int]:
    """Gives the port of a web server that answers as it is told."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with suppress(OSError):
                answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@contextmanager
def rtsp_sender(show: bytes, password: str = "") -> Iterator[int]:
    """Gives the port of an RTSP server with one show: a transport stream in RTP (RFC 2250), within the connection."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection, suppress(OSError):
                    _rtsp_session(connection, show)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(5)


def _rtsp_session(connection: socket.socket, show: bytes) -> None:
    stream = connection.makefile("rb")
    while request := stream.readline().decode().strip():
        headers = {}
        while line := stream.readline().decode().strip():
            key, _, value = line.partition(":")
            headers[key.lower()] = value.strip()
        method, url, _ = request.split()
        sdp = f"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=show\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:{url}\r\n"
        sdp += f"m=video 0 RTP/AVP 33\r\na=rtpmap:33 MP2T/90000\r\na=control:{url}/track1\r\n"
        more = {
            "OPTIONS": "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n",
            "DESCRIBE": f"Content-Type: application/sdp\r\nContent-Length: {len(sdp)}\r\n",
            "SETUP": "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n",
        }.get(method, "")
        answer = f"RTSP/1.0 200 OK\r\nCSeq: {headers['cseq']}\r\nSession: 12345678\r\n{more}\r\n"
        connection.sendall((answer + (sdp if method == "DESCRIBE" else "")).encode())
        if method == "PLAY":
            for number, place in enumerate(range(0, len(show), DATAGRAM)):
                packet = struct.pack(">BBHII", 0x80, 33, number & 0xFFFF, number * 90, 1)
                packet += show[place : place + DATAGRAM]
                connection.sendall(struct.pack(">cBH", b"$", 0, len(packet)) + packet)
                time.sleep(0.001)
            return


def write_pipe(path: Path, show: bytes) -> threading.Thread:
    """Writes a show into a named pipe as soon as somebody reads it."""

    def write() -> None:
        with suppress(OSError), path.open("wb") as pipe:
            pipe.write(show)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread
