"""Broken files through the decoding pool: `python benchmarks/fuzz.py [--files 2000] [--seed 0] [--workers N]`.

Videos in six formats are made, damaged in ten ways (all of it follows from the seed), and decoded. Prints a table
(Markdown) of outcomes and one JSON document. Exit code 1 if the run crashes or hangs, if a row is missing, too many or
malformed, if an undamaged file fails, or if this process grows by more than 100 MB; a hang prints where it was.
"""

import argparse
import faulthandler
import json
import os
import platform
import random
import struct
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import av
import numpy as np
from startup import commit, cpu_name

from mvit_cli.errors import MediaError
from mvit_cli.media.request import Decoded, DecodeRequest
from mvit_cli.media.workers.pool import DecodePool
from mvit_cli.protocol import Sampling, Transform

SEEDS = {  # suffix: encoder, pixel format, options
    "mp4": ("libx264", "yuv420p", {"g": "25", "bf": "2", "preset": "veryfast"}),
    "avi": ("mpeg4", "yuv420p", {"g": "12", "bf": "2"}),
    "webm": ("libvpx", "yuv420p", {"g": "30", "deadline": "realtime"}),
    "ts": ("mpeg2video", "yuv420p", {"g": "15"}),
    "mkv": ("libx264", "yuv420p", {"g": "30", "preset": "veryfast"}),
    "gif": ("gif", "rgb8", {}),
}
FRAMES, WIDTH, HEIGHT = 75, 192, 144
SAMPLING = Sampling("clip", 8, 4, 30.0)
TRANSFORM = Transform((0.45,) * 3, (0.225,) * 3, 128, 112)
NUM_CLIPS = 2
KINDS = ("not_found", "unsupported", "empty", "decode", "timeout", "crash", "memory", "internal")
MAX_GROWTH_BYTES = 100_000_000
UNDAMAGED = "none"

Mutation = Callable[[bytes, random.Random], bytes]


def bit_flips(data: bytes, rng: random.Random) -> bytes:
    """0.01 to 1 % of the bytes with one bit turned over."""
    damaged = bytearray(data)
    for _ in range(max(1, int(len(data) * 10 ** rng.uniform(-4, -2)))):
        damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def header_flips(data: bytes, rng: random.Random) -> bytes:
    """A few bytes of the first 512, or of the last, replaced: sizes, counts, tables."""
    damaged = bytearray(data)
    reach = min(512, len(data))
    offset = rng.choice((0, len(data) - reach))
    for _ in range(rng.randint(1, 8)):
        damaged[offset + rng.randrange(reach)] = rng.choice((0, 0xFF, 0x7F, 0x80, rng.randrange(256)))
    return bytes(damaged)


def truncated(data: bytes, rng: random.Random) -> bytes:
    """The beginning only."""
    return data[: rng.randrange(len(data))]


def header_only(data: bytes, rng: random.Random) -> bytes:
    """The first 16 bytes to 2 KB."""
    return data[: rng.choice((16, 64, 256, 1024, 2048))]


def chunk_deleted(data: bytes, rng: random.Random) -> bytes:
    """Without up to a quarter from somewhere."""
    start, end = _span(data, rng)
    return data[:start] + data[end:]


def chunk_doubled(data: bytes, rng: random.Random) -> bytes:
    """With up to a quarter twice."""
    start, end = _span(data, rng)
    return data[:end] + data[start:]


def chunk_zeroed(data: bytes, rng: random.Random) -> bytes:
    """With zeros in place of up to a quarter."""
    start, end = _span(data, rng)
    return data[:start] + bytes(end - start) + data[end:]


def chunks_swapped(data: bytes, rng: random.Random) -> bytes:
    """Two parts have changed places."""
    a, b, c, d = sorted(rng.randrange(len(data) + 1) for _ in range(4))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def boxes_swapped(data: bytes, rng: random.Random) -> bytes:
    """Two boxes of an MP4 have changed places, at the top or in `moov`; other formats: two parts."""
    boxes = _boxes(data, 0, len(data))
    inside = next(((start + 8, end) for start, end in boxes if data[start + 4 : start + 8] == b"moov"), None)
    if inside and rng.random() < 0.5:
        boxes = _boxes(data, *inside)
    if len(boxes) < 2:
        return chunks_swapped(data, rng)
    (a, b), (c, d) = sorted(rng.sample(boxes, 2))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def foreign_middle(data: bytes, rng: random.Random) -> bytes:
    """Noise in place of up to a quarter."""
    start, end = _span(data, rng)
    return data[:start] + rng.randbytes(end - start) + data[end:]


