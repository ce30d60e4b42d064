"""The border between pool and worker: what a worker may say, know and do, and how both end."""

import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from media_clips import clip
from test_media_pool import FaultyPool, linux, outcomes, posix, told

from mvit_cli.errors import MediaError
from mvit_cli.media.decode import attempt
from mvit_cli.media.request import AT_WORK, DecodeRequest, Look, LostWindowError, Window, Windows
from mvit_cli.media.workers import stopwatch, wire
from mvit_cli.media.workers.process import _environment
from mvit_cli.media.workers.stopwatch import Clock
from mvit_cli.protocol import Sampling, Transform

WINDOW = Window(3, 1.5, 2.25, 9.0, is_last=False)
REQUEST = DecodeRequest(clip("seventeen_frames.mp4"), Sampling("native", 4), Transform((0.5,) * 3, (0.5,) * 3, 32, 32))


def crossed(outcome):
    said = wire.parsed(wire.packed(7, outcome))
    assert said["number"] == 7
    return wire.outcome_of(said, getattr(outcome, "pixels", None))


def test_outcomes_cross_whole():
    decoded = replace(attempt(replace(REQUEST, pictures="strips")), window=WINDOW, warnings=("a \udc80", "b"))
    back = crossed(decoded)
    assert back.pixels is decoded.pixels
    assert replace(back, pixels=None) == replace(decoded, pixels=None)
    for error in (MediaError("decode", "broken", "mend it"), LostWindowError(MediaError("decode", "x"), WINDOW)):
        back = crossed(error)
        assert (type(back), back.kind, back.message, back.hint) == (type(error), error.kind, error.message, error.hint)
        assert getattr(back, "window", None) == getattr(error, "window", None)
    assert wire.parsed(wire.packed(7, AT_WORK))["says"] == "alive"


@pytest.mark.parametrize(
    "changes",
    [
        {
            "path": os.fsdecode(b"/caf\xe9 \n.mp4"),
            "reader": "av",
            "pictures": "strips",
            "stills": False,
            "limit_s": 3.5,
        },
        {"windows": Windows(2.5, 1.0, 7), "first_window": 4},
        {"part": (1.5, None)},
        {"part": (1.5, 2.0), "look": Look(0.25, (0.1, 0.2, 0.3, 0.9), mirrored=True)},
        {"sampling": Sampling("clip", 16, 4, 30.0), "whole": True},
    ],
)
def test_jobs_cross_whole(changes):
    request = replace(REQUEST, **changes)
    assert wire.job_of(wire.packed_job(7, 1, request, math.inf)) == (7, 1, request, math.inf)
    assert wire.job_of(wire.packed_leave(7)) == 7


def test_no_pickle_crosses_the_border():
    for path in Path(wire.__file__).parent.glob("*.py"):
        assert "pickle" not in path.read_text(encoding="utf-8").replace("unpickle", ""), path


def test_whole_frames_cross_whole():
    decoded = attempt(replace(REQUEST, whole=True, pictures="strips", num_clips=2, num_crops=3))
    (back,), (expected,) = crossed(decoded).whole, decoded.whole
    np.testing.assert_array_equal(back.pixels, expected.pixels)
    assert replace(back, pixels=None) == replace(expected, pixels=None)


def frames_of_liars():
    text, behind = wire.packed(7, replace(attempt(replace(REQUEST, pictures="poster", whole=True)), window=WINDOW))
    honest = json.loads(text)
    for name, lie in [
        *((name, lie) for name in honest for lie in (None, {}, "x", [[]], -1, 1e400, [1, "x"])),
        ("whole", honest["whole"] * 2),
        ("shape", [1, 1 << 40, 8, 8, 3]),
        ("shape", [-1, -16, 8, 8, 3]),
        ("dtype", "|O"),
        ("strips", [[0, 1, 2, 3, "x"]]),
        *(
            ("whole", [[*honest["whole"][0][:part], lie, *honest["whole"][0][part + 1 :]]])
            for part in range(4)
            for lie in (None, [], [[]], [1, 1, 1], [-1] * 4, ["x"] * 4, [[0, 0, 1e400, 1]])
        ),
    ]:
        yield json.dumps({**honest, name: lie}).encode(), behind
    for name in honest:
        yield json.dumps({key: value for key, value in honest.items() if key != name}).encode(), behind
    yield from ((lie, b"") for lie in (b"", b"[" * 100_000, b"\x80\x04cos\nsystem\n", b"[1]", b"{}", b"\xff"))


def test_lies_are_noticed_or_harmless():
    lies = list(frames_of_liars())
    noticed = 0
    for lie in lies:
        try:
            said = wire.parsed(lie)
            place = wire.shape_of(said, 4 * 32 * 32 * 3)
            wire.outcome_of(said, None if place is None else np.zeros(place[0], place[1]))
        except ValueError:
            noticed += 1
    assert len(lies) > 80
    assert noticed > len(lies) * 0.7


