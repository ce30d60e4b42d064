"""`--log`: what happened in a run as JSON lines, for those who were not there: each line a time and an event."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from mvit_cli.records import Row
from mvit_cli.report.predict.tally import Tally
from mvit_cli.report.predict.writers import to_json

BEGINS = b'{"time": '
"""What each line begins with."""


class RunLog:
    """Writes the events of a run; each line is given on at once.

    Args:
        stream: opened to append, unbuffered.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._notes: set[str] = set()
        self._tally: Tally | None = None

    def start(self, command: str, options: Mapping[str, Any], versions: Mapping[str, str]) -> None:
        """The run begins: what was asked, of which versions."""
        self._write("started", command=command, options=options, versions=versions)

    def note(self, text: str) -> None:
        """What holds for all rows."""
        self._notes.add(text)
        self._write("warning", path=None, message=text)

    def take(self, row: Row) -> None:
        """Notes what was not as it should be with one row."""
        track = {"track": row["track"]} if "track" in row else {}
        if row["status"] == "error":
            self._write("error", path=row["path"], **track, kind=row["error"]["kind"], message=row["error"]["message"])
            return
        for text in row["warnings"]:
            if text not in self._notes:
                self._write("warning", path=row["path"], **track, message=text)

    def sum_up(self, tally: Tally, written: Sequence[Path]) -> None:
        """All rows were made: files that are there."""
        self._tally = tally
        for path in written:
            if path.is_file():
                self._write("written", path=str(path), bytes=path.stat().st_size)

    def end(self, exit_code: int, message: str = "") -> None:
        """The run is over: with which exit code, and what stopped it, if something did."""
        counts = self._tally or Tally()
        self._write(
            "finished" if not message else "stopped",
            exit_code=exit_code,
            **({"message": message} if message else {}),
            inputs=counts.inputs,
            rows=counts.rows,
            ok=counts.ok,
            errors=dict(counts.errors),
            skipped=counts.skipped,
            seconds=round(counts.seconds, 3),
        )

    def _write(self, event: str, **told: Any) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._stream.write(to_json({"time": now, "event": event, **told}) + b"\n")
