"""Lists of class names, from the package or from the user."""

import csv
import json
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mvit_cli.checkpoints.formats.settings import read_yaml
from mvit_cli.errors import CheckpointError

MAX_BYTES = 16 << 20
ID_COLUMNS = ("id", "index", "idx", "class_id", "class_index", "label_id", "category_id", "number")
NAME_COLUMNS = ("name", "label", "class", "class_name", "label_name", "display_name", "category", "category_name")
NESTED: tuple[str, ...] = (
    "id2label",
    "label2id",
    "idx_to_class",
    "class_to_idx",
    "label_names",
    "class_names",
    "names",
    "classes",
)
NESTED += ("categories", "labels", "label_map", "labelmap", "dataset_meta")
"""Where configurations of the Hub, timm, MMEngine, YOLO and others keep the list."""

_HINT = "give one class name a line, or a JSON list, or a JSON object of index to name"
_AS_UTF8 = "save it as UTF-8: `iconv -f LATIN1 -t UTF-8 FILE`, or the encoding that it has"
_AS_JSON = "write it as JSON: `json.dump(names, file)` where it was printed; in JSON names have double quotes"
_EVERY_OUTPUT = (
    "every output needs a name: name the missing ones too, or give the names alone, one a line in their order"
)
_NUMBERED = re.compile(r"(\d{1,6})\s*(?:[,;:\t]|\s)\s*(\S.*)")
_NUMBERED_BY_SIGN = re.compile(r"\d{1,6}\s*[,;:\t]")
_NUMBERED_BEHIND = re.compile(r"(.*[^\s,;:])[,;:\t ]+(\d{1,6})")
"""What stands before the signs is none of them: each character is looked at once, of a line of a million commas too."""
_ITEM = re.compile(r"item\s*\{([^{}]*)\}")
_OF_ITEM = re.compile(r"""(id|name|display_name)\s*:\s*(?:"([^"\n]*)"|'([^'\n]*)'|(\d+))""")
"""TensorFlow's and AVA's `label_map.pbtxt`."""
_YAML = re.compile(r"- |(names|classes|labels|id2label)\s*:|nc\s*:\s*\d+\s*$")
"""How a list in YAML begins, or a part of one."""
_CODED = re.compile(r"[a-z](\d{3}) (\S.*)")
"""Charades: `c000 Holding some clothes`."""
_SYNSET = re.compile(r"n\d{8}[ \t]+(\S.*)")


class LabelList(NamedTuple):
    """Class names in the order of the outputs, as they were given.

    Attributes:
        note: what was read otherwise than as it stands there; may be empty.
    """

    names: tuple[str, ...]
    note: str = ""


class _ListError(ValueError):
    """What is wrong with a list, and what to do about it."""

    def __init__(self, told: str, hint: str) -> None:
        super().__init__(told)
        self.hint = hint


def read_labels(path: str | Path) -> tuple[str, ...]:
    """The names of `read_label_list`."""
    return read_label_list(path).names


def read_label_list(path: str | Path) -> LabelList:
    """Class names from a file, in UTF-8 or UTF-16.

    Lines: a name each, or `id,name`, `id name`, `id: name`, the number behind, or columns under a header. JSON and
    YAML: a list, an object of index to name or of name to index (Kinetics and Something-Something write these), or one
    that holds any of these under a name of `NESTED`; an object a line. `label_map.pbtxt`. Numbers decide the order;
    they begin at 0, or at 1 where they are complete.

    Raises:
        CheckpointError: unreadable, empty, or indices that are not complete.
    """
    path = Path(path)
    try:
        found = _from_text(_text(path))
    except OSError as error:
        raise CheckpointError(f"labels {path}: {error.strerror or error}", _HINT) from error
    except RecursionError:
        raise CheckpointError(f"labels {path}: nested too deeply", _HINT) from None
    except (ValueError, csv.Error) as error:
        raise CheckpointError(f"labels {path}: {error}", getattr(error, "hint", _HINT)) from error
    return found


