"""8-bit integers beside float32 and bfloat16: seconds of one clip and how far logits are off, by what the CPU may use.

    python benchmarks/int8.py [--threads 2] [--rounds 9] [--camera FOLDER] [--write]

One process for each set of instructions: oneDNN is told to do without AMX, as on processors that have VNNI alone, where
attention stays in float32. In each, all number formats in turns on the same clip. `--camera FOLDER` has the camera
network's test clips as `LABEL/*` (`training/camera/few.py` makes them: `DIR/few/test`), and `FOLDER/../seed0/train`
clips to calibrate on; they go through the command line. `--write` puts the tables into `RESULTS_INT8.md`.
"""

import argparse
import copy
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from startup import MVIT, commit, machine

PRESETS = ("mvit_b_16x4", "mvitv2_s_16x4")
INSTRUCTIONS = {"all that there are": None, "VNNI, no bfloat16": "AVX512_CORE_VNNI"}
CALIBRATED_ON, JUDGED_ON = 4, 4


def measured(preset: str, threads: int, rounds: int, *, bfloat16: bool) -> dict[str, Any]:
    """Seconds and drift by number format, of random weights and clips."""
    import torch

    from mvit_cli.arch.presets import get_preset
    from mvit_cli.model import MViT
    from mvit_cli.model.fast import network
    from mvit_cli.model.fast.network import FastMViT
    from mvit_cli.model.range_watch import RangeWatch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    if not bfloat16:
        network.multiplies_bfloat16 = lambda: False
    model = MViT(get_preset(preset).config).eval()
    clips = [torch.randn(1, 3, *model.config.input_thw) for _ in range(CALIBRATED_ON + JUDGED_ON)]
    with torch.inference_mode():
        watch = RangeWatch(model)
        with watch.watching():
            for clip in clips[:CALIBRATED_ON]:
                model(clip)
        runs = {"float32": FastMViT(model), "int8 dynamic": FastMViT(model).to_int8()}
        runs["int8 calibrated"] = FastMViT(model).to_int8(watch.ranges())
        if bfloat16:
            half = FastMViT(copy.deepcopy(model).bfloat16())
            runs["bfloat16"] = lambda clip: half(clip.bfloat16()).float()  # type: ignore[assignment]
        expected = [runs["float32"](clip) for clip in clips[CALIBRATED_ON:]]
        off = {
            name: max(
                float((run(clip) - one).abs().max() / one.std())
                for clip, one in zip(clips[CALIBRATED_ON:], expected, strict=True)
            )
            for name, run in runs.items()
        }
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(rounds):
            for name, run in runs.items():
                start = time.perf_counter()
                run(clips[-1])
                seconds[name].append(time.perf_counter() - start)
    return {"off": off, "seconds": seconds}


def table(found: dict[str, dict[str, Any]]) -> str:
    """A row for each preset, line of instructions and number format."""
    lines = [
        "| preset | instructions | numbers | min s | float32 / it | medians | drift |",
        "|:---|:---|:---|---:|---:|---:|---:|",
    ]
    for key, one in found.items():
        plain = one["seconds"]["float32"]
        for name, times in one["seconds"].items():
            ratios = f"{min(plain) / min(times):.2f} | {median(plain) / median(times):.2f}"
            lines.append(f"| {key} | {name} | {min(times):.3f} | {ratios} | {one['off'][name]:.3f} |")
    return "\n".join(lines)


def camera(folder: Path) -> str:
    """Accuracy of the camera network on the clips of a folder, through the command line."""
    lesson, lines = folder.parent / "seed0" / "train", ["| numbers | right | of clips |", "|:---|---:|---:|"]
    with tempfile.TemporaryDirectory() as made:
        weights = str(Path(made, "camera.int8.safetensors"))
        words = [*MVIT, "calibrate", str(lesson), "--preset", "camera", "-o", weights, "-q", "--format", "json"]
        subprocess.run(words, stdout=subprocess.DEVNULL, check=True)
        ways = {
            "float32": ("--preset", "camera"),
            "int8 dynamic": ("--preset", "camera", "--dtype", "int8"),
            "int8 calibrated": ("--weights", weights, "--dtype", "int8"),
        }
        for number, (name, how) in enumerate(ways.items()):
            rows = str(Path(made, f"{number}.jsonl"))
            subprocess.run([*MVIT, "predict", str(folder), *how, "-q", "-o", rows], check=True)
            words = [*MVIT, "eval", rows, "--truth", str(folder), "--format", "json", "-q"]
            judged = json.loads(subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout)
            lines.append(f"| {name} | {100 * judged['top1']:.2f} % | {judged['clips']} |")
    return "\n".join(lines)


def page(asked: argparse.Namespace, found: dict[str, dict[str, Any]], right: str) -> str:
    """The results as Markdown."""
    where = machine()
    return f"""# 8-bit integers

Written by `python benchmarks/int8.py`, commit {commit()}: {where["cpu"]} ({", ".join(where["flags"])}), {asked.threads}
threads, {asked.rounds} rounds in turns. Random weights and clips; `drift`: the largest difference of a logit from
float32's on {JUDGED_ON} clips, in standard deviations of the logits. `int8 calibrated`: what `mvit calibrate` finds on
{CALIBRATED_ON} other clips. Without bfloat16 oneDNN is told to do without AMX, and attention is float32.

{table(found)}

The camera network, whose weights were trained, on generated clips over photographs that were held out; goal: at most
0.3 points less than in float32.

{right}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--camera", type=Path, metavar="FOLDER")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--one", nargs=2, metavar=("PRESET", "BFLOAT16"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measured(asked.one[0], asked.threads, asked.rounds, bfloat16=asked.one[1] == "yes")))
        return
    found = {}
    for preset in PRESETS:
        for name, isa in INSTRUCTIONS.items():
            words = [sys.executable, __file__, "--one", preset, "no" if isa else "yes"]
            words += ["--threads", str(asked.threads), "--rounds", str(asked.rounds)]
            environment = os.environ | ({"ONEDNN_MAX_CPU_ISA": isa} if isa else {})
            done = subprocess.run(words, stdout=subprocess.PIPE, env=environment, check=True)
            found[f"{preset} | {name}"] = json.loads(done.stdout)
    text = page(asked, found, camera(asked.camera.resolve()) if asked.camera else "Not measured in this run.")
    print(text)
    if asked.write:
        Path(__file__).with_name("RESULTS_INT8.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
