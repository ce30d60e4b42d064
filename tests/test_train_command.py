"""`mvit train`: from a folder of clips to weights that `mvit predict` takes as they are, with an honest accuracy."""

import inspect
import json
import shutil
from collections.abc import Callable
from dataclasses import fields
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pages import read_page
from safetensors.torch import load_file
from schemas import problems
from tiny_network import write_weights

import mvit_cli
from mvit_cli.checkpoints.formats.own_protocol import TRAINING_KEY
from mvit_cli.checkpoints.formats.reading import read_shapes
from mvit_cli.cli.main import run
from mvit_cli.cli.train import Arguments
from mvit_cli.evaluation.metrics import wilson
from mvit_cli.training.accuracy import accuracy_of
from mvit_cli.training.asked import TrainOptions
from mvit_cli.training.train import TrainArguments

MOVES = Path(__file__).parent / "data" / "moves"
KEYS = ["weights", "method", "started_from", "preset", "classes", "activation", "clips", "split", "metrics", "leaks"]
KEYS += ["failed", "baseline", "chosen", "notes"]

Train = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, decoding_in_this_process: None) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def train(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Train:
    def run_it(data: Path | str, *arguments: str, code: int = 0, preset: str = "camera") -> dict[str, Any]:
        output = str(tmp_path / "mine.safetensors")
        told = ["--format", "json", "-q", "--preset", preset] if "--format" not in arguments else []
        assert run(["train", str(data), "-o", output, *told, *arguments]) == code
        out = capsys.readouterr()
        return json.loads(out.out) if code == 0 and told else {"out": out.out, "err": out.err}

    return run_it


def few(folder: Path, number: int = 6) -> Path:
    """Some clips of each class."""
    for clip in sorted(MOVES.glob("*/*.mp4")):
        if int(clip.stem) < number:
            (folder / clip.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(clip, folder / clip.parent.name)
    return folder


def test_a_folder_becomes_weights_that_predict_takes_as_they_are(train: Train, tmp_path: Path) -> None:
    result = train(MOVES)
    assert list(result) == KEYS
    assert problems("train", result) == []
    assert (result["classes"], result["activation"]) == (["bounce", "spin", "swing"], "softmax")
    assert (result["clips"], result["split"]["method"]) == ({"train": 48, "val": 12, "test": 0}, "stratified")
    assert result["metrics"]["val"]["top1"] >= 0.9
    assert result["baseline"]["majority"] == pytest.approx(1 / 3, abs=1e-5)
    assert (result["leaks"], result["failed"], result["notes"]) == ([], [], [])
    rows = list(mvit_cli.predict(MOVES, weights=result["weights"]))
    assert len(rows) == 60
    right = 0
    for row in rows:
        assert row["status"] == "ok"
        assert (row["warnings"], row["activation"], row["preset"]) == ([], "softmax", "camera_motion")
        assert {entry["label"] for entry in row["predictions"]} == {"bounce", "spin", "swing"}
        right += row["predictions"][0]["label"] == Path(row["path"]).parent.name
    assert right >= 57
    told = json.loads(read_shapes(result["weights"]).metadata[TRAINING_KEY])
    assert told["metrics"] == result["metrics"]
    assert told["origin"]["weights"] == "camera_motion.embedded"
    assert set(told["versions"]) == {"mvit", "torch", "numpy", "python"}
    folder = tmp_path / "mine"
    assert {path.name for path in folder.iterdir()} >= {"log.jsonl", "log.csv", "curves.png", "confusion.png"}


def test_the_accuracy_is_what_predict_reaches_on_the_clips_that_were_kept_apart(train: Train, tmp_path: Path) -> None:
    data = few(tmp_path / "data")
    lines = ["path,label,split"]
    for number, clip in enumerate(sorted(data.glob("*/*.mp4"))):
        lines.append(f"{clip},{clip.parent.name},{('train', 'val', 'test')[number % 3]}")
    (tmp_path / "list.csv").write_text("\n".join(lines))
    result = train(tmp_path / "list.csv")
    assert result["clips"] == {"train": 6, "val": 6, "test": 6}
    rows = list(csv_rows(tmp_path / "list.csv"))
    for part in ("val", "test"):
        named = {path: label for path, label, its in rows if its == part}
        predicted = mvit_cli.predict(list(named), weights=result["weights"])
        right = [row["predictions"][0]["label"] == named[row["path"]] for row in predicted if row["status"] == "ok"]
        assert result["metrics"][part]["top1"] == pytest.approx(np.mean(right), abs=1e-6)
        low, high = wilson(sum(right), len(right))
        assert result["metrics"][part]["interval95"] == pytest.approx([low, high], abs=1e-6)


def csv_rows(path: Path) -> list[list[str]]:
    return [line.split(",") for line in path.read_text().splitlines()[1:]]


def test_the_same_run_gives_the_same_weights(train: Train, tmp_path: Path) -> None:
    data = few(tmp_path / "data")
    first = train(data)
    written, said = load_file(first["weights"]), read_shapes(first["weights"]).metadata
    assert train(data, "--force") == first
    assert read_shapes(first["weights"]).metadata == said
    assert all(torch.equal(tensor, written[name]) for name, tensor in load_file(first["weights"]).items())


def test_bad_files_cost_a_line_and_are_counted(train: Train, tmp_path: Path) -> None:
    data = few(tmp_path / "data")
    (data / "spin" / "broken.mp4").write_bytes(b"no video")
    (data / "spin" / "empty.mp4").touch()
    result = train(data)
    assert [Path(clip["path"]).name for clip in result["failed"]] == ["broken.mp4", "empty.mp4"]
    assert problems("train", result) == []
    log = [json.loads(line) for line in (tmp_path / "mine" / "log.jsonl").read_text().splitlines()]
    assert [line["path"] for line in log if line["event"] == "failed"] == [clip["path"] for clip in result["failed"]]
    assert sum(result["clips"].values()) == 18
    told = train(data, "--force", "--preset", "camera", "--format", "table", "-q")["out"]
    assert "2 clips could not be read" in told


def test_a_probe_of_a_network_that_has_learned_nothing_says_so(train: Train, tmp_path: Path) -> None:
    data = few(tmp_path / "clips")
    result = train(data, "--weights", "none")
    assert result["started_from"] == "none"
    assert [note for note in result["notes"] if "random weights, and a probe leaves them so" in note]
    told = train(data, "--weights", "none", "--format", "table", "--force", "--preset", "camera")
    assert "random weights, and a probe leaves them so" in " ".join(told["err"].split())


def test_a_copy_across_the_split_is_reported_with_the_accuracy_without_it(train: Train, tmp_path: Path) -> None:
    data = few(tmp_path / "data")
    for clip in sorted(data.glob("*/*.mp4")):
        part = "val" if int(clip.stem) > 3 else "train"
        (tmp_path / "parts" / part / clip.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, tmp_path / "parts" / part / clip.parent.name)
    shutil.copy(data / "spin" / "00.mp4", tmp_path / "parts" / "val" / "spin" / "copy.mp4")
    result = train(tmp_path / "parts")
    assert [(Path(leak["path"]).name, Path(leak["learned"]).name) for leak in result["leaks"]] == [
        ("copy.mp4", "00.mp4")
    ]
    assert result["leaks"][0]["correlation"] == 1
    assert result["metrics"]["val"]["clips"] == 7
    assert result["metrics"]["val_without_leaks"]["clips"] == 6
    assert result["metrics"]["test_without_leaks"] is None


def test_copies_in_the_part_that_tests_are_left_out_of_its_second_figure(train: Train, tmp_path: Path) -> None:
    data = few(tmp_path / "data")
    for clip in sorted(data.glob("*/*.mp4")):
        part = {4: "val", 5: "test"}.get(int(clip.stem), "train")
        (tmp_path / "parts" / part / clip.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, tmp_path / "parts" / part / clip.parent.name)
    shutil.copy(data / "swing" / "01.mp4", tmp_path / "parts" / "test" / "swing" / "copy.mp4")
    metrics = train(tmp_path / "parts")["metrics"]
    assert (metrics["test"]["clips"], metrics["test_without_leaks"]["clips"]) == (4, 3)
    assert metrics["val_without_leaks"] is None


def test_clips_of_one_recording_make_the_interval_wider(train: Train, tmp_path: Path) -> None:
    """Grouped clips are drawn together; the interval is a loop's over whole groups, to what 2,000 draws leave open."""
    data = few(tmp_path / "data")
    alone = train(data)
    grouped = train(data, "--group", r"0([0-9])\.mp4$", "--force")
    assert alone["metrics"]["val"]["interval_method"] == "wilson"
    assert grouped["metrics"]["val"]["interval_method"] == "bootstrap"
    scores = np.eye(2)[[0, 0, 0, 0, 1, 1, 1, 1]]
    groups = ["a"] * 4 + ["b"] * 2 + ["c"] * 2
    told = accuracy_of(scores, np.eye(2)[[0] * 8], multilabel=False, groups=groups)
    sizes, hits = {"a": 4, "b": 2, "c": 2}, {"a": 4, "b": 0, "c": 0}
    means = sorted(
        sum(hits[name] for name in drawn) / sum(sizes[name] for name in drawn) for drawn in product("abc", repeat=3)
    )
    assert told["interval95"] == [means[0], means[-1]]  # 8 and 1 of 27 draws: both more than 2.5 %
    several = accuracy_of(scores, np.eye(2)[[0] * 8], multilabel=True, groups=groups)
    assert several["interval_method"] == "bootstrap"


def test_several_labels_a_clip_are_scored_each_for_itself(train: Train, tmp_path: Path) -> None:
    lines = ["path,label"]
    for clip in sorted(MOVES.glob("*/*.mp4")):
        lines.append(f"{clip},{clip.parent.name}{'|round' if clip.parent.name != 'bounce' else ''}")
    (tmp_path / "list.csv").write_text("\n".join(lines))
    result = train(tmp_path / "list.csv")
    assert problems("train", result) == []
    assert (result["activation"], result["metrics"]["val"]["top1"]) == ("sigmoid", None)
    assert result["metrics"]["val"]["map"] >= 0.9
    assert result["baseline"]["majority"] < 0.6
    (row,) = mvit_cli.predict(MOVES / "spin" / "00.mp4", weights=result["weights"], threshold=0.5)
    assert row["status"] == "ok"
    assert (row["activation"], row["warnings"]) == ("sigmoid", [])
    assert {entry["label"] for entry in row["predictions"]} == {"spin", "round"}


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ({"a": 1, "b": 3}, "the class 'a' has one clip only"),
        ({"a": 3}, "all 3 clips are of one class"),
        ({}, "has no folders"),
    ],
)
def test_data_that_nothing_can_be_learned_from_is_refused_at_once(
    train: Train, tmp_path: Path, classes: dict[str, int], message: str
) -> None:
    (tmp_path / "data").mkdir()
    for name, number in classes.items():
        (tmp_path / "data" / name).mkdir()
        for i in range(number):
            (tmp_path / "data" / name / f"{i}.mp4").touch()
    assert message in train(tmp_path / "data", code=1)["err"]
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--val-split", "0"], "--val-split 0 is no share"),
        (["--group", "("], "neither a column of the data nor a regular expression"),
        (["--epochs", "3"], "--epochs is of --method full"),
        (["--method", "full", "--epochs", "0"], "--epochs 0 is less than 1"),
        (["-o", "mine.pt"], "weights are a .safetensors file"),
        (["-o", "nowhere/mine.safetensors"], "there is no folder nowhere"),
        (["--views", "x"], "--views 'x' is not clips x crops"),
        (["--preset", "B-66"], "there is no preset"),
    ],
)
def test_wrong_usage_is_refused_before_any_work(train: Train, arguments: list[str], message: str) -> None:
    assert message in train(MOVES, *arguments, code=2)["err"]


