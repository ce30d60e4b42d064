"""The camera network's own labels from 20 clips a class: `mvit train` beside naive features and beside full training.

    python training/camera/few.py --data DIR [--seeds 0 1 2]

The virtual camera films clips over the training photographs, another 20 a class for each seed, and the 2,000 test clips
of `evaluate.py` over photographs that were held out. All of them become files without loss, and go through the command
line. The embedded network has learned these labels from 240,000 such clips: its row says whether a probe takes them out
of its features again, no more. Written to `FEW.md` beside this file.
"""

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from statistics import mean
from typing import Any

import av
import cv2
import numpy as np
from evaluate import photograph_clips
from generate import generate
from motion import FRAME_STRIDE, LABELS, PROTOCOL_FPS
from photos import fetch, load

sys.path.append(str(Path(__file__).parents[1]))
sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
sys.path.append(str(Path(__file__).parents[2]))
from commands import mvit
from startup import commit, machine

A_CLASS, TEST_CLIPS, TEST_SEED = 20, 2000, 20
GRID = 4
FLOW_STEP = 3  # frames from one picture to the next between which the flow is estimated
PROBES = {
    "probe, random weights of the camera network": ("--weights", "none"),
    "probe, the embedded camera network": (),
}


def write_clip(path: Path, frames: np.ndarray) -> None:
    """The frames as a video without loss, as far from each other as the protocol takes them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(PROTOCOL_FPS, FRAME_STRIDE))
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "bgr0"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="bgr0")))
        container.mux(stream.encode())


def laid(data: Path, seed: int, test: Path) -> Path:
    """The folder of a seed: `train/LABEL/*`, and the test clips, which all seeds share."""
    folder = data / "few" / f"seed{seed}"
    written(folder / "train", lesson(data, seed))
    if not (folder / "test").exists():
        (folder / "test").symlink_to(test, target_is_directory=True)
    return folder


def written(folder: Path, clips: Iterable[tuple[np.ndarray, int]]) -> Path:
    """The folder with a clip in the folder of its label; written when it is not there."""
    if folder.exists():
        return folder
    partial = folder.with_suffix(".partial")
    for number, (frames, label) in enumerate(clips):
        write_clip(partial / LABELS[label] / f"{number:04}.mkv", frames)
    partial.rename(folder)
    return folder


def lesson(data: Path, seed: int) -> Iterator[tuple[np.ndarray, int]]:
    """20 clips of each class over the photographs that may be trained on."""
    photos = load(data, held_out=False)
    rng = np.random.default_rng((seed, 2))
    for label in range(len(LABELS)):
        for _ in range(A_CLASS):
            yield generate(rng, photos, label).frames, label


def read_clips(folder: Path) -> Iterator[tuple[np.ndarray, str]]:
    """Grey frames `(T, H, W)` and label of each clip."""
    for path in sorted(folder.glob("*/*.mkv")):
        with av.open(str(path)) as container:
            frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
        yield np.stack(frames), path.parent.name


def cells(picture: np.ndarray) -> np.ndarray:
    """Means over a grid of 4 x 4 cells, `(16,)`."""
    return cv2.resize(picture.astype(np.float32), (GRID, GRID), interpolation=cv2.INTER_AREA).ravel()


def differences(frames: np.ndarray) -> np.ndarray:
    """How much and which way the grey of each cell changes, from frame to frame and from the first to the last."""
    steps = np.diff(frames.astype(np.float32), axis=0)
    ends = frames[-1].astype(np.float32) - frames[0]
    return np.concatenate([cells(np.abs(steps).mean(0)), cells(steps.mean(0)), cells(np.abs(ends))])


def mean_flow(frames: np.ndarray) -> np.ndarray:
    """The optical flow of each cell (Farneback), its mean over time, and how far it spreads."""
    pairs = zip(frames[:-FLOW_STEP:FLOW_STEP], frames[FLOW_STEP::FLOW_STEP], strict=False)
    flows = [cv2.calcOpticalFlowFarneback(a, b, None, 0.5, 3, 15, 3, 5, 1.2, 0) for a, b in pairs]
    told = np.stack([[cells(flow[..., axis]) for axis in (0, 1)] for flow in flows])
    return np.concatenate([told.mean(0).ravel(), told.std(0).mean(1)])


NAIVE = {"frame differences, linear": differences, "mean optical flow, linear": mean_flow}


def naive(what: str, folder: Path, test: Path, cache: dict[Path, Any]) -> float:
    """Accuracy of scikit-learn's logistic regression; cross-validation on what it learns from chooses the strength."""
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def seen(folder: Path) -> tuple[np.ndarray, list[str]]:
        if folder not in cache:
            all_clips = list(read_clips(folder))
            labels = [label for _, label in all_clips]
            cache[folder] = {name: np.stack([of(frames) for frames, _ in all_clips]) for name, of in NAIVE.items()}
            cache[folder]["labels"] = labels
        return cache[folder][what], cache[folder]["labels"]

    (x, y), (test_x, test_y) = seen(folder), seen(test)
    model = make_pipeline(StandardScaler(), LogisticRegressionCV(Cs=8, max_iter=2000))
    return float(model.fit(x, y).score(test_x, test_y))


