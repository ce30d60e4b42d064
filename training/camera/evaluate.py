"""How often the camera_motion network is right: on generated clips, on half-real clips and on real footage.

    python training/camera/evaluate.py --data DIR [--weights FILE] [--footage DIR] [--json FILE]

(a) photographs: 2,000 clips of the virtual camera over photographs that were held out from training.
(b) virtual camera over footage: the same paths, over real video of a fixed camera with people moving in it, where
    something in the view stands and shows how the camera moves.
(c) real footage of a fixed camera, people moving in it: every window is static.
(d) real footage of a moving camera: windows labelled by sparse optical flow and RANSAC (`flow.py`), which know nothing
    of the network. They overlap, so they are fewer independent cases than their number says; of a file that has
    more than 20, 20 evenly spaced ones count, so that no single shot decides.
(e) as (b), where nothing but a bare wall stands behind somebody who moves: how far guessing goes.
(f) as (b) and (e), views as they come: walls as often as they are met.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from flow import frame_motions, judge
from footage import Footage, Video, all_footage, centre_crop, fetch_footage
from generate import generate
from motion import CLIP_S, LABELS, REVERSED
from photos import fetch, load
from refilm import refilmed
from safetensors.torch import load_file
from sprites import SIDE_PX
from torch import nn

from mvit_cli.arch.presets import get_preset
from mvit_cli.model.mvit import MViT

MEAN, STD = 0.45, 0.225
WEIGHTS = Path(__file__).parents[2] / "weights" / "camera_motion.safetensors"
STATIC = LABELS.index("static")
WINDOWS_PER_FILE = 20


@dataclass(frozen=True)
class Result:
    """What a test came to; `confusion[i][j]` counts clips of class i that were called j."""

    clips: int
    accuracy: float
    precision: dict[str, float]
    recall: dict[str, float]
    confusion: list[list[int]]
    by_file: dict[str, str]


def network(weights: Path) -> nn.Module:
    """The preset with its shipped weights, strictly loaded."""
    model = MViT(get_preset("camera_motion").config)
    model.load_state_dict({name: tensor.float() for name, tensor in load_file(weights).items()})
    return model.eval()


@torch.inference_mode()
def predict(model: nn.Module, clips: list[np.ndarray]) -> np.ndarray:
    """Class of each clip, uint8 `(T, 96, 96, 3)`."""
    classes = []
    for i in range(0, len(clips), 32):
        pixels = torch.from_numpy(np.stack(clips[i : i + 32])).permute(0, 4, 1, 2, 3).float()
        classes.append(model((pixels / 255 - MEAN) / STD).argmax(1).numpy())
    return np.concatenate(classes)


def photograph_clips(data: Path, count: int, seed: int) -> Iterator[tuple[np.ndarray, int, str]]:
    """(a) Clips over held-out photographs: frames, label, source."""
    photos = load(data, held_out=True)
    rng = np.random.default_rng((seed, 1))
    for _ in range(count):
        clip = generate(rng, photos)
        yield clip.frames, clip.label, "photographs"


def static_windows(videos: list[tuple[Footage, Video]], hop_s: float) -> Iterator[tuple[np.ndarray, int, str]]:
    """(c) Windows of fixed cameras as `predict` would see them: frames, label, file."""
    for footage, video in videos:
        for start in video.starts(hop_s) if footage.fixed_camera else ():
            yield centre_crop(video.frames[video.sampled(start)], SIDE_PX), STATIC, footage.file


def moving_windows(videos: list[tuple[Footage, Video]], hop_s: float) -> Iterator[tuple[np.ndarray, int, str]]:
    """(d) Windows in which the optical flow finds one clear motion; played at three speeds, forwards and backwards."""
    for footage, video in videos:
        if footage.fixed_camera:
            continue
        motions = frame_motions(video.frames)
        judged = []
        for speed in (1, 2, 3):
            faster = Video(video.frames, video.times_s / speed)
            for start in faster.starts(hop_s):
                first, last = np.searchsorted(faster.times_s, (start - 1e-6, start + CLIP_S + 1e-6))
                label = judge(motions[first : max(first + 1, last - 1)]).label
                if label is not None:
                    judged.append((faster.sampled(start), label))
        for i in np.linspace(0, len(judged) - 1, min(len(judged), WINDOWS_PER_FILE)).round().astype(int):
            frames = centre_crop(video.frames[judged[i][0]], SIDE_PX)
            yield frames, judged[i][1], footage.file
            yield frames[::-1], REVERSED[judged[i][1]], f"{footage.file} backwards"


def measure(model: nn.Module, clips: Iterator[tuple[np.ndarray, int, str]]) -> Result:
    """Runs the network over labelled clips and counts."""
    frames, labels, files = zip(*clips, strict=True)
    called = predict(model, list(frames))
    confusion = np.zeros((len(LABELS), len(LABELS)), int)
    tally: dict[str, list[bool]] = defaultdict(list)
    for label, guess, file in zip(labels, called, files, strict=True):
        confusion[label, guess] += 1
        tally[f"{file}: {'static' if label == STATIC else 'moving'}"].append(bool(label == guess))
    right, rows, columns = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    return Result(
        clips=len(labels),
        accuracy=round(right.sum() / len(labels), 4),
        precision={n: round(r / c, 4) for n, r, c in zip(LABELS, right, columns, strict=True) if c},
        recall={n: round(r / c, 4) for n, r, c in zip(LABELS, right, rows, strict=True) if c},
        confusion=confusion.tolist(),
        by_file={name: f"{sum(hits)}/{len(hits)}" for name, hits in tally.items()},
    )


def table(title: str, result: Result) -> str:
    """A result as text: figures by class, then who was taken for whom."""
    lines = [f"{title}: {result.accuracy:.1%} of {result.clips} clips"]
    lines.append(f"{'':24}{'recall':>8}{'precision':>10}   called " + " ".join(f"{i:>4}" for i in range(len(LABELS))))
    for i, name in enumerate(LABELS):
        if sum(result.confusion[i]):
            counts = " ".join(f"{n:>4}" for n in result.confusion[i])
            precision = result.precision.get(name, float("nan"))
            lines.append(f"{i:>2} {name:21}{result.recall[name]:>8.1%}{precision:>10.1%}          {counts}")
    return "\n".join(lines + [f"   {name} {hits}" for name, hits in result.by_file.items()])


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the camera_motion network.")
    parser.add_argument("--data", type=Path, required=True, help="folder for the packages")
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--footage", type=Path, help="a folder with more real clips, named real_*")
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--hop", type=float, default=0.5, help="seconds between windows of real footage")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--tests", default="abcdef", help="which tests to run, e.g. 'c'")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    fetch(args.data)
    fetch_footage(args.data)
    model = network(args.weights)
    videos = list(all_footage(args.data, args.footage)) if set(args.tests) - {"a"} else []
    tests = {
        "a": ("held-out photographs", lambda: photograph_clips(args.data, args.clips, args.seed)),
        "b": ("virtual camera over real footage", lambda: refilmed(videos, args.clips, args.seed)),
        "c": ("real footage of a fixed camera", lambda: static_windows(videos, args.hop)),
        "d": ("real footage of a moving camera", lambda: moving_windows(videos, args.hop / 5)),
        "e": ("virtual camera over bare walls", lambda: refilmed(videos, args.clips // 4, args.seed, told=False)),
        "f": ("virtual camera over any views", lambda: refilmed(videos, args.clips, args.seed, told=None)),
    }
    results = {}
    for key in args.tests:
        title, clips = tests[key]
        results[title] = measure(model, clips())
        print(table(f"({key}) {title}", results[title]), flush=True)
    if args.json:
        args.json.write_text(json.dumps({name: asdict(result) for name, result in results.items()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
