"""The header of a safetensors file, read within bounds before any library opens the file."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvit_cli.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

MAX_HEADER_BYTES = 4 << 20
"""That of MViTv2-H, with 1,800 tensors, has a quarter of a megabyte."""

MAX_METADATA_BYTES = 1 << 20

_BITS = {"F64": 64, "F32": 32, "F16": 16, "BF16": 16, "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U8": 8, "BOOL": 8}


@dataclass(frozen=True)
class HeaderTensor:
    """One tensor as the header tells it; `dtype` is torch's name, else the header's."""

    name: str
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Header:
    """What a safetensors file holds; `content` are its tensors by name."""

    path: Path
    content: Mapping[str, HeaderTensor]
    metadata: Mapping[str, str]

    def check(self, held: Any) -> None:
        """Nothing more: the header was checked as it was read."""

    def numbers(self, tensors: "Mapping[str, Any]") -> "dict[str, Tensor]":
        """The tensors themselves, under the given names."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.path, framework="pt", device="cpu") as file:
                return {name: file.get_tensor(held.name) for name, held in tensors.items()}
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{self.path}: damaged safetensors file ({error})", "download it again") from error


def read_header(path: Path) -> Header:
    """The checked header of a safetensors file.

    Raises:
        CheckpointError: it is damaged, or claims what the file does not bear out.
    """
    try:
        return _read(path)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        told = str(error)[:160] if isinstance(error, ValueError) else type(error).__name__
        raise CheckpointError(f"{path}: damaged safetensors file ({told})", "download it again") from error


def bytes_digest(path: Path, names: Iterable[str]) -> str | None:
    """SHA-256 of the numbers of these tensors, one after the other; None where one is not there.

    Raises:
        CheckpointError: as `read_header`.
    """
    read_header(path)  # its checks
    digest = hashlib.sha256()
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        said = json.loads(file.read(length))
        for name in names:
            if name not in said:
                return None
            start, end = said[name]["data_offsets"]
            file.seek(8 + length + start)
            digest.update(file.read(end - start))
    return digest.hexdigest()


def _read(path: Path) -> Header:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > MAX_HEADER_BYTES:
            raise ValueError(f"a header of {length} bytes; {MAX_HEADER_BYTES} at most")
        text = file.read(length)
    if len(text) < length:
        raise ValueError("the file ends inside its header")
    said = json.loads(text)
    metadata = said.pop("__metadata__", None) or {}
    if not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("metadata that is not text")
    if sum(map(len, metadata.values())) > MAX_METADATA_BYTES:
        raise ValueError(f"metadata of more than {MAX_METADATA_BYTES} letters")
    tensors = {name: _tensor(name, entry, size - 8 - length) for name, entry in said.items()}
    return Header(path, tensors, metadata)


def _tensor(name: str, entry: Mapping[str, Any], data_bytes: int) -> HeaderTensor:
    kind, shape, (start, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    whole = all(type(number) is int and 0 <= number < 1 << 62 for number in (*shape, start, end))
    if not isinstance(kind, str) or not whole or len(shape) > 16:
        raise ValueError(f"an entry that is no tensor: {name[:80]!r}")
    if not start <= end <= data_bytes:
        raise ValueError(f"the numbers of {name[:80]!r} are missing")
    if kind in _BITS and prod(shape) * _BITS[kind] != 8 * (end - start):
        raise ValueError(f"{name[:80]!r} has the shape {shape}, and not as many numbers")
    return HeaderTensor(name, dtype_name(kind), tuple(shape))


def dtype_name(name: str) -> str:
    """torch's name for what safetensors (`BF16`) and torch's storages (`BFloat16`) call their kind of number."""
    known = {"f64": "float64", "double": "float64", "f32": "float32", "float": "float32", "f16": "float16"}
    known |= {"half": "float16", "bf16": "bfloat16", "i64": "int64", "long": "int64", "i32": "int32", "int": "int32"}
    known |= {"c64": "complex64", "complexfloat": "complex64", "complexdouble": "complex128"}
    return known.get(name.lower(), name.lower()[:40])
