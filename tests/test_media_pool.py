"""The pool: every file has one outcome, in input order, whatever happens to the processes that decode."""

import errno
import itertools
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from media_clips import KEPT, clip, needs_decord, read_number, write_video

from mvit_cli.errors import MediaError, MViTError
from mvit_cli.media.decode import attempt
from mvit_cli.media.request import LULL, Decoded, DecodeRequest
from mvit_cli.media.workers.outbox import Outbox
from mvit_cli.media.workers.pool import DecodePool, workers_auto
from mvit_cli.media.workers.shared import Slot
from mvit_cli.media.workers.worker import _arm
from mvit_cli.protocol import Sampling, Transform

GREY = (0.45, 0.45, 0.45)
CLIP = Sampling("clip", 16, 4, 30.0)

posix = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")


class FaultyPool(DecodePool):
    worker_module = "faulty_worker"


def request(name: object, side: int = 8) -> DecodeRequest:
    return DecodeRequest(str(name), CLIP, Transform(GREY, GREY, side, side))


def outcomes(pool: DecodePool, names) -> list:
    return list(pool.imap(request(name) for name in names))


def told(outcome: Decoded | MediaError):
    return outcome.kind if isinstance(outcome, MediaError) else int(outcome.pixels[0, 0, 0, 0, 0])


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture(scope="module")
def crew():
    """Two workers that stay, for tests that do them no harm."""
    with FaultyPool(workers=2) as pool:
        yield pool


def test_outcomes_come_in_input_order(crew):
    assert [told(outcome) for outcome in outcomes(crew, range(40))] == list(range(40))


def test_slow_file_does_not_let_later_ones_pass(crew):
    names = ["slow", *range(12), "slow", 13]
    assert [told(outcome) for outcome in outcomes(crew, names)] == [255, *range(12), 255, 13]


def test_both_workers_work(crew):
    assert len({outcome.clips[0].end_s for outcome in outcomes(crew, ["slow1", "slow2", "slow3", "slow4"])}) == 2


def test_errors_come_back_whole(crew):
    (error,) = outcomes(crew, ["error"])
    assert (error.kind, error.message, error.hint) == ("decode", "broken", "mend it")


def test_sources_with_errors_keep_their_place(crew):
    lost = MediaError("not_found", "no such file")
    jobs = [lost, request(1), lost, lost, request(2), lost]
    found = list(crew.imap(jobs))
    assert [told(outcome) for outcome in found] == ["not_found", 1, "not_found", "not_found", 2, "not_found"]
    assert found[0] is lost


def test_nothing_gives_nothing(crew):
    assert outcomes(crew, []) == []


def test_pixels_of_any_size_cross_whole(crew):
    found = list(crew.imap([request(1, 800), request(2, 4), request(3, 1000), request(4, 800)]))
    assert [outcome.pixels.shape[2] for outcome in found] == [800, 4, 1000, 800]
    assert [np.unique(outcome.pixels).tolist() for outcome in found] == [[1], [2], [3], [4]]


def test_chatter_of_libraries_stays_inside(crew, capfd):
    assert [told(outcome) for outcome in outcomes(crew, ["noise", 1])] == [255, 1]
    assert capfd.readouterr() == ("", "")


def test_jobs_are_pulled_only_a_little_ahead(crew):
    pulled = itertools.count()
    stream = crew.imap(request(next(pulled) % 200) for _ in itertools.repeat(None))
    for _ in range(30):
        next(stream)
    time.sleep(0.2)
    assert next(pulled) <= 30 + 16 + 4 + 1
    stream.close()


@pytest.mark.parametrize(("side", "at_least", "slots"), [(8, 12, 16), (1024, 1, 2)])
def test_small_files_are_decoded_further_ahead(side: int, at_least: int, slots: int) -> None:
    """While nobody reads, as when the network computes: 16 pictures of 192 bytes, but two of 3 MB.

    How many the worker was given before the reader went away depends on the moment: the best of some counts.
    """

    def waiting(pool: DecodePool) -> int:
        pool._catch_up()  # as reading would, but gives out nothing new
        return sum(len(outcomes) for outcomes in pool._done._waiting.values())

    ready, came = [], []
    with FaultyPool(workers=1) as pool:
        stream = pool.imap_with_lulls(request(number % 200, side) for number in range(400))
        for _ in range(30):
            next(stream)
        while not ready or (max(ready) < at_least and len(ready) < 6):
            next(outcome for outcome in stream if outcome is not LULL)
            before = waiting(pool)
            time.sleep(1.0)
            ready.append(waiting(pool))
            came.append(ready[-1] - before)
    assert max(ready) >= at_least
    assert max(came) <= slots


