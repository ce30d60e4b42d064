"""What the linear network of a clip keeps in memory, and that parts of it are the whole."""

import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from tiny_network import CONFIG
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mvit_cli.checkpoints.load import build_model
from mvit_cli.insight.gradient import by_pixel
from mvit_cli.model import MViT, attention_rows
from mvit_cli.model import linearised as module

ONE_STAGE: dict[str, Any] = {"stage_channels": (8,), "stage_heads": (2,), "stride_q": ((1, 1, 1),)} | {
    "stride_kv": ((1, 2, 2),),
    "rel_pos_space": True,
    "rel_pos_time": True,
    "residual_pooling": True,
    "pos_embed": "none",
}


class LiveBytes(TorchDispatchMode):
    """Bytes of all tensors that operators have made and nobody has let go, now and at most."""

    def __init__(self, model: MViT) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now, self.most = 0, 0
        self.known = {tensor.untyped_storage()._cdata for tensor in model.state_dict().values()}

    def __torch_dispatch__(
        self, operator: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = operator(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor) and tensor.untyped_storage()._cdata not in self.known:
                storage = tensor.untyped_storage()
                self.known.add(storage._cdata)
                self.now += storage.nbytes()
                weakref.finalize(storage, self._let_go, storage._cdata, storage.nbytes())
        self.most = max(self.most, self.now)
        return out

    def _let_go(self, storage: int, size: int) -> None:
        self.known.discard(storage)
        self.now -= size


def network(blocks: int) -> MViT:
    torch.manual_seed(0)
    return build_model(replace(CONFIG, stage_depths=(blocks,), **ONE_STAGE)).double()


def most_bytes(blocks: int) -> int:
    model = network(blocks)
    live = LiveBytes(model)
    with live:
        by_pixel(model, torch.randn(1, 3, *model.config.input_thw, dtype=torch.float64), 3)
    return live.most


def test_another_block_takes_no_more_memory_than_the_tokens_before_it() -> None:
    """The way back holds what stands between the blocks and the activations of one, as the module says.

    Queries, keys and scores of relative positions that each block's attention kept, once, made it 6.7 times the tokens.
    """
    tokens = 8 * 8 * 2 + 1
    between = tokens * 8 * 8  # channels, bytes
    assert (most_bytes(9) - most_bytes(5)) / 4 == pytest.approx(between, rel=0.05)  # a few numbers of norms beside


def test_parts_of_attention_and_mlp_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network(2)
    clips = torch.randn(2, 3, *model.config.input_thw, dtype=torch.float64)
    whole = by_pixel(model, clips, 3)
    monkeypatch.setattr(attention_rows, "MOST_ELEMENTS", 300)
    monkeypatch.setattr(module, "MOST_ELEMENTS", 300)  # four tokens of two clips at a time in the MLP
    torch.testing.assert_close(by_pixel(model, clips, 3), whole, atol=1e-14, rtol=0)  # double precision, sums reordered
