"""The numbers that define one MViT. Everything else (blocks, grids, costs) is derived from them."""

from dataclasses import dataclass
from math import prod
from typing import Literal

from mvit_cli.arch.fields import MOST_BLOCKS, MOST_CHANNELS, MOST_TOKENS, STAGE_FIELDS, check_fields, mlp_hidden
from mvit_cli.arch.grid import THW, floor_div, pooled_grid, widened

STRIDE_ONE: THW = (1, 1, 1)
HALVE_SPACE: THW = (1, 2, 2)


def adaptive_stride_kv(first: THW, stride_q: tuple[THW, ...]) -> tuple[THW, ...]:
    """Key-value stride of each stage: it shrinks as the query grid does, so the number of keys stays.

    **This is where the key-value stride is decided.** `first` is the stride in the first stage, typically 1x8x8;
    each later stage divides it by that stage's query stride: 1x4x4, 1x2x2, 1x1x1.

    Source: MViT paper, section 4.1 and Table 14 ("adaptive").
    """
    strides, stride = [], first
    for pooled in stride_q:
        t, h, w = (max(s, 1) for s in floor_div(stride, pooled))
        stride = (t, h, w)
        strides.append(stride)
    return tuple(strides)


@dataclass(frozen=True, kw_only=True)
class MViTConfig:
    """One Multiscale Vision Transformer: the rows of Table 3 (MViT paper) or Table 1 (MViTv2 paper), and its geometry.

    The defaults are MViT-B 16x4 for Kinetics-400. Tuples named `stage_*` and `stride_*` have one entry a stage.

    Attributes:
        frames, height, width: one clip; an image has one frame. The position tables are built for it.
        stage_channels: width of the attention in each stage, `C`.
        stage_heads: attention heads in each stage, `H`; the head width is `C / H`.
        patch_kernel, patch_stride, patch_padding: the convolution that cuts the clip into tokens (the paper's cube).
        pool_mode: pooling of Q, K, V: a depthwise convolution followed by LayerNorm, or a plain maximum or average.
        pool_first: pool the tokens, then project them to Q, K, V (instead of the other way round).
        kernel_q, kernel_kv: pooling kernels; None: one wider than the stride.
        stride_q: query stride in the first block of each stage.
        stride_kv: key-value stride in all blocks of each stage; see `adaptive_stride_kv`.
        pool_q_everywhere: Q is pooled (with stride 1) in the other blocks too, as MViTv2 does.
        unpooled_kv_blocks: blocks whose K and V are not pooled although a kernel is given.
        pos_embed: absolute positions: none, one table for all tokens, or one for space and one for time.
        rel_pos_space, rel_pos_time: decomposed relative positions. MViTv2 paper, section 4.1, equation 4.
        residual_pooling: the pooled query is added to the attention's output. MViTv2 paper, equation 5.
        residual_pooling_cls: the class token's query is added too (timm, pytorchvideo).
        expand_in: where a stage gets wider: in the attention of its first block (MViTv2), or in the MLP of the last
            block before it (MViT).
        norm_stem: LayerNorm after the position embedding.
        head_pooling: what the classifier sees: the class token, the mean of the normalised tokens, or the norm of
            the mean of all tokens but the class token (MaskFeat fine-tuning).
        head_inputs: "last": the classifier sees what `head_pooling` makes of the last tokens; "blocks": before it also
            the mean of the grid tokens that leave each earlier block, one after the other, as a linear probe wants it.
        qkv_bias: Q, K and V have a bias.
        reversible: "no", or two streams of tokens that add to each other, joined where a stage begins: by their mean,
            or side by side through an MLP of twice their width ("mlp"). Source: arXiv:2302.04869, section 3.
        trained_thw: frames and pixels of the clips that the position tables were trained for, where these are kept as
            they are and interpolated in use, as OpenMMLab's networks do; None: those of `frames, height, width`.
    """

    frames: int = 16
    height: int = 224
    width: int = 224
    num_classes: int = 400
    stage_depths: tuple[int, ...] = (1, 2, 11, 2)
    stage_channels: tuple[int, ...] = (96, 192, 384, 768)
    stage_heads: tuple[int, ...] = (1, 2, 4, 8)
    mlp_ratio: float = 4.0
    patch_kernel: THW = (3, 7, 7)
    patch_stride: THW = (2, 4, 4)
    patch_padding: THW = (1, 3, 3)
    pool_mode: Literal["conv", "max", "avg"] = "conv"
    pool_first: bool = False
    kernel_q: THW | None = (3, 3, 3)
    kernel_kv: THW | None = (3, 3, 3)
    stride_q: tuple[THW, ...] = (STRIDE_ONE, HALVE_SPACE, HALVE_SPACE, HALVE_SPACE)
    stride_kv: tuple[THW, ...] = ((1, 8, 8), (1, 4, 4), (1, 2, 2), (1, 1, 1))
    pool_q_everywhere: bool = False
    unpooled_kv_blocks: tuple[int, ...] = ()
    cls_token: bool = True
    pos_embed: Literal["none", "joint", "separate"] = "separate"
    rel_pos_space: bool = False
    rel_pos_time: bool = False
    residual_pooling: bool = False
    residual_pooling_cls: bool = False
    expand_in: Literal["attn", "mlp"] = "mlp"
    norm_stem: bool = False
    head_pooling: Literal["cls", "mean", "mean_then_norm"] = "cls"
    head_inputs: Literal["last", "blocks"] = "last"
    trained_thw: THW | None = None
    qkv_bias: bool = True
    reversible: Literal["no", "mean", "mlp"] = "no"

    def __post_init__(self) -> None:
        """Refuses what no network can be built from.

        Raises:
            ValueError: names the field, its value and what is allowed.
        """
        check_fields(self)
        _check_stages(self)
        _check_query_grids(self)
        _check_streams(self)
        if self.head_pooling == "cls" and not self.cls_token:
            raise ValueError(
                "head_pooling='cls' needs cls_token=True; without one 'mean' or 'mean_then_norm' is allowed"
            )
        if self.pool_first and self.expand_in == "attn":
            raise ValueError("pool_first=True pools heads of the incoming width: expand_in must be 'mlp', not 'attn'")
        for frames, height, width in (self.input_thw, self.tables_thw):
            t, h, w = self._tokens_of((frames, height, width))
            if t * h * w > MOST_TOKENS:
                raise ValueError(
                    f"patch_stride={self.patch_stride} cuts {frames} frames of {height}x{width} into "
                    f"{t}x{h}x{w} tokens; at most {MOST_TOKENS} are allowed"
                )

    @property
    def depth(self) -> int:
        """Number of blocks in all."""
        return sum(self.stage_depths)

    @property
    def streams(self) -> int:
        """Streams of tokens between the blocks: 2 in a reversible network, whose classifier sees both."""
        return 1 if self.reversible == "no" else 2

    @property
    def input_thw(self) -> THW:
        """Frames and pixels of one clip."""
        return self.frames, self.height, self.width

    @property
    def tables_thw(self) -> THW:
        """Frames and pixels of the clips that the position tables are for."""
        return self.trained_thw or self.input_thw

    @property
    def patch_thw(self) -> THW:
        """Token grid after `patch_embed`."""
        return self._tokens_of(self.input_thw)

    @property
    def tables_patch_thw(self) -> THW:
        """Token grid after `patch_embed` that the position tables are for."""
        return self._tokens_of(self.tables_thw)

    def _tokens_of(self, clip_thw: THW) -> THW:
        """Token grid of a clip.

        Raises:
            ValueError: if the clip is smaller than the patch convolution needs.
        """
        needed = [max(k - 2 * p, 1) for k, p in zip(self.patch_kernel, self.patch_padding, strict=True)]
        if any(n < least for n, least in zip(clip_thw, needed, strict=True)):
            kernel, least, clip = ("x".join(map(str, extent)) for extent in (self.patch_kernel, needed, clip_thw))
            raise ValueError(f"its patch convolution {kernel} needs at least {least} (frames x pixels), not {clip}")
        return pooled_grid(clip_thw, self.patch_kernel, self.patch_stride, self.patch_padding)

    @property
    def num_patches(self) -> int:
        """Tokens after `patch_embed`, without the class token."""
        return prod(self.patch_thw)


