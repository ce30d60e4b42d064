"""What the cards offer, and what of it lies on this machine. Needs no network and no torch."""

from dataclasses import asdict, replace
from math import prod
from pathlib import Path
from typing import Any, Literal

from mvit_cli.arch.parameters import parameter_shapes
from mvit_cli.arch.presets import get_preset, preset_names
from mvit_cli.arch.summary import summarize
from mvit_cli.checkpoints.cards import Card, card_names, load_card
from mvit_cli.checkpoints.fetch.locate import cache_dirs, locate
from mvit_cli.errors import CheckpointError


def inventory() -> list[dict[str, Any]]:
    """A record a card, presets in the order of the papers and each preset's default first."""
    cards = [load_card(name) for name in card_names()]
    order = {name: place for place, name in enumerate(preset_names())}
    cards.sort(key=lambda card: (order[card.preset], not card.default, card.name))
    return [_record(card) for card in cards]


def _record(card: Card) -> dict[str, Any]:
    state, path = state_of(card)
    reported = card.reported
    return {
        "name": card.name,
        "preset": card.preset,
        "default": card.default,
        "use": use_of(card),
        "layout": card.layout,
        "dataset": card.labels.dataset,
        "classes": card.labels.classes,
        "top1": reported.top1 if reported else None,
        "top5": reported.top5 if reported else None,
        "params": _params(card),
        "size_bytes": path.stat().st_size if path else card.source.approximate_bytes,
        "licence": card.licence,
        "state": state,
        "path": str(path) if path else None,
    }


def use_of(card: Card) -> Literal["video", "images"]:
    """What the weights are shown."""
    return "images" if card.sampling.method == "image" else "video"


def _params(card: Card) -> int:
    """Parameters of the network that the card describes."""
    fields: dict[str, Any] = {"num_classes": card.labels.classes, **card.overrides}
    return sum(map(prod, parameter_shapes(replace(get_preset(card.preset).config, **fields)).values()))


def state_of(card: Card) -> tuple[str, Path | None]:
    """`embedded` (ships with the package), `cached`, `remote` or `missing`; and the file, if it is here."""
    try:
        path = locate(card)
    except CheckpointError:
        return "missing", None
    if path is None:
        return "remote", None
    return ("embedded" if card.source.embedded else "cached"), path


def card_record(card: Card) -> dict[str, Any]:
    """Everything a card says, where its file comes from, and whether it is here."""
    state, path = state_of(card)
    return asdict(card) | {
        "use": use_of(card),
        "params": _params(card),
        "macs": summarize(card.preset)["macs"],
        "address": card.source.where,
        "size_bytes": path.stat().st_size if path else card.source.approximate_bytes,
        "state": state,
        "path": str(path) if path else None,
    }


def folders() -> list[dict[str, Any]]:
    """The folders that are searched, and number and size of the cards' files in each."""
    found = [path for card in map(load_card, card_names()) if (path := state_of(card)[1])]
    return [_folder(kind, folder, found) for kind, folder in cache_dirs().items()]


def _folder(kind: str, folder: Path, files: list[Path]) -> dict[str, Any]:
    inside = [path for path in files if path.is_relative_to(folder)]
    return {
        "kind": kind,
        "path": str(folder),
        "exists": folder.is_dir(),
        "checkpoints": len(inside),
        "size_bytes": sum(path.stat().st_size for path in inside),
    }
