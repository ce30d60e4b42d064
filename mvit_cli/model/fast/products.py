"""Linear layers of the fast path: one class for each way to multiply, each with what follows a product as part of it.

R rows, C channels. The layers of a block differ in the number format only, so a block does not ask which they are.
"""

from collections.abc import Callable
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FastLinear(Protocol):
    """`x W^T + b`, on its own and as the end or the middle of something."""

    def __call__(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """`(..., C_in)` -> `(..., C_out)`; with `out`, rows `(R, C_in)` only, and the result is written there."""
        ...

    def gelu(self, x: Tensor) -> Tensor:
        """GELU of what the layer gives, `(..., C_in)` -> `(..., C_out)`."""
        ...

    def add_(self, total: Tensor, x: Tensor) -> Tensor:
        """Adds what the layer gives for rows `(R, C_in)` to `total`, `(R, C_out)`, in place."""
        ...


MakeLinear = Callable[[Tensor, Tensor | None], FastLinear]
"""Makes a layer of its weight, `(C_out, C_in)`, and its bias, `(C_out,)`."""


class PlainLinear(nn.Module):
    """By torch's own operators; the addition of `add_` is part of the matrix product.

    Args:
        weight: `(C_out, C_in)`, shared with the plain network.
        bias: `(C_out,)`.
    """

    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.detach(), requires_grad=False)
        self.register_buffer("bias", None if bias is None else bias.detach(), persistent=False)

    def forward(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """`(..., C_in)` -> `(..., C_out)`."""
        if out is None:
            return F.linear(x, self.weight, self.bias)
        product = torch.mm(x, self.weight.t(), out=out)
        return product if self.bias is None else product.add_(self.bias)

    def gelu(self, x: Tensor) -> Tensor:
        """GELU of what the layer gives, in place, which `F.gelu` does not offer."""
        result: Tensor = torch.ops.aten.gelu_(self(x))
        return result

    def add_(self, total: Tensor, x: Tensor) -> Tensor:
        """Adds what the layer gives for rows `(R, C_in)` to `total`, `(R, C_out)`."""
        total.addmm_(x, self.weight.t())
        return total if self.bias is None else total.add_(self.bias)


PACKED_FOR_ROWS = 1024
"""Rows that the layout of packed weights is chosen for; it holds for any number."""


class PackedLinear(nn.Module):
    """In bfloat16 on a CPU, by oneDNN: weights in its own layout, and bias, GELU and addition inside the product.

    There sums are float32, and are rounded once, after what follows. Plain operators round before each of these steps
    and go over the rows again: one MLP of MViT-B takes 1.3 times as long with them (with AMX; `benchmarks/`).

    Args:
        weight: bfloat16 `(C_out, C_in)`.
        bias: bfloat16 `(C_out,)`.
    """

    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), PACKED_FOR_ROWS)
        self.register_buffer("bias", None if bias is None else bias.detach(), persistent=False)

    def forward(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """`(..., C_in)` -> `(..., C_out)`."""
        result: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, "none", [], "")
        return result if out is None else out.copy_(result)

    def gelu(self, x: Tensor) -> Tensor:
        """GELU, by the error function, of what the layer gives."""
        result: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, "gelu", [], "none")
        return result

    def add_(self, total: Tensor, x: Tensor) -> Tensor:
        """Adds what the layer gives for rows `(R, C_in)` to `total`, `(R, C_out)`; to float32 it is rounded before."""
        if total.dtype != x.dtype:
            return total.add_(self(x))
        return total.copy_(torch.ops.mkldnn._linear_pointwise.binary(x, total, self.packed, self.bias, "add"))


def may_pack(weight: Tensor) -> bool:
    """Whether `PackedLinear` takes such weights: bfloat16 in the memory of a CPU whose oneDNN multiplies it."""
    if weight.dtype != torch.bfloat16 or weight.device.type != "cpu":
        return False
    return bool(torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def fast_linear(weight: Tensor, bias: Tensor | None) -> FastLinear:
    """The layer of these numbers, as this device multiplies them fastest."""
    return PackedLinear(weight, bias) if may_pack(weight) else PlainLinear(weight, bias)
