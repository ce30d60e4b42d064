"""Small valid checkpoints of every layout, and the containers that they come in: what hostile ones are made of."""

import io
import json
import random
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
from hostile_trees import json_text, mutated, nasty, python_text, yaml_text
from safetensors.torch import save

sys.path.append(str(Path(__file__).parents[1] / "tests"))
import golden

from mvit_cli.arch.config import MViTConfig
from mvit_cli.checkpoints.formats.reading import Checkpoint
from mvit_cli.checkpoints.load import CONFIG_KEY, config_to_json, describe

SMALL = tuple(
    name
    for name in golden.NAMES
    if name.startswith("small_") and not any(part in name for part in ("312px", "64x96", "resized", "56px"))
)
"""Goldens whose weights are the corpus: every layout, every family; square pictures of 64 pixels."""

Files = dict[str, bytes]


@dataclass(frozen=True)
class Source:
    """A small checkpoint, and what its code base writes beside the weights."""

    name: str
    layout: str
    tensors: Mapping[str, torch.Tensor]
    beside: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Where the state dict lies."""
        return "model_state" if "cfg" in self.beside else "state_dict"


_MMA_CFG = {
    "model": {
        "type": "Recognizer3D",
        "backbone": {"type": "MViT", "arch": "small", "with_cls_token": True},
        "data_preprocessor": {"type": "ActionDataPreprocessor", "mean": [114.75] * 3, "std": [57.375] * 3},
        "cls_head": {"type": "MViTHead", "num_classes": 10, "multi_class": False},
    },
    "test_pipeline": [
        {"type": "SampleFrames", "clip_len": 8, "frame_interval": 4, "num_clips": 5, "test_mode": True},
        {"type": "Resize", "scale": (-1, 64)},
        {"type": "CenterCrop", "crop_size": 64},
    ],
    "dataset_meta": {"classes": [f"class {number}" for number in range(10)]},
}
_SECTIONS = {
    "DATA": {"MEAN": [0.45] * 3, "STD": [0.225] * 3, "NUM_FRAMES": 8, "SAMPLING_RATE": 4, "TARGET_FPS": 30},
    "TEST": {"NUM_ENSEMBLE_VIEWS": 2, "NUM_SPATIAL_CROPS": 1, "DATASET": "kinetics"},
    "MODEL": {"HEAD_ACT": "softmax", "LOSS_FUNC": "cross_entropy", "NUM_CLASSES": 10},
}
TIMM = {
    "architecture": "mvitv2_tiny",
    "num_classes": 10,
    "label_names": [f"class {number}" for number in range(10)],
    "pretrained_cfg": {
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "crop_pct": 0.9,
        "interpolation": "bicubic",
        "input_size": [3, 64, 64],
    },
}


@cache
def source(name: str) -> Source:
    """A golden as a source of files."""
    layout = golden.golden(name)["layout"]
    tensors = golden.state_dict(name)
    if (cfg := golden.cfg_yaml(name)) is not None:
        import yaml

        tree = yaml.safe_load(cfg)
        for section, fields in _SECTIONS.items():
            tree[section] = {**fields, **(tree.get(section) or {})}
        return Source(name, layout, tensors, {"epoch": 3, "cfg": tree})
    if layout == "mmaction2":
        return Source(name, layout, tensors, {"meta": {"mmengine_version": "0.10.0", "cfg": _MMA_CFG}})
    return Source(name, layout, tensors, {"arch": name, "args": {"lr": 0.1}})


# --- files of what a source holds


def contents(origin: Source, rng: random.Random, *, harm: bool = False) -> dict[str, Any]:
    """The object that `torch.save` is given; with `harm`, what stands beside the weights is mutated."""
    beside = dict(origin.beside)
    if "cfg" in beside:
        beside["cfg"] = yaml_text(mutated(beside["cfg"], rng), rng) if harm else json_text(beside["cfg"])
    if "meta" in beside:
        meta = dict(beside["meta"])
        meta["cfg"] = python_text(mutated(meta["cfg"], rng) if harm else meta["cfg"])
        beside["meta"] = mutated(meta, rng, 1) if harm and rng.random() < 0.5 else meta
    if harm and rng.random() < 0.2:
        beside[rng.choice(("cfg", "meta", "arch", "epoch", "best_epoch", "args", "optimizer"))] = nasty(rng)
    return {origin.key: dict(origin.tensors), **beside}


def saved(content: Any, *, zipped: bool = True) -> bytes:
    """Bytes of a torch file."""
    held = io.BytesIO()
    torch.save(content, held, _use_new_zipfile_serialization=zipped)
    return held.getvalue()


def entries_of(data: bytes) -> dict[str, bytes]:
    """The files in a zip."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {entry.filename: archive.read(entry) for entry in archive.infolist()}


def zipped(entries: list[tuple[str, bytes]], packing: int = zipfile.ZIP_STORED) -> bytes:
    """A zip of these files, in which a name may come twice."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", packing) as archive:
        for name, data in entries:
            archive.writestr(zipfile.ZipInfo(name), data, packing)
    return held.getvalue()


def safetensors(header: Any, numbers: bytes) -> bytes:
    """A safetensors file with any header."""
    raw = json_text(header).encode("utf-8", "surrogatepass")
    return len(raw).to_bytes(8, "little") + raw + numbers


def split(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and numbers of a safetensors file."""
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def canonical(rng: random.Random) -> tuple[dict[str, torch.Tensor], MViTConfig]:
    """Tensors as our own files have them."""
    origin = source(rng.choice([name for name in SMALL if name.startswith(("small_pysf", "small_fb"))]))
    cfg = json_text(origin.beside["cfg"])
    described = describe(Checkpoint(Path(origin.name), dict(origin.tensors), cfg))
    return described.tensors, described.config


def any_source(rng: random.Random) -> Source:
    """One of them."""
    return source(rng.choice(SMALL))


def valid(rng: random.Random) -> Files:
    """Nothing wrong."""
    origin = any_source(rng)
    match rng.randrange(4):
        case 0:
            tensors, config = canonical(rng)
            own = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
            return {"w.safetensors": save(own, {CONFIG_KEY: config_to_json(config), "format": "pt"})}
        case 1:
            return {"w.pth": saved(contents(origin, rng), zipped=False)}
        case _:
            return {"w.pyth": saved(contents(origin, rng))}
