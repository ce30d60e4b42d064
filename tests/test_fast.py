"""The fast path equals the plain network, whatever the architecture, the clip's geometry and the batch."""

import subprocess
import sys
from dataclasses import replace
from math import prod
from pathlib import Path

import golden
import pytest
import torch
import torch.nn.functional as F
from test_goldens import FLOAT32, SMALL, largest_difference
from test_model import SMALL as SMALL_V1
from test_model import SMALL_V2

from mvit_cli.arch import MViTConfig, get_preset, preset_names
from mvit_cli.checkpoints.load import build_model
from mvit_cli.model import MViT
from mvit_cli.model.fast import attention as fast_attention
from mvit_cli.model.fast import network as fast
from mvit_cli.model.fast.layout import RowLayout, pool_grid, read_positions
from mvit_cli.model.fast.network import FastMViT

SAME_SUMS = 1e-5  # float32 sums in another order differ by up to 2e-6 on these logits of about 2
SAME_SUMS_64 = 1e-12  # the same in float64, where nothing but a wrong formula could make more


def random_model(config: MViTConfig) -> MViT:
    """Random weights large enough that every part of the network moves the logits."""
    torch.manual_seed(0)
    model = build_model(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".pool_" in name or "rel_pos" in name or "pos_embed" in name or name.endswith("bias"):
                parameter.copy_(torch.randn_like(parameter) * 0.3)
            elif parameter.ndim == 2:
                parameter.copy_(torch.randn_like(parameter) * parameter.shape[1] ** -0.5)
    return model


def shrunken(name: str) -> MViTConfig:
    """The preset with few blocks, narrow heads and a small clip."""
    config = get_preset(name).config
    depths = tuple(min(depth, 2) for depth in config.stage_depths)
    channels = tuple(8 * heads for heads in config.stage_heads)
    return replace(
        config, frames=min(config.frames, 4), height=64, width=64, stage_depths=depths, stage_channels=channels
    )


@torch.inference_mode()
def difference(model: MViT, clips: torch.Tensor) -> float:
    got, expected = FastMViT(model)(clips), model(clips)
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    return float((got - expected).abs().max())


@pytest.mark.parametrize("name", SMALL)
def test_goldens_are_met_and_odd_batches_equal_the_plain_network(name: str, tmp_path: Path) -> None:
    model = golden.load_small(name, tmp_path)
    assert largest_difference(FastMViT(model), name, "logits", torch.float32) <= FLOAT32
    frames = 5 if model.config.frames > 1 else 1
    assert difference(model.double(), torch.randn(2, 3, frames, 45, 61, dtype=torch.float64)) <= SAME_SUMS_64


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_equals_the_plain_network(name: str) -> None:
    model = random_model(shrunken(name))
    assert difference(model, torch.randn(2, 3, model.config.frames, 64, 80)) <= SAME_SUMS


@pytest.mark.parametrize("config", [SMALL_V1, SMALL_V2, replace(SMALL_V2, cls_token=False, head_pooling="mean")])
@pytest.mark.parametrize("shape", [(1, 3, 4, 32, 32), (3, 3, 7, 45, 61), (2, 3, 1, 20, 36), (2, 3, 52, 20)])
def test_any_clip_geometry_gives_the_same(config: MViTConfig, shape: tuple[int, ...]) -> None:
    assert difference(random_model(config), torch.randn(shape)) <= SAME_SUMS


@pytest.mark.parametrize("head", ["mean", "mean_then_norm"])
def test_means_over_tokens_give_the_same_with_a_class_token(head: str) -> None:
    assert difference(random_model(replace(SMALL_V2, head_pooling=head)), torch.randn(2, 3, 4, 32, 32)) <= SAME_SUMS


@pytest.mark.parametrize("head", ["cls", "mean", "mean_then_norm"])
@pytest.mark.parametrize(
    "config",
    [SMALL_V1, SMALL_V2, replace(SMALL_V1, pool_first=True), replace(SMALL_V1, head_inputs="blocks")],
)
@torch.inference_mode()
def test_features_are_those_of_the_plain_network(config: MViTConfig, head: str) -> None:
    """Before the classifier and after every stage; the batch is cut into passes, the last block is seen whole."""
    model, clips = random_model(replace(config, head_pooling=head)).double(), torch.randn(3, 3, 4, 32, 40).double()
    quick = FastMViT(model)
    for stage in (None, "cube1", "scale2", "scale3"):
        got, expected = quick.features(clips, stage), model.features(clips, stage)
        assert got.shape == expected.shape
        assert float((got - expected).abs().max()) <= SAME_SUMS_64
    assert torch.equal(quick.head(quick.features(clips)), quick(clips))


def test_a_stage_that_is_not_there_is_named_with_those_that_are() -> None:
    model = random_model(SMALL_V1)
    for network in (model, FastMViT(model)):
        with pytest.raises(ValueError, match=r"no stage 'scale9'; there are cube1, scale2, scale3"):
            network.features(torch.randn(1, 3, 4, 32, 32), "scale9")


@pytest.mark.parametrize("residual_cls", [False, True])
@pytest.mark.parametrize("axes", [(True, False), (False, True), (False, False)])
def test_any_relative_axes_give_the_same(axes: tuple[bool, bool], residual_cls: bool) -> None:
    space, time = axes
    config = replace(SMALL_V2, rel_pos_space=space, rel_pos_time=time, residual_pooling_cls=residual_cls)
    assert difference(random_model(config), torch.randn(2, 3, 4, 32, 32)) <= SAME_SUMS


@pytest.mark.parametrize("config", [SMALL_V1, SMALL_V2])
def test_cutting_rows_queries_and_batches_changes_nothing(config: MViTConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mvit_cli.model.fast.layout.CPU_ROWS", 7)
    monkeypatch.setattr(fast, "CPU_TOKEN_ELEMENTS", 2 * 2 * 8 * 8 * 16)  # two clips a pass
    monkeypatch.setitem(fast_attention.MAX_BIAS_ELEMENTS, "cpu", 1000)
    assert difference(random_model(config), torch.randn(5, 3, 4, 32, 32)) <= SAME_SUMS


@pytest.mark.parametrize("config", [SMALL_V1, SMALL_V2])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.1), (torch.float16, 0.02)])
def test_16_bits_stay_close_to_float32(config: MViTConfig, dtype: torch.dtype, tolerance: float) -> None:
    """Tolerance: several roundings of 2^-9 or 2^-12 of logits up to 3, which the plain network has too."""
    model, clips = random_model(config), torch.randn(2, 3, 4, 32, 32)
    with torch.inference_mode():
        expected = model(clips)
        got = FastMViT(model.to(dtype))(clips.to(dtype))
    assert got.dtype == dtype
    assert float((got.float() - expected).abs().max()) <= tolerance


