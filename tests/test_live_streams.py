"""Streams as they are: over TCP, UDP, HTTP and RTSP, from pipes, of senders that die, and with predict's own frames."""

import http.server
import math
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media_clips import clip, draw
from senders import free_port, http_sender, rtsp_sender, tcp_sender, udp_sender, write_pipe

from mvit_cli.errors import MediaError, MViTError, UsageError
from mvit_cli.live import watching
from mvit_cli.live.address import PROTOCOLS, Address, address_of, shown
from mvit_cli.live.capture import Capture, Told, opened, paced
from mvit_cli.live.feed import Connection, SystemClock, told_for
from mvit_cli.live.grabber import to_leave_out
from mvit_cli.live.ring import Seen
from mvit_cli.live.watching import Asked, Scored, Watch, Watched
from mvit_cli.media.decode import decode
from mvit_cli.media.request import DecodeRequest
from mvit_cli.protocol import Sampling, Transform
from mvit_cli.recognition.options import PredictOptions
from mvit_cli.recognition.plan import plan

pytestmark = pytest.mark.skipif(os.name != "posix", reason="named pipes, and descriptors that are handed on")

REQUEST = DecodeRequest("", Sampling("clip", 4, 4, 25.0), Transform((0.45,) * 3, (0.225,) * 3, 120, 112), reader="av")
SPAN_S = 0.64
LONG_S = 60.0
SHOW = Path(clip("h264.ts")).read_bytes()  # 100 frames, 25 a second


def connection(source: str, timeout_s: float = LONG_S, raw: str | None = None, **told: Any) -> Connection:
    """Every frame is decoded, however busy the machine is."""
    return Connection(replace(told_for(address_of(source, raw), REQUEST, **told), behind_s=math.inf), timeout_s)


def all_of(feed: Connection, every_s: float = LONG_S) -> list[Seen]:
    """What a stream shows until it ends, asked as fast as it answers."""
    found: list[Seen] = []
    while (seen := feed.newest(found[-1].newest if found else 0, every_s)) is not None:
        found.append(seen)
    return found


def of_file(seen: Seen, path: str) -> Any:
    """What predict shows the network of the same seconds of a file."""
    return decode(replace(REQUEST, path=path, part=(seen.from_s, seen.end_s))).pixels


# Which frames


def test_a_stream_over_tcp_shows_what_predict_shows_of_these_seconds() -> None:
    with tcp_sender(SHOW) as port, closing(connection(f"tcp://127.0.0.1:{port}")) as feed:
        found = all_of(feed)
    assert found[-1].newest == 100
    assert found[-1].end_s == pytest.approx(4.0, abs=0.001)
    for seen in (found[0], found[-1]):
        assert seen.end_s - seen.from_s == pytest.approx(SPAN_S)
        np.testing.assert_array_equal(seen.decoded.pixels, of_file(seen, clip("h264.ts")))


def test_a_stream_over_rtsp_is_watched() -> None:
    with rtsp_sender(SHOW) as port, closing(connection(f"rtsp://127.0.0.1:{port}/show")) as feed:
        seen = all_of(feed)[-1]
    # The last packets of a connection that ends wait for others that would tell that they are whole.
    assert seen.newest > 90
    np.testing.assert_array_equal(seen.decoded.pixels, of_file(seen, clip("h264.ts")))


def test_a_stream_over_udp_is_watched() -> None:
    port = free_port()
    with udp_sender(SHOW, port), closing(connection(f"udp://127.0.0.1:{port}")) as feed:
        first = feed.newest(0, LONG_S)
        assert first is not None
        second = feed.newest(first.newest, LONG_S)
        assert second is not None
    assert second.newest > first.newest
    assert second.end_s > first.end_s


def test_a_stream_over_http_is_watched() -> None:
    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(SHOW)

    with http_sender(answer) as port, closing(connection(f"http://127.0.0.1:{port}/live")) as feed:
        seen = all_of(feed)[-1]
    assert seen.newest == 100
    np.testing.assert_array_equal(seen.decoded.pixels, of_file(seen, clip("h264.ts")))


