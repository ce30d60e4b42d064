"""Reversible MViT: PySlowFast's names and cfg, two streams as the paper says, and what is refused."""

from pathlib import Path
from typing import Any

import golden
import numpy as np
import paper_network
import pytest
import torch
import yaml
from test_fast import random_model

import mvit_cli
from mvit_cli.arch import MViTConfig, block_specs, get_preset, summarize
from mvit_cli.arch.parameters import parameter_shapes
from mvit_cli.arch.summary import preset_of
from mvit_cli.errors import CheckpointError, UsageError
from mvit_cli.model.fast.network import FastMViT
from mvit_cli.model.reversible import ReversibleBlock
from mvit_cli.training.drop_path import DropPath

SAME_SUMS = 1e-9  # float64, other orders of summation
VIDEO = MViTConfig(
    frames=4,
    height=32,
    width=32,
    num_classes=5,
    stage_depths=(1, 2, 3),
    stage_channels=(8, 16, 32),
    stage_heads=(1, 2, 4),
    stride_q=((1, 1, 1), (1, 2, 2), (1, 2, 2)),
    stride_kv=((1, 4, 4), (1, 2, 2), (1, 1, 1)),
    cls_token=False,
    head_pooling="mean",
    expand_in="attn",
    qkv_bias=False,
    reversible="mean",
)
IMAGE: dict[str, Any] = {
    "frames": 1,
    "patch_kernel": (1, 7, 7),
    "patch_stride": (1, 4, 4),
    "patch_padding": (0, 3, 3),
    "kernel_q": (1, 3, 3),
    "kernel_kv": (1, 3, 3),
    "pos_embed": "joint",
    "qkv_bias": True,
    "reversible": "mlp",
}
NATIVE = (  # canonical -> PySlowFast, as `ReversibleMViT` names its parts
    ("norm1.", "F.norm."),
    ("norm2.", "G.norm."),
    ("attn.", "F.attn."),
    ("mlp.", "G.mlp."),
    ("proj.", "res_proj."),
    ("fuse.", "pre_q_fuse.fuse_fn."),
)


def config_of(kind: str) -> MViTConfig:
    from dataclasses import replace

    return VIDEO if kind == "mean" else replace(VIDEO, **IMAGE)


