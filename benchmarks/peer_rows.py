"""What is measured side by side: every implementation in every number format that it has.

A row of ours is one more line of `OURS`.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from peer_files import CALIBRATED_ON, PeerFiles
from torch import Tensor, nn

from mvit_cli.model.fast.network import FastMViT
from mvit_cli.model.range_watch import RangeWatch

Network = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Setup:
    """What a row is opened with.

    Attributes:
        model: our plain network, whose weights all have.
        files: the same weights as files of other runtimes.
    """

    model: Any
    files: PeerFiles
    threads: int
    batch: int


@dataclass(frozen=True)
class Way:
    """One row.

    Attributes:
        numbers: the format that products are computed in.
        open: the network, `(B, 3, T, H, W)` float32 -> logits; it raises what is wrong, and that is the row then.
    """

    library: str
    numbers: str
    open: Callable[[Setup], Network]


def _bfloat16(setup: Setup) -> Network:
    network = FastMViT(copy.deepcopy(setup.model).to(torch.bfloat16))
    return lambda clips: network(clips.bfloat16()).float()


def _calibrated(setup: Setup) -> Network:
    """As `mvit calibrate` does it, on clips like those that NNCF is shown."""
    noise, watch = torch.Generator().manual_seed(1), RangeWatch(setup.model)
    with torch.inference_mode(), watch.watching():
        for _ in range(CALIBRATED_ON):
            setup.model(torch.randn(1, 3, *setup.model.config.input_thw, generator=noise))
    return FastMViT(setup.model).to_int8(watch.ranges())


OURS = (
    Way("mvit", "float32", lambda setup: FastMViT(setup.model)),
    Way("mvit --no-fast", "float32", lambda setup: setup.model),
    Way("mvit", "bfloat16", _bfloat16),
    Way("mvit", "int8 dynamic", lambda setup: FastMViT(setup.model).to_int8()),
    Way("mvit", "int8 calibrated", _calibrated),
)


def _openvino(ending: str, hint: str | None) -> Callable[[Setup], Network]:
    def opened(setup: Setup) -> Network:
        import openvino

        core = openvino.Core()
        model = core.read_model(setup.files.needed(ending))
        model.reshape([setup.batch, *(axis.get_length() for axis in list(model.inputs[0].partial_shape)[1:])])
        settings: dict[str, Any] = {"INFERENCE_NUM_THREADS": setup.threads, "NUM_STREAMS": 1}
        if hint:
            settings["INFERENCE_PRECISION_HINT"] = hint
        compiled = core.compile_model(model, "CPU", settings)
        return lambda clips: torch.from_numpy(compiled(clips.numpy())[0].copy())

    return opened


def _onnx_runtime(ending: str) -> Callable[[Setup], Network]:
    def opened(setup: Setup) -> Network:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = setup.threads
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(setup.files.needed(ending), options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return lambda clips: torch.from_numpy(session.run(None, {name: clips.numpy()})[0])

    return opened


RUNTIMES = (
    Way("OpenVINO", "float32", _openvino(".xml", "f32")),
    Way("OpenVINO", "bfloat16", _openvino(".xml", "bf16")),
    Way("OpenVINO", "int8 calibrated", _openvino(".int8.xml", None)),  # by NNCF; the rest as it chooses itself
    Way("ONNX Runtime", "float32", _onnx_runtime(".onnx")),
    Way("ONNX Runtime", "int8 dynamic", _onnx_runtime(".int8.onnx")),
)


def as_clip_network(network: nn.Module, is_image: bool) -> Callable[[Tensor], Tensor]:
    """Takes `(B, 3, T, H, W)` like ours."""
    return (lambda clips: network(clips[:, :, 0])) if is_image else network


def of_torch(library: str, network: nn.Module, is_image: bool) -> Way:
    """Another code base in torch, whose weights are ours already."""
    return Way(library, "float32", lambda setup: as_clip_network(network, is_image))


def failing(library: str, error: BaseException) -> Way:
    """A code base that could not be built: its row says why."""

    def opened(setup: Setup) -> Network:
        raise error

    return Way(library, "float32", opened)
