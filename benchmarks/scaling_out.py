"""Actors of Ray beside the local engine: `python benchmarks/scaling_out.py [--files N] [--rounds N] [--preset NAME]`.

The same clips through the local engine, through one actor and through two, in turns, so that a noisy moment meets them
all; what is told is the median, and for each round the ratio to the local engine of that round. Timed are rows, not the
start of engines. Then what 10^8 clips cost at the rates of this machine. Prints Markdown and one JSON document.
"""

import argparse
import json
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from mvit_cli.engines.cluster import Cluster
from mvit_cli.engines.ray import opened
from mvit_cli.media.sources import Source
from mvit_cli.recognition.local_engine import Opened
from mvit_cli.recognition.options import PredictOptions
from mvit_cli.recognition.plan import Plan, plan

CLIPS = Path(__file__).parent.parent / "tests" / "data" / "clips"
MANY = 100_000_000
MB_OF_A_CLIP = 2.0
"""Assumed: ten seconds of 720p at 1.6 Mbit/s."""


@contextmanager
def engine(made: Plan, actors: int) -> Iterator[Opened]:
    """The local engine, or so many actors on this machine."""
    if not actors:
        yield made.open()
        return
    with opened(made, Cluster(least=actors, most=actors)) as there:
        yield there


def rows_per_s(made: Plan, actors: int, paths: list[str]) -> tuple[float, list[Any]]:
    """Rows a second once an engine is warm, and the rows."""
    with engine(made, actors) as ready:
        for _ in ready.rows(map(Source, paths[:8])):
            pass
        started = time.perf_counter()
        rows = [row for row, _ in ready.rows(map(Source, paths))]
        return len(rows) / (time.perf_counter() - started), rows


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--preset", default="camera")
    parser.add_argument("--weights")
    asked = parser.parse_args()
    made = plan(PredictOptions(preset=asked.preset, weights=asked.weights))
    folder = Path(tempfile.mkdtemp(prefix="mvit-scaling."))
    clips = sorted(CLIPS.glob("*.mp4"))
    try:
        paths = [str(shutil.copy(clips[n % len(clips)], folder / f"{n:04}.mp4")) for n in range(asked.files)]
        rates: dict[int, list[float]] = {0: [], 1: [], 2: []}
        rows: list[Any] = []
        for _ in range(asked.rounds):
            for actors, found in rates.items():
                rate, rows = rows_per_s(made, actors, paths)
                found.append(rate)
    finally:
        shutil.rmtree(folder)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, {asked.files} files, {asked.rounds} rounds\n")
    print("| engine | rows/s, median | of local, in each round |\n| :--- | ---: | :--- |")
    for actors, found in rates.items():
        ratios = ", ".join(f"{100 * one / local:.0f} %" for one, local in zip(found, rates[0], strict=True))
        print(
            f"| {f'ray, {actors} actor' + 's' * (actors > 1) if actors else 'local'} | {median(found):.2f} | {ratios} |"
        )
    good = [row for row in rows if row["status"] == "ok"]
    decode, model = (median(row["timing_ms"][key] for row in good) for key in ("decode", "model"))
    bytes_of_row = median(len(json.dumps(row)) + 1 for row in good)
    hours = MANY / median(rates[0]) / 3600
    print(f"\n| {MANY:,} clips | of one | of all |\n| :--- | ---: | ---: |")
    print(f"| machines like this one | {1e3 / median(rates[0]):.0f} ms | {hours:,.0f} machine hours |")
    print(f"| decoding | {decode:.0f} ms | {MANY * decode / 3.6e6:,.0f} core hours |")
    print(f"| network, on this CPU | {model:.0f} ms | {MANY * model / 3.6e6:,.0f} hours |")
    print(f"| bytes read (assumed) | {MB_OF_A_CLIP:.0f} MB | {MANY * MB_OF_A_CLIP / 1e6:,.0f} TB |")
    print(f"| rows | {bytes_of_row:.0f} B | {MANY * bytes_of_row / 1e9:,.0f} GB |\n")
    told = {"python": platform.python_version(), "files": asked.files, "rates": rates, "decode_ms": decode}
    print(json.dumps(told | {"model_ms": model, "row_bytes": bytes_of_row, "preset": asked.preset}))


if __name__ == "__main__":
    main()
