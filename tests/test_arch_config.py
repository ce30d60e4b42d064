"""A configuration is refused at construction, by field, value and what is allowed, or its network can be built."""

from dataclasses import replace
from typing import Any

import golden
import pytest
import yaml

from mvit_cli.arch import MViTConfig, block_specs, get_preset, preset_names
from mvit_cli.arch.fields import mlp_hidden
from mvit_cli.checkpoints.formats.reading import Checkpoint
from mvit_cli.checkpoints.load import describe
from mvit_cli.errors import CheckpointError

NESTED: Any = ()
for _ in range(100_000):
    NESTED = (NESTED,)

REFUSED: list[tuple[str, Any, str]] = [
    ("pool_mode", "Max", "'conv', 'max' or 'avg', not 'Max'"),
    ("pool_mode", None, "'conv', 'max' or 'avg', not None"),
    ("head_pooling", "avg", "'cls', 'mean' or 'mean_then_norm', not 'avg'"),
    ("pos_embed", "Joint", "'none', 'joint' or 'separate', not 'Joint'"),
    ("expand_in", "attention", "'attn' or 'mlp', not 'attention'"),
    ("expand_in", ["attn"], "'attn' or 'mlp'"),
    ("stride_q", ((1, 1, 1), (1, 2, 2), (1, -2, 2), (1, 2, 2)), "from 1 to 1024, not ((1, 1, 1), (1, 2, 2), (1, -2"),
    ("stride_kv", ((1, 8, 8), (1, 4, 4), (1, 0, 2), (1, 1, 1)), "from 1 to 1024"),
    ("stride_kv", ((1, 8, 8), (1, 4, 4), (1, 2), (1, 1, 1)), "tuple of 3"),
    ("stride_q", (1, 2, 2), "tuple of 1 or more, each a tuple of 3"),
    ("stride_q", ((1, 1, 1), (1, 2, 2), (1, 3, 3), (1, 2, 2)), "must be 1 or even"),
    ("stage_heads", (1, 2, 0, 8), "from 1 to 65536, not (1, 2, 0, 8)"),
    ("stage_heads", (1, 2, 5, 8), "384 channels cannot be shared by 5 heads"),
    ("stage_channels", (96, 192, 384.0, 768), "whole number from 1"),
    ("stage_channels", [96, 192, 384, 768], "must be a tuple"),
    ("kernel_kv", (3, 3), "tuple of 3, each a whole number from 1 to 64, or None, not (3, 3)"),
    ("kernel_kv", (3, 0, 3), "from 1 to 64, or None, not (3, 0, 3)"),
    ("kernel_kv", (3, True, 3), "whole number"),
    ("kernel_q", (2, 3, 3), "must be odd"),
    ("kernel_q", 3, "tuple of 3"),
    ("patch_kernel", None, "tuple of 3"),
    ("patch_kernel", (3, 7, 7, 7), "tuple of 3"),
    ("patch_padding", (1, -3, 3), "from 0 to 64, not (1, -3, 3)"),
    ("patch_stride", ((2,), 4, 4), "tuple of 3"),
    ("mlp_ratio", -4.0, "above 0 and up to 65536, not -4.0"),
    ("mlp_ratio", 0, "above 0"),
    ("mlp_ratio", float("nan"), "not nan"),
    ("mlp_ratio", float("inf"), "not inf"),
    ("mlp_ratio", True, "not True"),
    ("mlp_ratio", "4", "not '4'"),
    ("mlp_ratio", 0.001, "gives 0 hidden channels to a stage of 96"),
    ("mlp_ratio", 60_000.0, "hidden channels to a stage of 96; 1 to 65536 are allowed"),
    ("stage_depths", (), "tuple of 1 or more, each a whole number from 1 to 1000, not ()"),
    ("stage_depths", (1, 2), "one entry a stage is needed everywhere"),
    ("stage_depths", (1, 0, 11, 2), "from 1 to 1000"),
    ("stage_depths", (1, 2, 11, 999), "1013 blocks; at most 1000"),
    ("stage_depths", NESTED, "tuple of 1 or more"),
    ("unpooled_kv_blocks", (99,), "names block 99; blocks 0 to 15 are allowed"),
    ("unpooled_kv_blocks", (-1,), "from 0 to 1000, not (-1,)"),
    ("unpooled_kv_blocks", (False,), "whole number"),
    ("frames", 0, "from 1 to 1000000, not 0"),
    ("frames", 16.0, "not 16.0"),
    ("frames", True, "not True"),
    ("height", float("nan"), "not nan"),
    ("width", "224", "not '224'"),
    ("num_classes", 10**5000, "too large to print"),
    ("num_classes", None, "not None"),
    ("cls_token", 1, "True or False, not 1"),
    ("cls_token", False, "head_pooling='cls' needs cls_token=True"),
    ("rel_pos_space", "yes", "True or False, not 'yes'"),
    ("frames", 1_000_000, "at most 134217728 are allowed"),
]


@pytest.mark.parametrize(("field", "value", "said"), REFUSED, ids=[f"{f}-{i}" for i, (f, _, _) in enumerate(REFUSED)])
def test_what_cannot_be_built_is_refused_with_field_value_and_what_is_allowed(
    field: str, value: Any, said: str
) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        MViTConfig(**{field: value, **({"height": 10_000, "width": 10_000} if value == 1_000_000 else {})})
    message = str(caught.value)
    assert said in message
    assert field in message or (field, value) == ("frames", 1_000_000)
    assert len(message) < 400


def test_every_preset_is_allowed() -> None:
    for name in preset_names():
        config = get_preset(name).config
        assert replace(config) == config


def test_pooling_first_does_not_widen_in_the_attention() -> None:
    with pytest.raises(ValueError, match="expand_in must be 'mlp', not 'attn'"):
        MViTConfig(pool_first=True, expand_in="attn")


def test_any_stride_goes_with_kernels_that_follow_it() -> None:
    """The skip connection's window is the query's."""
    specs = block_specs(MViTConfig(kernel_q=None, stride_q=((1, 1, 1), (1, 3, 3), (1, 2, 2), (1, 5, 5))))
    assert [spec.kernel_q for spec in specs if spec.kernel_q] == [(1, 4, 4), (1, 3, 3), (1, 6, 6)]
    assert all(spec.kernel_q == spec.kernel_skip for spec in specs)


def test_a_hidden_width_survives_the_way_through_its_ratio() -> None:
    assert all(mlp_hidden(dim, hidden / dim) == hidden for dim in range(1, 200) for hidden in range(1, 200))


def test_tables_have_a_row_where_floor_division_leaves_no_grid() -> None:
    config = replace(get_preset("v2-S").config, frames=2, height=32, width=32, stride_kv=((1, 32, 32),) * 4)
    assert block_specs(config)[-1].rel_pos_thw == (1, 1, 1)


@pytest.mark.parametrize(
    ("key", "value"),
    [("MVIT.PATCH_STRIDE", [0, 4, 4]), ("MVIT.PATCH_PADDING", [-1, 3, 3]), ("MVIT.PATCH_STRIDE", [2, 4, 99999])],
)
def test_a_file_that_asks_for_what_cannot_be_built_is_an_error_of_the_file(key: str, value: Any) -> None:
    name = next(n for n in golden.NAMES if n.startswith("small_") and golden.cfg_yaml(n))
    cfg = yaml.safe_load(golden.cfg_yaml(name) or "")
    section, option = key.split(".")
    cfg[section][option] = value
    with pytest.raises(CheckpointError):
        describe(Checkpoint(golden.FOLDER / name, golden.meta_state_dict(name), yaml.safe_dump(cfg)))
