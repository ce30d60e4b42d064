"""What the `meta` of MMAction2 and mmpretrain says of how a network wants to be used."""

from collections.abc import Mapping
from typing import Any

from mvit_cli.checkpoints.formats.openmmlab import Meta, Pipeline, read_meta
from mvit_cli.checkpoints.formats.words import (
    MAX_PIXELS,
    MAX_VIEWS,
    Channels,
    Colours,
    Resizing,
    Said,
    colours,
    placed,
    whole,
)
from mvit_cli.protocol import PastEnd, Sampling, Views


def from_meta(meta: Mapping[Any, Any], frames: int) -> Said:
    """What MMEngine's `meta` says; `frames` of a clip of the network, 1 for images."""
    told = read_meta(meta)
    pipeline = told.pipeline
    images = frames == 1 and pipeline.sampler is None
    statistics, channels = _colours(told, images)
    bases = ", ".join(told.bases[:3])
    return placed(
        "the file's meta",
        f"its configuration builds on {bases}, which the file does not hold" if bases else "",
        sampling=Sampling("image", 1) if images else _sampling(pipeline),
        statistics=statistics,
        channels=channels if statistics else None,
        resizing=_resizing(pipeline, images),
        views=_views(pipeline, images),
        activation=told.activation,
        labels=told.classes,
    )


def _sampling(pipeline: Pipeline) -> Sampling | None:
    frames = whole(pipeline.frames, MAX_PIXELS)
    if frames is None or pipeline.sampler is None:
        return None
    if pipeline.sampler == "UniformSample":
        return Sampling("uniform", frames)
    interval, rate = whole(pipeline.interval, MAX_PIXELS), pipeline.rate
    if interval is None or pipeline.past_end not in ("loop", "repeat_last"):
        return None
    past_end: PastEnd = "repeat" if pipeline.past_end == "repeat_last" else "loop"
    if frames == 1:
        return Sampling("image", 1)
    if rate:
        known = isinstance(rate, int | float) and 0 < rate < MAX_PIXELS
        return Sampling("clip", frames, interval, float(rate), past_end=past_end) if known else None
    return Sampling("native", frames, interval, past_end="repeat" if past_end == "repeat" else None)


def _resizing(pipeline: Pipeline, images: bool) -> Resizing | None:
    resize, crop = whole(pipeline.resize, MAX_PIXELS), whole(pipeline.crop, MAX_PIXELS)
    if resize is None or crop is None or resize < crop:
        return None
    if images:
        return Resizing(resize, crop, "bicubic", True, "uint8") if pipeline.way == "bicubic" else None
    return Resizing(resize, crop, "bilinear", False, "uint8", "mmaction2") if pipeline.way == "bilinear" else None


def _views(pipeline: Pipeline, images: bool) -> Views | None:
    clips = 1 if images else whole(pipeline.clips, MAX_VIEWS)
    return Views(clips, pipeline.crops) if clips and pipeline.crops else None


def _colours(told: Meta, images: bool) -> tuple[tuple[Colours, Colours] | None, Channels]:
    """Statistics of red first, of values from 0 to 1, and the order that the network is shown.

    MMCV reads images blue first and video decoders give red first; `to_rgb` turns the channels round before they are
    normalised. Source: MMAction2 and mmpretrain, `data_preprocessor.py` of both.
    """
    mean, std = colours(told.mean), colours(told.std, positive=True)
    order: Channels = "rgb" if images == (told.to_rgb is True) else "bgr"
    if mean is None or std is None:
        return None, order
    turned = order == "bgr"
    return (_of_255(mean, turned), _of_255(std, turned)), order


def _of_255(values: Colours, turned: bool) -> Colours:
    """Statistics of values from 0 to 255, as those of values from 0 to 1; 123.675 is 0.485."""
    red, green, blue = (round(value / 255, 9) for value in (values[::-1] if turned else values))
    return red, green, blue
