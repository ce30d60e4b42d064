"""Reference goldens as the tests use them: weights, input, and the configuration in our own terms."""

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import torch
import yaml

import mvit_cli
from mvit_cli.arch.config import HALVE_SPACE, STRIDE_ONE, MViTConfig, adaptive_stride_kv
from mvit_cli.model.mvit import MViT

FOLDER = Path(__file__).parent / "data" / "goldens"
sys.path.insert(0, str(FOLDER))
import fill as fill  # noqa: E402  # given on

NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.json")))


def load_small(name: str, folder: Path) -> MViT:
    """Through the file where it tells its strides, else through a configuration and `load_state_dict`."""
    shape = golden(name)["input"]["shape"]
    geometry: dict[str, Any] = {}
    if "source_config" in golden(name):
        geometry = {"frames": shape[2] if len(shape) == 5 else 1, "size": (shape[-2], shape[-1])}
    path = write_checkpoint(name, folder)
    if cfg_yaml(name):
        return mvit_cli.load_model(None, weights=path, **geometry)
    return mvit_cli.load_model(small_config(name), weights=path, **geometry)


@cache
def golden(name: str) -> dict[str, Any]:
    """The JSON of a golden."""
    return json.loads((FOLDER / f"{name}.json").read_text())


def with_logits(prefix: str = "") -> list[str]:
    return [name for name in NAMES if name.startswith(prefix) and "logits" in golden(name)]


def state_dict(name: str) -> dict[str, torch.Tensor]:
    """Native keys -> float32 tensors, checked against the golden's digest."""
    g = golden(name)
    weights = fill.state_dict(g["state_dict"], g["seed"], g.get("aliases"))
    assert fill.digest(weights) == g["weights_sha256"]
    return {key: torch.from_numpy(array) for key, array in weights.items()}


def meta_state_dict(name: str) -> dict[str, torch.Tensor]:
    """Native keys and shapes without values."""
    return {key: torch.empty(shape, device="meta") for key, shape in golden(name)["state_dict"]}


def clips(name: str) -> torch.Tensor:
    """The golden's input."""
    return torch.from_numpy(fill.model_input(golden(name)["input"]))


def cfg_yaml(name: str) -> str | None:
    """The training configuration as a PySlowFast or mvit checkpoint carries it; None for the other layouts."""
    g = golden(name)
    if not g["layout"].startswith(("pyslowfast", "mvit-image")):
        return None
    sections: dict[str, dict[str, Any]] = {}
    for key, value in (g.get("source_config") or g["config"]).items():
        if "." in key:
            section, field = key.split(".", 1)
            sections.setdefault(section, {})[field] = value
    return yaml.safe_dump(sections)


def write_checkpoint(name: str, folder: Path) -> Path:
    """The golden's weights as its code base publishes them."""
    path = folder / f"{name}.pyth"
    cfg = cfg_yaml(name)
    tensors = state_dict(name)
    layout = golden(name)["layout"]
    nested = {"model_state": tensors, "epoch": 1, "cfg": cfg} if cfg else tensors
    torch.save({"state_dict": tensors, "meta": {}} if layout == "mmaction2" else nested, path)
    return path


def small_config(name: str) -> MViTConfig:
    """The configuration of a small golden whose file does not tell its strides."""
    g = golden(name)
    image = len(g["input"]["shape"]) == 4
    read = {"torchvision": _torchvision, "pytorchvideo": _pytorchvideo, "mmaction2": _mmaction2, "timm": _timm}
    fields = read[g["layout"].removesuffix("-joint-qkv")](g.get("source_config") or g["config"])
    if image:
        fields |= {
            "frames": 1,
            "patch_kernel": (1, 7, 7),
            "patch_stride": (1, 4, 4),
            "patch_padding": (0, 3, 3),
            "kernel_q": (1, 3, 3),
            "kernel_kv": (1, 3, 3),
        }
    return MViTConfig(num_classes=10, **fields)


