"""From what the user named as weights to a file on this machine."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mvit_cli.checkpoints.cards import Card, load_card


@dataclass(frozen=True)
class ResolvedWeights:
    """A checkpoint file on this machine.

    Attributes:
        name: what rows and reports call it: the card's name, or what the user named.
        card: what is known of it; None for a user's own file.
        overrides: fields of the configuration that the card sets.
    """

    path: Path
    name: str
    card: Card | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)


def resolve_weights(weights: str | Path, *, progress: bool = True) -> ResolvedWeights:
    """The file behind `--weights`: a path, a card's name, `hf://org/repo[@rev]/file` or `https://...`.

    Raises:
        UsageError: if it is neither a file nor a known name.
        DownloadError: if it cannot be fetched.
    """
    from mvit_cli.checkpoints.fetch import fetch, fetch_uri

    text = str(weights)
    if Path(weights).is_file():
        return ResolvedWeights(Path(weights), text)
    if "://" in text:
        return ResolvedWeights(fetch_uri(text, progress=progress), text)
    card = load_card(text)
    return ResolvedWeights(fetch(card, progress=progress), card.name, card, card.overrides)
