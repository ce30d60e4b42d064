"""Analytic parameters and MACs equal what torch counts on the built network."""

from dataclasses import replace

import golden
import pytest
import torch
from geometries import CONFIGS
from hypothesis import given, settings
from torch.utils.flop_counter import FlopCounterMode

from mvit_cli.arch import MViTConfig, get_preset, preset_names, summarize
from mvit_cli.arch.summary import preset_of, resized, summarize_config
from mvit_cli.checkpoints.formats.reading import Checkpoint
from mvit_cli.checkpoints.load import describe
from mvit_cli.model import MViT


def counted(config: MViTConfig) -> tuple[int, int]:
    """Real parameters, and torch's FLOP count halved, of the network on the meta device."""
    with torch.device("meta"):
        model, clip = MViT(config).eval(), torch.empty(1, 3, *config.input_thw)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(clip)
    return sum(p.numel() for p in model.parameters()), counter.get_total_flops() // 2


@pytest.mark.parametrize("name", preset_names())
def test_presets_cost_what_torch_counts(name: str) -> None:
    summary = summarize(name)
    assert (summary["params"], summary["macs"]) == counted(get_preset(name).config)


@settings(max_examples=20)
@given(CONFIGS)
def test_any_geometry_costs_what_torch_counts(config: MViTConfig) -> None:
    summary = summarize_config(config)
    assert (summary["params"], summary["macs"]) == counted(config)
    for what in ("params", "macs"):
        assert sum(stage[what] for stage in summary["stages"]) == summary[what]
        blocks = sum(block[what] for block in summary["blocks"])
        assert blocks == sum(stage[what] for stage in summary["stages"] if stage["blocks"])


@pytest.mark.parametrize("name", [n for n in golden.NAMES if not n.startswith("small_")])
def test_published_networks_cost_what_their_code_counts(name: str) -> None:
    """Architecture read from shapes alone, without a cfg: parameters, MACs and every block's grid."""
    g = golden.golden(name)
    config = describe(Checkpoint(golden.FOLDER / name, golden.meta_state_dict(name))).config
    summary = summarize_config(config)
    assert summary["params"] == g["params"]
    assert summary["macs"] == g["flops"]["matrix_macs"]
    assert [b["thw_out"] for b in summary["blocks"]] == [[1, *b["thw"]][-3:] for b in g["blocks"]]
    assert [b["heads"] for b in summary["blocks"]] == [b["heads"] for b in g["blocks"]]


@pytest.mark.parametrize("name", golden.NAMES)
def test_every_golden_costs_what_its_code_counts(name: str) -> None:
    """At the golden's own input, which for some is of another size than the network was made for."""
    g = golden.golden(name)
    if name.startswith("small_") and golden.cfg_yaml(name) is None:
        config = golden.small_config(name)  # neither shapes nor a cfg tell the strides
    else:
        tensors = golden.meta_state_dict(name)
        config = describe(Checkpoint(golden.FOLDER / name, tensors, golden.cfg_yaml(name))).config
    frames, height, width = [1, *g["input"]["shape"][2:]][-3:]
    at_input = resized(config, frames, (height, width))
    assert summarize_config(at_input)["macs"] == g["flops"]["matrix_macs"]
    unused = (
        config.stage_channels[0] if name == "small_mma_nocls" else 0
    )  # MMAction2 keeps a class token it does not use
    built_for = at_input if "resized" in g else config  # the others resize their tables while they run
    assert summarize_config(built_for)["params"] + unused == g["params"]


@pytest.mark.parametrize(
    ("name", "gmacs", "params_m"),
    [
        ("B", 70.5, 36.6),
        ("B-32x3", 170, 36.6),
        ("B-64x3", 455, 36.6),
        ("v2-S", 64, 34.5),
        ("v2-B", 225, 51.2),
        ("vit_b", 179.6, 87.2),
    ],
)
def test_the_papers_figures_come_out(name: str, gmacs: float, params_m: float) -> None:
    summary = summarize(name)
    assert summary["macs"] / 1e9 == pytest.approx(gmacs, rel=0.005)  # printed with two or three digits
    assert summary["params"] / 1e6 == pytest.approx(params_m, abs=0.05)


def test_the_preset_to_start_from_is_small() -> None:
    """By hand: its patches have 48 x 3 x 3 x 7 x 7 weights and 48 biases; its classifier 384 x 400 and 400."""
    summary = summarize("tiny")
    assert (summary["params"], summary["macs"]) == (3_394_576, 2_918_379_360)
    assert summary["stages"][0]["params"] == 48 * 3 * 3 * 7 * 7 + 48 + 48  # and the class token
    assert summary["stages"][-1]["params"] == 384 * 400 + 400 + 2 * 384  # and the norm
    assert [stage["sequence_length"] for stage in summary["stages"][:-1]] == [6273, 6273, 1569, 393, 129]


def test_the_preset_for_small_pictures_is_smaller() -> None:
    """By hand: 48 x 3 x 7 x 7 weights and 48 biases of its patches; grids of 7, 4 and 2 tokens a side; 10 classes."""
    summary = summarize("pico")
    assert summary["params"] == 669_946
    assert summary["macs"] == 8_804_352
    assert summary["stages"][0]["params"] == 48 * 3 * 7 * 7 + 48
    assert summary["stages"][-1]["params"] == 192 * 10 + 10 + 2 * 192
    assert [block["thw_out"] for block in summary["blocks"]] == [[1, 7, 7], [1, 4, 4], [1, 4, 4], [1, 2, 2]]


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_known_again_from_its_configuration(name: str) -> None:
    config = get_preset(name).config
    assert preset_of(config).name == name
    assert preset_of(replace(config, num_classes=3)).name == name


def test_a_clip_of_another_length_is_still_of_its_preset() -> None:
    assert preset_of(replace(get_preset("v2-S").config, frames=8)).name == "mvitv2_s_16x4"


def test_an_architecture_of_its_own_is_no_preset() -> None:
    assert preset_of(replace(get_preset("B").config, stage_depths=(1, 1, 1, 1))) is None
