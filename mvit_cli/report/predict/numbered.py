"""JSON lines that go from file to file: the next one is begun with an input when so many rows are in this one."""

from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO

from mvit_cli.records import Row
from mvit_cli.report.predict.writers import begins_input, row_json

if TYPE_CHECKING:
    from mvit_cli.report.predict.page.frames import Pictures


class InParts:
    """A row a line, in parts.

    Args:
        stream: of the part that goes on.
        rows: that are in it.
        most: rows of a part, but for the rest of its last input; None: there is one part.
        next_part: ends a part and gives the stream of the next one.
        written: called after each row.
    """

    def __init__(
        self,
        stream: BinaryIO,
        rows: int,
        most: int | None,
        next_part: Callable[[], BinaryIO],
        written: Callable[[], None],
    ) -> None:
        self._stream = stream
        self._rows = rows
        self._most = most
        self._next_part = next_part
        self._written = written
        self._last: Row | None = None

    def take(self, row: Row, pictures: "Pictures | None" = None) -> None:
        """Writes and flushes a line."""
        if self._most is not None and self._rows >= self._most and begins_input(row, self._last):
            self._stream, self._rows = self._next_part(), 0
        self._stream.write(row_json(row) + b"\n")
        self._stream.flush()
        self._rows, self._last = self._rows + 1, row
        self._written()

    def close(self) -> None:
        """Nothing comes after the last line."""