def native(config: MViTConfig) -> dict[str, torch.Tensor]:
    """The state dict of PySlowFast; an image network with q, k and v apart and flat kernels, as the published one."""
    shapes: dict[str, tuple[int, ...]] = {}
    for key, shape in parameter_shapes(config).items():
        name = key
        if key.startswith("blocks."):
            _, number, rest = key.split(".", 2)
            old, new = next(pair for pair in NATIVE if rest.startswith(pair[0]))
            name = f"rev_backbone.layers.{number}.{new}{rest.removeprefix(old)}"
        if key == "patch_embed.proj.weight" and config.frames == 1:
            shape = (*shape[:2], *shape[3:])
        if ".attn.qkv." in name and config.frames == 1:
            shapes |= {name.replace(".qkv.", f".{part}."): (shape[0] // 3, *shape[1:]) for part in "qkv"}
        else:
            shapes[name] = shape
    weights = golden.fill.state_dict([[key, list(shape)] for key, shape in shapes.items()], 0)
    return {key: torch.from_numpy(array) for key, array in weights.items()}


def cfg_of(config: MViTConfig, **rev: Any) -> str:
    image = config.frames == 1
    fusion = {"PRE_Q_FUSION": "concat_linear_2"} if image else {}  # avg is PySlowFast's default
    mvit = {
        "REV": {"ENABLE": True, "RESPATH_FUSE": "concat", "BUFFER_LAYERS": [1, 3], "RES_PATH": "conv"} | fusion | rev,
        "PATCH_2D": image,
        "PATCH_KERNEL": [7, 7] if image else [3, 7, 7],
        "PATCH_STRIDE": [4, 4] if image else [2, 4, 4],
        "PATCH_PADDING": [3, 3] if image else [1, 3, 3],
        "NUM_HEADS": 1,
        "DEPTH": 6,
        "HEAD_MUL": [[1, 2.0], [3, 2.0]],
        "POOL_KVQ_KERNEL": list(config.kernel_q or ()),
        "POOL_KV_STRIDE_ADAPTIVE": [1, 4, 4],
        "POOL_Q_STRIDE": [[1, 1, 2, 2], [3, 1, 2, 2]],
    }
    return yaml.safe_dump({"MVIT": mvit, "DATA": {"NUM_FRAMES": config.frames, "TRAIN_CROP_SIZE": 32}})


def file_of(kind: str, folder: Path, tensors: dict[str, torch.Tensor] | None = None, **rev: Any) -> Path:
    config, path = config_of(kind), folder / "rev.pyth"
    torch.save({"model_state": native(config) | (tensors or {}), "cfg": cfg_of(config, **rev)}, path)
    return path


@pytest.mark.parametrize("kind", ["mean", "mlp"])
def test_a_file_of_pyslowfast_computes_what_the_paper_says(kind: str, tmp_path: Path) -> None:
    config = config_of(kind)
    model = mvit_cli.load_model(None, file_of(kind, tmp_path), dtype="float64")
    assert model.config == config
    clips = torch.randn(2, 3, *config.input_thw, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    parameters = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    expected = np.stack([paper_network.logits(config, parameters, clip.numpy()) for clip in clips])
    with torch.inference_mode():
        assert np.abs(model(clips).numpy() - expected).max() <= SAME_SUMS
        assert np.abs(FastMViT(model)(clips).numpy() - expected).max() <= SAME_SUMS


@pytest.mark.parametrize("kind", ["mean", "mlp"])
def test_the_fast_path_takes_a_few_rows_at_a_time(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mvit_cli.model.fast.layout.CPU_ROWS", 7)
    model = random_model(config_of(kind))
    clips = torch.randn(3, 3, *model.config.input_thw)
    given = clips.clone()
    with torch.inference_mode():
        assert torch.allclose(FastMViT(model)(clips), model(clips), atol=1e-5)
    assert torch.equal(clips, given)


@pytest.mark.parametrize("kind", ["mean", "mlp"])
def test_features_and_pooled_qkv_of_two_streams(kind: str) -> None:
    model = random_model(config_of(kind))
    clips = torch.randn(2, 3, *model.config.input_thw)
    with torch.inference_mode():
        assert torch.equal(model.head(model.features(clips)), model(clips))
        grid = model.features(clips, "scale3")
        assert grid.shape[1] == 2 * 16
        assert torch.allclose(FastMViT(model).features(clips, "scale3"), grid, atol=1e-5)
        first = model.features(clips, "cube1")
        assert torch.equal(*first.chunk(2, dim=1))  # both streams begin as the embedded tokens
        for spec in block_specs(model.config):
            pooled = model.pooled_qkv(clips, spec.index)
            assert pooled.q.shape[1:] == (spec.heads, spec.sequence_length, spec.head_dim)
            assert pooled.k.shape[2] == spec.kv_sequence_length


@pytest.mark.parametrize(
    ("rev", "told"),
    [
        ({"RES_PATH": "max"}, "MVIT.REV.RES_PATH 'max'"),
        ({"RESPATH_FUSE": "avg"}, "MVIT.REV.RESPATH_FUSE 'avg'"),
        ({"PRE_Q_FUSION": "max"}, "MVIT.REV.PRE_Q_FUSION 'max'"),
        (
            {"PRE_Q_FUSION": "concat_linear_2"},
            "joined by mlp in the blocks 1, 3, its tensors and strides say .* by mean",
        ),
        ({"BUFFER_LAYERS": [1]}, "in the blocks 1, its tensors and strides say .* 1, 3"),
        ({"ENABLE": False}, "says one stream"),
    ],
)
def test_other_kinds_are_refused_by_name(rev: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=told):
        mvit_cli.load_model(None, file_of("mean", tmp_path, **rev))


@pytest.mark.parametrize(
    ("key", "told"),
    [("fuse.fuse_fn.fc1.weight", "RESPATH_FUSE"), ("rev_backbone.layers.1.pre_q_fuse.fuse_fn.0.weight", "ln")],
)
def test_tensors_of_other_kinds_are_refused_by_name(key: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=told):
        mvit_cli.load_model(None, file_of("mean", tmp_path, {key: torch.zeros(1)}))


@pytest.mark.parametrize("kind", ["mean", "mlp"])
def test_a_reversible_network_learns_classes_of_ones_own(kind: str, tmp_path: Path) -> None:
    """`--method full`, with branches left out at random: both streams are what its classifier sees."""
    moves = Path(__file__).parent / "data" / "moves"
    for place, clip in enumerate(sorted(moves.glob("*/*.mp4"))[::7]):
        folder = tmp_path / "data" / clip.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{place}.mp4").symlink_to(clip)
    tuned = tmp_path / "tuned.safetensors"
    mvit_cli.train(
        tmp_path / "data",
        output=tuned,
        weights=file_of(kind, tmp_path),
        method="full",
        epochs=1,
        batch_size=4,
        views="1x1",
    )
    model = mvit_cli.load_model(None, tuned)
    assert (model.config.reversible, model.config.num_classes) == (kind, 3)


@pytest.mark.parametrize("kind", ["mean", "mlp"])
def test_both_streams_are_learned_and_branches_left_out(kind: str) -> None:
    model = random_model(config_of(kind)).train()
    clips = torch.randn(2, 3, *model.config.input_thw)
    paths = DropPath(model, 0.5)
    model(clips).square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())
    unused = ("norm_k.bias",)  # the same for all keys, which a softmax does not see
    assert all(
        bool(p.grad.abs().max() > 0)
        for n, p in model.named_parameters()
        if p.grad is not None and not n.endswith(unused)
    )
    block, x, thw = model.blocks[0], torch.randn(2, 16, 16), (1, 4, 4)
    assert isinstance(block, ReversibleBlock)
    paths.use(torch.zeros(2 * len(model.blocks), 2))
    assert torch.equal(block(x, thw)[0], x)  # nothing is added to either stream
    paths.use(torch.tensor([[0.0, 2.0], [1.0, 1.0]]).repeat(len(model.blocks), 1))
    first, second = block(x, thw)[0].chunk(2, dim=2)
    assert torch.equal(first[0], x[0, :, :8])
    expected = x[:1, :, 8:] + block.mlp(block.norm2(x[:1, :, :8]))
    assert torch.allclose(second[:1], expected, atol=1e-6)


def test_integers_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="dtype int8: this network is reversible"):
        mvit_cli.Recogniser(weights=file_of("mean", tmp_path), dtype="int8")


@pytest.mark.parametrize("name", ["rev_mvit_b_16x4", "rev_mvit_b_in1k"])
def test_the_published_ones_cost_what_is_reported_and_are_known_by_their_keys(name: str) -> None:
    from mvit_cli.checkpoints.formats.reading import Checkpoint
    from mvit_cli.checkpoints.load import describe

    summary, config = summarize(name), get_preset(name).config
    assert summary["paper"] is not None
    assert 0 <= summary["params"] / 1e6 - summary["paper"]["params_m"] < 1  # they print 34.9 of 34.96, 39 of 39.69
    assert summary["macs"] / 1e9 == pytest.approx(summary["paper"]["gflops"], rel=0.01)
    with torch.device("meta"):
        tensors = {key: torch.empty(shape) for key, shape in parameter_shapes(config).items()}
    found = describe(Checkpoint(Path(name), tensors)).config
    assert found == config
    assert (preset := preset_of(found))
    assert preset.name == name
