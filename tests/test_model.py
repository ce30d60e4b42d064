"""What the network promises beyond equality with the goldens."""

from dataclasses import replace
from math import prod

import pytest
import torch

from mvit_cli.arch import MViTConfig, get_preset
from mvit_cli.arch.grid import THW
from mvit_cli.checkpoints.load import build_model
from mvit_cli.model.pooling_attention import TokenPool, grid_to_tokens, tokens_to_grid
from mvit_cli.model.position import relative_position_bias, relative_rows

SMALL = MViTConfig(
    frames=4,
    height=32,
    width=32,
    num_classes=5,
    stage_depths=(1, 2),
    stage_channels=(16, 32),
    stage_heads=(1, 2),
    stride_q=((1, 1, 1), (1, 2, 2)),
    stride_kv=((1, 2, 2), (1, 1, 1)),
)
SMALL_V2 = replace(
    SMALL,
    pos_embed="none",
    rel_pos_space=True,
    rel_pos_time=True,
    pool_q_everywhere=True,
    residual_pooling=True,
    expand_in="attn",
)


def test_tokens_and_grid_are_inverses() -> None:
    tokens = torch.randn(2, 24, 5)
    grid = tokens_to_grid(tokens, (2, 3, 4))
    assert grid[1, 4, 1, 2, 3] == tokens[1, 1 * 12 + 2 * 4 + 3, 4]  # time first, then height, then width
    assert torch.equal(grid_to_tokens(grid), tokens)


def test_cls_token_is_not_pooled() -> None:
    pool = TokenPool(8, (3, 3, 3), (1, 2, 2), "max")
    x = torch.randn(2, 1 + 2 * 4 * 4, 8)
    pooled, thw = pool(x, (2, 4, 4))
    assert thw == (2, 2, 2)
    assert torch.equal(pooled[:, 0], x[:, 0])


def test_pooling_is_the_convolution_of_the_formula() -> None:
    """A loop over windows, channel by channel."""
    torch.manual_seed(0)
    pool = TokenPool(3, (1, 3, 3), (1, 2, 2), "conv")
    assert pool.weight is not None
    torch.nn.init.normal_(pool.weight)
    x = torch.randn(1, 5 * 5, 3)
    got, thw = pool(x, (1, 5, 5))
    assert thw == (1, 3, 3)
    for row in range(3):
        for column in range(3):
            expected = torch.zeros(3)
            for i in range(3):
                for j in range(3):
                    y, z = 2 * row + i - 1, 2 * column + j - 1
                    if 0 <= y < 5 and 0 <= z < 5:
                        expected += pool.weight[:, 0, 0, i, j] * x[0, y * 5 + z]
            assert torch.allclose(got[0, row * 3 + column], expected, atol=1e-5)  # sums of nine float32 products


def test_relative_positions_are_the_loop_of_the_paper() -> None:
    """MViTv2 paper, equation 4, query by query and key by key."""
    torch.manual_seed(0)
    q_thw, k_thw, dim = (2, 4, 4), (2, 2, 2), 6
    q = torch.randn(1, 1, 32, dim)
    tables = {"t": torch.randn(3, dim), "h": torch.randn(7, dim), "w": torch.randn(7, dim)}
    bias = relative_position_bias(q, tables, q_thw, k_thw)
    for i in range(32):
        for j in range(8):
            qt, qh, qw = i // 16, i // 4 % 4, i % 4
            kt, kh, kw = j // 4, j // 2 % 2, j % 2
            rows = tables["t"][qt - kt + 1] + tables["h"][qh - 2 * kh + 2] + tables["w"][qw - 2 * kw + 2]
            assert float(bias[0, 0, i, j]) == pytest.approx(float(q[0, 0, i] @ rows), abs=1e-5)


def test_rows_at_312_pixels_follow_float32_arithmetic() -> None:
    exact = torch.tensor([[int(i - j * 7.8 + 9 * 7.8 + 1e-9) for j in range(10)] for i in range(78)])
    rows = relative_rows(78, 10, torch.device("cpu"))
    assert int((exact - rows).sum()) == 103  # the published models' code truncates 103 of 780 rows one lower
    assert int((exact - rows).max()) == 1
    assert int((exact - rows).min()) == 0


@pytest.mark.parametrize("config", [SMALL, SMALL_V2])
def test_any_clip_geometry_runs(config: MViTConfig) -> None:
    model = build_model(config)
    with torch.inference_mode():
        for shape in [(1, 3, 4, 32, 32), (2, 3, 7, 45, 61), (3, 3, 1, 20, 20)]:
            logits = model(torch.randn(shape))
            assert logits.shape == (shape[0], 5)
            assert logits.isfinite().all()


