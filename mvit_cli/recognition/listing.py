"""What the user named to be recognised, and which part of it this process does."""

import glob
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice

from mvit_cli.addresses import scheme_of
from mvit_cli.media.archives import is_archive
from mvit_cli.media.sources import Source, iter_sources
from mvit_cli.recognition.tracked import Boxes


@dataclass(frozen=True)
class Shard:
    """One of several equal parts of all inputs: those whose path, as named, falls to it by its hash.

    The parts are disjoint and together complete, and a path stays in its part when others are added.

    Attributes:
        index: from 0.
        count: parts.
    """

    index: int
    count: int

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise ValueError(f"there is no part {self.index} of {self.count}: parts count from 0")

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def has(self, identity: str) -> bool:
        """Whether an input is in this part, by `Source.identity`: its path as named, and its track if it has one."""
        digest = blake2b(identity.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.count == self.index


@dataclass(frozen=True)
class Listing:
    """What the user named, and how it is read.

    Attributes:
        names: files, folders, globs, `@list` or `-`.
        null_separated: paths of lists and standard input end with NUL instead of a line break.
        shard: the part of it that is meant; None: all.
        allow_empty: a folder or a list without anything in it is no error.
        boxes: tracks, each of which is an input of its own; without names, of the files that they say themselves.
    """

    names: tuple[str, ...]
    null_separated: bool = False
    shard: Shard | None = None
    allow_empty: bool = False
    boxes: Boxes | None = field(default=None, compare=False)

    @property
    def named(self) -> tuple[str, ...]:
        """The names, or those that boxes say."""
        return self.boxes.names if self.boxes and not self.names else self.names

    def sources(self, is_done: Callable[[str], bool] | None = None) -> Iterator[Source]:
        """Yields the sources, as they are asked for.

        Args:
            is_done: whether a path of this part is left out without a look at the disk; asked of those in lists.
        """
        shard = self.shard
        if self.boxes:  # a path may have many rows, and says nothing of its tracks
            is_done = None
        if is_done and shard:
            mine = is_done
            is_done = lambda path: shard.has(path) and mine(path)  # noqa: E731
        found = iter_sources(self.named, null_separated=self.null_separated, is_done=is_done)
        if self.boxes:
            found = self.boxes.sources(found)
        if self.allow_empty:
            found = (source for source in found if not source.is_nothing)
        return found if shard is None else (source for source in found if shard.has(source.identity))

    def first(self) -> Source | None:
        """The first source, where it is a file that lies here: to find that out, nothing is listed and no list read.

        None where tracks are meant: a file says nothing of the first of them.
        """
        if self.boxes:
            return None
        name = self.names[0] if self.names else "-"
        is_file = not name.startswith(("-", "@")) and os.path.isfile(name) and not is_archive(name)
        return next(iter_sources([name]), None) if is_file and not self.shard else None

    @property
    def are_several(self) -> bool | None:
        """Whether more than one input is meant; None where that is not known before a pipe or a bucket is read."""
        names = self.named
        if len(names) != 1:
            return True
        name = names[0]
        if name == "-":
            return None
        if scheme_of(name) and not os.path.lexists(name):
            return None if glob.has_magic(name) else False
        if name.startswith("@") and not os.path.lexists(name) and not os.path.isfile(name[1:]):
            return None
        return len(list(islice(self.sources(), 2))) > 1

    def counter(self) -> Callable[[], int] | None:
        """What counts the sources; None where they come only once, from standard input or a pipe, or from elsewhere."""
        names = self.named
        if any(scheme_of(name) and not os.path.lexists(name) for name in names):
            return None  # to list a bucket twice costs more than the number is worth
        if all(os.path.isfile(name[1:]) if name.startswith("@") else name != "-" for name in names):
            return lambda: sum(1 for _ in self.sources())
        return None
