"""Which clips the position tables of a file were made for: what their lengths tell, and what must be said beside."""

from math import isqrt, prod

from mvit_cli.arch.config import MViTConfig
from mvit_cli.arch.grid import THW
from mvit_cli.arch.positions import absolute_rows
from mvit_cli.arch.summary import resized
from mvit_cli.checkpoints.formats.facts import Facts
from mvit_cli.errors import CheckpointError

Size = int | tuple[int, int]
Geometry = tuple[int | None, Size | None]
"""Frames and pixels of the clips that are asked for; None where nothing is."""


def frames_of(facts: Facts, patch_stride: THW, from_cfg: int | None, preset: MViTConfig | None = None) -> int:
    """Frames of a clip: from the length of the tables in time, else from the configuration or the preset."""
    tokens = facts.patch_frames
    if preset and tokens in (None, preset.patch_thw[0]):
        return preset.frames
    if from_cfg and (tokens is None or -(-from_cfg // patch_stride[0]) == tokens):
        return from_cfg
    return (tokens or 1) * patch_stride[0]


def size_of(facts: Facts, patch_stride: THW, from_cfg: int | None, preset: MViTConfig | None = None) -> tuple[int, int]:
    """Height and width of a crop: from the lengths of the tables in space, else from the configuration or preset."""
    side = facts.patch_side
    if preset and side in (None, preset.patch_thw[1]):
        return preset.height, preset.width
    if from_cfg and side in (None, from_cfg // patch_stride[1]):
        return from_cfg, from_cfg
    pixels = (side or 1) * patch_stride[1]
    return pixels, pixels


def trained_for(config: MViTConfig, facts: Facts, asked: Geometry) -> MViTConfig:
    """The configuration with the clips that the tables of absolute positions were made for.

    A table of places that lie in no square does not tell its height and width: if the clips asked for have as many,
    they are those.

    Raises:
        CheckpointError: neither the configured clips nor those asked for have as many positions as the file.
    """
    frames, size = asked
    candidates: list[Geometry] = [(None, None), (None, size), (frames, None), (frames, size)]
    places = facts.pos_lengths.get("pos_embed", 0)
    if config.frames == 1 and isqrt(places) ** 2 == places:  # of images one table is as good as one for space
        candidates.append((None, (isqrt(places) * config.patch_stride[1], isqrt(places) * config.patch_stride[2])))
    for candidate in candidates:
        try:
            clips = resized(config, *candidate)
        except ValueError:  # a clip that the network cannot take, which is told where it is asked for
            continue
        if _positions(clips, facts) == facts.pos_lengths:
            return clips
    raise _of_other_clips(config, facts)


def _positions(config: MViTConfig, facts: Facts) -> dict[str, int]:
    """Positions of clips in each of the file's tables, without the class token's."""
    rows = absolute_rows(config)
    return {name: rows[name] - (name == "pos_embed" and config.cls_token) for name in facts.pos_lengths}


def _of_other_clips(config: MViTConfig, facts: Facts) -> CheckpointError:
    expected = _positions(config, facts)
    name, found = next(item for item in facts.pos_lengths.items() if item[1] != expected[item[0]])
    clips = f"clips of {config.frames} frames of {config.height}x{config.width} have {expected[name]}"
    return CheckpointError(
        f"{name} has {found} positions{_example(found, config) if name == 'pos_embed_spatial' else ''}, and {clips}",
        "say which clips it was trained for: load_model(None, file, frames=T, size=(height, width)), or --frames and"
        " --size of `mvit summarize` and `mvit weights convert`, which writes them into the file; for other clips than"
        " those give their MViTConfig as preset too",
    )


def _example(places: int, config: MViTConfig) -> str:
    """A size in pixels that has so many places; nothing where none is near a usual picture's shape."""
    short = next(side for side in range(isqrt(places), 0, -1) if places % side == 0)
    height, width = short * config.patch_stride[1], places // short * config.patch_stride[2]
    fits = width <= 4 * height and prod(resized(config, None, (height, width)).patch_thw[1:]) == places
    return f" (as {height}x{width} pixels do)" if fits else ""
