"""The formats that other runtimes read. Each is a function that writes the plain network, and one that runs the file.

The plain network is exported, not the fast path: its graph is the paper's, which other compilers know how to fuse.
Source: `torch.export`, of which ONNX, OpenVINO and PT2 files are made; TorchScript is traced.
"""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from mvit_cli.errors import MViTError, UsageError, how_to_install
from mvit_cli.recognition.runtimes import INPUT, KEY, OUTPUT, open_onnx, open_openvino

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.export import ExportedProgram

    from mvit_cli.model import MViT

FormatName = Literal["onnx", "openvino", "pt2", "torchscript"]

ONNX_OPSET = 20
MAX_ONNX_BYTES = 2_000_000_000
"""What one protobuf message holds; larger networks would need a second file."""


@dataclass(frozen=True)
class ExportFormat:
    """One format.

    Attributes:
        suffix: of its files.
        modules: what has to be installed beside torch to write it, and to run it.
        write: the network for clips of a shape, with its description, into a file.
        open: the file as a function, `(B, 3, T, H, W)` float -> `(B, classes)` float32.
    """

    suffix: str
    modules: tuple[str, ...]
    extra: str
    write: "Callable[[MViT, Tensor, bool, str, Path], None]"
    open: "Callable[[Path], Callable[[Tensor], Tensor]]"


def chosen_format(named: FormatName | None, target: Path) -> FormatName:
    """The format that was asked for, else that of the file's suffix.

    Raises:
        UsageError: neither tells it, or they contradict each other.
    """
    by_suffix = next((name for name, format in FORMATS.items() if target.suffix == format.suffix), None)
    if named is None and by_suffix is None:
        suffixes = ", ".join(f"{format.suffix} ({name})" for name, format in FORMATS.items())
        raise UsageError(f"{target}: no format has that ending", f"use {suffixes}, or say --format")
    if named is not None and target.suffix != FORMATS[named].suffix:
        suffix = FORMATS[named].suffix
        name = target.with_suffix(suffix).name if target.name else f"model{suffix}"
        raise UsageError(f"{target}: a file of --format {named} ends in {suffix}", f"name it {name}")
    return named or cast("FormatName", by_suffix)


def check_installed(name: FormatName) -> None:
    """Refuses a format whose libraries are not here.

    Raises:
        MViTError: naming what to install.
    """
    format = FORMATS[name]
    missing = [module for module in format.modules if importlib.util.find_spec(module) is None]
    if missing:
        raise MViTError(
            f"--format {name} needs {', '.join(missing)}",
            f"{how_to_install(*format.modules)} (the extra `{format.extra}` of mvit)",
        )


def _exported(model: "MViT", clips: "Tensor", dynamic: bool) -> "ExportedProgram":
    """The network's graph; a dynamic batch goes from 1 on, whatever the example has."""
    import torch

    shapes = ({0: torch.export.Dim("batch", min=1)},) if dynamic else None
    exported = torch.export.export(model, (clips,), dynamic_shapes=shapes)
    for node in exported.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine, which would stand in the file
    return exported


def _write_onnx(model: "MViT", clips: "Tensor", dynamic: bool, about: str, target: Path) -> None:
    import torch

    size = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    if size > MAX_ONNX_BYTES:
        raise MViTError(
            f"{target}: the weights have {size / 1e9:.1f} GB, and one ONNX file holds 2",
            "export it as .xml (OpenVINO) or .pt2",
        )
    program = torch.onnx.export(
        _exported(model, clips, dynamic),
        dynamo=True,
        opset_version=ONNX_OPSET,
        input_names=[INPUT],
        output_names=[OUTPUT],
        verbose=False,
    )
    assert program is not None
    program.model.metadata_props[KEY] = about
    program.save(target, external_data=False)


def _write_openvino(model: "MViT", clips: "Tensor", dynamic: bool, about: str, target: Path) -> None:
    import openvino

    converted = openvino.convert_model(_exported(model, clips, dynamic))
    converted.inputs[0].set_names({INPUT})
    converted.outputs[0].set_names({OUTPUT})
    converted.reshape([-1 if dynamic else clips.shape[0], *clips.shape[1:]])
    converted.set_rt_info(about, [KEY])
    openvino.save_model(converted, target, compress_to_fp16=False)


def _write_pt2(model: "MViT", clips: "Tensor", dynamic: bool, about: str, target: Path) -> None:
    import torch

    with target.open("wb") as file:  # a name without the suffix .pt2 would be warned of
        torch.export.save(_exported(model, clips, dynamic), file, extra_files={KEY: about})


def _open_pt2(path: Path) -> "Callable[[Tensor], Tensor]":
    import torch

    with path.open("rb") as file:
        module = torch.export.load(file).module()
    return lambda clips: cast("Tensor", module(clips)).float()


def _write_torchscript(model: "MViT", clips: "Tensor", dynamic: bool, about: str, target: Path) -> None:
    import torch

    traced: Any = torch.jit.trace(model, clips, check_trace=False)
    torch.jit.save(traced, str(target), _extra_files={KEY: about})


def _open_torchscript(path: Path) -> "Callable[[Tensor], Tensor]":
    import torch

    module: Any = torch.jit.load(str(path))
    return lambda clips: cast("torch.Tensor", module(clips)).float()


FORMATS: dict[FormatName, ExportFormat] = {
    "onnx": ExportFormat(".onnx", ("onnx", "onnxscript", "onnxruntime"), "onnx", _write_onnx, open_onnx),
    "openvino": ExportFormat(".xml", ("openvino",), "openvino", _write_openvino, open_openvino),
    "pt2": ExportFormat(".pt2", (), "", _write_pt2, _open_pt2),
    "torchscript": ExportFormat(".torchscript", (), "", _write_torchscript, _open_torchscript),
}
assert set(FORMATS) == set(get_args(FormatName))