def test_a_frame_has_a_length_that_is_bounded():
    reads, writes = os.pipe()
    os.write(writes, wire.LENGTHS.pack(1 << 31, 1 << 31))
    with pytest.raises(ValueError, match="bytes"):
        wire.read_frame(reads)
    os.close(writes)
    with pytest.raises(EOFError):
        wire.read_frame(reads)
    os.close(reads)


@posix
@pytest.mark.parametrize("name", ["lie", "lie-number", "lie-pickle"])
def test_a_worker_that_lies_costs_its_own_file(name):
    with FaultyPool(workers=1) as pool:
        assert [told(outcome) for outcome in outcomes(pool, [0, name, 1])] == [0, "crash", 1]


def test_workers_know_no_secrets(monkeypatch):
    names = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "MY_PASSWORD", "GITHUB_PAT", "KRB5")
    like_kept_ones = ("LANGSMITH_API_KEY", "HOMEBREW_GITHUB_API_TOKEN", "PYTHONANYWHERE_TOKEN", "LC_SECRET", "PATH_KEY")
    for name in (*names, *like_kept_ones):
        monkeypatch.setenv(name, "secret")
    assert "secret" not in _environment().values()
    assert _environment()["PATH"] == os.environ["PATH"]


@linux
def test_workers_get_no_new_privileges():
    with FaultyPool(workers=1) as pool:
        (first,) = outcomes(pool, [1])
        with open(f"/proc/{int(first.clips[0].end_s)}/status") as file:
            status = dict(line.rstrip().split(":\t", 1) for line in file if line.startswith("NoNewPrivs"))
    assert status["NoNewPrivs"] == "1"


@linux
def test_a_worker_cannot_cut_off_memory_that_the_pool_reads():
    with FaultyPool(workers=1) as pool:
        outcomes(pool, [1])
        with pytest.raises(PermissionError):
            os.ftruncate(pool.workers[0].slots[0].handle, 0)


def test_the_clock_stands_while_the_process_is_stopped(monkeypatch):
    ours = Clock()
    moment = [100.0]
    monkeypatch.setattr(stopwatch, "time", type("Time", (), {"monotonic": staticmethod(lambda: moment[0])}))
    monkeypatch.setattr(Clock, "_tick", lambda *_: None)
    ours.start()
    for _ in range(10):  # a busy machine
        moment[0] += 1.0
        ours.now()
    assert ours.now() == 110
    moment[0] += 3600
    assert ours.now() == pytest.approx(110, abs=1)
    ours.stop()
    moment[0] += 3600  # between two passes nothing can be late
    assert ours.now() == pytest.approx(3710, abs=1)


STOPPED = """
    import sys
    sys.path.insert(0, {tests!r})
    from test_media_pool import FaultyPool, outcomes, told
    with FaultyPool(workers=1, timeout_s=5.0) as pool:  # far more than a busy machine takes to answer
        outcomes(pool, [1])
        print("begun", flush=True)
        print([told(outcome) for outcome in outcomes(pool, ["nap", 2])], flush=True)
"""


@posix
def test_a_file_is_not_late_for_time_in_which_all_were_stopped():
    code = textwrap.dedent(STOPPED).format(tests=os.path.dirname(__file__))
    program = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True)
    with program:
        assert program.stdout.readline() == "begun\n"
        time.sleep(0.4)
        os.killpg(program.pid, signal.SIGSTOP)
        time.sleep(7)  # longer than a file may take
        os.killpg(program.pid, signal.SIGCONT)
        assert program.stdout.readline() == "[255, 2]\n"


LEFT = """
    import os, sys
    sys.path.insert(0, {tests!r})
    from test_media_pool import FaultyPool, request
    pool = FaultyPool(workers=2)
    rows = pool.imap(request(number % 200) for number in range(10_000))
    next(rows)
"""
ENDS = {
    "by itself": ("", 0),
    "an exception": ("raise ValueError('mine')", 1),
    "an exit code": ("sys.exit(7)", 7),
    "in a loop": ("for row in rows: break", 0),
    "two": ("more = FaultyPool(1).imap([request(1), request(2)]); next(more)", 0),
    "a forked child": (
        "pid = os.fork()\nif not pid: sys.exit(5)\nassert os.waitpid(pid, 0)[1] == 5 << 8; next(rows)",
        0,
    ),
}


@posix
@pytest.mark.parametrize("how", ENDS)
def test_an_iterator_left_in_the_middle_spoils_no_exit(how):
    more, code = ENDS[how]
    program = textwrap.dedent(LEFT).format(tests=os.path.dirname(__file__)) + more
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == code
    assert "Fatal" not in done.stderr
    assert code == 1 or "Traceback" not in done.stderr
