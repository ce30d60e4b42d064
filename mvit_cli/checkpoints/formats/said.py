"""What a checkpoint file itself says of how its network wants to be used: frames, pixels, views, scores, class names.

Three public code bases write it: PySlowFast and facebookresearch/mvit (`cfg`, YAML), MMAction2 and mmpretrain
(`meta`, a configuration in Python's notation, see `openmmlab`), timm (`config.json` beside the file).
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mvit_cli.checkpoints.formats.openmmlab import class_names
from mvit_cli.checkpoints.formats.reading import Checkpoint
from mvit_cli.checkpoints.formats.said_cfg import from_cfg
from mvit_cli.checkpoints.formats.said_meta import from_meta
from mvit_cli.checkpoints.formats.settings import MAX_LETTERS, plain, read_cfg, read_json
from mvit_cli.checkpoints.formats.words import MAX_PIXELS, Resizing, Said, colours, placed, section, whole, word
from mvit_cli.protocol import Sampling, Views

META_KEY, SETTINGS_KEY = "mmengine_meta", "config_json"
"""Where a converted file keeps the words of the file it comes from, JSON both, in its metadata."""


def said_by(checkpoint: Checkpoint, num_classes: int, frames: int) -> Said:
    """What a file says; labels only where there is one for each class.

    Args:
        frames: of a clip that its network is for; 1: it is of images.

    Raises:
        CheckpointError: what it says cannot be read, or contradicts itself.
    """
    said = Said()
    if checkpoint.cfg:
        said = from_cfg(read_cfg(checkpoint.cfg), frames)
    elif meta := _meta_of(checkpoint):
        said = from_meta(meta, frames)
    text, place = _settings_of(checkpoint)
    if text and not said.places:
        said = _from_timm(text, place, num_classes)
    if said.labels is not None and len(said.labels) != num_classes:
        told = f"{said.places['labels']} names {len(said.labels)} classes, its network tells {num_classes} apart"
        return replace(said, labels=None, unfit=told)
    return said


def words_to_keep(checkpoint: Checkpoint) -> dict[str, str]:
    """What a file of another code base says, as the metadata of the one converted from it keeps it.

    A `cfg` has a place of its own there; words that are longer than any configuration are left out.
    """
    kept = {}
    meta, (settings, _) = _meta_of(checkpoint), _settings_of(checkpoint)
    if meta:
        classes = class_names(meta)
        kept[META_KEY] = json.dumps(
            {"cfg": meta.get("cfg")} | ({"dataset_meta": {"classes": classes}} if classes else {})
        )
    if settings:
        kept[SETTINGS_KEY] = settings
    return {key: text for key, text in kept.items() if len(text) <= MAX_LETTERS}


def _meta_of(checkpoint: Checkpoint) -> Mapping[Any, Any]:
    """MMEngine's words: in a torch file, or in the metadata of one converted from it."""
    told = plain(checkpoint.beside.get("meta"), "the file's meta")
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


# --- timm


def _from_timm(text: str, place: str, num_classes: int) -> Said:
    """`config.json` of a Hub repository, beside the weights that it describes; old ones have all in one table."""
    config = read_json(text, place)
    if not isinstance(config, dict) or not word(config.get("architecture")).startswith("mvit"):
        return Said()
    told = section(config, "pretrained_cfg") or config
    if config.get("num_classes", told.get("num_classes", num_classes)) != num_classes:
        return Said()  # of other weights in the folder
    mean, std = colours(told.get("mean")), colours(told.get("std"), positive=True)
    names = config.get("label_names") or told.get("label_names") or told.get("labels")
    if isinstance(names, dict) and [*names] == [str(number) for number in range(len(names))]:
        names = [*names.values()]
    return placed(
        place,
        sampling=Sampling("image", 1),
        statistics=(mean, std) if mean and std else None,
        channels="rgb",
        resizing=_timm_resizing(told),
        views=Views(1, 1),
        activation="softmax",
        labels=tuple(names) if isinstance(names, list) and all(isinstance(n, str) for n in names) else None,
    )


def _timm_resizing(told: Mapping[str, Any]) -> Resizing | None:
    size, share = told.get("input_size"), told.get("crop_pct")
    crop = whole(size[-1], MAX_PIXELS) if isinstance(size, list) and size else None
    way = told.get("interpolation")
    if crop is None or not isinstance(share, int | float) or not 0.1 <= share <= 1:
        return None
    if way not in ("bicubic", "bilinear") or told.get("crop_mode", "center") != "center":
        return None
    return Resizing(int(crop / share), crop, way, True, "uint8")
