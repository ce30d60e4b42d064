"""Any known checkpoint as one safetensors file in the canonical layout, its configuration in the metadata."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mvit_cli import __version__
from mvit_cli.arch.config import MViTConfig
from mvit_cli.arch.summary import resized
from mvit_cli.checkpoints.find import ResolvedWeights
from mvit_cli.checkpoints.formats.clip_size import Geometry
from mvit_cli.checkpoints.formats.layouts import Layout
from mvit_cli.checkpoints.formats.own_protocol import PROTOCOL_KEY, TRAINING_KEY
from mvit_cli.checkpoints.formats.own_ranges import RANGES_KEY
from mvit_cli.checkpoints.formats.reading import (
    CFG_KEY,
    CLASSIFIER,
    CLASSIFIER_KEY,
    answered,
    read_checkpoint,
)
from mvit_cli.checkpoints.formats.said import words_to_keep
from mvit_cli.checkpoints.load import CONFIG_KEY, config_to_json, describe, fitted_names
from mvit_cli.errors import MViTError, UsageError
from mvit_cli.whole_files import written_whole

if TYPE_CHECKING:
    from torch import Tensor


KEPT_KEYS = (PROTOCOL_KEY, TRAINING_KEY, RANGES_KEY)
"""What a file of ours says of itself, and goes on saying."""


@dataclass(frozen=True)
class Converted:
    """What was written."""

    path: Path
    layout: Layout
    config: MViTConfig
    params: int


def convert(
    found: ResolvedWeights,
    target: Path,
    preset: str | None = None,
    *,
    force: bool = False,
    clips: Geometry = (None, None),
    weights_key: str | None = None,
    more: Mapping[str, str] | None = None,
) -> Converted:
    """Writes the canonical form of a checkpoint; every value stays as it is.

    Args:
        target: `.safetensors`; written whole or not at all.
        preset: the architecture, where the file cannot tell it.
        force: replace a file that is there.
        clips: frames and pixels that the file was trained for, where it cannot tell them.
        weights_key: the network to take, where the file holds several.
        more: what else the metadata is to say.

    Raises:
        UsageError: the target has another ending, or is there already; the file was trained for other clips.
        CheckpointError: the checkpoint cannot be read, recognised or fitted strictly.
        MViTError: the target cannot be written.
    """
    if target.suffix != ".safetensors":
        raise UsageError(f"{target}: the output is a .safetensors file", "give it that ending")
    if target.exists() and not force:
        raise UsageError(f"{target} is there already", "--force replaces it")
    checkpoint = read_checkpoint(found.path, weights_key)
    preset = preset or (found.card.preset if found.card else None)
    described = describe(checkpoint, preset, found.overrides, clips)
    _check_clips(described.config, clips)
    with answered(found.path):
        names = fitted_names(described, str(found.path))
    tensors = {name: described.tensors[name] for name in names}
    metadata = {CONFIG_KEY: config_to_json(described.config), "format": "pt", "mvit_version": __version__}
    metadata["converted_from"] = f"{found.card.name if found.card else found.path.name} ({described.layout})"
    metadata |= {key: checkpoint.metadata[key] for key in KEPT_KEYS if key in checkpoint.metadata}
    metadata[CLASSIFIER_KEY] = _digest(tensors[name] for name in CLASSIFIER)
    metadata |= words_to_keep(checkpoint)
    if checkpoint.cfg:
        metadata[CFG_KEY] = checkpoint.cfg  # how the network wants to be shown a file, which tensors cannot tell
    save_weights(tensors, metadata | dict(more or {}), target)
    return Converted(target, described.layout, described.config, sum(tensor.numel() for tensor in tensors.values()))


def _digest(tensors: "Iterable[Tensor]") -> str:
    """SHA-256 of the tensors' bytes, one after the other, as `bytes_digest` finds them in a file."""
    import torch

    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _check_clips(config: MViTConfig, clips: Geometry) -> None:
    """That clips which were named are those of the training: no value changes here."""
    if resized(config, *clips).input_thw != config.input_thw:
        raise UsageError(
            f"the file was trained for {config.frames} frames of {config.height}x{config.width}, and convert changes"
            " nothing",
            "leave out --frames and --size: the network is given others when it is loaded",
        )


def save_weights(tensors: "dict[str, Tensor]", metadata: dict[str, str], target: Path) -> None:
    """Writes beside the target and then gives the file its name, so that nobody ever sees half of one."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    own = {name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
    try:
        with written_whole(target) as unfinished:
            save_file(own, unfinished, metadata)
            unfinished.chmod(0o666 & ~_umask())  # safetensors writes for the owner only
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MViTError(f"{target} cannot be written: {reason}", "check the folder and its free space") from error


def _umask() -> int:
    """The process's mask of permissions, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
