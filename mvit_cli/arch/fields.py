"""What each field of a configuration may hold on its own; what fields ask of each other is in `config.py`.

A configuration can come from a file, so types are looked at too: a bool is no number here, a list no tuple, and a
number that no machine could build a network from is refused before anything is computed with it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

MOST = 1_000_000
"""Frames, pixels and classes; far beyond any network, and small enough to compute with."""
MOST_CHANNELS = 65_536
"""Channels of a stage, and of the hidden layer of its MLP."""
MOST_BLOCKS = 1_000
MOST_WINDOW = 64
"""Kernel and padding of a convolution or pooling on one axis."""
MOST_STRIDE = 1_024
MOST_TOKENS = 1 << 27
"""Tokens of one clip; the longest of the papers' has 50,000."""

STAGE_FIELDS = ("stage_depths", "stage_channels", "stage_heads", "stride_q", "stride_kv")
"""Tuples with one entry a stage."""


@dataclass(frozen=True)
class Whole:
    """A whole number within bounds.

    Attributes:
        least, most: both allowed.
    """

    least: int
    most: int

    def __str__(self) -> str:
        return f"a whole number from {self.least} to {self.most}"

    def allows(self, value: Any) -> bool:
        """Whether a field may hold it; True and False are no numbers."""
        return isinstance(value, int) and not isinstance(value, bool) and self.least <= value <= self.most


@dataclass(frozen=True)
class Several:
    """A tuple of whole numbers, or of such tuples.

    Attributes:
        of: what each entry must be.
        count: entries; None: any number.
        least: entries at least, where any number is allowed.
    """

    of: "Whole | Several"
    count: int | None = None
    least: int = 1

    def __str__(self) -> str:
        many = f"{self.count}" if self.count else f"{self.least} or more"
        return f"a tuple of {many}, each {self.of}"

    def allows(self, value: Any) -> bool:
        """Whether a field may hold it; a list is no tuple, as a configuration must not change."""
        if not isinstance(value, tuple) or (self.count not in (None, len(value))) or len(value) < self.least:
            return False
        return all(self.of.allows(entry) for entry in value)


_SIZE, _STRIDE = Whole(1, MOST), Several(Whole(1, MOST_STRIDE), 3)
_KERNEL = Several(Whole(1, MOST_WINDOW), 3)
_NUMBERS: Mapping[str, Whole | Several] = {
    "frames": _SIZE,
    "height": _SIZE,
    "width": _SIZE,
    "num_classes": _SIZE,
    "stage_depths": Several(Whole(1, MOST_BLOCKS)),
    "stage_channels": Several(Whole(1, MOST_CHANNELS)),
    "stage_heads": Several(Whole(1, MOST_CHANNELS)),
    "patch_kernel": _KERNEL,
    "patch_stride": _STRIDE,
    "patch_padding": Several(Whole(0, MOST_WINDOW), 3),
    "kernel_q": _KERNEL,
    "kernel_kv": _KERNEL,
    "stride_q": Several(_STRIDE),
    "stride_kv": Several(_STRIDE),
    "unpooled_kv_blocks": Several(Whole(0, MOST_BLOCKS), least=0),
    "trained_thw": Several(_SIZE, 3),
}
_OPTIONAL = ("kernel_q", "kernel_kv", "trained_thw")
_WORDS: Mapping[str, tuple[str, ...]] = {
    "pool_mode": ("conv", "max", "avg"),
    "pos_embed": ("none", "joint", "separate"),
    "expand_in": ("attn", "mlp"),
    "head_pooling": ("cls", "mean", "mean_then_norm"),
    "head_inputs": ("last", "blocks"),
    "reversible": ("no", "mean", "mlp"),
}
_SWITCHES = (
    "pool_first",
    "pool_q_everywhere",
    "cls_token",
    "rel_pos_space",
    "rel_pos_time",
    "residual_pooling",
    "residual_pooling_cls",
    "norm_stem",
    "qkv_bias",
)


def check_fields(config: object) -> None:
    """Raises ValueError, naming field, value and what is allowed, for the first field that holds something else."""
    for name, allowed in _refused(config):
        raise ValueError(f"{name} must be {allowed}, not {shown(getattr(config, name))}")


def _refused(config: object) -> Iterator[tuple[str, str]]:
    for name, kind in _NUMBERS.items():
        value, optional = getattr(config, name), name in _OPTIONAL
        if not (kind.allows(value) or (optional and value is None)):
            yield name, f"{kind}{', or None' if optional else ''}"
    for name, words in _WORDS.items():
        value = getattr(config, name)
        if not (isinstance(value, str) and value in words):
            yield name, f"{', '.join(map(repr, words[:-1]))} or {words[-1]!r}"
    for name in _SWITCHES:
        if not isinstance(getattr(config, name), bool):
            yield name, "True or False"
    ratio: Any = vars(config)["mlp_ratio"]
    is_number = isinstance(ratio, int | float) and not isinstance(ratio, bool)
    if not (is_number and 0 < ratio <= MOST_CHANNELS and isfinite(ratio)):
        yield "mlp_ratio", f"a number above 0 and up to {MOST_CHANNELS}"


def shown(value: object) -> str:
    """A value as an error shows it: shortened where it is long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an int of thousands of digits, a tuple nested as deep
        text = f"a {type(value).__name__} that is too large to print"
    return text if len(text) <= 80 else f"{text[:77]}..."


def mlp_hidden(channels: int, ratio: float) -> int:
    """Channels of the hidden layer: `channels * ratio`, cut to a whole number.

    A ratio read back as `hidden / channels` can give a product just below the whole number that it was.
    """
    return int(channels * ratio + 1e-6)
