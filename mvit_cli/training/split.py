"""Which clips are learned from and which are kept apart: as the data says, else grouped and stratified by class."""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mvit_cli.errors import MViTError, UsageError
from mvit_cli.recognition.labelled import PARTS, LabelledClip, Part

VAL_SHARE = 0.2


@dataclass(frozen=True)
class Split:
    """Places of the examples, in their order, by part.

    Attributes:
        method: "given" by the data, "stratified" by class, "grouped" and stratified.
        groups: groups that were kept together; 0: each clip was for itself.
        notes: what is not as one would wish, a sentence each.
    """

    train: tuple[int, ...]
    val: tuple[int, ...]
    test: tuple[int, ...]
    method: Literal["given", "stratified", "grouped"]
    seed: int
    groups: int
    notes: tuple[str, ...] = ()


def grouped(examples: Sequence[LabelledClip], rule: str | None) -> list[str | None]:
    """The group of each example: of a column of that name, else what a regular expression finds in its path.

    Args:
        rule: column or expression (its first bracket, else all that it matches); None: the groups of the data.

    Raises:
        UsageError: no column and no expression, or one that a path does not match.
    """
    if rule is None:
        return [example.group for example in examples]
    if any(rule in example.columns for example in examples):
        return [example.columns.get(rule) or None for example in examples]
    try:
        pattern = re.compile(rule)
    except re.error as error:
        raise UsageError(
            f"--group {rule!r} is neither a column of the data nor a regular expression ({error})",
            "for example --group '([^/_]+)_[0-9]+': what stands before the number of the clip",
        ) from error
    found = [pattern.search(example.path) for example in examples]
    missed = [example.path for example, match in zip(examples, found, strict=True) if not match]
    if missed:
        raise UsageError(
            f"--group {rule!r} matches {len(found) - len(missed)} of {len(found)} paths, and not {missed[0]}",
            "name a column of the list, or an expression that finds a group in every path",
        )
    return [match[match.re.groups and 1] for match in found if match]


def split(
    examples: Sequence[LabelledClip], *, share: float = VAL_SHARE, group: str | None = None, seed: int = 0
) -> Split:
    """Takes the clips for validation out.

    Where the data says `val`, that is it. Where it says only `train` and perhaps `test`, or nothing, a share of what
    may be learned from is taken: of each class, and groups as a whole.

    Args:
        share: of the clips of each class that validate, between 0 and 1.
        group: see `grouped`.

    Raises:
        UsageError: a share that leaves one side empty, or a group that cannot be told.
        MViTError: examples from which nothing can be learned or validated.
    """
    if not 0 < share < 1:
        raise UsageError(f"--val-split {share:g} is no share", "give one between 0 and 1, as --val-split 0.2")
    said = [example.part for example in examples]
    if any(said) and None in said:
        raise MViTError(
            f"{said.count(None)} of {len(said)} clips have no split, the first is {examples[said.index(None)].path}",
            "say train, val or test for all of them, or for none",
        )
    groups = grouped(examples, group)
    by_part = {part: tuple(i for i, other in enumerate(said) if (other or "train") == part) for part in PARTS}
    if not by_part["train"]:
        raise MViTError("no clip of the data is for training", "put some into train/, or leave the split out")
    if by_part["val"]:
        notes = _straddling(groups, by_part)
        return _checked(examples, Split(**by_part, method="given", seed=seed, groups=_count(groups), notes=notes))
    val = _taken(examples, groups, by_part["train"], share, seed)
    train = tuple(i for i in by_part["train"] if i not in val)
    notes = _straddling(groups, {"train": train, "val": tuple(val), "test": by_part["test"]})
    method: Literal["stratified", "grouped"] = "grouped" if _count(groups) else "stratified"
    found = Split(train, tuple(sorted(val)), by_part["test"], method, seed, _count(groups), notes)
    return _checked(examples, found)


def _count(groups: Sequence[str | None]) -> int:
    return len({group for group in groups if group is not None})


def _straddling(groups: Sequence[str | None], parts: Mapping[Part, Sequence[int]]) -> tuple[str, ...]:
    """A sentence where a group that the data names stands on both sides."""
    learned = {groups[i] for i in parts["train"]} - {None}
    kept = {groups[i] for part in ("val", "test") for i in parts[part]} - {None}
    both = sorted(group for group in learned & kept if group)
    if not both:
        return ()
    what = f"{len(both)} groups stand" if len(both) > 1 else "a group stands"
    return (f"{what} on both sides of the given split, {both[0]}{_and_more(both)}: the figures are too good",)


