"""Reading checkpoint files: safetensors, and torch files without running any code in them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvit_cli.checkpoints.formats.layouts import without_wrapper
from mvit_cli.errors import CheckpointError, first_line

if TYPE_CHECKING:
    from torch import Tensor

NESTINGS = ("model_state", "state_dict", "model", "module")
"""Where published files keep the state dict; otherwise the file itself is one."""


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds: tensors in their own layout, and whatever it says about its configuration.

    Attributes:
        cfg: the training configuration (YAML) that PySlowFast and facebookresearch/mvit write beside the weights.
        metadata: string metadata of a safetensors file.
    """

    path: Path
    tensors: "dict[str, Tensor]"
    cfg: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


def read_checkpoint(path: str | Path) -> Checkpoint:
    """The tensors of a `.safetensors`, `.pyth` or `.pth` file, mapped into memory where the format allows.

    Raises:
        CheckpointError: if the file is missing, damaged, holds no tensors or would run code.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}", "check the path given to --weights") from error
    if head[8:] == b"{":
        return _read_safetensors(path)
    return _read_torch(path)


def _read_safetensors(path: Path) -> Checkpoint:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
            metadata = file.metadata() or {}
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path}: damaged safetensors file ({error})", "download it again") from error
    return Checkpoint(path, without_wrapper(tensors), metadata=metadata)


def _read_torch(path: Path) -> Checkpoint:
    import pickle
    import zipfile

    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise _refusal(path, str(error)) from error
    except Exception as error:  # a damaged file can fail in any way inside the reader
        raise CheckpointError(
            f"{path}: not a readable checkpoint ({first_line(error)[:160]})", "expected .safetensors, .pyth or .pth"
        ) from error
    state_dict, outer = _state_dict_of(content)
    if not state_dict:
        raise CheckpointError(f"{path}: holds no tensors", "expected a state dict, plain or under 'model_state'")
    cfg = outer.get("cfg")
    return Checkpoint(path, without_wrapper(state_dict), cfg if isinstance(cfg, str) else None)


def _refusal(path: Path, message: str) -> CheckpointError:
    if "GLOBAL" in message or "Unsupported" in message:
        return CheckpointError(
            f"{path}: refused, because its pickle asks to run code or build objects other than tensors",
            "if you trust it, save its state dict as .safetensors in the environment it comes from",
        )
    return CheckpointError(f"{path}: not a readable checkpoint", "expected .safetensors, .pyth or .pth")


def _state_dict_of(content: Any) -> "tuple[dict[str, Tensor], dict[str, Any]]":
    """The innermost known nesting that holds tensors, and the dictionary around it."""
    import torch

    outer = content if isinstance(content, dict) else {}
    inner: Any = outer
    for name in NESTINGS:
        if isinstance(outer.get(name), dict):
            inner = outer[name]
            break
    return {str(key): value for key, value in inner.items() if isinstance(value, torch.Tensor)}, outer
