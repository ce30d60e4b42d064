"""Linear layers in 8-bit integers: exact where the numbers are whole, close elsewhere, and only where asked for."""

from dataclasses import replace

import pytest
import torch
from test_fast import random_model
from test_model import SMALL as SMALL_V1
from test_model import SMALL_V2

from mvit_cli.arch import MViTConfig
from mvit_cli.model.fast.int8 import Int8Linear
from mvit_cli.model.fast.network import FastMViT


def test_whole_numbers_are_multiplied_exactly() -> None:
    """Weights up to 127 and inputs 0 to 127 are their own 8-bit integers: the scales are 1."""
    torch.manual_seed(0)
    weight, x = torch.randint(-127, 128, (5, 40)).float(), torch.randint(0, 128, (7, 40)).float()
    weight[:, 0], x[0, 0], x[0, 1], bias = 127, 0, 127, torch.randn(5)
    assert torch.allclose(Int8Linear(weight, bias)(x), x @ weight.t() + bias, rtol=0, atol=0.1)  # of sums up to 600,000


def test_every_output_channel_has_a_scale_of_its_own() -> None:
    """A row of small weights is rounded by its own range: 1/254 of it at most, and as much of the input's."""
    torch.manual_seed(0)
    weight, x = torch.randn(2, 64), torch.rand(9, 64)
    weight[1] *= 1e-3
    error = (Int8Linear(weight, None)(x) - x @ weight.t()).abs().amax(dim=0)
    assert error[1] < 2e-3 * 64**0.5
    assert error[0] > 10 * error[1]


def test_weights_of_zero_give_the_bias() -> None:
    assert torch.equal(
        Int8Linear(torch.zeros(2, 8), torch.tensor([1.0, -2.0]))(torch.ones(1, 8))[0], torch.tensor([1.0, -2.0])
    )


@pytest.mark.parametrize("config", [SMALL_V1, SMALL_V2, replace(SMALL_V2, cls_token=False, head_pooling="mean")])
@torch.inference_mode()
def test_logits_stay_close_to_float32(config: MViTConfig) -> None:
    """Within a tenth of how the logits vary: each of some 20 layers rounds to 1 in 127."""
    model, clips = random_model(config), torch.randn(2, 3, 4, 32, 32)
    expected = model(clips)
    got = FastMViT(model).to_int8()(clips)
    assert 0 < float((got - expected).abs().max()) < 0.1 * float(expected.std()) + 0.1


def test_no_float_weight_of_a_linear_layer_is_left_in_the_blocks() -> None:
    quick = FastMViT(random_model(SMALL_V2)).to_int8()
    assert all(parameter.ndim == 1 or "rel_pos" in name for name, parameter in quick.blocks.named_parameters())


def test_pooling_before_the_projection_is_refused() -> None:
    with pytest.raises(ValueError, match="pool before they project"):
        FastMViT(random_model(replace(SMALL_V1, pool_first=True))).to_int8()