def _taken(
    examples: Sequence[LabelledClip], groups: Sequence[str | None], among: Sequence[int], share: float, seed: int
) -> set[int]:
    """Places of the clips that validate: whole groups, as near to the share of each class as they allow.

    Groups come in an order drawn by the seed, those of rare classes first; one is taken where that brings the classes
    it holds nearer to their shares. A class that no group fits gets its smallest one, if something is left to learn.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for i in among:
        own = groups[i]
        members[f"group {own}" if own is not None else f"clip {i}"].append(i)
    content = {name: Counter(label for i in places for label in examples[i].labels) for name, places in members.items()}
    total: Counter[str] = sum(content.values(), Counter())
    wanted = {label: max(1, round(share * count)) for label, count in total.items()}
    holders = Counter(label for labels in content.values() for label in labels)
    order = sorted(members)
    random.Random(f"split {seed}").shuffle(order)
    order.sort(key=lambda name: min((holders[label] for label in content[name]), default=0))
    taken: Counter[str] = Counter()
    chosen: list[str] = []

    def leaves_some(name: str) -> bool:
        return all(total[label] - taken[label] > count for label, count in content[name].items())

    def take(name: str) -> None:
        chosen.append(name)
        taken.update(content[name])

    for name in order:
        if leaves_some(name) and _gain(content[name], taken, wanted) > 0:
            take(name)
    for label in sorted(total):
        fits = [name for name in order if name not in chosen and label in content[name] and leaves_some(name)]
        if not taken[label] and fits:
            take(min(fits, key=lambda name: sum(content[name].values())))
    return {i for name in chosen for i in members[name]}


def _gain(labels: Mapping[str, int], taken: Mapping[str, int], wanted: Mapping[str, int]) -> float:
    """How much nearer the classes of a group come to what is wanted of them if it is taken."""

    def distance(label: str, more: int) -> float:
        return (taken.get(label, 0) + more - wanted[label]) ** 2 / wanted[label]

    return sum(distance(label, 0) - distance(label, count) for label, count in labels.items())


def _checked(examples: Sequence[LabelledClip], found: Split) -> Split:
    """The split, with what is to be known of it.

    Raises:
        MViTError: nothing to learn from, nothing to validate on, or a class that is never learned.
    """
    if not found.val:
        raise MViTError(
            "no clip is left to validate on: each class has one clip or one group only",
            "add clips of other recordings, or name some in val/",
        )
    learned = {label for i in found.train for label in examples[i].labels}
    kept = {label for i in (*found.val, *found.test) for label in examples[i].labels}
    if unlearned := sorted(kept - learned):
        raise MViTError(
            f"no clip for training is of the class {unlearned[0]}" + _and_more(unlearned),
            "each class needs clips on both sides of the split",
        )
    validated = {label for i in found.val for label in examples[i].labels}
    if unseen := sorted(learned - validated):
        note = f"no clip for validation is of the class {unseen[0]}{_and_more(unseen)}: nothing is known of it"
        return Split(**{**vars(found), "notes": (*found.notes, note)})
    return found


def check_classes(examples: Sequence[LabelledClip]) -> tuple[str, ...]:
    """Refuses labels from which no classifier can be made, before any work; returns what looks like a mistake.

    Raises:
        MViTError: no clips, one class, or a class with a single clip.
    """
    if not examples:
        raise MViTError("the data names no clips", "lay them into a folder for each class, or write a list path,label")
    counts = Counter(label for example in examples for label in example.labels)
    if len(counts) < 2 and all(len(example.labels) == 1 for example in examples):
        raise MViTError(
            f"all {len(examples)} clips are of one class, {next(iter(counts))!r}",
            "a classifier needs a second one, as a folder of other clips",
        )
    if few := sorted(label for label, count in counts.items() if count < 2):
        raise MViTError(
            f"the class {few[0]!r} has one clip only{_and_more(few)}",
            "each class needs two at least, one to learn from and one to validate on; twenty are better",
        )
    return alike(counts)


def alike(labels: Mapping[str, int]) -> tuple[str, ...]:
    """Sentences on labels that differ in case or blanks only."""
    same: dict[str, list[str]] = defaultdict(list)
    for label in sorted(labels):
        same[" ".join(label.casefold().split())].append(label)
    return tuple(
        f"the labels {' and '.join(map(repr, names))} differ in case or blanks only and are different classes here"
        for names in same.values()
        if len(names) > 1
    )


def _and_more(names: Sequence[str]) -> str:
    return f" (and {len(names) - 1} more)" if len(names) > 1 else ""
