"""`mvit predict --save-video`: as soon as all rows of an input are there, its video is written with its labels."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mvit_cli.annotated.film_process import write_video
from mvit_cli.annotated.lettering import Lettering
from mvit_cli.annotated.story import Telling
from mvit_cli.errors import MediaError, MViTError
from mvit_cli.media.file_names import name_for
from mvit_cli.media.request import DecodeRequest
from mvit_cli.media.sources import Source, file_of
from mvit_cli.records import Row
from mvit_cli.report.predict.events import Events
from mvit_cli.report.predict.page.timeline import Key
from mvit_cli.report.predict.writers import ends_input

SUFFIX = ".mp4"
"""Of videos in a folder."""


@dataclass(frozen=True)
class Destination:
    """Where videos go.

    Attributes:
        path: a file for the only input, or a folder for all.
        is_folder: which of both.
        force: whether what is there already is replaced.
    """

    path: Path
    is_folder: bool
    force: bool = False

    def file_for(self, path: str) -> Path:
        """The file of an input."""
        return self.path / f"{name_for(path)}{SUFFIX}" if self.is_folder else self.path


class Videos:
    """Takes rows and writes a video for each input that has some.

    Args:
        destination: where to.
        request_of: how a source is read.
        timeout_s: seconds that a file may take.
        events: begins to merge the windows of a video.
        at_frame: is told how many frames of a video are written, and of how many; `(0, 0)`: it is done.
        note: is told what is worth knowing.
        fail: is told, input and reason, of a video that is not written.

    Attributes:
        saved: videos that were written.
        failed: those that were not, although their input has a class.
        stills: inputs that have none.
    """

    def __init__(
        self,
        destination: Destination,
        request_of: Callable[[Source], DecodeRequest],
        timeout_s: float,
        events: Callable[[], Events] = Events,
        *,
        at_frame: Callable[[int, int], None],
        note: Callable[[str], None],
        fail: Callable[[str, str], None],
    ) -> None:
        self._destination, self._request_of, self._timeout_s = destination, request_of, timeout_s
        self._events = events
        self._at_frame, self._note, self._fail = at_frame, note, fail
        self.saved = self.failed = self.stills = 0
        self._first_still = ""
        self._key, self._lettering = Key(), Lettering(note)
        self._sources: deque[Source] = deque()  # that were taken and have not all of their rows
        self._earlier: dict[str, Telling] = {}  # of inputs that an earlier run left in the middle
        self._telling = self._anew()
        self._ours: set[tuple[int, int]] = set()  # what this run has written, by device and inode

    def noted(self, sources: Iterable[Source]) -> Iterator[Source]:
        """The same sources, noted as they are taken; without what this run has put among them."""
        for source in sources:
            if self._ours and file_of(source.path) in self._ours:
                continue
            self._sources.append(source)
            yield source

    def look_back(self, row: Row) -> None:
        """Takes a row that an earlier run has left: it counts where the input is not done yet."""
        if ends_input(row):
            self._earlier.pop(row["path"], None)
        else:
            self._earlier.setdefault(row["path"], self._anew()).add(row)

    def take(self, row: Row, pictures: object = None) -> None:
        """Takes one row; with the last one of an input its video is written.

        Raises:
            MViTError: no video can be written there.
        """
        if not self._telling.rows and row["path"] in self._earlier:
            self._telling = self._earlier.pop(row["path"])
        self._telling.add(row)
        if not ends_input(row):
            return
        telling, self._telling = self._telling, self._anew()
        source = self._sources.popleft()
        if telling.is_still:
            self.stills += 1
            self._first_still = self._first_still or source.path
        elif telling.has_class:
            self._save(source, telling)

    def finish(self) -> None:
        """Says what came of all."""
        if self.stills:
            more = f" and {self.stills - 1:,} others" if self.stills > 1 else ""
            self._note(f"a still image has no video to save: {self._first_still}{more}")
        if self._destination.is_folder and self.saved:
            self._note(f"{self.saved:,} video{'s' * (self.saved > 1)} saved in {self._destination.path}")

    def _anew(self) -> Telling:
        return Telling(self._key, self._lettering, self._events())

    def _save(self, source: Source, telling: Telling) -> None:
        target = self._destination.file_for(source.path)
        if reason := self._why_not(source, target):
            self.failed += 1
            self._fail(source.path, reason)
            return
        try:
            notes = write_video(self._request_of(source), telling.story(), target, self._timeout_s, self._at_frame)
            self._ours.update(filter(None, [file_of(target)]))
        except MediaError as error:
            self.failed += 1
            self._fail(source.path, error.message + (f" ({error.hint})" if error.hint else ""))
        except OSError as error:
            hint = "make room, or name another place"
            raise MViTError(f"--save-video {self._destination.path}: {error.strerror or error}", hint) from error
        else:
            self.saved += 1
            for note in notes:
                self._note(f"{source.path}: {note}")
        finally:
            self._at_frame(0, 0)

    def _why_not(self, source: Source, target: Path) -> str:
        """Why a video is not written there; empty: nothing speaks against it."""
        if not os.path.lexists(target):
            return ""
        if not self._destination.is_folder and self.saved:
            return f"{target} is the video of the input before; name a folder"
        if os.path.exists(source.path) and target.exists() and os.path.samefile(source.path, target):
            return f"{target} is that input itself"
        return "" if self._destination.force else f"{target} is there already; --force replaces it"
