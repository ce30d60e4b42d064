"""Where somebody's detector and tracker saw objects: files of boxes, and the inputs that their tracks make.

    tracks.jsonl        {"path": "a.mp4", "frame": 12, "id": 3, "x": 40, "y": 10, "w": 60, "h": 120}
    tracks.csv, .tsv    the same as columns; other keys and columns are passed over
    tracks.txt          MOTChallenge, frame,id,x,y,w,h,... with frames from 1, of the one input

`frame` counts frames as they are shown, from 0; `second` instead of it is time from the first frame. x, y (the upper
left corner), w, h are pixels of the upright picture. Boxes with one path and one id are a track, in any order.

A relative path starts where the file lies. Memory: 48 bytes a box, and what a track and a path cost.
"""

import csv
import json
import math
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, TextIO

from mvit_cli.addresses import local_path, scheme_of
from mvit_cli.errors import MediaError, MViTError, UsageError
from mvit_cli.media.elsewhere import named
from mvit_cli.media.sources import Source
from mvit_cli.media.tracks import MARGIN, Motion, Track, Unit
from mvit_cli.recognition.pairing import KnownPaths

MAX_BOXES = 10_000_000
"""Of a file: half a gigabyte."""
MAX_BOXES_OF_TRACK = 250_000
"""Two hours at 30 frames a second."""
MAX_LINE = 1 << 16
LARGEST = 1e7
"""Pixels; no picture is as large, and nothing overflows."""
LARGEST_AT = 1e12
WIDEST_MARGIN = 10.0

_MOT = ("frame", "id", "x", "y", "w", "h")
_EXAMPLE = 'a line is {"path": "a.mp4", "frame": 12, "id": 3, "x": 40, "y": 10, "w": 60, "h": 120}'
_PIXELS = "x, y, w and h are pixels of the upright picture; multiply shares by its width and height"
_FIELDS = 6  # of a box: at, x, y, w, h, and its line in the file


@dataclass
class _Boxes:
    """The boxes of one track as they come, and what they are at."""

    unit: Unit
    numbers: "array[float]" = field(default_factory=lambda: array("d"))

    def sorted(self) -> None:
        """Puts them in the order of time.

        Raises:
            ValueError: with the lines of two that are at one place.
        """
        numbers = self.numbers
        at = numbers[::_FIELDS]
        if any(later <= earlier for earlier, later in pairwise(at)):
            order = sorted(range(len(at)), key=at.__getitem__)
            ordered = array("d")
            for place in order:
                box = numbers[place * _FIELDS : (place + 1) * _FIELDS]
                if ordered and ordered[-_FIELDS] == box[0]:
                    raise ValueError(int(ordered[-1]), int(box[-1]))
                ordered.extend(box)
            self.numbers = ordered

    def boxes(self) -> Iterator[tuple[float, ...]]:
        """Yields `(at, x, y, w, h)`."""
        for start in range(0, len(self.numbers), _FIELDS):
            at, x, y, w, h = self.numbers[start : start + 5]
            yield at, x, y, w, h


@dataclass
class Boxes:
    """The tracks of a file, by what they are of.

    Attributes:
        file: where they stand.
        margin, motion: how they are shown, as of `Track`.
        tracks: by path, then by id; the path is empty where the file names none.
    """

    file: str
    margin: float = MARGIN
    motion: Motion = "still"
    tracks: dict[str, dict[str, _Boxes]] = field(default_factory=dict)
    _known: KnownPaths = field(default_factory=KnownPaths)
    _addresses: dict[str, str] = field(default_factory=dict, repr=False)  # which may carry a secret
    _taken: set[str] = field(default_factory=set)

    @property
    def names(self) -> tuple[str, ...]:
        """The inputs that the file itself names, as `iter_sources` takes them.

        Raises:
            UsageError: it names none.
        """
        if "" in self.tracks:
            raise UsageError(f"--boxes {self.file} does not say of which file its boxes are", "name that file as INPUT")
        named = (self._addresses.get(path, path) for path in self.tracks)
        return tuple(os.path.join(os.curdir, path) if path.startswith(("-", "@")) else path for path in named)

    def check_inputs(self, names: Sequence[str]) -> None:
        """Refuses boxes without a path where the inputs may be several files.

        Raises:
            UsageError: says so.
        """
        if "" in self.tracks and (len(names) != 1 or os.path.isdir(names[0])):
            raise UsageError(
                f"--boxes {self.file} does not say of which file its boxes are, and {len(names)} inputs are named"
                if len(names) != 1
                else f"--boxes {self.file} does not say of which file its boxes are, and {names[0]} is a folder",
                "name one file, or give each box its path",
            )

    def check_windows(self, windows: object) -> None:
        """Refuses windows, if there are any.

        Raises:
            UsageError: says so.
        """
        if windows:
            raise UsageError("boxes give a row for each track, and window_s one for each part", "leave window_s out")

    def sources(self, found: Iterable[Source]) -> Iterator[Source]:
        """Yields a source for each track of each input; an input without tracks becomes an error."""
        for source in found:
            tracks = self._of(source.path)  # of a file that is not there too: they are of this input
            if source.error:
                yield source
            elif tracks is None:
                few = ", ".join(list(self.tracks)[:3]) + (" and others" if len(self.tracks) > 3 else "")
                error = MediaError("empty", f"{self.file} has no boxes of it", f"it has boxes of {few}")
                yield replace(source, error=error)
            else:
                for name, boxes in tracks.items():
                    track = Track(name, boxes.unit, tuple(boxes.boxes()), self.margin, self.motion)
                    yield replace(source, track=track)

    def _of(self, path: str) -> dict[str, _Boxes] | None:
        """The tracks of a path; of one whose name alone is alike only where the path that was written is not there."""
        if "" in self.tracks:
            self._taken.add("")
            return self.tracks[""]
        meant = self._known.meant(path)
        if meant is None or (meant != path and os.path.exists(meant) and not _is_same(meant, path)):
            return None
        self._taken.add(meant)
        return self.tracks[meant]

    def unused(self) -> str | None:
        """A sentence where tracks are of no input that has come."""
        left = [tracks for path, tracks in self.tracks.items() if path not in self._taken]
        if not left:
            return None
        count = sum(map(len, left))
        return (
            f"{count} track{'s' * (count != 1)} of {len(left)} file{'s' * (len(left) != 1)} in {self.file} "
            "are of no input"
        )


