"""Fashion-MNIST by `mvit train` and `mvit eval`, beside a linear classifier on raw pixels.

    python training/fashion/demonstrate.py --data DIR [--seeds 0 1 2] [--epochs 16]

Fetches the pictures (`pictures.py`), trains `mvitv2_pico_28` from random weights with each seed, all through the
command line, evaluates the weights on the 10,000 official test pictures, and writes `RESULTS.md` beside this file after
each seed. What is there already is not done again; a training that was stopped goes on.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from pictures import LICENCE, PACKAGE, arrays, folder_of

sys.path.append(str(Path(__file__).parents[1]))
sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
sys.path.append(str(Path(__file__).parents[2]))
from commands import mvit
from packages import package_of
from startup import commit, machine

PRESET = "mvitv2_pico_28"
# Pictures are centred and fill their frame, so that a look shows nearly all of it; 3,000 pictures choose the epoch.
HOW = ("--preset", PRESET, "--weights", "none", "--method", "full", "--least-area", "0.8", "--val-split", "0.05")
GOAL = 0.91


def seconds_of(log: Path) -> float:
    """What a training took by its log, which begins again at zero where it went on after a stop."""
    moments = [json.loads(line)["seconds"] for line in log.read_text(encoding="utf-8").splitlines()]
    return float(sum(at for at, after in zip(moments, [*moments[1:], 0.0], strict=True) if after < at))


def trained(data: Path, seed: int, epochs: int) -> dict[str, Any]:
    """The figures of one seed on the test pictures; kept in `DIR/runs`."""
    runs = data / "runs"
    runs.mkdir(exist_ok=True)
    kept = runs / f"seed{seed}.json"
    if kept.exists():
        return json.loads(kept.read_text(encoding="utf-8"))
    weights = runs / f"seed{seed}.safetensors"
    how = (*HOW, "--epochs", str(epochs), "--seed", str(seed), "--output", str(weights))
    goes_on = ("--resume",) if weights.with_suffix("").exists() else ()
    result = mvit("train", str(folder_of(data)), *how, *goes_on)
    start = time.perf_counter()
    evaluation = mvit("eval", str(folder_of(data)), "--weights", str(weights), "--split", "test", "--quiet")
    figures = {
        "seed": seed,
        "epochs": epochs,
        "clips": result["clips"],
        "chosen": result["chosen"],
        "val": result["metrics"]["val"]["top1"],
        "top1": evaluation["top1"],
        "wrong": evaluation["confused"][:3],
        "train_s": round(seconds_of(weights.with_suffix("") / "log.jsonl")),
        "eval_s": round(time.perf_counter() - start),
        "commit": commit(),
    }
    kept.write_text(json.dumps(figures) + "\n", encoding="utf-8")
    return figures


def linear(data: Path) -> dict[str, Any]:
    """The naive baseline: logistic regression on the 784 grey values of all 60,000 training pictures."""
    kept = data / "runs" / "linear.json"
    if kept.exists():
        return json.loads(kept.read_text(encoding="utf-8"))
    from sklearn.linear_model import LogisticRegression

    (x, y), (test_x, test_y) = (arrays(data, part) for part in ("train", "test"))
    start = time.perf_counter()
    model = LogisticRegression(max_iter=100)
    model.fit(x.reshape(len(x), -1) / 255, y)
    found = {
        "top1": float((model.predict(test_x.reshape(len(test_x), -1) / 255) == test_y).mean()),
        "seconds": round(time.perf_counter() - start),
        "majority": float((test_y == np.bincount(y).argmax()).mean()),
    }
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(json.dumps(found) + "\n", encoding="utf-8")
    return found


def report(data: Path, naive: dict[str, Any], seeds: list[dict[str, Any]]) -> str:
    """The results as Markdown."""
    package, own = package_of(PACKAGE, data), [seed["top1"] for seed in seeds]
    where = machine()
    rows = [
        ("most frequent class", f"{100 * naive['majority']:.1f}", "", ""),
        ("linear classifier on raw pixels (scikit-learn)", f"{100 * naive['top1']:.2f}", "", f"{naive['seconds']}"),
        *(
            (
                f"`{PRESET}`, random weights, seed {seed['seed']}",
                f"{100 * seed['top1']:.2f}",
                f"{seed['chosen']['epoch']} of {seed['chosen']['epochs']}",
                f"{seed['train_s']}",
            )
            for seed in seeds
        ),
    ]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    met = "met" if len(own) >= 3 and min(own) >= GOAL else "not met"
    said = (
        f"Mean of {len(own)} seeds: {100 * mean(own):.2f} %, least {100 * min(own):.2f} %." if own else "No seed yet."
    )
    commits = ", ".join(sorted({seed["commit"] for seed in seeds})) or commit()
    return f"""# Fashion-MNIST through the command line

Written by `training/fashion/demonstrate.py`. Tiny grey pictures of clothes, 28 x 28: not filmed actions, and what is
reached on them says nothing of films. Debian's `{package.name}` {package.version} (sha256 `{package.sha256}`),
licence {LICENCE}; 60,000 pictures to learn from, of which 3,000 choose the epoch, and the 10,000 official test
pictures.

| what | test top-1 % | epoch kept | seconds |
|---|---:|---:|---:|
{table}

{said} Goal {100 * GOAL:.0f} % with each of three seeds: {met}. Seconds are by the clock, on a machine that others
used at the same time.

    mvit train fashion -o mine.safetensors {" ".join(HOW)} --epochs {seeds[0]["epochs"] if seeds else "N"} --seed N
    mvit eval fashion --weights mine.safetensors --split test

Commit {commits}; {where["cpu"]}, {where["cores"]} cores, {where["system"]}.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder for pictures and runs, outside the repository")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="N", help="seeds to train with")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--results", type=Path, default=Path(__file__).with_name("RESULTS.md"), metavar="FILE")
    asked = parser.parse_args()
    data = asked.data.resolve()
    folder_of(data)
    naive = linear(data)
    for seed in asked.seeds:
        trained(data, seed, asked.epochs)
        paths = sorted((data / "runs").glob("seed*.json"))
        text = report(data, naive, [json.loads(path.read_text(encoding="utf-8")) for path in paths])
        partial = asked.results.with_suffix(f".{os.getpid()}")
        partial.write_text(text, encoding="utf-8")
        partial.replace(asked.results)
        print(text)


if __name__ == "__main__":
    main()
