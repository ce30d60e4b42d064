"""The other implementations of MViT, as they are installed or as `--source` folders make them importable.

Each is built with random weights by its own code; ours takes the same weights over.
"""

import importlib
import importlib.util
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from mvit_cli.model.pooling_attention import LAYER_NORM_EPS


@dataclass(frozen=True)
class Peer:
    """One network of one code base, and the preset of ours that it equals."""

    library: str
    name: str
    preset: str
    build: Callable[[], nn.Module]


def folder_of(library: str) -> Path:
    """Where a code base lies; nothing of it is imported."""
    return Path(importlib.util.find_spec(library).submodule_search_locations[0])


def skip_own_imports(*packages: str) -> None:
    """Makes the modules of packages importable without each package's `__init__`, which imports every other network."""
    for name in packages:
        library, _, inner = name.partition(".")
        package = sys.modules.setdefault(name, ModuleType(name))
        package.__path__ = [str(folder_of(library).joinpath(*inner.split(".")))]


def stand_in(name: str, **contents: Any) -> None:
    """A module in place of one that a code base imports and its MViT does not use."""
    if name not in sys.modules:
        sys.modules[name] = ModuleType(name)
        vars(sys.modules[name]).update(contents)


def _torchvision(name: str) -> nn.Module:
    """A binary of torchvision made for another torch cannot load, and then registering its operators fails at import.

    The networks need none of them, so the modules that register are replaced by empty ones.
    """
    if "torchvision" not in sys.modules:
        for module in ("torchvision._meta_registrations", "torchvision._autograd_registrations"):
            stand_in(module)
    video = importlib.import_module("torchvision.models.video")
    return getattr(video, name)(weights=None)


def _timm(name: str) -> nn.Module:
    _torchvision("mvit_v1_b")  # timm imports torchvision
    return importlib.import_module("timm").create_model(name, pretrained=False)


def _pytorchvideo(name: str) -> nn.Module:
    _torchvision("mvit_v1_b")  # pytorchvideo imports torchvision
    network = getattr(importlib.import_module("pytorchvideo.models.hub.vision_transformers"), name)()
    for module in network.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = LAYER_NORM_EPS  # it has 1e-5 after pooling, where all others have 1e-6
    return network


class _MMAction2(nn.Module):
    """Its backbone with the linear layer of its head, under the names of its checkpoints."""

    def __init__(self, arch: str, frames: int) -> None:
        super().__init__()
        _torchvision("mvit_v1_b")  # mmcv imports torchvision
        skip_own_imports("mmaction.models", "mmaction.models.backbones")
        self.backbone = importlib.import_module("mmaction.models.backbones.mvit").MViT(arch, temporal_size=frames)
        self.cls_head = nn.Module()
        self.cls_head.fc_cls = nn.Linear(768, 400)

    def forward(self, clips: Tensor) -> Tensor:
        _, cls_token = self.backbone(clips)[-1]
        return self.cls_head.fc_cls(cls_token)


def _pyslowfast(config: str) -> nn.Module:
    """What one of its own configurations describes, up to the logits."""
    skip_own_imports("slowfast.models")
    stand_in("slowfast.utils.logging", get_logger=logging.getLogger)  # its own needs an unreleased pytorchvideo
    stand_in("detectron2")
    stand_in("detectron2.layers", ROIAlign=None)  # of the heads for detection
    cfg = importlib.import_module("slowfast.config.defaults").get_cfg()
    cfg.merge_from_file(str(folder_of("slowfast").parent / "configs" / config))
    cfg.MODEL.HEAD_ACT = "none"  # it would give probabilities
    network = importlib.import_module("slowfast.models.video_model_builder").MViT(cfg)
    network.register_forward_pre_hook(lambda _, arguments: (list(arguments),))  # it takes a list of pathways
    return network


PEERS = (
    Peer("torchvision", "mvit_v1_b", "mvit_b_16x4", lambda: _torchvision("mvit_v1_b")),
    Peer("pytorchvideo", "mvit_base_16x4", "mvit_b_16x4", lambda: _pytorchvideo("mvit_base_16x4")),
    Peer("slowfast", "MVIT_B_16x4_CONV", "mvit_b_16x4", lambda: _pyslowfast("Kinetics/MVIT_B_16x4_CONV.yaml")),
    Peer("torchvision", "mvit_v2_s", "mvitv2_s_16x4", lambda: _torchvision("mvit_v2_s")),
    Peer("mmaction", "small", "mvitv2_s_16x4", lambda: _MMAction2("small", 16)),
    Peer("slowfast", "MVITv2_S_16x4", "mvitv2_s_16x4", lambda: _pyslowfast("Kinetics/MVITv2_S_16x4.yaml")),
    Peer("mmaction", "base", "mvitv2_b_32x3", lambda: _MMAction2("base", 32)),
    Peer("slowfast", "MVITv2_B_32x3", "mvitv2_b_32x3", lambda: _pyslowfast("Kinetics/MVITv2_B_32x3.yaml")),
    Peer("timm", "mvitv2_small", "mvitv2_small", lambda: _timm("mvitv2_small")),
    Peer("slowfast", "MVITv2_S", "mvitv2_small", lambda: _pyslowfast("ImageNet/MVITv2_S.yaml")),
)


def importable(library: str) -> bool:
    """Whether this Python finds the code base."""
    return importlib.util.find_spec(library) is not None


def version_of(library: str) -> str:
    """Version of an installed code base; one used from its source has none."""
    try:
        return version(library)
    except PackageNotFoundError:
        return "source"
