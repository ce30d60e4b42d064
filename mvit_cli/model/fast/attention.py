"""Pooling attention for inference: the arithmetic of `PoolingAttention` in fewer and denser steps.

B batch, L query positions of the grid, N keys, C channels, H heads, D head dim, R rows; see `layout.py`.
"""

import copy
from math import inf, prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mvit_cli.arch.blocks import BlockSpec
from mvit_cli.arch.grid import THW
from mvit_cli.arch.positions import distances
from mvit_cli.model.fast.layout import FoldedPool, RowLayout, joined, read_positions
from mvit_cli.model.fast.products import FastLinear, MakeLinear
from mvit_cli.model.pooling_attention import PoolingAttention, TokenPool
from mvit_cli.model.position import relative_rows, resize_rel_pos

QUERY_BLOCK = 256
"""Queries a task of torch's attention on a CPU; it takes 64 or 32, and is up to 1.6 times slower, below 768 queries."""
KEY_BLOCK = 32
"""Keys that 16-bit attention on a CPU takes at a time: 393 of them take twice the time of 416 (MViT-B, with AMX)."""
MOST_PADDED_KEYS = 512
"""Keys of one step of torch's attention on a CPU. Where there are more, an odd end is a small part of them."""
MAX_BIAS_ELEMENTS = {"cpu": 1 << 23, "cuda": 1 << 28}
"""Relative positions made at a time: what bounds memory (32 MiB, 1 GiB)."""


