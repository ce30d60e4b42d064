"""Whether weights are the published ones, and whether they fit their network."""

from pathlib import Path
from typing import Any

from mvit_cli.checkpoints.cards import Card, card_names, load_card
from mvit_cli.checkpoints.fetch.integrity import sha256_of
from mvit_cli.checkpoints.fetch.locate import verify
from mvit_cli.checkpoints.fetch.place import is_uri
from mvit_cli.checkpoints.inspect import cached_address, inspect_file
from mvit_cli.checkpoints.load import load_file


def verify_weights(weights: str, preset: str | None = None) -> dict[str, Any]:
    """Digest, layout and size of weights on this machine, after they were loaded strictly.

    Args:
        weights: a file, a card's name, or an address whose file was fetched before.
        preset: the architecture, where the file cannot tell it.

    Raises:
        CheckpointError: the file cannot be read, recognised or fitted.
        DownloadError: the card's file is not here, or is not the published one (which is then deleted).
        UsageError: neither a file nor a known name.
    """
    if Path(weights).is_file() or is_uri(weights):
        path = Path(weights) if Path(weights).is_file() else cached_address(weights)
        digest = sha256_of(path, again=True)
        card = _card_of(digest)
    else:
        card = load_card(weights)
        path = verify(card)
        digest = sha256_of(path)
    inspected = inspect_file(path, preset, card)
    model = load_file(path, preset or (card.preset if card else None), overrides=card.overrides if card else None)
    return inspected.record | {
        "sha256": digest,
        "published_as": card.name if card and _is_published(card, digest) else None,
        "preset": inspected.preset.name if inspected.preset else None,
        "num_classes": inspected.config.num_classes,
        "params": sum(parameter.numel() for parameter in model.parameters()),
    }


def _card_of(digest: str) -> Card | None:
    """The card whose published file has this digest."""
    return next((card for card in map(load_card, card_names()) if _is_published(card, digest)), None)


def _is_published(card: Card, digest: str) -> bool:
    published = card.source.sha256 or card.source.sha256_prefix
    return published is not None and digest.startswith(published)