MUTATIONS: dict[str, Mutation] = {
    function.__name__: function
    for function in (
        bit_flips,
        header_flips,
        truncated,
        header_only,
        chunk_deleted,
        chunk_doubled,
        chunk_zeroed,
        chunks_swapped,
        boxes_swapped,
        foreign_middle,
    )
}


@dataclass
class Tally:
    """What came out.

    Attributes:
        outcomes: how often each `(format, mutation, outcome)` came.
        failures: what must not happen, in words.
        base_bytes: memory of this process after a tenth of the files; grown_bytes: what was added later at most.
        longest_s: the longest wait for a row.
    """

    outcomes: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    base_bytes: int = 0
    grown_bytes: int = 0
    longest_s: float = 0.0
    wall_s: float = 0.0


def make_seeds() -> dict[str, bytes]:
    """One small video in each format: a textured picture that moves."""
    picture = np.random.default_rng(0).integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), np.uint8)
    picture = picture.repeat(8, axis=0).repeat(8, axis=1)
    seeds = {}
    with tempfile.TemporaryDirectory() as folder:
        for suffix, (codec, pix_fmt, options) in SEEDS.items():
            path = Path(folder, f"seed.{suffix}")
            with av.open(str(path), "w") as container:
                stream = container.add_stream(codec, rate=25, options=options)
                stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pix_fmt
                for number in range(FRAMES):
                    frame = av.VideoFrame.from_ndarray(np.roll(picture, (number, 2 * number), (0, 1)), format="rgb24")
                    container.mux(stream.encode(frame))
                container.mux(stream.encode())
            seeds[suffix] = path.read_bytes()
    return seeds


def cases(files: int, seed: int) -> Iterator[tuple[str, str, random.Random]]:
    """Format, mutation and random numbers of each file; the first of each format is undamaged."""
    for number in range(files):
        rng = random.Random(f"{seed} {number}")
        suffix = tuple(SEEDS)[number % len(SEEDS)]
        yield suffix, UNDAMAGED if number < len(SEEDS) else rng.choice(tuple(MUTATIONS)), rng


def fuzz(files: int, seed: int, workers: int, timeout_s: float) -> Tally:
    """Decodes the damaged files; each is written just before and deleted just after."""
    tally, seeds, started = Tally(), make_seeds(), time.perf_counter()
    patience_s = 4 * timeout_s + 120  # two tries behind another file's two, and workers that start
    with tempfile.TemporaryDirectory() as folder:

        def jobs() -> Iterator[DecodeRequest]:
            for number, (suffix, mutation, rng) in enumerate(cases(files, seed)):
                path = Path(folder, f"{number}.{suffix}")
                data = seeds[suffix]
                path.write_bytes(data if mutation == UNDAMAGED else MUTATIONS[mutation](data, rng))
                yield DecodeRequest(str(path), SAMPLING, TRANSFORM, NUM_CLIPS)

        expected, rows, last = cases(files, seed), 0, time.perf_counter()
        faulthandler.dump_traceback_later(patience_s, exit=True)
        try:
            with DecodePool(workers, timeout_s) as pool:
                for outcome in pool.imap(jobs()):
                    faulthandler.dump_traceback_later(patience_s, exit=True)
                    now = time.perf_counter()
                    tally.longest_s, last = max(tally.longest_s, now - last), now
                    case = next(expected, None)
                    if case is None:
                        tally.failures.append("more rows than files")
                        break
                    _count(tally, rows, case[0], case[1], outcome)
                    Path(folder, f"{rows}.{case[0]}").unlink()
                    rows += 1
                    _watch_memory(tally, rows, files)
        except Exception as error:
            tally.failures.append(f"the run crashed at file {rows}: {type(error).__name__}: {error}")
        finally:
            faulthandler.cancel_dump_traceback_later()
    if rows < files:
        tally.failures.append(f"{files} files gave {rows} rows")
    if tally.grown_bytes > MAX_GROWTH_BYTES:
        tally.failures.append(f"memory grew by {tally.grown_bytes / 1e6:.0f} MB")
    tally.wall_s = time.perf_counter() - started
    return tally