def _check_stages(config: MViTConfig) -> None:
    """One entry a stage everywhere; heads that share the channels; blocks that exist."""
    counts = {name: len(getattr(config, name)) for name in STAGE_FIELDS}
    if len(set(counts.values())) != 1:
        raise ValueError(f"one entry a stage is needed everywhere, but the lengths are {counts}")
    if config.depth > MOST_BLOCKS:
        raise ValueError(
            f"stage_depths={config.stage_depths} are {config.depth} blocks; at most {MOST_BLOCKS} are allowed"
        )
    for channels, heads in zip(config.stage_channels, config.stage_heads, strict=True):
        if channels % heads:
            raise ValueError(
                f"{channels} channels cannot be shared by {heads} heads: stage_channels={config.stage_channels} must "
                f"be multiples of stage_heads={config.stage_heads}"
            )
        hidden = mlp_hidden(channels, config.mlp_ratio)
        if not 1 <= hidden <= MOST_CHANNELS:
            raise ValueError(
                f"mlp_ratio={config.mlp_ratio} gives {hidden} hidden channels to a stage of {channels}; "
                f"1 to {MOST_CHANNELS} are allowed"
            )
    absent = [block for block in config.unpooled_kv_blocks if block >= config.depth]
    if absent:
        raise ValueError(
            f"unpooled_kv_blocks={config.unpooled_kv_blocks} names block {absent[0]}; "
            f"blocks 0 to {config.depth - 1} are allowed"
        )


def _check_streams(config: MViTConfig) -> None:
    """What two streams need: they add to each other, so within a stage nothing changes its shape."""
    needed = (
        ("cls_token", config.cls_token, False),
        ("pool_mode", config.pool_mode, "conv"),
        ("pool_first", config.pool_first, False),
        ("expand_in", config.expand_in, "attn"),
        ("stride_q[0]", config.stride_q[0], STRIDE_ONE),
    )
    for name, value, wanted in needed if config.streams == 2 else ():
        if value != wanted:
            raise ValueError(f"reversible={config.reversible!r} needs {name}={wanted!r}, not {value!r}")
    if config.streams == 2 and min(config.stage_depths[1:], default=2) < 2:
        raise ValueError(
            f"reversible={config.reversible!r} needs two blocks or more in each stage after the first, not "
            f"stage_depths={config.stage_depths}: the first one joins the streams"
        )


def _check_query_grids(config: MViTConfig) -> None:
    """The pooled query and the pooled skip connection must lie on one grid, whatever the clip.

    With half the kernel as padding `L` positions become `(L - 1) // s + 1` for an odd kernel and `L // s + 1` for an
    even one; the skip connection's window is one wider than the stride. MViT paper, equation 1 and Table A.1.
    """
    if config.kernel_q is None:
        return
    if any(k % 2 == 0 for k in config.kernel_q):
        raise ValueError(
            f"kernel_q={config.kernel_q} must be odd numbers: the output is as large as the skip connection"
        )
    for stride in config.stride_q:
        if any(k % 2 == 0 for k in widened(stride)):
            raise ValueError(
                f"stride_q={config.stride_q} must be 1 or even where kernel_q={config.kernel_q} is given: with "
                f"kernel_q=None any stride is allowed"
            )