class FastAttention(nn.Module):
    """Attention of all tokens, or (`cls_only`) of the class token alone, without the output projection.

    Against the plain module it saves:
    - the projection to K and V where no pooling window looks (stride 8 reads 9 of 64 positions);
    - every copy between tokens and grid, and one of two convolutions: K and V are pooled together;
    - the L x N matrix of relative positions: it is made for a few queries at a time;
    - with `cls_only`, all queries but one.
    """

    linear_q: FastLinear
    linear_kv: FastLinear
    norm_q: nn.LayerNorm | None
    norm_k: nn.LayerNorm | None
    norm_v: nn.LayerNorm | None

    def __init__(self, attn: PoolingAttention, block: BlockSpec, linear: MakeLinear) -> None:
        super().__init__()
        self.heads, self.scale = block.heads, attn.scale
        self.residual_pooling, self.residual_pooling_cls = attn.residual_pooling, attn.residual_pooling_cls
        weight, bias, dim = attn.qkv.weight, attn.qkv.bias, block.dim_attn
        self.linear_q = linear(weight[:dim], None if bias is None else bias[:dim])
        self.linear_kv = linear(weight[dim:], None if bias is None else bias[dim:])
        pools: dict[str, TokenPool | None] = {of: getattr(attn, f"pool_{of}") for of in "qkv"}
        self.pool_q = FoldedPool([pools["q"]], block.heads) if pools["q"] else None
        self.pool_kv = FoldedPool([pools["k"], pools["v"]], block.heads) if pools["k"] and pools["v"] else None
        for of in "qkv":
            self.register_module(f"norm_{of}", getattr(attn, f"norm_{of}"))
        # a plain dictionary: they stay the plain network's parameters, and are read once for each size of clip
        self.tables = {axis: getattr(attn, f"rel_pos_{axis}") for axis in "thw"}
        self.relative: dict[tuple[str, int, int], Tensor] = {}

    def in_format(self, dtype: torch.dtype) -> "FastAttention":
        """The same with parameters of its own in another format, for queries, keys and values of that format."""
        if next(self.parameters()).dtype == dtype:
            return self
        own = copy.deepcopy(self).to(dtype)
        own.tables = {axis: None if table is None else table.to(dtype) for axis, table in self.tables.items()}
        return own

    def forward(self, normed: Tensor, layout: RowLayout, *, cls_only: bool) -> tuple[list[Tensor], RowLayout]:
        """Rows `(R, C_in)` -> rows of the grid and rows of the class tokens, `(B*L, C)` and `(B, C)`, and the layout.

        With `cls_only` the layout has an empty grid.
        """
        k, v, k_thw = self._keys_values(normed, layout)
        keys = prod(k_thw) + layout.num_cls
        attended = []
        if cls_only:
            # keys and values of all tokens are needed, the queries of the grid are not
            q_cls, layout = self.linear_q(layout.cls(normed)), layout.on((0, 0, 0))
        else:
            q_grid, q_cls, layout = self._queries(normed, layout)
            attended.append(self._attend_grid(q_grid, k, v, keys, layout.thw, k_thw))
        if layout.num_cls:
            attended.append(self._attend_cls(q_cls, k[:, :, :keys], v[:, :, :keys]))
        return attended, layout

    def _queries(self, normed: Tensor, layout: RowLayout) -> tuple[Tensor, Tensor, RowLayout]:
        """Pooled queries of the grid `(B, L, H, D)`, those of the class tokens `(B, 1, C)`, the pooled layout."""
        q = self.linear_q(normed)
        grid, cls = layout.grid(q), layout.cls(q)
        if self.pool_q:
            grid = self.pool_q(grid)
            layout = layout.on(self.pool_q.thw_out(layout.thw))
        return self._normed_heads(grid.flatten(1, 3), self.norm_q), cls, layout

    def pooled_as_queries(self, x: Tensor, layout: RowLayout) -> Tensor:
        """Rows of the grid `(B*T*H*W, C)` -> `(B*L, C)`, each head pooled and normalised by what pools the queries."""
        grid = layout.grid(x)
        pooled = self.pool_q(grid) if self.pool_q else grid
        return self._normed_heads(pooled.flatten(1, 3), self.norm_q).flatten(2).flatten(0, 1)

    def _keys_values(self, normed: Tensor, layout: RowLayout) -> tuple[Tensor, Tensor, THW]:
        """Pooled keys and values `(B, H, N, D)`, class token last, then the padding, if any; and their grid."""
        if self.pool_kv is None:
            kv = self.linear_kv(normed)
            grid, thw = layout.grid(kv), layout.thw
        else:
            thw, stride = self.pool_kv.thw_out(layout.thw), None
            reads = read_positions(layout.thw, self.pool_kv.kernel, self.pool_kv.stride, normed.device)
            if reads:
                # the projection acts on each token alone: it may as well come after the choice of tokens
                read = layout.grid(normed).flatten(1, 3).index_select(1, reads.index)
                normed = joined(read.flatten(0, 1), layout.cls(normed).flatten(0, 1))
                layout, stride = layout.on(reads.thw), reads.stride
            kv = self.linear_kv(normed)
            grid = self.pool_kv(layout.grid(kv), stride)
        # the order of the keys does not matter to a softmax; the class token is last, as it is in the rows
        rows = joined(grid.flatten(1, 3), layout.cls(kv), dim=1)
        rows = F.pad(rows, (0, 0, 0, padding_of(rows)))
        k, v = rows.chunk(2, dim=2)
        k, v = self._normed_heads(k, self.norm_k), self._normed_heads(v, self.norm_v)
        return k.transpose(1, 2), v.transpose(1, 2), thw

    def _normed_heads(self, x: Tensor, norm: nn.LayerNorm | None) -> Tensor:
        """`(B, N, C)` -> `(B, N, H, D)`, normalised where pooling is followed by a norm."""
        x = x.unflatten(2, (self.heads, -1))
        return norm(x) if norm else x

    def _attend_cls(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The class tokens' queries `(B, 1, C)` -> their rows `(B, C)`; they have no relative position."""
        q = self._normed_heads(q, self.norm_q)
        attended = F.scaled_dot_product_attention(q.transpose(1, 2), k, v, scale=self.scale).transpose(1, 2)
        if self.residual_pooling and self.residual_pooling_cls:
            attended = attended + q
        return attended.flatten(2).flatten(0, 1)

    def _attend_grid(self, q: Tensor, k: Tensor, v: Tensor, keys: int, q_thw: THW, k_thw: THW) -> Tensor:
        """The grid's queries `(B, L, H, D)` -> their rows `(B*L, C)`; keys after the first `keys` are padding."""
        relative = self._relative_scores(q, q_thw, k_thw)
        if relative is None:
            mask = hiding_padding(k, keys)
            attended = F.scaled_dot_product_attention(q.transpose(1, 2), k, v, mask, scale=self.scale).transpose(1, 2)
            if self.residual_pooling:
                attended = attended.add_(q)
            return attended.flatten(2).flatten(0, 1)

        # One buffer of relative positions serves all steps: a new one each time would leave the cache, and all of
        # them at once are the L x N matrix that must not exist (MViTv2-S, first block: 25,088 x 392 for each head).
        attended = torch.empty_like(q)
        step = queries_at_a_time(q, k.shape[2])
        bias = q.new_empty(q.shape[0] * q.shape[2] * step * k.shape[2])
        places = places_of_keys(k_thw, tuple(self.tables[axis] is not None for axis in "thw"), k)
        for start in range(0, q.shape[1], step):
            part = q[:, start : start + step]
            mask = product_into(bias, relative[:, :, start : start + step], places)
            mask[..., keys:] = -inf
            out = F.scaled_dot_product_attention(part.transpose(1, 2), k, v, attn_mask=mask, scale=self.scale)
            into = attended[:, start : start + step]
            if self.residual_pooling:
                add_into(into, out.transpose(1, 2), part)
            else:
                into.copy_(out.transpose(1, 2))
        return attended.flatten(2).flatten(0, 1)

    def _relative_scores(self, q: Tensor, q_thw: THW, k_thw: THW) -> Tensor | None:
        """`q . R` in time, height and width beside each other, `(B, H, L, k_T + k_H + k_W)`; None without tables.

        An axis without a table has no part.
        """
        grid, scores = q.unflatten(1, q_thw), []
        for axis, name in enumerate("thw"):
            if self.tables[name] is None:
                continue
            relative = self._relative_positions(name, q_thw[axis], k_thw[axis])
            scores.append(torch.einsum(f"bthwnd,{name}kd->bnthwk", grid, relative).flatten(2, 4))
        return torch.cat(scores, dim=3) if scores else None

    def _relative_positions(self, axis: str, queries: int, keys: int) -> Tensor:
        """The embedding of each pair of places on an axis, `(queries, keys, D)`; made once for each size of clip."""
        kept = self.relative.get((axis, queries, keys))
        if kept is None:
            table = resize_rel_pos(self.tables[axis], distances(queries, keys))
            kept = table[relative_rows(queries, keys, table.device)]
            if not torch.compiler.is_compiling():  # a traced tensor must not outlive its trace
                self.relative[axis, queries, keys] = kept
        return kept


def padding_of(rows: Tensor) -> int:
    """How many rows of zeros keys and values `(B, N, C)` get, so that 16-bit attention finds whole blocks of keys."""
    keys = rows.shape[1]
    if rows.device.type != "cpu" or rows.dtype.itemsize != 2 or keys > MOST_PADDED_KEYS:
        return 0
    return -keys % KEY_BLOCK


def hiding_padding(k: Tensor, keys: int) -> Tensor | None:
    """What is added to the scores of keys `(B, H, N, D)`: `(1, 1, 1, N)`, minus infinity after the first `keys`."""
    if k.shape[2] == keys:
        return None
    mask = k.new_zeros(1, 1, 1, k.shape[2])
    mask[..., keys:] = -inf
    return mask


def queries_at_a_time(q: Tensor, keys: int) -> int:
    """For how many of the queries `(B, L, H, D)` relative positions are made together.

    On a CPU few, which stay in the cache, but blocks enough that no thread waits for another.
    """
    batch, length, heads, _ = q.shape
    most = MAX_BIAS_ELEMENTS.get(q.device.type, MAX_BIAS_ELEMENTS["cuda"]) // (batch * heads * keys)
    if q.device.type == "cpu":
        threads = 1 if torch.compiler.is_compiling() else torch.get_num_threads()  # which the compiler cannot ask
        blocks = -(-4 * threads // (batch * heads))
        most = min(most, QUERY_BLOCK * max(3, blocks))
    return max(1, min(most, length))


def places_of_keys(k_thw: THW, axes: tuple[bool, ...], k: Tensor) -> Tensor:
    """Which place in time, height and width, of the axes that count, a key `(B, H, N, D)` has: `(k_T + k_H + k_W, N)`.

    A query's scores of all places times these ones and zeros are each key's sum over the axes, for all keys in one
    product: 392 keys at 8x7x7 places have 22 scores (MViTv2-S in bfloat16: 0.84 of the time of broadcast additions).
    The class token and the padding have no place.
    """
    places = torch.zeros(sum(n for n, counts in zip(k_thw, axes, strict=True) if counts), *k_thw)
    start = 0
    for axis, (length, counts) in enumerate(zip(k_thw, axes, strict=True)):
        if counts:
            places[start : start + length].movedim(axis + 1, 1).diagonal().fill_(1)
            start += length
    return F.pad(places.flatten(1), (0, k.shape[2] - prod(k_thw))).to(k)


def product_into(buffer: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """The product of `(..., L, M)` and `(M, N)` in the first elements of a buffer, which torch's compiler needs not."""
    if torch.compiler.is_compiling():
        return a @ b
    out = buffer[: prod(a.shape[:-1]) * b.shape[1]].view(*a.shape[:-1], b.shape[1])
    return torch.matmul(a, b, out=out)


def add_into(out: Tensor, a: Tensor, b: Tensor) -> None:
    """`out = a + b` without a tensor in between, which only torch's compiler needs, and then removes."""
    if torch.compiler.is_compiling():
        out.copy_(a + b)
    else:
        torch.add(a, b, out=out)
