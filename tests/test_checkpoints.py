"""Recognising, converting, inferring and strictly loading checkpoints; nothing in a file is believed or run."""

import pickle
from pathlib import Path
from typing import Any

import golden
import pytest
import torch

import mvit_cli
from mvit_cli.arch import MViTConfig, get_preset
from mvit_cli.checkpoints.formats.layouts import recognise, to_canonical
from mvit_cli.checkpoints.formats.reading import Checkpoint, read_checkpoint
from mvit_cli.checkpoints.load import describe, load_model, mismatches
from mvit_cli.errors import CheckpointError, UsageError


def described(name: str, preset: str | None = None, cfg: str | None = None) -> MViTConfig:
    return describe(Checkpoint(Path(name), golden.meta_state_dict(name), cfg), preset).config


@pytest.mark.parametrize("name", golden.NAMES)
def test_the_layout_is_recognised_from_the_keys(name: str) -> None:
    shapes = {key: tuple(shape) for key, shape in golden.golden(name)["state_dict"]}
    expected = golden.golden(name)["layout"].removesuffix("-joint-qkv")
    assert recognise(shapes) == expected


@pytest.mark.parametrize("name", golden.NAMES)
def test_every_layout_becomes_the_canonical_one(name: str) -> None:
    """The canonical names are those of a PySlowFast file: patterns, not a copy of the conversion."""
    native = golden.meta_state_dict(name)
    canonical = to_canonical(native, recognise({key: tuple(t.shape) for key, t in native.items()}))
    assert sum(t.numel() for t in canonical.values()) == sum(
        t.numel() for key, t in native.items() if "_attention_pool_" not in key
    )
    outside = {key.split(".")[0] for key in canonical} - {"blocks"}
    assert outside <= {
        *("cls_token", "pos_embed", "pos_embed_spatial", "pos_embed_temporal", "pos_embed_class"),
        *("patch_embed", "norm_stem", "norm", "head"),
    }
    inside = {key.split(".", 2)[2].split(".")[0] for key in canonical if key.startswith("blocks.")}
    assert inside <= {"norm1", "norm2", "attn", "mlp", "proj", "fuse"}


@pytest.mark.parametrize("name", [n for n in golden.NAMES if not n.startswith("small_") and golden.cfg_yaml(n)])
def test_shapes_and_cfg_tell_the_same_architecture(name: str) -> None:
    assert described(name) == described(name, cfg=golden.cfg_yaml(name))


def test_the_file_decides_where_keys_and_values_are_pooled() -> None:
    config = described("pysf_k400_mvit_b_16x4_june2021", "B")
    assert config.unpooled_kv_blocks == (14, 15)
    assert described("pysf_k400_mvit_b_32x3_sepqkv", "B-24").kernel_kv is None  # one wider than the stride


def test_the_file_decides_its_classes_positions_and_habits() -> None:
    assert described("pysf_ssv2_mvitv2_s_16x4", "v2-S").num_classes == 174
    assert described("ptv_mvit_base_16", "B-image").pos_embed == "separate"
    assert described("timm_mvitv2_small_cls", "mvitv2_small_cls").residual_pooling_cls
    assert not described("fb_mvitv2_b_cls", "mvitv2_base_cls").residual_pooling_cls


def test_a_preset_of_another_depth_width_or_length_is_an_error_that_names_both() -> None:
    for name, preset, parts in [
        ("tv_mvit_v1_b", "B-24", ["(1, 2, 11, 2)", "(2, 3, 16, 3)"]),
        ("tv_mvit_v1_b", "B-32x3", ["16 frames", "32"]),
        ("pysf_k400_mvitv2_l_312px_4f", "v2-L", ["4 frames", "40"]),
        ("timm_mvitv2_tiny", "mvitv2_small", ["(1, 2, 5, 2)", "(1, 2, 11, 2)"]),
        ("tv_mvit_v1_b", "mvitv2_s_16x4", ["query pooling", "mvitv2_s_16x4"]),
        ("fb_mvitv2_s", "v2-S", ["patch kernel", "(1, 7, 7)", "(3, 7, 7)"]),
    ]:
        with pytest.raises(CheckpointError) as caught:
            described(name, preset)
        assert all(part in caught.value.message for part in parts), caught.value.message


