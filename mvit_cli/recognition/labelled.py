"""Clips of which people have said what is in them: folders of classes, or lists.

    FOLDER/class/*                      the class of a file is the folder it lies in, at any depth
    FOLDER/{train,val,test}/class/*     and the part it belongs to
    list.csv, .tsv, .jsonl              columns path, label; and, where they are there, split, group, start_s, end_s

`a|b` are two labels of one clip: then all classes are for themselves.
"""

import csv
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mvit_cli.addresses import local_path, scheme_of
from mvit_cli.errors import MViTError, UsageError
from mvit_cli.media.elsewhere import named
from mvit_cli.media.sources import Source, iter_sources
from mvit_cli.media.suffixes import MEDIA_SUFFIXES

Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")
_PART_NAMES: Mapping[str, Part] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
LIST_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")
SEVERAL = "|"


@dataclass(frozen=True)
class LabelledClip:
    """One clip and what is said of it.

    Attributes:
        path: the file; of a list, relative paths start where the list lies.
        address: what is opened where `path` may not say all of it.
        labels: one, or several.
        part: where the data puts it; None: nowhere.
        group: what it was cut from, where the data says so.
        start_s, end_s: the part of the file that is meant; None: from its start, to its end.
        columns: other columns of the list.
    """

    path: str
    labels: tuple[str, ...]
    part: Part | None = None
    group: str | None = None
    start_s: float | None = None
    end_s: float | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    address: str | None = field(default=None, repr=False)

    @property
    def source(self) -> Source:
        """The clip as an input."""
        whole = self.start_s is None and self.end_s is None
        part = None if whole else (self.start_s or 0.0, self.end_s)
        return Source(self.path, part=part, address=self.address)


@dataclass(frozen=True)
class LabelledData:
    """All clips, and the classes that occur, sorted.

    Attributes:
        multilabel: whether a clip has several labels or none, so that classes do not exclude each other.
        notes: what is not as one would expect, a sentence each.
    """

    clips: tuple[LabelledClip, ...]
    labels: tuple[str, ...]
    multilabel: bool
    notes: tuple[str, ...] = ()


def read_labelled(data: str | os.PathLike[str]) -> LabelledData:
    """The clips of a folder or a list; of files only their names are read.

    Raises:
        UsageError: neither a folder nor a list.
        MViTError: a list that cannot be read, or a folder without classes.
    """
    path = Path(data)
    if path.is_dir():
        return _of(*_in_folder(path))
    if path.suffix.lower() not in LIST_SUFFIXES:
        what = "is not there" if not path.exists() else "is neither a folder nor a list"
        raise UsageError(f"{path} {what}", "name a folder of classes, or a .csv, .tsv or .jsonl with path and label")
    if path.exists() and not path.is_file():  # a device may have no end
        raise UsageError(f"{path} is no file", "name a .csv, .tsv or .jsonl with path and label")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(_rows(path, file))
    except OSError as error:
        raise MViTError(f"{path}: {error.strerror}", "check the path") from error
    except UnicodeDecodeError as error:
        raise MViTError(f"{path} is not UTF-8 (byte {error.start})", "save it as UTF-8") from error
    except csv.Error as error:
        raise MViTError(f"{path} is no table ({error})", "expected a line of column names, then one a clip") from error
    return _of([_listed(path, number, row) for number, row in rows], [])


def _of(clips: list[LabelledClip], notes: list[str]) -> LabelledData:
    labels = tuple(sorted({label for clip in clips for label in clip.labels}))
    return LabelledData(tuple(clips), labels, any(len(clip.labels) != 1 for clip in clips), tuple(notes))


# --- folders


def _in_folder(folder: Path) -> tuple[list[LabelledClip], list[str]]:
    names = _folders(folder)
    parts = {name: _PART_NAMES[name.lower()] for name in names if name.lower() in _PART_NAMES}
    if "train" not in parts.values():
        return _classes(folder, None)
    others = [name for name in names if name not in parts]
    notes = [f"{folder / name} is not below train, val or test: left out" for name in others]
    clips = []
    for name, part in parts.items():
        own, said = _classes(folder / name, part)
        clips += own
        notes += said
    return clips, notes


