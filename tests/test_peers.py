"""The benchmark beside the other code bases, as far as it can be tested without them."""

import sys
from collections.abc import Iterator
from pathlib import Path

import golden
import pytest
import torch
from torch import Tensor, nn

from mvit_cli.arch import get_preset
from mvit_cli.checkpoints.load import build_model, load_file, load_state_dict

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))
import peer_models  # noqa: E402
import peers  # noqa: E402

PYSLOWFAST = {  # what matters of its source: who imports what, and what a network takes
    "configs/ImageNet/MVITv2_S.yaml": "its own words",
    "slowfast/__init__.py": "import slowfast.utils",
    "slowfast/utils/__init__.py": "",
    "slowfast/utils/logging.py": "import released_never",
    "slowfast/config/__init__.py": "",
    "slowfast/config/defaults.py": """
from pathlib import Path
from types import SimpleNamespace

class Cfg:
    MODEL = SimpleNamespace(HEAD_ACT="softmax")

    def merge_from_file(self, path):
        self.text = Path(path).read_text()

get_cfg = Cfg
""",
    "slowfast/models/__init__.py": "import every_other_network",
    "slowfast/models/heads.py": "from detectron2.layers import ROIAlign",
    "slowfast/models/video_model_builder.py": """
import slowfast.utils.logging as logging
from torch import nn
from . import heads

logger = logging.get_logger(__name__)

class MViT(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.cfg = cfg

    def forward(self, pathways):
        [clips] = pathways
        return 2 * clips
""",
}


class Holder(nn.Module):
    """A network of another code base, as far as sharing weights goes: its state dict."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        self.tensors = tensors

    def state_dict(self) -> dict[str, Tensor]:
        return dict(self.tensors)


@pytest.fixture
def pyslowfast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder like that of PySlowFast's source, importable."""
    for name, text in PYSLOWFAST.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize("name", ["pysf_v2", "pysf_v2_sepqkv", "fb", "tv_v2", "ptv_v1", "mma", "timm"])
def test_a_peer_takes_over_all_our_weights(name: str, tmp_path: Path) -> None:
    name = f"small_{name}"
    tells_its_strides = golden.cfg_yaml(name)
    checkpoint = golden.write_checkpoint(name, tmp_path)
    config = load_file(checkpoint).config if tells_its_strides else golden.small_config(name)
    torch.manual_seed(0)
    ours, back = build_model(config), build_model(config)
    for parameter in ours.parameters():
        nn.init.normal_(parameter)
    other = Holder(golden.state_dict(name))
    peers.load_shared(other, ours)
    load_state_dict(back, other.state_dict())
    for key, tensor in ours.state_dict().items():
        assert torch.equal(tensor, back.state_dict()[key]), key


@pytest.mark.usefixtures("pyslowfast")
def test_pyslowfast_is_built_from_its_own_configuration_without_what_its_other_networks_need() -> None:
    network = peer_models._pyslowfast("ImageNet/MVITv2_S.yaml")
    assert network.cfg.text == "its own words"
    assert network.cfg.MODEL.HEAD_ACT == "none"
    clips = torch.randn(2, 3, 8, 8)
    assert torch.equal(network(clips), 2 * clips)


@pytest.mark.usefixtures("pyslowfast")
def test_a_stand_in_does_not_replace_a_module_that_is_there() -> None:
    peer_models.stand_in("slowfast_parts", depth=3)
    peer_models.stand_in("slowfast_parts", depth=4)
    assert sys.modules["slowfast_parts"].depth == 3


def test_no_code_base_has_two_networks_for_one_preset() -> None:
    pairs = [(peer.library, peer.preset) for peer in peer_models.PEERS]
    assert len(set(pairs)) == len(pairs)
    assert all(get_preset(preset).config for _, preset in pairs)


def test_an_image_network_is_given_the_only_frame() -> None:
    clips = torch.randn(2, 3, 1, 4, 4)
    assert torch.equal(peers.as_clip_network(nn.Identity(), is_image=True)(clips), clips[:, :, 0])
    assert peers.as_clip_network(nn.Identity(), is_image=False)(clips) is clips
