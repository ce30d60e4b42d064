"""The network as the papers' equations say it, token by token in numpy: an oracle that shares nothing with ours.

It reads the configuration's fields and a dictionary of parameters, and none of `arch/` or `model/`.
"""

from collections.abc import Callable, Mapping
from itertools import product
from math import erf
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]
Parameters = Mapping[str, Array]
Grid = tuple[int, ...]


def logits(config: Any, parameters: Parameters, clip: Array) -> Array:
    """`(3, T, H, W)` -> `(num_classes,)`; the clip has the configured size."""
    x, thw = patches(config, parameters, clip)
    if config.norm_stem:
        x = norm(x, parameters, "norm_stem")
    if config.reversible != "no":
        x = np.concatenate((x, x), axis=1)
    index, means = 0, []
    num_cls = int(config.cls_token)
    for stage, depth in enumerate(config.stage_depths):
        for position in range(depth):
            x, thw = block(config, parameters, x, thw, stage, position, index)
            index += 1
            means.append(x[num_cls:].mean(axis=0))
    if config.head_pooling == "cls":
        seen = norm(x[0], parameters, "norm")
    elif config.head_pooling == "mean":
        seen = norm(x, parameters, "norm").mean(axis=0)
    else:
        seen = norm(x[num_cls:].mean(axis=0), parameters, "norm")
    if config.head_inputs == "blocks":
        seen = np.concatenate((*means[:-1], seen))
    return linear(seen, parameters, "head.projection")


def patches(config: Any, parameters: Parameters, clip: Array) -> tuple[Array, Grid]:
    """Tokens of the cubes with their positions, and the grid."""
    weight, bias = parameters["patch_embed.proj.weight"], parameters["patch_embed.proj.bias"]
    frames = windows(np.moveaxis(clip, 0, 3), config.patch_kernel, config.patch_stride, config.patch_padding, 0.0)
    tokens, thw = frames(lambda cube: np.einsum("othwc,thwc->o", np.moveaxis(weight, 1, 4), cube) + bias)
    x = tokens.reshape(-1, tokens.shape[3])
    of = grid_of(config, config.trained_thw or (config.frames, config.height, config.width))
    num_cls = int(config.cls_token)
    if config.pos_embed == "separate":
        temporal = stretched(parameters["pos_embed_temporal"][0], of[:1], thw[:1], triangle)
        spatial = stretched(parameters["pos_embed_spatial"][0], of[1:], thw[1:], cubic)
        for place, (t, h, w) in enumerate(product(*map(range, thw))):
            x[place] += temporal[t] + spatial[h * thw[2] + w]
    if config.cls_token:
        cls = parameters["cls_token"][0]
        x = np.concatenate((cls + parameters["pos_embed_class"][0] if config.pos_embed == "separate" else cls, x))
    if config.pos_embed == "joint":
        table = parameters["pos_embed"][0]
        weight_at = cubic if config.patch_kernel[0] == of[0] == thw[0] == 1 else triangle  # images as mmpretrain
        x = x + np.concatenate((table[:num_cls], stretched(table[num_cls:], of, thw, weight_at)))
    return x, thw