def _text(path: Path) -> str:
    if stat.S_ISCHR(path.stat().st_mode):
        raise ValueError("a device, not a file")
    with path.open("rb") as stream:
        data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES >> 20} MiB")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):  # what PowerShell's > writes
        return data.decode("utf-16")
    head = data[:64].lower()
    if head.startswith(b"version https://git-lfs"):
        raise _ListError("a Git LFS pointer, not the list itself", "fetch the file it stands for: `git lfs pull`")
    if head.lstrip().startswith((b"<!doctype", b"<html")):
        raise _ListError("an HTML page, not a list of class names", "download the file itself")
    if b"\0" in data:
        raise _ListError("it holds zero bytes: no text, or UTF-16 without its mark", "save it as text in UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _ListError(f"line {line} is not in UTF-8 (byte 0x{data[error.start]:02x})", _AS_UTF8) from error


def _from_text(text: str) -> LabelList:
    if text.lstrip()[:1] in ("[", "{"):
        return _from_json(text)
    if _ITEM.match(text.lstrip()):
        return _from_items(text)
    lines = [line.strip() for line in re.split(r"\r\n|\n|\r", text)]
    while lines and not lines[-1]:
        lines.pop()
    said = [line for line in lines if not line.startswith("#")]
    if said and (all(map(_YAML.match, said)) or any(_YAML.match(line) and line[0] != "-" for line in said[:50])):
        return _from_yaml(text)
    return _from_lines(lines)


def _from_items(text: str) -> LabelList:
    """`item { id: 1 name: "bend" }`, with the name that is for people where there are two."""
    entries: list[tuple[int, Any]] = []
    for item in _ITEM.finditer(text):
        told = {found[1]: next(filter(None, found.groups()[1:]), "") for found in _OF_ITEM.finditer(item[1])}
        if not _is_index(told.get("id")):
            raise ValueError(f"item {len(entries) + 1} has no id")
        entries.append((int(told["id"]), told.get("display_name") or told.get("name")))
    return _ordered(entries)


def _from_yaml(text: str) -> LabelList:
    """All of it as text: `yes`, `no` and numbers are names too."""
    try:
        return _from_data(read_yaml(text, "it", words_only=True))
    except CheckpointError as error:
        raise ValueError(error.message) from error


# --- JSON


def _from_json(text: str) -> LabelList:
    try:
        return _from_data(json.loads(text, object_pairs_hook=_without_doubles))
    except json.JSONDecodeError as error:
        lines = text.split("\n")
        if error.msg == "Extra data" and all(line.startswith("{") for line in lines if line.strip()):
            return _from_list([json.loads(line, object_pairs_hook=_without_doubles) for line in lines if line.strip()])
        if re.match(r"\s*(\[\s*'|\{\s*('|\d+\s*:))", text):
            raise _ListError("it is in Python's notation, not JSON", _AS_JSON) from error
        raise


def _from_data(data: Any) -> LabelList:
    while isinstance(data, dict):
        inner = next((data[key] for key in NESTED if isinstance(data.get(key), (dict, list))), None)
        if inner is None:
            return _from_object(data)
        data = inner
    if not isinstance(data, list):
        raise ValueError("it holds no list of class names")
    return _from_list(data)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise _ListError(f"the key {twice[:80]!r} stands there twice", "each class needs an index of its own")
    return dict(pairs)


def _from_list(entries: Sequence[Any]) -> LabelList:
    if entries and all(isinstance(entry, dict) for entry in entries):
        keys = set.intersection(*(set(entry) for entry in entries))
        number, name = (next((key for key in known if key in keys), None) for known in (ID_COLUMNS, NAME_COLUMNS))
        if number is None or name is None:
            raise ValueError("its objects have no id and name")
        if not all(_is_index(entry[number]) for entry in entries):
            raise ValueError(f"an {number} in it is no whole number")
        return _ordered([(int(entry[number]), entry[name]) for entry in entries])
    return LabelList(_checked(entries))


def _from_object(data: Mapping[str, Any]) -> LabelList:
    if data and all(_is_index(value) for value in data.values()):
        return _ordered([(int(value), name) for name, value in data.items()])
    if not all(_is_index(key) for key in data):
        raise ValueError("its keys are not class indices")
    # ImageNet's class index has [synset, name] for a name.
    names = (value[-1] if isinstance(value, list) and value else value for value in data.values())
    return _ordered(list(zip(map(int, data), names, strict=True)))


# --- lines


def _from_lines(lines: list[str]) -> LabelList:
    comments = next((number for number, line in enumerate(lines) if not line.startswith("# ")), len(lines))
    lines = lines[comments:]
    if not lines:
        raise ValueError("no class names in it")
    if "" in lines:
        raise _ListError(f"line {comments + lines.index('') + 1} is empty", _EVERY_OUTPUT)
    table = _under_a_header(lines)
    if table:
        return table
    for pattern in (_NUMBERED, _CODED):
        numbered = _all_matched(pattern, lines)
        if numbered:
            entries = [(int(match[1]), _name_of_cell(match[2])) for match in numbered]
            if _is_complete([index for index, _ in entries]) or all(map(_NUMBERED_BY_SIGN.match, lines)):
                return _ordered(entries)
    matched = _all_matched(_NUMBERED_BEHIND, lines)
    behind = [(int(match[2]), _name_of_cell(match[1])) for match in matched]
    if len(behind) > 1 and _is_complete([i for i, _ in behind]) and len({name for _, name in behind}) == len(behind):
        return _ordered(behind)
    synsets = _all_matched(_SYNSET, lines)
    if all(re.fullmatch(r"'[^']+'", line) for line in lines):
        lines = [line[1:-1] for line in lines]
    return LabelList(_checked([match[1] for match in synsets] if synsets else lines))


def _all_matched(pattern: re.Pattern[str], lines: Sequence[str]) -> list[re.Match[str]]:
    """A match a line; nothing if one line has none."""
    found = [match for match in map(pattern.fullmatch, lines) if match]
    return found if len(found) == len(lines) else []


def _under_a_header(lines: Sequence[str]) -> LabelList | None:
    """The list of a table whose first line names a column of numbers; None if it is no such table."""
    separator = next((sign for sign in "\t,;" if sign in lines[0]), None)
    if separator is None:
        return None
    head, *rows = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    columns = [cell.strip().lower() for cell in head]
    number = next((columns.index(name) for name in ID_COLUMNS if name in columns), None)
    if number is None or not rows:
        return None
    name = next((columns.index(name) for name in NAME_COLUMNS if name in columns), None)
    if name is None:
        name = next(place for place in range(len(columns)) if place != number)
    for line, row in enumerate(rows, 2):
        if len(row) <= max(number, name) or not _is_index(row[number]):
            raise ValueError(f"line {line} has no number and name as its header says")
    return _ordered([(int(row[number]), row[name]) for row in rows])


def _name_of_cell(text: str) -> str:
    """A cell as it was meant: what stands in quotes was quoted for its comma."""
    return text[1:-1].replace('""', '"') if len(text) > 2 and text[0] == text[-1] == '"' else text


# --- both


def _ordered(entries: list[tuple[int, Any]]) -> LabelList:
    """Names by their numbers, from 0 on, or from 1 on where none is missing.

    Raises:
        ValueError: a number is missing or there twice.
    """
    by_index = dict(entries)
    if len(by_index) < len(entries):
        raise _ListError("two names have the same index", "each class needs an index of its own")
    if by_index and min(by_index) == 1 and _is_complete(by_index):
        names = _checked([by_index[index + 1] for index in range(len(by_index))])
        return LabelList(names, f"its classes are numbered from 1 to {len(names)}: 1 was taken for the first output")
    first = 1 if by_index and min(by_index) == 1 else 0
    missing = [index for index in range(first, first + len(by_index)) if index not in by_index]
    if missing:
        raise _ListError(f"index {missing[0]} is missing", _EVERY_OUTPUT)
    return LabelList(_checked([by_index[index] for index in range(len(by_index))]))


def _is_complete(indices: Iterable[int]) -> bool:
    """Whether these are 0 to N-1, or 1 to N, in any order."""
    found = sorted(indices)
    return found in (list(range(len(found))), list(range(1, len(found) + 1)))


def _is_index(value: Any) -> bool:
    whole = type(value) is int or (isinstance(value, float) and value.is_integer())
    return whole or (isinstance(value, str) and re.fullmatch(r"\s*\d{1,9}\s*", value, re.ASCII) is not None)


def _checked(names: Sequence[Any]) -> tuple[str, ...]:
    if not names or not all(isinstance(name, str) and name.strip() for name in names):
        raise ValueError("it holds something other than class names, or nothing")
    return tuple(_unquoted(name.strip()) for name in names)


def _unquoted(name: str) -> str:
    """Kinetics' list has quotes within its names of several words."""
    return name[1:-1] if len(name) > 2 and name[0] == name[-1] == '"' else name
