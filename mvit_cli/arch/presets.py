"""The published architectures, each as the handful of numbers in its paper's table."""

from dataclasses import dataclass
from typing import Any

from mvit_cli.arch.config import HALVE_SPACE, STRIDE_ONE, MViTConfig, adaptive_stride_kv
from mvit_cli.arch.grid import THW
from mvit_cli.errors import UsageError

V1 = "arXiv:2104.11227"
V2 = "arXiv:2112.01526"
REV = "arXiv:2302.04869"


@dataclass(frozen=True)
class PaperFigures:
    """What the paper prints for this architecture; `gflops` are multiply-adds of one view, in units of 1e9."""

    gflops: float
    params_m: float
    top1: float | None
    dataset: str
    views: str
    source: str


@dataclass(frozen=True)
class Preset:
    """A named architecture with its clip geometry.

    Attributes:
        frame_stride: source frames (at 30 per second) from one sampled frame to the next; 1 for images.
        note: where public code or the papers disagree.
    """

    name: str
    config: MViTConfig
    frame_stride: int
    aliases: tuple[str, ...] = ()
    paper: PaperFigures | None = None
    note: str = ""

    @property
    def is_image(self) -> bool:
        """Whether the input is a single picture."""
        return self.config.frames == 1


def _stages(depths: tuple[int, ...], channels: int, heads: int, first_stride_kv: THW) -> dict[str, Any]:
    """Stages that double channels and heads and halve the grid, with adaptive key-value strides."""
    stride_q = (STRIDE_ONE, *[HALVE_SPACE] * (len(depths) - 1))
    return {
        "stage_depths": depths,
        "stage_channels": tuple(channels << i for i in range(len(depths))),
        "stage_heads": tuple(heads << i for i in range(len(depths))),
        "stride_q": stride_q,
        "stride_kv": adaptive_stride_kv(first_stride_kv, stride_q),
    }


_VIDEO_KV: THW = (1, 8, 8)
_IMAGE_KV: THW = (1, 4, 4)
_MVITV2: dict[str, Any] = {
    "pos_embed": "none",
    "rel_pos_space": True,
    "pool_q_everywhere": True,
    "residual_pooling": True,
    "expand_in": "attn",
}
_IMAGE: dict[str, Any] = {
    "frames": 1,
    "num_classes": 1000,
    "patch_kernel": (1, 7, 7),
    "patch_stride": (1, 4, 4),
    "patch_padding": (0, 3, 3),
    "kernel_q": (1, 3, 3),
    "kernel_kv": (1, 3, 3),
}
_T, _S, _B, _L, _H = (1, 2, 5, 2), (1, 2, 11, 2), (2, 3, 16, 3), (2, 6, 36, 4), (4, 8, 60, 8)


def _v1_video(frames: int, depths: tuple[int, ...] = _S, **changes: Any) -> MViTConfig:
    return MViTConfig(frames=frames, **{**_stages(depths, 96, 1, _VIDEO_KV), **changes})


def _v1_image(depths: tuple[int, ...], channels: int = 96, size: int = 224) -> MViTConfig:
    stages = _stages(depths, channels, 1, _IMAGE_KV)
    return MViTConfig(**{**_IMAGE, **stages, "height": size, "width": size, "pos_embed": "joint"})


def _v2_video(frames: int, depths: tuple[int, ...], channels: int = 96, heads: int = 1, size: int = 224) -> MViTConfig:
    stages = _stages(depths, channels, heads, _VIDEO_KV)
    return MViTConfig(frames=frames, height=size, width=size, **{**_MVITV2, **stages, "rel_pos_time": True})


def _v2_image(depths: tuple[int, ...], channels: int = 96, heads: int = 1, **changes: Any) -> MViTConfig:
    without_cls = {"cls_token": False, "head_pooling": "mean"}
    return MViTConfig(**{**_IMAGE, **_MVITV2, **_stages(depths, channels, heads, _IMAGE_KV), **without_cls, **changes})


