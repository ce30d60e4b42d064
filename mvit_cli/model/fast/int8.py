"""Linear layers in 8-bit integers on a CPU: an option that is faster than float32, and less exact.

Weights are rounded once, each output channel by its own range; what comes in is rounded at each call, by the range of
the whole call. Sums are kept in 32 bits. Norms, pooling and attention stay in float32.
"""

import warnings

import torch
from torch import Tensor, nn

LARGEST = 127


class Int8Linear(nn.Module):
    """A linear layer whose weights are kept as 8-bit integers only.

    Args:
        weight: float32 `(C_out, C_in)`.
        bias: `(C_out,)`.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        scales = weight.detach().abs().amax(dim=1).clamp(min=torch.finfo(weight.dtype).tiny) / LARGEST
        rounded = (weight.detach() / scales[:, None]).round().to(torch.int8)
        zeros = torch.zeros(len(scales), dtype=torch.long)
        with (
            warnings.catch_warnings()
        ):  # torch is going to replace this kind of tensor, and has nothing else as fast yet
            warnings.simplefilter("ignore", UserWarning)
            quantised = torch._make_per_channel_quantized_tensor(rounded, scales.double(), zeros, 0)
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
