"""What the shipped schemas say of a document, and whether they would notice another."""

import copy
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from mvit_cli.report.schema import schema_of


@cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(schema_of(name))


def problems(name: str, document: object) -> list[str]:
    """Where a document is not what the schema of a command says; it has gone through JSON."""
    errors = _validator(name).iter_errors(json.loads(json.dumps(document)))
    return [f"{error.json_path}: {error.message[:300]}" for error in errors]


def unnoticed_changes(name: str, document: object, free: tuple[str, ...] = ()) -> list[str]:
    """Objects of a valid document to which a key can be added without the schema noticing; `free` ones are left out."""
    assert problems(name, document) == []
    unnoticed = []
    for path in _objects(document):
        if path and path[-1] in free:
            continue
        changed = copy.deepcopy(document)
        target: Any = changed
        for step in path:
            target = target[step]
        target["another_key"] = 1
        if not problems(name, changed):
            unnoticed.append("/".join(map(str, path)))
    return unnoticed


def _objects(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The way to each object in a document; of a list the first and the last entry stand for all."""
    if isinstance(node, dict):
        yield path
        for key, value in node.items():
            yield from _objects(value, (*path, key))
    elif isinstance(node, list):
        for index in sorted({0, len(node) - 1} if node else ()):
            yield from _objects(node[index], (*path, index))
