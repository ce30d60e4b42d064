"""What a request names -> a checked file: a file of this machine, a member of an archive, what an address leads to."""

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from mvit_cli.addresses import scheme_of
from mvit_cli.media.archives import MARK, Found, Member, opened, split
from mvit_cli.media.content import Content, copied, of_file, poured
from mvit_cli.media.guards import CheckedFile, check_content, check_file
from mvit_cli.media.request import DecodeRequest
from mvit_cli.media.video.boxes import header_tells_all

# Of a file's time, what asking a server for it may take: then its row says so itself.
SHARE = 0.9

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
    path = request.path
    is_here = os.path.lexists(path)
    parts = None if is_here else split(path)
    if parts is None and (is_here or not scheme_of(path)):
        return check_file(path)
    held.enter_context(_environment(request.variables))
    content = held.enter_context(_content(parts[0] if parts else path, request))
    if parts:
        member = request.member or _member(content, *parts)
        content = held.enter_context(opened(content, Member(*member), parts[1]))
    file = check_content(content)
    if content.is_far and not tells_all(content):
        from mvit_cli.media.remote.far import check_far

        check_far(content)
        file = check_content(held.enter_context(copied(content.name, poured(content))))
    return file


def tells_all(content: Content) -> bool:
    """Whether the header of a file says where all its frames are."""
    with content.open() as stream:
        return header_tells_all(stream, content.size)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Has variables in the environment as long as a file is open."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _content(path: str, request: DecodeRequest) -> Iterator[Content]:
    if scheme_of(path) and not os.path.lexists(path):
        from mvit_cli.media.remote.far import opened_address

        # A video in windows has its time for each of them, and the pool looks after that.
        with opened_address(path, math.inf if request.windows else SHARE * request.limit_s) as content:
            yield content
        return
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
    """The same file from any folder; of a member only the archive's path changes, of an address nothing."""
    if scheme_of(path) and not os.path.lexists(path):
        return path
    parts = None if os.path.lexists(path) else split(path)
    return os.path.abspath(path) if parts is None else os.path.abspath(parts[0]) + MARK + parts[1]
