"""`mvit summarize`: tables, files, and checkpoints described from their shapes."""

import csv
import io
import json
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from math import prod
from pathlib import Path

import golden
import pytest
import torch
from geometries import CONFIGS
from hub_server import own_caches
from hypothesis import given, settings
from safetensors.torch import save_file

import mvit_cli
from mvit_cli.arch import MViTConfig
from mvit_cli.arch.parameters import parameter_shapes
from mvit_cli.arch.presets import get_preset, preset_names
from mvit_cli.checkpoints.load import describe
from mvit_cli.checkpoints.reading import Checkpoint, read_checkpoint
from mvit_cli.checkpoints.shapes import TensorShape, read_shapes
from mvit_cli.cli.geometry import parse_size
from mvit_cli.cli.main import run
from mvit_cli.errors import CheckpointError, UsageError
from mvit_cli.model import MViT
from mvit_cli.report.formats import bar, difference, percent, scaled, size_text

Summarize = Callable[..., str]


@pytest.fixture
def summarize(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Summarize:
    """Runs the command and gives what it writes to stdout."""
    for name in ("COLUMNS", "LC_ALL", "LC_CTYPE", "LANG"):
        monkeypatch.delenv(name, raising=False)

    def run_it(*arguments: str, code: int = 0) -> str:
        assert run(["summarize", *arguments]) == code
        return capsys.readouterr().out

    return run_it


# The object


def test_json_has_the_keys_of_the_contract_and_is_the_librarys_object(summarize: Summarize) -> None:
    summary = json.loads(summarize("--preset", "B", "--format", "json"))
    assert summary == mvit_cli.summarize("B")
    assert summary.keys() >= {"preset", "input", "num_classes", "params", "macs", "flops", "paper", "stages", "blocks"}
    assert summary["paper"].keys() == {"gflops", "params_m", "top1", "dataset", "views", "source"}
    stage_keys = {"name", "blocks", "channels", "heads", "thw", "sequence_length", "kv_sequence_length"}
    assert all(stage.keys() == stage_keys | {"params", "macs"} for stage in summary["stages"])
    for key in ("params", "macs"):
        assert sum(stage[key] for stage in summary["stages"]) == summary[key]


def test_geometry_options_change_the_clip(summarize: Summarize) -> None:
    summary = json.loads(summarize("--frames", "8", "--size", "160x192", "--format", "json"))
    assert summary["input"] == {"frames": 8, "height": 160, "width": 192}
    assert summary == mvit_cli.summarize("B", frames=8, size=(160, 192))


# Tables


@pytest.mark.parametrize("preset", preset_names())
def test_tables_of_every_preset_fit_80_columns_uncut(
    preset: str, summarize: Summarize, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = summarize("--preset", preset, "--blocks")
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    summary = mvit_cli.summarize(preset)
    for stage in summary["stages"][:-1]:
        row = next(line for line in text.splitlines() if line.startswith(f"{stage['name']} "))
        assert f"{stage['sequence_length']:,}" in row
    assert len(re.findall(r"^ *\d+  scale\d", text, re.MULTILINE)) == len(summary["blocks"])


def test_80_columns_have_room_for_kernels_strides_and_grids_of_each_block(
    summarize: Summarize, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for preset in preset_names():
        blocks = mvit_cli.summarize(preset)["blocks"]
        lines = [
            line for line in summarize("--preset", preset, "--blocks").splitlines() if re.match(r" *\d+  scale", line)
        ]
        for block, line in zip(blocks, lines, strict=True):
            shapes = [block[key] for key in ("thw_out", "stride_q", "kernel_q", "kv_thw", "stride_kv", "kernel_kv")]
            assert line.split()[2:-1][: sum(map(bool, shapes))] == [
                "×".join(map(str, shape)) for shape in shapes if shape
            ]


def test_a_wide_table_says_what_each_stage_is_made_of(summarize: Summarize) -> None:
    text = summarize("--preset", "B")  # no terminal: nothing is left out
    assert "[MHPA(384), MLP(1536)] × 11" in text
    assert "conv 3×7×7, stride 2×4×4" in text
    assert "every 4th frame" in text


def test_the_paper_stands_below_the_totals_with_the_difference(summarize: Summarize) -> None:
    lines = summarize("--preset", "v2-L").splitlines()
    assert next(line for line in lines if line.startswith("total")).split()[-2:] == ["213.39", "2,823.4"]
    assert next(line for line in lines if line.startswith("paper")).split()[-2:] == ["217.6", "2,828"]
    assert re.search(r"-1\.9 % +-0\.2 %", next(line for line in lines if line.startswith("diff.")))


def test_another_geometry_is_not_compared_with_the_paper(summarize: Summarize) -> None:
    text = summarize("--preset", "B", "--frames", "8")
    assert "diff." not in text
    assert "it prints 36.6M parameters and 70.5 GMACs for an input of 16×224×224" in " ".join(text.split())


def test_longer_key_sequences_of_first_blocks_are_stated(summarize: Summarize) -> None:
    blocks = mvit_cli.summarize("B")["blocks"]
    assert [block["kv_sequence_length"] for block in blocks if block["index"] in (1, 3, 14)] == [1569] * 3
    assert "The first block of scale3, scale4 and scale5 sees 1,569 keys" in " ".join(summarize().split())


def test_a_whole_prediction_costs_views_times_gmacs(summarize: Summarize) -> None:
    macs = mvit_cli.summarize("v2-L")["macs"]
    text, whole = summarize("--preset", "v2-L"), f"{15 * macs / 1e9:,.1f}"
    assert f"15 × {macs / 1e9:,.1f} = {whole} GMACs" in text
    assert next(line for line in text.splitlines() if line.startswith("15 views")).split()[2:] == [whole]
    assert "views" not in summarize("--preset", "mvitv2_tiny")


def test_a_locale_without_unicode_gets_ascii(summarize: Summarize, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    text = summarize("--preset", "S", "--blocks")
    assert text.isascii()
    assert "128x8x28x28" in text
    assert "#" in text


def test_an_encoding_without_bars_gets_ascii_and_no_colour() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1", "LC_ALL": "C.UTF-8"}
    done = subprocess.run([sys.executable, "-m", "mvit_cli", "summarize"], capture_output=True, env=environment)
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert b"\x1b" not in done.stdout


def test_markdown_is_a_table_for_github(summarize: Summarize) -> None:
    lines = summarize("--format", "markdown", "--blocks").splitlines()
    tables = [line for line in lines if line.startswith("|")]
    header = tables[0].count("|")
    assert tables[1].replace("|", "").replace(":", "").replace("-", "").strip() == ""
    stage_rows = tables[: tables.index(next(line for line in tables[1:] if "| block |" in line))]
    assert {line.count("|") for line in stage_rows} == {header}
    assert len(stage_rows) == 2 + 7 + 4  # header, rule; data, cube1, four scales, head; total, paper, difference, views


@pytest.mark.parametrize("kind", ["stages", "blocks"])
def test_csv_carries_the_numbers_of_the_json(kind: str, summarize: Summarize) -> None:
    text = summarize("--format", "csv", *["--blocks"] * (kind == "blocks"))
    rows = list(csv.DictReader(io.StringIO(text)))
    entries = mvit_cli.summarize("B")[kind]
    assert [row["macs"] for row in rows] == [str(entry["macs"]) for entry in entries]
    shape = "thw" if kind == "stages" else "kv_thw"
    assert [row[shape] for row in rows] == ["x".join(map(str, entry[shape])) for entry in entries]
    assert rows[0]["heads"] == ("" if kind == "stages" else "1")


def test_files_need_neither_torch_nor_rich() -> None:
    code = (
        "import sys; from mvit_cli.cli.main import run\n"
        "for form in ('json', 'csv', 'markdown'): assert run(['summarize', '--format', form]) == 0\n"
        "print(sorted({'torch', 'numpy', 'rich.console', 'rich.table'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


# Errors


def test_a_clip_the_architecture_cannot_take_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["summarize", "--preset", "S", "--size", "4"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "mvit_s_16x4 cannot take that input: its patch convolution 3x8x8 needs at least 1x8x8" in told.err
    assert "not 16x4x4" in told.err


def test_an_unknown_preset_exits_2_and_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["summarize", "--preset", "mvitv2-smal"]) == 2
    assert "mvitv2_small" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "size"), [("224", (224, 224)), ("160x192", (160, 192)), (" 8 X 16 ", (8, 16))])
def test_a_size_is_one_number_or_height_x_width(text: str, size: tuple[int, int]) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "x", "224x", "224x0", "1.5", "-3", "٢٢٤", "1x2x3", "999999"])
def test_anything_else_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="is not a size"):
        parse_size(text)