def _v2_image_pico() -> MViTConfig:
    """Pictures of 28 x 28: 7 x 7 tokens, halved twice."""
    small = {"height": 28, "width": 28, "num_classes": 10}
    return MViTConfig(
        **{
            **_IMAGE,
            **_MVITV2,
            **_stages((1, 2, 1), 48, 1, HALVE_SPACE),
            "cls_token": False,
            "head_pooling": "mean",
            **small,
        }
    )


def _v2_image_cls(depths: tuple[int, ...], channels: int = 96, heads: int = 1) -> MViTConfig:
    return _v2_image(depths, channels, heads, cls_token=True, head_pooling="cls")


_REVERSIBLE: dict[str, Any] = {"cls_token": False, "head_pooling": "mean", "expand_in": "attn"}
_REV_VIDEO = _v1_video(16, **_REVERSIBLE, qkv_bias=False, reversible="mean")
_REV_IMAGE = MViTConfig(
    **{**_IMAGE, **_stages(_S, 96, 1, _IMAGE_KV), **_REVERSIBLE, "pos_embed": "joint", "reversible": "mlp"}
)

_VIT_B = MViTConfig(
    frames=8,
    stage_depths=(12,),
    stage_channels=(768,),
    stage_heads=(12,),
    patch_kernel=(1, 16, 16),
    patch_stride=(1, 16, 16),
    patch_padding=(0, 0, 0),
    kernel_q=None,
    kernel_kv=None,
    stride_q=(STRIDE_ONE,),
    stride_kv=(STRIDE_ONE,),
    pos_embed="joint",
)

_CAMERA_MOTION = MViTConfig(
    frames=16,
    height=96,
    width=96,
    num_classes=10,
    stage_depths=(1, 2, 1),
    stage_channels=(64, 128, 192),
    stage_heads=(1, 2, 4),
    patch_kernel=(7, 13, 13),  # long and wide enough to see motion in one token
    patch_stride=(4, 12, 12),
    patch_padding=(3, 1, 1),
    stride_q=(STRIDE_ONE, HALVE_SPACE, HALVE_SPACE),
    stride_kv=((1, 2, 2), STRIDE_ONE, STRIDE_ONE),
    unpooled_kv_blocks=(1, 2, 3),
    cls_token=False,
    head_pooling="mean",
    residual_pooling=True,
    expand_in="attn",
)

_TINY = MViTConfig(
    frames=16,
    height=112,
    width=112,
    **{**_MVITV2, **_stages((1, 2, 3, 1), 48, 1, (1, 4, 4)), "rel_pos_time": True},
)

_MVIT_S_NOTE = (
    "The paper's 32.9 GFLOPs are given by no public configuration: heads and key-value strides of MViT-S are not "
    "printed. Heads 1-2-4 and strides 1x4x4, 1x2x2, 1x1x1 (393 keys, as in MViT-B) are our reading."
)
_MVIT_L_NOTE = (
    "The paper prints 217.6M parameters, which is the variant that widens in the MLP; the released configuration and "
    "checkpoint widen in the attention and have 213.4M."
)
_IMAGE_L_NOTE = (
    "The released ImageNet-1K model widens in the MLP and costs 43.7 GMACs; the paper's 42.1 GFLOPs belong to the "
    "variant that widens in the attention."
)

_IMAGE_L_CLS_NOTE = (
    "The paper prints 218M parameters, which is the variant that widens in the MLP; the released model widens in the "
    "attention and has 213.6M with 1,000 classes."
)
_B24_NOTE = (
    "The paper's counts of B-24 differ from table to table, 52.9M parameters on Kinetics-600 and 53.2M on "
    "Something-Something, by more than the classifiers do; with 400 classes this network has 53.17M."
)

