"""What stands for the objects of a pickle: tensors told by the place of their numbers, and names that do nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SCALARS = (str, int, float, bool, bytes, type(None))


class PickleError(ValueError):
    """A pickle that is damaged, or larger than any checkpoint's."""


@dataclass(frozen=True, slots=True)
class Inert:
    """Stands for a class or function of this name, for what it would make, and does nothing."""

    name: str


@dataclass(frozen=True, slots=True)
class Storage:
    """Numbers of one kind in the file, under a key.

    Attributes:
        kind: torch's name of the kind of number: `Float`, `Half`, `BFloat16`, `QInt8`, ...; `Untyped` for bytes.
        count: how many numbers it says it holds.
    """

    kind: str
    key: str
    count: int


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Where a tensor's numbers stand; offset and strides count numbers of its storage."""

    storage: Storage
    kind: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class OtherTensor:
    """A tensor that is no plain array in memory: sparse, quantised, nested, on the meta device."""

    kind: str


def whole(value: Any) -> int:
    """A count of numbers."""
    if type(value) is not int or not 0 <= value < 1 << 62:
        raise PickleError(f"a count of numbers that is no whole number below 2^62 ({type(value).__name__})")
    return value


def _counts(values: Any) -> tuple[int, ...]:
    if not isinstance(values, tuple | list) or len(values) > 16:
        raise PickleError("a tensor whose shape is no list of at most 16 numbers")
    return tuple(whole(value) for value in values)


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> StoredTensor:
    if not isinstance(storage, Storage):
        raise PickleError("a tensor without a storage")
    return StoredTensor(storage, storage.kind, whole(offset), _counts(shape), _counts(strides))


def _typed_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> StoredTensor:
    """Of kinds that came after typed storages; the type is an argument."""
    plain = _tensor(storage, offset, shape, strides)
    kind = rest[2].name if len(rest) > 2 and isinstance(rest[2], Inert) else "unknown"
    return StoredTensor(plain.storage, kind, plain.offset, plain.shape, plain.strides)


def _of_type(function: Any = None, kind: Any = None, arguments: Any = None, *rest: Any) -> Any:
    """A tensor with attributes of its own; one of a subclass is named."""
    plain = isinstance(kind, Inert) and kind.name in ("torch.Tensor", "torch._tensor.Tensor", "torch.nn.Parameter")
    make = MAKERS.get(function.name) if isinstance(function, Inert) else None
    if plain and make and make is not _of_type and isinstance(arguments, tuple):
        return make(*arguments)
    return OtherTensor(kind.name if isinstance(kind, Inert) else "unknown")


def _dictionary(*arguments: Any) -> dict[Any, Any]:
    """An ordered dictionary; Python 2 gave its pairs as an argument."""
    pairs = arguments[0] if arguments and isinstance(arguments[0], list) else []
    entries = [pair for pair in pairs if isinstance(pair, list | tuple) and len(pair) == 2]
    return {key: value for key, value in entries if isinstance(key, SCALARS)}


def _first(value: Any = None, *rest: Any) -> Any:
    return value


MAKERS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _dictionary,
    "collections.defaultdict": lambda *_: {},
    "builtins.dict": _dictionary,
    "yacs.config.CfgNode": _dictionary,
    "fvcore.common.config.CfgNode": _dictionary,
    "mmengine.config.config.ConfigDict": _dictionary,
    "mmcv.utils.config.ConfigDict": _dictionary,
    "addict.addict.Dict": _dictionary,
    "torch.Size": lambda shape=(), *_: _counts(shape),
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _typed_tensor,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch._tensor._rebuild_from_type_v2": _of_type,
}
"""What stands for a call of these; nothing of theirs is run."""