# Checkpoints, from their shapes


def shapes_of(name: str) -> Checkpoint:
    shapes = {key: TensorShape(tuple(shape), "float32") for key, shape in golden.golden(name)["state_dict"]}
    return Checkpoint(Path(name), shapes, golden.cfg_yaml(name))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", golden.NAMES)
def test_shapes_tell_what_the_tensors_tell(name: str) -> None:
    checkpoint = Checkpoint(Path(name), golden.meta_state_dict(name), golden.cfg_yaml(name))
    try:
        expected = describe(checkpoint)
    except CheckpointError as error:
        with pytest.raises(CheckpointError, match=re.escape(error.message)):
            describe(shapes_of(name))
        return
    found = describe(shapes_of(name))
    assert (found.layout, found.inferred) == (expected.layout, expected.inferred)
    assert {key: tuple(x.shape) for key, x in found.tensors.items()} == {
        key: tuple(x.shape) for key, x in expected.tensors.items()
    }


@pytest.mark.parametrize("form", ["zip", "before 1.6", "safetensors", "half"])
def test_shapes_are_read_from_every_kind_of_file(form: str, tmp_path: Path) -> None:
    tensors = golden.state_dict("small_pysf_v2_sepqkv")
    if form == "half":
        tensors = {key: torch.nn.Parameter(tensor.half()) for key, tensor in tensors.items()}
    path = tmp_path / "weights.pyth"
    if form == "safetensors":
        save_file(tensors, path, {"key": "value"})
    else:
        content = {"epoch": 3, "model_state": tensors, "cfg": "A: 1", "best": [0.5, None]}
        torch.save(content, path, _use_new_zipfile_serialization=form != "before 1.6")
    expected, found = read_checkpoint(path), read_shapes(path)
    assert all(isinstance(shape, TensorShape) for shape in found.tensors.values())
    assert {key: (x.shape, f"torch.{x.dtype}") for key, x in found.tensors.items()} == {
        key: (tuple(x.shape), str(x.dtype)) for key, x in expected.tensors.items()
    }
    assert (found.cfg, found.metadata) == (expected.cfg, expected.metadata)


