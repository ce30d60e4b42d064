"""What must not run as a classifier is refused by name."""

from pathlib import Path
from typing import Any

import golden
import pytest
import torch
import yaml

import mvit_cli
from mvit_cli.checkpoints.formats.reading import Checkpoint
from mvit_cli.checkpoints.load import describe
from mvit_cli.errors import CheckpointError

NAME = "small_pysf_v2"


def file_with(folder: Path, more: dict[str, Any], tensors: dict[str, torch.Tensor] | None = None) -> Path:
    """A PySlowFast file whose cfg has more switches; `MVIT` ones are added to its own."""
    cfg = yaml.safe_load(golden.cfg_yaml(NAME) or "")
    for section, values in more.items():
        cfg[section] = cfg.get(section, {}) | values
    path = folder / "other.pyth"
    torch.save({"model_state": {**golden.state_dict(NAME), **(tensors or {})}, "cfg": yaml.safe_dump(cfg)}, path)
    return path


@pytest.mark.parametrize(
    ("switch", "more"),
    [
        ("DETECTION.ENABLE", {"DETECTION": {"ENABLE": True}}),
        ("MASK.ENABLE", {"MASK": {"ENABLE": True}}),
        ("MVIT.REV.ENABLE", {"MVIT": {"REV": {"ENABLE": True}}}),
        ("MEMVIT.ENABLE", {"MEMVIT": {"ENABLE": True}}),
        ("MVIT.USE_FIXED_SINCOS_POS", {"MVIT": {"USE_FIXED_SINCOS_POS": True}}),
    ],
)
def test_switches_of_other_networks_are_named(switch: str, more: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=switch):
        mvit_cli.load_model(None, file_with(tmp_path, more))
    off = {section: dict.fromkeys(values, False) for section, values in more.items()}
    mvit_cli.load_model(None, file_with(tmp_path, off))


@pytest.mark.parametrize(
    ("key", "told"),
    [("rev_backbone.layers.0.F.norm.weight", "reversible"), ("mask_token", "masks"), ("pred_head.0.weight", "masks")],
)
def test_tensors_of_other_networks_are_named(key: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=told):
        mvit_cli.load_model(None, file_with(tmp_path, {}, {key: torch.zeros(1)}))


def test_strides_that_differ_inside_a_stage_are_refused(tmp_path: Path) -> None:
    """Block 0 has a stride of its own, and block 1, without any, hides where it ends."""
    mvit = yaml.safe_load(golden.cfg_yaml(NAME) or "")["MVIT"]
    strides = [[block, 1, 2, 2] for block in range(mvit["DEPTH"])]
    strides[0] = [0, 1, 1, 1]
    del strides[1]
    more = {"MVIT": {"POOL_KV_STRIDE": strides, "POOL_KV_STRIDE_ADAPTIVE": None}}
    with pytest.raises(CheckpointError, match=r"block \d+ the key-value stride"):
        mvit_cli.load_model(None, file_with(tmp_path, more))


def test_pooling_first_with_a_widening_attention_is_about_the_file(tmp_path: Path) -> None:
    more = {"MVIT": {"POOL_FIRST": True, "DIM_MUL_IN_ATT": True}}
    with pytest.raises(CheckpointError, match=r"MVIT\.POOL_FIRST"):
        mvit_cli.load_model(None, file_with(tmp_path, more))


def test_a_backbone_with_several_outputs_is_refused() -> None:
    names = [name for name in golden.NAMES if golden.golden(name)["layout"] == "mmaction2"]
    tensors = golden.meta_state_dict(names[0])
    tensors |= {"backbone.norm0.weight": torch.zeros(96), "backbone.norm0.bias": torch.zeros(96)}
    with pytest.raises(CheckpointError, match="out_scales"):
        describe(Checkpoint(Path("several"), tensors))


@pytest.mark.parametrize("switch", ["with_cls_token", "output_cls_token"])
def test_a_backbone_without_its_class_token_is_refused(switch: str) -> None:
    names = [name for name in golden.NAMES if golden.golden(name)["layout"] == "mmaction2"]
    name = next(name for name in names if "mvitv2_s_16x4" in name)
    cfg = "model = dict(backbone=dict(type='MViT', {switch}={value}))\n"
    for value in (True, False):
        meta = {"meta": {"cfg": cfg.format(switch=switch, value=value)}}
        checkpoint = Checkpoint(Path(name), golden.meta_state_dict(name), beside=meta)
        if value:
            assert describe(checkpoint).config.cls_token
            continue
        with pytest.raises(CheckpointError, match=switch):
            describe(checkpoint)
