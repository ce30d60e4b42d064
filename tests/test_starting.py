"""`mvit predict` on one clip: a worker decodes it while torch is loaded here; at the end nothing is taken apart."""

import gc
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from test_media_pool import FaultyPool, outcomes, request
from test_media_pool import told as told_of

from mvit_cli.__main__ import _End
from mvit_cli.cli.main import run
from mvit_cli.errors import MediaError
from mvit_cli.media.request import Decoded, DecodeRequest
from mvit_cli.media.workers import pool
from mvit_cli.media.workers.pool import DecodePool
from mvit_cli.media.workers.process import WorkerProcess
from mvit_cli.recognition.plan import Plan

CLIP = str(Path(__file__).parent / "data" / "pan_left.mp4")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What began, in its order; workers that are still there are in `pools`."""
    order: list[str] = []
    opened, process, close = Plan.open, WorkerProcess, DecodePool.close

    def open_it(self: Plan, **options: Any) -> Any:
        order.append("network")
        return opened(self, **options)

    def start(*arguments: Any) -> Any:
        order.append("worker")
        return process(*arguments)

    def closed(self: DecodePool) -> None:
        order.extend("ended" for _ in self.workers)
        close(self)

    monkeypatch.setattr(Plan, "open", open_it)
    monkeypatch.setattr(pool, "WorkerProcess", start)
    monkeypatch.setattr(DecodePool, "close", closed)
    return order


def test_the_worker_starts_before_the_network_and_decodes(told: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["predict", CLIP, "--preset", "camera", "--workers", "1", "--format", "jsonl"]) == 0
    assert told == ["worker", "network", "ended"]  # one worker: what it had begun was the job that then came
    assert "pan left" in capsys.readouterr().out


def test_it_is_ended_where_the_network_cannot_be_loaded(told: list[str], tmp_path: Path) -> None:
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"nothing")
    assert run(["predict", CLIP, "--preset", "B", "--weights", str(broken)]) != 0
    assert told == ["worker", "network", "ended"]


@pytest.mark.parametrize(
    ("arguments", "begun"),
    [
        ([CLIP, "--preset", "camera"], [CLIP]),
        ([CLIP, CLIP, "--preset", "camera", "--window", "0.5"], [CLIP]),
        ([str(Path(CLIP).parent / "clips"), "--preset", "camera"], []),  # to know its first file it must be listed
        (["-", "--preset", "camera"], []),
        ([f"@{CLIP}", "--preset", "camera"], []),
        ([CLIP, "--preset", "camera", "--shard", "0/2"], []),
        ([CLIP, "--preset", "camera", "--report", "page.html"], []),  # whose pictures are not known yet
    ],
)
def test_a_file_that_is_known_to_be_the_first_is_begun_before_the_network(
    arguments: list[str], begun: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class NoNetworkError(Exception):
        """Raised where the network would be loaded."""

    first: list[DecodeRequest | None] = []

    def no_network(self: Plan, **options: Any) -> None:
        raise NoNetworkError

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(DecodePool, "start", lambda self, request=None: first.append(request))
    monkeypatch.setattr(Plan, "open", no_network)
    assert run(["predict", *arguments, "--quiet"]) == 1
    assert [job.path for job in first if job] == begun


def test_what_was_begun_is_decoded_before_anyone_asks_and_only_once() -> None:
    with FaultyPool(workers=2) as workers:
        workers.start(request(7))
        deadline = time.monotonic() + 60
        while workers._events.qsize() < 2:  # that it is ready, and what it has decoded
            assert time.monotonic() < deadline
            time.sleep(0.01)
        (worker,) = workers.workers
        found = outcomes(workers, [7, 8, 9])
        assert [told_of(outcome) for outcome in found] == [7, 8, 9]
        assert isinstance(found[0], Decoded)
        assert found[0].clips[0].end_s == worker._process.pid
        assert [told_of(outcome) for outcome in outcomes(workers, [7])] == [7]  # of a pass that begins with nothing


@pytest.mark.parametrize("names", [[8, 7, 9], [], [7], ["slow", 8]])
@pytest.mark.parametrize("begun", [request(6), request(8, side=16), request("hang"), request("segv")])
def test_what_was_begun_in_vain_leaves_no_trace(begun: DecodeRequest, names: list[object]) -> None:
    expected = [255 if name == "slow" else name for name in names]
    with FaultyPool(workers=1) as workers:
        workers.start(begun)
        assert [told_of(outcome) for outcome in outcomes(workers, names)] == expected


def test_an_error_comes_in_its_place_where_another_file_was_begun() -> None:
    lost = MediaError("not_found", "no such file")
    with FaultyPool(workers=1) as workers:
        workers.start(request(7))
        assert [told_of(outcome) for outcome in workers.imap([lost, request(7)])] == ["not_found", 7]


@pytest.mark.parametrize(("name", "kind"), [("segv", "crash"), ("error", "decode"), ("hang", "timeout")])
def test_a_file_that_fails_after_it_was_begun_is_one_row(name: str, kind: str) -> None:
    with FaultyPool(workers=1, timeout_s=1.0) as workers:
        workers.start(request(name))
        assert [told_of(outcome) for outcome in outcomes(workers, [name, 5])] == [kind, 5]


def test_the_collector_rests_only_while_the_network_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, opened = [], Plan.open

    def open_it(self: Plan, **options: Any) -> Any:
        seen.append(gc.isenabled())
        return opened(self, **options)

    monkeypatch.setattr(Plan, "open", open_it)
    assert run(["predict", CLIP, "--preset", "camera", "--workers", "1", "--quiet", "--format", "csv"]) == 0
    assert seen == [False]
    assert gc.isenabled()


PROGRAM = """
import atexit, sys, threading, time
from mvit_cli import __main__
import mvit_cli.cli.main

class Told:
    def __del__(self):
        print("taken apart", flush=True)

def run():
    atexit.register(lambda: print("registered"))
    threading.Thread(target=lambda: (time.sleep(0.2), print("thread"))).start()
    sys.stdout.write("row ")
    return 3

mvit_cli.cli.main.run = run
told = Told()
__main__.main()
"""


def test_the_end_waits_and_says_all_but_takes_nothing_apart() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert (ended.stdout, ended.returncode) == ("row thread\nregistered\n", 3)


def test_a_profiler_has_the_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    end = _End()
    end()  # the process ends with an error that nobody caught
    end.code = 3
    sys.setprofile(lambda *_: None)
    try:
        end()
    finally:
        sys.setprofile(None)
    assert codes == []
    end()
    assert codes == [3]


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_a_reader_that_is_gone_is_no_error_at_the_end() -> None:
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run([sys.executable, "-m", "mvit_cli", "presets"], stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (ended.returncode, ended.stderr) == (0, b"")
