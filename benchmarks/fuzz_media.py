"""Broken videos and pictures through `mvit predict`: `python benchmarks/fuzz_media.py [--files 10000] [--seed 0]`.

Files of `hostile_media.py` (all follows from the seed) are given in batches to the command itself: videos to the preset
`camera`, pictures, which that refuses, to a small network; every second batch in windows, each with a page. What holds:

- one row a file, in order, or complete windows without gap and repeat; each row as `mvit schema predict` has it;
- no error of kind `internal`, no traceback, nothing "unexpected", nothing that steers a terminal, the right exit code;
- an undamaged file is recognised;
- no row is waited for longer than `PATIENCE_S`; what took long takes at most `MAX_CPU_S` of a processor when alone;
- the main process grows by at most `MAX_GROWTH_BYTES` to at most `MAX_PEAK_BYTES`; a worker has `MAX_WORKER_BYTES`;
- the page can be parsed, and holds neither a script nor a resource from elsewhere;
- nothing is left in the temporary folder.

With `--results FILE` each batch is kept as a line of JSON; the same command goes on where a run was ended.
Prints a table (Markdown) and one JSON document. Exit code 1 if anything did not hold.
"""

import argparse
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hostile_media import FORMATS, MUTATIONS, UNDAMAGED, HostileFile, Still, make_file
from hostile_pages import faults_of_page

TIMEOUT_S = 10.0
PATIENCE_S, SLOW_S, MAX_CPU_S = 120.0, 3.0, 5.0
MAX_GROWTH_BYTES, MAX_PEAK_BYTES, MAX_WORKER_BYTES = 300_000_000, 1_000_000_000, 4 << 30
"""Growth: what torch keeps for batches of every size comes in steps, and ends; a row that stays would be more."""

WINDOWS = (None, (1.0, 1.0), None, (1.0, 0.5))
"""Seconds of a window and of a hop, batch by batch."""
STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
NUMBER = re.compile(r"^\d+")


@dataclass
class Batch:
    """What came out of some files.

    Attributes:
        first: the number of the first file.
        outcomes: how often each "format|mutation|outcome" came.
        failures: what must not happen, in words.
        slow: files whose row was waited for, or that ran out of time: number, seconds waited, processor seconds alone.
        grown_bytes: by which the least that the main process has is more at the end than at the beginning.
        peak_bytes: the most that it had.
        worker_bytes: the most that a worker had.
        longest_s: the longest wait for a row.
    """

    first: int
    files: int = 0
    rows: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slow: list[tuple[int, float, float]] = field(default_factory=list)
    grown_bytes: int = 0
    peak_bytes: int = 0
    worker_bytes: int = 0
    longest_s: float = 0.0
    wall_s: float = 0.0


# --- one run of the command


class Watched:
    """Memory of a process and of those it started, looked at four times a second."""

    def __init__(self, process_id: int) -> None:
        self._id, self._over = process_id, threading.Event()
        self.peak_bytes = self.worker_bytes = 0
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def resident_bytes(self) -> int:
        """Of the process now."""
        return _status(self._id, "VmRSS")

    def _look(self) -> None:
        while not self._over.wait(0.25):
            self.peak_bytes = max(self.peak_bytes, _status(self._id, "VmHWM"))
            try:
                children = Path(f"/proc/{self._id}/task/{self._id}/children").read_text().split()
            except OSError:
                continue
            self.worker_bytes = max([self.worker_bytes, *(_status(int(child), "VmHWM") for child in children)])

    def stop(self) -> None:
        """Looks no more."""
        self._over.set()
        self._thread.join()


def _status(process_id: int, key: str) -> int:
    try:
        lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(key)), 0)


def command(network: list[str], windows: tuple[float, float] | None, page: Path | None) -> list[str]:
    """The command line; paths come on standard input."""
    shown = ["--window", str(windows[0]), "--hop", str(windows[1])] if windows else []
    report = ["--report", str(page)] if page else []
    return [sys.executable, "-m", "mvit_cli", "predict", "-", "-0", *network, "--format", "jsonl", "--device", "cpu",
            "--timeout", str(TIMEOUT_S), "--workers", "2", *shown, *report]  # fmt: skip


