"""Hostile checkpoints through the commands: `python benchmarks/fuzz_checkpoints.py [--count N] [--seed 0] [--jobs 1]`.

Each file (see `hostile_checkpoints.py`; all follows from the seed) goes through `summarize`, `predict` of one short
clip, `weights verify` and `weights convert`, in a process of its own that began with torch loaded. What must hold:
at most `MAX_CPU_S` of one core and `MAX_GROWTH_BYTES` of memory a command; exit code 0, 1 or 2; an error is one of
ours, printable, and never "unexpected"; nothing named in a file is imported, called or started, and nothing outside
the working folder is written. Prints a table (Markdown), the costliest files and one JSON document. Exit code 1 if not.
With `--results FILE` each answer is kept as a line of JSON as it comes; the same command goes on where a run was ended.
"""

import argparse
import json
import multiprocessing
import os
import platform
import select
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from attacked import COMMANDS, MAX_CPU_S, MAX_GROWTH_BYTES, Told, attacked, prepare

KILL_WALL_S = 240.0


@dataclass
class Answer:
    """What all commands did with one file."""

    number: int
    kind: str
    size: int
    told: list[Told]


# --- the process that attacks

_ROOT: Path


def attack(task: tuple[int, int]) -> Answer:
    """One case: makes its files, sends a child at them, and one more for what is left when that dies."""
    from hostile_checkpoints import make_case

    seed, number = task
    case = make_case(seed, number)
    folder = _ROOT / f"case{number}"
    folder.mkdir()
    for name, data in case.files.items():
        (folder / name).write_bytes(data)
    names = ["predict"] if case.labels else list(COMMANDS)
    told: list[Told] = []
    while len(told) < len(names):
        told += _child(folder, names[len(told) :], case.labels)
    if case.valid:
        for each in told:
            if each.outcome != "ok":
                each.wrong.append(f"a valid file was refused: {each.message}")
    if not any(each.wrong for each in told) or os.environ.get("KEEP") is None:
        shutil.rmtree(folder)
    return Answer(number, case.kind, sum(map(len, case.files.values())), told)


def _child(folder: Path, names: list[str], labels: bool) -> list[Told]:
    """What a child tells of these commands; the last is how it died, if it did."""
    reads, writes = os.pipe()
    started = time.perf_counter()
    child = os.fork()
    if not child:
        code = 1
        try:
            os.close(reads)
            attacked(folder, names, labels, writes, _ROOT)
            code = 0
        finally:
            os._exit(code)
    os.close(writes)
    data, killed = b"", False
    while True:
        left = started + KILL_WALL_S - time.perf_counter()
        if not select.select([reads], [], [], max(0, left))[0]:
            os.kill(child, signal.SIGKILL)
            killed = True
            break
        if not (chunk := os.read(reads, 1 << 16)):
            break
        data += chunk
    os.close(reads)
    _, status, used = os.wait4(child, 0)
    told = [Told(**json.loads(line)) for line in data.decode().splitlines()]
    if len(told) < len(names):
        how = "hung" if killed else f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit {status >> 8}"
        cpu_s = used.ru_utime + used.ru_stime - sum(each.cpu_s for each in told)
        died = Told(names[len(told)], "died", cpu_s, time.perf_counter() - started, used.ru_maxrss * 1024)
        died.wrong.append(f"died: {how}")
        told.append(died)
    return told


def answers(numbers: Iterable[int], seed: int, jobs: int) -> Iterator[Answer]:
    """What became of each file, as they are done."""
    global _ROOT
    with tempfile.TemporaryDirectory(prefix="fuzz-") as root:
        _ROOT = Path(root).resolve()
        prepare(_ROOT)
        tasks = ((seed, number) for number in numbers)
        here = os.getcwd()
        try:
            if jobs == 1:
                yield from map(attack, tasks)
            else:
                with multiprocessing.get_context("fork").Pool(jobs) as pool:
                    yield from pool.imap_unordered(attack, tasks, chunksize=8)
        finally:
            os.chdir("/" if not os.path.isdir(here) else here)


def kept_answers(results: Path, seed: int) -> list[Answer]:
    """What an earlier run has written down; a line that it did not finish is no answer."""
    kept = []
    for line in results.read_text().splitlines() if results.exists() else ():
        try:
            held = json.loads(line)
        except json.JSONDecodeError:
            continue
        if held.pop("seed") == seed:
            kept.append(Answer(**{**held, "told": [Told(**told) for told in held["told"]]}))
    return kept


