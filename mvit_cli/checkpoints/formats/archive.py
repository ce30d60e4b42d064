"""Torch files, zipped and older: the object in them, and where each tensor's numbers stand. Runs nothing in them."""

import struct
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from mvit_cli.checkpoints.formats.pickles import read_pickle
from mvit_cli.checkpoints.formats.stand_ins import PickleError, StoredTensor
from mvit_cli.errors import CheckpointError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

MAX_ENTRIES = 100_000
"""Files in a zip; one a tensor, and training files hold the optimizer's too."""

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_HEADER = 3  # pickles before the content in files older than torch 1.6: magic number, version, system
_SAVE_AS_SAFETENSORS = "save its state dict as .safetensors in the environment it comes from"

DTYPES = {
    "Float": ("float32", 4),
    "Half": ("float16", 2),
    "BFloat16": ("bfloat16", 2),
    "Double": ("float64", 8),
    "Long": ("int64", 8),
    "Int": ("int32", 4),
    "Short": ("int16", 2),
    "Char": ("int8", 1),
    "Byte": ("uint8", 1),
    "Bool": ("bool", 1),
}
"""Storages whose numbers can be read: torch's name of the kind of number, and its bytes."""


@dataclass(frozen=True)
class Place:
    """Where a storage's bytes begin in the file, and how many there are; compressed ones have an entry instead."""

    start: int
    size: int
    entry: str | None = None


@dataclass(frozen=True)
class TorchFile:
    """A torch file: the object in it, with `StoredTensor`s, and the places of their storages."""

    path: Path
    content: Any
    places: Mapping[str, Place]
    metadata: Mapping[str, str] = field(default_factory=dict)

    def check(self, held: Any) -> None:
        """Raises PickleError if not all numbers of a tensor are there."""
        _check_stored(held, self.places)

    def numbers(self, tensors: "Mapping[str, Any]") -> "dict[str, Tensor]":
        """The tensors themselves, checked before; they stay in the file, mapped, where they are aligned."""
        read = _tensor_reader(self)
        return {name: read(held) for name, held in tensors.items()}


def open_torch(path: Path) -> TorchFile:
    """What a torch file holds.

    Raises:
        CheckpointError: it is TorchScript, no checkpoint at all, damaged, or larger than any in what it describes.
    """
    try:
        with path.open("rb") as file:
            found = _zipped(path, file) if zipfile.is_zipfile(file) else _older(path, file)
    except (PickleError, zipfile.BadZipFile, EOFError, struct.error) as error:
        raise CheckpointError(
            f"{path}: not a readable checkpoint ({error})", "expected .safetensors, .pyth or .pth"
        ) from error
    return found


# --- zipped files


def _zipped(path: Path, file: IO[bytes]) -> TorchFile:
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        names = {entry.filename.rpartition("/")[2] for entry in entries}
        if "constants.pkl" in names:
            raise CheckpointError(
                f"{path}: a TorchScript archive, which is a program and not a state dict",
                "save torch.jit.load(FILE).state_dict() with torch.save, or as .safetensors",
            )
        if len(entries) > MAX_ENTRIES:
            raise PickleError(f"{len(entries):,} files in the archive")
        size = path.stat().st_size
        if sum(entry.file_size for entry in entries) > 4 * size + (16 << 20):
            raise PickleError(f"{size:,} bytes that unpack to many times as many")
        if any(entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for entry in entries):
            raise PickleError("packed in a way that torch never does")
        pickles = [entry for entry in entries if entry.filename.rpartition("/")[2] == "data.pkl"]
        if not pickles:
            raise CheckpointError(f"{path}: {_other_archive(names)}, not a checkpoint", _SAVE_AS_SAFETENSORS)
        prefix = pickles[0].filename.removesuffix("data.pkl")
        _refuse_big_endian(path, archive, prefix, names)
        with archive.open(pickles[0]) as content:
            held = read_pickle(content)
        places = {
            entry.filename.removeprefix(prefix + "data/"): _place(file, entry)
            for entry in entries
            if entry.filename.startswith(prefix + "data/")
        }
    return TorchFile(path, held, places)


def _other_archive(names: set[str]) -> str:
    """What a zip file is that torch's `save` did not write."""
    if names and all(name.endswith(".npy") for name in names):
        return "a file of numpy arrays (.npz)"
    if "archive_format" in names:
        return "an exported program (.pt2)"
    inside = sorted(name for name in names if name.endswith((".pth", ".pyth", ".pt", ".ckpt", ".safetensors")))
    return f"a zip archive with {inside[0][:80]} in it" if inside else "a zip archive"


