"""Shapes of the tensors in a checkpoint, without reading the tensors and without torch.

A file of gigabytes answers at once. What this reader does not know it leaves to `reading`, which loads the file.
"""

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from mvit_cli.checkpoints.formats.layouts import without_wrapper
from mvit_cli.checkpoints.formats.reading import NESTINGS, Checkpoint, read_checkpoint
from mvit_cli.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

_LEGACY_HEADER = 3  # pickles before the content in files older than torch 1.6: magic number, version, system


@dataclass(frozen=True)
class TensorShape:
    """Stands for a tensor where only its shape matters; it can do what `layouts` does with tensors."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def unsqueeze(self, axis: int) -> "TensorShape":
        """With an axis of length 1 before `axis`."""
        return TensorShape((*self.shape[:axis], 1, *self.shape[axis:]), self.dtype)

    def concatenated(self, others: Sequence["TensorShape"]) -> "TensorShape":
        """With the rows of `others` below its own."""
        return TensorShape((self.shape[0] + sum(other.shape[0] for other in others), *self.shape[1:]), self.dtype)

    def __getitem__(self, index: None) -> "TensorShape":
        return self.unsqueeze(0)


def read_shapes(path: str | Path) -> Checkpoint:
    """A checkpoint whose tensors are `TensorShape`s, or tensors where the file is of a form not known here.

    Raises:
        CheckpointError: as `read_checkpoint`.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            head = file.read(9)
            if head[8:] == b"{":
                return _safetensors_shapes(path)
            file.seek(0)
            content = _torch_shapes(file)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, EOFError, MemoryError):
        content = None
    except (pickle.UnpicklingError, zipfile.BadZipFile):
        content = None
    found = _checkpoint(path, content) if isinstance(content, dict) else None
    return found or read_checkpoint(path)  # which also says what is wrong with the file


def _safetensors_shapes(path: Path) -> Checkpoint:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise CheckpointError(f"{path}: damaged safetensors file ({error})", "download it again") from error
    shapes = {key: TensorShape(tuple(part.get_shape()), _dtype_name(part.get_dtype())) for key, part in slices.items()}
    return Checkpoint(path, without_wrapper(_as_tensors(shapes)), metadata=metadata)


def _checkpoint(path: Path, content: dict[Any, Any]) -> Checkpoint | None:
    inner = next((content[name] for name in NESTINGS if isinstance(content.get(name), dict)), content)
    shapes = {str(key): value for key, value in inner.items() if isinstance(value, TensorShape)}
    cfg = content.get("cfg")
    if not shapes:
        return None
    return Checkpoint(path, without_wrapper(_as_tensors(shapes)), cfg if isinstance(cfg, str) else None)


def _as_tensors(shapes: Mapping[str, TensorShape]) -> "Mapping[str, Tensor]":
    return cast("Mapping[str, Tensor]", shapes)


def _torch_shapes(file: IO[bytes]) -> Any:
    """The object in a torch file, with `TensorShape`s for tensors."""
    if not zipfile.is_zipfile(file):
        file.seek(0)
        for _ in range(_LEGACY_HEADER):
            _ShapeUnpickler(file).load()
        return _ShapeUnpickler(file).load()
    with zipfile.ZipFile(file) as archive:
        name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        with archive.open(name) as content:
            return _ShapeUnpickler(content).load()


class _ShapeUnpickler(pickle.Unpickler):
    """Builds dictionaries, lists, numbers, strings and shapes; any other class or function is refused."""

    def find_class(self, module: str, name: str) -> Any:
        """Our stand-in for the few names that a file of tensors needs; nothing is ever imported."""
        known: dict[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch", "Size"): tuple,
            ("torch._utils", "_rebuild_tensor_v2"): _shape_of,
            ("torch._utils", "_rebuild_parameter"): _first,
        }
        if module == "torch" and name.endswith("Storage"):
            return _dtype_name(name.removesuffix("Storage"))
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"{module}.{name}")
        return known[module, name]

    def persistent_load(self, pid: Any) -> Any:
        """A storage, of which only its kind of number is kept."""
        return pid[1]


def _dtype_name(name: str) -> str:
    """torch's name for what safetensors (`BF16`) and torch's storages (`BFloat16`) call their kind of number."""
    known = {"f64": "float64", "double": "float64", "f32": "float32", "float": "float32", "f16": "float16"}
    return (known | {"half": "float16", "bf16": "bfloat16"}).get(name.lower(), name.lower())


def _shape_of(dtype: str, offset: int, shape: tuple[int, ...], *rest: Any) -> TensorShape:
    return TensorShape(tuple(shape), dtype)


def _first(value: Any, *rest: Any) -> Any:
    return value