def test_row_does_not_wait_for_the_next_name():
    gate = threading.Event()

    def names():
        yield request(1)
        gate.wait(20)
        yield request(2)

    with FaultyPool(workers=1) as pool:
        stream = pool.imap(names())
        assert told(next(stream)) == 1
        assert not gate.is_set()
        gate.set()
        assert told(next(stream)) == 2


def test_exception_of_the_input_comes_out_after_the_rows_before_it(crew):
    def names():
        yield request(1)
        yield request(2)
        raise ValueError("the list ends here")

    stream = crew.imap(names())
    assert [told(next(stream)), told(next(stream))] == [1, 2]
    with pytest.raises(ValueError, match="the list ends here"):
        next(stream)


def test_generator_of_names_is_closed(crew):
    closed = threading.Event()

    def names():
        try:
            for number in itertools.count():
                yield request(number % 200)
        finally:
            closed.set()

    stream = crew.imap(names())
    next(stream)
    stream.close()
    assert closed.wait(10)


@posix
def test_each_bad_file_costs_its_own_row(monkeypatch):
    monkeypatch.setattr("mvit_cli.media.workers.pool.TRIES", 1)
    names = [0, "segv", 1, "abort", 2, "exit", 3, "bad_alloc", 4, 5]
    with FaultyPool(workers=2) as pool:
        found = outcomes(pool, names)
    assert [told(outcome) for outcome in found] == [0, "crash", 1, "crash", 2, "crash", 3, "memory", 4, 5]
    assert found[1].message == "the decoder crashed (SIGSEGV)"
    assert found[3].message == (
        "the decoder crashed (SIGABRT: terminate called after throwing an instance of 'std::length_error')"
    )
    assert found[5].message == "the decoder ended with exit code 3"


@posix
def test_hanging_file_costs_its_time_limit():
    with FaultyPool(workers=1, timeout_s=0.8) as pool:
        found = outcomes(pool, [0, "hang", 1, 2])
    assert [told(outcome) for outcome in found] == [0, "timeout", 1, 2]
    assert found[1].message == "decoding took longer than 0.8 s"
    assert "--timeout" in found[1].hint


def test_reader_that_is_away_for_long_finds_nothing_late():
    with FaultyPool(workers=2, timeout_s=0.8) as pool:
        outcomes(pool, ["slow", "slow"])  # both have started
        stream = pool.imap(request(number) for number in range(20))
        found = []
        for _ in range(3):
            found.append(told(next(stream)))
            time.sleep(1.2)  # both answer meanwhile
        found += [told(outcome) for outcome in stream]
    assert found == list(range(20))


@linux
def test_memory_of_a_file_is_limited():
    with FaultyPool(workers=1, memory_bytes=1 << 30) as pool:
        assert [told(outcome) for outcome in outcomes(pool, [0, "eat", 1])] == [0, "memory", 1]


@linux
@pytest.mark.parametrize("reader", ["av", pytest.param("decord", marks=needs_decord)])
def test_real_file_over_the_memory_limit_is_a_memory_error(tmp_path, reader):
    """Wherever the limit strikes: at a header, the first picture, a later one, or the conversion of colours."""
    path = write_video(tmp_path / "a.mp4", 1, size=(3840, 2160), options={"preset": "ultrafast"})
    good = DecodeRequest(clip("one_frame.mp4"), Sampling("image", 1), Transform(GREY, GREY, 32, 32))
    broken = replace(good, path=clip("audio_only.mp4"))
    large = replace(good, path=path, reader=reader)
    answers = []
    for limit_mb in (20, 29, 37, 46, 55, 180):
        with DecodePool(workers=1, memory_bytes=limit_mb << 20) as pool:
            found = [told(outcome) for outcome in pool.imap([good, large, broken, good])]
        assert [found[0], found[2], found[3]] == [found[0], "decode", found[0]]
        answers.append(found[1])
    assert answers[:4] == ["memory"] * 4
    assert answers[4] in ("memory", answers[5])
    assert isinstance(answers[5], int)


def test_no_memory_for_pixels_in_this_process_costs_their_row(monkeypatch):
    array, calls = Slot.array, itertools.count()

    def refused(slot, shape, dtype):
        if next(calls) == 1:
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        return array(slot, shape, dtype)

    with FaultyPool(workers=1) as pool:
        monkeypatch.setattr(Slot, "array", refused)
        assert [told(outcome) for outcome in outcomes(pool, range(4))] == [0, "memory", 2, 3]


@posix
def test_workers_without_file_descriptors_are_an_error_that_says_so(monkeypatch):
    made, closed = [], []
    monkeypatch.setattr("mvit_cli.media.workers.process.Slot", lambda: made.append(Slot()) or made[-1])
    monkeypatch.setattr(Slot, "close", lambda slot: closed.append(slot))

    def refused(*_):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("mvit_cli.media.workers.process.start", refused)
    with DecodePool(workers=1) as pool, pytest.raises(MViTError, match="do not start: Too many open files") as error:
        outcomes(pool, [1])
    assert "ulimit -n" in error.value.hint
    assert set(made) == set(closed)  # nothing stays open behind it


