"""What a checkpoint file itself says of how its network wants to be used: frames, pixels, views, scores, class names.

Three public code bases write it: PySlowFast and facebookresearch/mvit (`cfg`, YAML), MMAction2 and mmpretrain
(`meta`, a configuration in Python's notation, see `openmmlab`), timm (`config.json` beside the file).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from mvit_cli.checkpoints.formats.openmmlab import Meta, Pipeline, read_meta
from mvit_cli.checkpoints.formats.reading import Checkpoint
from mvit_cli.checkpoints.formats.settings import MAX_LETTERS, read_json, read_yaml
from mvit_cli.errors import CheckpointError
from mvit_cli.protocol import Activation, Sampling, Views

Colours = tuple[float, float, float]
Channels = Literal["rgb", "bgr"]

META_KEY, SETTINGS_KEY = "mmengine_meta", "config_json"
"""Where a converted file keeps the words of the file it comes from, JSON both, in its metadata."""

MAX_VIEWS = 100
MAX_PIXELS = 4096


@dataclass(frozen=True)
class Resizing:
    """How a frame becomes a square; the fields of `protocol.Transform` of the same names."""

    resize: int
    crop: int
    interpolation: Literal["bilinear", "bicubic"]
    antialias: bool
    resize_dtype: Literal["uint8", "float"]


@dataclass(frozen=True)
class Said:
    """The parts of a protocol that a file states; None where it is silent.

    Attributes:
        statistics: mean and standard deviation of red, green and blue, of values from 0 to 1.
        channels: the order that the network is shown.
        activation: what makes scores of the network's outputs.
        other_classes: the classifier is another than that of the card which the file was made from.
        places: name of a part -> where it stands.
    """

    sampling: Sampling | None = None
    statistics: tuple[Colours, Colours] | None = None
    channels: Channels | None = None
    resizing: Resizing | None = None
    views: Views | None = None
    activation: Activation | None = None
    labels: tuple[str, ...] | None = None
    other_classes: bool = False
    places: Mapping[str, str] = field(default_factory=dict)


def said_by(checkpoint: Checkpoint, num_classes: int) -> Said:
    """What a file says; labels only where there is one for each class.

    Raises:
        CheckpointError: what it says cannot be read, or contradicts itself.
    """
    said = Said()
    if checkpoint.cfg:
        said = _from_cfg(read_yaml(checkpoint.cfg, "the file's cfg"))
    elif meta := _meta_of(checkpoint):
        said = _from_meta(meta)
    text, place = _settings_of(checkpoint)
    if text and not said.places:
        said = _from_timm(text, place, num_classes)
    if said.labels is not None and len(said.labels) != num_classes:
        said = replace(said, labels=None)
    return said


def words_to_keep(checkpoint: Checkpoint) -> dict[str, str]:
    """What a file of another code base says, as the metadata of the one converted from it keeps it.

    A `cfg` has a place of its own there; words that are longer than any configuration are left out.
    """
    kept = {}
    meta, (settings, _) = _meta_of(checkpoint), _settings_of(checkpoint)
    if meta:
        dataset = _section(meta, "dataset_meta")
        classes = dataset.get("classes") or dataset.get("CLASSES") or meta.get("CLASSES")
        named = isinstance(classes, list | tuple) and all(isinstance(name, str) for name in classes)
        kept[META_KEY] = json.dumps(
            {"cfg": meta["cfg"] if isinstance(meta.get("cfg"), str) else ""}
            | ({"dataset_meta": {"classes": classes}} if named else {})
        )
    if settings:
        kept[SETTINGS_KEY] = settings
    return {key: text for key, text in kept.items() if len(text) <= MAX_LETTERS}


def _meta_of(checkpoint: Checkpoint) -> Mapping[Any, Any]:
    """MMEngine's words: in a torch file, or in the metadata of one converted from it."""
    told = checkpoint.beside.get("meta")
    if META_KEY in checkpoint.metadata:
        told = read_json(checkpoint.metadata[META_KEY], f"{META_KEY} in the file's metadata")
    return told if isinstance(told, dict) else {}


def _settings_of(checkpoint: Checkpoint) -> tuple[str, str]:
    """The text of a `config.json`, in the metadata or beside the file, and where it stands; empty if there is none."""
    if SETTINGS_KEY in checkpoint.metadata:
        return checkpoint.metadata[SETTINGS_KEY], f"{SETTINGS_KEY} in the file's metadata"
    path = checkpoint.path.parent / "config.json"
    if not path.is_file():
        return "", ""
    with path.open("rb") as file:
        return file.read(1 << 20).decode("utf-8", "replace"), str(path)


def _placed(place: str, **parts: Any) -> Said:
    """The parts that are there, all from one place."""
    told = {name: value for name, value in parts.items() if value is not None}
    return Said(**told, places=dict.fromkeys(told, place))


# --- PySlowFast and facebookresearch/mvit