def _classes(folder: Path, part: Part | None) -> tuple[list[LabelledClip], list[str]]:
    names = _folders(folder)
    if not names:
        raise MViTError(f"{folder} has no folders", "lay the clips of each class into a folder of its name")
    clips: list[LabelledClip] = []
    notes = []
    for name in names:
        found = [LabelledClip(source.path, (name,), part) for source in iter_sources([str(folder / name)])]
        if found and not (len(found) == 1 and found[0].path == str(folder / name)):  # the error of an empty folder
            clips += found
        else:
            notes.append(f"{folder / name} has no videos or images: left out")
    loose = sum(entry.is_file() and entry.suffix.lower() in MEDIA_SUFFIXES for entry in folder.iterdir())
    if loose:
        notes.append(f"{loose} file{'s' * (loose != 1)} in {folder} itself {'are' if loose != 1 else 'is'} of no class")
    return clips, notes


def _folders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


# --- lists


def _rows(path: Path, file: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields the number of each line and its values by column."""
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise MViTError(f"{path}, line {number}: not JSON ({error})", "expected an object a line") from error
            if not isinstance(row, dict):
                raise MViTError(f"{path}, line {number}: no object", 'expected {"path": ..., "label": ...}')
            yield number, row
        return
    table = csv.DictReader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", strict=True)
    for row in table:
        yield table.line_num, {(name or "").strip(): value for name, value in row.items() if name is not None}


def _listed(path: Path, number: int, row: Mapping[str, Any]) -> LabelledClip:
    where = f"{path}, line {number}"
    for name in ("path", "label"):
        if row.get(name) in (None, "", []):
            raise MViTError(
                f"{where}: no {name}; its columns are {', '.join(map(repr, row))}",
                "a list has columns path and label, and may have split, group, start_s, end_s",
            )
    name = str(row["path"])
    if not (_is_text(name) and all(map(_is_text, map(str, _several(row["label"]))))):
        raise MViTError(f"{where}: a path or a label has letters that are none", "save the list as UTF-8")
    address = None
    if scheme_of(name):
        name, address = named(local_path(name) or name)
    elif not os.path.isabs(name):
        name = os.path.join(path.parent, name)
    start_s, end_s = (_seconds(where, column, row.get(column)) for column in ("start_s", "end_s"))
    if end_s is not None and end_s <= (start_s or 0.0):
        raise MViTError(f"{where}: the part ends at {end_s:g} s, before it starts", "start_s is less than end_s")
    known = ("path", "label", "split", "start_s", "end_s")
    columns = {key: str(value) for key, value in row.items() if key not in known and value is not None}
    labels, part, group = _labels(where, row["label"]), _part(where, row.get("split")), columns.get("group") or None
    return LabelledClip(name, labels, part, group, start_s, end_s, columns, address)


def _is_text(text: str) -> bool:
    """Whether it can be written: no half of a letter, as JSON may have, and no NUL, which no name has."""
    return "\0" not in text and not any(0xD800 <= ord(letter) <= 0xDFFF for letter in text)


def _several(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else str(value).split(SEVERAL)


def _labels(where: str, value: Any) -> tuple[str, ...]:
    labels = tuple(dict.fromkeys(str(label).strip() for label in _several(value)))
    if not all(labels):
        raise MViTError(f"{where}: an empty label in {value!r}", f"labels are names, several stand as a{SEVERAL}b")
    return labels


def _part(where: str, value: Any) -> Part | None:
    if value in (None, ""):
        return None
    part = _PART_NAMES.get(str(value).strip().lower())
    if part is None:
        raise MViTError(f"{where}: the split {value!r} is none of {', '.join(PARTS)}", "correct it, or leave it empty")
    return part


def _seconds(where: str, column: str, value: Any) -> float | None:
    if value in (None, ""):
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise MViTError(f"{where}: {column} {value!r} is no time", "seconds from the start of the file, as 12.5")
    return seconds