def report(rows: dict[str, list[float]], seconds: float) -> str:
    """The results as Markdown."""
    where = machine()
    lines = [
        f"| {name} | {100 * mean(own):.1f} | {', '.join(f'{100 * one:.1f}' for one in own)} |"
        for name, own in rows.items()
    ]
    return f"""# The camera's labels from {A_CLASS} clips a class

Written by `training/camera/few.py`. {A_CLASS} generated clips of each of the ten labels are learned from (a fifth of
them chooses), {TEST_CLIPS:,} generated clips over photographs that were held out are the test: those of `evaluate.py`.
The embedded network has learned these very labels from 240,000 such clips, so its row shows that a probe takes them out
of its features again from 200, not that it would tell other motions apart as well. A probe on random weights shows what
its architecture alone gives.

| what | test top-1 %, mean | by seed |
|---|---:|---|
{chr(10).join(lines)}

    mvit train FOLDER -o mine.safetensors --preset camera --views 1x1 --seed N

`FOLDER` has `train/LABEL/*` and `test/LABEL/*`, which the training looks at when all is chosen.

Commit {commit()}; {where["cpu"]}, {where["cores"]} cores, {where["system"]}; {seconds:.0f} s in all, on a machine that
others used at the same time.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--data", type=Path, required=True, help="folder for packages and clips, outside the repository"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="N", help="seeds to learn with")
    parser.add_argument("--results", type=Path, default=Path(__file__).with_name("FEW.md"), metavar="FILE")
    asked = parser.parse_args()
    start = time.perf_counter()
    cv2.setNumThreads(1)
    data = asked.data.resolve()
    fetch(data)
    few = data / "few"
    test = written(
        few / "test", ((frames, label) for frames, label, _ in photograph_clips(data, TEST_CLIPS, TEST_SEED))
    )
    counts = [len(list((test / label).glob("*.mkv"))) for label in LABELS]
    rows: dict[str, list[float]] = {"most frequent class": [max(counts) / sum(counts)]}
    rows |= {name: [] for name in (*NAIVE, *PROBES)}
    cache: dict[Path, Any] = {}
    for seed in asked.seeds:
        folder = laid(data, seed, test)
        for name in NAIVE:
            rows[name].append(naive(name, folder / "train", test, cache))
        for number, (name, how) in enumerate(PROBES.items()):
            weights = str(few / f"seed{seed}-{number}.safetensors")
            told = ("--preset", "camera", *how, "--views", "1x1", "--seed", str(seed), "--output", weights, "--force")
            rows[name].append(mvit("train", str(folder), *told)["metrics"]["test"]["top1"])
        print({name: own[-1] for name, own in rows.items()}, flush=True)
    rows["the embedded camera network itself, full training"] = [
        mvit("eval", str(test), "--preset", "camera", "--views", "1x1")["top1"]
    ]
    text = report(rows, time.perf_counter() - start)
    asked.results.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