def test_log_and_pictures_never_go_into_the_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`mvit train clips -o clips.safetensors` is what people type."""
    data = few(tmp_path / "mine")
    for name in (data, data / "spin"):
        assert run(["train", str(data), "-o", f"{name}.safetensors", "--preset", "camera", "--force"]) == 2
        assert "where the data is" in capsys.readouterr().err
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").touch()
    assert run(["train", str(data), "-o", str(tmp_path / "other.safetensors"), "--preset", "camera"]) == 2
    assert "which has other files" in capsys.readouterr().err
    assert len(list(data.rglob("*"))) == 18 + 3


def test_parts_of_one_file_are_clips_of_their_own(train: Train, tmp_path: Path) -> None:
    lines = ["path,label,start_s,end_s"]
    for clip in sorted(MOVES.glob("*/0[0-3].mp4")):
        lines += [f"{clip},{clip.parent.name},0,1.1", f"{clip},{clip.parent.name},1.1,"]
    (tmp_path / "list.csv").write_text("\n".join(lines))
    result = train(tmp_path / "list.csv", "--group", r"(\w+/\d+)\.mp4$", "--views", "1x1")
    assert sum(result["clips"].values()) == 24
    assert result["split"] == {"method": "grouped", "seed": 0, "groups": 12}


def test_the_page_has_the_figures_and_the_pictures(train: Train, tmp_path: Path) -> None:
    result = train(few(tmp_path / "data"))
    page = read_page(tmp_path / "mine" / "report.html")
    assert [title.text for title in page.all("h1")] == ["3 classes: bounce, spin, swing"]
    (first, *_) = (row for row in page.all("tr") if row.all("th") and row.all("th")[0].text == "val")
    assert f"{100 * result['metrics']['val']['top1']:.1f}" in [cell.text for cell in first.all("td")]
    sources = [image.attributes["src"] or "" for image in page.all("img")]
    assert [source.startswith("data:image/png;base64,") for source in sources] == [True, True]
    assert not {"link", "iframe", "a"} & {element.name for element in page.all("*")}


def test_weights_that_are_there_are_kept(train: Train, tmp_path: Path) -> None:
    target = tmp_path / "mine.safetensors"
    write_weights(target)
    before = target.read_bytes()
    assert "is there already" in train(MOVES, code=2)["err"]
    assert "would overwrite the weights" in train(MOVES, "--weights", str(target), "--force", code=2)["err"]
    assert target.read_bytes() == before


def test_python_gives_the_same_and_has_the_same_options(train: Train, tmp_path: Path) -> None:
    data = few(tmp_path / "data")
    told: list[str] = []
    other = tmp_path / "other.safetensors"
    result = mvit_cli.train(data, other, preset="camera", progress=lambda moment: told.append(moment.phase))
    assert dict(result) == {**train(data), "weights": str(other)}
    assert set(told) == {"features", "classifier"}
    asked = {field.name: field.default for field in fields(TrainOptions)}
    assert set(TrainArguments.__annotations__) == set(asked) - {"data", "output"}
    options = {field.name: field.default for field in fields(Arguments)}
    assert set(options) - {"format", "quiet", "timeout", "config", "save_config"} == set(asked) - {"timeout_s"}
    assert all(options[name] == asked[name] for name in set(options) & set(asked))
    assert inspect.signature(mvit_cli.train).parameters["output"].default is inspect.Parameter.empty