# --- the report


def table(found: list[Answer]) -> str:
    """Outcomes by kind of attack and by command, as Markdown."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for answer in found:
        for told in answer.told:
            for row in (answer.kind, f"`{told.command}`", "all"):
                counts[row]["runs"] += 1
                counts[row]["wrong" if told.wrong else told.outcome] += 1
    rows = [*sorted({answer.kind for answer in found}), *(f"`{name}`" for name in COMMANDS), "all"]
    names = ("runs", "ok", "error 1", "error 2", "wrong")
    lines = [f"| | {' | '.join(names)} |", f"| :--- | {' | '.join(['---:'] * len(names))} |"]
    lines += [f"| {row} | {' | '.join(str(counts[row][name]) for name in names)} |" for row in rows if row in counts]
    return "\n".join(lines)


def costliest(found: list[Answer], most: int = 10) -> str:
    """The files that took most time, and most memory."""
    runs = [(told, answer) for answer in found for told in answer.told]
    lines = []
    for title, key in (("time", lambda run: run[0].cpu_s), ("memory", lambda run: run[0].grown_bytes)):
        lines.append(f"most {title}:")
        for told, answer in sorted(runs, key=key, reverse=True)[:most]:
            lines.append(
                f"  {told.cpu_s:6.2f} s {told.grown_bytes / 1e6:6.0f} MB  {told.command:9} {told.outcome:8}"
                f" file {answer.number} ({answer.kind}, {answer.size:,} bytes) {told.message[:90]!r}"
            )
    return "\n".join(lines)


def document(found: list[Answer], arguments: argparse.Namespace, wall_s: float) -> dict[str, Any]:
    """The result as JSON can carry it."""
    from startup import commit, machine

    runs = [told for answer in found for told in answer.told]
    return {
        "benchmark": "fuzz_checkpoints",
        "date": datetime.now(UTC).date().isoformat(),
        "files": len(found),
        "seed": arguments.seed,
        "limits": {"cpu_s": MAX_CPU_S, "grown_bytes": MAX_GROWTH_BYTES},
        "runs": len(runs),
        "outcomes": dict(Counter(told.outcome for told in runs).most_common()),
        "wrong": sum(bool(told.wrong) for told in runs),
        "longest_cpu_s": round(max(told.cpu_s for told in runs), 2),
        "most_grown_bytes": max(told.grown_bytes for told in runs),
        "wall_s": round(wall_s, 1),
        "machine": machine(),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in ("torch", "safetensors")},
        "commit": commit(),
    }


def main() -> None:
    """Runs the files, prints what came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000, help="files (default 10000)")
    parser.add_argument("--first", type=int, default=0, help="number of the first file (default 0)")
    parser.add_argument("--seed", type=int, default=0, help="the same number makes the same files (default 0)")
    parser.add_argument("--jobs", type=int, default=1, help="files at a time (default 1)")
    parser.add_argument("--results", type=Path, help="where answers are kept; files in it are not run again")
    arguments = parser.parse_args()
    wanted = range(arguments.first, arguments.first + arguments.count)
    started, found = time.perf_counter(), list[Answer]()
    if arguments.results:
        found = [answer for answer in kept_answers(arguments.results, arguments.seed) if answer.number in wanted]
    done = {answer.number for answer in found}
    for answer in answers((number for number in wanted if number not in done), arguments.seed, arguments.jobs):
        found.append(answer)
        if arguments.results:
            with arguments.results.open("a") as file:
                file.write("\n" * (file.tell() > 0) + json.dumps({"seed": arguments.seed, **asdict(answer)}))
        for told in answer.told:
            if told.wrong:
                print(f"file {answer.number} ({answer.kind}) {told.command}: {'; '.join(told.wrong)}", flush=True)
        if len(found) % 500 == 0:
            print(f"{len(found)} files, {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    print(table(found), "", costliest(found), "", sep="\n")
    print(json.dumps(document(found, arguments, time.perf_counter() - started), indent=1))
    sys.exit(1 if any(told.wrong for answer in found for told in answer.told) else 0)


if __name__ == "__main__":
    main()
