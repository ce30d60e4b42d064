"""Addresses that stand for several: folders and patterns of stores, and numbers in braces. One folder at a time."""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import partial
from glob import has_magic
from math import inf
from typing import Any, NamedTuple

from mvit_cli.addresses import scheme_of
from mvit_cli.errors import MediaError
from mvit_cli.media.archives import is_archive
from mvit_cli.media.remote.drivers import WEB, driver, why_no_driver
from mvit_cli.media.remote.far import tried
from mvit_cli.media.remote.patience import Patience
from mvit_cli.media.suffixes import EMPTY_FOLDER, is_media, is_passed

_NUMBERS = re.compile(r"\{(\d+)\.\.(\d+)\}")


class Place(NamedTuple):
    """An address of one file, or what is wrong with one that was to have some."""

    address: str
    error: MediaError | None = None


def places(address: str, *, globs: bool) -> Iterator[Place]:
    """Yields what an address stands for, in the order of names.

    Of http and https nothing is listed, and whatever is a video, an image or an archive by its name is taken for one:
    whether it is there tells who opens it.

    Args:
        globs: whether `*`, `[` and `?` are a pattern.
    """
    if wrong := why_no_driver(scheme_of(address)):
        yield Place(address, wrong)
        return
    for one in numbered(address):
        if scheme_of(one) in WEB:
            yield Place(one)
            continue
        try:
            if globs and has_magic(one):
                yield from _matching(one)
            elif is_media(one) or is_archive(one):
                yield Place(one)
            else:
                yield from _asked(one)
        except MediaError as error:
            yield Place(one, error)


def numbered(address: str) -> Iterator[str]:
    """Yields an address for each number of `shard-{000..099}.tar`, with as many digits as the first has."""
    braces = _NUMBERS.search(address)
    if not braces:
        yield address
        return
    for number in range(int(braces[1]), int(braces[2]) + 1):
        text = f"{number:0{len(braces[1])}}"
        yield from numbered(address[: braces.start()] + text + address[braces.end() :])


def _asked(address: str) -> Iterator[Place]:
    """Yields the media of a folder; else the file itself."""
    files, path = driver(address)
    if tried(Patience(inf), lambda: files.info(path), address)["type"] != "directory":
        yield Place(address)
        return
    yield from _below(files, address)


def _below(files: Any, address: str) -> Iterator[Place]:
    found = False
    for name, is_folder in _walk(files, address):
        if not is_folder and is_media(name):
            found = True
            yield Place(name)
    if not found:
        hint = f"check the address, or name the archives in it: {address.rstrip('/')}/*.tar"
        yield Place(address, MediaError("not_found", EMPTY_FOLDER, hint))


def _walk(files: Any, address: str) -> Iterator[tuple[str, bool]]:
    waiting = [_entries(files, address)]
    while waiting:
        name, is_folder = next(waiting[-1], ("", False))
        if not name:
            waiting.pop()
            continue
        yield name, is_folder
        if is_folder:
            waiting.append(_entries(files, name))


def _entries(files: Any, address: str) -> Iterator[tuple[str, bool]]:
    """Yields the addresses in a folder by name, without hidden ones, and whether each is a folder."""
    base = address.rstrip("/")
    path = files._strip_protocol(address)
    held = tried(Patience(inf), partial(files.ls, path, detail=True), address)
    names = sorted(
        (entry["name"].rstrip("/").rpartition("/")[2], entry["type"] == "directory")
        for entry in held
        if entry["name"].rstrip("/") != path.rstrip("/")  # the mark of an empty folder
    )
    del held
    for name, is_folder in names:
        if name and not is_passed(name):
            yield f"{base}/{name}", is_folder


def _matching(address: str) -> Iterator[Place]:
    scheme, _, rest = address.partition("://")
    parts = rest.split("/")
    first = next(number for number, part in enumerate(parts) if has_magic(part))
    files, _ = driver(f"{scheme}://" + "/".join(parts[:first]))
    found = False
    for name, is_folder in _matches(files, f"{scheme}://" + "/".join(parts[:first]), parts[first:]):
        found = True
        if is_folder:
            yield from _below(files, name)
        else:
            yield Place(name)
    if not found:
        yield Place(address, MediaError("not_found", "nothing matches this pattern", "check the address"))


def _matches(files: Any, folder: str, patterns: list[str]) -> Iterator[tuple[str, bool]]:
    head, *tail = patterns
    if head == "**":
        yield from _matches(files, folder, tail or ["*"])
    elif tail and not has_magic(head):
        inner = f"{folder.rstrip('/')}/{head}"
        if tried(Patience(inf), lambda: files.isdir(files._strip_protocol(inner)), inner):
            yield from _matches(files, inner, tail)
        return
    for name, is_folder in _entries(files, folder):
        if head == "**":
            if is_folder:
                yield from _matches(files, name, patterns)
        elif fnmatchcase(name.rpartition("/")[2], head):
            if tail and is_folder:
                yield from _matches(files, name, tail)
            elif not tail:
                yield name, is_folder