def _stages(
    depths: tuple[int, ...], channels: int, first_stride_kv: tuple[int, int, int] = (1, 4, 4)
) -> dict[str, Any]:
    stride_q = (STRIDE_ONE, *[HALVE_SPACE] * (len(depths) - 1))
    return {
        "stage_depths": depths,
        "stage_channels": tuple(channels << i for i in range(len(depths))),
        "stage_heads": tuple(1 << i for i in range(len(depths))),
        "stride_q": stride_q,
        "stride_kv": adaptive_stride_kv(first_stride_kv, stride_q),
    }


_V2 = {
    "pos_embed": "none",
    "rel_pos_space": True,
    "rel_pos_time": True,
    "pool_q_everywhere": True,
    "residual_pooling": True,
    "expand_in": "attn",
}


def _torchvision(config: dict[str, Any]) -> dict[str, Any]:
    depths = (1, 2, 2) if len(config["block_setting"]) == 5 else (1, 2, 1)
    size = dict(zip(("height", "width"), config["spatial_size"], strict=True))
    family = _V2 if config["rel_pos_embed"] else {}
    return {**_stages(depths, 24), **family, **size, "frames": config["temporal_size"]}


def _pytorchvideo(config: dict[str, Any]) -> dict[str, Any]:
    cls = config.get("cls_embed_on", True)
    fields = {
        **_stages((1, 2, 1), config["patch_embed_dim"]),
        "frames": config["temporal_size"],
        "height": config["spatial_size"],
        "width": config["spatial_size"],
        "cls_token": cls,
        "head_pooling": "cls" if cls else "mean",
        "pos_embed": "separate" if config.get("sep_pos_embed", True) else "joint",
    }
    if config.get("residual_pool"):
        fields |= {"pool_q_everywhere": True, "residual_pooling": True, "residual_pooling_cls": True}
        fields |= {"expand_in": "attn"}
    return fields


def _mmaction2(config: dict[str, Any]) -> dict[str, Any]:
    backbone = config["backbone"]
    if "img_size" in backbone:
        return _mmpretrain(backbone)
    depths = (1, 2, backbone["arch"]["num_layers"] - 3)
    cls = backbone.get("with_cls_token", True)
    return {
        **_stages(depths, backbone["arch"]["embed_dims"]),
        **_V2,
        "frames": backbone["temporal_size"],
        "height": backbone["spatial_size"],
        "width": backbone["spatial_size"],
        "cls_token": cls,
        "head_pooling": "cls" if cls else "mean",
        "pos_embed": "joint" if backbone.get("use_abs_pos_embed") else "none",
        "expand_in": "attn" if backbone.get("dim_mul_in_attention", True) else "mlp",
    }


def _mmpretrain(backbone: dict[str, Any]) -> dict[str, Any]:
    """Images, no class token: the mean of all places is classified."""
    absolute = backbone.get("use_abs_pos_embed", False)
    return {
        **_stages((1, 2, backbone["arch"]["num_layers"] - 3), backbone["arch"]["embed_dims"]),
        **_V2,
        "rel_pos_time": False,
        "height": backbone["img_size"],
        "width": backbone["img_size"],
        "cls_token": False,
        "head_pooling": "mean",
        "pos_embed": "joint" if absolute else "none",
    }


def _timm(config: dict[str, Any]) -> dict[str, Any]:
    cfg, size = config["cfg"], config["img_size"]
    cls = cfg["use_cls_token"]
    return {
        **_stages(tuple(cfg["depths"]), cfg["embed_dim"][0]),
        **_V2,
        "rel_pos_time": False,
        "height": size,
        "width": size,
        "cls_token": cls,
        "residual_pooling_cls": cls,
        "head_pooling": "cls" if cls else "mean",
        "pos_embed": "joint" if cfg["use_abs_pos"] else "none",
        "expand_in": "attn" if cfg["expand_attn"] else "mlp",
    }
