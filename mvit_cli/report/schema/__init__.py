"""JSON Schemas (2020-12) of what the commands write: the files beside this one, each made whole."""

import json
from pathlib import Path
from typing import Any

_PREFIX = "urn:mvit:schema:"


def schema_names() -> tuple[str, ...]:
    """Names of the commands whose JSON has a schema."""
    return tuple(sorted(path.stem for path in Path(__file__).parent.glob("*.json")))


def schema_of(name: str) -> dict[str, Any]:
    """The schema of a command's JSON; schemas that it refers to are inside, so that it can stand alone.

    Raises:
        KeyError: if there is none of that name.
    """
    if name not in schema_names():
        raise KeyError(name)
    schema = _read(name)
    others = sorted({_named(reference) for reference in _references(schema)} - {name, ""})
    return schema | {"$defs": schema["$defs"] | {other: _read(other) for other in others}}


def _read(name: str) -> dict[str, Any]:
    text = Path(__file__).with_name(f"{name}.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def _references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [reference for entry in node for reference in _references(entry)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
    return own + [reference for entry in node.values() for reference in _references(entry)]


def _named(reference: str) -> str:
    """The schema that a reference names; empty: the one that it stands in."""
    return reference.partition("#")[0].removeprefix(_PREFIX)
