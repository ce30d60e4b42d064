"""What a checkpoint is, told without building its network: from shapes, or from its card alone."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mvit_cli.arch.config import MViTConfig
from mvit_cli.arch.parameters import parameter_shapes
from mvit_cli.arch.presets import Preset, get_preset
from mvit_cli.arch.summary import preset_of
from mvit_cli.checkpoints.formats.reading import answered, read_shapes
from mvit_cli.checkpoints.load import describe, found_shapes, mismatches
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


def inspect_weights(weights: str, preset: str | None = None) -> Inspected:
    """Describes what `--weights` names: a file, a card or an address. Downloads nothing.

    Raises:
        CheckpointError: the file cannot be recognised, or contradicts `preset`.
        UsageError: neither a file nor a known name, or an address whose file is not on this machine.
    """
    from mvit_cli.checkpoints.fetch.place import is_uri

    if Path(weights).is_file():
        return inspect_file(Path(weights), preset)
    if is_uri(weights):
        return inspect_file(cached_address(weights), preset)
    from mvit_cli.checkpoints.cards import load_card
    from mvit_cli.checkpoints.fetch.locate import locate

    card = load_card(weights)
    path = locate(card)
    return inspect_file(path, preset, card) if path else _from_card(card)


def inspect_file(
    path: Path, preset: str | None = None, card: "Card | None" = None, weights_key: str | None = None
) -> Inspected:
    """Describes a checkpoint file from the shapes in it.

    Raises:
        CheckpointError: it cannot be recognised, or contradicts `preset`.
    """
    overrides = card.overrides if card else None
    described = describe(read_shapes(path, weights_key), preset or (card.preset if card else None), overrides)
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
    return Inspected(config, get_preset(card.preset) if card else preset_of(config), record)


def _from_card(card: "Card") -> Inspected:
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
    return Inspected(config, preset, record)


def cached_address(uri: str) -> Path:
    from mvit_cli.checkpoints.fetch.caches import cached_file, url_cache_path
    from mvit_cli.checkpoints.fetch.place import source_of_uri

    source = source_of_uri(uri)
    path = cached_file(source.hub_file) if source.hub_file else url_cache_path(source.url or "", published=False)
    if path is None or not path.is_file():
        raise UsageError(
            f"{source.where} is not on this machine, and summarize downloads nothing",
            f"`mvit weights pull {source.where}` downloads it",
        )
    return path