@posix
def test_file_whose_worker_was_killed_from_outside_gets_another(tmp_path):
    with FaultyPool(workers=1) as pool:
        found = outcomes(pool, [0, tmp_path / "once", 1, 2])
    assert [told(outcome) for outcome in found] == [0, 255, 1, 2]


@posix
def test_killed_idle_worker_is_replaced():
    with FaultyPool(workers=1) as pool:
        (first,) = outcomes(pool, [1])
        os.kill(int(first.clips[0].end_s), signal.SIGKILL)
        (second,) = outcomes(pool, [2])
        assert told(second) == 2
        assert second.clips[0].end_s != first.clips[0].end_s


def test_worker_is_renewed_after_many_files(monkeypatch):
    monkeypatch.setattr("mvit_cli.media.workers.pool.FILES_A_WORKER", 5)
    with FaultyPool(workers=1) as pool:
        found = outcomes(pool, range(12))
    assert [told(outcome) for outcome in found] == list(range(12))
    assert sorted(Counter(outcome.clips[0].end_s for outcome in found).values()) == [2, 5, 5]


def test_workers_that_do_not_start_are_an_error_that_says_why():
    with DecodePool(workers=1) as pool:
        pool.worker_module = "broken_worker"
        with pytest.raises(MViTError, match="a library is missing") as error:
            outcomes(pool, [1])
    assert "--workers 0" in error.value.hint


@linux
def test_leaving_early_ends_the_work_and_the_processes():
    with FaultyPool(workers=2) as pool:
        stream = pool.imap(request(name) for name in [0, "hang", "hang", "hang"])
        pid = int(next(stream).clips[0].end_s)
        began = time.monotonic()
        stream.close()
        assert [told(outcome) for outcome in outcomes(pool, [5])] == [5]  # and the pool can go on
    assert time.monotonic() - began < 20
    assert not is_running(pid)
    assert pool.workers == []


@linux
def test_nothing_is_left_in_shared_memory_or_of_open_files(tmp_path):
    with FaultyPool(workers=1) as pool:
        outcomes(pool, [1])
    before = set(os.listdir("/dev/shm")), len(os.listdir("/proc/self/fd"))
    with FaultyPool(workers=2, timeout_s=0.5) as pool:
        outcomes(pool, [1, 2, "hang", 3])
        assert set(os.listdir("/dev/shm")) == before[0]
    assert (set(os.listdir("/dev/shm")), len(os.listdir("/proc/self/fd"))) == before


SCRIPT = """
    import os, signal, sys
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in whose background the tests run ignores it
    from mvit_cli.media.workers.pool import DecodePool
    from mvit_cli.media.request import DecodeRequest
    from mvit_cli.protocol import Sampling, Transform
    print("started", flush=True)
    transform = Transform((0.5,) * 3, (0.5,) * 3, 32, 32)
    with DecodePool(workers=2) as pool:
        jobs = (DecodeRequest(path, Sampling("image", 1), transform) for path in sys.argv[1:])
        for outcome in pool.imap(jobs):
            print(type(outcome).__name__, *[worker._process.pid for worker in pool.workers], flush=True)
        print("torch" in sys.modules, flush=True)
        if os.environ.get("STAY"):
            sys.stdin.read()
"""


