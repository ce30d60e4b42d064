"""Generated files, each read in several ways and compared with a plain decode from its start.

By hand, with other seeds: `python tests/test_media_differential.py FIRST COUNT`.
"""

import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from media_clips import read_number
from media_zoo import MATRICES, Structure, Truth, any_structure, truth_of, write

from mvit_cli.errors import MediaError
from mvit_cli.media.video.index import VideoIndex, index_video
from mvit_cli.media.video.readers import readers_for

FILES = 300
# Mean levels between two decoders' pictures of one frame; neighbours differ by more.
SAME_PICTURE = 1.5


def differences(path: str, structure: Structure) -> tuple[str, str]:
    """Returns which readers read a file, and the first difference, empty where there is none."""
    truth = truth_of(path, structure)
    try:
        index = index_video(path)
    except MediaError as error:
        return "refused", f"refused: {error}" if truth.pixels else ""
    if index.num_frames != len(truth.pixels):
        return "index", f"{index.num_frames} frames, a plain decode shows {len(truth.pixels)}"
    if said := _times(index, truth, structure):
        return "index", said
    used = "+".join(kind.name for kind in readers_for(index, "auto"))
    rng = random.Random(structure.seed)
    every = range(index.num_frames)
    few = sorted(rng.sample(every, min(5, index.num_frames)))
    for kind in readers_for(index, "auto"):
        for way, places in (("sequential", list(every)), ("sparse", few), ("last", [every[-1]])):
            reader = kind(index)
            try:
                got = {fetched.place: fetched for fetched in reader.frames(places)}
            except MediaError as error:
                if kind.name == "decord":
                    continue  # not silent: PyAV takes over
                return used, f"{kind.name}, {way}: {error}"
            finally:
                reader.close()
            for place in places:
                right = MATRICES[structure.matrix](truth.pixels[place])
                found = got[place]
                if found.state != "decoded":
                    return used, f"{kind.name}, {way}: frame {place} is {found.state}"
                if found.pixels.shape != right.shape:
                    return used, f"{kind.name}, {way}: frame {place} is {found.pixels.shape}, not {right.shape}"
                off = float(np.abs(found.pixels.astype(np.int16) - right).mean())
                if off > SAME_PICTURE:
                    numbers = read_number(found.pixels), read_number(right)
                    return used, f"{kind.name}, {way}: frame {place} is off by {off:.1f} levels (numbers {numbers})"
    return used, ""


def _times(index: VideoIndex, truth: Truth, structure: Structure) -> str:
    if np.any(np.diff(index.times_s) <= 0):
        return "times do not ascend"
    stamps = truth.pts
    if structure.joined or None in stamps or stamps != sorted(stamps):
        return ""  # without a time line of their own
    for place, (stamp, time_s) in enumerate(zip(stamps, index.times_s.tolist(), strict=True)):
        if stamps.count(stamp) > 1:
            continue
        right_s = float((stamp - stamps[0]) * truth.time_base)
        if abs(right_s - time_s) > 1e-6 and index.pts is not None:
            return f"frame {place} at {time_s:.4f} s, a plain decode has it at {right_s:.4f} s"
    return ""


def compare(seeds: range, folder: Path) -> tuple[Counter[str], list[str]]:
    """Returns how many files were read by what, and the files that differ."""
    counts: Counter[str] = Counter()
    differ = []
    for seed in seeds:
        structure = any_structure(seed)
        path = write(structure, folder)
        used, said = differences(path, structure)
        Path(path).unlink()
        counts[used] += 1
        counts[f"{structure.codec} in {structure.container}"] += 1
        if said:
            differ.append(f"seed {seed}: {said}\n    {structure}")
    return counts, differ


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_no_file_differs_from_a_plain_decode(tmp_path):
    counts, differ = compare(range(FILES), tmp_path)
    print(dict(counts))
    assert not differ, f"{len(differ)} of {FILES} differ, first {differ[0]}"


if __name__ == "__main__":
    first, count = int(sys.argv[1]), int(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        for start in range(first, first + count, 50):
            counts, differ = compare(range(start, min(start + 50, first + count)), Path(folder))
            print(start, dict(counts), f"{len(differ)} differ", *differ, sep="\n", flush=True)
