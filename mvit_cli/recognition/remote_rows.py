"""Rows at an address (`s3://`, `gs://` and whatever fsspec has a driver for): written here, sent there.

Objects there are written whole or not at all, and never grow. So rows are written to a folder of this machine, and the
file that grows is sent again as a whole from time to time; a part that is full is sent once. What is there is always
whole rows, and a later run goes on with it. fsspec comes with huggingface-hub; the drivers are the user's to install.
"""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mvit_cli.errors import MViTError, UsageError, first_line, tell
from mvit_cli.recognition.row_files import RowFiles

EVERY_S = 60.0
"""Between two times that the file which grows is sent; longer where sending takes more than a twentieth of it."""
SHARE = 20
TRIES = 3


@dataclass
class RemoteRows:
    """Files of rows in a folder here, and their place there.

    Attributes:
        shown: the address.
        folder: of this machine.
        unsent: whether rows are here that are not there.
    """

    shown: str
    folder: Path
    _files: Any
    _place: str
    unsent: bool = False
    _sent: float = field(default_factory=time.monotonic)
    _takes_s: float = 0.0

    @property
    def path(self) -> Path:
        """The file here that stands for the address."""
        return self.folder / self._place.rpartition("/")[2]

    def found(self, files: RowFiles) -> list[str]:
        """Names of the files of rows that are there.

        Raises:
            MViTError: that cannot be known.
        """
        try:
            self._files.invalidate_cache()
            entries = self._files.ls(self._place.rpartition("/")[0], detail=False)
        except FileNotFoundError:
            return []
        except Exception as error:
            raise self._failed("cannot be listed", error) from error
        names = (str(entry).rstrip("/").rpartition("/")[2] for entry in entries)
        return sorted(filter(files.has, names))

    def fetch(self, names: list[str]) -> None:
        """Brings what is there here, so that a run goes on with it.

        Raises:
            MViTError: it cannot be read.
        """
        for name in names:
            try:
                self._files.get_file(self._beside(name), str(self.folder / name))
            except Exception as error:
                raise self._failed("cannot be read", error) from error

    def remove(self, names: list[str]) -> None:
        """Removes files there, as far as they are there.

        Raises:
            MViTError: one cannot be removed.
        """
        for name in names:
            try:
                if self._files.exists(self._beside(name)):
                    self._files.rm_file(self._beside(name))
            except Exception as error:
                raise self._failed("cannot be removed", error) from error

    def send(self, path: Path) -> None:
        """Sends a file as a whole, tried again with longer and longer pauses.

        Raises:
            MViTError: it could not be sent; it is still here, and its folder stays.
        """
        self.unsent, started = True, time.monotonic()
        for attempt in range(TRIES):
            try:
                self._files.put_file(str(path), self._beside(path.name))
                break
            except Exception as error:
                if attempt == TRIES - 1:
                    raise self._failed("cannot be written", error) from error
                time.sleep(2**attempt)
        self.unsent, self._sent = False, time.monotonic()
        self._takes_s = self._sent - started

    def wrote(self, path: Path) -> None:
        """Sends the file that grows, where it is time to."""
        self.unsent = True
        if time.monotonic() - self._sent >= max(EVERY_S, SHARE * self._takes_s):
            self.send(path)

    def _beside(self, name: str) -> str:
        return f"{self._place.rpartition('/')[0]}/{name}"

    def _failed(self, what: str, error: Exception) -> MViTError:
        """Without the words of the driver, which may have an address with its signature in them."""
        reason = getattr(error, "strerror", None) or type(error).__name__
        hint = "check the address, your rights, and the driver's credentials in the environment"
        return MViTError(f"--output {self.shown} {what}: {reason}", hint)


@contextmanager
def opened_remote(address: str) -> Iterator[RemoteRows]:
    """Gives the folder that stands for an address; it is removed at the end, but where rows could not be sent.

    Raises:
        UsageError: an address without a name, or of a protocol that there is no driver for.
    """
    protocol = address.partition("://")[0]
    try:
        import fsspec

        files, place = fsspec.core.url_to_fs(address)
    except ImportError as error:
        raise UsageError(f"--output {protocol}://: {first_line(error)}", "install its driver for fsspec") from error
    except ValueError as error:
        raise UsageError(f"--output {protocol}://: {first_line(error)}", "name a file, or s3://bucket/name") from error
    if not place.rpartition("/")[2]:
        raise UsageError(f"--output {address} names no file", "add one, as rows.jsonl")
    rows = RemoteRows(address, Path(tempfile.mkdtemp(prefix="mvit-rows-")), files, place)
    try:
        yield rows
    finally:
        if rows.unsent:
            tell(f"note: rows that could not be sent are in {rows.folder}")
        else:
            shutil.rmtree(rows.folder)