def grid_of(config: Any, clip: Grid) -> Grid:
    """Patches of a clip on each axis."""
    axes = zip(clip, config.patch_kernel, config.patch_stride, config.patch_padding, strict=True)
    return tuple((length + 2 * padding - kernel) // stride + 1 for length, kernel, stride, padding in axes)


def stretched(table: Array, of: Grid, to: Grid, weight_at: Callable[[float], float]) -> Array:
    """A table of the grid `of` at the places of the grid `to`, whose cells share their outer borders.

    A place is the sum of the cells around its centre, each weighed by its distance; beyond the border is the border.
    """
    if of == to:
        return table
    axes = []
    for old, new in zip(of, to, strict=True):
        weights = np.zeros((new, old))
        for place in range(new):
            centre = (place + 0.5) * old / new - 0.5
            for cell in range(int(np.floor(centre)) - 1, int(np.floor(centre)) + 3):
                weights[place, min(max(cell, 0), old - 1)] += weight_at(abs(centre - cell))
        axes.append(weights)
    result = np.zeros((int(np.prod(to)), table.shape[1]))
    for place, at in enumerate(product(*map(range, to))):
        for cell, source in enumerate(product(*map(range, of))):
            result[place] += table[cell] * np.prod([axes[i][at[i], source[i]] for i in range(len(of))])
    return result


def triangle(distance: float) -> float:
    """Linear interpolation."""
    return max(1 - distance, 0.0)


def cubic(distance: float, a: float = -0.75) -> float:
    """Cubic convolution (Keys 1981) with the parameter that image libraries and torch take."""
    if distance < 1:
        return (a + 2) * distance**3 - (a + 3) * distance**2 + 1
    return a * distance**3 - 5 * a * distance**2 + 8 * a * distance - 4 * a if distance < 2 else 0.0


def block(
    config: Any, of: Parameters, x: Array, thw: Grid, stage: int, position: int, index: int
) -> tuple[Array, Grid]:
    """One block. MViT paper, section 3.2 and Table A.1; MViTv2 paper, equations 4 and 5."""
    parameters = {name.removeprefix(f"blocks.{index}."): value for name, value in of.items()}
    if config.reversible != "no":
        return two_streams(config, parameters, x, thw, stage, position, index)
    dim, num_cls = config.stage_channels[stage], int(config.cls_token)
    _, stride_q = query_pooling(config, stage, position)
    normed = norm(x, parameters, "norm1")
    out, q_thw = attention(config, parameters, normed, thw, stage, position, index)
    skip = linear(normed, parameters, "proj") if x.shape[1] != dim else x
    if any(s > 1 for s in stride_q):
        window = wider(stride_q)
        grid, _ = windows(skip[num_cls:].reshape(*thw, -1), window, stride_q, halves(window), -np.inf)(
            lambda cube: cube.max(axis=(0, 1, 2))
        )
        skip = np.concatenate((skip[:num_cls], grid.reshape(-1, skip.shape[1])))
    x = skip + out
    normed = norm(x, parameters, "norm2")
    out = mlp(normed, parameters, "mlp")
    return (linear(normed, parameters, "proj") if out.shape[1] != dim else x) + out, q_thw


def two_streams(
    config: Any, parameters: Parameters, x: Array, thw: Grid, stage: int, position: int, index: int
) -> tuple[Array, Grid]:
    """One block of a reversible network, the streams side by side. arXiv:2302.04869, sections 3.1 and 3.3."""
    first, second = np.split(x, 2, axis=1)
    if position > 0 or stage == 0:
        out, _ = attention(config, parameters, norm(second, parameters, "norm1"), thw, stage, position, index)
        first = first + out
        second = second + mlp(norm(first, parameters, "norm2"), parameters, "mlp")
        return np.concatenate((first, second), axis=1), thw
    joined = (first + second) / 2 if config.reversible == "mean" else x + mlp(x, parameters, "fuse")
    out, q_thw = attention(config, parameters, norm(joined, parameters, "norm1"), thw, stage, position, index)
    skip = linear(joined, parameters, "proj") if joined.shape[1] != config.stage_channels[stage] else joined
    kernel, stride = query_pooling(config, stage, position)
    if kernel and any(n > 1 for n in (*kernel, *stride)):
        average = pooling("conv", parameters["attn.pool_q.weight"])
        skip = np.concatenate(
            [
                norm(
                    windows(head.reshape(*thw, -1), kernel, stride, halves(kernel), 0.0)(average)[0].reshape(
                        -1, head.shape[1]
                    ),
                    parameters,
                    "attn.norm_q",
                )
                for head in np.split(skip, config.stage_heads[stage], axis=1)
            ],
            axis=1,
        )
    y = skip + out
    y = y + mlp(norm(y, parameters, "norm2"), parameters, "mlp")
    return np.concatenate((y, y), axis=1), q_thw


def query_pooling(config: Any, stage: int, position: int) -> tuple[Any, Grid]:
    """Kernel, or None, and stride."""
    stride = config.stride_q[stage] if position == 0 else (1, 1, 1)
    pools = config.pool_q_everywhere or any(s > 1 for s in stride)
    return (config.kernel_q or wider(stride)) if pools else None, stride


def attention(
    config: Any, parameters: Parameters, normed: Array, thw: Grid, stage: int, position: int, index: int
) -> tuple[Array, Grid]:
    """Pooling attention of normalised tokens, with its output projection; MViTv2 paper, equations 4 and 5."""
    heads, dim = config.stage_heads[stage], config.stage_channels[stage]
    kernel_q, stride_q = query_pooling(config, stage, position)
    kernel_kv = None if index in config.unpooled_kv_blocks else config.kernel_kv or wider(config.stride_kv[stage])
    q, q_thw = pooled(config, parameters, normed, thw, "q", heads, kernel_q, stride_q)
    k, k_thw = pooled(config, parameters, normed, thw, "k", heads, kernel_kv, config.stride_kv[stage])
    v, _ = pooled(config, parameters, normed, thw, "v", heads, kernel_kv, config.stride_kv[stage])

    num_cls, attended = int(config.cls_token), np.zeros_like(q)
    for head in range(heads):
        scores = q[head] @ k[head].T / np.sqrt(dim // heads)
        for (i, at), (j, key) in product(
            enumerate(product(*map(range, q_thw))), enumerate(product(*map(range, k_thw)))
        ):
            for axis in range(3):
                name = f"attn.rel_pos_{'thw'[axis]}"
                if name in parameters:
                    relative = distance(parameters[name], at[axis], key[axis], q_thw[axis], k_thw[axis])
                    scores[num_cls + i, num_cls + j] += q[head, num_cls + i] @ relative
        attended[head] = softmax(scores) @ v[head]
        if config.residual_pooling:
            first = 0 if config.residual_pooling_cls else num_cls
            attended[head, first:] += q[head, first:]
    return linear(np.concatenate(list(attended), axis=1), parameters, "attn.proj"), q_thw


def mlp(x: Array, parameters: Parameters, name: str) -> Array:
    hidden = linear(x, parameters, f"{name}.fc1")
    return linear(hidden * 0.5 * (1 + np.vectorize(erf)(hidden / np.sqrt(2))), parameters, f"{name}.fc2")


def pooled(
    config: Any, parameters: Parameters, x: Array, thw: Grid, part: str, heads: int, kernel: Any, stride: Grid
) -> tuple[Array, Grid]:
    """Q, K or V of every head, `(H, N, D)`, and their grid."""
    rows = "qkv".index(part) * (len(parameters["attn.qkv.weight"]) // 3)
    chosen = slice(rows, rows + len(parameters["attn.qkv.weight"]) // 3)
    weight = parameters["attn.qkv.weight"][chosen]
    bias = parameters.get("attn.qkv.bias", np.zeros(len(parameters["attn.qkv.weight"])))[chosen]
    num_cls, out, grid = int(config.cls_token), [], thw
    for head in np.split(x if config.pool_first else x @ weight.T + bias, heads, axis=1):
        tokens = head
        if kernel and (any(k > 1 for k in kernel) or any(s > 1 for s in stride)):
            cubes = windows(head[num_cls:].reshape(*thw, -1), kernel, stride, halves(kernel), empty(config.pool_mode))
            smaller, grid = cubes(pooling(config.pool_mode, parameters.get(f"attn.pool_{part}.weight")))
            tokens = np.concatenate((head[:num_cls], smaller.reshape(-1, head.shape[1])))
            if config.pool_mode == "conv":
                tokens = norm(tokens, parameters, f"attn.norm_{part}")
        out.append(tokens)
    if config.pool_first:
        out = np.split(np.concatenate(out, axis=1) @ weight.T + bias, heads, axis=1)
    return np.stack(out), grid


def empty(mode: str) -> float:
    return -np.inf if mode == "max" else 0.0


def pooling(mode: str, weight: Array | None) -> Callable[[Array], Array]:
    """What becomes of a window `(t, h, w, D)`."""
    if mode == "conv":
        assert weight is not None
        return lambda cube: np.einsum("dthw,thwd->d", weight[:, 0], cube)
    return lambda cube: cube.max(axis=(0, 1, 2)) if mode == "max" else cube.mean(axis=(0, 1, 2))


def windows(
    grid: Array, kernel: Grid, stride: Grid, padding: Grid, outside: float
) -> Callable[[Callable[[Array], Array]], tuple[Array, Grid]]:
    """Gives a function of windows a channels-last grid, window by window; beyond the border everything is `outside`."""
    padded = np.pad(grid, (*((p, p) for p in padding), (0, 0)), constant_values=outside)
    starts = [range(0, n - k + 1, s) for n, k, s in zip(padded.shape[:3], kernel, stride, strict=True)]

    def apply(function: Callable[[Array], Array]) -> tuple[Array, Grid]:
        extents = tuple(map(len, starts))
        results = [
            function(padded[t : t + kernel[0], h : h + kernel[1], w : w + kernel[2]]) for t, h, w in product(*starts)
        ]
        return np.stack(results).reshape(*extents, -1), extents

    return apply


def distance(table: Array, i: int, j: int, q: int, k: int) -> Array:
    """The embedding of query `i` of `q` and key `j` of `k` on one axis; the table is stretched linearly to fit."""
    rows = 2 * max(q, k) - 1
    row = int(
        np.float32(i) * np.float32(max(k / q, 1))
        - np.float32(j) * np.float32(max(q / k, 1))
        + (k - 1) * np.float32(max(q / k, 1))
    )
    at = min(max((row + 0.5) * len(table) / rows - 0.5, 0), len(table) - 1)  # centres of cells lie on each other
    low = int(at)
    high = min(low + 1, len(table) - 1)
    return table[low] * (1 - (at - low)) + table[high] * (at - low)


def wider(stride: Grid) -> Grid:
    return tuple(s + 1 if s > 1 else 1 for s in stride)


def halves(kernel: Grid) -> Grid:
    return tuple(k // 2 for k in kernel)


def linear(x: Array, parameters: Parameters, name: str) -> Array:
    return x @ parameters[f"{name}.weight"].T + parameters[f"{name}.bias"]


def norm(x: Array, parameters: Parameters, name: str) -> Array:
    centred = x - x.mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-6)
    return scaled * parameters[f"{name}.weight"] + parameters[f"{name}.bias"]


def softmax(x: Array) -> Array:
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