def read_boxes(file: str | os.PathLike[str], margin: float = MARGIN, motion: Motion = "still") -> Boxes:
    """The tracks of a file; of the videos nothing is read.

    Args:
        margin: what is shown beside an object on each side, as a share of its longer side.
        motion: still: a clip shows one place; follow: the place goes with the object.

    Raises:
        UsageError: no such file, or a margin that is none.
        MViTError: a line that is no box, with its number.
    """
    path = Path(file)
    if not 0 <= margin <= WIDEST_MARGIN:
        raise UsageError(f"--box-margin {margin:g} is no margin", f"give a share from 0 to {WIDEST_MARGIN:g}")
    if path.is_dir() or not path.exists():
        what = "is a folder" if path.is_dir() else "is not there"
        raise UsageError(f"--boxes {path} {what}", "name a file of boxes, .jsonl, .csv, .tsv, or .txt of MOTChallenge")
    boxes = Boxes(str(path), float(margin), motion)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            _fill(boxes, path, stream)
    except OSError as error:
        raise MViTError(f"--boxes {path}: {error.strerror}", "check the path") from error
    except UnicodeDecodeError as error:
        raise MViTError(f"--boxes {path} is not UTF-8 (byte {error.start})", "save it as UTF-8") from error
    for tracks in boxes.tracks.values():
        for name, track in tracks.items():
            try:
                track.sorted()
            except ValueError as error:
                first, second = error.args
                raise MViTError(
                    f"{path}, line {second}: track {name} has a box at this {track.unit} already, in line {first}",
                    "an object is in one place at a time; give each object its own id",
                ) from None
    if not boxes.tracks:
        raise MViTError(f"--boxes {path} has no boxes", _EXAMPLE)
    return boxes


def _is_same(one: str, other: str) -> bool:
    return os.path.exists(other) and os.path.samefile(one, other)


def _fill(boxes: Boxes, path: Path, stream: TextIO) -> None:
    read = {".csv": _table, ".tsv": _table, ".txt": _mot}.get(path.suffix.lower(), _json)
    called: dict[str, str] = {}  # what the file calls a path -> what it is here
    for count, (number, row) in enumerate(read(path, stream), start=1):
        where = f"{path}, line {number}"
        if count > MAX_BOXES:
            raise MViTError(
                f"{where}: more than {MAX_BOXES:,} boxes", "give a file of boxes for each part of the videos"
            )
        said = _text(where, "path", row["path"]) if row.get("path") not in (None, "") else ""
        if said not in called:
            called[said] = _path_of(path, said, boxes._addresses) if said else ""
            if "" in called and len(called) > 1:
                raise MViTError(f"{where}: some boxes have a path and others have none", "give all of them, or none")
        unit, numbers = _box(where, row)
        tracks = boxes.tracks.setdefault(called[said], {})
        name = _name(where, row.get("id"))
        track = tracks.setdefault(name, _Boxes(unit))
        if track.unit != unit:
            raise MViTError(f"{where}: track {name} has boxes by frame and by second", "give all of them by one")
        if len(track.numbers) == MAX_BOXES_OF_TRACK * _FIELDS:
            hint = "leave some out: an object moves straight between two boxes"
            raise MViTError(f"{where}: track {name} has more than {MAX_BOXES_OF_TRACK:,} boxes", hint)
        track.numbers.extend((*numbers, number))
    for found in boxes.tracks:
        boxes._known.add(found)


def _path_of(file: Path, said: str, addresses: dict[str, str]) -> str:
    """What a path is called in rows."""
    if scheme_of(said):
        path, address = named(local_path(said) or said)
        if address:
            addresses[path] = address
        return path
    return said if os.path.isabs(said) else os.path.join(file.parent, said) if str(file.parent) != "." else said


