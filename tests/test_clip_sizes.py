"""Files shown other clips than they were trained for: their tables are stretched once or twice, as their code does."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import golden
import numpy as np
import paper_network
import pytest
import torch
from PIL import Image
from test_checkpoints import MMPRETRAIN
from test_fast import random_model
from test_model import SMALL_V2

import mvit_cli
from mvit_cli.arch import MViTConfig, get_preset
from mvit_cli.checkpoints.convert import convert
from mvit_cli.checkpoints.find import ResolvedWeights
from mvit_cli.checkpoints.formats.reading import Checkpoint
from mvit_cli.checkpoints.formats.said import said_by
from mvit_cli.checkpoints.load import describe, load_model
from mvit_cli.cli.main import run
from mvit_cli.errors import CheckpointError
from mvit_cli.model.fast.network import FastMViT
from mvit_cli.recognition.plan import _show_clips_of
from mvit_cli.recognition.recipe import assumed_recipe

FLOAT32, FLOAT64 = 1e-4, 1e-9  # as in test_goldens.py
SAME_SUMS = 2e-5  # two orders of float32 sums; a table stretched twice where it should be once gives 1e-2 to 0.1
IMAGES = replace(
    SMALL_V2,
    frames=1,
    height=64,
    width=64,
    stage_depths=(1, 1, 1),
    stage_channels=(16, 32, 64),
    stage_heads=(1, 2, 4),
    stride_q=((1, 1, 1), (1, 2, 2), (1, 2, 2)),
    stride_kv=((1, 4, 4), (1, 2, 2), (1, 1, 1)),
    patch_kernel=(1, 7, 7),
    patch_stride=(1, 4, 4),
    patch_padding=(0, 3, 3),
    kernel_q=(1, 3, 3),
    kernel_kv=(1, 3, 3),
    cls_token=False,
    rel_pos_time=False,
    head_pooling="mean",
)
"""As mmpretrain builds them, but small."""


def logits(model: torch.nn.Module, clips: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        result: torch.Tensor = model(clips)
    return result


def of_the_paper(config: MViTConfig, tensors: dict[str, Any], clip: torch.Tensor) -> torch.Tensor:
    parameters = {name: np.asarray(tensor, np.float64) for name, tensor in tensors.items()}
    return torch.from_numpy(paper_network.logits(config, parameters, clip[0].double().numpy()))[None]


def mmpretrain_file(config: MViTConfig, path: Path) -> tuple[Path, dict[str, torch.Tensor]]:
    """Random weights as mmpretrain writes them, and the same under canonical names."""
    tensors = {name: tensor.detach().clone() for name, tensor in random_model(config).state_dict().items()}
    renamed = {}
    for key, tensor in tensors.items():
        prefix = next((pair for pair in MMPRETRAIN if key.startswith(pair[0])), ("", "backbone."))
        renamed[prefix[1] + key[len(prefix[0]) :]] = tensor.squeeze(2) if tensor.ndim == 5 else tensor
    torch.save({"meta": {}, "state_dict": renamed}, path)
    return path, tensors


@pytest.mark.parametrize(
    "name", ["small_mma_64x96", "small_mma_abspos_64x96", "small_mmpretrain_52x76", "small_mmpretrain_abspos_52x76"]
)
def test_openmmlabs_networks_resized_are_what_they_compute_at_that_size(name: str, tmp_path: Path) -> None:
    path, clips = golden.write_checkpoint(name, tmp_path), golden.clips(name)
    size = clips.shape[-2], clips.shape[-1]
    model = load_model(golden.small_config(name), path, size=size)
    assert (model.config.input_thw[1:], model.config.tables_thw[1:]) == (size, (64, 64))
    expected = torch.tensor(golden.golden(name)["logits_f64"], dtype=torch.float64)
    for network in (model, FastMViT(model)):
        assert float((logits(network, clips) - expected).abs().max()) <= FLOAT32
    assert float((logits(model.double(), clips.double()) - expected).abs().max()) <= FLOAT64


@pytest.mark.parametrize("size", [(52, 76), (60, 60), (44, 100)])  # grids 13x19, 15x15, 11x25: odd in every stage
@pytest.mark.parametrize("pos_embed", ["none", "joint"])
def test_mmpretrain_resized_stretches_its_tables_once(pos_embed: Any, size: tuple[int, int], tmp_path: Path) -> None:
    config = replace(IMAGES, pos_embed=pos_embed)
    path, tensors = mmpretrain_file(config, tmp_path / "mmpretrain.pth")
    clips = torch.randn(1, 3, 1, *size)
    height, width = size
    shown = replace(config, height=height, width=width, trained_thw=config.input_thw)
    expected = of_the_paper(shown, tensors, clips)
    resized, trained = load_model(config, path, size=size), load_model(config, path)
    for network in (resized, FastMViT(resized), trained, FastMViT(trained)):
        assert float((logits(network, clips) - expected).abs().max()) <= SAME_SUMS
    assert float((logits(resized, clips) - logits(trained, clips)).abs().max()) <= SAME_SUMS


def test_what_was_converted_is_resized_as_its_origin(tmp_path: Path) -> None:
    path, _ = mmpretrain_file(get_preset("mvitv2_tiny").config, tmp_path / "tiny.pth")
    convert(ResolvedWeights(path, path.name), tmp_path / "tiny.safetensors")
    clips = torch.randn(1, 3, 1, 148, 100)  # 37x25 patches, then 19x13, 10x7 and 5x4
    expected = logits(load_model(None, path), clips)
    resized = load_model(None, tmp_path / "tiny.safetensors", size=(148, 100))
    assert float((logits(resized, clips) - expected).abs().max()) <= SAME_SUMS


def test_pyslowfast_resized_stretches_when_it_loads_and_again_in_use(tmp_path: Path) -> None:
    """`2 max(L // s_q, L // s_kv) - 1` rows at load; 9 patches have 4 halves there and 5 in use."""
    name = "small_pysf_v2"
    path = golden.write_checkpoint(name, tmp_path)
    model = load_model(None, path, size=36)
    tensors = dict(describe(Checkpoint(path, golden.state_dict(name), golden.cfg_yaml(name))).tensors)
    config, side = model.config, 36 // 4
    for index, (stride_q, stride_kv) in enumerate([(1, 4), (2, 2), (1, 2), (2, 1)]):
        rows = 2 * max(side // stride_q, side // stride_kv) - 1
        for axis in "hw":
            key = f"blocks.{index}.attn.rel_pos_{axis}"
            table = tensors[key].numpy()
            stretched = paper_network.stretched(table, (len(table),), (rows,), paper_network.triangle)
            tensors[key] = torch.from_numpy(stretched)
        side //= stride_q
    clips = golden.clips(name)[:1, ..., :36, :36]
    expected = of_the_paper(config, tensors, clips)
    assert float((logits(model, clips) - expected).abs().max()) <= SAME_SUMS
    assert float((logits(load_model(None, path), clips) - expected).abs().max()) > 1e-3


# --- files that were trained on clips which their tables do not tell

CAMERA = get_preset("camera").config
WIDE = replace(CAMERA, width=144)
"""8x12 patches of 12 pixels, of which a file tells that they are 96."""


def save(config: MViTConfig, path: Path) -> torch.nn.Module:
    model = random_model(config)
    torch.save(model.state_dict(), path)
    return model


def test_a_file_of_wide_clips_loads_with_their_size(tmp_path: Path) -> None:
    model, path = save(WIDE, tmp_path / "wide.pth"), tmp_path / "wide.pth"
    clips = torch.randn(1, 3, 16, 96, 144)
    loaded = load_model(None, path, size=(96, 144))
    assert (loaded.config.input_thw, loaded.config.trained_thw) == ((16, 96, 144), None)
    assert float((logits(loaded, clips) - logits(model, clips)).abs().max()) <= SAME_SUMS
    longer = load_model(None, path, size=(96, 144), frames=32)  # one of both is the training's: only time is stretched
    assert longer.get_parameter("pos_embed_temporal").shape[1] == 8
    assert torch.equal(longer.get_parameter("pos_embed_spatial"), model.get_parameter("pos_embed_spatial"))


@pytest.mark.parametrize("geometry", [{}, {"size": 224}, {"size": (144, 144)}])
def test_a_file_of_wide_clips_says_what_it_needs(geometry: dict[str, Any], tmp_path: Path) -> None:
    save(WIDE, tmp_path / "wide.pth")
    with pytest.raises(CheckpointError) as caught:
        load_model(None, tmp_path / "wide.pth", **geometry)
    assert "pos_embed_spatial has 96 positions (as 96x144 pixels do)" in caught.value.message
    assert "96x96 have 64" in caught.value.message
    assert "size=(height, width)" in caught.value.hint


def test_other_clips_than_the_trainings_need_its_configuration(tmp_path: Path) -> None:
    """What the hint of the error says works."""
    save(WIDE, tmp_path / "wide.pth")
    larger = load_model(WIDE, tmp_path / "wide.pth", size=(144, 144))
    assert larger.get_parameter("pos_embed_spatial").shape[1] == 12 * 12
    with pytest.raises(CheckpointError, match=r"pos_embed_spatial \(1, 96, 64\) instead of \(1, 64, 64\)"):
        load_model(CAMERA, tmp_path / "wide.pth", size=(144, 144))


def test_joint_positions_of_other_clips_say_what_they_need(tmp_path: Path) -> None:
    """64 positions are those of 4 x 4x4 patches or of 1 x 8x8: only the user can know."""
    config = replace(CAMERA, height=48, width=48, pos_embed="joint")
    model, path = save(config, tmp_path / "joint.pth"), tmp_path / "joint.pth"
    for preset in (None, "camera"):
        with pytest.raises(CheckpointError) as caught:
            load_model(preset, path)
        assert "pos_embed has 64 positions, and clips of 16 frames of 96x96 have 256" in caught.value.message
        assert "frames=T, size=(height, width)" in caught.value.hint
    clips = torch.randn(1, 3, 16, 48, 48)
    loaded = load_model(None, path, size=48)
    assert float((logits(loaded, clips) - logits(model, clips)).abs().max()) <= SAME_SUMS
    larger = load_model(config, path, frames=32, size=(144, 120))
    assert larger.get_parameter("pos_embed").shape[1] == 8 * 12 * 10


def test_joint_positions_of_square_images_tell_their_size(tmp_path: Path) -> None:
    config = replace(get_preset("B-image").config, height=64, width=64, num_classes=5)
    model, path = save(config, tmp_path / "images.pth"), tmp_path / "images.pth"
    loaded = load_model(None, path)
    assert loaded.config.input_thw == (1, 64, 64)
    clips = torch.randn(1, 3, 1, 64, 64)
    assert float((logits(loaded, clips) - logits(model, clips)).abs().max()) <= SAME_SUMS
    assert load_model(None, path, size=96).get_parameter("pos_embed").shape[1] == 1 + 24 * 24


def test_the_command_describes_what_it_is_told_to_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(WIDE, tmp_path / "wide.pth")
    path = str(tmp_path / "wide.pth")
    assert run(["summarize", "--weights", path, "--size", "96x144", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["params"] == sum(tensor.numel() for tensor in torch.load(path).values())
    assert document["weights"]["notes"] == []
    assert run(["summarize", "--weights", path]) == 1
    assert "--frames and --size" in capsys.readouterr().err


def test_conversion_writes_the_clips_into_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, path, target = save(WIDE, tmp_path / "wide.pth"), tmp_path / "wide.pth", tmp_path / "wide.safetensors"
    assert run(["weights", "convert", str(path), str(target)]) == 1
    assert "which writes them into the file" in " ".join(capsys.readouterr().err.split())
    assert run(["weights", "convert", str(path), str(target), "--size", "96x144"]) == 0
    clips = torch.randn(1, 3, *WIDE.input_thw)
    assert float((logits(load_model(None, target), clips) - logits(model, clips)).abs().max()) <= SAME_SUMS
    capsys.readouterr()
    assert run(["weights", "convert", str(target), str(tmp_path / "other.safetensors"), "--size", "96"]) == 2
    assert "trained for 16 frames of 96x144, and convert changes nothing" in " ".join(capsys.readouterr().err.split())
    assert run(["weights", "convert", str(path), str(target), "--size", "x"]) == 2


def test_a_resized_summary_counts_the_tables_that_stay(tmp_path: Path, summarize: Callable[..., str]) -> None:
    path, _ = mmpretrain_file(get_preset("mvitv2_tiny").config, tmp_path / "tiny.pth")
    for size in ("224", "256x320"):
        document = json.loads(summarize("--weights", str(path), "--size", size, "--format", "json"))
        assert (document["preset"], document["params"]) == ("mvitv2_tiny", 24_173_320)  # of mmpretrain's metafile


# --- what a file says of the clips that it wants to be shown

META: dict[str, Any] = {
    "cfg": """
