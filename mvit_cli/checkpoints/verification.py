"""Whether weights are the published ones, and whether they fit their network."""

from typing import Any

from mvit_cli.checkpoints.cards import Card, card_names, load_card
from mvit_cli.checkpoints.fetch.integrity import sha256_of, sha256_of_checkpoint
from mvit_cli.checkpoints.fetch.locate import verify, verify_cached
from mvit_cli.checkpoints.find import find, must_be_here
from mvit_cli.checkpoints.formats.header import bytes_digest
from mvit_cli.checkpoints.formats.reading import CLASSIFIER, CLASSIFIER_KEY, Checkpoint
from mvit_cli.checkpoints.formats.shards import is_index
from mvit_cli.checkpoints.inspect import inspect_file
from mvit_cli.checkpoints.load import load_file
from mvit_cli.errors import CheckpointError, UsageError


def verify_weights(weights: str, preset: str | None = None, weights_key: str | None = None) -> dict[str, Any]:
    """Digest, layout and size of weights on this machine, after they were loaded strictly.

    Args:
        weights: what `find` takes; of an address or a repository the file was fetched before.
        preset: the architecture, where the file cannot tell it.
        weights_key: the network to take, where the file holds several.

    Raises:
        CheckpointError: the file cannot be read, recognised or fitted.
        DownloadError: the file is not on this machine, or of a card is not the published one (which is then deleted).
        UsageError: neither a file nor a known name.
    """
    found = find(weights)
    if found.kind == "none":
        raise UsageError("weights none: there is nothing to verify in random weights", "name a file or a card")
    if found.card:
        card: Card | None = found.card
        path = verify(found.card)
        digest = sha256_of(path)
    else:
        path = must_be_here(found)
        repo = found.repository.repo if found.repository else found.source.hub if found.source else None
        if repo:
            verify_cached(path, repo, found.name)
        digest = sha256_of_checkpoint(path, again=not repo)
        card = _card_of(digest)
    try:
        inspected = inspect_file(path, preset, card, weights_key)
    except CheckpointError as error:
        if found.kind == "file":
            raise
        raise CheckpointError(error.message, f"`mvit weights pull --force {found.name}` replaces it") from error
    model = load_file(
        path,
        preset or (card.preset if card else None),
        overrides=card.overrides if card else None,
        weights_key=weights_key,
    )
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


def card_of_file(checkpoint: Checkpoint, layout: str, num_classes: int) -> Card | None:
    """The card whose weights a file holds: converted from it by us, or the published file by its digest."""
    cards = [card for card in map(load_card, card_names()) if card.labels.classes == num_classes]
    origin = card_of_origin(checkpoint)
    if origin in cards and classes_are_the_cards(checkpoint):
        return origin
    if is_index(checkpoint.path):  # every card's is one file
        return None
    size = checkpoint.path.stat().st_size
    likely = [card for card in cards if card.layout == layout and card.source.size_bytes in (None, size)]
    if not any(card.source.sha256 or card.source.sha256_prefix for card in likely):
        return None
    digest = sha256_of(checkpoint.path)
    return next((card for card in likely if _is_published(card, digest)), None)


def card_of_origin(checkpoint: Checkpoint) -> Card | None:
    """The card whose weights were converted into a file, whatever was done to them since; None: no card's."""
    origin = checkpoint.metadata.get("converted_from", "").split(" ")[0]
    return load_card(origin) if origin in card_names() else None


def classes_are_the_cards(checkpoint: Checkpoint) -> bool | None:
    """Whether the classifier of a converted file is still that of its card.

    None: it was converted from no card's file; or nothing tells, as an earlier version converted it, which kept no
    digest, or as it lies in several files.
    """
    kept = checkpoint.metadata.get(CLASSIFIER_KEY)
    if kept is None or card_of_origin(checkpoint) is None or is_index(checkpoint.path):
        return None
    return bytes_digest(checkpoint.path, CLASSIFIER) == kept


def _is_published(card: Card, digest: str) -> bool:
    published = card.source.sha256 or card.source.sha256_prefix
    return published is not None and digest.startswith(published)
