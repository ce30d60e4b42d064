"""What many rows and many inputs cost: `python benchmarks/bookkeeping.py [--rows N] [--files N] [--folder DIR]`.

`--resume` over a file of rows in which every input of a list is done, so that nothing but the bookkeeping is measured:
the whole command, in a process of its own. Then the first input, and all of them, of a list, a tree of folders and one
folder, in a process each. Rows are 686 bytes, as those of `camera_motion` are about; everything is made below DIR and
removed again (10^7 rows: 7.4 GB). Prints a table (Markdown) and one JSON document.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
ROW_BYTES = 686
IDENTITY = {"preset": "camera_motion", "weights": "camera_motion.embedded", "views": "3x1"}
LISTED = """
import json, sys, time
from mvit_cli.recognition.listing import Listing, Shard
names, shard = json.loads(sys.argv[1])
listing = Listing(tuple(names), shard=Shard(*shard) if shard else None)
def peak():  # since this program began: getrusage has that of its parent too
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
before = peak()
started = time.perf_counter()
sources = listing.sources()
next(sources)
first = time.perf_counter() - started
count = 1 + sum(1 for _ in sources)
grown = peak() - before
print(json.dumps({"first_s": first, "all_s": time.perf_counter() - started, "count": count, "grown_mb": grown / 1024}))
"""


def path_of(number: int) -> str:
    """As of a bucket that is mounted: 44 characters."""
    return f"bucket/{number // 10000:05}/{number % 100:02}/take_{number:010}_720p.mp4"


def write_rows(rows: Path, names: Path, count: int) -> None:
    """A file of rows, and the list of their inputs."""
    tail = {
        "activation": "softmax",
        "predictions": [{"index": i, "label": "pan left", "score": round(0.5 / (i + 1), 7)} for i in range(4)],
        "clips": [{"start_s": 0.0, "end_s": 2.133333}] * 3,
        "duration_s": 10.01,
        "reader": "decord",
        "warnings": [],
        "device": "cpu",
        "dtype": "float32",
        "timing_ms": {"decode": 28.3, "model": 26.5},
    }

    def line(number: int, warning: str = "") -> str:
        head = {"path": path_of(number), "status": "ok", **IDENTITY}
        return json.dumps(head | tail | {"warnings": [warning] if warning else []}, ensure_ascii=False) + "\n"

    padding = "w" * (ROW_BYTES - len(line(0)) - 2)
    before, after = line(0, padding).split(path_of(0))
    with rows.open("w") as stream, names.open("w") as listed:
        for number in range(count):
            stream.write(f"{before}{path_of(number)}{after}")
            listed.write(path_of(number) + "\n")
    assert os.path.getsize(rows) == count * ROW_BYTES, os.path.getsize(rows) / count


def resumed(folder: Path, count: int) -> dict[str, Any]:
    """A run that finds all of its rows."""
    rows, names = folder / "rows.jsonl", folder / "list.txt"
    write_rows(rows, names, count)
    command = ["predict", f"@{names}", "--preset", "camera", "-o", str(rows), "--resume"]
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "mvit_cli", *command], stderr=subprocess.PIPE, cwd=ROOT)
    assert process.stderr
    told = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    rows.unlink()
    names.unlink()
    assert process.returncode == 0, told
    assert f"{count} skipped" in told, told
    cpu = usage.ru_utime + usage.ru_stime
    return {"rows": count, "wall_s": wall, "cpu_s": cpu, "peak_mb": usage.ru_maxrss / 1024}


def listings(folder: Path, count: int) -> dict[str, dict[str, Any]]:
    """What the first input and all of them cost."""
    names = folder / "list.txt"
    names.write_text("".join(path_of(number) + "\n" for number in range(count)))
    tree, flat = folder / "tree", folder / "flat"
    flat.mkdir()
    for number in range(count):
        if number % 1000 == 0:
            inner = tree / f"{number // 100000:03}" / f"{number // 1000 % 100:02}"
            inner.mkdir(parents=True)
        name = f"take_{number:010}.mp4"
        (inner / name).touch()
        (flat / name).touch()
    asked: dict[str, tuple[Any, Any]] = {
        "a list": ([f"@{names}"], None),
        "a list, --shard 3/64": ([f"@{names}"], (3, 64)),
        "a tree, 1000 files a folder": ([str(tree)], None),
        "one folder": ([str(flat)], None),
        "a pattern, tree/**/*.mp4": ([f"{tree}/**/*.mp4"], None),
    }
    found = {}
    for name, arguments in asked.items():
        done = subprocess.run(
            [sys.executable, "-c", LISTED, json.dumps(arguments)], check=True, capture_output=True, cwd=ROOT
        )
        found[name] = json.loads(done.stdout)
    return found


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=0, help="of each listing; 0: none")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=asked.folder, prefix="mvit-bookkeeping."))
    result: dict[str, Any] = {"python": platform.python_version(), "cores": os.cpu_count()}
    try:
        if asked.rows:
            result["resume"] = one = resumed(folder, asked.rows)
            print("| rows | wall s | CPU s | peak MB | us a row |\n| ---: | ---: | ---: | ---: | ---: |")
            cells = (one["wall_s"], one["cpu_s"], one["peak_mb"], 1e6 * one["wall_s"] / asked.rows)
            print(f"| {asked.rows:,} | {' | '.join(f'{cell:.1f}' for cell in cells)} |\n")
        if asked.files:
            result["listings"] = found = listings(folder, asked.files)
            print(f"| {asked.files:,} inputs in | first, ms | all, s | MB more |\n| :--- | ---: | ---: | ---: |")
            for name, one in found.items():
                print(f"| {name} | {1e3 * one['first_s']:.1f} | {one['all_s']:.1f} | {one['grown_mb']:.0f} |")
    finally:
        shutil.rmtree(folder)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