_REVERSIBLE_NOTE = (
    "The released configuration asks for a class token and joins the streams by their mean; the released code refuses "
    "the token, and without it the paper's parameters come out."
)
_REV_IMAGE_NOTE = (
    "The released configuration joins the streams by an MLP, which is 3.1M of the parameters; its checkpoint is "
    "reported with 82.9, the paper with 82.5."
)

_VIT_NOTE = (
    "The plain transformer that the MViT paper compares with: one stage, nothing is pooled. No weights are published "
    "for it; a table of positions for all 1,569 tokens gives the paper's parameters, one for space and one for time "
    "would give 86.1M."
)


def _k400(gflops: float, params_m: float, top1: float, source: str, views: str = "1x5") -> PaperFigures:
    return PaperFigures(gflops, params_m, top1, "kinetics400", views, source)


def _in1k(gflops: float, params_m: float, top1: float | None, source: str) -> PaperFigures:
    return PaperFigures(gflops, params_m, top1, "imagenet1k", "1x1", source)


_PRESETS = (
    Preset(
        "mvit_s_16x4",
        _v1_video(
            16,
            **_stages((3, 7, 6), 128, 1, (1, 4, 4)),
            patch_kernel=(3, 8, 8),
            patch_stride=(2, 8, 8),
            patch_padding=(1, 0, 0),
        ),
        4,
        ("S",),
        _k400(32.9, 26.1, 76.0, f"{V1} Table 4"),
        _MVIT_S_NOTE,
    ),
    Preset("mvit_b_16x4", _v1_video(16), 4, ("B",), _k400(70.5, 36.6, 78.4, f"{V1} Table 4")),
    Preset("mvit_b_32x3", _v1_video(32), 3, ("B-32x3",), _k400(170.0, 36.6, 80.2, f"{V1} Table 4")),
    Preset("mvit_b_64x3", _v1_video(64), 3, ("B-64x3",), _k400(455.0, 36.6, 81.2, f"{V1} Table 4", "3x3")),
    Preset(
        "mvit_b24_32x3",
        _v1_video(32, _B),
        3,
        ("B-24",),
        PaperFigures(236.0, 52.9, 83.8, "kinetics600", "1x5", f"{V1} Table 5"),
        _B24_NOTE,
    ),
    Preset("mvit_b_in1k", _v1_image(_S), 1, ("B-image",), _in1k(7.8, 37.0, 83.0, f"{V1} Table 17")),
    Preset("mvit_b24_in1k", _v1_image(_B), 1, (), _in1k(10.9, 53.5, 83.1, f"{V1} Table 17 (max pooling)")),
    Preset("mvit_b24_wide_in1k", _v1_image(_B, 112, 320), 1, (), _in1k(32.7, 72.9, 84.8, f"{V1} Table 17")),
    Preset("mvitv2_s_16x4", _v2_video(16, _S), 4, ("v2-S",), _k400(64.0, 34.5, 81.0, f"{V2} Table 10")),
    Preset("mvitv2_b_32x3", _v2_video(32, _B), 3, ("v2-B",), _k400(225.0, 51.2, 82.9, f"{V2} Table 10")),
    Preset(
        "mvitv2_l_40x3",
        _v2_video(40, _L, 144, 2, 312),
        3,
        ("v2-L",),
        _k400(2828.0, 217.6, 86.1, f"{V2} Table 10", "3x5"),
        _MVIT_L_NOTE,
    ),
    Preset("mvitv2_tiny", _v2_image(_T), 1, (), _in1k(4.7, 24.0, 82.3, f"{V2} Table 2")),
    Preset("mvitv2_small", _v2_image(_S), 1, (), _in1k(7.0, 35.0, 83.6, f"{V2} Table 2")),
    Preset("mvitv2_base", _v2_image(_B), 1, (), _in1k(10.2, 52.0, 84.4, f"{V2} Table 2")),
    Preset(
        "mvitv2_large",
        _v2_image(_L, 144, 2, expand_in="mlp"),
        1,
        (),
        _in1k(42.1, 218.0, 85.3, f"{V2} Table 2"),
        _IMAGE_L_NOTE,
    ),
    Preset("mvitv2_small_cls", _v2_image_cls(_S), 1),
    Preset("mvitv2_base_cls", _v2_image_cls(_B), 1),
    Preset(
        "mvitv2_large_cls",
        _v2_image_cls(_L, 144, 2),
        1,
        (),
        _in1k(42.1, 218.0, 87.5, f"{V2} Table 3 (IN-21K)"),
        _IMAGE_L_CLS_NOTE,
    ),
    Preset("mvitv2_huge_cls", _v2_image_cls(_H, 192, 3), 1, (), _in1k(120.6, 667.0, 88.0, f"{V2} Table 3 (IN-21K)")),
    Preset(
        "mvit_tiny_16x4", _TINY, 4, ("tiny",), None, "Ours: an MViTv2 to start from, small enough to train on a CPU."
    ),
    Preset(
        "mvitv2_pico_28",
        _v2_image_pico(),
        1,
        ("pico",),
        None,
        "Ours: an MViTv2 for pictures of a few dozen pixels, without published weights, to be trained on a CPU.",
    ),
    Preset(
        "rev_mvit_b_16x4",
        _REV_VIDEO,
        4,
        ("rev-B",),
        _k400(64.0, 34.9, 78.4, "PySlowFast projects/rev/README.md"),
        _REVERSIBLE_NOTE,
    ),
    Preset(
        "rev_mvit_b_in1k", _REV_IMAGE, 1, ("rev-B-image",), _in1k(8.7, 39.0, 82.5, f"{REV} Table 1"), _REV_IMAGE_NOTE
    ),
    Preset("vit_b_8x8", _VIT_B, 8, ("ViT-B",), _k400(179.6, 87.2, 68.5, f"{V1} Tables 3 and 4"), _VIT_NOTE),
    Preset("camera_motion", _CAMERA_MOTION, 4, ("camera",), None, "Ours; trained by training/camera/train.py."),
)


