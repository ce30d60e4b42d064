"""`--dtype` on a CPU: what its hardware lacks is refused or said, and how far 16 bits drift is told."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_network import write_weights

import mvit_cli
from mvit_cli.errors import UsageError
from mvit_cli.recognition import device
from mvit_cli.recognition.device import has_hardware, pick_dtype

CLIP = Path(__file__).parent / "data" / "pan_left.mp4"
CPU = torch.device("cpu")


@pytest.mark.parametrize(("bfloat16", "better"), [(True, "bfloat16"), (False, "float32")])
def test_float16_without_hardware_is_refused_with_what_is_better(
    bfloat16: bool, better: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "has_hardware", lambda name: bfloat16 if name == "bfloat16" else False)
    with pytest.raises(UsageError, match="no hardware") as caught:
        pick_dtype("float16", CPU)
    assert f"--dtype {better} " in str(caught.value.hint)
    assert pick_dtype("float16", torch.device("cuda")) == torch.float16
    monkeypatch.setattr(device, "has_hardware", lambda name: True)
    assert pick_dtype("float16", CPU) == torch.float16


def test_the_processor_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            flags = file.read()
    except OSError:
        pytest.skip("no file tells what this processor has")
    if "avx512" in flags:
        assert has_hardware("bfloat16") == ("avx512bw" in flags)  # oneDNN's emulation counts where AVX-512 is
        assert has_hardware("float16") == ("avx512_fp16" in flags or "amx_fp16" in flags)
    monkeypatch.setattr(torch.ops, "mkldnn", object())
    assert has_hardware("float16")


def row_of(weights: Path, **options: Any) -> mvit_cli.OkRow:
    (row,) = mvit_cli.predict(CLIP, weights=weights, views="1x1", device="cpu", workers=0, **options)
    assert row["status"] == "ok"
    return row


@pytest.mark.parametrize("fast", [True, False])
def test_the_first_row_of_bfloat16_tells_the_drift_from_float32(
    fast: bool, tmp_path: Path, decoding_in_this_process: None
) -> None:
    weights = write_weights(tmp_path / "tiny.safetensors")
    row = row_of(weights, dtype="bfloat16", fast=fast)
    (told,) = [text for text in row["warnings"] if text.startswith("bfloat16: logits")]
    found = re.search(r"by up to (\S+) from float32's, which span (\S+)", told)
    assert found is not None
    drift, span = map(float, found.groups())
    assert 0 < drift < 0.05 * span  # 8 bits of mantissa, a dozen layers
    assert row["dtype"] == "bfloat16"
    assert not any("logits" in text for text in row_of(weights, dtype="float32", fast=fast)["warnings"])
    again = list(mvit_cli.predict([CLIP, CLIP], weights=weights, views="1x1", device="cpu", dtype="bfloat16"))
    assert ["logits" in str(row) for row in again] == [True, False]


def test_bfloat16_without_hardware_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoding_in_this_process: None
) -> None:
    monkeypatch.setattr(device, "has_hardware", lambda name: False)
    weights = write_weights(tmp_path / "tiny.safetensors")
    assert any("float32 is faster here" in text for text in row_of(weights, dtype="bfloat16")["warnings"])
    assert not any("float32 is faster" in text for text in row_of(weights)["warnings"])


@pytest.mark.parametrize("has_matrices", [True, False])
def test_int8_beside_matrices_of_bfloat16_names_what_is_better(
    has_matrices: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoding_in_this_process: None
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: has_matrices)
    row = row_of(write_weights(tmp_path / "tiny.safetensors"), dtype="int8")
    assert any("--dtype bfloat16 is faster here" in text for text in row["warnings"]) == has_matrices
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported")  # an older torch cannot be asked: nothing is claimed
    assert device.slower_than_another("int8", CPU) is None
    assert device.slower_than_another("int8", torch.device("cuda")) is None
