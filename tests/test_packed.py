"""bfloat16 on a CPU: sums are rounded once, after what follows them, and padded keys are looked at by nobody."""

import math
from itertools import product
from math import prod
from typing import cast

import pytest
import torch
import torch.nn.functional as F
from test_fast import random_model
from test_model import SMALL as SMALL_V1
from test_model import SMALL_V2

from mvit_cli.arch import MViTConfig
from mvit_cli.model.fast import attention
from mvit_cli.model.fast.network import FastBlock, FastMViT
from mvit_cli.model.fast.products import PackedLinear, PlainLinear, fast_linear, may_pack
from mvit_cli.recognition.device import has_hardware

needs_bfloat16 = pytest.mark.skipif(not has_hardware("bfloat16"), reason="this CPU has no instructions for bfloat16")

ROUNDED_ONCE = 2**-8
"""Of a number, what rounding to the 8 bits of bfloat16 may change; the sums before it are float32."""
OF_SUMS = 1e-5
"""What the order of float32 sums of 96 products of size one may change."""


def numbers(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))).bfloat16()


@needs_bfloat16
@pytest.mark.parametrize("with_bias", [True, False])
@torch.inference_mode()
def test_what_follows_a_product_is_computed_before_its_sums_are_rounded(with_bias: bool) -> None:
    weight, x, total = numbers(40, 96), numbers(7, 96), numbers(7, 40)
    bias = numbers(40) if with_bias else None
    layer, exact = (
        PackedLinear(weight, bias),
        F.linear(x.double(), weight.double(), None if bias is None else bias.double()),
    )
    cases = {
        "product": (layer(x), exact),
        "written": (layer(x, out=torch.empty_like(total)), exact),
        "gelu": (layer.gelu(x), F.gelu(exact)),
        "added": (layer.add_(total.clone(), x), exact + total.double()),
    }
    for name, (got, expected) in cases.items():
        assert got.dtype == torch.bfloat16
        assert bool(((got - expected).abs() <= ROUNDED_ONCE * expected.abs() + OF_SUMS).all()), name


@needs_bfloat16
@torch.inference_mode()
def test_rows_of_a_larger_matrix_are_added_to_in_place() -> None:
    layer, streams = PackedLinear(numbers(16, 16), numbers(16)), numbers(10, 32)
    before, half = streams.clone(), streams[2:6, 16:]
    expected = half + layer(numbers(4, 16)).float()
    assert layer.add_(half, numbers(4, 16)).data_ptr() == half.data_ptr()
    assert torch.allclose(half.float(), expected, rtol=2 * ROUNDED_ONCE, atol=2e-2)  # the sum alone is rounded twice
    assert torch.equal(streams[:, :16], before[:, :16])
    assert torch.equal(streams[6:], before[6:])


def test_weights_are_packed_in_bfloat16_on_a_cpu_only() -> None:
    assert not may_pack(torch.zeros(2, 2))
    assert not may_pack(torch.zeros(2, 2, dtype=torch.bfloat16, device="meta"))
    assert isinstance(fast_linear(torch.zeros(2, 2), None), PlainLinear)


@pytest.mark.parametrize("config", [SMALL_V1, SMALL_V2])
@torch.inference_mode()
def test_padded_keys_get_no_attention(config: MViTConfig) -> None:
    """Whatever stands there: long keys, which would have the largest scores of all, with values of their own."""
    attn = cast(FastBlock, FastMViT(random_model(config).bfloat16()).blocks[0]).attn
    k_thw, dim = (2, 3, 3), config.stage_channels[0] // attn.heads
    keys = prod(k_thw) + 1
    q = numbers(1, 2 * 8 * 8, attn.heads, dim)
    k, v = numbers(1, attn.heads, 32, dim), numbers(1, attn.heads, 32, dim + 1)[..., :dim]
    k[:, :, keys:] *= 100
    got = attn._attend_grid(q, k, v, keys, (2, 8, 8), k_thw)
    expected = attn._attend_grid(q, k[:, :, :keys], v[:, :, :keys], keys, (2, 8, 8), k_thw)
    seen = attn._attend_grid(q, k, v, 32, (2, 8, 8), k_thw)
    # rounded once or, with the pooled query added, twice: numbers of size 4
    assert float((got - expected).abs().max()) <= ROUNDED_ONCE * 4
    assert float((seen - expected).abs().max()) > 1


def test_long_rows_of_keys_and_wide_numbers_are_not_padded() -> None:
    assert attention.padding_of(torch.zeros(1, 393, 8).bfloat16()) == 416 - 393
    assert attention.padding_of(torch.zeros(1, 393, 8)) == 0
    assert attention.padding_of(torch.zeros(1, 1569, 8).bfloat16()) == 0
    assert attention.padding_of(torch.zeros(1, 416, 8).bfloat16()) == 0
    mask = attention.hiding_padding(torch.zeros(1, 2, 4, 8), 3)
    assert mask is not None
    assert mask.flatten().tolist() == [0, 0, 0, -math.inf]


@pytest.mark.parametrize("axes", [(True, True, True), (False, True, True), (True, False, False)])
def test_one_product_sums_the_scores_of_the_axes(axes: tuple[bool, bool, bool]) -> None:
    """Of a key at t, h, w: its scores in time, height and width; the class token and the padding have none."""
    k_thw = (2, 3, 4)
    along = [torch.randn(length) for length in k_thw]
    scores = torch.cat([part for part, counts in zip(along, axes, strict=True) if counts])
    got = scores @ attention.places_of_keys(k_thw, axes, torch.zeros(1, 1, 27, 8))
    places = list(product(*map(range, k_thw)))
    expected = [sum(float(along[i][at[i]]) for i in range(3) if axes[i]) for at in places] + [0.0] * 3
    assert got.tolist() == pytest.approx(expected, abs=1e-6)  # three float32 numbers of size one