@pytest.mark.cuda
@pytest.mark.parametrize("config", [SMALL_V1, SMALL_V2])
def test_a_gpu_gives_the_same(config: MViTConfig) -> None:
    assert difference(random_model(config).cuda(), torch.randn(3, 3, 4, 32, 32, device="cuda")) <= FLOAT32


@pytest.mark.parametrize("config", [SMALL_V1, SMALL_V2])
def test_shapes_are_found_without_arithmetic(config: MViTConfig) -> None:
    clips = torch.empty(2, 3, *config.input_thw, device="meta")
    assert FastMViT(build_model(config, device="meta"))(clips).shape == (2, config.num_classes)


def test_clips_and_parameters_are_left_as_they_were() -> None:
    model, clips = random_model(SMALL_V2), torch.randn(2, 3, 4, 32, 32)
    before, weights = clips.clone(), {name: tensor.clone() for name, tensor in model.state_dict().items()}
    quick = FastMViT(model)
    assert torch.equal(quick(clips), quick(clips))
    assert torch.equal(clips, before)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())


def test_training_still_works_after_the_fast_path_ran() -> None:
    model = random_model(SMALL_V1)
    with torch.inference_mode():
        FastMViT(model)(torch.randn(1, 3, 4, 28, 28))
    model(torch.randn(1, 3, 4, 28, 28)).sum().backward()
    assert all(parameter.grad is not None for parameter in model.blocks[0].parameters())


