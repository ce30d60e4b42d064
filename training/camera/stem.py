"""A head start for the tiny network on a CPU: a grey stem of moving gratings, and faster pooling gradients."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mvit_cli.model.pooling_attention import TokenPool

WAVELENGTHS_PX = (5.0, 8.0, 13.0, 20.0)
SPEEDS_PX = (0.0, 0.4, 1.0, 2.5)  # a frame


LUMA = (0.299, 0.587, 0.114)


class GreyConv(nn.Conv3d):
    """A stem for grey clips, with a third of the work; `coloured` makes of it one that sees the same in RGB."""

    def __init__(self, colour: nn.Conv3d) -> None:
        super().__init__(1, colour.out_channels, colour.kernel_size, colour.stride, colour.padding)
        self.weight.data.copy_(grating_filters(self.out_channels, *self.kernel_size))
        nn.init.zeros_(self.bias)

    def forward(self, clips: Tensor) -> Tensor:
        """`(B, 3, T, H, W)`, three times the same -> `(B, C, T', H', W')`."""
        return super().forward(clips[:, :1])


def coloured(weight: Tensor) -> Tensor:
    """Weights `(C, 1, T, H, W)` of a grey stem -> `(C, 3, T, H, W)` that give the same answer to RGB."""
    return weight * torch.tensor(LUMA, device=weight.device)[:, None, None, None]


def grating_filters(channels: int, time: int, height: int, width: int) -> Tensor:
    """Gabor filters that answer to gratings of many directions, wavelengths and speeds; `(C, 1, T, H, W)`.

    They come in quadrature pairs, from which the first MLP can make motion energy whatever the phase.
    Source: Adelson and Bergen, Spatiotemporal energy models for the perception of motion, 1985.
    """
    t = torch.arange(time) - (time - 1) / 2
    y, x = torch.arange(height) - (height - 1) / 2, torch.arange(width) - (width - 1) / 2
    t, y, x = torch.meshgrid(t, y, x, indexing="ij")
    filters = []
    for pair in range(channels // 2):
        angle = math.pi * 2 * (pair * 0.618034 % 1)
        wavelength = WAVELENGTHS_PX[pair % len(WAVELENGTHS_PX)]
        speed = SPEEDS_PX[(pair // len(WAVELENGTHS_PX)) % len(SPEEDS_PX)] * max(1.0, wavelength / 10)
        along = x * math.cos(angle) + y * math.sin(angle) - speed * t
        reach = min(0.5 * wavelength, width / 3)
        window = torch.exp(-(x**2 + y**2) / (2 * reach**2) - t**2 / (2 * (time / 3) ** 2))
        for phase in (0, math.pi / 2):
            grating = torch.cos(2 * math.pi * along / wavelength + phase) * window
            grating = grating - window * grating.sum() / window.sum()
            filters.append(grating / grating.norm() * 6 / wavelength)  # large structures have the most contrast
    return torch.stack(filters)[:, None] + 0.002 * torch.randn(channels, 1, time, height, width)


class DepthwiseConv(torch.autograd.Function):
    """Depthwise 3D convolution whose gradients are sums over the kernel's taps: several times faster on a CPU."""

    @staticmethod
    def forward(ctx, grid: Tensor, weight: Tensor, stride: tuple[int, ...], padding: tuple[int, ...]) -> Tensor:
        ctx.save_for_backward(grid, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv3d(grid, weight, None, stride, padding, groups=grid.shape[1])

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        grid, weight = ctx.saved_tensors
        last = (0, 2, 3, 4, 1)
        pads = [(p, p) for p in reversed(ctx.padding)]
        padded = F.pad(grid.permute(last), (0, 0, *[p for pair in pads for p in pair]))
        grad = grad.permute(last).contiguous()
        grad_grid, grad_weight = torch.zeros_like(padded), torch.empty_like(weight)
        for tap in torch.cartesian_prod(*(torch.arange(k) for k in weight.shape[2:])).tolist():
            axes = zip(tap, grad.shape[1:4], ctx.stride, strict=True)
            window = (slice(None), *(slice(at, at + (n - 1) * s + 1, s) for at, n, s in axes))
            grad_weight[:, 0, tap[0], tap[1], tap[2]] = (padded[window] * grad).sum((0, 1, 2, 3))
            grad_grid[window].addcmul_(grad, weight[:, 0, tap[0], tap[1], tap[2]])
        inner = tuple(slice(p, p + n) for p, n in zip(ctx.padding, grid.shape[2:], strict=True))
        return grad_grid[(slice(None), *inner)].permute(0, 4, 1, 2, 3), grad_weight, None, None


def quick_pooling() -> None:
    """Makes every pooling of this process use `DepthwiseConv` on a CPU; results are the same."""
    library_pool = TokenPool.pool

    def pool(self: TokenPool, grid: Tensor) -> Tensor:
        if self.weight is None or grid.is_cuda:
            return library_pool(self, grid)
        return DepthwiseConv.apply(grid, self.weight, self.stride, self.padding)

    TokenPool.pool = pool