def _refuse_big_endian(path: Path, archive: zipfile.ZipFile, prefix: str, names: set[str]) -> None:
    if "byteorder" not in names:
        return
    with suppress(KeyError), archive.open(prefix + "byteorder") as order:
        if order.read(8).strip() == b"big":
            raise CheckpointError(f"{path}: written on a machine of the other byte order", _SAVE_AS_SAFETENSORS)


def _place(file: IO[bytes], entry: zipfile.ZipInfo) -> Place:
    """Past the local header, whose length differs from that in the directory: torch pads it."""
    if entry.compress_type != zipfile.ZIP_STORED:
        return Place(0, entry.file_size, entry.filename)
    file.seek(entry.header_offset)
    header = file.read(30)
    if len(header) < 30 or header[:4] != b"PK\x03\x04":
        raise PickleError(f"no entry where {entry.filename[:80]!r} should be")
    name, extra = struct.unpack("<HH", header[26:30])
    return Place(entry.header_offset + 30 + name + extra, entry.file_size)


# --- files older than torch 1.6


def _older(path: Path, file: IO[bytes]) -> TorchFile:
    """Pickles one after the other, then the storages, each behind how many numbers it has."""
    file.seek(0)
    first = read_pickle(file)
    if first != _LEGACY_MAGIC:
        return TorchFile(path, first, {})  # a plain pickle: it holds no tensor of torch's
    for _ in range(_LEGACY_HEADER - 1):
        read_pickle(file)
    kinds: dict[str, str] = {}
    content = read_pickle(file, lambda storage: kinds.update({storage.key: storage.kind}))
    keys = read_pickle(file)
    if not isinstance(keys, list) or len(keys) > MAX_ENTRIES:
        raise PickleError("no list of storages behind the content")
    places, size = {}, path.stat().st_size
    for key in keys:
        head = file.read(8)
        kind = kinds.get(key) if isinstance(key, str) else None
        if len(head) < 8 or kind not in DTYPES:
            raise PickleError("the storages end in the middle, or one is of an unknown kind")
        count = struct.unpack("<q", head)[0] * DTYPES[kind][1]
        start = file.tell()
        if count < 0 or start + count > size:
            raise PickleError("the storages end in the middle")
        places[key] = Place(start, count)
        file.seek(count, 1)
    return TorchFile(path, content, places)


# --- tensors


def _check_stored(stored: StoredTensor, places: Mapping[str, Place]) -> None:
    """That a tensor's numbers are all there.

    Raises:
        PickleError: its storage is missing, shorter than it says, or the tensor reaches beyond it or repeats it.
    """
    place, each = places.get(stored.storage.key), DTYPES[stored.kind][1]
    if place is None or stored.storage.count * each != place.size:
        raise PickleError("the numbers are missing, or not as many as the file says")
    count = prod(stored.shape)
    if len(stored.strides) != len(stored.shape) or count > stored.storage.count:
        raise PickleError(f"a tensor of shape {stored.shape} repeats the {stored.storage.count} numbers stored for it")
    reach = sum((size - 1) * stride for size, stride in zip(stored.shape, stored.strides, strict=True)) + 1
    if count and stored.offset + reach > stored.storage.count:
        raise PickleError(f"a tensor of shape {stored.shape} reaches beyond the {stored.storage.count} numbers stored")


def _tensor_reader(found: TorchFile) -> "Callable[[StoredTensor], Tensor]":
    """What makes tensors of checked `StoredTensor`s; their numbers stay in the file, mapped, where they are aligned."""
    import torch

    storages: dict[str, torch.UntypedStorage] = {}
    size = found.path.stat().st_size
    mapped = torch.UntypedStorage.from_file(str(found.path), False, size) if size else None

    def storage(stored: StoredTensor) -> "torch.UntypedStorage":
        key, each = stored.storage.key, DTYPES[stored.kind][1]
        if key not in storages:
            place = found.places[key]
            if mapped is not None and place.entry is None and place.start % each == 0:
                storages[key] = mapped[place.start : place.start + place.size]
            else:
                storages[key] = torch.frombuffer(_bytes_at(found.path, place), dtype=torch.uint8).untyped_storage()
        return storages[key]

    def read(stored: StoredTensor) -> "Tensor":
        dtype = getattr(torch, DTYPES[stored.kind][0])
        if not prod(stored.shape):
            return torch.empty(stored.shape, dtype=dtype)
        return torch.empty(0, dtype=dtype).set_(storage(stored), stored.offset, stored.shape, stored.strides)

    return read


def _bytes_at(path: Path, place: Place) -> bytearray:
    with path.open("rb") as file:
        if place.entry is None:
            file.seek(place.start)
            return bytearray(file.read(place.size))
        with zipfile.ZipFile(file) as archive, archive.open(place.entry) as entry:
            return bytearray(entry.read(place.size))
