"""From what the user named as weights to a file on this machine."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mvit_cli.checkpoints.cards import Card, load_card
from mvit_cli.errors import CheckpointError

_CHECKPOINT_SUFFIXES = (".safetensors", ".pth", ".pyth", ".pt", ".bin", ".ckpt")


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


def looks_like_path(text: str) -> bool:
    """Whether the user meant a file rather than a card: it has a separator or a checkpoint's suffix."""
    return "/" in text or "\\" in text or Path(text.lower()).suffix in _CHECKPOINT_SUFFIXES


def resolve_weights(weights: str | Path, *, progress: bool = True) -> ResolvedWeights:
    """The file behind `--weights`: a path, a card's name, `hf://org/repo[@rev]/file` or `https://...`.

    Raises:
        CheckpointError: if it is a path to no file.
        UsageError: if it is no known name.
        DownloadError: if it cannot be fetched.
    """
    from mvit_cli.checkpoints.fetch.locate import fetch, fetch_uri
    from mvit_cli.checkpoints.fetch.place import is_uri, redacted

    text = str(weights)
    if Path(weights).is_file():
        return ResolvedWeights(Path(weights), text)
    if is_uri(text):
        return ResolvedWeights(fetch_uri(text, progress=progress), redacted(text))
    if looks_like_path(text):
        raise CheckpointError(f"{text}: no such file", "check the path given to --weights")
    card = load_card(text)
    return ResolvedWeights(fetch(card, progress=progress), card.name, card, card.overrides)
