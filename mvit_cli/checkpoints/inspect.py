"""What a checkpoint is, told without building its network: from shapes, or from its card alone."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mvit_cli.arch.config import MViTConfig
from mvit_cli.arch.parameters import parameter_shapes
from mvit_cli.arch.presets import Preset, get_preset
from mvit_cli.arch.summary import preset_of, resized
from mvit_cli.checkpoints.find import find, here, must_be_here
from mvit_cli.checkpoints.formats.clip_size import Geometry
from mvit_cli.checkpoints.formats.reading import answered, read_shapes
from mvit_cli.checkpoints.load import describe, found_shapes, mismatches
from mvit_cli.checkpoints.resize import config_for_clips
from mvit_cli.errors import UsageError
from mvit_cli.records import DescribedWeights, LayoutName

if TYPE_CHECKING:
    from mvit_cli.checkpoints.cards import Card


@dataclass(frozen=True)
class Inspected:
    """The network that weights belong to.

    Attributes:
        preset: the preset it is, apart from clip geometry and number of classes; None for an architecture of its own.
        record: the object `weights` in the JSON of `mvit summarize --weights`.
    """

    config: MViTConfig
    preset: Preset | None
    record: DescribedWeights


def inspect_weights(
    weights: str, preset: str | None = None, weights_key: str | None = None, clips: Geometry = (None, None)
) -> Inspected:
    """Describes what `--weights` names: a file, a card or an address. Downloads nothing.

    Args:
        clips: frames and pixels that the network is wanted for; None: those it was trained for.

    Raises:
        CheckpointError: the file cannot be recognised, or contradicts `preset`.
        UsageError: neither a file nor a known name.
        DownloadError: an address or a repository whose file is not on this machine.
        ValueError: the network cannot take such clips.
    """
    found = find(weights)
    if found.kind == "none":
        raise UsageError("weights none: random weights are no checkpoint", "--preset NAME describes a network alone")
    if found.card:
        path = here(found)
        return inspect_file(path, preset, found.card, weights_key, clips) if path else _from_card(found.card, clips)
    return inspect_file(must_be_here(found), preset, None, weights_key, clips)


def inspect_file(
    path: Path,
    preset: str | None = None,
    card: "Card | None" = None,
    weights_key: str | None = None,
    clips: Geometry = (None, None),
) -> Inspected:
    """Describes a checkpoint file from the shapes in it.

    Raises:
        CheckpointError: it cannot be recognised, or contradicts `preset`.
        ValueError: the network cannot take such clips.
    """
    overrides = card.overrides if card else None
    described = describe(read_shapes(path, weights_key), preset or (card.preset if card else None), overrides, clips)
    config, tensors = described.config, described.tensors
    with answered(path):
        misfits = mismatches(parameter_shapes(config), found_shapes(config, tensors, described.layout))
    notes = [*described.inferred.notes, *(f"does not fit: {misfit}" for misfit in misfits)]
    record: DescribedWeights = {
        "name": card.name if card else path.name,
        "path": str(path),
        "layout": described.layout,
        "dtype": "+".join(sorted({str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values()})),
        "strides_from": described.inferred.strides_from,
        "notes": notes,
    }
    return Inspected(described.config_for(*clips), get_preset(card.preset) if card else preset_of(config), record)


def _from_card(card: "Card", clips: Geometry) -> Inspected:
    preset = get_preset(card.preset)
    fields = {"num_classes": card.labels.classes, **card.overrides}
    config = replace(preset.config, **cast("dict[str, Any]", fields))
    record: DescribedWeights = {
        "name": card.name,
        "path": None,
        "layout": cast("LayoutName", card.layout),
        "dtype": None,
        "strides_from": f"preset {card.preset}",
        "notes": [],
    }
    return Inspected(config_for_clips(config, resized(config, *clips), card.layout), preset, record)