def start_script(tmp_path: Path, *paths: str, **options) -> subprocess.Popen:
    """Starts a script that has no `if __name__ == "__main__"`."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    return subprocess.Popen(
        [sys.executable, str(script), *paths],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_script_without_main_guard_runs_once(tmp_path):
    out, err = start_script(tmp_path, clip("one_frame.mp4"), clip("av1.mp4"), "none.mp4").communicate(timeout=60)
    assert err == ""
    lines = out.splitlines()
    assert (lines[0], lines[-1]) == ("started", "False")
    assert [line.split()[0] for line in lines[1:-1]] == ["Decoded", "Decoded", "MediaError"]


@linux
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_the_program(tmp_path, end):
    program = start_script(tmp_path, clip("one_frame.mp4"), env={**os.environ, "STAY": "1"})
    with program:
        program.stdout.readline()
        pids = [int(pid) for pid in program.stdout.readline().split()[1:]]
        assert pids
        program.stdout.readline()
        assert all(is_running(pid) for pid in pids)
        program.send_signal(end)
        program.wait(100)
        for _ in range(200):
            if not any(is_running(pid) for pid in pids):
                break
            time.sleep(0.05)
        assert not any(is_running(pid) for pid in pids)


def test_pool_gives_what_decode_gives(tmp_path, monkeypatch):
    monkeypatch.chdir(KEPT)  # relative names hold in the workers
    transform = Transform(GREY, GREY, 128, 112)
    names = ["hevc.mp4", "seventeen_frames.mp4", "rot90.mp4", "audio_only.mp4", "none.mp4", "tail_zeroed.mp4"]
    jobs = [DecodeRequest(name, CLIP, transform, num_clips=1, num_crops=3) for name in names]
    with DecodePool(workers=2) as pool:
        found = list(pool.imap(jobs))
    assert [type(outcome).__name__ for outcome in found] == ["Decoded"] * 3 + ["MediaError"] * 2 + ["Decoded"]
    for job, outcome in zip(jobs, found, strict=True):
        here = attempt(job)
        if isinstance(here, MediaError):
            assert (outcome.kind, outcome.message) == (here.kind, here.message)
            continue
        assert np.array_equal(outcome.pixels, here.pixels)
        assert (outcome.clips, outcome.warnings, outcome.reader) == (here.clips, here.warnings, here.reader)


@posix
@needs_decord
def test_damage_that_decord_conceals_is_overheard_and_told(tmp_path):
    path = Path(write_video(tmp_path / "a.mp4", 40, size=(128, 128), options={"g": "10"}))
    whole = path.read_bytes()
    jobs = []
    for place in np.linspace(whole.index(b"mdat") + 200, whole.index(b"moov") - 200, 12).astype(int):
        damaged = tmp_path / f"{place}.mp4"
        damaged.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        jobs.append(DecodeRequest(str(damaged), Sampling("native", 40), Transform(GREY, GREY, 128, 128)))
    with DecodePool(workers=1) as pool:
        found = list(pool.imap(jobs))
    readers = Counter()
    for job, outcome in zip(jobs, found, strict=True):
        truth = attempt(replace(job, reader="av"))
        assert outcome.warnings == truth.warnings
        assert np.array_equal(outcome.pixels, truth.pixels)
        readers[outcome.reader, bool(truth.warnings)] += 1
    assert readers["av", True] >= 6
    assert readers["decord", True] == 0


def test_without_workers_the_interface_is_the_same(tmp_path):
    path = write_video(tmp_path / "a.mp4", 10, size=(128, 128))
    job = DecodeRequest(path, Sampling("image", 1), Transform(GREY, GREY, 128, 128))
    lost = MediaError("not_found", "no such file")
    with DecodePool(workers=0) as pool:
        found = list(pool.imap([job, lost, request("none.mp4")]))
    assert read_number(found[0].pixels[0, 0]) == 5
    assert found[1] is lost
    assert found[2].kind == "not_found"
    assert pool.workers == []


@pytest.mark.parametrize(("usable", "workers"), [(1, 1), (2, 1), (4, 2), (8, 4), (64, 16)])
def test_auto_leaves_processors_to_the_network(monkeypatch, usable, workers):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(usable)), raising=False)
    assert workers_auto() == workers
    assert DecodePool().size == workers


@pytest.mark.parametrize("wrong", [{"workers": -1}, {"timeout_s": 0}])
def test_impossible_pool_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DecodePool(**wrong)


@posix
def test_a_worker_ends_by_itself_where_its_pool_does_not_end_it(monkeypatch):
    """The worker's own alarm: a reader that is away for long, or a pool that is stuck, leaves no process at work."""
    armed = []
    monkeypatch.setattr(signal, "setitimer", lambda which, seconds: armed.append((which, seconds)))
    _arm(3.0)
    _arm(0)
    assert armed == [(signal.ITIMER_REAL, 16.0), (signal.ITIMER_REAL, 0)]
    monkeypatch.undo()
    with FaultyPool(workers=1, timeout_s=0.1) as pool:
        pool._begin([request("hang")])
        while not pool.workers or not pool.workers[0].ready:  # given out, and then nobody listens
            pool._catch_up()
            pool._hand_out()
            time.sleep(0.01)
        assert pool.workers[0]._process.wait(30) == -signal.SIGALRM
        assert told(next(pool._outcomes())) == "timeout"
        pool._stop()


def test_pixels_that_wait_for_an_earlier_file_are_bounded(monkeypatch):
    """Files of 3 MB, of which a worker has two: 18 would fit between the input and a first file that takes long."""
    size = 1024 * 1024 * 3
    monkeypatch.setattr("mvit_cli.media.workers.pool.BUFFER_BYTES", 3 * size - 1)
    waited = []
    put = Outbox.put
    monkeypatch.setattr(Outbox, "put", lambda box, *what: (put(box, *what), waited.append(box.num_bytes)))
    with FaultyPool(workers=2) as pool:
        jobs = [request(name, 1024) for name in ["0", "0", "slow", *range(20)]]
        assert [told(outcome) for outcome in pool.imap(jobs)] == [0, 0, 255, *range(20)]
    # What is with a worker when the limit is reached still comes.
    assert 3 * size <= max(waited) <= 6 * size