_BLUE_FIRST = ("ssv2", "something_something_v2", "charades")
"""Datasets of PySlowFast whose frames OpenCV reads; those of others come red first."""

_TURNED = ("ptvssv2", "ptvcharades")
"""Datasets whose frames come red first, are normalised so, and are turned round afterwards."""

_RED_FIRST = ("", "kinetics", "ptvkinetics", "imagenet", "imagenetprefetch")
"""Datasets whose decoder gives red first; Kinetics is meant where none is named."""


def _from_cfg(cfg: Any) -> Said:
    if not isinstance(cfg, dict):
        return Said()
    data, test, model, mvit = (_section(cfg, name) for name in ("DATA", "TEST", "MODEL", "MVIT"))
    dataset = (_word(test.get("DATASET")) or _word(_section(cfg, "TRAIN").get("DATASET"))).lower()
    image = bool(mvit.get("PATCH_2D")) or data.get("NUM_FRAMES") == 1
    crops = 1 if image else _whole(test.get("NUM_SPATIAL_CROPS"), MAX_VIEWS)
    one_clip = image or dataset in _SEGMENTS
    clips = 1 if one_clip else _whole(test.get("NUM_ENSEMBLE_VIEWS"), MAX_VIEWS)
    turned_statistics, channels = _cfg_colours(data, dataset, image)
    mean, std = _colours(data.get("MEAN")), _colours(data.get("STD"), positive=True)
    step = -1 if turned_statistics else 1
    return _placed(
        "the file's cfg",
        sampling=Sampling("image", 1) if image else _cfg_sampling(data, dataset),
        statistics=(mean[::step], std[::step]) if mean and std else None,
        channels=channels,
        resizing=_cfg_image(cfg, data) if image else _cfg_resizing(data, dataset, crops),
        views=Views(clips, crops) if clips and crops in (1, 3) else None,
        activation=_cfg_activation(model),
    )


_SEGMENTS = ("ssv2", "something_something_v2")


def _cfg_sampling(data: Mapping[str, Any], dataset: str) -> Sampling | None:
    """Source: PySlowFast, `get_seq_frames` of `datasets/ssv2.py` and `charades.py`, `decoder.py` for the others."""
    frames, rate = _whole(data.get("NUM_FRAMES"), MAX_PIXELS), _whole(data.get("SAMPLING_RATE"), MAX_PIXELS)
    if dataset in _SEGMENTS:
        return Sampling("segments", frames) if frames else None
    if dataset == "charades":  # every frame that was extracted counts, whatever their rate
        return Sampling("native", frames, rate) if frames and rate else None
    fps = data.get("TARGET_FPS")
    if not frames or not rate or not isinstance(fps, int | float) or not 0 < fps < MAX_PIXELS:
        return None
    return Sampling("clip", frames, rate, float(fps))


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
    crop = _whole(data.get("TEST_CROP_SIZE"), MAX_PIXELS)
    if crop is None or crops is None:
        return None
    scales = data.get("TRAIN_JITTER_SCALES")
    to_the_crop = crops > 1 or dataset in _BLUE_FIRST
    short = crop if to_the_crop else _whole(scales[0], MAX_PIXELS) if isinstance(scales, list) and scales else None
    return Resizing(short, crop, "bilinear", False, "float") if short and short >= crop else None


def _cfg_image(cfg: Mapping[str, Any], data: Mapping[str, Any]) -> Resizing | None:
    """Source: PySlowFast and facebookresearch/mvit, `datasets/imagenet.py`; the latter names the share that is cut out.

    PySlowFast without `AUG.ENABLE` resizes to the size of training, in fractions.
    """
    crop = _whole(data.get("TEST_CROP_SIZE"), MAX_PIXELS)
    if crop is None:
        return None
    share = data.get("VAL_CROP_RATIO")
    if share is not None:
        if not isinstance(share, int | float) or not 0.1 <= share <= 1:
            return None
        return Resizing(int((1.0 / share) * crop), crop, "bicubic", True, "uint8")
    if _section(cfg, "AUG").get("ENABLE") is False:
        short = _whole(data.get("TRAIN_CROP_SIZE"), MAX_PIXELS)
        return Resizing(short, crop, "bilinear", False, "float") if short and short >= crop else None
    return Resizing(int((256 / 224) * crop), crop, "bicubic", True, "uint8")


def _cfg_activation(model: Mapping[str, Any]) -> Activation | None:
    """What `HEAD_ACT` names; where it is none, what the loss makes of the outputs."""
    told = _word(model.get("HEAD_ACT")).lower()
    if told in ("softmax", "sigmoid"):
        return told  # type: ignore[return-value]
    loss = _word(model.get("LOSS_FUNC")).lower()
    if loss in ("bce", "bce_logit"):
        return "sigmoid"
    return "softmax" if loss in ("cross_entropy", "soft_cross_entropy") else None


# --- MMAction2 and mmpretrain


