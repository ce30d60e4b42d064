"""Own classes through the command line alone: train, eval, predict; a few lines over the rows confirm their figures.

Four shapes of data, each with files in it that are no clips: a folder of classes, train/val/test folders, a list of
parts of files with groups, and clips of several labels.
"""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_train_command import MOVES, own_cache

from mvit_cli.cli.main import run

__all__ = ["own_cache"]

Mvit = Callable[..., str]
Truth = dict[tuple[str, float, float | None], tuple[str, ...]]
"""Labels of a clip by its path and the part of it that is meant, 0 and None for all of it."""

SHAPES = ("folder", "parts", "list", "several")
BAD = {"empty.mp4": b"", "text.mp4": b"no video at all\n", "half.png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"}


def clips(number: int, first: int = 0) -> list[Path]:
    """Some clips of each class."""
    return [path for path in sorted(MOVES.glob("*/*.mp4")) if first <= int(path.stem) < first + number]


def laid(folder: Path, number: int, first: int = 0) -> None:
    for clip in clips(number, first):
        (folder / clip.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, folder / clip.parent.name / clip.name)
    for name, content in BAD.items():
        (folder / "spin" / name).write_bytes(content)


def listed(folder: Path, shape: str) -> Path:
    """A list: of halves of clips in groups of their file, or of clips with one or two labels."""
    rows: list[dict[str, Any]] = []
    for clip in clips(6):
        name, part = clip.parent.name, "test" if clip.stem in ("04", "05") else "train"
        if shape == "several":
            label = {"bounce": "falls", "spin": "turns", "swing": "falls|turns"}[name]
            rows.append({"path": clip, "label": label, "split": part})
        else:
            ends = (("", 0.5), (0.5, ""))
            rows += [
                {"path": clip, "label": name, "split": part, "group": clip, "start_s": start, "end_s": end}
                for start, end in ends
            ]
    for name, content in BAD.items():
        (folder / name).write_bytes(content)
        rows.append({"path": folder / name, "label": rows[0]["label"], "split": "test"})
    path = folder / "list.csv"
    with path.open("w", newline="") as file:
        table = csv.DictWriter(file, ["path", "label", "split", "group", "start_s", "end_s"])
        table.writeheader()
        table.writerows(rows)
    return path


def data_of(folder: Path, shape: str) -> Path:
    if shape in ("list", "several"):
        return listed(folder, shape)
    data = folder / "clips"
    if shape == "folder":
        laid(data, 6)
    else:
        for first, part in ((0, "train"), (4, "val"), (6, "test")):
            laid(data / part, 4 if part == "train" else 2, first)
    return data


def truth_of(data: Path) -> Truth:
    """What is judged, read here without the package."""
    if data.is_dir():
        below = data / "test" if (data / "test").is_dir() else data
        return {(str(path), 0.0, None): (path.parent.name,) for path in below.glob("*/*.*")}
    with data.open(newline="") as file:
        return {
            (row["path"], float(row["start_s"] or 0), float(row["end_s"]) if row["end_s"] else None): tuple(
                row["label"].split("|")
            )
            for row in csv.DictReader(file)
            if row["split"] == "test"
        }


