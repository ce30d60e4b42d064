"""Which of the paths that somebody wrote down a path means."""

import os
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class KnownPaths:
    """Paths of a list, found by what others call them."""

    _paths: set[str] = field(default_factory=set)
    _places: dict[str, str] = field(default_factory=dict)
    _names: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, path: str) -> None:
        """Makes one known."""
        if path not in self._paths:
            self._paths.add(path)
            self._places[os.path.realpath(path)] = path
            self._names[Path(path).name].add(path)

    def meant(self, path: str) -> str | None:
        """The same as named, else where it leads, else by the file's name where that is the only one; None: none."""
        if path in self._paths:
            return path
        named = self._places.get(os.path.realpath(path))
        alike = self._names.get(Path(path).name, set())
        if named is None and len(alike) == 1:
            (named,) = alike
        return named
