"""What heat maps take: `python benchmarks/heat.py CLIP [--presets NAME,...] [--methods NAME,...] [--most-gib N]`.

`mvit predict CLIP --heatmap DIR` in a process of its own, with random weights, one view, float32, on the CPU, for each
network and each method that it has: the most memory that was resident in that process, and in it with its decoding
processes, sampled every tenth of a second. A run that reaches the bound is ended. Prints a table (Markdown) and one
JSON document.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))
from startup import commit, machine  # noqa: E402  (its neighbour)

PRESETS = "B-32x3,v2-B,v2-L"
METHODS = ("none", "rollout", "split", "gradient")
EVERY_S = 0.1


def resident(process: int) -> int:
    """Bytes of a process that are in memory, shared ones too; 0 where it has ended."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def children(process: int) -> list[int]:
    """Those that a process has started, directly."""
    try:
        threads = Path(f"/proc/{process}/task").iterdir()
        return [int(child) for thread in threads for child in (thread / "children").read_text().split()]
    except OSError:
        return []


def measured(clip: str, preset: str, method: str, most_bytes: float) -> dict[str, Any] | None:
    """One run; None where the network has no such method."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["predict", clip, "--preset", preset, "--weights", "none", "--views", "1x1", "--device", "cpu"]
        heat = ["--heatmap", folder, "--heatmap-method", method] if method != "none" else []
        started, peak, together = time.perf_counter(), 0, 0
        process = subprocess.Popen(
            [sys.executable, "-m", "mvit_cli", *command, *heat, "--dtype", "float32", "--format", "jsonl"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        while process.poll() is None:
            own = resident(process.pid)
            peak, together = max(peak, own), max(together, own + sum(map(resident, children(process.pid))))
            if peak > most_bytes:
                process.terminate()
            time.sleep(EVERY_S)
        told = process.stderr.read().decode() if process.stderr else ""
    if process.returncode == 2 and "--heatmap-method" in told:
        return None
    return {
        "preset": preset,
        "method": method,
        "peak_gib": peak / 2**30,
        "together_gib": together / 2**30,
        "wall_s": time.perf_counter() - started,
        "ended": "at the bound" if peak > most_bytes else {0: "well"}.get(process.returncode, told.strip()[-200:]),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    lines = [
        f"| {row['preset']} | {row['method']} | {row['peak_gib']:.2f} | {row['together_gib']:.2f} "
        f"| {row['wall_s']:.0f} | {row['ended']} |"
        for row in rows
    ]
    head = "| preset | method | GiB | with decoding | s | ended |\n| :--- | :--- | ---: | ---: | ---: | :--- |"
    return "\n".join([head, *lines])


def main() -> None:
    """Measures, prints the table and the document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip")
    parser.add_argument("--presets", default=PRESETS)
    parser.add_argument("--methods", default=",".join(METHODS), help="none: without heat maps")
    parser.add_argument("--most-gib", type=float, default=9.0, help="where a run is ended (default 9)")
    asked = parser.parse_args()
    rows = []
    for preset in asked.presets.split(","):
        for method in asked.methods.split(","):
            if row := measured(asked.clip, preset, method, asked.most_gib * 2**30):
                rows.append(row)
                print(json.dumps(row), file=sys.stderr, flush=True)
    told = {"commit": commit(), "machine": machine(), "load": os.getloadavg(), "results": rows}
    print(table(rows), "", json.dumps(told, indent=1), sep="\n")


if __name__ == "__main__":
    main()
