"""Linear layers in 8-bit integers on a CPU: an option that is faster than float32, and less exact.

Weights are rounded once, each output channel by its own range. What comes in is rounded at each call: by the range of
the whole call (`Int8Linear`), or by one that was found before on clips of the user's (`StaticInt8Linear`), which leaves
the passes over what comes in out, and lets one layer hand its bytes to the next. Sums are kept in 32 bits. Norms,
pooling and attention stay in float32; beside static layers attention is bfloat16 where the CPU multiplies that.
"""

import warnings

import torch
from torch import Tensor, nn

from mvit_cli.arch.ranges import STEPS, Range
from mvit_cli.model.fast.products import PACKED_FOR_ROWS

LARGEST = 127


def rounded_weight(weight: Tensor) -> tuple[Tensor, Tensor]:
    """`(C_out, C_in)` as 8-bit integers, and the step of each output channel, `(C_out,)`."""
    steps = weight.detach().abs().amax(dim=1).clamp(min=torch.finfo(weight.dtype).tiny) / LARGEST
    return (weight.detach() / steps[:, None]).round().to(torch.int8), steps


class Int8Linear(nn.Module):
    """A linear layer whose weights are kept as 8-bit integers only.

    Args:
        weight: float32 `(C_out, C_in)`.
        bias: `(C_out,)`.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        rounded, steps = rounded_weight(weight)
        zeros = torch.zeros(len(steps), dtype=torch.long)
        with (
            warnings.catch_warnings()
        ):  # torch is going to replace this kind of tensor, and has nothing else as fast yet
            warnings.simplefilter("ignore", UserWarning)
            quantised = torch._make_per_channel_quantized_tensor(rounded, steps.double(), zeros, 0)
        self.packed = torch.ops.quantized.linear_prepack(quantised, None if bias is None else bias.detach())

    def forward(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """`(..., C_in)` -> `(..., C_out)`; 7 bits of the input are used, as x86's sums of pairs have only 16."""
        result: Tensor = torch.ops.quantized.linear_dynamic(x, self.packed, True)
        return result if out is None else out.copy_(result)

    def gelu(self, x: Tensor) -> Tensor:
        """GELU of what the layer gives."""
        result: Tensor = torch.ops.aten.gelu_(self(x))
        return result

    def add_(self, total: Tensor, x: Tensor) -> Tensor:
        """Adds what the layer gives for rows `(R, C_in)` to `total`, `(R, C_out)`."""
        return total.add_(self(x))


class StaticInt8Linear(nn.Module):
    """The same, whose input is rounded by a range that is known: by oneDNN, with bias and GELU inside the product.

    Bytes without sign come in: with VNNI alone, oneDNN has no kernel for others.

    Args:
        weight: float32 `(C_out, C_in)`.
        bias: `(C_out,)`.
        takes: the range of what comes in; what lies outside is its bound.
        gives: the range of what `gelu` gives, which then are bytes, for the next layer to take; none: numbers.
        makes: the format of numbers that the layer gives.
    """

    bias: Tensor | None

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        takes: Range,
        gives: Range | None = None,
        makes: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        rounded, steps = rounded_weight(weight)
        self.packed = torch.ops.onednn.qlinear_prepack(rounded, [PACKED_FOR_ROWS, weight.shape[1]])
        self.register_buffer("steps", steps, persistent=False)
        self.register_buffer("zeros", torch.zeros(len(steps), dtype=torch.int8), persistent=False)
        self.register_buffer("bias", None if bias is None else bias.detach(), persistent=False)
        self.makes, self.takes, self.gives = makes, takes.scale, gives.scale if gives else None

    def forward(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """`(..., C_in)`, numbers or bytes -> `(..., C_out)`."""
        result = self._product(x, (1.0, 0), self.makes, "none", "")
        return result if out is None else out.copy_(result)

    def gelu(self, x: Tensor) -> Tensor:
        """GELU of what the layer gives: numbers, or bytes."""
        return self._product(x, self.gives or (1.0, 0), torch.uint8 if self.gives else self.makes, "gelu", "none")

    def add_(self, total: Tensor, x: Tensor) -> Tensor:
        """Adds what the layer gives for rows `(R, C_in)` to `total`, `(R, C_out)`."""
        return total.add_(self(x))

    def _product(self, x: Tensor, gives: tuple[float, int], dtype: torch.dtype, after: str, algorithm: str) -> Tensor:
        result: Tensor = torch.ops.onednn.qlinear_pointwise(
            x if x.dtype == torch.uint8 else self._bytes(x),
            *self.takes,
            self.packed,
            self.steps,
            self.zeros,
            self.bias,
            *gives,
            dtype,
            after,
            [],
            algorithm,
        )
        return result

    def _bytes(self, x: Tensor) -> Tensor:
        step, zero = self.takes
        half_up = x.new_tensor(zero + 0.5)  # the conversion cuts fractions off
        return torch.add(half_up, x, alpha=1 / step).clamp_(0, STEPS + 0.5).to(torch.uint8)


def may_be_static() -> bool:
    """Whether this CPU, and this torch, multiply bytes by instructions of their own (VNNI), as static layers need."""
    supported = getattr(torch.cpu, "_is_vnni_supported", lambda: False)
    return bool(torch.backends.mkldnn.is_available() and hasattr(torch.ops.onednn, "qlinear_pointwise") and supported())


def multiplies_bfloat16() -> bool:
    """Whether this CPU has instructions for bfloat16 (avx512_bf16, AMX), so that attention is faster in it."""
    return any(getattr(torch.cpu, f"_is_{of}_supported", lambda: False)() for of in ("avx512_bf16", "amx_tile"))
