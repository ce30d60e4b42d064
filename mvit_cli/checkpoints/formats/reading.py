"""Reading checkpoint files, safetensors and torch's: their tensors, or only their shapes. Nothing in a file is run.

What stands in a file is believed only as far as its bytes bear it out, and whatever is wrong with it ends as one
`CheckpointError` that names the file.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mvit_cli.checkpoints.formats.archive import TorchFile, open_torch
from mvit_cli.checkpoints.formats.contents import choose_network
from mvit_cli.checkpoints.formats.header import Header, HeaderTensor, dtype_name, read_header
from mvit_cli.checkpoints.formats.kinds import HEAD_BYTES, refuse_other_files
from mvit_cli.checkpoints.formats.settings import plain
from mvit_cli.checkpoints.formats.shapes import TensorShape
from mvit_cli.checkpoints.formats.shards import Sharded, is_index, read_sharded
from mvit_cli.checkpoints.formats.stand_ins import OtherTensor, PickleError, StoredTensor
from mvit_cli.errors import CheckpointError, MViTError, first_line

if TYPE_CHECKING:
    from torch import Tensor

Held = HeaderTensor | StoredTensor | OtherTensor
"""A tensor as a file tells it, before its numbers are read."""

FLOATS = ("float32", "float16", "bfloat16", "float64")
"""Kinds of number that weights are made of."""

CFG_KEY = "training_cfg"
"""Where our own safetensors files keep a `cfg` in the metadata."""

CLASSIFIER = ("head.projection.weight", "head.projection.bias")
CLASSIFIER_KEY = "classifier_sha256"
"""Where a converted file keeps the digest of its classifier's numbers: with another one its classes are others."""

BESIDE = ("cfg", "meta", "arch", "epoch", "best_epoch")
"""What a torch file holds beside its tensors that says something about the network."""


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds: tensors in their own layout, and whatever it says about its configuration.

    Attributes:
        cfg: the training configuration (YAML) that PySlowFast and facebookresearch/mvit write beside the weights.
        metadata: string metadata of a safetensors file.
        beside: what a torch file holds beside its tensors, under the keys of `BESIDE`; not to be believed.
        notes: what was chosen and what was left out, a sentence each.
    """

    path: Path
    tensors: "dict[str, Tensor]"
    cfg: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    beside: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@contextmanager
def answered(path: str | Path) -> Iterator[None]:
    """The one border: whatever a file can cause inside becomes an error about that file."""
    try:
        yield
    except MViTError:
        raise
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}", "check the path given to --weights") from error
    except Exception as error:
        told = f"{type(error).__name__}: {first_line(error)[:160]}"
        raise CheckpointError(
            f"{path}: not a readable checkpoint ({told})", "expected .safetensors, .pyth or .pth"
        ) from error


def read_checkpoint(path: str | Path, weights_key: str | None = None) -> Checkpoint:
    """The tensors of a `.safetensors`, `.pyth` or `.pth` file, mapped into memory where the format allows.

    The index of several safetensors files stands for all of them.

    Args:
        weights_key: the dictionary to take, where a file holds several networks.

    Raises:
        CheckpointError: the file is missing, damaged, no checkpoint, or holds no tensors.
    """
    with answered(path):
        return _read(Path(path), weights_key, with_numbers=True)


def read_shapes(path: str | Path, weights_key: str | None = None) -> Checkpoint:
    """A checkpoint whose tensors are `TensorShape`s: files of gigabytes answer at once, and torch is not needed.

    Raises:
        CheckpointError: as `read_checkpoint`.
    """
    with answered(path):
        return _read(Path(path), weights_key, with_numbers=False)


def _read(path: Path, weights_key: str | None, *, with_numbers: bool) -> Checkpoint:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    found = _opened(path, head)
    try:
        network = choose_network(found.content, (HeaderTensor, StoredTensor, OtherTensor), weights_key)
        shapes = {name: _shape(name, held) for name, held in network.tensors.items()}
        for held in network.tensors.values():
            found.check(held)
    except (CheckpointError, PickleError) as error:
        raise CheckpointError(f"{path}: {error}", getattr(error, "hint", "download it again")) from error
    tensors = found.numbers(network.tensors) if with_numbers else cast("dict[str, Tensor]", shapes)
    held = found.content if isinstance(found.content, dict) and not found.metadata else {}
    beside = {key: value for key, value in held.items() if key in BESIDE}
    cfg = found.metadata.get(CFG_KEY, beside.pop("cfg", None))
    return Checkpoint(path, tensors, _cfg_text(cfg), found.metadata, beside, network.notes)


def _cfg_text(cfg: Any) -> str | None:
    """The `cfg` as text, which PySlowFast writes; of a dictionary JSON, which is YAML too."""
    if isinstance(cfg, dict):
        return json.dumps(plain(cfg, "the file's cfg"))
    return cfg if isinstance(cfg, str) else None


def _opened(path: Path, head: bytes) -> Header | Sharded | TorchFile:
    """What is in a file that begins with `head`, its format told by that."""
    if is_index(path, head):
        return read_sharded(path)
    if head[8:9] == b"{":
        return read_header(path)
    refuse_other_files(path, head)
    return open_torch(path)


def _shape(name: str, held: Held) -> TensorShape:
    """The shape of a tensor that weights can be.

    Raises:
        CheckpointError: naming the tensor, if its numbers are no floating-point ones, or it is no plain array.
    """
    if isinstance(held, OtherTensor):
        what = f"is no plain tensor ({held.kind[:80]})"
    elif (dtype := held.dtype if isinstance(held, HeaderTensor) else dtype_name(held.kind)) not in FLOATS:
        what = f"has numbers of the kind {dtype[:40]}"
    else:
        return TensorShape(held.shape, dtype)
    raise CheckpointError(
        f"the tensor {name} {what}, and weights are {', '.join(FLOATS)}",
        "save the weights as float32 in the environment they come from",
    )
