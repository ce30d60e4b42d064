"""Text that files carry about themselves, YAML and JSON, read within bounds: size, depth, count of items, aliases."""

import json
from collections.abc import Callable
from typing import Any

from mvit_cli.checkpoints.formats.literals import read_number
from mvit_cli.errors import CheckpointError

MAX_LETTERS = 1 << 17
"""Of a configuration; PySlowFast's have 10,000."""

MAX_ITEMS, MAX_DEPTH, MAX_ALIASES, MAX_SCALAR = 20_000, 24, 64, 8192
MAX_JSON, MAX_PLAIN = 1 << 20, 200_000
"""Letters and items where lists of class names may stand; ImageNet-21k has 21,841."""


def read_yaml(text: str, what: str, *, words_only: bool = False) -> Any:
    """The value of a YAML text; aliases stand for one object, so that nothing grows.

    Args:
        words_only: numbers, dates, `yes` and `no` stay text; a key may stand there once only.

    Raises:
        CheckpointError: it is not YAML, or larger than any configuration.
    """
    import yaml

    if len(text) > MAX_LETTERS:
        raise _too_much(what, f"{len(text):,} letters")
    loader = _words_loader() if words_only else _loader()
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
        told = getattr(error, "problem", None) or type(error).__name__
        raise CheckpointError(f"{what} is not YAML ({told[:160]})", "name a --preset") from error


def _loader() -> Any:
    """A safe loader that takes what Python's own tags mark (tuples, dictionaries of a class) for lists and mappings."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        pass

    def marked(loader: Any, _: str, node: Any) -> Any:
        if isinstance(node, yaml.SequenceNode):
            return loader.construct_sequence(node, deep=True)
        if isinstance(node, yaml.MappingNode):
            found = loader.construct_mapping(node, deep=True)
            return found.get("dictitems", found)
        return node.value

    for kind in ("tuple", "unicode", "str", "dict", "list", "object/new:", "object:"):
        Loader.add_multi_constructor(f"tag:yaml.org,2002:python/{kind}", marked)
    return Loader


def _words_loader() -> Any:
    import yaml

    class Loader(getattr(yaml, "CBaseLoader", yaml.BaseLoader)):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            if len(set(names)) < len(names):
                twice = next(name for name in names if names.count(name) > 1)
                raise yaml.constructor.ConstructorError(problem=f"the key {twice[:80]!r} stands there twice")
            return super().construct_mapping(node, deep)

    return Loader


def read_cfg(text: str) -> Any:
    """The value of a YAML text of PySlowFast's, where numbers may be quoted, as may lists of them: `(3, 7, 7)`.

    Raises:
        CheckpointError: as of `read_yaml`.
    """
    what = "the file's cfg"
    return plain(read_yaml(text, what), what, read_number)


def plain(value: Any, what: str, of_text: Callable[[str], Any] = str) -> Any:
    """A copy of dictionaries and lists of words and numbers, with tuples as lists; of all else None.

    Args:
        of_text: makes something else of a text.

    Raises:
        CheckpointError: it is larger or deeper than any configuration.
    """
    left = MAX_PLAIN

    def copied(value: Any, depth: int) -> Any:
        nonlocal left
        left -= 1
        if left < 0 or depth > MAX_DEPTH:
            raise _too_much(what, "more items or levels than any configuration")
        if isinstance(value, dict):
            return {key: copied(each, depth + 1) for key, each in value.items() if isinstance(key, str | int)}
        if isinstance(value, list | tuple):
            return [copied(each, depth + 1) for each in value]
        if isinstance(value, str):
            made = of_text(value)
            return made if isinstance(made, str) else copied(made, depth + 1)
        return value if isinstance(value, int | float | None) else None

    return copied(value, 0)


def read_json(text: str, what: str) -> Any:
    """The value of a JSON text.

    Raises:
        CheckpointError: it is not JSON, or larger than any configuration.
    """
    if len(text) > MAX_JSON:
        raise _too_much(what, f"{len(text):,} letters")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        told = str(error)[:120] if isinstance(error, ValueError) else "nested too deep"
        raise CheckpointError(f"{what} is not usable ({told})", "") from error


def _too_much(what: str, told: str) -> CheckpointError:
    return CheckpointError(f"{what} has {told}", "name a --preset, or save the weights without it")
