"""Inputs that a run would write to itself: told before it starts as far as they are known then, else not read."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from mvit_cli.addresses import scheme_of
from mvit_cli.errors import MediaError
from mvit_cli.media.archives import split
from mvit_cli.media.sources import Source, file_of
from mvit_cli.media.suffixes import MEDIA_SUFFIXES
from mvit_cli.recognition.listing import Listing

Identity = tuple[int, int]
"""Device and inode."""


def is_media_name(path: Path) -> bool:
    """Whether a file is a video or an image by its name."""
    return path.suffix.lower() in MEDIA_SUFFIXES


def input_among(written: Mapping[str, Path], listing: Listing) -> tuple[str, str] | None:
    """The first input that is written to, as far as inputs can be read twice: not on standard input or from a pipe.

    Args:
        written: files by the option that named them.
        listing: of which all parts are looked at.

    Returns:
        the option, and the input.
    """
    options = _identities(written)
    if not options:
        return None
    known = tuple(
        name
        for name in listing.named
        if (os.path.isfile(name[1:]) if name.startswith("@") else name != "-" and not scheme_of(name))
    )
    for source in replace(listing, names=known, shard=None, boxes=None).sources():
        identity = _identity(source.path)
        if identity in options:
            return options[identity], source.path
    return None


def sparing(written: Mapping[str, Path], sources: Iterable[Source]) -> Iterator[Source]:
    """Yields the sources; one that the run writes to becomes an error and is not read.

    Args:
        written: files by the option that named them; looked at with the first source, when they are there.
    """
    options: dict[Identity | None, str] | None = None
    for source in sources:
        options = _identities(written) if options is None else options
        option = options.get(_identity(source.path)) if options and not source.error else None
        if option:
            message = f"this run writes to it, as {option} says"
            source = replace(source, error=MediaError("unsupported", message, f"name another {option}"))
        yield source


def _identities(written: Mapping[str, Path]) -> dict[Identity | None, str]:
    """The options of regular files that are there, by what identifies these."""
    return {_identity(path): option for option, path in written.items() if path.is_file()}


def _identity(path: str | Path) -> Identity | None:
    """What identifies a file; of a member of an archive the archive."""
    parts = split(path) if isinstance(path, str) and not os.path.lexists(path) else None
    return file_of(parts[0] if parts else path)
