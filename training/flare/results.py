"""Writes down what the demonstration reached: the table, where it comes from, and how long it took."""

import sys
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from clips import FAMILIES, PARTS
from creatures import ACTIONS, LICENCE, PACKAGE

sys.path.append(str(Path(__file__).parents[1]))
from packages import package_of

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
from startup import commit, machine

GOAL, TIMES_NAIVE = 0.65, 2.0


def write_results(path: Path, data: Path, folder: Path, found: dict[str, Any]) -> None:
    """The page, whole or not at all."""
    partial = path.with_suffix(".partial")
    partial.write_text("\n\n".join(_parts(data, folder, found)) + "\n", encoding="utf-8")
    partial.replace(path)


def _parts(data: Path, folder: Path, found: dict[str, Any]) -> list[str]:
    package = package_of(PACKAGE, data)
    told = machine()
    counts = {part: sum(1 for _ in (folder / part).glob("*/*.mp4")) for part in PARTS}
    clips = ", ".join(f"{counts[part]} of {part} ({', '.join(FAMILIES[part])})" for part in PARTS)
    commands = "\n".join(f"mvit train CLIPS -o mine.safetensors {' '.join(one['options'])}" for one in _runs(found))
    return [
        "# What was reached on FLARE's creatures",
        "Written by `training/flare/run.py`; nothing here is typed by hand. Drawn creatures, not filmed actions.",
        f"Clips: {clips}; {len(ACTIONS)} actions ({', '.join(ACTIONS)}), as many clips each. "
        f"Pictures: Debian's `{package.name}` {package.version}, sha256 `{package.sha256}`, {LICENCE}.",
        _table(found),
        _verdict(found),
        "Of each action the share that is right on test, mean of the seeds of `full`, and what it is mostly taken for:",
        _classes(found),
        f"Commands:\n\n```\n{commands}\nmvit predict CLIPS/test --weights mine.safetensors -o rows.jsonl\n"
        "mvit eval rows.jsonl --truth CLIPS/test\n```",
        f"Commit {commit()}; {told['cpu']}, {told['cores']} cores, {told['system']}, flags {told['flags']}. "
        f"Other programs ran beside, so seconds say little: {_seconds(found)}.",
    ]


def _runs(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [found["probe"], *found["full"]]


def _until(chosen: dict[str, Any]) -> str:
    """Which epoch was kept, and whether Ctrl-C ended the training before its last one."""
    if "epoch" not in chosen:
        return ""
    return f", epoch {chosen['epoch']} of {chosen['epochs']}{', interrupted' if 'interrupted' in chosen else ''}"


def _seconds(found: dict[str, Any]) -> str:
    runs = [f"{_name(one)} {one['seconds']:.0f} s" for one in _runs(found)]
    return ", ".join([f"baselines {found['baselines']['seconds']:.0f} s", *runs])


def _name(one: dict[str, Any]) -> str:
    options = list(one["options"])
    return f"full, seed {options[options.index('--seed') + 1]}" if "--seed" in options else "probe"


def _table(found: dict[str, Any]) -> str:
    lines = ["| | val, top-1 | test, top-1 | 95 % |", "| :--- | ---: | ---: | ---: |"]
    for row in found["baselines"]["rows"]:
        lines.append(f"| {row['name']} | {_percent(row['val'])} | {_percent(row['test'])} | |")
    for one in _runs(found):
        val, test = one["train"]["metrics"]["val"], one["test"]
        low, high = test["interval95"]
        name = f"`mvit train`, {_name(one)}{_until(one['train']['chosen'])}"
        lines.append(
            f"| {name} | {_percent(val['top1'])} | {_percent(test['top1'])} | {_percent(low)} to {_percent(high)} |"
        )
    return "\n".join(lines)


def _verdict(found: dict[str, Any]) -> str:
    """The goals beside what was reached."""
    tests = [one["test"]["top1"] for one in found["full"]]
    naive = max(found["baselines"]["rows"], key=lambda row: float(row["test"]))
    reached, spread = mean(tests), stdev(tests) if len(tests) > 1 else 0.0
    goals = [
        f"at least {_percent(GOAL)} on unseen families: {'reached' if reached >= GOAL else 'not reached'}",
        f"at least {TIMES_NAIVE:g} times the best of what uses no network: {reached / naive['test']:.2f} times, "
        f"{'reached' if reached >= TIMES_NAIVE * naive['test'] else 'not reached'}",
    ]
    return (
        f"Full, mean of {len(tests)} seeds: **{_percent(reached)}** (standard deviation {100 * spread:.1f}); the best "
        f"without a network is {naive['name']} with {_percent(naive['test'])}. Goals: {'; '.join(goals)}."
    )


def _classes(found: dict[str, Any]) -> str:
    lines = ["| action | right | taken for |", "| :--- | ---: | :--- |"]
    for action in ACTIONS:
        rights = [row["top1"] for one in found["full"] for row in one["test"]["per_class"] if row["label"] == action]
        taken: dict[str, int] = {}
        for one in found["full"]:
            for pair in one["test"]["confused"]:
                if pair["truth"] == action:
                    taken[pair["predicted"]] = taken.get(pair["predicted"], 0) + pair["clips"]
        most = max(taken, key=lambda name: taken[name]) if taken else ""
        lines.append(f"| {action} | {_percent(mean(rights))} | {most} |")
    return "\n".join(lines)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
