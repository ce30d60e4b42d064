"""`mvit eval`: figures beside loops, labels matched with classes, rows judged during a run and afterwards."""

import json
import shutil
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from pages import read_page

import mvit_cli
from mvit_cli.checkpoints.cards import load_card
from mvit_cli.cli.main import run
from mvit_cli.errors import MViTError, UsageError
from mvit_cli.evaluation.judge import Judge
from mvit_cli.evaluation.orders import Orders
from mvit_cli.evaluation.truth import Pairing, Truth, classes_of, read_truth
from mvit_cli.recognition.labelled import LabelledClip
from mvit_cli.records import Row
from mvit_cli.report.schema import schema_of

CLIP = Path(__file__).parent / "data" / "pan_left.mp4"
NAMES = tuple(f"class {index}" for index in range(8))
pytestmark = pytest.mark.usefixtures("decoding_in_this_process")


def row_of(path: str, scores: "np.ndarray[Any, Any]", top: int = 5) -> Row:
    order = np.argsort(-scores, kind="stable")[:top].tolist()
    predictions = [{"index": index, "label": NAMES[index], "score": float(scores[index])} for index in order]
    row = {"path": path, "status": "ok", "preset": "p", "weights": "w", "views": "1x1", "predictions": predictions}
    return cast("Row", row)