model = dict(backbone=dict(type='MViT', arch='tiny', img_size=64), head=dict(type='LinearClsHead', num_classes=10),
    data_preprocessor=dict(mean=[127.5, 102.0, 51.0], std=[51.0, 25.5, 51.0], to_rgb=True))
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=104, edge='short', backend='pillow', interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=104),
    dict(type='PackInputs'),
]
""",
    "dataset_meta": {"classes": [f"class {number}" for number in range(10)]},
}


def test_openmmlabs_networks_are_shown_the_crop_that_their_file_names(tmp_path: Path) -> None:
    """Built for 64 pixels, tested at 104: mmpretrain stretches the tables; also after conversion."""
    config = replace(get_preset("mvitv2_tiny").config, height=64, width=64, num_classes=10)
    path, _ = mmpretrain_file(config, tmp_path / "own.pth")
    content = torch.load(path)
    torch.save(content | {"meta": META}, path)
    convert(ResolvedWeights(path, path.name), tmp_path / "converted.safetensors")
    pixels = np.random.default_rng(0).integers(0, 256, (104, 104, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    mean, std = torch.tensor([0.5, 0.4, 0.2]), torch.tensor([0.2, 0.1, 0.2])
    clip = ((torch.from_numpy(pixels) / 255 - mean) / std).permute(2, 0, 1)[None, :, None]
    model = load_model(config, path)
    expected = logits(model, clip).softmax(1)[0]
    for weights in (path, tmp_path / "converted.safetensors"):
        (row,) = mvit_cli.predict([str(tmp_path / "picture.png")], weights=str(weights), top=10)
        assert row["status"] == "ok"
        found = {entry["label"]: entry["score"] for entry in row["predictions"]}
        assert found == pytest.approx({f"class {n}": float(p) for n, p in enumerate(expected)}, abs=SAME_SUMS)
        assert not any("assumed" in warning for warning in row["warnings"])


def test_clips_that_no_network_can_take_are_an_error_of_the_file(tmp_path: Path) -> None:
    config = replace(golden.small_config("small_mma"), num_classes=10)
    steps = ("SampleFrames', clip_len=4000, frame_interval=1, num_clips=1", "Resize', scale=(-1, 4000)")
    pipeline = ", ".join(f"dict(type='{step})" for step in (*steps, "CenterCrop', crop_size=4000"))
    text = f"{META['cfg'].replace('img_size', 'spatial_size')}test_pipeline = [{pipeline}]"
    model = random_model(config)
    said = said_by(Checkpoint(tmp_path / "w.pth", {}, beside={"meta": {**META, "cfg": text}}), 10, 16)
    recipe = assumed_recipe(config, None, said, "mmaction2")
    with pytest.raises(CheckpointError, match="the file wants 4000 frames of 4000x4000"):
        _show_clips_of(model, recipe)
    assert model.config == config
