"""What isolation costs, and flat memory: `python benchmarks/isolation.py [--turns N] [--files N] [--hours H]`.

Speed: good files of ten seconds are decoded in this process and through one worker process, in turns, so that a noisy
moment meets both. The ratio is meant to be at least 0.9; processor time (both processes together) hardly changes when
other programs run. Memory: thousands of tiny clips are recognised in one run, and
then a film in windows; the resident memory of this process and of its worker is taken at 10 % and at the end. Prints a
table (Markdown) and one JSON document; exit code 1 where a row is missing or wrong, or memory grows by more than 20 %.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import av
import numpy as np
from startup import commit, machine

from mvit_cli.errors import MediaError
from mvit_cli.media.decode import attempt
from mvit_cli.media.request import DecodeRequest, Windows
from mvit_cli.media.workers.pool import DecodePool
from mvit_cli.protocol import Sampling, Transform
from mvit_cli.recognition.options import PredictOptions
from mvit_cli.recognition.plan import plan

GOAL = 0.9
MAX_GROWTH = 1.2
# MViT-B 16x4 on Kinetics-400: five clips of each file.
SAMPLING, NUM_CLIPS = Sampling("clip", 16, 4, 30.0), 5
TRANSFORM = Transform((0.45,) * 3, (0.225,) * 3, 256, 224)
GOOD_FILES = 8
RATIOS = ("throughput_ratio_of_minima", "throughput_ratio_median_of_pairs", "processor_ratio_of_minima")
WINDOW_S, HOP_S = 8.0, 4.0


def write_video(path: Path, frames: int, width: int, height: int, seed: int) -> str:
    """A textured picture that moves, with grain, as H.264 of 25 frames a second; returns the path."""
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 256, (height // 8, width // 8, 3), np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = picture.shape[1], picture.shape[0], "yuv420p"
        for number in range(frames):
            grain = rng.integers(0, 24, picture.shape, np.uint8)
            moved = np.roll(picture, (number, 2 * number), (0, 1)) // 2 + grain
            container.mux(stream.encode(av.VideoFrame.from_ndarray(moved, format="rgb24")))
        container.mux(stream.encode())
    return str(path)


def write_film(path: Path, minute: str, hours: float) -> str:
    """A film that shows one minute again and again, joined without encoding; returns the path."""
    with av.open(minute) as source, av.open(str(path), "w") as film:
        stream = film.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.size]
        time_base = packets[0].time_base
        length = round(60 / time_base)
        stamps = [(packet.pts, packet.dts) for packet in packets]
        for number in range(round(hours * 60)):
            for packet, (pts, dts) in zip(packets, stamps, strict=True):
                packet.pts, packet.dts = (pts or 0) + number * length, (dts or 0) + number * length
                packet.stream, packet.time_base = stream, time_base  # muxing gives it the film's
                film.mux(packet)
    return str(path)


def compare(folder: Path, turns: int) -> dict[str, Any]:
    """Seconds for all good files without and with isolation, in turns; the first turn starts things up.

    Processor time is that of this process and its worker.
    """
    jobs = [
        DecodeRequest(write_video(folder / f"good{number}.mp4", 250, 344, 256, number), SAMPLING, TRANSFORM, NUM_CLIPS)
        for number in range(GOOD_FILES)
    ]
    seconds: dict[str, list[float]] = {"in_this_process": [], "in_a_worker": []}
    processor: dict[str, list[float]] = {"in_this_process": [], "in_a_worker": []}
    with DecodePool(workers=1) as pool:
        for turn in range(turns + 1):
            for name, outcomes in (("in_this_process", map(attempt, jobs)), ("in_a_worker", pool.imap(jobs))):
                before, started = processor_s(), time.perf_counter()
                failed = [outcome for outcome in outcomes if isinstance(outcome, MediaError)]
                if turn:
                    seconds[name].append(time.perf_counter() - started)
                    processor[name].append(processor_s() - before)
                if failed:
                    raise failed[0]
    here, there = seconds.values()
    return {
        "files": GOOD_FILES,
        "turns": turns,
        "ms_a_file": {
            name: {
                "min": 1000 * min(seconds[name]) / GOOD_FILES,
                "median": 1000 * median(seconds[name]) / GOOD_FILES,
                "processor_min": 1000 * min(processor[name]) / GOOD_FILES,
            }
            for name in seconds
        },
        "throughput_ratio_of_minima": min(here) / min(there),
        "throughput_ratio_median_of_pairs": median(a / b for a, b in zip(here, there, strict=True)),
        "processor_ratio_of_minima": min(processor["in_this_process"]) / min(processor["in_a_worker"]),
    }


def watch(rows: Iterator[dict[str, Any]], expected: int) -> dict[str, Any]:
    """Counts rows, and takes the memory after a tenth of them and after the last."""
    started, count, ok = time.perf_counter(), 0, 0
    early: dict[str, float] = {}
    late: dict[str, float] = {}
    for row in rows:
        count += 1
        ok += row["status"] == "ok"
        if count == max(1, expected // 10):
            early = resident_mb()
        if count == expected:
            late = resident_mb()
    return {
        "rows": count,
        "ok": ok,
        "expected": expected,
        "seconds": time.perf_counter() - started,
        "resident_mb_at_10_percent": early,
        "resident_mb_at_the_end": late,
    }


def resident_mb() -> dict[str, float]:
    """Memory of this process and of its worker."""
    sizes = {"parent": status_mb(os.getpid())}
    return sizes | ({"worker": max(map(status_mb, found))} if (found := children()) else {})


def children() -> list[int]:
    """The processes that this one has started."""
    lists = Path("/proc/self/task").glob("*/children")
    return [int(pid) for path in lists for pid in path.read_text().split()]


def processor_s() -> float:
    """Processor time of this process and its worker so far."""
    ticks = 0
    for pid in children():
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(after_name[11]) + int(after_name[12])  # user and system
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def status_mb(pid: int) -> float:
    """Resident memory of a process as its status tells."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def many_files(folder: Path, files: int) -> dict[str, Any]:
    """Recognises a folder of tiny clips: names of their own for a few files."""
    clips = folder / "clips"
    clips.mkdir()
    kinds = [write_video(folder / f"tiny{number}.mp4", 25, 64, 64, number) for number in range(20)]
    for number in range(files):
        os.link(kinds[number % len(kinds)], clips / f"{number:06}.mp4")
    recogniser = plan(PredictOptions(preset="camera", views="1x1", workers=1)).open()
    return watch(recogniser.predict(clips), files)