def _lines(path: Path, stream: TextIO) -> Iterator[tuple[int, str]]:
    number = 0
    while line := stream.readline(MAX_LINE):
        number += 1
        if len(line) == MAX_LINE:
            raise MViTError(
                f"{path}, line {number}: longer than {MAX_LINE:,} letters", "give each box a line of its own"
            )
        if line.strip():
            yield number, line


def _json(path: Path, stream: TextIO) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in _lines(path, stream):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise MViTError(f"{path}, line {number}: not JSON ({error})", _EXAMPLE) from error
        if not isinstance(row, dict):
            raise MViTError(f"{path}, line {number}: no object", _EXAMPLE)
        yield number, row


def _table(path: Path, stream: TextIO) -> Iterator[tuple[int, Mapping[str, Any]]]:
    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    columns: list[str] = []
    for number, cells in _cells(path, stream, separator):
        if not columns:
            columns = [cell.strip() for cell in cells]
            continue
        if len(cells) != len(columns):
            raise MViTError(
                f"{path}, line {number}: {len(cells)} values, and {len(columns)} columns",
                "the first line names columns",
            )
        yield number, dict(zip(columns, cells, strict=True))


def _mot(path: Path, stream: TextIO) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Source: MOTChallenge, https://motchallenge.net/instructions: frame, id, left, top, width, height, confidence."""
    for number, cells in _cells(path, stream, ","):
        if len(cells) < len(_MOT):
            hint = "a .txt has lines frame,id,x,y,w,h of MOTChallenge; name JSON lines .jsonl"
            raise MViTError(f"{path}, line {number}: {len(cells)} values with commas", hint)
        row: dict[str, Any] = dict(zip(_MOT, cells, strict=False))
        frame = _number(row["frame"])
        if frame < 1:
            raise MViTError(f"{path}, line {number}: frame {row['frame']}, and MOTChallenge counts from 1", _EXAMPLE)
        yield number, row | {"frame": frame - 1}


def _cells(path: Path, stream: TextIO, separator: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in _lines(path, stream):
        try:
            (cells,) = csv.reader([line.rstrip("\r\n")], delimiter=separator, strict=True)
        except csv.Error as error:
            raise MViTError(f"{path}, line {number}: no values with {separator!r} ({error})", _EXAMPLE) from error
        yield number, cells


def _number(value: Any) -> float:
    """A number that JSON or a cell of a table says; NaN where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return math.nan
    try:
        number = math.nan if isinstance(value, str) and "_" in value else float(value)
    except (ValueError, OverflowError):
        return math.nan
    return number if math.isfinite(number) else math.nan


def _box(where: str, row: Mapping[str, Any]) -> tuple[Unit, tuple[float, float, float, float, float]]:
    at = {unit: row[unit] for unit in ("frame", "second") if row.get(unit) not in (None, "")}
    if len(at) != 1:
        raise MViTError(f"{where}: {'both' if at else 'neither'} frame {'and' if at else 'nor'} second", _EXAMPLE)
    numbers = []
    for key in ("x", "y", "w", "h"):
        if row.get(key) in (None, ""):
            raise MViTError(f"{where}: no {key}; it has {', '.join(map(repr, row)) or 'nothing'}", _EXAMPLE)
        number = _number(row[key])
        if not -LARGEST <= number <= LARGEST:
            raise MViTError(f"{where}: {key} is {_shown(row[key])}, which is no number of pixels", _PIXELS)
        numbers.append(number)
    x, y, w, h = numbers
    if w <= 0 or h <= 0:
        raise MViTError(f"{where}: a box of {w:g} x {h:g} pixels", "w and h are width and height, not another corner")
    if w < 1 and h < 1:
        raise MViTError(f"{where}: a box of {w:g} x {h:g} pixels", _PIXELS)
    if "second" in at:
        number = _number(at["second"])
        if not 0 <= number <= LARGEST_AT:
            raise MViTError(f"{where}: second {_shown(at['second'])} is no time", "seconds from the first frame on")
        return "second", (number, x, y, w, h)
    number = _number(at["frame"])
    if not (0 <= number <= LARGEST_AT and number.is_integer()):
        raise MViTError(f"{where}: frame {_shown(at['frame'])} is no number of a frame", "frames count from 0")
    return "frame", (number, x, y, w, h)


def _name(where: str, value: Any) -> str:
    if value in (None, "") or isinstance(value, bool) or not isinstance(value, int | float | str):
        said = "no id" if value in (None, "") else f"an id that is {_shown(value)}"
        raise MViTError(f"{where}: {said}", "give each object an id, as a tracker does: boxes with one id are a track")
    if isinstance(value, float) and not math.isfinite(value):
        raise MViTError(f"{where}: an id that is {value}", "give each object an id")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return _text(where, "id", str(value).strip())


def _text(where: str, key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise MViTError(f"{where}: a {key} that is {_shown(value)}", _EXAMPLE)
    if not value or "\0" in value or any(0xD800 <= ord(letter) <= 0xDFFF for letter in value):
        raise MViTError(f"{where}: a {key} that has letters that are none", "save the file as UTF-8")
    return value


def _shown(value: Any) -> str:
    """A value of a message, of which a line is enough."""
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."