def _from_meta(meta: Mapping[Any, Any]) -> Said:
    told = read_meta(meta)
    pipeline = told.pipeline
    statistics, channels = _meta_colours(told)
    return _placed(
        "the file's meta",
        sampling=_meta_sampling(pipeline),
        statistics=statistics,
        channels=channels if statistics else None,
        resizing=_meta_resizing(pipeline),
        views=_meta_views(pipeline),
        activation=told.activation,
        labels=told.classes,
    )


def _meta_sampling(pipeline: Pipeline) -> Sampling | None:
    frames = _whole(pipeline.frames, MAX_PIXELS)
    if frames is None or pipeline.sampler is None:
        return None
    if pipeline.sampler == "UniformSample":
        return Sampling("segments", frames)
    interval = _whole(pipeline.interval, MAX_PIXELS)
    return Sampling("native", frames, interval) if interval else None


def _meta_resizing(pipeline: Pipeline) -> Resizing | None:
    resize, crop = _whole(pipeline.resize, MAX_PIXELS), _whole(pipeline.crop, MAX_PIXELS)
    if resize is None or crop is None or resize < crop:
        return None
    if pipeline.sampler is None:  # of images: mmpretrain
        return Resizing(resize, crop, "bicubic", True, "uint8") if pipeline.bicubic else None
    return Resizing(resize, crop, "bilinear", False, "uint8")


def _meta_views(pipeline: Pipeline) -> Views | None:
    clips = _whole(pipeline.clips, MAX_VIEWS) if pipeline.sampler else 1
    return Views(clips, pipeline.crops) if clips and pipeline.crops else None


def _meta_colours(told: Meta) -> tuple[tuple[Colours, Colours] | None, Channels | None]:
    """Statistics of red first, of values from 0 to 1, and the order that the network is shown.

    MMCV reads images blue first and video decoders give red first; `to_rgb` turns the channels round before they are
    normalised. Source: MMAction2 and mmpretrain, `data_preprocessor.py` of both.
    """
    mean, std = _colours(told.mean), _colours(told.std, positive=True)
    images = told.pipeline.sampler is None
    order: Channels | None = None
    if type(told.to_rgb) is bool or not images:
        order = "rgb" if images == (told.to_rgb is True) else "bgr"
    if mean is None or std is None:
        return None, order
    turned = order == "bgr"
    return (_of_255(mean, turned), _of_255(std, turned)), order


def _of_255(values: Colours, turned: bool) -> Colours:
    """Statistics of values from 0 to 255, as those of values from 0 to 1; 123.675 is 0.485."""
    red, green, blue = (round(value / 255, 9) for value in (values[::-1] if turned else values))
    return red, green, blue


# --- timm


def _from_timm(text: str, place: str, num_classes: int) -> Said:
    """`config.json` of a Hub repository, beside the weights that it describes; old ones have all in one table."""
    config = read_json(text, place)
    if not isinstance(config, dict) or not _word(config.get("architecture")).startswith("mvit"):
        return Said()
    told = _section(config, "pretrained_cfg") or config
    if config.get("num_classes", told.get("num_classes", num_classes)) != num_classes:
        return Said()  # of other weights in the folder
    mean, std = _colours(told.get("mean")), _colours(told.get("std"), positive=True)
    names = config.get("label_names") or told.get("label_names") or told.get("labels")
    return _placed(
        place,
        sampling=Sampling("image", 1),
        statistics=(mean, std) if mean and std else None,
        channels="rgb",
        resizing=_timm_resizing(told),
        views=Views(1, 1),
        labels=tuple(names) if isinstance(names, list) and all(isinstance(n, str) for n in names) else None,
    )


def _timm_resizing(told: Mapping[str, Any]) -> Resizing | None:
    size, share = told.get("input_size"), told.get("crop_pct")
    crop = _whole(size[-1], MAX_PIXELS) if isinstance(size, list) and size else None
    way = told.get("interpolation")
    if crop is None or not isinstance(share, int | float) or not 0.1 <= share <= 1:
        return None
    if way not in ("bicubic", "bilinear") or told.get("crop_mode", "center") != "center":
        return None
    return Resizing(int(crop / share), crop, way, True, "uint8")


# --- values that are not to be believed


def _section(cfg: Mapping[Any, Any], name: str) -> Mapping[str, Any]:
    found = cfg.get(name)
    return found if isinstance(found, dict) else {}


def _word(value: Any) -> str:
    return value[:200] if isinstance(value, str) else ""


def _whole(value: Any, most: int) -> int | None:
    return value if type(value) is int and 1 <= value <= most else None


def _colours(value: Any, *, positive: bool = False) -> Colours | None:
    """Three numbers that can be a mean, or a deviation, which is positive; one stands for all three."""
    numbers = value if isinstance(value, list | tuple) else [value] * 3
    if len(numbers) != 3 or not all(type(number) in (int, float) and -1000 < number < 1000 for number in numbers):
        return None
    red, green, blue = map(float, numbers)
    return None if positive and min(red, green, blue) <= 0 else (red, green, blue)