def long_film(folder: Path, hours: float) -> dict[str, Any]:
    """Recognises a film in windows."""
    film = write_film(folder / "film.mp4", write_video(folder / "minute.mp4", 1500, 64, 64, 0), hours)
    windows = Windows(WINDOW_S, HOP_S)
    expected = 1
    while not windows.at(expected - 1, hours * 3600).is_last:
        expected += 1
    recogniser = plan(PredictOptions(preset="camera", window_s=windows.length_s, hop_s=windows.hop_s, workers=1)).open()
    size = {"hours": hours, "megabytes": Path(film).stat().st_size / 1e6, "window_s": WINDOW_S, "hop_s": HOP_S}
    return size | watch(recogniser.predict(film), expected)


def table(speed: dict[str, Any], runs: dict[str, dict[str, Any]]) -> str:
    """The results as Markdown."""
    here, there = speed["ms_a_file"]["in_this_process"], speed["ms_a_file"]["in_a_worker"]
    ratios = [speed[name] for name in RATIOS]
    lines = [
        "| decoding | ms a file, min | median | processor ms | throughput, of minima | median of pairs | processor |",
        "| :--- | ---: | ---: | ---: | ---: | ---: | ---: |",
        f"| in this process | {here['min']:.1f} | {here['median']:.1f} | {here['processor_min']:.1f} | 1 | 1 | 1 |",
        f"| in a worker | {there['min']:.1f} | {there['median']:.1f} | {there['processor_min']:.1f} "
        f"| {' | '.join(f'{ratio:.3f}' for ratio in ratios)} |",
        "",
        "| run | rows | seconds | parent MB at 10 % | at the end | worker MB at 10 % | at the end |",
        "| :--- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, run in runs.items():
        cells = [
            f"{run[when][who]:.0f}"
            for who in ("parent", "worker")
            for when in ("resident_mb_at_10_percent", "resident_mb_at_the_end")
        ]
        lines.append(f"| {name} | {run['rows']} | {run['seconds']:.0f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def failures(runs: dict[str, dict[str, Any]]) -> Iterator[str]:
    """What must not be: rows that are missing or errors, memory that grows."""
    for name, run in runs.items():
        if not run["ok"] == run["rows"] == run["expected"]:
            yield f"{name}: {run['rows']} rows of {run['expected']}, {run['ok']} of them ok"
            continue
        for who, size in run["resident_mb_at_10_percent"].items():
            if run["resident_mb_at_the_end"][who] > MAX_GROWTH * size:
                yield f"{name}: the {who} grows from {size:.0f} to {run['resident_mb_at_the_end'][who]:.0f} MB"


def main() -> int:
    """Measures, prints the tables and the document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=15, help="rounds that count (default 15)")
    parser.add_argument("--files", type=int, default=10_000, help="tiny clips (default 10,000; 0: none)")
    parser.add_argument("--hours", type=float, default=2.0, help="length of the film (default 2; 0: none)")
    options = parser.parse_args()
    runs = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        speed = compare(folder, options.turns)
        if options.files:
            runs[f"{options.files:,} tiny clips"] = many_files(folder, options.files)
        if options.hours:
            runs[f"a film of {options.hours:g} h in windows"] = long_film(folder, options.hours)
    wrong = list(failures(runs))
    document = {
        "benchmark": "isolation",
        "goal": GOAL,
        "speed": speed,
        "memory": runs,
        "failures": wrong,
        "load": os.getloadavg()[0],
        "machine": machine(),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("av", "decord2", "torch")},
        "commit": commit(),
    }
    print(table(speed, runs), "", json.dumps(document, indent=1), sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
