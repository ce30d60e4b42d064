"""Every configuration is either refused at construction or runs as the papers' equations say, both ways of ours."""

from dataclasses import replace
from typing import Any

import paper_network
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from test_fast import random_model
from test_model import SMALL, SMALL_V2

from mvit_cli.arch import MViTConfig, block_specs
from mvit_cli.model.fast.network import FastMViT

SAME_SUMS_64 = 1e-9  # two orders of float64 sums; a float32 step anywhere would make 1e-7


def whole(least: int, most: int) -> st.SearchStrategy[int]:
    return st.integers(least, most)


def thw(least: int, most: int) -> st.SearchStrategy[tuple[int, int, int]]:
    return st.tuples(whole(1, 2), whole(least, most), whole(least, most))


ODD = st.tuples(*[st.sampled_from((1, 3, 5))] * 3)
NOISE = st.sampled_from((0, -1, 2, True, None, "", "Max", "conv", 0.5, float("nan"), 10**30, (), (1,), (2, 2, 2), [3]))
FIELDS = list(MViTConfig.__dataclass_fields__)


@st.composite
def fields(draw: st.DrawFn) -> dict[str, Any]:
    """Fields of tiny networks, most of which can be built; one in four examples has a field of anything."""
    stages = draw(whole(1, 2))
    heads = [draw(whole(1, 2)) for _ in range(stages)]
    depths = tuple(draw(whole(1, 2)) for _ in range(stages))
    reversible = draw(st.sampled_from(("no", "no", "mean", "mlp")))
    cls, pool_first = (False, False) if reversible != "no" else (draw(st.booleans()), draw(st.booleans()))
    if reversible != "no":
        depths = (depths[0], *[2] * (stages - 1))
    drawn = {
        "frames": draw(whole(1, 3)),
        "height": draw(whole(3, 9)),
        "width": draw(whole(3, 9)),
        "num_classes": draw(whole(1, 3)),
        "stage_depths": depths,
        "stage_channels": tuple(count * draw(whole(1, 3)) for count in heads),
        "stage_heads": tuple(heads),
        "mlp_ratio": draw(st.sampled_from((1, 1.5, 2.0))),
        "patch_kernel": (1, 3, 3),
        "patch_stride": (1, 2, draw(whole(1, 2))),
        "patch_padding": draw(thw(0, 1).map(lambda padding: (0, *padding[1:]))),
        "pool_mode": draw(st.sampled_from(("conv", "max", "avg"))),
        "pool_first": pool_first,
        "kernel_q": draw(st.none() | ODD),
        "kernel_kv": draw(st.none() | thw(1, 4)),
        "stride_q": tuple(draw(st.sampled_from(((1, 1, 1), (1, 2, 2), (2, 1, 2), (1, 3, 2)))) for _ in depths),
        "qkv_bias": draw(st.booleans()),
        "reversible": reversible,
        "stride_kv": tuple(draw(thw(1, 4)) for _ in depths),
        "pool_q_everywhere": draw(st.booleans()),
        "unpooled_kv_blocks": draw(st.sampled_from(((), (0,)))),
        "cls_token": cls,
        "pos_embed": draw(st.sampled_from(("none", "joint", "separate"))),
        "rel_pos_space": draw(st.booleans()),
        "rel_pos_time": draw(st.booleans()),
        "residual_pooling": draw(st.booleans()),
        "residual_pooling_cls": draw(st.booleans()),
        "expand_in": "mlp" if pool_first else draw(st.sampled_from(("attn", "mlp"))),
        "norm_stem": draw(st.booleans()),
        "trained_thw": draw(st.none() | st.tuples(whole(1, 3), whole(3, 9), whole(3, 9))),
        "head_inputs": draw(st.sampled_from(("last", "blocks"))),
        "head_pooling": draw(st.sampled_from(("cls", "mean", "mean_then_norm") if cls else ("mean", "mean_then_norm"))),
    }
    if reversible != "no":
        drawn |= {"pool_mode": "conv", "expand_in": "attn", "stride_q": ((1, 1, 1), *drawn["stride_q"][1:])}
    if not draw(whole(0, 3)):
        drawn[draw(st.sampled_from(FIELDS))] = draw(NOISE)
    return drawn


@torch.inference_mode()
def equals_the_paper(config: MViTConfig) -> None:
    model = random_model(config).double()
    clips = torch.randn(2, 3, *config.input_thw, dtype=torch.float64)
    parameters = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    expected = torch.stack([torch.from_numpy(paper_network.logits(config, parameters, clip.numpy())) for clip in clips])
    assert float((model(clips) - expected).abs().max()) <= SAME_SUMS_64
    assert float((FastMViT(model)(clips) - expected).abs().max()) <= SAME_SUMS_64


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(fields())
@example({"frames": 1, "height": 0, "width": 3})
def test_a_configuration_is_refused_or_runs_as_the_paper_says(drawn: dict[str, Any]) -> None:
    message = ""
    try:
        config = MViTConfig(**drawn)
    except ValueError as refused:
        message = str(refused)
    if message:
        assert "patch convolution" in message or any(name in message for name in FIELDS)
    else:
        equals_the_paper(config)


@pytest.mark.parametrize("size", [(16, 40), (40, 16)])
@pytest.mark.parametrize("config", [SMALL_V2, replace(SMALL, pos_embed="joint")])
def test_frames_that_are_not_square_are_those_of_the_paper(config: MViTConfig, size: tuple[int, int]) -> None:
    """Tables are as long as the longer side asks for, and shortened for the other while they are used."""
    height, width = size
    config = replace(config, frames=2, height=height, width=width)
    if config.rel_pos_space:
        first, second, _ = block_specs(config)  # 4x10 tokens, then 2x5
        assert first.rel_pos_thw == (1, 2 * 10 - 1, 2 * 10 - 1)
        assert second.rel_pos_thw == (1, 2 * 10 - 1, 2 * 10 - 1)
    equals_the_paper(config)