def run_files(batch: Batch, files: list[HostileFile], network: list[str], windows: tuple[float, float] | None) -> None:
    """Gives files to one run of the command, and judges all that it does."""
    with tempfile.TemporaryDirectory(prefix="fuzz-media-") as root:
        folder, scratch, page = Path(root, "in"), Path(root, "tmp"), Path(root, "page.html")
        folder.mkdir(), scratch.mkdir()
        paths = [os.path.join(os.fsencode(folder), file.name) for file in files]
        for path, file in zip(paths, files, strict=True):
            Path(os.fsdecode(path)).write_bytes(file.data)
        Path(root, "list").write_bytes(b"".join(path + b"\0" for path in paths))
        environment = {**os.environ, "TMPDIR": str(scratch), "MVIT_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        with open(Path(root, "list"), "rb") as names, open(Path(root, "err"), "w+b") as words:
            process = subprocess.Popen(
                command(network, windows, page), stdin=names, stdout=subprocess.PIPE, stderr=words, env=environment
            )
            watched, rows = Watched(process.pid), list[dict[str, Any]]()
            try:
                rows = _rows_of(batch, process, watched, files)
            finally:
                process.kill()
                watched.stop()
            words.seek(0)
            said = words.read().decode("utf-8", "replace")
        batch.peak_bytes = max(batch.peak_bytes, watched.peak_bytes)
        batch.worker_bytes = max(batch.worker_bytes, watched.worker_bytes)
        _judge(batch, files, rows, windows)
        _judge_words(batch, said, process.returncode, rows)
        batch.failures += faults_of_page(page.read_bytes()) if page.exists() else ["there is no page"]
        batch.failures += [f"left in the temporary folder: {path.name}" for path in scratch.iterdir()]


def _rows_of(batch: Batch, process: "subprocess.Popen[bytes]", watched: Watched, files: list[HostileFile]) -> list[Any]:
    """The rows as they come; whoever is waited for too long ends the run."""
    rows, resident, last = list[Any](), list[int](), 0.0
    alarm = threading.Timer(PATIENCE_S, process.send_signal, (signal.SIGABRT,))
    alarm.start()
    assert process.stdout is not None
    for line in process.stdout:
        alarm.cancel()
        now = time.perf_counter()
        row = json.loads(line)
        if last:  # not for the first one, before which the program starts
            batch.longest_s = max(batch.longest_s, round(now - last, 2))
            if now - last > SLOW_S:
                batch.slow.append((_number(row), round(now - last, 2), 0.0))
        rows.append(row)
        resident.append(watched.resident_bytes())
        last = now
        alarm = threading.Timer(PATIENCE_S, process.send_signal, (signal.SIGABRT,))
        alarm.start()
    process.wait()
    alarm.cancel()
    third = len(resident) // 3
    if third > 100:  # batches come and go: the least of the last third beside the least of the first
        batch.grown_bytes = max(batch.grown_bytes, min(resident[-third:]) - min(resident[100:third]))
    return rows


def _number(row: dict[str, Any]) -> int:
    found = NUMBER.match(os.path.basename(row["path"]))
    return int(found.group()) if found else -1


# --- the judgement


@cache
def _validator(definition: str) -> Any:
    import jsonschema

    told = subprocess.run([sys.executable, "-m", "mvit_cli", "schema", "predict"], capture_output=True, check=True)
    schema = json.loads(told.stdout)
    return jsonschema.Draft202012Validator({"$defs": schema["$defs"], "$ref": f"#/$defs/{definition}"})


def _judge(batch: Batch, files: list[HostileFile], rows: list[Any], windows: tuple[float, float] | None) -> None:
    by_number: dict[int, list[Any]] = {}
    order = list[int]()
    for row in rows:
        number = _number(row)
        if not order or order[-1] != number:
            order.append(number)
        by_number.setdefault(number, []).append(row)
        for error in _validator("ok" if row.get("status") == "ok" else "error").iter_errors(row):
            batch.failures.append(f"file {number}: a row that is not of its schema: {error.message:.200}")
            break
    if order != [file.number for file in files]:
        batch.failures.append(f"{len(files)} files from {files[0].number} on gave rows of others, or in another order")
    batch.rows += len(rows)
    batch.files += len(files)
    for file in files:
        outcomes = [_outcome(batch, file, row) for row in by_number.get(file.number, [])]
        whole = "+".join(sorted(set(outcomes))) or "no row"
        batch.outcomes[f"{file.format}|{file.mutation}|{whole}"] += 1
        if windows is None and len(outcomes) != 1:
            batch.failures.append(f"file {file.number}: {len(outcomes)} rows")
        elif windows is not None:
            batch.failures += [
                f"file {file.number}: {each}" for each in _gaps(by_number.get(file.number, []), *windows)
            ]
        if file.valid and not set(outcomes) <= {"ok", "warned"}:
            batch.failures.append(f"file {file.number} ({file.format}) is undamaged, but {whole}")


def _outcome(batch: Batch, file: HostileFile, row: Any) -> str:
    """`ok`, `warned` or the kind of the error."""
    if row["status"] == "ok":
        said, name = row["warnings"], "warned" if row["warnings"] else "ok"
    else:
        said, name = [row["error"]["message"]], row["error"]["kind"]
    if name in ("internal", "not_found", "timeout"):
        if name == "timeout":
            batch.slow.append((file.number, TIMEOUT_S, 0.0))
        else:
            batch.failures.append(f"file {file.number} ({file.format}, {file.mutation}): {name}: {said}"[:400])
    for text in said:
        if not text or "\n" in text or STEERING.search(text) or "Traceback" in text:
            batch.failures.append(f"file {file.number}: a message that is none: {text!r}"[:300])
    return name


def _gaps(rows: list[Any], length_s: float, hop_s: float) -> list[str]:
    """What is wrong with the windows of one file."""
    if any(not row.get("window") for row in rows):  # a picture has none
        return [] if len(rows) == 1 else ["rows with and without a window"]
    found, next_s = [], 0.0
    for row in rows:
        start_s, end_s = row["window"]["start_s"], row["window"]["end_s"]
        if abs(start_s - next_s) > 1e-4:
            found.append(f"a window from {start_s} s where one from {next_s} s is due")
        next_s = end_s - length_s + hop_s
    last = rows[-1]
    if last["status"] == "ok" and not last["window"]["end_s"] >= last["duration_s"] - hop_s - 1e-4:
        found.append(f"the last window ends at {last['window']['end_s']} s of {last['duration_s']} s")
    return found[:2]


def _judge_words(batch: Batch, said: str, code: int, rows: list[Any]) -> None:
    if code != (1 if any(row["status"] != "ok" for row in rows) else 0):
        batch.failures.append(f"exit code {code}: {said[-600:]}")
    for sign in ("Traceback", "unexpected", "please report", "MemoryError", "Warning:"):
        if sign in said:
            batch.failures.append(f"on standard error: {said[max(0, said.index(sign) - 300) :][:900]}")
    if found := STEERING.search(said):
        batch.failures.append(f"steers the terminal: {said[max(0, found.start() - 100) :][:200]!r}")


def look_again(batch: Batch, seed: int, networks: dict[bool, list[str]], windows: tuple[float, float] | None) -> None:
    """Files that were waited for, each alone: how much of a processor it takes, start-up not counted."""
    told, batch.slow = {number: wait for number, wait, _ in batch.slow}, []
    for number, wait_s in told.items():
        file = make_file(seed, number)
        network = networks[isinstance(FORMATS[file.format], Still)]
        cpu_s = _cpu_s(file.data, network, windows) - _cpu_s(b"", network, windows)
        batch.slow.append((number, wait_s, round(cpu_s, 2)))
        if cpu_s > MAX_CPU_S:
            batch.failures.append(f"file {number} ({file.format}, {file.mutation}) takes {cpu_s:.1f} s of a processor")


def _cpu_s(data: bytes, network: list[str], windows: tuple[float, float] | None) -> float:
    with tempfile.TemporaryDirectory() as root:
        Path(root, "one").write_bytes(data)
        process = subprocess.Popen(
            command(network, windows, None), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        assert process.stdin is not None
        process.stdin.write(os.fsencode(Path(root, "one")) + b"\0")
        process.stdin.close()
        _, _, used = os.wait4(process.pid, 0)
        process.returncode = 0
        return used.ru_utime + used.ru_stime


# --- all batches


def small_network(folder: Path) -> list[str]:
    """Options that name a network which looks at pictures too."""
    import random

    import hostile_corpus

    path = folder / "small.pyth"
    contents = hostile_corpus.contents(hostile_corpus.source("small_pysf_v2"), random.Random(0))
    path.write_bytes(hostile_corpus.saved(contents))
    return ["--weights", str(path)]


def run_batch(first: int, count: int, seed: int, windows: tuple[float, float] | None) -> Batch:
    """The files of some numbers, videos and pictures each in a run."""
    started, batch = time.perf_counter(), Batch(first)
    with tempfile.TemporaryDirectory(prefix="fuzz-media-") as folder:
        networks = {False: ["--preset", "camera"], True: small_network(Path(folder))}
        files = [make_file(seed, number) for number in range(first, first + count)]
        for still, network in networks.items():
            if some := [file for file in files if isinstance(FORMATS[file.format], Still) == still]:
                run_files(batch, some, network, windows)
        look_again(batch, seed, networks, windows)
    if batch.grown_bytes > MAX_GROWTH_BYTES:
        batch.failures.append(f"the main process grew by {batch.grown_bytes / 1e6:.0f} MB")
    if batch.peak_bytes > MAX_PEAK_BYTES:
        batch.failures.append(f"the main process had {batch.peak_bytes / 1e6:.0f} MB")
    if batch.worker_bytes > MAX_WORKER_BYTES:
        batch.failures.append(f"a worker had {batch.worker_bytes / 1e6:.0f} MB")
    batch.wall_s = round(time.perf_counter() - started, 1)
    return batch


def kept_batches(results: Path | None, seed: int) -> dict[tuple[int, int], Batch]:
    """What an earlier run has written down, by the first number and the count."""
    kept = {}
    for line in results.read_text().splitlines() if results and results.exists() else ():
        held = json.loads(line)
        if held.pop("seed") == seed:
            batch = Batch(**{**held, "outcomes": Counter(held["outcomes"])})
            kept[batch.first, batch.files] = batch
    return kept


def table(batches: list[Batch]) -> str:
    """Outcomes by format and by mutation, as Markdown."""
    counts: dict[str, Counter[str]] = {}
    for batch in batches:
        for key, count in batch.outcomes.items():
            suffix, mutation, outcome = key.split("|")
            for row in (suffix, mutation, "all"):
                counts.setdefault(row, Counter())[outcome] += count
    outcomes = [name for name, _ in counts["all"].most_common()]
    lines = [f"| | files | {' | '.join(outcomes)} |", f"| :--- | {' | '.join(['---:'] * (1 + len(outcomes)))} |"]
    for row in (*FORMATS, UNDAMAGED, *MUTATIONS, "all"):
        if held := counts.get(row):
            lines.append(f"| {row} | {held.total()} | {' | '.join(str(held[name]) for name in outcomes)} |")
    return "\n".join(lines)


def document(batches: list[Batch], arguments: argparse.Namespace) -> dict[str, Any]:
    """The result as JSON can carry it."""
    from startup import commit, machine

    outcomes = Counter[str]()
    for batch in batches:
        for key, count in batch.outcomes.items():
            outcomes[key.split("|")[2]] += count
    return {
        "benchmark": "fuzz_media",
        "date": datetime.now(UTC).date().isoformat(),
        "files": sum(batch.files for batch in batches),
        "formats": len({key.split("|")[0] for batch in batches for key in batch.outcomes}),
        "rows": sum(batch.rows for batch in batches),
        "seed": arguments.seed,
        "outcomes": dict(outcomes.most_common()),
        "failures": [failure for batch in batches for failure in batch.failures],
        "slow": [each for batch in batches for each in batch.slow],
        "longest_wait_s": round(max(batch.longest_s for batch in batches), 2),
        "memory": {
            "main_peak_bytes": max(batch.peak_bytes for batch in batches),
            "main_grown_bytes": max(batch.grown_bytes for batch in batches),
            "worker_peak_bytes": max(batch.worker_bytes for batch in batches),
        },
        "wall_s": round(sum(batch.wall_s for batch in batches), 1),
        "machine": machine(),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("av", "decord2", "pillow", "torch")},
        "commit": commit(),
    }


def main() -> None:
    """Runs the files, prints what came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=10_000, help="files (default 10000)")
    parser.add_argument("--first", type=int, default=0, help="number of the first file (default 0)")
    parser.add_argument("--seed", type=int, default=0, help="the same number makes the same files (default 0)")
    parser.add_argument("--batch", type=int, default=1000, help="files of a run of the command (default 1000)")
    parser.add_argument("--results", type=Path, help="where batches are kept; those in it are not run again")
    arguments = parser.parse_args()
    kept, batches = kept_batches(arguments.results, arguments.seed), list[Batch]()
    end = arguments.first + arguments.files
    for place, first in enumerate(range(arguments.first, end, arguments.batch)):
        count = min(arguments.batch, end - first)
        batch = kept.get((first, count))
        if batch is None:
            batch = run_batch(first, count, arguments.seed, WINDOWS[place % len(WINDOWS)])
            if arguments.results:
                with arguments.results.open("a") as file:
                    file.write(json.dumps({"seed": arguments.seed, **vars(batch)}) + "\n")
        batches.append(batch)
        told = f"files {first} to {first + count - 1}: {batch.rows} rows, {batch.wall_s} s, longest {batch.longest_s} s"
        print(told, *batch.failures, sep="\n  ", file=sys.stderr, flush=True)
    print(table(batches), "", json.dumps(document(batches, arguments), indent=1), sep="\n")
    sys.exit(1 if any(batch.failures for batch in batches) else 0)


if __name__ == "__main__":
    main()
