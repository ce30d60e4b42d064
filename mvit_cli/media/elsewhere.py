"""Inputs that are no files of this machine by themselves: members of archives, and what addresses stand for."""

import math
import os
from collections.abc import Iterator
from typing import NamedTuple

from mvit_cli.addresses import scheme_of, shown
from mvit_cli.errors import MediaError
from mvit_cli.media.archives import MARK, Member, entries, is_archive, split, why_no_archive
from mvit_cli.media.content import Content, of_file
from mvit_cli.media.guards import is_no_fault_of_the_file
from mvit_cli.media.suffixes import EMPTY_ARCHIVE, is_media, is_passed


class Elsewhere(NamedTuple):
    """One input; its parts are those of `sources.Source`."""

    path: str
    error: MediaError | None = None
    address: str | None = None
    member: Member | None = None


def in_archive(name: str) -> Iterator[Elsewhere]:
    """Yields the media in an archive of this machine, in its order, and what is wrong with it."""
    try:
        with open(name, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            yield from _members(name, of_file(name, file, size))
    except OSError as error:
        if is_no_fault_of_the_file(error):
            raise
        reason = f"the archive cannot be read: {error.strerror or type(error).__name__}"
        yield Elsewhere(name, MediaError("not_found", reason, "check the path and its permissions"))


def of_address(name: str, *, globs: bool) -> Iterator[Elsewhere]:
    """Yields what an address stands for; of files only their names, since whoever decodes them opens them.

    Args:
        globs: whether `*`, `[` and `?` are a pattern.
    """
    from mvit_cli.media.remote.drivers import why_no_driver
    from mvit_cli.media.remote.stores import numbered, places

    if split(name):
        for one in numbered(name):
            yield _called(one, why_no_driver(scheme_of(name)))
        return
    for place in places(name, globs=globs):
        if place.error is None and is_archive(place.address):
            yield from _in_far_archive(place.address)
        else:
            yield _called(place.address, place.error or why_no_archive(place.address))


def named(name: str) -> tuple[str, str | None]:
    """What an address, or a member of an archive behind it, is called in rows; and itself where that is another."""
    if not scheme_of(name):
        return name, None
    archive, member = split(name) or (name, "")
    path = shown(archive) + (MARK + member if member else "")
    return path, None if path == name else name


def _called(address: str, error: MediaError | None) -> Elsewhere:
    path, real = named(address)
    return Elsewhere(path, error, real)


def _in_far_archive(address: str) -> Iterator[Elsewhere]:
    from mvit_cli.media.remote.far import LISTED_BYTES, opened_address

    name = shown(address)
    try:
        with opened_address(address, math.inf, LISTED_BYTES) as archive:
            for one in _members(name, archive):
                is_plain = one.error is not None or name == address
                yield one if is_plain else one._replace(address=address + one.path.removeprefix(name))
    except MediaError as error:
        yield Elsewhere(name, error)


def _members(name: str, archive: Content) -> Iterator[Elsewhere]:
    """Yields the media in an archive, in its order, and what is wrong with it.

    Args:
        name: what it is called in rows.
    """
    found = False
    for entry in entries(archive):
        is_nested = bool(entry.name) and (is_archive(entry.name) or why_no_archive(entry.name) is not None)
        is_wanted = (is_media(entry.name) or is_nested) and not is_passed(os.path.basename(entry.name))
        if not is_wanted and (entry.name or isinstance(entry.member, Member)):
            continue
        found = True
        path = f"{name}{MARK}{entry.name}" if entry.name else name
        if isinstance(entry.member, MediaError):
            yield Elsewhere(path, entry.member)
        elif is_nested:
            yield Elsewhere(path, MediaError("unsupported", "an archive in an archive", "unpack it and name it"))
        else:
            yield Elsewhere(path, member=entry.member)
    if not found:
        yield Elsewhere(name, MediaError("not_found", EMPTY_ARCHIVE, "check that its members are named as such"))
