"""Labelled data: folders of classes and lists, as people have them."""

import json
from pathlib import Path

import pytest

from mvit_cli.errors import MViTError
from mvit_cli.recognition.labelled import LabelledClip, read_labelled


def files(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def seen(data: Path) -> list[tuple[str, tuple[str, ...], str | None]]:
    return [(Path(clip.path).name, clip.labels, clip.part) for clip in read_labelled(data).clips]


def test_the_folders_are_the_classes(tmp_path: Path) -> None:
    files(tmp_path, "b/1.mp4", "a/2.mp4", "a/deeper/3.webm", "a/notes.txt", ".hidden/4.mp4", "loose.mp4")
    (tmp_path / "empty").mkdir()
    found = read_labelled(tmp_path)
    assert seen(tmp_path) == [("2.mp4", ("a",), None), ("3.webm", ("a",), None), ("1.mp4", ("b",), None)]
    assert (found.labels, found.multilabel) == (("a", "b"), False)
    assert found.notes == (
        f"{tmp_path / 'empty'} has no videos or images: left out",
        f"1 file in {tmp_path} itself is of no class",
    )


def test_train_val_and_test_are_parts_not_classes(tmp_path: Path) -> None:
    files(tmp_path, "Train/a/1.mp4", "train2/a/0.mp4", "valid/a/2.mp4", "test/b/3.mp4")
    assert seen(tmp_path) == [("1.mp4", ("a",), "train"), ("3.mp4", ("b",), "test"), ("2.mp4", ("a",), "val")]
    assert read_labelled(tmp_path).notes == (f"{tmp_path / 'train2'} is not below train, val or test: left out",)


def test_a_class_may_be_called_test_where_there_is_no_train(tmp_path: Path) -> None:
    assert read_labelled(files(tmp_path, "test/1.mp4", "other/2.mp4")).labels == ("other", "test")


def test_a_list_says_more(tmp_path: Path) -> None:
    lines = ["\ufeffpath,label,split,group,start_s,end_s,camera", 'a.mp4,"jump, high",train,film 1,1.5,2,front']
    lines += ["/far/b.mp4,run|jump,validation,,,,"]
    (tmp_path / "list.csv").write_text("\n".join(lines), encoding="utf-8")
    first, second = read_labelled(tmp_path / "list.csv").clips
    path = str(tmp_path / "a.mp4")
    columns = {"group": "film 1", "camera": "front"}
    assert first == LabelledClip(path, ("jump, high",), "train", "film 1", 1.5, 2.0, columns)
    assert (second.path, second.labels, second.part, second.group) == ("/far/b.mp4", ("run", "jump"), "val", None)
    assert (first.source.part, second.source.part) == ((1.5, 2.0), None)
    assert read_labelled(tmp_path / "list.csv").multilabel


def test_the_same_as_json_lines_and_with_tabs(tmp_path: Path) -> None:
    rows = [{"path": "a.mp4", "label": "x"}, {"path": "b.mp4", "label": ["x", "y"], "start_s": 2}]
    (tmp_path / "list.jsonl").write_text("\n\n".join(map(json.dumps, rows)))
    (tmp_path / "list.tsv").write_text("path\tlabel\tstart_s\na.mp4\tx\t\nb.mp4\tx|y\t2\n")
    for name in ("list.jsonl", "list.tsv"):
        one, other = read_labelled(tmp_path / name).clips
        assert (one.labels, other.labels, other.source.part) == (("x",), ("x", "y"), (2.0, None))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("l.csv", "file,class\na.mp4,x\n", "line 2: no path; its columns are 'file', 'class'"),
        ("l.csv", "path,label\na.mp4,\n", "line 2: no label"),
        ("l.csv", "path,label\na.mp4,x|\n", "empty label"),
        ("l.csv", "path,label,split\na.mp4,x,holdout\n", "the split 'holdout' is none of train, val, test"),
        ("l.csv", "path,label,start_s\na.mp4,x,soon\n", "start_s 'soon' is no time"),
        ("l.csv", "path,label,start_s,end_s\na.mp4,x,2,1\n", "ends at 1 s, before it starts"),
        ("l.csv", "path,label\na.mp4,x,y\n", None),
        ("l.csv", 'path,label\n"a.mp4,x\n', "no table"),
        ("l.jsonl", "nonsense\n", "line 1: not JSON"),
        ("l.jsonl", "[1]\n", "line 1: no object"),
        ("l.txt", "a.mp4\n", "neither a folder nor a list"),
    ],
)
def test_what_is_wrong_with_a_list_is_said_with_its_line(
    tmp_path: Path, name: str, text: str, message: str | None
) -> None:
    (tmp_path / name).write_text(text)
    if message is None:
        assert len(read_labelled(tmp_path / name).clips) == 1
        return
    with pytest.raises(MViTError, match=message):
        read_labelled(tmp_path / name)


def test_a_list_that_is_not_there_or_no_utf8(tmp_path: Path) -> None:
    with pytest.raises(MViTError, match="No such file"):
        read_labelled(tmp_path / "none.csv")
    (tmp_path / "latin.csv").write_bytes(b"path,label\ncaf\xe9.mp4,x\n")
    with pytest.raises(MViTError, match="is not UTF-8"):
        read_labelled(tmp_path / "latin.csv")
    with pytest.raises(MViTError, match="has no folders"):
        read_labelled(tmp_path)


def test_clips_of_a_list_may_lie_behind_addresses_and_in_archives(tmp_path: Path) -> None:
    (tmp_path / "clips.csv").write_text(
        "path,label\nhttps://user:hunter2@host/a.mp4?sig=hunter2,one\ns.tar::a.mp4,one\ns3://b/a.mp4,two\n"
    )
    first, second, third = read_labelled(tmp_path / "clips.csv").clips
    assert (first.path, first.source.path) == ("https://host/a.mp4?sig=...",) * 2
    assert first.source.address == "https://user:hunter2@host/a.mp4?sig=hunter2"
    assert "hunter2" not in repr(first)
    assert second.source.path == str(tmp_path / "s.tar::a.mp4")
    assert (third.source.path, third.source.address) == ("s3://b/a.mp4", None)
