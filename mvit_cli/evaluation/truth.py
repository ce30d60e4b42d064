"""What people say of clips, put beside the classes of a network and beside the rows of a run."""

import difflib
import os
import re
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from mvit_cli.errors import MViTError, UsageError
from mvit_cli.recognition.labelled import LabelledClip, LabelledData, read_labelled
from mvit_cli.recognition.pairing import KnownPaths
from mvit_cli.records import PartSpan

Split = Literal["train", "val", "test", "all"]
SHOWN = 5
"""Names that an error shows."""


@dataclass(frozen=True)
class Truth:
    """The clips to judge by.

    Attributes:
        notes: what is not as one would expect, a sentence each.
    """

    clips: tuple[LabelledClip, ...]
    multilabel: bool
    notes: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels that occur, sorted."""
        return tuple(sorted({label for clip in self.clips for label in clip.labels}))


def read_truth(data: str | os.PathLike[str], split: Split | None = None) -> Truth:
    """The clips of a folder or list.

    Args:
        split: which of them; None: `test` where there is one, else `val`, else all.

    Raises:
        UsageError: neither a folder nor a list, or no such part.
        MViTError: a list that cannot be read, or no clips.
    """
    labelled = read_labelled(data)
    if not labelled.clips:
        raise MViTError(f"{os.fspath(data)} has no clips", "name a folder of classes, or a list with path and label")
    return _part_of(labelled, os.fspath(data), split)


def _part_of(labelled: LabelledData, name: str, split: Split | None) -> Truth:
    parts = {clip.part for clip in labelled.clips} - {None}
    notes = list(labelled.notes)
    if split is None:
        split = "test" if "test" in parts else "val" if "val" in parts else "all"
        if split != "all":
            notes.append(f"the part {split} of {name} is judged; --split names another")
    clips = labelled.clips if split == "all" else tuple(clip for clip in labelled.clips if clip.part == split)
    if not clips:
        there = ", ".join(sorted(map(str, parts))) or "none"
        raise UsageError(f"--split {split}: {name} has no such part (it has {there})", "say --split all")
    return Truth(clips, labelled.multilabel, tuple(notes))


def classes_of(labels: Sequence[str], classes: Sequence[str], option: str = "--labels") -> dict[str, int]:
    """The class that each label means: by its name, or by its number where all labels are numbers and no names are.

    Upper case, `_` and `-` do not matter where that leaves one class.

    Raises:
        MViTError: labels that no class has; shows both.
    """
    exact = {name: index for index, name in enumerate(classes)}
    if not any(label in exact for label in labels) and all(re.fullmatch("[0-9]+", label) for label in labels):
        beyond = [label for label in labels if int(label) >= len(classes)]
        if beyond:
            raise MViTError(
                f"the truth names class {beyond[0]}, and the network has {len(classes)}, from 0",
                "number the classes as the network does, or name them",
            )
        return {label: int(label) for label in labels}
    plain: dict[str, list[int]] = defaultdict(list)
    for name, index in exact.items():
        plain[_plain(name)].append(index)
    found = {label: exact[label] for label in labels if label in exact}
    for label in labels:
        if label not in found and len(plain[_plain(label)]) == 1:
            found[label] = plain[_plain(label)][0]
    missing = [label for label in labels if label not in found]
    if missing:
        near = dict.fromkeys(name for label in missing[:SHOWN] for name in difflib.get_close_matches(label, classes, 2))
        shown = [*near, *(name for name in classes if name not in near)]
        raise MViTError(
            f"{len(missing)} of {len(labels)} labels are no class of the network: {_few(missing)}; "
            f"its {len(classes)} classes are {_few(shown)}",
            f"rename the labels, or name the classes in their order with {option} FILE",
        )
    return found


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(repr, names[:SHOWN])) + more


@dataclass
class Pairing:
    """Finds the clip that a row is about, by `KnownPaths`: of clips with one path that of the same part, else the first
    without a row.

    Attributes:
        left: clips without a row.
    """

    clips: Sequence[LabelledClip]
    left: int = 0
    _by_path: dict[str, deque[LabelledClip]] = field(default_factory=lambda: defaultdict(deque))
    _known: KnownPaths = field(default_factory=KnownPaths)

    def __post_init__(self) -> None:
        self.left = len(self.clips)
        for clip in self.clips:
            self._by_path[clip.path].append(clip)
            self._known.add(clip.path)

    def take(self, path: str, part: PartSpan | None = None) -> LabelledClip | None:
        """The clip of the next row with this path, and of this part of it; None: the truth has none."""
        named = self._known.meant(path)
        clips = self._by_path[named] if named is not None else None
        if not clips:
            return None
        wanted = (part["start_s"], part["end_s"]) if part else None
        same = next((clip for clip in clips if clip.source.part == wanted), None if part else clips[0])
        if same is not None:
            self.left -= 1
            clips.remove(same)
        return same