def test_an_unknown_architecture_without_cfg_names_the_presets_tried() -> None:
    with pytest.raises(CheckpointError, match="tried mvit_s_16x4, mvit_b_16x4"):
        described("small_tv_v1")


def test_pooling_without_tensors_is_not_guessed() -> None:
    pooling = (".pool_", ".norm_q", ".norm_k", ".norm_v")
    tensors = golden.meta_state_dict("pysf_k400_mvit_b_16x4")
    bare = {key: tensor for key, tensor in tensors.items() if not any(part in key for part in pooling)}
    with pytest.raises(CheckpointError, match="maximum or average"):
        describe(Checkpoint(Path("bare"), bare))


def test_old_cfgs_list_strides_without_block_numbers() -> None:
    """As the files of 2021 do; the blocks that hold pooling tensors are meant, in order."""
    cfg = golden.cfg_yaml("small_pysf_v1_june2021")
    assert cfg is not None
    old = (
        cfg.replace("POOL_KVQ_KERNEL", "POOL_KV_KERNEL")
        .replace("- - 0\n    - 1\n    - 4\n    - 4", "- - 1\n    - 4\n    - 4")
        .replace("- - 1\n    - 1\n    - 2\n    - 2", "- - 1\n    - 2\n    - 2")
        .replace("- - 2\n    - 1\n    - 2\n    - 2", "- - 1\n    - 2\n    - 2")
        .replace("- - 3\n    - 1\n    - 2\n    - 2", "- - 1\n    - 2\n    - 2")
    )
    assert old != cfg
    name = "small_pysf_v1_june2021"
    assert described(name, cfg=old) == described(name, cfg=cfg)


def test_the_head_of_a_maskfeat_fine_tune_sees_the_mean_token() -> None:
    assert described("pysf_k400_maskfeat_mvitv2_s_16x4_ft").head_pooling == "mean_then_norm"
    assert described("mma_k400_mvitv2_s_16x4_maskfeat").head_pooling == "cls"


@pytest.mark.parametrize("nesting", ["model_state", "state_dict", "model", None])
def test_published_nestings_are_read(nesting: str | None, tmp_path: Path) -> None:
    tensors = {f"module.{key}": tensor for key, tensor in golden.state_dict("small_pysf_v1").items()}
    path = tmp_path / "nested.pyth"
    torch.save({nesting: tensors, "epoch": 3} if nesting else tensors, path)
    assert set(read_checkpoint(path).tensors) == {key for key, _ in golden.golden("small_pysf_v1")["state_dict"]}


def test_strict_loading_names_the_first_of_each_kind(tmp_path: Path) -> None:
    tensors = golden.state_dict("small_pysf_v1")
    config = describe(Checkpoint(Path("x"), tensors, golden.cfg_yaml("small_pysf_v1"))).config
    tensors["blocks.0.attn.extra"] = torch.zeros(1)
    tensors["norm.weight"] = torch.zeros(7)
    del tensors["blocks.2.mlp.fc1.bias"]
    before = mvit_cli.build_model(config)
    with pytest.raises(CheckpointError) as caught:
        mvit_cli.load_state_dict(before, tensors)
    message = caught.value.message
    for part in (
        "layout pyslowfast",
        "blocks.2.mlp.fc1.bias",
        "blocks.0.attn.extra",
        "norm.weight (7,) instead of (96,)",
    ):
        assert part in message


