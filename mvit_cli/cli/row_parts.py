"""`--output` that is more than one file of rows: parts, Parquet, addresses."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from mvit_cli.cli.outputs import Place
from mvit_cli.cli.sink import Attributed, Form
from mvit_cli.errors import UsageError

if TYPE_CHECKING:
    from mvit_cli.recognition.journal import Journal
    from mvit_cli.recognition.plan import Plan
    from mvit_cli.recognition.remote_rows import RemoteRows
    from mvit_cli.recognition.row_files import RowFiles
    from mvit_cli.report.predict.writers import Sink

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/+(.*)")  # one letter is a drive of Windows


def address_of(output: Path | None) -> str | None:
    """The address that a path was before its slashes were folded; None where it is a path.

    Raises:
        UsageError: it has a password or a signature in it.
    """
    match = _ADDRESS.fullmatch(output.as_posix()) if output else None
    if match is None or output is None or output.parent.is_dir():
        return None
    if "@" in match[2].partition("/")[0] or "?" in match[2]:
        raise UsageError(
            f"--output {match[1]}:// has a name with password, or a signature, in it",
            "leave it out: the driver takes credentials from the environment",
        )
    return f"{match[1]}://{'/' if match[1] in ('file', 'local') else ''}{match[2]}"


def is_in_parts(output: Path | None, parts: int | None, format: str | None) -> bool:
    """Whether rows are to be more than one file of lines here."""
    is_parquet = format == "parquet" or (output is not None and output.suffix.lower() == ".parquet")
    return bool(parts or is_parquet or address_of(output))


@dataclass(frozen=True)
class RowParts:
    """Files of rows, here and perhaps at an address.

    Attributes:
        force: whether what is there may go.
    """

    files: "RowFiles"
    remote: "RemoteRows | None"
    force: bool

    def journal(self, plan: "Plan | None" = None, *, retry_errors: bool = False) -> "Journal":
        """What is there of earlier runs.

        Args:
            plan: of this run; None: nothing is there.

        Raises:
            UsageError: it is none of rows, or has rows of other windows.
            MViTError: it cannot be read.
        """
        from mvit_cli.recognition.journal import read_journal

        begun = self.files.begun(self.files.next_number())
        if self.files.is_parquet:
            from mvit_cli.recognition.parquet_rows import finish

            finish(begun, self.files.full(self.files.next_number()))
            begun = self.files.begun(self.files.next_number())
        earlier = [path for path in self.files.there() if path != begun]
        windows = plan.windows if plan else None
        return read_journal(begun, windows, retry_errors=retry_errors, earlier=earlier)

    @property
    def shown(self) -> str:
        """What the user named."""
        return f"--output {self.remote.shown if self.remote else self.files.path}"

    @contextmanager
    def opened(
        self, journal: "Journal | None", around: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> Iterator["Sink"]:
        """Gives the writer of rows; at the end the last part is finished.

        Args:
            journal: of what is there and stays; None: nothing does.
            around: entered around each row that is written.
        """
        from mvit_cli.report.predict.numbered import InParts

        if journal is None:
            if self.force:
                self.files.clear()
            journal = self.journal()
        part = _Part(self, journal)
        try:
            lines = InParts(part.stream, journal.rows_of_last, self.files.rows, part.next, part.wrote)
            yield Attributed(lines, self.shown, around)
        except BaseException:
            with suppress(OSError):
                part.end(is_full=False)
            raise
        part.end(is_full=True)


class _Part:
    """The part that rows go to."""

    def __init__(self, parts: RowParts, journal: "Journal") -> None:
        self._parts = parts
        self._number = parts.files.next_number()
        self.stream: BinaryIO = journal.open()
        for path in journal.rewritten if parts.remote else ():
            parts.remote.send(path)  # type: ignore[union-attr]

    def wrote(self) -> None:
        """A row is written."""
        if self._parts.remote:
            self._parts.remote.wrote(self._parts.files.begun(self._number))

    def next(self) -> BinaryIO:
        """Ends this part, and gives the next one."""
        from mvit_cli.recognition.journal import read_journal

        self.end(is_full=True)
        self._number += 1
        self.stream = read_journal(self._parts.files.begun(self._number)).open()
        return self.stream

    def end(self, *, is_full: bool) -> None:
        """Closes this part, and sends it; packs it where it is full or the run is over."""
        files, remote = self._parts.files, self._parts.remote
        begun, full = files.begun(self._number), files.full(self._number)
        self.stream.close()
        if not begun.stat().st_size and (self._number or (begun != full and full.exists())):
            begun.unlink()
            return
        if is_full and files.is_parquet:
            from mvit_cli.recognition.parquet_rows import packed

            packed(begun, full)
        if remote:
            remote.send(full if full.exists() and not (files.is_parquet and begun.exists()) else begun)
            if begun != full and not begun.exists():
                remote.remove([begun.name])


@contextmanager
def opened_row_parts(
    output: Path | None, parts: int | None, form: Form, *, resume: bool, force: bool, read: Sequence[str | Path]
) -> Iterator[RowParts | None]:
    """Gives the files of rows where they are more than one file of lines, found fit; None where they are not.

    Raises:
        UsageError: another format, or what would be lost.
        MViTError: not writable, or no way to the address.
    """
    address = address_of(output)
    if not is_in_parts(output, parts, form.format):
        yield None
        return
    if output is None:
        option = "--output-parts" if parts else "--format parquet"
        raise UsageError(f"{option} needs --output", "name the file: --output rows.parquet or rows.jsonl")
    if form.format not in ("jsonl", "parquet"):
        what = "--output-parts is" if parts else f"--output {output.as_posix()} is an address, which is"
        raise UsageError(f"{what} for JSON lines and Parquet, not for {form.format}", "add --format jsonl")
    if (form.format == "parquet") != (output.suffix.lower() == ".parquet"):
        raise UsageError(
            f"--output {output} does not say that it is {form.format}",
            f"name it {output.stem}.{'parquet' if form.format == 'parquet' else 'jsonl'}",
        )
    if form.format == "parquet":
        from mvit_cli.recognition.parquet_rows import need_pyarrow

        need_pyarrow()
    from mvit_cli.recognition.row_files import RowFiles

    if not address:
        files = RowFiles(output, parts, form.format == "parquet")
        Place("--output", files.begun(files.next_number()), "rows", keeps=True).check(read)
        files.check(resume=resume, force=force)
        yield RowParts(files, None, force)
        return
    from mvit_cli.recognition.remote_rows import opened_remote

    with opened_remote(address) as remote:
        files = RowFiles(remote.path, parts, form.format == "parquet")
        there = remote.found(files)
        if there and not (resume or force):
            raise UsageError(f"--output {remote.shown} has rows already", "--resume goes on, --force replaces them")
        if resume:
            remote.fetch(there)
        elif there:
            remote.remove(there)
        files.check(resume=resume, force=force)
        yield RowParts(files, remote, force)
