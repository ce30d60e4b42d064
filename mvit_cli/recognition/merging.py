"""Rows of several runs, each over a part of the inputs, as one file: every input once. Plain Python."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

from mvit_cli.errors import UsageError
from mvit_cli.recognition.digests import digest_of
from mvit_cli.recognition.kept_rows import IDENTITY, identity_in, json_lines
from mvit_cli.recognition.listing import Listing
from mvit_cli.records import Row

NAMES_KEPT = 20
"""Inputs that are told by name; of the others there is a count."""


class Lines(NamedTuple):
    """The rows of one input, one after the other in one of the files."""

    file: int
    start: int
    size: int
    rows: int
    failed: int


@dataclass
class Names:
    """Inputs of which something is to be told: how many, and the first by name."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, name: str) -> None:
        """Counts one more."""
        self.count += 1
        if len(self.first) < NAMES_KEPT:
            self.first.append(name)


@dataclass
class Merged:
    """What came of it.

    Attributes:
        rows: that were written.
        failed: of these, errors.
        missing: inputs that were named and have no row.
        repeated: inputs with rows in several files: those of the first file are kept, ok before errors.
        unnamed: inputs that have rows and were not named; these are left out.
        torn: files whose last row is not whole: their runs were cut off.
    """

    rows: int = 0
    failed: int = 0
    missing: Names = field(default_factory=Names)
    repeated: Names = field(default_factory=Names)
    unnamed: Names = field(default_factory=Names)
    torn: list[Path] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether every input has its rows, once."""
        return not (self.missing.count or self.repeated.count or self.unnamed.count or self.torn)


def merge(files: Sequence[Path], target: BinaryIO, listing: Listing | None = None) -> Merged:
    """Writes the rows of all files, byte for byte: in the order of the inputs, or of the files where none are named.

    All is read and checked before the first row is written. Memory: about 400 bytes an input.

    Args:
        files: JSON lines, as `mvit predict` writes them.
        listing: all inputs.

    Raises:
        UsageError: a file that is none of rows, or rows of another network, of other weights, views or windows.
        OSError: a file cannot be read, or the target written.
    """
    merged, same = Merged(), _Same()
    inputs: dict[bytes, tuple[str, list[Lines]]] = {}
    tracked: dict[bytes, dict[bytes, None]] = {}  # the tracks of a path
    for number, path in enumerate(files):
        for identity, lines in _inputs_of(path, number, same, merged):
            name, is_track, _ = identity.partition("\0")
            inputs.setdefault(digest_of(identity), (name, []))[1].append(lines)
            if is_track:
                tracked.setdefault(digest_of(name), {})[digest_of(identity)] = None
    for name, found in inputs.values():
        if len({lines.file for lines in found}) > 1:
            merged.repeated.add(name)
            best = min(found, key=lambda lines: (bool(lines.failed), lines.file)).file
            found[:] = [lines for lines in found if lines.file == best]
    with ExitStack() as opened:
        streams = [opened.enter_context(path.open("rb")) for path in files]
        for lines in _in_order(inputs, tracked, listing, merged):
            streams[lines.file].seek(lines.start)
            target.write(streams[lines.file].read(lines.size))
            merged.rows += lines.rows
            merged.failed += lines.failed
    return merged


def _in_order(
    inputs: dict[bytes, tuple[str, list[Lines]]],
    tracked: dict[bytes, dict[bytes, None]],
    listing: Listing | None,
    merged: Merged,
) -> Iterator[Lines]:
    """Yields what is to be written; each naming of a path takes the rows of one, or those of all its tracks."""
    if listing is None:
        for _, found in inputs.values():
            yield from found
        return
    for source in listing.sources():
        named = [digest_of(source.path), *tracked.pop(digest_of(source.path), {})]
        rows = [found for _, found in (inputs.get(digest, ("", [])) for digest in named) if found]
        for found in rows:
            yield found.pop(0)
        if not rows:
            merged.missing.add(source.path)
    for name, found in inputs.values():
        if found:
            merged.unnamed.add(name)


def _inputs_of(path: Path, number: int, same: "_Same", merged: Merged) -> Iterator[tuple[str, Lines]]:
    """Yields each input of a file, by `identity_in`, with its rows.

    Those of an input's windows stand together and begin at 0 s.
    """
    name: str | None = None  # `identity_in` of its rows
    start = place = rows = failed = 0
    try:
        for line, text, row, is_whole in json_lines(path):
            if not is_whole:
                merged.torn.append(path)
            if row is not None:
                same.check(row, path, line)
                window = row.get("window")
                if name is not None and (identity_in(row) != name or not window or window["start_s"] == 0):
                    yield name, Lines(number, start, place - start, rows, failed)
                    name = None
                if name is None:
                    name, start, rows, failed = identity_in(row), place, 0, 0
                rows, failed = rows + 1, failed + (row["status"] == "error")
            place += len(text) if is_whole else 0
    except UsageError as error:
        if error.message.startswith("--resume: "):  # whose words these are
            hint = "give files of JSON lines that `mvit predict` wrote"
            raise UsageError(error.message.removeprefix("--resume: "), hint) from error
        raise
    if name is not None:
        yield name, Lines(number, start, place - start, rows, failed)


@dataclass
class _Same:
    """What the first row of all files said of itself, which the others must say too."""

    said: dict[str, tuple[object, Path, int]] = field(default_factory=dict)

    def check(self, row: Row, path: Path, line: int) -> None:
        """Refuses a row of another run.

        Raises:
            UsageError: naming both rows.
        """
        says: dict[str, object] = {"windows": "with" if "window" in row else "without"}
        if row["status"] == "ok":
            says |= {name: row[name] for name in IDENTITY}  # type: ignore[literal-required]
            window = row.get("window")
            if window and window["end_s"] < row["duration_s"]:  # the last one may be shorter or longer
                says["window"] = f"of {round(window['end_s'] - window['start_s'], 6):g} s"
        for name, value in says.items():
            first, where, number = self.said.setdefault(name, (value, path, line))
            if value != first:
                raise UsageError(
                    f"line {line} of {path} has {name} {value}, and line {number} of {where} has {name} {first}",
                    "merge rows of one network, with the same weights, views and windows",
                )
