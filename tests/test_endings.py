"""However a run ends, what it has reported stays, its processes go, and a later run adds what is missing, once."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from media_clips import clip, write_video
from test_cli import children

from mvit_cli.cli.main import run
from mvit_cli.recognition.scoring import Scorer

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and limits of POSIX")

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def clips(tmp_path: Path) -> list[str]:
    """Twenty names of one short video."""
    source = shutil.copy(clip("rot90.mp4"), tmp_path / "clip")
    paths = [str(tmp_path / f"{number:02}.mp4") for number in range(20)]
    for path in paths:
        os.link(source, path)
    return paths


@pytest.fixture
def start(weights: str) -> Iterator[Start]:
    """Starts `mvit predict` with one worker."""
    started = []

    def begin(*arguments: str, **options: Any) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "mvit_cli", "predict", *arguments, "--weights", weights, "--workers", "1"]
        started.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()
        process.stderr.close()


def wait_for_rows(file: Path, count: int) -> None:
    deadline = time.monotonic() + 100
    while not file.exists() or file.read_bytes().count(b"\n") < count:
        assert time.monotonic() < deadline, "the run reports nothing"
        time.sleep(0.005)


def whole_rows(file: Path) -> list[dict]:
    """The rows that were reported: those with their line break."""
    data = file.read_bytes()
    return [json.loads(line) for line in data[: data.rfind(b"\n") + 1].splitlines()]


def resume(file: Path, *arguments: str) -> int:
    return run(["predict", *arguments, "--output", str(file), "--resume", "-q", "--workers", "1"])


class TestTermination:
    def test_ends_the_run_and_its_workers_and_keeps_the_rows(
        self, start: Start, clips: list[str], tmp_path: Path, weights: str
    ) -> None:
        file = tmp_path / "rows.jsonl"
        process = start(*clips, "--output", str(file), "-q")
        wait_for_rows(file, 2)
        workers = children(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=60)[1] == "terminated\n"
        assert process.returncode == 143
        assert workers
        assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]
        reported = file.read_bytes()
        assert reported.endswith(b"\n")
        assert resume(file, *clips, "--weights", weights) == 0
        assert file.read_bytes().startswith(reported)
        assert [row["path"] for row in whole_rows(file)] == clips

    def test_leaves_a_whole_document(
        self, clips: list[str], tmp_path: Path, weights: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        start, calls = Scorer.start, itertools.count(1)

        def terminated_in_the_third(scorer: Scorer, files: list) -> object:
            if next(calls) == 3:
                os.kill(os.getpid(), signal.SIGTERM)
            return start(scorer, files)

        monkeypatch.setattr(Scorer, "start", terminated_in_the_third)
        monkeypatch.setattr("mvit_cli.media.workers.pool.workers_auto", lambda: 0)
        file = tmp_path / "rows.json"
        one_at_a_time = ["--views", "1x1", "--batch-size", "1"]
        assert run(["predict", *clips, "--weights", weights, *one_at_a_time, "--output", str(file), "-q"]) == 143
        document = json.loads(file.read_text())
        assert document["counts"] == {"ok": 2, "error": 0}
        assert [row["path"] for row in document["results"]] == clips[:2]
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_killed_worker_costs_no_row(start: Start, clips: list[str], tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    process = start(*clips, "--output", str(file), "-q")
    for count in (1, 8):
        wait_for_rows(file, count)
        for pid in children(process.pid):
            os.kill(pid, signal.SIGKILL)
    assert process.communicate(timeout=100)[1] == ""
    assert process.returncode == 0
    assert [(row["path"], row["status"]) for row in whole_rows(file)] == [(path, "ok") for path in clips]


def test_a_run_that_was_killed_in_the_middle_of_a_film_goes_on_there(
    start: Start, clips: list[str], tmp_path: Path, weights: str
) -> None:
    film = write_video(tmp_path / "film.mp4", 1500, size=(64, 64), options={"preset": "ultrafast", "g": "50"})
    file = tmp_path / "rows.jsonl"
    arguments = [clips[0], film, clips[1], "--window", "2", "--hop", "0.5"]
    process = start(*arguments, "--output", str(file), "-q")
    wait_for_rows(file, 12)
    process.kill()
    process.wait()
    reported = whole_rows(file)
    assert reported[-1]["path"] == film
    assert resume(file, *arguments, "--weights", weights) == 0
    rows = whole_rows(file)
    assert rows[: len(reported)] == reported
    assert list(Counter(row["path"] for row in rows)) == [clips[0], film, clips[1]]
    starts = [row["window"]["start_s"] for row in rows if row["path"] == film]
    assert starts == [number / 2 for number in range(117)]
    assert resume(file, *arguments, "--weights", weights) == 0
    assert whole_rows(file) == rows


class SmallDisk:
    """A folder that holds few bytes: a file system of its own where that may be mounted, else a limit on files."""

    def __init__(self, folder: Path, num_bytes: int) -> None:
        self.folder, self.num_bytes = folder, num_bytes
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={num_bytes}", "tmpfs", str(folder)]
        self.is_mounted = bool(shutil.which("mount")) and subprocess.run(mount, capture_output=True).returncode == 0
        self.error = "No space left on device" if self.is_mounted else "File too large"

    def limit(self) -> None:
        """For the process that is to run out of room."""
        import resource

        if not self.is_mounted:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.num_bytes, resource.RLIM_INFINITY))

    def make_room(self) -> None:
        if self.is_mounted:
            subprocess.run(["mount", "-o", "remount,size=1m", str(self.folder)], check=True)

    def close(self) -> None:
        if self.is_mounted:
            subprocess.run(["umount", str(self.folder)], check=True)


@pytest.fixture(params=[True, False], ids=["tmpfs", "limit"])
def small_disk(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallDisk]:
    if not request.param:
        monkeypatch.setattr(shutil, "which", lambda _: None)
    disk = SmallDisk(tmp_path / "disk", 128 << 10)
    yield disk
    disk.close()


def test_a_full_disk_keeps_the_rows_that_had_room(
    start: Start, clips: list[str], small_disk: SmallDisk, weights: str, tmp_path: Path
) -> None:
    file, labels = small_disk.folder / "rows.jsonl", tmp_path / "labels.txt"
    # Rows of 20 KB: the limit on files counts for the memory that workers share too.
    labels.write_text("\n".join(f"{letter * 4000}" for letter in "abcdefg"))
    clips = [*clips[:10], "--labels", str(labels)]
    process = start(*clips, "--output", str(file), "-q", preexec_fn=small_disk.limit)
    _, said = process.communicate(timeout=100)
    assert process.returncode == 1
    assert said.splitlines()[0] == f"error: --output {file}: {small_disk.error}"
    reported = whole_rows(file)
    assert 2 <= len(reported) < 10
    small_disk.make_room()
    assert resume(file, *clips, "--weights", weights) == 0
    rows = whole_rows(file)
    assert rows[: len(reported)] == reported
    assert [row["path"] for row in rows] == clips[:10]
