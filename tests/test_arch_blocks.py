"""Blocks, grids and presets as the papers print them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvit_cli.arch import (
    MViTConfig,
    adaptive_stride_kv,
    block_specs,
    get_preset,
    preset_names,
    resolve_preset,
    summarize,
)
from mvit_cli.arch.config import HALVE_SPACE, STRIDE_ONE
from mvit_cli.arch.grid import pooled_length
from mvit_cli.errors import UsageError


@given(st.integers(1, 200), st.integers(1, 9), st.integers(1, 9), st.integers(0, 4))
def test_pooled_length_counts_the_windows(length: int, kernel: int, stride: int, padding: int) -> None:
    starts = range(-padding, length + padding - kernel + 1, stride)  # every window that lies inside the padded axis
    if starts:
        assert pooled_length(length, kernel, stride, padding) == len(starts)
    else:
        with pytest.raises(ValueError, match="does not fit"):
            pooled_length(length, kernel, stride, padding)


def test_mvit_b_has_the_sequence_lengths_of_the_paper() -> None:
    stages = {stage["name"]: stage for stage in summarize("B")["stages"]}
    lengths = [stages[name]["sequence_length"] for name in ("cube1", "scale2", "scale3", "scale4", "scale5")]
    assert lengths == [25089, 25089, 6273, 1569, 393]  # MViT paper, section 4.1
    assert [stages[f"scale{i}"]["channels"] for i in (2, 3, 4, 5)] == [96, 192, 384, 768]  # Table 3b
    assert [stages[f"scale{i}"]["thw"] for i in (2, 3, 4, 5)] == [[8, 56, 56], [8, 28, 28], [8, 14, 14], [8, 7, 7]]


def test_keys_are_393_but_for_the_first_block_of_a_later_stage() -> None:
    blocks = summarize("B")["blocks"]
    first = {1, 3, 14}  # 1-2-11-2 blocks
    assert [block["kv_sequence_length"] for block in blocks] == [1569 if i in first else 393 for i in range(16)]


def test_adaptive_strides_shrink_as_the_query_grid_does() -> None:
    stride_q = (STRIDE_ONE, HALVE_SPACE, HALVE_SPACE, HALVE_SPACE)
    assert adaptive_stride_kv((1, 8, 8), stride_q) == ((1, 8, 8), (1, 4, 4), (1, 2, 2), (1, 1, 1))
    assert adaptive_stride_kv((1, 4, 4), stride_q) == ((1, 4, 4), (1, 2, 2), (1, 1, 1), (1, 1, 1))


def test_width_grows_before_the_stage_in_mvit_and_inside_it_in_mvitv2() -> None:
    v1, v2 = block_specs(get_preset("B").config), block_specs(get_preset("v2-S").config)
    assert (v1[0].dim_in, v1[0].dim_attn, v1[0].dim_out) == (96, 96, 192)
    assert (v1[1].dim_in, v1[1].dim_attn, v1[1].dim_out) == (192, 192, 192)
    assert (v2[1].dim_in, v2[1].dim_attn, v2[1].dim_out) == (96, 192, 192)


def test_odd_grids_follow_the_pooling_formula() -> None:
    blocks = summarize("v2-S", size=56)["blocks"]
    assert blocks[0]["thw_out"] == [8, 14, 14]
    assert blocks[-1]["thw_out"] == [8, 2, 2]
    assert summarize("v2-S", size=(250, 170), frames=15)["blocks"][0]["thw_in"] == [8, 63, 43]


@pytest.mark.parametrize(
    ("alias", "name"),
    [("B", "mvit_b_16x4"), ("b", "mvit_b_16x4"), ("V2-s", "mvitv2_s_16x4"), ("MViT-B-32x3", "mvit_b_32x3")],
)
def test_names_ignore_case_and_hyphens(alias: str, name: str) -> None:
    assert resolve_preset(alias) == name


def test_a_wrong_name_offers_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        get_preset("mvitv2_s_16x5")
    assert "mvitv2_s_16x4" in caught.value.hint
    assert caught.value.exit_code == 2


def test_all_presets_of_the_contract_are_there() -> None:
    video = {
        "mvit_s_16x4",
        "mvit_b_16x4",
        "mvit_b_32x3",
        "mvit_b_64x3",
        "mvit_b24_32x3",
        "camera_motion",
        "mvit_tiny_16x4",
    }
    ours = {"camera_motion", "mvit_tiny_16x4", "mvitv2_pico_28"}
    video_v2 = {"mvitv2_s_16x4", "mvitv2_b_32x3", "mvitv2_l_40x3"}
    image = {"mvit_b_in1k", "mvit_b24_in1k", "mvit_b24_wide_in1k"}
    image_v2 = {f"mvitv2_{size}" for size in ("tiny", "small", "base", "large")}
    image_cls = {f"mvitv2_{size}_cls" for size in ("small", "base", "large", "huge")}
    reversible = {"rev_mvit_b_16x4", "rev_mvit_b_in1k"}  # added since
    plain = {"vit_b_8x8"}  # the papers' baseline
    assert set(preset_names()) == plain | ours | video | video_v2 | image | image_v2 | image_cls | reversible


@pytest.mark.parametrize(
    "fields",
    [
        {"stage_depths": (1, 2)},
        {"stage_heads": (1, 2, 5, 8)},
        {"frames": 0},
        {"cls_token": False},
        {"stage_depths": (1, 0, 11, 2)},
    ],
)
def test_impossible_configurations_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        MViTConfig(**fields)  # type: ignore[arg-type]


def test_a_geometry_without_room_for_the_patches_is_refused() -> None:
    with pytest.raises(ValueError, match="3x8x8 needs at least 1x8x8"):
        summarize("S", size=4)
