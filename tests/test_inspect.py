"""`mvit summarize --weights`: checkpoints described from their shapes, without torch and without their network."""

import json
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
from mvit_cli.checkpoints.formats.reading import Checkpoint, read_checkpoint, read_shapes
from mvit_cli.checkpoints.formats.shapes import TensorShape
from mvit_cli.checkpoints.load import describe
from mvit_cli.cli.main import run
from mvit_cli.errors import CheckpointError
from mvit_cli.model import MViT

Summarize = Callable[..., str]


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
    assert summary["weights"].pop("protocol")["sampling"]["frames"] == summary["input"]["frames"]
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
        "import sys; from mvit_cli.cli.main import run\n"
        f"assert run(['summarize', '--weights', {str(path)!r}, '--format', 'csv']) == 0\n"
        "torch_was_loaded = 'torch' in sys.modules\n"
        "from mvit_cli.profiling.memory import resident_peak_bytes\n"
        "print(torch_was_loaded, (resident_peak_bytes() or 0) < 500e6, file=sys.stderr)"
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
    assert run(["summarize", "--weights", "hf://org/repo/model.safetensors"]) == 1
