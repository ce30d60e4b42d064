"""Which preset and which weights the user means."""

from dataclasses import dataclass
from pathlib import Path

from mvit_cli.arch.presets import get_preset
from mvit_cli.checkpoints.cards import Card, default_card
from mvit_cli.checkpoints.find import RANDOM, Found, find
from mvit_cli.errors import CheckpointError, UsageError

DEFAULT_PRESET = "B"


@dataclass(frozen=True)
class Choice:
    """One network to run.

    Attributes:
        preset: full name; None: the checkpoint file tells its architecture.
        weights: what `resolve_weights` takes; None: random weights.
        card: what is known of the weights; None for a user's own file and for random weights.
        found: what was meant by the weights; None: random weights.
        weights_key: the network that was asked for of a file that holds several.
    """

    preset: str | None
    weights: str | None
    card: Card | None = None
    found: Found | None = None
    weights_key: str | None = None

    @property
    def name(self) -> str:
        """What rows call the weights, `FILE#KEY` where a network in it was asked for; no credentials."""
        name = self.found.name if self.found else RANDOM
        return f"{name}#{self.weights_key}" if self.weights_key else name


def choose(preset: str | None = None, weights: str | Path | None = None) -> Choice:
    """The network behind `--preset` and `--weights`. Needs no torch and no network.

    Weights that were published decide the preset; with a file of one's own the preset is optional.

    Raises:
        UsageError: an unknown name, or weights that belong to another preset.
        CheckpointError: no such file, or nothing was published for the preset.
    """
    named = get_preset(preset).name if preset else None
    if weights is None:
        return _published(named or get_preset(DEFAULT_PRESET).name)
    found = find(weights)
    if found.kind == "none":
        return Choice(named or get_preset(DEFAULT_PRESET).name, None)
    if found.card is None:
        return Choice(named, str(weights), found=found)
    card = found.card
    if named and card.preset != named:
        raise UsageError(
            f"--weights {card.name} belongs to preset {card.preset}, not to --preset {preset}",
            f"leave --preset out, or say --preset {card.preset}",
        )
    return Choice(card.preset, card.name, card, found)


def _published(preset: str) -> Choice:
    card = default_card(preset)
    if card is None:
        raise CheckpointError(
            f"no weights are published for preset {preset}",
            "give a checkpoint with --weights FILE, or try --preset camera (weights included), "
            "or --weights none (random)",
        )
    return Choice(preset, card.name, card, find(card.name))