def figures_of(rows: list[dict[str, Any]], truth: Truth) -> dict[str, Any]:
    """Counted clip by clip."""
    seen = []
    for row in rows:
        part = row.get("part", {"start_s": 0.0, "end_s": None})
        labels = truth[row["path"], part["start_s"], part["end_s"]]
        if row["status"] == "ok":
            seen.append((labels, {entry["label"]: entry["score"] for entry in row["predictions"]}))
    best = [max(scores, key=lambda label: scores[label]) for _, scores in seen]
    right = [name in labels for name, (labels, _) in zip(best, seen, strict=True)]
    classes = sorted({label for labels, _ in seen for label in labels})
    own = {name: [ok for ok, (labels, _) in zip(right, seen, strict=True) if name in labels] for name in classes}
    per_class = {name: sum(oks) / len(oks) for name, oks in own.items()}
    bins: dict[int, list[float]] = {}
    for name, ok, (_, scores) in zip(best, right, seen, strict=True):
        bins.setdefault(-int(-scores[name] * 15 // 1), []).append(ok - scores[name])
    precisions = [average_precision([(scores[name], name in labels) for labels, scores in seen]) for name in classes]
    return {
        "clips": len(rows),
        "failed": len(rows) - len(seen),
        "top1": sum(right) / len(seen),
        "mean_class": sum(per_class.values()) / len(per_class),
        "per_class": per_class,
        "ece": sum(abs(sum(gaps)) for gaps in bins.values()) / len(seen),
        "map": sum(precisions) / len(precisions),
    }


def average_precision(scored: list[tuple[float, bool]]) -> float:
    """The precision among all that score at least as much, mean over the clips that are of the class."""
    own = [score for score, is_own in scored if is_own]
    at_least = [[is_own for other, is_own in scored if other >= score] for score in own]
    return sum(sum(among) / len(among) for among in at_least) / len(own)


@pytest.fixture
def mvit(capsys: pytest.CaptureFixture[str]) -> Mvit:
    def command(*words: str | Path, code: int = 0) -> str:
        assert run([str(word) for word in words]) == code
        return capsys.readouterr().out

    return command


@pytest.mark.parametrize("shape", SHAPES)
def test_the_figures_of_own_weights_are_confirmed_by_their_rows(mvit: Mvit, tmp_path: Path, shape: str) -> None:
    data, weights, kept = data_of(tmp_path, shape), tmp_path / "mine.safetensors", tmp_path / "rows.jsonl"
    quick = ("--views", "2x1", "-q")
    trained = json.loads(mvit("train", data, "-o", weights, "--preset", "camera", "--format", "json", *quick))
    bad = len(BAD) * (3 if shape == "parts" else 1)
    assert len(trained["failed"]) == bad
    assert trained["activation"] == ("sigmoid" if shape == "several" else "softmax")
    evaluation = json.loads(mvit("eval", data, "--weights", weights, "-o", kept, "-q", code=1))

    truth = truth_of(data)
    rows = [json.loads(line) for line in kept.read_text().splitlines()]
    own = figures_of(rows, truth)
    assert (own["clips"], own["failed"]) == (len(truth), len(BAD)) == (evaluation["clips"], evaluation["failed"])
    assert evaluation["missing"] == 0
    assert evaluation["top1"] == pytest.approx(own["top1"], abs=1e-9)
    if shape == "several":
        assert evaluation["map"] == pytest.approx(own["map"], abs=1e-9)
        assert evaluation["mean_class"] is evaluation["ece"] is None
    else:
        assert evaluation["mean_class"] == pytest.approx(own["mean_class"], abs=1e-9)
        assert {one["label"]: one["top1"] for one in evaluation["per_class"]} == pytest.approx(own["per_class"])
        assert evaluation["ece"] == pytest.approx(own["ece"], abs=1e-6)  # scores in rows have seven digits
    assert own["map" if shape == "several" else "top1"] > 0.5
    if trained["metrics"]["test"]:
        figure = "map" if shape == "several" else "top1"
        assert trained["metrics"]["test"][figure] == pytest.approx(evaluation[figure], abs=1e-6)

    if shape != "list":  # predict has no parts of files
        names = sorted({path for path, _, _ in truth})
        told = mvit("predict", *names, "--weights", weights, "--format", "jsonl", "-q", code=1)
        again = figures_of([json.loads(line) for line in told.splitlines()], truth)
        same = ("clips", "failed", "top1", "mean_class", "ece", "map")
        assert {key: again[key] for key in same} == pytest.approx({key: own[key] for key in same})


def test_rows_of_parts_say_which_part_and_are_paired_by_it(mvit: Mvit, tmp_path: Path) -> None:
    """Rows in another order than the list: each half of a file has a label of its own."""
    clip = clips(1)[0]
    data = tmp_path / "list.csv"
    data.write_text(f"path,label,start_s,end_s\n{clip},pan left,0.5,\n{clip},static,,0.5\n{clip},zoom in,,\n")
    kept = tmp_path / "rows.jsonl"
    first = json.loads(mvit("eval", data, "--preset", "camera", "-o", kept, "-q"))
    rows = [json.loads(line) for line in kept.read_text().splitlines()]
    assert [row.get("part") for row in rows] == [
        {"start_s": 0.5, "end_s": None},
        {"start_s": 0.0, "end_s": 0.5},
        None,
    ]
    kept.write_text("".join(json.dumps(row) + "\n" for row in reversed(rows)))
    again = json.loads(mvit("eval", kept, "--truth", data))
    keys = ("top1", "mean_class", "per_class", "ece")
    assert [again[key] for key in keys] == [first[key] for key in keys]
