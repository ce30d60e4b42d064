"""The other implementations of MViT, as they are installed or as `--source` folders make them importable.

Each is built with random weights by its own code; ours takes the same weights over.
"""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

from torch import Tensor, nn

from mvit_cli.model.pooling import LAYER_NORM_EPS


@dataclass(frozen=True)
class Peer:
    """One network of one code base, and the preset of ours that it equals."""

    library: str
    name: str
    preset: str
    build: Callable[[], nn.Module]


def _torchvision(name: str) -> nn.Module:
    """A binary of torchvision made for another torch cannot load, and then registering its operators fails at import.

    The networks need none of them, so the modules that register are replaced by empty ones.
    """
    if "torchvision" not in sys.modules:
        for module in ("torchvision._meta_registrations", "torchvision._autograd_registrations"):
            sys.modules[module] = ModuleType(module)
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
        root = importlib.util.find_spec("mmaction").submodule_search_locations[0]
        for name in ("mmaction.models", "mmaction.models.backbones"):  # whose own __init__ imports every other network
            package = sys.modules.setdefault(name, ModuleType(name))
            package.__path__ = [f"{root}/{name.partition('.')[2].replace('.', '/')}"]
        self.backbone = importlib.import_module("mmaction.models.backbones.mvit").MViT(arch, temporal_size=frames)
        self.cls_head = nn.Module()
        self.cls_head.fc_cls = nn.Linear(768, 400)

    def forward(self, clips: Tensor) -> Tensor:
        _, cls_token = self.backbone(clips)[-1]
        return self.cls_head.fc_cls(cls_token)


PEERS = (
    Peer("torchvision", "mvit_v1_b", "mvit_b_16x4", lambda: _torchvision("mvit_v1_b")),
    Peer("pytorchvideo", "mvit_base_16x4", "mvit_b_16x4", lambda: _pytorchvideo("mvit_base_16x4")),
    Peer("torchvision", "mvit_v2_s", "mvitv2_s_16x4", lambda: _torchvision("mvit_v2_s")),
    Peer("mmaction", "small", "mvitv2_s_16x4", lambda: _MMAction2("small", 16)),
    Peer("mmaction", "base", "mvitv2_b_32x3", lambda: _MMAction2("base", 32)),
    Peer("timm", "mvitv2_small", "mvitv2_small", lambda: _timm("mvitv2_small")),
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
