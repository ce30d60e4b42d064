"""The network equals the public implementations, block by block."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import golden
import paper_network
import pytest
import torch

import mvit_cli
from mvit_cli.checkpoints.formats.layouts import recognise, to_canonical
from mvit_cli.model import MViT

FLOAT32 = 1e-4  # the implementations' own float32 error is up to 4e-6; other summation orders stay far below this
FLOAT64 = 1e-9  # float64 logits are stored with 17 digits; rounding errors are about 1e-15
PROBE = 2e-8  # probes are stored with 9 decimals

FULL_SIZE_DEFAULT = {  # one of each code base and family; the others differ only in what small goldens cover
    "fb_mvitv2_t",
    "mma_k400_mvitv2_s_16x4_maskfeat",
    "ptv_mvit_base_16",
    "pysf_in1k_mvit_b_16",
    "timm_mvitv2_small_cls",
    "tv_mvit_v1_b",
}
SMALL = golden.with_logits("small_")
FULL_SIZE = [name for name in golden.with_logits() if name not in SMALL]


def largest_difference(model: MViT, name: str, logits: str, dtype: torch.dtype) -> float:
    with torch.inference_mode():
        got = model.to(dtype)(golden.clips(name).to(dtype))
    return float((got.double() - torch.tensor(golden.golden(name)[logits], dtype=torch.float64)).abs().max())


@pytest.mark.parametrize("name", SMALL)
def test_small_networks_equal_the_reference_in_both_precisions(name: str, tmp_path: Path) -> None:
    model = golden.load_small(name, tmp_path)
    assert largest_difference(model, name, "logits", torch.float32) <= FLOAT32
    assert largest_difference(model, name, "logits_f64", torch.float64) <= FLOAT64


@pytest.mark.parametrize("name", ["small_timm", pytest.param("small_mma_abspos_64x96", marks=pytest.mark.slow)])
def test_the_formulas_that_make_goldens_give_what_other_code_computes(name: str) -> None:
    """`scripts/make_goldens.py` runs these loops where a code base cannot be run."""
    tensors = golden.state_dict(name)
    canonical = to_canonical(tensors, recognise({key: tuple(tensor.shape) for key, tensor in tensors.items()}))
    clips = golden.clips(name).double().numpy()
    clip = clips[0] if clips.ndim == 5 else clips[0][:, None]
    config = golden.small_config(name)
    shown = replace(config, height=clip.shape[2], width=clip.shape[3], trained_thw=config.input_thw)
    found = paper_network.logits(shown, {key: tensor.double().numpy() for key, tensor in canonical.items()}, clip)
    assert found == pytest.approx(golden.golden(name)["logits_f64"][0], abs=FLOAT64)


@pytest.mark.slow
def test_the_goldens_of_the_formulas_are_what_the_formulas_give() -> None:
    script = golden.FOLDER.parents[2] / "scripts" / "make_goldens.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, timeout=110)
    assert (done.returncode, done.stdout) == (0, "all as the formulas give them\n"), done.stderr


@pytest.mark.parametrize("name", [n for n in SMALL if "blocks" in golden.golden(n)])
def test_every_block_equals_the_reference(name: str, tmp_path: Path) -> None:
    model = golden.load_small(name, tmp_path).double()
    outputs: list[torch.Tensor] = []
    for block in model.blocks:
        block.register_forward_hook(lambda _module, _args, output: outputs.append(output[0]))
    with torch.inference_mode():
        model(golden.clips(name).double())
    for got, expected in zip(outputs, golden.golden(name)["blocks"], strict=True):
        tokens = got.shape[1]
        assert tokens == expected["tokens"]
        probe = got[-1, [0, 1, tokens // 2, tokens - 1], :4]
        assert torch.allclose(probe, torch.tensor(expected["probe"], dtype=torch.float64), rtol=0, atol=PROBE)
        assert float(got.mean()) == pytest.approx(expected["mean"], abs=PROBE)
        assert float(got.std(unbiased=False)) == pytest.approx(expected["std"], abs=PROBE)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in FULL_SIZE_DEFAULT else pytest.mark.slow) for n in FULL_SIZE]
)
def test_published_sizes_equal_the_reference(name: str, tmp_path: Path) -> None:
    model = mvit_cli.load_model(None, weights=golden.write_checkpoint(name, tmp_path))
    assert largest_difference(model, name, "logits", torch.float32) <= FLOAT32