LEAST_LETTERS = 4
"""Of the beginning of a name that stands for it."""


def plain_name(name: str) -> str:
    """A name as names are compared: case does not matter, `-` and `_` are the same."""
    return name.strip().lower().replace("-", "_")


_BY_NAME = {plain_name(name): preset for preset in _PRESETS for name in (preset.name, *preset.aliases)}


def preset_names() -> tuple[str, ...]:
    """Names of all presets, in the order of the papers."""
    return tuple(preset.name for preset in _PRESETS)


def get_preset(name: str) -> Preset:
    """The preset of that name or alias, or of the only name that begins so; case and `-` or `_` do not matter.

    Raises:
        UsageError: if there is none; the hint names the nearest.
    """
    if preset := _BY_NAME.get(plain_name(name)) or _meant(plain_name(name)):
        return preset
    import difflib  # only a wrong name needs it

    known = [*preset_names(), *(alias for preset in _PRESETS for alias in preset.aliases)]
    close = difflib.get_close_matches(plain_name(name), [plain_name(entry) for entry in known], n=3, cutoff=0.4)
    nearest = [entry for match in close for entry in known if plain_name(entry) == match]
    if nearest:
        raise UsageError(f"there is no preset {name!r}", f"did you mean {' or '.join(dict.fromkeys(nearest))}?")
    raise UsageError(f"there is no preset {name!r}", f"there are {', '.join(preset_names())}")


def _meant(name: str) -> Preset | None:
    """The preset behind an alias with the family before it, `mvit_b`, `mvitv2_s`, or the only one that begins so."""
    if alias := _BY_NAME.get(name.removeprefix("mvit").removeprefix("v1").lstrip("_")):
        return alias
    begun = [preset for preset in _PRESETS if preset.name.startswith(name)]
    return begun[0] if len(begun) == 1 and len(name) >= LEAST_LETTERS else None


def resolve_preset(name: str) -> str:
    """The full name behind a name or alias."""
    return get_preset(name).name