class Attack:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.trace,)


def test_a_pickle_that_would_run_code_is_refused_unrun(tmp_path: Path) -> None:
    trace, path = tmp_path / "ran", tmp_path / "evil.pth"
    path.write_bytes(pickle.dumps({"model_state": Attack(trace)}))
    with pytest.raises(CheckpointError, match=r"evil\.pth"):
        read_shapes(path)
    torch.save({"model_state": Attack(trace)}, path)
    with pytest.raises(CheckpointError, match="refused"):
        read_shapes(path)
    assert not trace.exists()


def test_a_damaged_file_is_said_to_be_one(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"a": torch.zeros(100)}, path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(CheckpointError, match="damaged safetensors"):
        read_shapes(path)


def test_a_checkpoint_is_described_instead_of_the_preset(summarize: Summarize, tmp_path: Path) -> None:
    path = golden.write_checkpoint("small_pysf_v2", tmp_path)
    summary = json.loads(summarize("--weights", str(path), "--format", "json"))
    assert summary["params"] == golden.golden("small_pysf_v2")["params"]
    assert summary["preset"] is None
    assert summary["num_classes"] == 10
    assert summary["weights"] == {
        "name": path.name,
        "path": str(path),
        "layout": "pyslowfast",
        "dtype": "float32",
        "strides_from": "the file's cfg",
        "notes": [],
    }
    assert "layout pyslowfast, float32; strides from the file's cfg" in summarize("--weights", str(path))


