"""Text that files carry about themselves, YAML and JSON, read within bounds: size, depth, count of items, aliases."""

import json
from typing import Any

from mvit_cli.errors import CheckpointError

MAX_LETTERS = 1 << 17
"""Of a configuration; PySlowFast's have 10,000."""

MAX_ITEMS, MAX_DEPTH, MAX_ALIASES, MAX_SCALAR = 20_000, 24, 64, 8192


def read_yaml(text: str, what: str) -> Any:
    """The value of a YAML text; aliases stand for one object, so that nothing grows.

    Raises:
        CheckpointError: it is not YAML, or larger than any configuration.
    """
    import yaml

    if len(text) > MAX_LETTERS:
        raise _too_much(what, f"{len(text):,} letters")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        depth = aliases = 0
        for items, event in enumerate(yaml.parse(text, Loader=loader)):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            aliases += isinstance(event, yaml.AliasEvent)
            scalar = event.value if isinstance(event, yaml.ScalarEvent) else ""
            if items > MAX_ITEMS or depth > MAX_DEPTH or aliases > MAX_ALIASES or len(scalar) > MAX_SCALAR:
                raise _too_much(what, "more items, levels or aliases than any configuration")
            if scalar == "<<":
                raise _too_much(what, "merged mappings, which no configuration of MViT has")
        return yaml.load(text, Loader=loader)  # a SafeLoader either way
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        raise CheckpointError(f"{what} is not YAML ({type(error).__name__})", "name a --preset") from error


def read_json(text: str, what: str) -> Any:
    """The value of a JSON text.

    Raises:
        CheckpointError: it is not JSON, or larger than any configuration.
    """
    if len(text) > MAX_LETTERS:
        raise _too_much(what, f"{len(text):,} letters")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        told = str(error)[:120] if isinstance(error, ValueError) else "nested too deep"
        raise CheckpointError(f"{what} is not usable ({told})", "") from error


def _too_much(what: str, told: str) -> CheckpointError:
    return CheckpointError(f"{what} has {told}", "name a --preset, or save the weights without it")