def test_weights_are_shared_and_not_copied() -> None:
    """Only the depthwise kernels exist twice: repeated for every head."""
    model = build_model(get_preset("mvit_b_16x4").config, device="meta")
    quick = FastMViT(model)
    copies = sum(b.numel() for name, b in quick.named_buffers() if "pool_" in name)
    assert sum(parameter.numel() for parameter in model.parameters()) > 50 * copies
    attn, plain = quick.blocks[0].attn, model.blocks[0].attn
    assert attn.linear_q.weight.untyped_storage()._cdata == plain.qkv.weight.untyped_storage()._cdata


def test_the_last_block_computes_the_class_token_alone() -> None:
    quick: FastMViT = FastMViT(random_model(SMALL_V1))
    rows: list[int] = []
    quick.blocks[-1].register_forward_hook(lambda _module, _args, output: rows.append(len(output[0])))
    quick(torch.randn(2, 3, 4, 32, 32))
    assert rows == [2]


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(ValueError, match="clips must be"):
        FastMViT(random_model(SMALL_V1))(torch.randn(1, 4, 32, 32))


def test_rows_and_tokens_are_inverses() -> None:
    layout, tokens = RowLayout(2, (2, 3, 4), 1), torch.randn(2, 25, 5)
    rows = layout.rows_of(tokens)
    assert torch.equal(rows[1 * 24 + 1 * 12 + 2 * 4 + 3], tokens[1, 1 + 1 * 12 + 2 * 4 + 3])
    assert torch.equal(rows[48:], tokens[:, 0])  # class tokens are last
    assert torch.equal(layout.tokens_of(rows), tokens)


def test_a_stride_of_8_reads_9_of_64_positions() -> None:
    reads = read_positions((8, 56, 56), (3, 3, 3), (1, 8, 8), torch.device("cpu"))
    assert reads is not None
    assert reads.thw == (8, 20, 20)  # 7 windows of 3, less the one beyond the border
    assert len(reads.index) == prod(reads.thw)
    assert reads.index[:4].tolist() == [0, 1, 7, 8]


def test_overlapping_windows_read_everything() -> None:
    assert read_positions((8, 28, 28), (3, 3, 3), (1, 2, 2), torch.device("cpu")) is None


@pytest.mark.parametrize("mode", ["conv", "max", "avg"])
@pytest.mark.parametrize("stride", [(1, 8, 8), (1, 4, 4), (2, 4, 5), (4, 1, 6)])
@pytest.mark.parametrize("thw", [(8, 16, 16), (5, 9, 17), (3, 7, 13), (1, 8, 2)])
def test_pooling_what_is_read_equals_pooling_everything(
    thw: tuple[int, int, int], stride: tuple[int, int, int], mode: str
) -> None:
    kernel, grid = (3, 3, 3), torch.randn(2, *thw, 4, dtype=torch.float64)
    reads = read_positions(thw, kernel, stride, torch.device("cpu"))
    if reads is None:
        assert prod(-(-n // s) * min(s, 3) for n, s in zip(thw, stride, strict=True)) > 0.5 * prod(thw)
        return
    weight = torch.randn(4, 1, *kernel, dtype=torch.float64) if mode == "conv" else None
    read = grid.flatten(1, 3).index_select(1, reads.index).unflatten(1, reads.thw)
    expected = pool_grid(grid, kernel, stride, weight, mode)
    assert torch.allclose(pool_grid(read, kernel, reads.stride, weight, mode), expected, rtol=0, atol=SAME_SUMS_64)


def test_pooling_the_dense_grid_is_the_convolution_of_torch() -> None:
    grid, weight = torch.randn(2, 4, 6, 5, 8), torch.randn(8, 1, 3, 3, 3)
    expected = F.conv3d(grid.permute(0, 4, 1, 2, 3).contiguous(), weight, None, (1, 2, 2), 1, groups=8)
    got = pool_grid(grid, (3, 3, 3), (1, 2, 2), weight, "conv")
    assert got.is_contiguous()
    assert torch.allclose(got.permute(0, 4, 1, 2, 3), expected, atol=SAME_SUMS)


def test_golden_names_are_there() -> None:
    assert len(SMALL) >= 40
    assert set(SMALL) <= set(golden.NAMES)


def test_the_compiler_is_not_loaded_before_it_is_asked_for() -> None:
    """It takes longer to load than all the rest of torch."""
    code = "import sys, mvit_cli.model, mvit_cli.recognition.plan; sys.exit('torch._dynamo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