def test_what_does_not_fit_is_named(summarize: Summarize, tmp_path: Path) -> None:
    path = golden.write_checkpoint("small_pysf_v2", tmp_path)
    content = torch.load(path, weights_only=True)
    state = content["model_state"]
    del state["blocks.1.mlp.fc2.bias"]
    state["blocks.0.norm1.weight"] = torch.zeros(5)
    state["extra.weight"] = torch.zeros(2)
    torch.save(content, path)
    notes = json.loads(summarize("--weights", str(path), "--format", "json"))["weights"]["notes"]
    assert notes == [
        "does not fit: 1 missing (blocks.1.mlp.fc2.bias)",
        "does not fit: 1 unexpected (extra.weight)",
        "does not fit: 1 of another shape (blocks.0.norm1.weight (5,) instead of (24,))",
    ]
    with pytest.raises(CheckpointError, match=re.escape(notes[0].removeprefix("does not fit: "))):
        mvit_cli.load_model(None, path)


@pytest.mark.parametrize("preset", preset_names())
def test_shapes_are_known_without_building_the_network(preset: str) -> None:
    config = get_preset(preset).config
    assert parameter_shapes(config) == built_shapes(config)


@settings(max_examples=15, deadline=None)
@given(CONFIGS)
def test_shapes_of_any_architecture_are_known_without_building_it(config: MViTConfig) -> None:
    assert parameter_shapes(config) == built_shapes(config)


def built_shapes(config: MViTConfig) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return {key: tuple(tensor.shape) for key, tensor in MViT(config).state_dict().items()}


def test_gigabytes_are_described_without_reading_them(tmp_path: Path) -> None:
    """A sparse file of 2.7 GB: only its header exists."""
    header, end = {}, 0
    for key, shape in parameter_shapes(get_preset("mvitv2_huge_cls").config).items():
        start, end = end, end + 4 * prod(shape)
        header[key] = {"dtype": "F32", "shape": list(shape), "data_offsets": [start, end]}
    raw = json.dumps(header).encode()
    path = tmp_path / "huge.safetensors"
    with path.open("wb") as file:
        file.write(len(raw).to_bytes(8, "little") + raw)
        file.truncate(8 + len(raw) + end)
    assert path.stat().st_size > 2.6e9
    code = (
        "import resource, sys; from mvit_cli.cli.main import run\n"
        f"assert run(['summarize', '--weights', {str(path)!r}, '--format', 'csv']) == 0\n"
        "print('torch' in sys.modules, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 500_000, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "False True"  # no torch, and less than 500 MB in memory
    assert done.stdout.splitlines()[4].startswith("scale4,60,768,12,1x14x14,197,197,")


def test_a_card_that_is_not_here_is_described_without_a_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    own_caches(tmp_path, monkeypatch)
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("went to the network"))
    assert run(["summarize", "--weights", "MVITv2-S-16x4.pysf-ssv2", "--format", "json"]) == 0
    told = capsys.readouterr()
    summary = json.loads(told.out)
    assert (summary["preset"], summary["num_classes"]) == ("mvitv2_s_16x4", 174)
    assert summary["weights"]["path"] is None
    assert "not on this machine" in told.err


def test_an_address_is_not_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_caches(tmp_path, monkeypatch)
    assert run(["summarize", "--weights", "hf://org/repo/model.safetensors"]) == 2


# Numbers for people


def test_numbers_do_not_pretend() -> None:
    assert scaled(307_200, 1e9, 2) == "<0.01"
    assert scaled(0, 1e9, 2) == "0.00"
    assert scaled(2_823_400_000_000, 1e9, 1) == "2,823.4"
    assert (percent(0.1234), difference(213.39, 217.6)) == ("12.3 %", "-1.9 %")
    assert [size_text(x) for x in (0, 2_400_000, 146_553_000, 2_700_000_000)] == ["0 MB", "2.4 MB", "147 MB", "2.7 GB"]


@pytest.mark.parametrize(("share", "text"), [(0, ""), (1, "██████████"), (0.5, "█████"), (0.0125, "▏"), (2, "█" * 10)])
def test_a_bar_is_as_long_as_its_share(share: float, text: str) -> None:
    assert bar(share, 10) == text