def _count(tally: Tally, number: int, suffix: str, mutation: str, outcome: Decoded | MediaError) -> None:
    if isinstance(outcome, MediaError):
        name = outcome.kind
        wrong = name not in KINDS or not outcome.message or "\n" in outcome.message
    else:
        name = "ok, warned" if outcome.warnings else "ok"
        shape = (NUM_CLIPS, SAMPLING.frames, TRANSFORM.crop, TRANSFORM.crop, 3)
        wrong = outcome.pixels.shape != shape or len(outcome.clips) != NUM_CLIPS
    tally.outcomes[suffix, mutation, name] += 1
    if wrong:
        tally.failures.append(f"file {number} ({suffix}, {mutation}): malformed outcome {outcome!r}"[:300])
    if mutation == UNDAMAGED and name != "ok":
        tally.failures.append(f"file {number} ({suffix}) is undamaged, but: {outcome}"[:300])


def _watch_memory(tally: Tally, rows: int, files: int) -> None:
    if rows <= max(files // 10, 1):
        tally.base_bytes = _resident_bytes()
    else:
        tally.grown_bytes = max(tally.grown_bytes, _resident_bytes() - tally.base_bytes)


def _resident_bytes() -> int:
    """Memory of this process; 0 where the system does not tell (no Linux)."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0


def _span(data: bytes, rng: random.Random) -> tuple[int, int]:
    """A part of up to a quarter of the file."""
    start = rng.randrange(len(data))
    return start, min(len(data), start + rng.randint(1, max(1, len(data) // 4)))


def _boxes(data: bytes, start: int, end: int) -> list[tuple[int, int]]:
    """Where the boxes of an MP4 begin and end."""
    boxes = []
    while start + 8 <= end:
        (size,) = struct.unpack_from(">I", data, start)
        if size < 8 or start + size > end:
            break
        boxes.append((start, start + size))
        start += size
    return boxes


def table(tally: Tally) -> str:
    """Outcomes by format and by mutation, as Markdown."""
    names = [name for name in ("ok", "ok, warned", *KINDS) if any(key[2] == name for key in tally.outcomes)]
    lines = [f"| | files | {' | '.join(names)} |", f"| :--- | {' | '.join(['---:'] * (1 + len(names)))} |"]
    for place, rows in ((0, SEEDS), (1, (UNDAMAGED, *MUTATIONS))):
        for row in rows:
            counts = Counter[str]()
            for key, count in tally.outcomes.items():
                counts[key[2]] += count * (key[place] == row)
            lines.append(f"| {row} | {counts.total()} | {' | '.join(str(counts[name]) for name in names)} |")
    return "\n".join(lines)


def document(tally: Tally, arguments: argparse.Namespace) -> dict[str, object]:
    """The result as JSON can carry it."""
    counts = Counter[str]()
    for (_, _, name), count in tally.outcomes.items():
        counts[name] += count
    return {
        "benchmark": "fuzz",
        "files": arguments.files,
        "seed": arguments.seed,
        "workers": arguments.workers,
        "timeout_s": arguments.timeout,
        "rows": counts.total(),
        "outcomes": dict(counts.most_common()),
        "failures": tally.failures,
        "wall_s": round(tally.wall_s, 1),
        "files_per_s": round(counts.total() / tally.wall_s, 1),
        "longest_wait_s": round(tally.longest_s, 2),
        "memory": {"resident_bytes_at_10_percent": tally.base_bytes, "grown_bytes": tally.grown_bytes},
        "machine": {"cpu": cpu_name(), "cores": os.cpu_count(), "system": platform.system()},
        "versions": {"python": platform.python_version()} | {name: version(name) for name in ("av", "decord2")},
        "commit": commit(),
        "by_case": [
            {"format": suffix, "mutation": mutation, "outcome": name, "files": count}
            for (suffix, mutation, name), count in sorted(tally.outcomes.items())
        ],
    }


def main() -> None:
    """Runs the files, prints the table and the document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=2000, help="files to damage (default 2000)")
    parser.add_argument("--seed", type=int, default=0, help="the same number makes the same files (default 0)")
    parser.add_argument("--workers", type=int, default=2, help="processes that decode (default 2)")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds a file may take (default 10)")
    arguments = parser.parse_args()
    tally = fuzz(arguments.files, arguments.seed, arguments.workers, arguments.timeout)
    print(table(tally), "", json.dumps(document(tally, arguments), indent=1), sep="\n")
    sys.exit(1 if tally.failures else 0)


if __name__ == "__main__":
    main()
