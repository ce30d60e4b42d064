"""Conversion to the canonical layout: nothing changes but names."""

import json
import os
import subprocess
import sys
from pathlib import Path

import golden
import pytest
import torch
from safetensors import safe_open

from mvit_cli.checkpoints.convert import convert
from mvit_cli.checkpoints.find import ResolvedWeights
from mvit_cli.checkpoints.load import CONFIG_KEY, config_from_json, load_file, load_model
from mvit_cli.cli.main import run
from mvit_cli.errors import CheckpointError, MViTError, UsageError


def from_file(path: Path) -> ResolvedWeights:
    return ResolvedWeights(path, path.name)


@pytest.mark.parametrize("name", ["small_pysf_v2_sepqkv", "small_fb_cls_abspos", "small_pysf_v1_maxpool"])
def test_a_round_trip_gives_the_same_logits_to_the_bit(name: str, tmp_path: Path) -> None:
    path = golden.write_checkpoint(name, tmp_path)
    target = tmp_path / "canonical.safetensors"
    written = convert(from_file(path), target)
    assert (written.path, written.layout) == (target, golden.golden(name)["layout"])
    assert written.params == golden.golden(name)["params"]
    clips = golden.clips(name)
    before, after = load_file(path), load_file(target)
    assert after.config == before.config
    with torch.inference_mode():
        assert torch.equal(before(clips), after(clips))


def test_a_file_that_cannot_tell_its_strides_takes_them_from_the_preset(tmp_path: Path) -> None:
    model = load_model("mvitv2_tiny", size=64)
    torch.save(model.state_dict(), tmp_path / "tiny.pth")
    target = tmp_path / "tiny.safetensors"
    assert run(["weights", "convert", str(tmp_path / "tiny.pth"), str(target), "--preset", "mvitv2-tiny"]) == 0
    restored = load_model(None, target)
    assert restored.config.stride_kv == model.config.stride_kv
    assert restored.config.patch_thw == model.config.patch_thw


def test_the_configuration_and_the_origin_stand_in_the_metadata(tmp_path: Path) -> None:
    path = golden.write_checkpoint("small_pysf_v2", tmp_path)
    convert(from_file(path), tmp_path / "out.safetensors")
    with safe_open(tmp_path / "out.safetensors", framework="pt") as file:
        metadata = file.metadata()
    assert config_from_json(metadata[CONFIG_KEY]) == load_file(path).config
    assert json.loads(metadata[CONFIG_KEY])["num_classes"] == 10
    assert metadata["converted_from"] == "small_pysf_v2.pyth (pyslowfast)"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_kind_of_number_stays(dtype: torch.dtype, tmp_path: Path) -> None:
    path = golden.write_checkpoint("small_pysf_v2", tmp_path)
    content = torch.load(path, weights_only=True)
    content["model_state"] = {key: tensor.to(dtype) for key, tensor in content["model_state"].items()}
    torch.save(content, path)
    convert(from_file(path), tmp_path / "out.safetensors")
    with safe_open(tmp_path / "out.safetensors", framework="pt") as file:
        assert {file.get_tensor(key).dtype for key in file.keys()} == {dtype}  # noqa: SIM118 (not a dict)


def test_an_existing_file_is_only_replaced_when_told_so(tmp_path: Path) -> None:
    path, target = golden.write_checkpoint("small_pysf_v2", tmp_path), tmp_path / "out.safetensors"
    target.write_text("precious")
    with pytest.raises(UsageError, match="is there already"):
        convert(from_file(path), target)
    assert target.read_text() == "precious"
    convert(from_file(path), target, force=True)
    assert load_file(target).config.num_classes == 10


def test_the_output_is_named_for_what_it_is(tmp_path: Path) -> None:
    path = golden.write_checkpoint("small_pysf_v2", tmp_path)
    with pytest.raises(UsageError, match=r"the output is a \.safetensors file"):
        convert(from_file(path), tmp_path / "out.pth")


def test_a_folder_that_is_not_there_is_said_to_be_the_reason(tmp_path: Path) -> None:
    path = golden.write_checkpoint("small_pysf_v2", tmp_path)
    with pytest.raises(MViTError, match="cannot be written"):
        convert(from_file(path), tmp_path / "nowhere" / "out.safetensors")


def test_a_checkpoint_that_does_not_fit_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    path = golden.write_checkpoint("small_pysf_v2", tmp_path)
    content = torch.load(path, weights_only=True)
    content["model_state"]["blocks.0.surplus.weight"] = torch.zeros(3)
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=r"small_pysf_v2\.pyth: .*1 unexpected \(blocks\.0\.surplus\.weight\)"):
        convert(from_file(path), tmp_path / "out.safetensors")
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.skipif(os.name == "nt", reason="no permission bits there")
def test_the_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    path, target = golden.write_checkpoint("small_pysf_v2", tmp_path), tmp_path / "out.safetensors"
    before = os.umask(0o027)
    try:
        convert(from_file(path), target)
    finally:
        os.umask(before)
    assert target.stat().st_mode & 0o777 == 0o640


def test_the_command_prints_the_path_alone_on_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, target = golden.write_checkpoint("small_pysf_v2", tmp_path), tmp_path / "out.safetensors"
    assert run(["weights", "convert", str(path), str(target)]) == 0
    told = capsys.readouterr()
    assert told.out == f"{target}\n"
    assert "layout pyslowfast" in told.err
    assert run(["weights", "convert", str(path), str(target)]) == 2


def test_a_file_with_q_k_and_v_apart_is_converted_without_the_compiler_of_torch(tmp_path: Path) -> None:
    path = golden.write_checkpoint("small_pysf_v2_sepqkv", tmp_path)
    program = (
        "import sys; from mvit_cli.cli.main import run;"
        f"code = run(['weights', 'convert', {str(path)!r}, {str(tmp_path / 'out.safetensors')!r}]);"
        "print(code, {'torch._dynamo', 'torch._inductor'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=110)
    assert done.stdout.splitlines()[-1] == "0 set()", done.stderr
