"""The benchmark beside the other code bases, as far as it can be tested without them."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import golden
import pytest
import torch
from torch import Tensor, nn

from mvit_cli.arch import get_preset
from mvit_cli.checkpoints.load import build_model, load_file, load_state_dict

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "benchmarks"))
import peer_files  # noqa: E402
import peer_models  # noqa: E402
import peer_page  # noqa: E402
import peer_rows  # noqa: E402
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
    clips, setup = torch.randn(2, 3, 1, 4, 4), peer_rows.Setup(nn.Identity(), None, 1, 2)
    assert torch.equal(peer_rows.of_torch("timm", nn.Identity(), True).open(setup)(clips), clips[:, :, 0])
    assert torch.equal(peer_rows.of_torch("timm", nn.Identity(), False).open(setup)(clips), clips)


def tiny_ways() -> tuple[nn.Module, list[peer_rows.Way]]:
    """A plain network, a peer that equals it, one that does not, one that raises, and ours of two number formats."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 5))

    return model, [
        peer_rows.Way("mvit", "float32", lambda setup: setup.model),
        peer_rows.Way("equal", "float32", lambda setup: lambda clips: setup.model(clips) + 1e-5),
        peer_rows.Way("wrong", "float32", lambda setup: lambda clips: setup.model(clips) + 0.01),
        peer_rows.Way("rough", "int8", lambda setup: lambda clips: setup.model(clips) + 0.01),
        peer_rows.failing("broken", ImportError("no such | library\nand more")),
    ]


def test_only_networks_that_give_our_logits_are_timed_and_the_others_say_why() -> None:
    model, ways = tiny_ways()
    setup = peer_rows.Setup(model, None, threads=1, batch=2)
    networks, differences, failed = peers.opened(ways, setup, torch.randn(2, 3, 1, 2, 2))
    assert [way.library for way in networks] == ["mvit", "equal", "rough"]
    assert [round(difference, 5) for difference in differences.values()] == [0.0, 1e-5, 0.01]
    assert [(way.library, why) for way, why in failed.items()] == [
        ("wrong", "ValueError: its logits differ by 0.01"),
        ("broken", "ImportError: no such | library"),
    ]


def test_rounds_end_when_the_time_is_up_but_not_before_two() -> None:
    model, ways = tiny_ways()
    clips = torch.randn(1, 3, 1, 2, 2)
    seconds, processor, rates = peers.measure({ways[0]: model}, clips, 5, until=0.0)
    assert [len(values) for values in (*seconds.values(), *processor.values())] == [2, 2]
    assert min(rates.values()) > 0
    assert len(peers.measure({ways[0]: model}, clips, 3, until=float("inf"))[0][ways[0]]) == 3


def row(network: str, numbers: str, least: float | None, threads: int = 2, batch: int = 1) -> dict[str, Any]:
    whose = {"preset": "mvit_b_16x4", "batch": batch, "threads": threads, "network": network, "numbers": numbers}
    if least is None:
        return {**whose, "failed": "ImportError: no such | library"}
    measured = {"min_s": least, "cpu_min_s": 1.0, "ratio_min": 1.0, "ratio_pairs_median": 1.0, "product_share": None}
    return {**whose, **measured, "logit_difference": 1e-6}


DOCUMENT: dict[str, Any] = {
    "command": "python benchmarks/peers.py",
    "commit": "abc",
    "load": 0.5,
    "rounds": "3 to 5 rounds",
    "calibrated_on": 4,
    "product_rates": {"float32": 100.0},
    "versions": {"torch": "2.13.0"},
    "machine": {"cpu": "A CPU", "flags": ["avx2", "amx_bf16"], "cores": 2, "system": "Linux"},
    "results": [
        row("mvit", "float32", 0.5),
        row("mvit", "int8 dynamic", 0.25),
        row("mvit", "int8 calibrated", 0.21),
        row("mvit", "float32", 0.9, threads=1),
        row("mvit", "float32", 1.9, batch=4),
        row("OpenVINO", "float32", 0.6),
        row("OpenVINO", "int8 calibrated", None),
        row("torchvision", "float32", 0.75),
    ],
}


def test_the_page_gives_back_every_row_and_what_it_was_measured_on() -> None:
    text = peer_page.page(DOCUMENT)
    found = peer_page.rows_in(text)
    assert [(cells["network"], cells["numbers"], cells["min s"]) for cells in found] == [
        (wanted["network"], wanted["numbers"], f"{wanted['min_s']:.3f}" if "min_s" in wanted else cells["min s"])
        for wanted, cells in zip(DOCUMENT["results"], found, strict=True)
    ]
    assert found[6]["min s"] == "failed: ImportError: no such / library"
    assert "Machine: A CPU (avx2, amx_bf16), 2 cores, Linux" in text


def test_the_readme_has_the_fastest_of_each_format_for_one_clip_on_two_threads() -> None:
    *_, head, _, float32, int8 = peer_page.readme_table(peer_page.page(DOCUMENT)).splitlines()
    assert head == "| | | mvit | OpenVINO | torchvision |"
    assert float32 == "| MViT-B 16x4 | float32 | 0.50 | 0.60 | 0.75 |"
    assert int8 == "| MViT-B 16x4 | int8 | 0.21 | failed |  |"


def test_a_step_that_fails_costs_only_the_files_that_need_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = peer_files.PeerFiles(tmp_path, "camera_motion")

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        target = Path(command[-1])
        if target.suffix == ".xml":
            return subprocess.CompletedProcess(command, 1, "", "error: no openvino\nhint: install it\n")
        target.write_bytes(b"a network")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    files.path(".onnx").touch()  # what an export that was ended has reserved
    files.make()
    assert files.needed(".onnx").read_bytes() == b"a network"
    assert files.errors == {".xml": "error: no openvino", ".int8.xml": "error: no openvino"}
    assert files.needed(".int8.onnx").exists()
    with pytest.raises(RuntimeError, match="no openvino"):
        files.needed(".int8.xml")