def test_views_in_a_batch_do_not_touch_each_other() -> None:
    torch.manual_seed(0)
    model, clips = build_model(SMALL_V2), torch.randn(3, 3, 4, 32, 32)
    with torch.inference_mode():
        together, apart = model(clips), torch.cat([model(clip[None]) for clip in clips])
    assert torch.allclose(together, apart, atol=1e-5)  # other matrix sizes, other summation order


def test_the_input_is_left_as_it_was() -> None:
    model, clips = build_model(SMALL), torch.randn(1, 3, 4, 32, 32)
    before = clips.clone()
    with torch.inference_mode():
        model(clips)
    assert torch.equal(clips, before)


def test_training_after_inference_works() -> None:
    """Cached index tensors must not be inference tensors."""
    model = build_model(SMALL_V2)
    with torch.inference_mode():
        model(torch.randn(1, 3, 4, 28, 28))
    model(torch.randn(1, 3, 4, 28, 28)).sum().backward()
    assert all(p.grad is not None for p in model.blocks[0].parameters())


@pytest.mark.parametrize("shape", [(3, 4, 32, 32), (1, 1, 4, 32, 32), (1, 4, 3, 32, 32, 1)])
def test_wrong_shapes_are_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="clips must be"):
        build_model(SMALL)(torch.randn(shape) if len(shape) != 4 else torch.randn(1, 4, 32, 32))


def test_an_image_is_a_clip_of_one_frame() -> None:
    model = build_model(replace(get_preset("mvitv2_tiny").config, height=32, width=32))
    image = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(model(image), model(image[:, :, None]))


def test_frame_order_matters_to_the_network() -> None:
    model, clips = build_model(SMALL), torch.randn(1, 3, 4, 32, 32)
    with torch.inference_mode():
        assert not torch.allclose(model(clips), model(clips.flip(2)))


@torch.inference_mode()
def test_features_are_what_the_classifier_sees_and_grids_are_tokens_in_place() -> None:
    model, clips = build_model(SMALL), torch.randn(2, 3, 4, 32, 32)
    outputs: list[tuple[torch.Tensor, THW]] = []
    for block in model.blocks:
        block.register_forward_hook(lambda _module, _args, output: outputs.append(output))
    assert torch.equal(model.head(model.features(clips)), model(clips))
    assert torch.equal(model.features(clips), model.norm(outputs[-1][0][:, 0]))
    for stage, (tokens, thw) in (("scale2", outputs[0]), ("scale3", outputs[2])):
        grid = model.features(clips, stage)
        assert grid.shape == (2, 32, *thw)
        assert torch.equal(grid[1, :, 1, 2, 3], tokens[1, 1 + 1 * thw[1] * thw[2] + 2 * thw[2] + 3])
    assert model.features(clips, "cube1").shape == (2, 16, 2, 8, 8)


@pytest.mark.parametrize("config", [SMALL, SMALL_V2, replace(SMALL, pool_first=True)])
@torch.inference_mode()
def test_softmax_of_a_blocks_queries_keys_and_bias_is_its_attention(config: MViTConfig) -> None:
    """The formula of the paper from what `pooled_qkv` gives, against what the block's attention gave."""
    model, clips = build_model(config).double(), torch.randn(2, 3, 4, 32, 32).double()
    outputs: list[torch.Tensor] = []
    for block in model.blocks:
        block.attn.register_forward_hook(lambda _module, _args, output: outputs.append(output[0]))
    model(clips)
    for index, (block, output) in enumerate(zip(model.blocks, tuple(outputs), strict=True)):
        q, k, v, bias, q_thw, k_thw = model.pooled_qkv(clips, index)
        num_cls = int(config.cls_token)
        assert (q.shape[2] - num_cls, k.shape[2] - num_cls) == (prod(q_thw), prod(k_thw))
        weights = (q @ k.transpose(2, 3) * q.shape[3] ** -0.5 + (0 if bias is None else bias)).softmax(dim=3)
        attended = weights @ v
        if config.residual_pooling:
            attended[:, :, num_cls:] += q[:, :, num_cls:]
        expected = block.attn.proj(attended.transpose(1, 2).flatten(2))
        assert torch.allclose(output, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("block", [-1, 3])
def test_a_block_that_is_not_there_is_named(block: int) -> None:
    with pytest.raises(ValueError, match="block must be 0 to 2"):
        build_model(SMALL).pooled_qkv(torch.randn(1, 3, 4, 32, 32), block)


def test_windows_wider_than_the_grid_average_their_zeros() -> None:
    pool, x = TokenPool(3, (5, 5, 5), (1, 2, 2), "avg"), torch.randn(1, 2 * 1 * 3, 3)
    pooled, thw = pool(x, (2, 1, 3))
    assert thw == (2, 1, 2)
    assert torch.allclose(pooled[0, 0], x[0].sum(0) / 125)
