"""How long the command line takes to start: `python benchmarks/startup.py [--runs N]`.

Every command runs in a process of its own, all of them in turns, so that a noisy moment meets them all. Prints a table
(Markdown) and one JSON document. `mvit summarize --preset B` is meant to stay within 5 times `import typer, rich`,
and `mvit predict` on one short clip within 1.5 times `import torch`.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).parent.parent
MVIT = (sys.executable, "-m", "mvit_cli")
CLIP = ROOT / "tests" / "data" / "pan_left.mp4"
TORCH, PREDICT = 'python -c "import torch"', "mvit predict pan_left.mp4 --preset camera"
BASE, LIBRARIES, SUMMARIZE = "python -c pass", 'python -c "import typer, rich"', "mvit summarize --preset B"
COMMANDS = {
    BASE: (sys.executable, "-c", "pass"),
    LIBRARIES: (sys.executable, "-c", "import typer, rich"),
    TORCH: (sys.executable, "-c", "import torch"),
    PREDICT: (*MVIT, "predict", str(CLIP), "--preset", "camera", "--quiet"),
    "mvit --help": (*MVIT, "--help"),
    SUMMARIZE: (*MVIT, "summarize", "--preset", "B"),
    "mvit summarize --preset B --format json": (*MVIT, "summarize", "--preset", "B", "--format", "json"),
    "mvit weights list": (*MVIT, "weights", "list"),
}
TARGET, TARGET_OF_PREDICT = 5.0, 1.5


Samples = dict[str, list[float]]


def measure(runs: int) -> tuple[Samples, Samples]:
    """Seconds by the clock and seconds of processor time of each command, `runs` times.

    The first round fills the caches and does not count. Processor time hardly changes when other programs run.
    """
    seconds: Samples = {name: [] for name in COMMANDS}
    processor: Samples = {name: [] for name in COMMANDS}
    for turn in range(runs + 1):
        for name, command in COMMANDS.items():
            before, start = children_cpu_s(), time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
            if turn:
                seconds[name].append(time.perf_counter() - start)
                processor[name].append(children_cpu_s() - before)
    return seconds, processor


def children_cpu_s() -> float:
    """Processor seconds of all finished child processes."""
    times = os.times()
    return times.children_user + times.children_system


def document(seconds: Samples, processor: Samples) -> dict[str, object]:
    """The result as JSON can carry it."""
    middle = {name: median(values) for name, values in seconds.items()}
    rows = [
        {
            "command": name,
            "median_ms": round(1000 * middle[name], 1),
            "p10_ms": round(1000 * quantiles(values, n=10, method="inclusive")[0], 1),
            "p90_ms": round(1000 * quantiles(values, n=10, method="inclusive")[-1], 1),
            "cpu_ms": round(1000 * median(processor[name]), 1),
            "times_python": round(middle[name] / middle[BASE], 2),
            "times_libraries": round(middle[name] / middle[LIBRARIES], 2),
        }
        for name, values in seconds.items()
    ]
    of_torch = middle[PREDICT] / middle[TORCH]
    return {
        "benchmark": "startup",
        "runs": len(seconds[BASE]),
        "machine": machine(),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("typer", "rich", "torch")},
        "commit": commit(),
        "target": {"command": SUMMARIZE, "times_libraries": TARGET, "met": ratio(middle) <= TARGET},
        "target_of_predict": {"times_torch": TARGET_OF_PREDICT, "is": of_torch, "met": of_torch <= TARGET_OF_PREDICT},
        "results": rows,
    }


def ratio(middle: dict[str, float]) -> float:
    """What the target is about."""
    return middle[SUMMARIZE] / middle[LIBRARIES]


def cpu_name() -> str:
    """The processor's name."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def machine() -> dict[str, object]:
    """What results must say of where they come from; the flags tell which number formats have hardware."""
    from mvit_cli.cli.environment import processor

    told = processor()
    return {"cpu": cpu_name(), "flags": told.get("flags"), "cores": os.cpu_count(), "system": platform.system()}


def commit() -> str:
    """The commit that is measured; with `+` if the package differs from it."""
    head = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    changed = subprocess.run(["git", "status", "--porcelain", "mvit_cli"], cwd=ROOT, capture_output=True, text=True)
    return head.stdout.strip() + "+" * bool(changed.stdout.strip())


def table(result: dict[str, object]) -> str:
    """The rows as Markdown."""
    titles = ("command", "median ms", "p10 to p90", "CPU ms", "x `python -c pass`", "x `import typer, rich`")
    head = f"| {' | '.join(titles)} |\n| :--- | {' | '.join(['---:'] * 5)} |"
    rows = result["results"]
    assert isinstance(rows, list)
    lines = [
        f"| `{row['command']}` | {row['median_ms']:.0f} | {row['p10_ms']:.0f} to {row['p90_ms']:.0f} "
        f"| {row['cpu_ms']:.0f} | {row['times_python']:.1f} | {row['times_libraries']:.1f} |"
        for row in rows
    ]
    return "\n".join([head, *lines])


def main() -> None:
    """Measures, prints the table and the document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15, help="rounds that count (default 15)")
    result = document(*measure(parser.parse_args().runs))
    print(table(result), "", json.dumps(result, indent=1), sep="\n")


if __name__ == "__main__":
    main()
