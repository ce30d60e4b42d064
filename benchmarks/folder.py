"""How fast a folder of clips is recognised: `python benchmarks/folder.py CLIPS [--preset NAME]`.

End to end, against decoding alone and the network alone, in turns. What nobody can beat is the larger of the two; on a
machine without a GPU both want the same processors, and then not less than their processor time by the number of
processors either. Prints a table (Markdown) and one JSON document.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

from startup import children_cpu_s, commit, machine

os.environ.setdefault("GOMP_SPINCOUNT", "30000")  # as the command line does

import torch

from mvit_cli.media.request import Decoded, DecodeRequest
from mvit_cli.media.workers.pool import DecodePool
from mvit_cli.recognition.batching import Item, groups, scored
from mvit_cli.recognition.local_engine import LocalEngine
from mvit_cli.recognition.options import PredictOptions
from mvit_cli.recognition.plan import plan

END_TO_END, DECODING, NETWORK = "end to end", "decoding alone", "network alone"


def requests(recogniser: LocalEngine, paths: list[str]) -> Iterator[DecodeRequest]:
    """What `predict` asks of the decoding processes."""
    recipe = recogniser.recipe
    for path in paths:
        yield DecodeRequest(path, recipe.sampling, recipe.transform, recipe.views.clips, recipe.views.crops)


def decode(recogniser: LocalEngine, paths: list[str], workers: int) -> list[Decoded]:
    """The clips of all files that can be read."""
    with DecodePool(workers) as pool, closing(pool.imap(requests(recogniser, paths))) as outcomes:
        return [outcome for outcome in outcomes if isinstance(outcome, Decoded)]


def score(recogniser: LocalEngine, decoded: list[Decoded]) -> None:
    """The network on clips that lie ready."""
    items = [Item("", outcome) for outcome in decoded]
    for _ in scored(recogniser.scorer, groups(items, lambda: recogniser.scorer.batch_size)):
        pass


def measure(parts: dict[str, Callable[[], object]], runs: int) -> dict[str, dict[str, float]]:
    """Seconds by the clock (the least and the median) and of processors (the least) of each part; one round before."""
    clock: dict[str, list[float]] = {name: [] for name in parts}
    processors: dict[str, list[float]] = {name: [] for name in parts}
    for turn in range(runs + 1):
        for name, part in parts.items():
            before, start = time.process_time() + children_cpu_s(), time.perf_counter()
            part()
            if turn:
                clock[name].append(time.perf_counter() - start)
                processors[name].append(time.process_time() + children_cpu_s() - before)
    return {
        name: {"min_s": min(clock[name]), "median_s": median(clock[name]), "cpu_min_s": min(processors[name])}
        for name in parts
    }


def result_of(preset: str, paths: list[str], workers: int, batch_size: int | None, runs: int) -> dict[str, Any]:
    """One preset on one folder."""
    recogniser = plan(
        PredictOptions(
            preset=preset,
            weights=None if preset == "camera" else "none",
            batch_size=batch_size or "auto",
            workers=workers,
        )
    ).open()
    readable = [row["path"] for row in recogniser.predict(paths) if row["status"] == "ok"]
    decoded = decode(recogniser, readable, workers)
    parts: dict[str, Callable[[], object]] = {
        END_TO_END: lambda: list(recogniser.predict(readable)),
        DECODING: lambda: decode(recogniser, readable, workers),
        NETWORK: lambda: score(recogniser, decoded),
    }
    seconds = measure(parts, runs)
    floor = max(seconds[DECODING]["min_s"], seconds[NETWORK]["min_s"])
    shared = (seconds[DECODING]["cpu_min_s"] + seconds[NETWORK]["cpu_min_s"]) / (os.cpu_count() or 1)
    on_cpu = recogniser.scorer.device.type == "cpu"
    return {
        "preset": recogniser.run["preset"],
        "device": recogniser.run["device"],
        "files": len(readable),
        "views": sum(len(outcome.pixels) for outcome in decoded),
        "workers": workers,
        "batch_size": recogniser.scorer.batch_size,
        "seconds": seconds,
        "share_of_floor": floor / seconds[END_TO_END]["min_s"],
        "share_of_shared_floor": (max(shared, floor) if on_cpu else floor) / seconds[END_TO_END]["min_s"],
    }


def table(results: list[dict[str, Any]]) -> str:
    """The results as Markdown."""
    titles = ("preset", "files", "views", "batch", "files/s", f"{DECODING} s", f"{NETWORK} s", f"{END_TO_END} s")
    titles += ("of the floor", "of the shared floor")
    lines = [f"| {' | '.join(titles)} |", f"| :--- | {' | '.join(['---:'] * 9)} |"]
    for row in results:
        seconds = {name: values["min_s"] for name, values in row["seconds"].items()}
        lines.append(
            f"| {row['preset']} | {row['files']} | {row['views']} | {row['batch_size']} "
            f"| {row['files'] / seconds[END_TO_END]:.2f} | {seconds[DECODING]:.2f} | {seconds[NETWORK]:.2f} "
            f"| {seconds[END_TO_END]:.2f} | {row['share_of_floor']:.0%} | {row['share_of_shared_floor']:.0%} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measures, prints the table and the document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path, help="folder of videos; what cannot be read is left out")
    parser.add_argument("--preset", action="append", help="default: camera; others run with random weights")
    parser.add_argument("--repeat", type=int, default=1, help="how often each file is named (default 1)")
    parser.add_argument("--workers", type=int, default=1, help="processes that decode (default 1)")
    parser.add_argument("--batch-size", type=int, help="views a batch (default: auto)")
    parser.add_argument("--threads", type=int, help="threads of the network (default: torch's)")
    parser.add_argument("--runs", type=int, default=3, help="rounds that count (default 3)")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    paths = [str(path) for path in sorted(options.clips.iterdir())] * options.repeat
    results = [
        result_of(preset, paths, options.workers, options.batch_size, options.runs)
        for preset in options.preset or ["camera"]
    ]
    document = {
        "benchmark": "folder",
        "runs": options.runs,
        "load": os.getloadavg()[0],
        "machine": machine(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "commit": commit(),
        "threads": torch.get_num_threads(),
        "results": results,
    }
    print(table(results), "", json.dumps(document, indent=1), sep="\n")


if __name__ == "__main__":
    main()