def test_mismatches_are_counted_and_cut_short() -> None:
    expected = {f"a{i}": (1,) for i in range(5)}
    assert mismatches(expected, {}) == ["5 missing (a0, a1, a2, ...)"]
    assert mismatches(expected, dict(expected)) == []


class Evil:
    """Pickles to a call."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("code from a checkpoint ran",))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_would_run_code_runs_none(
    zipped: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "evil.pyth"
    torch.save({"model_state": {"a": torch.ones(1)}, "cfg": Evil()}, path, _use_new_zipfile_serialization=zipped)
    found = read_checkpoint(path)
    assert (found.tensors, found.cfg) == ({"a": torch.ones(1)}, None)
    torch.save({"model_state": Evil()}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(
        CheckpointError, match=r"refused: it holds an object of the class (__builtin__|builtins)\.print"
    ) as e:
        read_checkpoint(path)
    assert "safetensors" in e.value.hint
    assert "code from a checkpoint ran" not in capsys.readouterr().out


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.pyth", b""),
        ("text.pth", b"<html>404 not found</html>" * 20),
        ("cut.safetensors", b"\x40\x00\x00\x00\x00\x00\x00\x00{" + b'"a":'),
        ("pickle.pth", pickle.dumps({"a": 1})),
        ("zip.pth", b"PK\x03\x04" + b"\0" * 100),
    ],
)
def test_files_that_are_no_checkpoints_are_named(name: str, content: bytes, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=name):
        read_checkpoint(write(tmp_path / name, content))


def test_a_missing_file_and_an_unknown_name_are_told_apart() -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        mvit_cli.load_model("B", weights="nowhere/b.pyth")
    with pytest.raises(UsageError):
        mvit_cli.load_model("B", weights="mvit_b_16x4.nobody")


def test_without_weights_and_preset_there_is_nothing_to_load() -> None:
    with pytest.raises(ValueError, match="preset"):
        mvit_cli.load_model(None)


def test_half_precision_files_run_in_float32_unless_asked(tmp_path: Path) -> None:
    path = tmp_path / "half.pyth"
    half = {key: tensor.half() for key, tensor in golden.state_dict("small_pysf_v2").items()}
    torch.save({"model_state": half, "cfg": golden.cfg_yaml("small_pysf_v2")}, path)
    assert next(mvit_cli.load_model(None, weights=path).parameters()).dtype == torch.float32
    assert next(mvit_cli.load_model(None, weights=path, dtype="bfloat16").parameters()).dtype == torch.bfloat16
    with pytest.raises(ValueError, match="dtype"):
        mvit_cli.load_model(None, weights=path, dtype="float99")


def test_random_networks_need_no_file() -> None:
    model = mvit_cli.load_model("mvitv2_tiny", frames=1, size=64)
    assert not model.training
    assert model.config.height == 64
    assert get_preset("mvitv2_tiny").config.num_classes == model.config.num_classes


MMPRETRAIN = (
    ("patch_embed.proj.", "backbone.patch_embed.projection."),
    ("blocks.", "backbone.blocks."),
    ("norm.", "backbone.norm3."),
    ("head.projection.", "head.fc."),
)
"""Canonical names and those of mmpretrain's configs/mvit; the kernels of its images have no time axis."""


def test_mmpretrains_naming_gives_the_same_logits(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = load_model("mvitv2_tiny")
    renamed = {}
    for key, tensor in model.state_dict().items():
        theirs = next(new + key[len(old) :] for old, new in MMPRETRAIN if key.startswith(old))
        renamed[theirs] = tensor.squeeze(2) if tensor.ndim == 5 else tensor
    assert sum(tensor.numel() for tensor in renamed.values()) == 24_173_320  # of its metafile
    torch.save({"meta": {}, "state_dict": renamed}, tmp_path / "tiny.pth")
    clip = torch.randn(1, 3, 1, 224, 224)
    with torch.no_grad():
        assert torch.equal(load_model(None, tmp_path / "tiny.pth")(clip), model(clip))