def test_a_named_pipe_is_watched(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = write_pipe(tmp_path / "pipe", SHOW)
    with closing(connection(str(tmp_path / "pipe"))) as feed:
        assert all_of(feed)[-1].newest == 100
    writer.join(5)


def test_bare_pixels_in_a_pipe_are_watched(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    write_pipe(tmp_path / "pipe", b"".join(draw(number).tobytes() for number in range(40)))
    with closing(connection(str(tmp_path / "pipe"), raw="160x120@25")) as feed:
        seen = all_of(feed)[-1]
    assert (seen.newest, seen.fps) == (40, 25)
    assert seen.decoded.pixels.shape == (1, 4, 112, 112, 3)
    assert not seen.decoded.warnings


def test_standard_input_is_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    monkeypatch.setattr("mvit_cli.live.feed.STDIN", read)

    def send() -> None:
        with os.fdopen(write, "wb") as pipe, suppress(OSError):
            pipe.write(SHOW)

    threading.Thread(target=send, daemon=True).start()
    address = Address("stdin", "", "standard input", None, {"protocol_whitelist": "pipe"})
    with closing(Connection(replace(told_for(address, REQUEST), behind_s=math.inf), LONG_S)) as feed:
        assert all_of(feed)[-1].newest == 100
    os.close(read)


class PlayedClock:
    """A clock that stands still while nobody waits."""

    def __init__(self) -> None:
        self.time_s = 50.0

    def now(self) -> float:
        return self.time_s

    def sleep(self, seconds: float) -> None:
        self.time_s += seconds


def played(path: str, request: DecodeRequest, span_s: float | None, clock: PlayedClock) -> Iterator[Capture]:
    """Yields the capture of a file that is played, after each frame that came."""
    told = Told(path, None, {"protocol_whitelist": "file"}, request, span_s, realtime=True)
    container, stream = opened(told)
    with closing(container):
        capture = Capture(told, container, stream)
        for packet, arrived_s in paced(capture.packets(), clock.now, clock.sleep, realtime=True):
            for frame in capture.take(packet, arrived_s):
                capture.ring.add(frame)
                yield capture


@pytest.mark.parametrize("name", ["hevc.mp4", "rot90.mp4", "h264.ts", "editlist_cut.mp4"])
def test_a_file_that_is_played_gives_the_logits_of_predict_on_each_window(name: str, weights: str) -> None:
    engine = plan(PredictOptions(weights=weights, window_s=1.0, views="1x3", fast=False)).open()
    recipe = engine.recipe
    request = DecodeRequest("", recipe.sampling, recipe.transform, 1, 3, "av")
    clock, checked = PlayedClock(), 0
    for capture in played(clip(name), request, 1.0, clock):
        if capture.ring.is_full and capture.ring.count % 23 == 0:
            seen = capture.ring.seen(1.0)
            window = decode(replace(request, path=clip(name), part=(seen.from_s, seen.end_s)))
            ours, theirs = engine.scorer.scores_of([seen.decoded.pixels, window.pixels])
            assert not isinstance(ours, MediaError)
            assert not isinstance(theirs, MediaError)
            assert ours.equal(theirs)
            assert [clip.indices != () for clip in seen.decoded.clips] == [True]
            checked += 1
    assert checked >= 1
    # Played in its own time: the clock has gone on by the length of the file, as far as packets tell it.
    hidden_s = 1.32 if name == "editlist_cut.mp4" else 0.0
    assert clock.time_s - 50.0 == pytest.approx(capture.ring._frames[-1].time_s + hidden_s, abs=0.3)


# What is left out


def test_a_line_that_grew_old_is_left_out_up_to_its_newest_key_frame() -> None:
    waiting = [(True, 0.0), (False, 0.1), (True, 0.2), (False, 0.3)]
    assert to_leave_out(waiting, 0.0) == 0
    assert to_leave_out(waiting, 0.05) == 2
    assert to_leave_out([(False, 0.0), (False, 0.1)], 10.0) == 0  # nothing could be decoded behind it


def test_frames_that_are_decoded_late_are_dropped_but_for_some() -> None:
    told = Told(clip("hevc.mp4"), None, {"protocol_whitelist": "file"}, REQUEST)
    container, stream = opened(told)
    with closing(container):
        capture = Capture(told, container, stream)
        for packet in capture.packets():
            for frame in capture.take(packet, 0.0, lambda arrived_s: True):
                capture.ring.add(frame)
    assert capture.ring.count == 25
    assert capture.ring._undecoded == 75


# What goes wrong


def test_a_sender_that_dies_and_returns_is_watched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "FIRST_PAUSE_S", 0.01)
    said: list[str] = []
    with tcp_sender(SHOW[: len(SHOW) // 2], SHOW) as port:
        told = told_for(address_of(f"tcp://127.0.0.1:{port}"), REQUEST)
        asked = Asked(name="cam", every_s=0.05, retries=2, most_rows=math.inf)
        score = Scored([{"index": 0, "label": "a", "score": 1.0}], [], 0.0)
        watch = Watch(
            lambda base_s: Connection(told, LONG_S, base_s), lambda seen: score, asked, SystemClock(), said.append
        )
        rows: list[Watched] = []
        with pytest.raises(MViTError, match=r"cam: .*2 tries to reach it again failed"):
            rows.extend(watch.rows())
    assert said[0] == "cam: the stream ended; trying again in 0.01 s (1 of 2)"
    assert {row.reconnects for row in rows} == {0, 1}
    ends = [row.seen.end_s for row in rows]
    assert ends == sorted(ends)


def test_a_sender_that_says_nothing_is_told() -> None:
    with tcp_sender(b"", hold=True) as port, pytest.raises(MediaError, match="it did not answer in 1 s"):
        connection(f"tcp://127.0.0.1:{port}", 1.0)


def test_a_sender_that_falls_silent_is_told() -> None:
    with tcp_sender(SHOW, hold=True) as port, closing(connection(f"tcp://127.0.0.1:{port}")) as feed:
        seen = feed.newest(0, LONG_S)
        assert seen is not None
        feed._timeout_s = 1.5
        with pytest.raises(MediaError, match=r"no new frame came in 1\.5 s"):
            all_of(feed)


def test_nobody_listens() -> None:
    with tcp_sender() as port:
        pass
    with pytest.raises(MediaError, match="cannot be opened"):
        connection(f"tcp://127.0.0.1:{port}")


@pytest.mark.parametrize(
    "show",
    [b"<html>not found</html>" * 100, b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n"],
    ids=["page", "playlist"],
)
def test_what_is_no_stream_is_refused(show: bytes) -> None:
    with tcp_sender(show) as port, pytest.raises(MediaError) as caught:
        connection(f"tcp://127.0.0.1:{port}")
    assert caught.value.kind in ("decode", "unsupported")
    assert str(port) not in caught.value.message


def test_a_server_does_not_lead_elsewhere(tmp_path: Path) -> None:
    """A redirection to another address is not followed: only what was named is opened."""
    asked: list[str] = []

    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        asked.append(request.path)
        request.send_response(302)
        request.send_header("Location", "/elsewhere" if request.path == "/live" else f"file://{clip('h264.ts')}")
        request.end_headers()

    with http_sender(answer) as port:
        for path in ("/live", "/file"):
            with pytest.raises(MediaError):
                connection(f"http://127.0.0.1:{port}{path}")
    assert asked == ["/live", "/file"]


def test_its_process_ends_with_the_connection() -> None:
    with tcp_sender(SHOW, hold=True) as port, closing(connection(f"tcp://127.0.0.1:{port}")) as feed:
        process = feed._talk.process
        assert process.poll() is None
    assert process.poll() is not None


def test_its_process_ends_when_nobody_asks_any_more() -> None:
    with tcp_sender(SHOW, hold=True) as port, closing(connection(f"tcp://127.0.0.1:{port}")) as feed:
        assert feed._talk.process.stdin is not None
        feed._talk.process.stdin.close()
        deadline = time.monotonic() + 30
        while feed._talk.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert feed._talk.process.poll() is not None


# Addresses


def test_each_address_is_opened_by_its_own_protocols_alone() -> None:
    for scheme, protocols in PROTOCOLS.items():
        options = address_of(f"{scheme}://camera.local:5000/live").options
        assert options["protocol_whitelist"] == protocols
        assert "file" not in protocols
        assert {"hls", "concat", "dash", "sdp"}.isdisjoint(options["format_whitelist"].split(","))
    assert address_of(clip("h264.ts")).options["protocol_whitelist"] == "file"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("rtsp://admin:secret@cam:554/live", "rtsp://cam:554/live"),
        ("rtsp://cam/user=admin&password=secret&channel=1", "rtsp://cam/..."),
        ("http://cam/live.ts?token=secret", "http://cam/live.ts"),
        ("tcp://secret@[::1]:9", "tcp://[::1]:9"),
    ],
)
def test_credentials_of_an_address_are_not_shown(source: str, name: str) -> None:
    assert address_of(source).name == shown(source) == name


@pytest.mark.parametrize(
    ("source", "raw", "message"),
    [
        ("ftp://u:secret@host/live", None, "ftp://host/live: streams over ftp are not watched"),
        ("concat://a|b", None, "streams over concat are not watched"),
        ("rtsp://", None, "is not an address"),
        ("tests/nowhere.mp4", None, "tests/nowhere.mp4: no such file"),
        ("tests", None, "tests: a folder, not a file"),
        ("tests/conftest.py", "640x480@30", "--raw describes bare pixels"),
        ("99", None, "camera 99: there is no /dev/video99"),
        ("/dev/video99", None, "there is no /dev/video99"),
    ],
)
def test_what_cannot_be_watched_is_one_error(source: str, raw: str | None, message: str) -> None:
    with pytest.raises((UsageError, MViTError), match=re.escape(message)) as caught:
        address_of(source, raw)
    assert caught.value.hint
    assert "secret" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize("raw", ["640x480", "0x480@30", "640x480@30:", "640x480@30:RGB!", "axb@c"])
def test_bare_pixels_are_described_in_full(raw: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match=re.escape(f"--raw {raw!r} is not WIDTHxHEIGHT@FPS[:FORMAT]")):
        address_of(str(tmp_path / "pipe"), raw)
