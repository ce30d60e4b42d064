"""What the cfg of PySlowFast and facebookresearch/mvit says of how a network wants to be used."""

from collections.abc import Mapping
from typing import Any

from mvit_cli.checkpoints.formats.words import (
    MAX_PIXELS,
    MAX_VIEWS,
    Channels,
    Resizing,
    Said,
    colours,
    placed,
    section,
    whole,
    word,
)
from mvit_cli.errors import CheckpointError
from mvit_cli.protocol import Activation, Method, Sampling, Views

_BLUE_FIRST = ("ssv2", "something_something_v2", "charades")
"""Datasets of PySlowFast whose frames OpenCV reads; those of others come red first."""

_TURNED = ("ptvssv2", "ptvcharades")
"""Datasets whose frames come red first, are normalised so, and are turned round afterwards."""

_RED_FIRST = ("", "kinetics", "ptvkinetics", "imagenet", "imagenetprefetch")
"""Datasets whose decoder gives red first; Kinetics is meant where none is named."""


def from_cfg(cfg: Any, frames: int) -> Said:
    """What a cfg says, as `settings.read_cfg` gives it; `frames` of a clip of the network, 1 for images."""
    if not isinstance(cfg, dict):
        return Said()
    data, test, model = (section(cfg, name) for name in ("DATA", "TEST", "MODEL"))
    dataset = (word(test.get("DATASET")) or word(section(cfg, "TRAIN").get("DATASET"))).lower()
    image = frames == 1
    crops = 1 if image else whole(test.get("NUM_SPATIAL_CROPS"), MAX_VIEWS)
    one_clip = image or dataset in _SEGMENTS
    clips = 1 if one_clip else whole(test.get("NUM_ENSEMBLE_VIEWS"), MAX_VIEWS)
    turned_statistics, channels = _cfg_colours(data, dataset, image)
    mean, std = colours(data.get("MEAN")), colours(data.get("STD"), positive=True)
    step = -1 if turned_statistics else 1
    return placed(
        "the file's cfg",
        sampling=Sampling("image", 1) if image else _cfg_sampling(data, dataset),
        statistics=(mean[::step], std[::step]) if mean and std else None,
        channels=channels,
        resizing=_cfg_image(cfg, data) if image else _cfg_resizing(data, dataset, crops),
        views=_cfg_views(clips, crops, data),
        activation=_cfg_activation(model),
    )


def _cfg_views(clips: int | None, crops: int | None, data: Mapping[str, Any]) -> Views | None:
    """Source: PySlowFast, `TestMeter`: scores of views are added up, or the largest is taken."""
    over = data.get("ENSEMBLE_METHOD", "sum")
    if not clips or crops not in (1, 3) or over not in ("sum", "max"):
        return None
    return Views(clips, crops, "max" if over == "max" else "mean")


_SEGMENTS = ("ssv2", "something_something_v2")


def _cfg_sampling(data: Mapping[str, Any], dataset: str) -> Sampling | None:
    """Source: PySlowFast, `get_seq_frames` of `datasets/ssv2.py` and `charades.py`, `decoder.py` for the others."""
    frames, rate = whole(data.get("NUM_FRAMES"), MAX_PIXELS), whole(data.get("SAMPLING_RATE"), MAX_PIXELS)
    if dataset in _SEGMENTS:
        return Sampling("segments", frames) if frames else None
    if dataset == "charades":  # every frame that was extracted counts, whatever their rate
        return Sampling("native", frames, rate, past_end="hold") if frames and rate else None
    fps = data.get("TARGET_FPS")
    if not frames or not rate or not isinstance(fps, int | float) or not 0 < fps < MAX_PIXELS:
        return None
    method: Method = "leading" if data.get("USE_OFFSET_SAMPLING") is False else "clip"
    return Sampling(method, frames, rate, float(fps))


def _cfg_colours(data: Mapping[str, Any], dataset: str, image: bool) -> tuple[bool, Channels | None]:
    """Whether MEAN and STD are of blue first, and the order that the network is shown; None where nobody tells.

    `REVERSE_INPUT_CHANNEL` turns the channels round after normalisation, however they were read; images it leaves
    alone. Source: PySlowFast, `datasets/utils.py` (`retry_load_images`, `pack_pathway_output`), `ptv_datasets.py`.

    Raises:
        CheckpointError: the order is turned round of frames of which nobody knows how they were read.
    """
    reverse = data.get("REVERSE_INPUT_CHANNEL")
    if image:
        return False, "rgb"
    if dataset in _RED_FIRST:
        return False, "bgr" if reverse is True else "rgb"
    if dataset in (*_BLUE_FIRST, *_TURNED):
        order: Channels | None = None if type(reverse) is not bool else "rgb" if reverse else "bgr"
        return dataset in _BLUE_FIRST, order
    if reverse is True:
        raise CheckpointError(
            f"the file's cfg says DATA.REVERSE_INPUT_CHANNEL True of the dataset {dataset!r}, which is none of"
            " PySlowFast's: whether its frames were read red or blue first is not known",
            "call the model from Python (mvit_cli.load_model) with clips of the order it was trained with",
        )
    return False, None


def _cfg_resizing(data: Mapping[str, Any], dataset: str, crops: int | None) -> Resizing | None:
    """Source: PySlowFast, `datasets/kinetics.py`, `ssv2.py`, `charades.py`: short side and crop while testing."""
    crop = whole(data.get("TEST_CROP_SIZE"), MAX_PIXELS)
    if crop is None or crops is None:
        return None
    scales = data.get("TRAIN_JITTER_SCALES")
    to_the_crop = crops > 1 or dataset in _BLUE_FIRST
    short = crop if to_the_crop else whole(scales[0], MAX_PIXELS) if isinstance(scales, list) and scales else None
    return Resizing(short, crop, "bilinear", False, "float") if short and short >= crop else None


def _cfg_image(cfg: Mapping[str, Any], data: Mapping[str, Any]) -> Resizing | None:
    """Source: PySlowFast and facebookresearch/mvit, `datasets/imagenet.py`: the share that is cut out has two names.

    PySlowFast without `AUG.ENABLE` resizes to the size of training, in fractions.
    """
    crop = whole(data.get("TEST_CROP_SIZE"), MAX_PIXELS)
    if crop is None:
        return None
    plain = "VAL_CROP_RATIO" not in data and section(cfg, "AUG").get("ENABLE") is False
    share = data.get("VAL_CROP_RATIO", data.get("IN_VAL_CROP_RATIO"))
    if share is not None and not plain:
        if not isinstance(share, int | float) or not 0.1 <= share <= 1:
            return None
        return Resizing(int((1.0 / share) * crop), crop, "bicubic", True, "uint8")
    if plain:
        short = whole(data.get("TRAIN_CROP_SIZE"), MAX_PIXELS)
        return Resizing(short, crop, "bilinear", False, "float") if short and short >= crop else None
    return Resizing(int((256 / 224) * crop), crop, "bicubic", True, "uint8")


def _cfg_activation(model: Mapping[str, Any]) -> Activation | None:
    """What `HEAD_ACT` names; where it is none, what the loss makes of the outputs."""
    told = word(model.get("HEAD_ACT")).lower()
    if told in ("softmax", "sigmoid"):
        return told  # type: ignore[return-value]
    loss = word(model.get("LOSS_FUNC")).lower()
    if loss in ("bce", "bce_logit"):
        return "sigmoid"
    return "softmax" if loss in ("cross_entropy", "soft_cross_entropy") else None
