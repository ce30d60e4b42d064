"""What one operator does: its class, its multiply-accumulates, and the bytes it must move.

Bytes are the least that the operator asks of the memory: each operand read once, each result written once. What an
operand's expansion repeats is not counted again. Operators that only look at a tensor in another way do no work.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from mvit_cli.records import OperatorClass

if TYPE_CHECKING:
    from torch import Tensor
    from torch._ops import OpOverload

CLASSES: tuple[OperatorClass, ...] = (
    "linear",
    "attention",
    "pooling",
    "patches",
    "norm",
    "activation",
    "addition",
    "copy",
    "other",
)
"""In the order of tables. `patches`: the convolution of the stem; `addition`: skip connections and positions."""

_PRODUCTS = frozenset({"linear", "addmm", "mm", "bmm", "baddbmm", "matmul", "einsum"})
_CONVOLUTIONS = frozenset({"conv2d", "conv3d", "convolution", "mkldnn_convolution", "cudnn_convolution"})
_CLASS_OF: dict[str, OperatorClass] = {
    **dict.fromkeys(("max_pool2d", "max_pool3d", "max_pool3d_with_indices", "avg_pool3d"), "pooling"),
    **dict.fromkeys(("layer_norm", "native_layer_norm"), "norm"),
    **dict.fromkeys(("gelu", "relu", "silu"), "activation"),
    **dict.fromkeys(("softmax", "_softmax"), "attention"),
    "linear_dynamic": "linear",  # in 8 bits; the weights are packed, and no tensor
    "add": "addition",
    **dict.fromkeys(("cat", "stack", "copy", "clone", "contiguous", "index_select", "index", "gather"), "copy"),
    **dict.fromkeys(("reshape", "flatten", "repeat", "pad", "constant_pad_nd", "_to_copy", "to"), "copy"),
    **dict.fromkeys(("fill", "zero", "zeros", "zeros_like", "new_zeros"), "copy"),
}
_WRITES_ONLY = frozenset({"copy", "fill", "zero"})
_READS_A_PART = frozenset({"index_select", "index", "gather"})
_ALLOCATES = frozenset({"empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided"})


@dataclass(frozen=True)
class Work:
    """One call of an operator."""

    kind: OperatorClass
    macs: int
    num_bytes: int


def work_of(
    operator: "OpOverload", args: Sequence[Any], kwargs: dict[str, Any], output: Any, weights: frozenset[int]
) -> Work | None:
    """What a call did; None where it computed and moved nothing.

    Args:
        weights: `place_of` all parameters and buffers: a product with one of them is a linear layer's, any other
            belongs to the attention.
    """
    name = operator._schema.name.partition("::")[2].removesuffix("_")
    outputs = list(tensors_in([output]))
    if name in _ALLOCATES or not outputs or _is_view(operator, args, outputs):
        return None
    num_bytes = _read_bytes(name, operator, args, outputs) + sum(map(bytes_of, outputs))
    return Work(_class_of(name, args, weights), _macs(name, args, outputs[0]), num_bytes)


def tensors_in(values: Iterable[Any]) -> Iterator["Tensor"]:
    """The tensors among arguments or results, also inside lists."""
    import torch

    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from tensors_in(value)


def place_of(tensor: "Tensor") -> int:
    """Where a tensor's memory begins, the same for all views; 0 where it has no address."""
    import torch

    return tensor.untyped_storage().data_ptr() if tensor.layout is torch.strided else 0


def bytes_of(tensor: "Tensor") -> int:
    """Bytes of a tensor, each counted once however often an expansion shows it."""
    import torch

    if tensor.layout is not torch.strided:
        return tensor.numel() * tensor.element_size()
    extents = (size for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride or not size)
    return prod(extents) * tensor.element_size()


def _is_view(operator: "OpOverload", args: Sequence[Any], outputs: list["Tensor"]) -> bool:
    """Whether the results are the operands' own memory, unchanged."""
    if operator._schema.is_mutable:
        return False
    places = set(map(place_of, tensors_in(args))) - {0}
    return all(place_of(output) in places for output in outputs)


def _read_bytes(name: str, operator: "OpOverload", args: Sequence[Any], outputs: list["Tensor"]) -> int:
    if name in _READS_A_PART:
        return sum(map(bytes_of, outputs))
    if name == "linear_dynamic":
        return bytes_of(args[0]) + int(args[0].shape[-1] * outputs[0].shape[-1])
    written_only = name in _WRITES_ONLY and operator._schema.is_mutable
    return sum(map(bytes_of, tensors_in(args[1:] if written_only else args)))


def _class_of(name: str, args: Sequence[Any], weights: frozenset[int]) -> OperatorClass:
    if name in _PRODUCTS:
        return "linear" if any(place_of(part) in weights for part in tensors_in(args)) else "attention"
    if name in _CONVOLUTIONS:
        return "pooling" if args[1].shape[1] == 1 else "patches"
    if "scaled_dot_product" in name:
        return "attention"
    return _CLASS_OF.get(name, "other")


def _macs(name: str, args: Sequence[Any], output: "Tensor") -> int:
    """Multiply-accumulates of products and convolutions; nothing else is counted."""
    if name in _CONVOLUTIONS:
        return int(output.numel() * args[1][0].numel())
    if name == "einsum":
        return _einsum_macs(args[0], args[1])
    if name in _PRODUCTS or name == "linear_dynamic":
        left = args[1] if name in ("addmm", "baddbmm") else args[0]
        return int(output.numel() * left.shape[-1])
    if "scaled_dot_product" in name:
        query, key = args[0], args[1]
        return int((query.numel() + output.numel()) * key.shape[-2])
    return 0


def _einsum_macs(equation: str, operands: Sequence["Tensor"]) -> int:
    letters = equation.partition("->")[0].replace(" ", "").split(",")
    extents = {
        letter: size
        for names, part in zip(letters, operands, strict=True)
        for letter, size in zip(names, part.shape, strict=True)
    }
    return prod(extents.values())
