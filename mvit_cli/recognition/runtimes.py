"""Networks in files of other runtimes, as `mvit export` writes them: what such a file says, and how it is run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mvit_cli.errors import CheckpointError, MViTError, first_line, how_to_install

if TYPE_CHECKING:
    from torch import Tensor

RuntimeName = Literal["onnx", "openvino"]

KEY = "mvit"
"""Under which a file's metadata has its description, as JSON."""

INPUT, OUTPUT = "clips", "logits"

_MODULES: dict[RuntimeName, str] = {"onnx": "onnxruntime", "openvino": "openvino"}


def check_runtime(name: RuntimeName) -> None:
    """Refuses a runtime that is not here.

    Raises:
        MViTError: naming what to install.
    """
    from importlib.util import find_spec

    if find_spec(_MODULES[name]) is None:
        raise MViTError(
            f"--engine {name} needs {_MODULES[name]}", f"{how_to_install(_MODULES[name])} (the extra `{name}` of mvit)"
        )


def description_in(path: Path, runtime: RuntimeName) -> dict[str, Any]:
    """What a file says of itself.

    Raises:
        CheckpointError: it is no file of that runtime, or none that `mvit export` wrote.
    """
    try:
        text = (_text_in_onnx if runtime == "onnx" else _text_in_openvino)(path)
        told: dict[str, Any] = json.loads(text)
    except Exception as error:  # the runtimes raise classes of their own
        raise CheckpointError(
            f"{path}: no {runtime} file of `mvit export`: {first_line(error)}",
            "write one with mvit export, which adds what predict needs to know",
        ) from error
    return told


def _text_in_onnx(path: Path) -> str:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    text: str = session.get_modelmeta().custom_metadata_map[KEY]
    return text


def _text_in_openvino(path: Path) -> str:
    import openvino

    text: str = openvino.Core().read_model(path).get_rt_info([KEY]).astype(str)
    return text


def opened(path: Path, runtime: RuntimeName) -> "Callable[[Tensor], Tensor]":
    """A file as a function: `(B, 3, T, H, W)` float -> `(B, classes)` float32, on the CPU."""
    return open_onnx(path) if runtime == "onnx" else open_openvino(path)


def open_onnx(path: Path) -> "Callable[[Tensor], Tensor]":
    """By ONNX Runtime."""
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(clips: "Tensor") -> "Tensor":
        kind = session.get_inputs()[0].type
        given = clips.half() if "float16" in kind else clips.float()
        return torch.from_numpy(session.run([OUTPUT], {INPUT: given.numpy()})[0]).float()

    return run


def open_openvino(path: Path) -> "Callable[[Tensor], Tensor]":
    """By OpenVINO, in float32: its own choice on a CPU that has it is bfloat16, with logits 2e-3 off."""
    import openvino
    import torch

    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda clips: torch.from_numpy(compiled(clips.float().numpy())[0].copy()).float()
