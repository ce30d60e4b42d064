"""How long the command line takes to start: `python benchmarks/startup.py [--runs N] [--write]`.

Every command runs in a process of its own, all of them in turns, so that a noisy moment meets them all; with compiled
modules, as pip installs them. Prints a table (Markdown) and one JSON document; `--write` puts the table into
`benchmarks/RESULTS.md`. `mvit summarize --preset B` is meant to stay within 5 times `import typer, rich`, and
`mvit predict` on one short clip within 1.15 times `import torch`: ratios of the minima.
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

from results_page import written_section

ROOT = Path(__file__).parent.parent
MVIT = (sys.executable, "-m", "mvit_cli")
CLIP = ROOT / "tests" / "data" / "pan_left.mp4"
TORCH, PREDICT = 'python -c "import torch"', "mvit predict pan_left.mp4 --preset camera"
ALONE = 'python -c "import os, torch; os._exit(0)"'
BASE, LIBRARIES, SUMMARIZE = "python -c pass", 'python -c "import typer, rich"', "mvit summarize --preset B"
COMMANDS = {
    BASE: (sys.executable, "-c", "pass"),
    LIBRARIES: (sys.executable, "-c", "import typer, rich"),
    TORCH: (sys.executable, "-c", "import torch"),
    ALONE: (sys.executable, "-c", "import os, torch; os._exit(0)"),
    PREDICT: (*MVIT, "predict", str(CLIP), "--preset", "camera", "--quiet"),
    "mvit --help": (*MVIT, "--help"),
    SUMMARIZE: (*MVIT, "summarize", "--preset", "B"),
    "mvit summarize --preset B --format json": (*MVIT, "summarize", "--preset", "B", "--format", "json"),
    "mvit weights list": (*MVIT, "weights", "list"),
}
TARGET, TARGET_OF_PREDICT = 5.0, 1.15
FIFO = "in real time, which other programs do not interrupt"


Samples = dict[str, list[float]]


def measure(runs: int, pause_s: float) -> tuple[Samples, Samples]:
    """Seconds by the clock and seconds of processor time of each command, `runs` times.

    The first round fills the caches and does not count. Processor time hardly changes when other programs run.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    seconds: Samples = {name: [] for name in COMMANDS}
    processor: Samples = {name: [] for name in COMMANDS}
    for turn in range(runs + 1):
        for name, command in COMMANDS.items():
            before, start = children_cpu_s(), time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=ROOT, env=environment)
            if turn:
                seconds[name].append(time.perf_counter() - start)
                processor[name].append(children_cpu_s() - before)
        time.sleep(pause_s)
    return seconds, processor


def children_cpu_s() -> float:
    """Processor seconds of all finished child processes."""
    times = os.times()
    return times.children_user + times.children_system


def document(seconds: Samples, processor: Samples) -> dict[str, object]:
    """The result as JSON can carry it."""
    middle, least = ({name: of(values) for name, values in seconds.items()} for of in (median, min))
    rows = [
        {
            "command": name,
            "min_ms": round(1000 * least[name], 1),
            "median_ms": round(1000 * middle[name], 1),
            "p10_ms": round(1000 * quantiles(values, n=10, method="inclusive")[0], 1),
            "p90_ms": round(1000 * quantiles(values, n=10, method="inclusive")[-1], 1),
            "cpu_ms": round(1000 * median(processor[name]), 1),
            "times_libraries": round(least[name] / least[LIBRARIES], 2),
            "times_torch": round(least[name] / least[TORCH], 3),
        }
        for name, values in seconds.items()
    ]
    of_libraries, of_torch = least[SUMMARIZE] / least[LIBRARIES], least[PREDICT] / least[TORCH]
    pairs = [ours / theirs for ours, theirs in zip(seconds[PREDICT], seconds[TORCH], strict=True)]
    return {
        "benchmark": "startup",
        "runs": len(seconds[BASE]),
        "machine": machine(),
        "scheduling": FIFO if in_real_time() else "usual",
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("typer", "rich", "torch")},
        "commit": commit(),
        "target": {"command": SUMMARIZE, "times_libraries": TARGET, "is": of_libraries, "met": of_libraries <= TARGET},
        "target_of_predict": {
            "times_torch": TARGET_OF_PREDICT,
            "is": of_torch,
            "median_of_pairs": median(pairs),
            "met": of_torch <= TARGET_OF_PREDICT,
        },
        "results": rows,
    }


def in_real_time() -> bool:
    """Whether this runs first in, first out, as by `chrt -f 10`."""
    return hasattr(os, "sched_getscheduler") and os.sched_getscheduler(0) == os.SCHED_FIFO


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
    titles = ("command", "min ms", "median ms", "p10 to p90", "CPU ms", "x `import typer, rich`", "x `import torch`")
    head = f"| {' | '.join(titles)} |\n| :--- | {' | '.join(['---:'] * 6)} |"
    rows = result["results"]
    assert isinstance(rows, list)
    lines = [
        f"| `{row['command']}` | {row['min_ms']:.0f} | {row['median_ms']:.0f} "
        f"| {row['p10_ms']:.0f} to {row['p90_ms']:.0f} "
        f"| {row['cpu_ms']:.0f} | {row['times_libraries']:.1f} | {row['times_torch']:.2f} |"
        for row in rows
    ]
    return "\n".join([head, *lines])


def section(result: dict[str, object]) -> str:
    """What `benchmarks/RESULTS.md` says of it."""
    cpu, versions, goal = result["machine"], result["versions"], result["target_of_predict"]
    assert isinstance(cpu, dict)
    assert isinstance(versions, dict)
    assert isinstance(goal, dict)
    libraries = ", ".join(f"{name} {number}" for name, number in versions.items())
    return f"""`python benchmarks/startup.py --runs {result["runs"]} --write`: commit {result["commit"]}; {cpu["cores"]} cores of {cpu["cpu"]}, {cpu["system"]};
{libraries}; processes scheduled {result["scheduling"]}. Ratios are of the minima.

{table(result)}

`mvit predict` on one short clip takes {goal["is"]:.2f} times `import torch` (median of the pairs: {goal["median_of_pairs"]:.2f}); it is meant to take at most
{goal["times_torch"]} times. It can take less than that import alone: the clip is decoded meanwhile, no collector walks over what torch
creates, and at the end the system takes the memory back, where Python would take every object of torch apart first, as
the two rows of that import show.
"""  # noqa: E501


def main() -> None:
    """Measures, prints the table and the document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=15, help="rounds that count (default 15)")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between rounds, for whom this keeps waiting")
    parser.add_argument("--write", action="store_true", help="put the result into benchmarks/RESULTS.md")
    options = parser.parse_args()
    result = document(*measure(options.runs, options.pause))
    print(table(result), "", json.dumps(result, indent=1), sep="\n")
    if options.write:
        written_section("Start-up", section(result))


if __name__ == "__main__":
    main()
