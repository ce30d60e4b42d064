"""Where in space and time a network saw what it says.

Networks that classify by the mean of their tokens are split exactly: a logit is a sum over places. Those that classify
by a class token are followed back: what the token gathered, through every attention and every pooling, to the patches.

Source: the split follows from the head's formula (a linear layer of a mean). Rollout: Abnar and Zuidema 2020, here with
pooled queries, keys and values, pooled skip connections and residual pooling. What holds for every head, is exact and
as fine as the patches, is in `gradient.py`.
"""

from typing import TYPE_CHECKING, Any, Literal, cast

from mvit_cli.arch.config import MViTConfig
from mvit_cli.arch.grid import THW
from mvit_cli.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from mvit_cli.model import MViT
    from mvit_cli.model.attention_rows import AttentionRows
    from mvit_cli.model.mvit import Block

Method = Literal["split", "rollout", "gradient"]


def check_method(method: Method, config: MViTConfig) -> None:
    """Refuses what a network has not.

    Raises:
        UsageError: a split without a mean of tokens, a rollout without a class token.
    """
    if method == "split" and config.head_pooling == "cls":
        raise UsageError(
            "--heatmap-method split: this network classifies by its class token, which is no sum over places",
            "use --heatmap-method gradient or rollout",
        )
    if method == "rollout" and config.head_pooling != "cls":
        raise UsageError(
            "--heatmap-method rollout: this network does not classify by a class token",
            "use --heatmap-method gradient or split",
        )


def split(model: "MViT", clips: "Tensor", index: int) -> "tuple[Tensor, Tensor]":
    """What each place adds to the logit of a class, and what none does.

    Args:
        clips: `(B, 3, T, H, W)`.
        index: of the class.

    Returns:
        as `by_place`, and `(B,)`: the bias, and of a class token its part. Their sum is the logit.

    Raises:
        ValueError: the network classifies by its class token.
    """
    from mvit_cli.model.linearised import linearised

    parts = by_place(model, clips, index)
    return parts, linearised(model)(clips)[:, index] - parts.sum(dim=(1, 2, 3))


def by_place(model: "MViT", clips: "Tensor", index: int) -> "Tensor":
    """What each place adds to the logit of a class, `(B, T', H', W')` on the last grid.

    Raises:
        ValueError: the network classifies by its class token.
    """
    from mvit_cli.model.linearised import linearised  # whose attention takes little memory at a time

    config = model.config
    if config.head_pooling == "cls":
        raise ValueError("a network that classifies by its class token is no sum over places")
    grid = linearised(model).features(clips, f"scale{len(config.stage_depths) + 1}")  # (B, C, T, H, W)
    tokens = grid.flatten(2).transpose(1, 2)  # (B, N, C)
    head = model.head.projection
    weight = head.weight[index]
    if config.head_pooling == "mean":
        count = tokens.shape[1] + config.cls_token
        parts = model.norm(tokens) @ weight / count
    else:  # the norm comes after the mean: linear in the tokens, once its deviation is known
        mean = tokens.mean(dim=1, keepdim=True)
        deviation = (mean.var(dim=-1, unbiased=False, keepdim=True) + model.norm.eps).sqrt()
        centred = (tokens - tokens.mean(dim=-1, keepdim=True)) / deviation
        parts = (centred * model.norm.weight + model.norm.bias) @ weight / tokens.shape[1]
    heat: Tensor = parts.unflatten(1, tuple(grid.shape[2:]))
    return heat


def rollout(model: "MViT", clips: "Tensor") -> "Tensor":
    """What share of the class token comes from each patch, whatever the class.

    Half of what leaves a block came past its attention, half through it; with residual pooling half of that again is
    the query's own. A pooled token came in equal parts from the places under its kernel.

    Args:
        clips: `(B, 3, T, H, W)`.

    Returns:
        `(B, T', H', W')` on the grid of patches, none negative; with the class token's own share they sum to 1.

    Raises:
        ValueError: the network has no class token.
    """
    if not model.config.cls_token:
        raise ValueError("a network without a class token has nothing to roll out")
    from mvit_cli.model.attention_rows import AttentionRows
    from mvit_cli.model.linearised import linearised

    seen: list[tuple[Tensor, THW]] = []
    runs = linearised(model)
    hooks = [block.register_forward_pre_hook(lambda _, given: seen.append(given)) for block in runs.blocks]
    try:
        runs(clips)
    finally:
        for hook in hooks:
            hook.remove()
    share: Tensor | None = None
    for block in reversed([cast("Block", block) for block in model.blocks]):
        x, thw = seen.pop()
        (q, q_thw), (k, k_thw), _ = block.attn.project_and_pool(block.norm1(x), thw)
        rows = AttentionRows(block.attn, q, k, q_thw, k_thw)
        if share is None:  # all of it stands in the class token
            share = x.new_zeros(x.shape[0], q.shape[2])
            share[:, 0] = 1
        share = _through(block, share, rows, thw)
    assert share is not None
    heat: Tensor = share[:, 1:].unflatten(1, model.config.patch_thw)
    return heat


def _through(block: "Block", share: "Tensor", rows: "AttentionRows", thw: THW) -> "Tensor":
    """Shares of a block's output `(B, N')` as shares of its input `(B, N)`."""
    import torch

    attn = block.attn
    past, through = share / 2, share / 2
    own = through.new_zeros(through.shape)
    if attn.residual_pooling:
        own = through / 2
        if not attn.residual_pooling_cls:
            own = torch.cat((torch.zeros_like(own[:, :1]), own[:, 1:]), dim=1)
    keys = _attended(through - own, rows)
    parts = _spread(keys, attn.pool_k, rows.k_thw, thw) + _spread(past, block.pool_skip, rows.q_thw, thw)
    return parts + _spread(own, attn.pool_q, rows.q_thw, thw)


def _attended(share: "Tensor", rows: "AttentionRows") -> "Tensor":
    """Shares of queries `(B, N')` as shares of keys `(B, N_k)`: by the attention, mean over the heads."""
    import torch

    total = share.new_zeros(share.shape[0], rows.k.shape[2])
    for part in rows.parts():
        if bool(share[:, part].any()):  # in the last block the class token alone has some
            total += torch.einsum("bq,bhqk->bk", share[:, part], rows.weights(part)) / rows.q.shape[1]
    return total


def _spread(share: "Tensor", pool: Any, small: THW, large: THW) -> "Tensor":
    """Shares of pooled tokens as shares of the tokens they were pooled from, equally; the class token is not pooled."""
    import torch
    import torch.nn.functional as F

    if pool is None:
        return share
    kernel, stride, padding = pool.kernel, pool.stride, pool.padding
    ones = share.new_ones(1, 1, *kernel)
    count = F.conv3d(share.new_ones(1, 1, *large), ones, None, stride, padding)
    grid = share[:, 1:].unflatten(1, small).unsqueeze(1) / count
    rest = [
        size - ((n - 1) * s - 2 * p + k) for size, n, s, p, k in zip(large, small, stride, padding, kernel, strict=True)
    ]
    places = F.conv_transpose3d(grid, ones, None, stride, padding, output_padding=rest)
    return torch.cat((share[:, :1], places.flatten(1)), dim=1)
