"""How fast the page of a long run opens: `python benchmarks/page.py [--rows 5000] [--runs 5]`. Needs Chromium.

Writes a page of as many inputs, each with frames of a real video, and loads it in a headless Chromium, a new one each
time: first paint, all loaded, then the work of one sort, one filter and one search. Prints a table (Markdown) and one
JSON document. A page of 5,000 inputs is meant to load in 3 s.
"""

import argparse
import io
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import av
from PIL import Image

import mvit_cli
from mvit_cli.media.request import Pictures, Strip
from mvit_cli.report.predict.page.about import About, Job
from mvit_cli.report.predict.page.writer import WHOLE_STRIPS, Page

ROOT = Path(__file__).parent.parent
CLIP = ROOT / "tests" / "data" / "pan_left.mp4"
sys.path.insert(0, str(ROOT / "tests"))
from browser import Browser  # noqa: E402  (the tests' own)

RUN: Any = {"preset": "mvit_b_16x4", "weights": "none", "views": "2x1", "device": "cpu", "dtype": "float32"}
CLASSES = 400
STEPS = {
    "sort by score": "[...document.querySelectorAll('.files thead button')][3].click()",
    "only failed": "const s = document.querySelector('.of-state'); s.value = 'error'; "
    "s.dispatchEvent(new Event('change'))",
    "search": "document.querySelector('.of-state').value = ''; const f = document.querySelector('.find'); "
    "f.value = 'clip_00042'; f.dispatchEvent(new KeyboardEvent('keydown', {key: 'a'})); "
    "document.querySelector('.of-class').dispatchEvent(new Event('change'))",
}
TIMES = """(() => { const n = performance.getEntriesByType('navigation')[0];
  const paint = performance.getEntriesByName('first-contentful-paint')[0].startTime;
  return [paint, n.domContentLoadedEventEnd, n.loadEventEnd] })()"""


def frames() -> list[Image.Image]:
    """Frames of a real video."""
    with av.open(str(CLIP)) as container:
        return [frame.to_image() for frame in container.decode(video=0)]


def strip(shown: list[Image.Image], count: int, side: int) -> Strip:
    """As decoding makes them: frames side by side, as JPEG."""
    picture = Image.new("RGB", (count * (side + 4) - 4, side))
    for place in range(count):
        picture.paste(shown[place * len(shown) // count].resize((side, side)), (place * (side + 4), 0))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=75)
    return Strip(0, count, *picture.size, stream.getvalue())


def row(number: int) -> Any:
    """A row as a long run gives them: one in fifty failed, one in twenty has a warning."""
    path = f"videos/{number % 97:02}/clip_{number:05}.mp4"
    if number % 50 == 7:
        told = {"kind": "decode", "message": "no frame could be decoded", "hint": "check that the file is complete"}
        return {"path": path, "status": "error", "error": told}
    best = 0.2 + 0.79 * (number * 7919 % 1000) / 1000
    scores = (best, *((1 - best) / 2**place for place in range(1, 5)))
    return {
        "path": path,
        "status": "ok",
        **{key: RUN[key] for key in ("preset", "weights", "views")},
        "activation": "softmax",
        "predictions": [
            {"index": i, "label": f"class number {(number * number + i) % CLASSES}", "score": score}
            for i, score in enumerate(scores)
        ],
        "clips": [{"start_s": 0.0, "end_s": 2.1}, {"start_s": 7.9, "end_s": 10.0}],
        "duration_s": 10.0,
        "reader": "decord",
        "device": "cpu",
        "dtype": "float32",
        "warnings": ["3 of 16 frames are damaged and were left out"] if number % 20 == 3 else [],
        "timing_ms": {"decode": 41.2, "model": 1812.3},
    }


def written(target: Path, rows: int) -> dict[str, float]:
    """Writes the page; its size, and the processor time of a row."""
    images = frames()
    turns = [images[i:] + images[:i] for i in range(0, len(images), 2)]
    posters, films = [strip(turn, 4, 64) for turn in turns], [strip(turn, 16, 96) for turn in turns]
    about = About(RUN, (), mvit_cli.summarize("B"), Job("videos/"))
    start = time.process_time()
    with Page(target, about) as page:
        for number in range(rows):
            poster, film = posters[number % len(posters)], films[number % len(films)]
            page.take(row(number), Pictures(poster, (film, film) if number < WHOLE_STRIPS else ()))
    return {
        "bytes": target.stat().st_size,
        "write_ms_per_row": 1000 * (time.process_time() - start) / rows,
        "peak_memory_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }


def opened(target: Path) -> dict[str, float]:
    """Milliseconds in a browser that has not seen the page."""
    with Browser() as browser:
        browser.open(target)
        browser.ask("new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(resolve)))", wait=True)
        paint, ready, load = browser.ask(TIMES)
        found = {"first paint": paint, "script done": ready, "loaded": load}
        for name, step in STEPS.items():
            # The layout that follows belongs to it.
            code = f"(() => {{ const start = performance.now(); {step}; document.body.offsetHeight; "
            found[name] = browser.ask(f"{code} return performance.now() - start }})()")
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "report.html"
        page = written(target, asked.rows)
        runs = [opened(target) for _ in range(asked.runs)]
    times = {name: sorted(run[name] for run in runs) for name in runs[0]}
    print(f"{asked.rows:,} inputs, {page['bytes'] / 1e6:.1f} MB, {page['write_ms_per_row']:.2f} ms of CPU a row\n")
    print("| | median ms | best | worst |\n| :--- | ---: | ---: | ---: |")
    for name, values in times.items():
        print(f"| {name} | {median(values):,.0f} | {values[0]:,.0f} | {values[-1]:,.0f} |")
    print()
    print(json.dumps({"rows": asked.rows, **page, "ms": times, "load": os.getloadavg()}))


if __name__ == "__main__":
    main()
