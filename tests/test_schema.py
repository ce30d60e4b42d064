"""`mvit schema`: the shipped JSON Schemas, against what the commands really write."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import golden
import pytest
from hub_server import own_caches
from jsonschema import Draft202012Validator
from PIL import Image
from schemas import problems, unnoticed_changes

from mvit_cli.arch import preset_names
from mvit_cli.checkpoints.formats.layouts import LAYOUTS
from mvit_cli.cli.main import run
from mvit_cli.recognition.device import DTYPES
from mvit_cli.report.schema import generate, meanings, schema_names, schema_of

CLIP = str(Path(__file__).parent / "data" / "pan_left.mp4")


pytestmark = pytest.mark.usefixtures("decoding_in_this_process")


def written(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    """What a command writes, as JSON."""
    assert run([*arguments, "--format", "json"]) == code
    return json.loads(capsys.readouterr().out)


# The schemas


@pytest.mark.parametrize("name", schema_names())
def test_the_command_prints_a_schema_that_stands_alone(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema", name]) == 0
    told = capsys.readouterr()
    schema = json.loads(told.out)
    assert told.err == ""
    assert schema == schema_of(name)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)
    assert not Draft202012Validator(schema).is_valid({"nothing": "known"})  # every reference is resolved inside


def test_every_key_of_every_command_is_described() -> None:
    records = [(name, part) for schema in generate.schemas().values() for name, part in schema["$defs"].items()]
    keys = [(name, key, rule) for name, part in records for key, rule in part.get("properties", {}).items()]
    assert len(keys) > 200
    assert not [f"{name}.{key}" for name, key, rule in keys if not rule.get("description", "").strip()]


def test_no_meaning_is_of_a_key_that_is_not_there() -> None:
    kinds = {kind.__name__: kind for kind in generate.records_in_schemas()}
    assert not meanings.OF_RECORDS.keys() - kinds.keys()
    gone = [
        f"{name}.{key}"
        for name, keys in meanings.OF_RECORDS.items()
        for key in keys.keys() - kinds[name].__annotations__
    ]
    assert not gone
    assert not meanings.EVERYWHERE.keys() - {key for kind in kinds.values() for key in kind.__annotations__}


def test_there_is_a_schema_for_each_command_that_writes_json() -> None:
    assert schema_names() == (
        "calibrate",
        "embed",
        "eval",
        "events",
        "export",
        "log",
        "predict",
        "profile",
        "similar",
        "summarize",
        "train",
        "watch",
    )


def test_the_shipped_schemas_are_made_of_the_types() -> None:
    made = generate.schemas()
    assert tuple(sorted(made)) == schema_names()
    for name, schema in made.items():
        shipped = Path(generate.__file__).with_name(f"{name}.json").read_text(encoding="utf-8")
        assert shipped == generate.text_of(schema), "run python -m mvit_cli.report.schema.generate"


def test_rules_of_a_type_add_up_in_its_schema() -> None:
    block = schema_of("summarize")["$defs"]["block"]
    assert block["properties"]["index"] == {"type": "integer", "minimum": 0, "description": "From 0."}
    kernel, null = block["properties"]["kernel_q"]["anyOf"]
    assert (kernel["items"], kernel["minItems"], kernel["maxItems"]) == ({"type": "integer", "minimum": 1}, 3, 3)
    assert null == {"type": "null"}
    assert block["properties"]["kernel_q"]["description"] == "Null: Q is not pooled."
    assert "weights" not in schema_of("summarize")["$defs"]["summary"]["required"]
    model = schema_of("predict")["$defs"]["document"]["properties"]["model"]
    assert model["$ref"] == "urn:mvit:schema:summarize#/$defs/summary"


def test_another_name_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema", "weights"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "there are calibrate, embed, eval, events, export, log, predict, profile, similar, summarize" in told.err


def test_schemas_need_no_torch() -> None:
    code = (
        "import sys; from mvit_cli.cli.main import run; run(['schema', 'predict']); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_what_is_one_of_several_is_one_of_those_that_there_are() -> None:
    weights, row = schema_of("summarize")["$defs"]["weights"], schema_of("predict")["$defs"]["ok"]["properties"]
    assert tuple(weights["properties"]["layout"]["enum"]) == LAYOUTS
    assert ("auto", *row["dtype"]["enum"]) == DTYPES


# summarize


@pytest.mark.parametrize("preset", preset_names())
def test_summaries_are_what_the_schema_says(preset: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert problems("summarize", written(capsys, "summarize", "--preset", preset, "--explain")) == []


def test_comparisons_are_what_the_schema_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert problems("summarize", written(capsys, "summarize", "--compare", "S,B,camera")) == []


def test_described_checkpoints_are_what_the_schema_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own_caches(tmp_path, monkeypatch)
    names = [name for name in golden.NAMES if name.startswith("small_pysf")]
    files = [str(golden.write_checkpoint(name, tmp_path)) for name in names]
    for weights in (*files, "camera_motion.embedded", "mvitv2_s_16x4.tv_k400"):
        document = written(capsys, "summarize", "--weights", weights)
        assert "weights" in document
        assert problems("summarize", document) == []


def test_no_key_is_added_to_a_summary_unnoticed(capsys: pytest.CaptureFixture[str]) -> None:
    document = written(capsys, "summarize", "--weights", "camera_motion.embedded", "--explain")
    assert unnoticed_changes("summarize", document) == []
    document = written(capsys, "summarize", "--compare", "S,camera")
    assert unnoticed_changes("summarize", document) == []


def test_no_key_of_a_summary_is_lost_unnoticed(capsys: pytest.CaptureFixture[str]) -> None:
    document = written(capsys, "summarize", "--preset", "camera")
    for key in document:
        assert problems("summarize", {name: value for name, value in document.items() if name != key})
    for part in ("stages", "blocks"):
        for key in document[part][0]:
            fewer = [{name: value for name, value in entry.items() if name != key} for entry in document[part]]
            assert problems("summarize", document | {part: fewer})


# predict


def test_rows_are_what_the_schema_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image, empty = tmp_path / "a.png", tmp_path / "empty.mp4"
    Image.new("RGB", (64, 48), "grey").save(image)
    empty.touch()
    inputs = [CLIP, str(image), str(empty), "nowhere.mp4"]
    assert run(["predict", *inputs, "--preset", "camera", "-q", "--format", "jsonl"]) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["status"] for row in rows} == {"ok", "error"}
    assert len(rows) == len(inputs)
    for row in rows:
        assert problems("predict", row) == []
        assert unnoticed_changes("predict", row) == []


def test_the_document_is_what_the_schema_says(capsys: pytest.CaptureFixture[str]) -> None:
    document = written(capsys, "predict", CLIP, "nowhere.mp4", "--preset", "camera", "-q", code=1)
    assert problems("predict", document) == []
    assert unnoticed_changes("predict", document) == []


@pytest.mark.parametrize(
    "change",
    [
        {"status": "fine"},
        {"views": "5"},
        {"predictions": []},
        {"predictions": [{"index": 0, "label": "a", "score": 1.5}]},
        {"clips": [{"start_s": 0}]},
        {"window": None},
        {"dtype": "int4"},
        {"error": {"kind": "decode", "message": "none"}},
    ],
)
def test_a_wrong_row_is_noticed(change: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = written(capsys, "predict", CLIP, "--preset", "camera", "-q")["results"]
    assert problems("predict", row) == []
    assert problems("predict", row | change)


def test_rows_of_windows_are_what_the_schema_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = tmp_path / "a.png"
    Image.new("RGB", (64, 48), "grey").save(image)
    options = ("--preset", "camera", "-q", "--window", "1", "--hop", "0.5", "--views", "1x1")
    document = written(capsys, "predict", CLIP, str(image), "nowhere.mp4", *options, code=1)
    windows = [row.get("window", "none") for row in document["results"]]
    assert windows.count(None) >= 1  # of a file without any
    assert {"start_s": 0.5, "end_s": 1.5} in windows
    assert unnoticed_changes("predict", document) == []


def test_a_window_may_stand_in_rows() -> None:
    window, error = {"start_s": 0.0, "end_s": 2.0}, {"kind": "decode", "message": "no frames"}
    row = {"path": "a.mp4", "status": "error", "window": window, "error": error, "duration_s": 3.0}
    assert problems("predict", row) == []
    assert problems("predict", row | {"window": None}) == []
    assert problems("predict", row | {"window": {"start_s": 0.0}})
    assert problems("predict", row | {"error": {"kind": "other", "message": "no frames"}})
