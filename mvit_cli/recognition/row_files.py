"""Rows in one file or in numbered parts, as JSON lines or as Parquet: which files there are, and which one goes on.

`rows.jsonl` in parts is `rows.00000.jsonl`, `rows.00001.jsonl`, and so on. Parquet is no file before its end is
written: its rows stand as JSON lines in `FILE.part` until the part is full or the run is over, and are then packed all
at once.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from mvit_cli.errors import MViTError, UsageError

BEING_WRITTEN = ".part"
_BEGINS = (b'{"path": ', b"PAR1")


@dataclass(frozen=True)
class RowFiles:
    """Where the rows of a run stand.

    Attributes:
        path: as named with `--output`.
        rows: of a part, but for the rest of its last input; None: all are in one file.
        is_parquet: whether files that are full are Parquet.
    """

    path: Path
    rows: int | None = None
    is_parquet: bool = False

    def full(self, number: int) -> Path:
        """A part when it is done."""
        path = self.path
        return path if self.rows is None else path.with_name(f"{path.stem}.{number:05}{path.suffix}")

    def begun(self, number: int) -> Path:
        """The same as long as rows are added to it."""
        full = self.full(number)
        return full.with_name(full.name + BEING_WRITTEN) if self.is_parquet else full

    def has(self, name: str) -> bool:
        """Whether a file of this name beside the others is one of them."""
        return self._number_of(name) is not None

    def _number_of(self, name: str) -> int | None:
        path = self.path
        name = name.removesuffix(BEING_WRITTEN) if self.is_parquet else name
        if self.rows is None:
            return 0 if name == path.name else None
        match = re.fullmatch(rf"{re.escape(path.stem)}\.(\d{{5,}}){re.escape(path.suffix)}", name)
        return int(match[1]) if match else None

    def numbers(self) -> list[int]:
        """Of the parts that are there, full or begun, in order."""
        folder = self.path.parent
        found = (self._number_of(entry.name) for entry in folder.iterdir()) if folder.is_dir() else ()
        return sorted({number for number in found if number is not None})

    def there(self) -> list[Path]:
        """All files of rows that are there, in the order of the rows."""
        both = [(self.full(number), self.begun(number)) for number in self.numbers()]
        return [path for full, begun in both for path in dict.fromkeys((full, begun)) if path.exists()]

    def next_number(self) -> int:
        """Of the part that more rows go to: the one that is begun, else a new one."""
        numbers = self.numbers()
        if not numbers or self.rows is None:
            return 0
        return numbers[-1] if self.begun(numbers[-1]).exists() else numbers[-1] + 1

    def check(self, *, resume: bool, force: bool) -> None:
        """Refuses to lose what is there.

        Raises:
            UsageError: rows of an earlier run, or what is none of ours.
        """
        for path in self.there():
            if not path.is_file():
                raise UsageError(f"--output {path} is no regular file", "name another file")
            with path.open("rb") as stream:
                head = stream.read(len(_BEGINS[0]))
            if head and not head.startswith(_BEGINS):
                raise UsageError(f"--output {path} is there already and is none of rows", "name another file")
            if head and not (resume or force):
                raise UsageError(f"--output {path} has rows already", "--resume goes on, --force replaces them")

    def clear(self) -> None:
        """Removes what is there.

        Raises:
            MViTError: it cannot be removed.
        """
        for path in self.there():
            try:
                path.unlink()
            except OSError as error:
                raise MViTError(f"--output {path}: {error.strerror}", "choose another place") from error
