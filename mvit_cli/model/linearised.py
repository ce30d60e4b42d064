"""The network as a linear function of its pixels, biases and positions at one clip, and attention a part at a time.

A network whose norms, attentions and GELUs keep what they divide by, weight with and let pass, while a gradient is
taken. Its logits are those of `mvit.py`; why this gradient adds up where the usual one does not: `insight/gradient.py`.
"""

import copy
import ctypes
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mvit_cli.arch.grid import THW
from mvit_cli.model.attention_rows import MOST_ELEMENTS, AttentionRows
from mvit_cli.model.mvit import MViT
from mvit_cli.model.pooling_attention import Mlp, PoolingAttention


def linearised(model: MViT, *, of_pixels: bool = False) -> MViT:
    """The network that gives the same logits, with what is to stay as it is kept from the gradient.

    It shares all parameters. In the backward pass one block at a time is computed again, its attention a few queries
    and its MLP some tokens at a time, so memory holds the tokens between the blocks and the activations of one.

    Args:
        of_pixels: gradients are taken of pixels alone: nothing is kept for those of parameters.
    """
    twin: MViT = _twin(model)
    twin.blocks = nn.ModuleList(_Recomputed(block) for block in twin.blocks)
    if of_pixels:
        for module in twin.modules():
            own: dict[str, Any] = dict(module._parameters)
            module._parameters = {name: value if value is None else value.detach() for name, value in own.items()}
    return twin


def _twin(module: Any) -> Any:
    """A copy of the modules that holds the same parameters, with norms, MLPs and attentions that are linear."""
    if isinstance(module, nn.LayerNorm):
        return _LinearNorm(module)
    twin = copy.copy(module)
    twin._modules = {name: child and _twin(child) for name, child in module._modules.items()}
    if isinstance(module, Mlp):
        return _LinearMlp(twin)
    return _LinearAttention(twin) if isinstance(module, PoolingAttention) else twin


class _Recomputed(nn.Module):
    """A block whose activations are not kept for the backward pass."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor, thw: THW) -> tuple[Tensor, THW]:
        out: tuple[Tensor, THW] = checkpoint(self._run, x, thw, use_reentrant=False, preserve_rng_state=False)
        return out

    def _run(self, x: Tensor, thw: THW) -> tuple[Tensor, THW]:
        return_free_memory()  # of the block before: holes of its sizes, which this one's tensors would not fill
        out: tuple[Tensor, THW] = self.block(x, thw)
        return out


def return_free_memory() -> None:
    """Gives the system what C's allocator keeps free, where it is glibc's, which else gives back its end only."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


class _LinearNorm(nn.Module):
    """LayerNorm whose deviation follows no gradient."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, x: Tensor) -> Tensor:
        deviation = (x.detach().var(dim=-1, unbiased=False, keepdim=True) + self.eps).sqrt()
        return (x - x.mean(dim=-1, keepdim=True)) / deviation * self.weight + self.bias


class _LinearMlp(nn.Module):
    """The MLP whose GELU lets pass the share that it does, whatever the gradient; some tokens at a time."""

    def __init__(self, mlp: Mlp) -> None:
        super().__init__()
        self.fc1, self.fc2 = mlp.fc1, mlp.fc2

    def forward(self, x: Tensor) -> Tensor:
        tokens = max(1, MOST_ELEMENTS // (len(x) * self.fc1.out_features))
        hidden = (self.fc1(part) for part in x.split(tokens, dim=1))
        return torch.cat([self.fc2(part * torch.special.ndtr(part.detach())) for part in hidden], dim=1)


class _LinearAttention(nn.Module):
    """Pooling attention whose weights follow no gradient."""

    def __init__(self, attn: PoolingAttention) -> None:
        super().__init__()
        self.attn = attn

    def forward(self, x: Tensor, thw: THW) -> tuple[Tensor, THW]:
        (q, q_thw), (k, k_thw), (v, _) = self.attn.project_and_pool(x, thw)
        rows_of = partial(AttentionRows, self.attn, q_thw=q_thw, k_thw=k_thw)
        attended: Tensor = _Weighted.apply(v, q.detach(), k.detach(), rows_of)  # type: ignore[no-untyped-call]
        if self.attn.residual_pooling:
            attended = attended + self.attn.residual(q, q_thw)
        return self.attn.proj(attended.transpose(1, 2).flatten(2)), q_thw

    def pooled_as_queries(self, x: Tensor, thw: THW) -> Tensor:
        """The skip connection where the streams of a reversible network are joined."""
        return self.attn.pooled_as_queries(x, thw)


class _Weighted(torch.autograd.Function):
    """Values `(B, H, N_k, D)` weighted by an attention: `(B, H, N', D)`, and the gradient of the values."""

    @staticmethod
    def forward(ctx: Any, v: Tensor, q: Tensor, k: Tensor, rows_of: Callable[..., AttentionRows]) -> Tensor:
        ctx.save_for_backward(q, k)  # which a block that is computed again drops; what else hangs on `ctx` stays
        ctx.rows_of, rows = rows_of, rows_of(q, k)
        # In one piece from the start: small results between large ones that go leave holes in the heap, and it grows.
        attended = v.new_empty((*rows.q.shape[:3], v.shape[3]))
        for part in rows.parts():
            attended[:, :, part] = rows.weights(part) @ v
        return attended

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        rows: AttentionRows = ctx.rows_of(*ctx.saved_tensors)
        total = torch.zeros_like(rows.k)
        for part in rows.parts():
            total += rows.weights(part).transpose(2, 3) @ grad[:, :, part]
        return total, None, None, None