def judged(seed: int, *, several: bool = False, groups: bool = False, clips: int = 90) -> tuple[Judge, Any, Any]:
    generator = np.random.default_rng(seed)
    scores = generator.random((clips, len(NAMES)))
    truth = [
        sorted(generator.choice(7, size=generator.integers(1, 4) if several else 1, replace=False).tolist())
        for _ in range(clips)
    ]
    labelled = tuple(
        LabelledClip(f"{i}.mp4", tuple(NAMES[index] for index in own), group=str(i // 9) if groups else None)
        for i, own in enumerate(truth)
    )
    judge = Judge(Truth(labelled, several), NAMES, {name: index for index, name in enumerate(NAMES)})
    for number in range(clips):
        judge.take(row_of(f"{number}.mp4", scores[number], 8 if several else 5))
    return judge, scores, truth


def test_figures_of_rows_are_those_of_a_loop_over_all_scores() -> None:
    judge, scores, truth = judged(0)
    found = judge.evaluation()
    hits = [int(np.argmax(own)) == label for own, (label,) in zip(scores, truth, strict=True)]
    in_five = [label in np.argsort(-own)[:5] for own, (label,) in zip(scores, truth, strict=True)]
    assert found["top1"] == pytest.approx(sum(hits) / 90)
    assert found["top5"] == pytest.approx(sum(in_five) / 90)
    each = {label: [hit for hit, (own,) in zip(hits, truth, strict=True) if own == label] for label in range(7)}
    assert found["mean_class"] == pytest.approx(np.mean([np.mean(values) for values in each.values()]))
    assert [(one["label"], one["clips"]) for one in found["per_class"]] == [
        (NAMES[label], len(values)) for label, values in each.items()
    ]
    assert [one["top1"] for one in found["per_class"]] == pytest.approx([np.mean(values) for values in each.values()])
    pairs: dict[tuple[int, int], int] = {}
    for own, (label,) in zip(scores, truth, strict=True):
        if (best := int(np.argmax(own))) != label:
            pairs[label, best] = pairs.get((label, best), 0) + 1
    assert found["confused"][0]["clips"] == max(pairs.values())
    for one in found["confused"]:
        assert pairs[NAMES.index(one["truth"]), NAMES.index(one["predicted"])] == one["clips"]
    assert (found["clips"], found["failed"], found["missing"], found["map"]) == (90, 0, 0, None)
    assert found["interval_method"] == "wilson"


def test_clips_of_several_labels_have_mean_average_precision() -> None:
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    judge, scores, truth = judged(1, several=True)
    found = judge.evaluation()
    marked = np.array([[index in own for index in range(8)] for own in truth])
    assert not marked[:, 7].any()  # a class that does not occur
    expected = sklearn_metrics.average_precision_score(marked[:, :7], scores[:, :7].astype(np.float32), average="macro")
    assert found["map"] == pytest.approx(expected, abs=1e-9)
    assert [one["label"] for one in found["per_class"]] == list(NAMES[:7])
    assert found["top1"] == np.mean([int(np.argmax(own)) in mine for own, mine in zip(scores, truth, strict=True)])


def test_what_rows_do_not_tell_is_null_and_said() -> None:
    truth = Truth((LabelledClip("a.mp4", ("class 3",)),), False)
    judge = Judge(truth, NAMES, {"class 3": 3})
    judge.take(row_of("a.mp4", np.arange(8.0) / 8, top=2))
    found = judge.evaluation()
    assert (found["top1"], found["top5"]) == (0, None)
    assert any("top-5" in note for note in found["notes"])
    few = Judge(truth, NAMES[:5], {"class 3": 3})  # of five classes five are always right
    few.take(row_of("a.mp4", np.arange(5.0) / 5))
    assert (few.evaluation()["top5"], few.evaluation()["notes"]) == (None, [])
    empty = Judge(truth, NAMES, {"class 3": 3}).evaluation()
    assert (empty["top1"], empty["interval95"], empty["missing"]) == (None, None, 1)


def test_groups_make_the_interval_a_bootstrap() -> None:
    judge, _, _ = judged(2, groups=True)
    found = judge.evaluation()
    assert found["interval_method"] == "bootstrap"
    assert found["interval95"] is not None
    assert found["top1"] is not None
    assert found["interval95"][0] <= found["top1"] <= found["interval95"][1]


def test_published_figures_stand_beside_only_where_all_classes_of_the_card_occur() -> None:
    card = load_card("mvit_b_16x4.tv_k400")
    for meant, there in (({name: index for index, name in enumerate(NAMES)}, True), ({"class 3": 3}, False)):
        clips = tuple(LabelledClip(f"{name}.mp4", (name,)) for name in meant)
        published = Judge(Truth(clips, False), NAMES, meant, card).evaluation()["published"]
        assert (published is not None) == there
    assert published is None
    shown = Judge(Truth((), False), NAMES, {name: i for i, name in enumerate(NAMES)}, card).evaluation()["published"]
    assert shown
    assert shown["top1"] == pytest.approx(0.78477)


# labels


def test_labels_are_names_or_numbers_of_classes() -> None:
    assert classes_of(["b", "A_x"], ["a x", "b", "c"]) == {"b": 1, "A_x": 0}
    assert classes_of(["2", "0"], ["x", "y", "z"]) == {"2": 2, "0": 0}
    assert classes_of(["1", "0"], ["1", "0"]) == {"1": 0, "0": 1}  # names that look like numbers are names
    with pytest.raises(MViTError, match="names class 3, and the network has 3"):
        classes_of(["3"], ["x", "y", "z"])


def test_what_does_not_match_is_an_error_that_shows_both() -> None:
    with pytest.raises(MViTError, match=r"1 of 2 labels .*'zoom inn'; its 3 classes are 'zoom in', 'static', 'pan'"):
        classes_of(["static", "zoom inn"], ["static", "zoom in", "pan"])
    with pytest.raises(MViTError, match="'a-B'"):  # two classes differ in case only: nothing is guessed
        classes_of(["a-B"], ["a b", "A B"])


def test_rows_find_their_clips_by_path_by_place_and_by_name(tmp_path: Path) -> None:
    inside = tmp_path / "x" / "a.mp4"
    inside.parent.mkdir()
    inside.touch()
    first, second = LabelledClip(str(inside), ("one",)), LabelledClip(str(inside), ("two",))
    other = LabelledClip("far/b.mp4", ("three",))
    pairing = Pairing((first, second, other))
    assert pairing.take(str(tmp_path / "x" / ".." / "x" / "a.mp4")) is first
    assert pairing.take(str(inside)) is second
    assert pairing.take(str(inside)) is None
    assert pairing.take("elsewhere/b.mp4") is other
    assert pairing.left == 0


def test_the_test_part_is_judged_where_there_is_one(tmp_path: Path) -> None:
    table = tmp_path / "list.csv"
    table.write_text("path,label,split\na.mp4,x,train\nb.mp4,y,test\n")
    assert [Path(clip.path).name for clip in read_truth(table).clips] == ["b.mp4"]
    assert len(read_truth(table, "all").clips) == 2
    with pytest.raises(UsageError, match="no such part"):
        read_truth(table, "val")


# orders of frames


def test_orders_are_scores_of_the_same_frames_in_another_order() -> None:
    model = mvit_cli.load_model("camera")
    clips = mvit_cli.preprocess(CLIP, "camera")
    orders = Orders("softmax", 3)
    with torch.inference_mode():
        found = orders(model, clips)
        one, order = clips[1:2], orders.order_of(clips[1])
        assert sorted(order) == list(range(clips.shape[2]))
        assert order != sorted(order)
        expected = [model(given).softmax(-1) for given in (one, one.flip(2), one[:, :, order])]
    # Alone or in a batch: float32 sums in another order.
    torch.testing.assert_close(found[1:2], torch.cat(expected, -1), rtol=1e-4, atol=1e-6)
    assert order == orders.order_of(clips[1].clone())
    assert order != Orders("softmax", 4).order_of(clips[1])


# the command


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    for name in ("Pan_left/a.mp4", "pan right/b.mp4", "zoom in/c.mp4"):
        (tmp_path / "data" / name).parent.mkdir(parents=True)
        shutil.copy(CLIP, tmp_path / "data" / name)
    (tmp_path / "data" / "zoom in" / "empty.mp4").touch()
    return tmp_path / "data"


def evaluated(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 1) -> Any:
    assert run(["eval", *map(str, arguments), "-q"]) == code
    return json.loads(capsys.readouterr().out)


def test_a_run_resumed_and_its_rows_judged_afterwards_are_the_same(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import jsonschema

    rows, page, table = tmp_path / "rows.jsonl", tmp_path / "wrong.html", tmp_path / "truth.csv"
    arguments = (labelled, "--preset", "camera", "-o", rows, "--shuffle-frames", "--report", page)
    whole = evaluated(capsys, *arguments)
    jsonschema.Draft202012Validator(schema_of("eval")).validate(whole)
    assert (whole["clips"], whole["failed"], whole["top1"], whole["top5"]) == (4, 1, pytest.approx(1 / 3), 1.0)
    assert [one["order"] for one in whole["orders"]] == ["in_order", "reversed", "shuffled"]
    assert whole["orders"][1]["top1"] == pytest.approx(1 / 3)  # reversed, a pan to the left is one to the right
    shown = read_page(page)
    assert "this is pan right, say its labels" in shown.text
    assert "How right it is" in [title.text for title in shown.all("h2")]
    assert {"top-1", "top-5"} <= {name.text for name in shown.all("th") if name.attributes.get("scope") == "row"}
    assert len(shown.all("th", "input")) == 3  # two wrong ones, and the one that failed

    lines = rows.read_bytes().splitlines(keepends=True)
    rows.write_bytes(b"".join(lines[:2]) + lines[2][:40])
    assert evaluated(capsys, *arguments, "--resume") == whole
    assert evaluated(capsys, labelled, "--preset", "camera", "-o", rows, "--shuffle-frames", "--resume") == whole
    assert len(rows.read_bytes().splitlines()) == 4

    table.write_text("path,label\na.mp4,1\nb.mp4,2\nc.mp4,5\nempty.mp4,5\n")
    afterwards = evaluated(capsys, rows, "--truth", table)
    assert {**afterwards, "notes": []} == {**whole, "notes": []}
    capsys.readouterr()
    assert run(["eval", str(rows), "--truth", str(table), "--format", "csv"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "label,clips,top1",
        ",3,0.3333333",
        "pan left,1,1",
        "pan right,1,0",
        "zoom in,1,0",
    ]


def test_python_gives_the_figures_of_the_command_line(labelled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = evaluated(capsys, labelled, "--preset", "camera")
    assert mvit_cli.evaluate(labelled, preset="camera") == printed
    several = labelled.parent / "several.jsonl"
    several.write_text(json.dumps({"path": str(labelled / "Pan_left" / "a.mp4"), "label": "pan left|shake"}) + "\n")
    found = mvit_cli.evaluate(several, preset="camera")
    assert (found["map"], found["top1"], found["top5"]) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "is not there"),
        (["{rows}"], "add --truth"),
        (["{rows}", "--truth", "{data}", "--views", "1x1"], "--views is of a run"),
        (["{data}", "--truth", "{data}"], "leave --truth out"),
        (["{data}", "--preset", "camera", "--resume"], "--resume needs --output"),
        (["{data}", "--preset", "camera", "-o", "rows.csv"], "JSON lines"),
        (["{data}", "--preset", "camera", "--split", "val"], "no such part"),
    ],
)
def test_wrong_usage_says_what_and_what_next(
    arguments: list[str], said: str, labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"path": "a.mp4", "status": "error", "error": {"kind": "empty", "message": "x"}}) + "\n")
    given = [text.format(rows=rows, data=labelled) for text in arguments]
    assert run(["eval", *given]) == 2
    assert said in capsys.readouterr().err


def test_judging_runs_on_any_engine_that_predict_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It opens its engine as predict does: a runtime that has no file is refused in the same words."""
    clips = tmp_path / "clips" / "pan left"
    clips.mkdir(parents=True)
    (clips / "a.mp4").write_bytes(CLIP.read_bytes())
    told = []
    for command in ("predict", "eval"):
        assert run([command, str(tmp_path / "clips"), "--preset", "camera", "--engine", "ray", "--actors", "none"]) == 2
        told.append(capsys.readouterr().err)
    assert told[0] == told[1]
    assert "--actors none is no number of actors" in told[0]
