"""How numbers and shapes are written for people."""

from collections.abc import Sequence

_EIGHTHS = " ▏▎▍▌▋▊▉█"


def shape_text(extent: Sequence[int]) -> str:
    """`(8, 56, 56)` -> `8×56×56`."""
    return "×".join(map(str, extent))


def decimals_for(total: float) -> int:
    """Digits after the point that suit a column of parts of `total`."""
    if total >= 1000:
        return 1
    return 2 if total >= 10 else 3 if total >= 1 else 4


def scaled(value: float, unit: float, decimals: int) -> str:
    """`value` in `unit`s; what would round to nothing says so: `<0.01`."""
    number = value / unit
    if 0 < number < 10**-decimals / 2:
        return f"<{10**-decimals:.{decimals}f}"
    return f"{number:,.{decimals}f}"


def percent(share: float) -> str:
    """A share of the whole with one decimal: `0.123` -> `12.3 %`."""
    return f"{100 * share:.1f} %"


def difference(ours: float, theirs: float) -> str:
    """How far `ours` is from `theirs`, signed, in per cent."""
    return f"{100 * (ours - theirs) / theirs:+.1f} %"


def clock(seconds: float) -> str:
    """A place in a video: `83.25` -> `1:23.2`, `3723` -> `1:02:03.0`."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    tail = f"{rest // 10:02}.{rest % 10}"
    return f"{hours}:{minutes:02}:{tail}" if hours else f"{minutes}:{tail}"


def size_text(num_bytes: float) -> str:
    """Bytes as MB (1e6 bytes), as download pages print them."""
    number, unit = (num_bytes / 1e9, "GB") if num_bytes >= 1e9 else (num_bytes / 1e6, "MB")
    return f"{number:.1f} {unit}" if 0 < number < 10 else f"{number:,.0f} {unit}"


def bar(share: float, width: int) -> str:
    """A horizontal bar of at most `width` characters, in steps of an eighth of one."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    full, rest = divmod(eighths, 8)
    return "█" * full + (_EIGHTHS[rest] if rest else "")


def counted(number: int, what: str) -> str:
    """`2, "video"` -> `2 videos`."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def listed(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else ""
