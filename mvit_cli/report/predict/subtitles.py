"""A long video's timeline as subtitles: neighbouring windows of one class are one cue. SubRip and WebVTT.

Source: WebVTT, W3C, section 4 (cue timings, escapes); SubRip as players read it.
"""

from typing import TYPE_CHECKING, BinaryIO, Literal

from mvit_cli.errors import UsageError
from mvit_cli.records import Row
from mvit_cli.report.formats import percent
from mvit_cli.report.predict.events import AS_THEY_ARE, Event, Events, Merging
from mvit_cli.report.predict.writers import encoded
from mvit_cli.report.tables import printable

if TYPE_CHECKING:
    from mvit_cli.report.predict.page.frames import Pictures

SubtitleFormat = Literal["srt", "vtt"]


class Subtitles:
    """Writes the events of one video as cues, each as soon as it is complete.

    Args:
        stream: takes bytes.
    """

    def __init__(self, stream: BinaryIO, format: SubtitleFormat, merging: Merging = AS_THEY_ARE) -> None:
        self._stream, self._format = stream, format
        self._events = Events(merging)
        self._path: str | None = None
        self._cues = 0
        if format == "vtt":
            self._write("WEBVTT\n\n")

    def take(self, row: Row, pictures: "Pictures | None" = None) -> None:
        """Takes one row in; writes what is complete.

        Raises:
            UsageError: a row of a second video.
        """
        if self._path not in (None, row["path"]):
            raise UsageError(
                f"--format {self._format}: subtitles are of one video, and {row['path']} is a second",
                "name one, or write events of all: --events -o events.csv",
            )
        self._path = row["path"]
        for event in self._events.take(row):
            self._show(event)

    def close(self) -> None:
        """Writes what is left."""
        for event in self._events.end():
            self._show(event)

    def _show(self, event: Event) -> None:
        self._cues += 1
        text = printable(f"{event.label} {percent(event.score)}")
        if self._format == "vtt":
            text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        text = text.replace("-->", "->")  # SubRip has no escapes, and no text may look like the times of another cue
        times = f"{self._clock(event.start_s)} --> {self._clock(event.end_s)}"
        self._write(f"{self._cues}\n{times}\n{text}\n\n")

    def _clock(self, seconds: float) -> str:
        """Hours, minutes, seconds, thousandths; SubRip has a comma before these."""
        thousandths = round(seconds * 1000)
        hours, rest = divmod(thousandths, 3_600_000)
        minutes, rest = divmod(rest, 60_000)
        point = "." if self._format == "vtt" else ","
        return f"{hours:02}:{minutes:02}:{rest // 1000:02}{point}{rest % 1000:03}"

    def _write(self, text: str) -> None:
        self._stream.write(encoded(text))
        self._stream.flush()
