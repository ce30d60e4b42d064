"""Own classes: what is refused before any work, and which clips are kept apart."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvit_cli.errors import MViTError, UsageError
from mvit_cli.recognition.labelled import LabelledClip as Example
from mvit_cli.recognition.labelled import Part
from mvit_cli.training.split import check_classes, grouped, split


def examples(counts: dict[str, int]) -> list[Example]:
    return [Example(f"{label}/{n}.mp4", (label,)) for label, count in counts.items() for n in range(count)]


def test_a_fifth_of_each_class_validates() -> None:
    data = examples({"a": 10, "b": 20, "c": 5})
    found = split(data)
    assert Counter(data[i].labels[0] for i in found.val) == {"a": 2, "b": 4, "c": 1}
    assert sorted((*found.train, *found.val)) == list(range(35))
    assert (found.method, found.groups, found.notes) == ("stratified", 0, ())


def test_the_seed_decides_and_nothing_else() -> None:
    data = examples({"a": 20, "b": 20})
    assert split(data, seed=3) == split(data, seed=3)
    assert split(data, seed=3).val != split(data, seed=4).val


def test_two_clips_of_a_class_stand_on_both_sides() -> None:
    data = examples({"a": 2, "b": 2})
    found = split(data)
    assert {data[i].labels[0] for i in found.val} == {"a", "b"}
    assert len(found.train) == 2


def movable(data: list[Example]) -> list[str | None]:
    """Groups that may leave without taking all clips of a class along."""
    classes = {label: {e.group for e in data if e.labels == (label,)} for label in "abc"}
    return [
        group
        for group in {e.group for e in data}
        if all(len(groups) > 1 for groups in classes.values() if group in groups)
    ]


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 12)), min_size=12, max_size=80),
    st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_no_group_straddles_and_each_class_is_learned(clips: list[tuple[str, int]], seed: int) -> None:
    data = [Example(f"{i}.mp4", (label,), group=f"{group}") for i, (label, group) in enumerate(clips)]
    try:
        found = split(data, seed=seed)
    except MViTError:
        assert not movable(data)
        return
    assert not {data[i].group for i in found.train} & {data[i].group for i in found.val}
    assert {data[i].labels for i in found.val} <= {data[i].labels for i in found.train}
    assert found.method == "grouped"


def test_groups_come_from_a_column_or_from_the_path() -> None:
    listed = [Example("x1.mp4", ("a",), columns={"film": "one"}), Example("x2.mp4", ("a",), columns={"film": ""})]
    assert grouped(listed, "film") == ["one", None]
    assert grouped(listed, r"x(\d)") == ["1", "2"]
    assert grouped(listed, r"x\d") == ["x1", "x2"]
    with pytest.raises(UsageError, match="matches 1 of 2 paths, and not x2"):
        grouped(listed, "x1")
    with pytest.raises(UsageError, match="neither a column"):
        grouped(listed, "(")


def test_clips_of_one_recording_stay_together() -> None:
    data = [Example(f"{label}/film{film}_{n}.mp4", (label,)) for label in "ab" for film in range(5) for n in range(4)]
    found = split(data, group=r"\w/film\d")
    films = [{data[i].path[:7] for i in part} for part in (found.train, found.val)]
    assert not films[0] & films[1]
    assert len(films[1]) == 2
    assert (found.method, found.groups) == ("grouped", 10)


def parted(label: str, *parts: Part | None) -> list[Example]:
    return [Example(f"{label}/{n}", (label,), part) for n, part in enumerate(parts)]


def test_a_given_split_is_kept() -> None:
    data = [*parted("a", "train", "val", "test"), *parted("b", "train", "val")]
    found = split(data)
    assert (found.train, found.val, found.test, found.method) == ((0, 3), (1, 4), (2,), "given")


def test_a_test_part_is_never_learned_from() -> None:
    ten: list[Part] = ["train"] * 10
    data = [*parted("a", *ten, "test"), *parted("b", *ten, "test")]
    found = split(data)
    assert found.test == (10, 21)
    assert len(found.val) == 4
    assert not {10, 21} & {*found.train, *found.val}


def test_groups_on_both_sides_of_a_given_split_are_told() -> None:
    data = [Example(f"{i}", ("ab"[i % 2],), "train" if i < 4 else "val", group="g") for i in range(8)]
    assert split(data).notes == ("a group stands on both sides of the given split, g: the figures are too good",)


def test_a_class_without_validation_is_told_and_one_that_is_not_learned_refused() -> None:
    data = [*parted("a", "train", "val"), *parted("b", "train", "train")]
    assert "no clip for validation is of the class b" in split(data).notes[0]
    with pytest.raises(MViTError, match="no clip for training is of the class b"):
        split([*parted("a", "train", "val"), *parted("b", "val", "val")])


def test_what_nothing_can_be_made_of_is_refused_before_any_work() -> None:
    with pytest.raises(MViTError, match="names no clips"):
        check_classes([])
    with pytest.raises(MViTError, match="all 3 clips are of one class"):
        check_classes(examples({"a": 3}))
    with pytest.raises(MViTError, match=r"class 'b' has one clip only \(and 1 more\)"):
        check_classes(examples({"a": 3, "b": 1, "c": 1}))
    with pytest.raises(MViTError, match="2 of 4 clips have no split"):
        split([*parted("a", "train", None), *parted("b", "train", None)])
    with pytest.raises(MViTError, match="no clip of the data is for training"):
        split(parted("a", "val", "val"))
    with pytest.raises(MViTError, match="one group only"):
        split([Example(f"{i}", ("ab"[i % 2],), group="ab"[i % 2]) for i in range(8)])
    with pytest.raises(UsageError, match="--val-split 1 is no share"):
        split(examples({"a": 3, "b": 3}), share=1)


def test_labels_that_differ_in_case_only_are_told() -> None:
    assert check_classes(examples({"Dog": 2, "dog": 2, "cat": 2})) == (
        "the labels 'Dog' and 'dog' differ in case or blanks only and are different classes here",
    )


def test_several_labels_a_clip_are_split_label_by_label() -> None:
    data = [Example(f"{i}", ("a", "b") if i % 2 else ("a",)) for i in range(40)]
    assert check_classes(data) == ()
    found = split(data)
    assert len(found.val) == 8
    assert abs(sum(len(data[i].labels) == 2 for i in found.val) - 4) <= 1  # both wishes cannot be met
