"""What a request names -> a checked file: a file of this machine, a member of an archive, what an address leads to."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from mvit_cli.media.archives import MARK, Found, Member, opened, split
from mvit_cli.media.content import Content, of_file
from mvit_cli.media.guards import CheckedFile, check_content, check_file
from mvit_cli.media.request import DecodeRequest

_found = Found(None)  # of the archive that was asked last


@contextmanager
def opened_file(request: DecodeRequest) -> Iterator[CheckedFile]:
    """Gives the file that a request names, open as long as it is looked at.

    Raises:
        MediaError: not_found, unsupported, empty; in the end too, where bytes could not be had that a library took for
            the end of the file.
    """
    with ExitStack() as held:
        file = _checked(request, held)
        try:
            yield file
        except Exception as error:
            _raise_failure(file, error)
            raise
        _raise_failure(file)


def _raise_failure(file: CheckedFile, error: Exception | None = None) -> None:
    failure = file.content and file.content.failure
    if failure and failure is not error:
        raise failure from error


def _checked(request: DecodeRequest, held: ExitStack) -> CheckedFile:
    parts = None if os.path.lexists(request.path) else split(request.path)
    if parts is None:
        return check_file(request.path)
    archive = held.enter_context(_archive(parts[0]))
    member = request.member or _member(archive, *parts)
    return check_content(held.enter_context(opened(archive, Member(*member), parts[1])))


@contextmanager
def _archive(path: str) -> Iterator[Content]:
    file = check_file(path)
    with file.open() as stream:
        yield of_file(file.path, stream, os.fstat(stream.fileno()).st_size)


def _member(archive: Content, path: str, name: str) -> Member:
    """Where a member lies that was named by the user."""
    global _found
    key = path, archive.size, _changed(path)
    if _found.key != key:
        _found = Found(key)
    return _found.member(archive, name)


def _changed(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0


def absolute(path: str) -> str:
    """The same file from any folder; of a member only the archive's path changes."""
    parts = None if os.path.lexists(path) else split(path)
    return os.path.abspath(path) if parts is None else os.path.abspath(parts[0]) + MARK + parts[1]
