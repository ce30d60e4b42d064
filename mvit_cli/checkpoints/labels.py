"""Lists of class names, from the package or from the user."""

import json
from pathlib import Path

from mvit_cli.errors import CheckpointError


def read_labels(path: str | Path) -> tuple[str, ...]:
    """Class names from a file: one a line, or a JSON list, or a JSON object of index to name or name to index.

    Raises:
        CheckpointError: unreadable, empty, or indices that are not 0, 1, 2, ...
    """
    path = Path(path)
    hint = "give one class name a line, or a JSON list, or a JSON object of index to name"
    try:
        text = path.read_text(encoding="utf-8-sig")
        names = _json_labels(text) if text.lstrip()[:1] in ("[", "{") else _line_labels(text)
    except OSError as error:
        raise CheckpointError(f"labels {path}: {error.strerror or error}", hint) from error
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError too
        raise CheckpointError(f"labels {path}: {error}", hint) from error
    return names


def _line_labels(text: str) -> tuple[str, ...]:
    lines = [line.strip() for line in text.splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise ValueError("no class names in it")
    if "" in lines:
        raise ValueError(f"line {lines.index('') + 1} is empty")
    return tuple(lines)


def _json_labels(text: str) -> tuple[str, ...]:
    data = json.loads(text)
    if isinstance(data, dict) and data and all(type(value) is int for value in data.values()):
        if len(set(data.values())) != len(data):
            raise ValueError("two names have the same index")
        data = {index: name for name, index in data.items()}
    if isinstance(data, dict):
        try:
            by_index = {int(index): name for index, name in data.items()}
        except ValueError:
            raise ValueError("its keys are not class indices") from None
        missing = [index for index in range(len(data)) if index not in by_index]
        if missing:
            raise ValueError(f"index {missing[0]} is missing")
        data = [by_index[index] for index in range(len(by_index))]
    if not data or not all(isinstance(name, str) and name.strip() for name in data):
        raise ValueError("it holds something other than class names, or nothing")
    return tuple(name.strip() for name in data)
