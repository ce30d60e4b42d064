"""Lists of class names as people have them."""

import json
import os
from pathlib import Path

import pytest

from mvit_cli.checkpoints.cards import weights_dir
from mvit_cli.checkpoints.labels import MAX_BYTES, read_label_list
from mvit_cli.errors import CheckpointError

AB = ("a b", "c")
KINETICS = tuple((weights_dir() / "labels" / "kinetics400.txt").read_text().splitlines())
IMAGENET = tuple((weights_dir() / "labels" / "imagenet1k.txt").read_text().splitlines())


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "list"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "content",
    [
        json.dumps({'"a b"': 0, "c": 1}),  # kinetics_classnames.json
        json.dumps({"c": "1", "a b": "0"}),  # Something-Something's labels.json
        json.dumps({"0": ["n01440764", "a b"], "1": ["n01443537", "c"]}),  # imagenet_class_index.json
        json.dumps({"id2label": {"1": "c", "0": "a b"}, "label2id": {"c": 1, "a b": 0}}),
        json.dumps({"architecture": "mvitv2_tiny", "label_names": ["a b", "c"], "pretrained_cfg": {}}),
        json.dumps({"dataset_meta": 1, "classes": ["a b", "c"]}),
        json.dumps([{"id": 1, "name": "c"}, {"id": 0, "name": "a b"}]),
        "id,name\n1,c\n0,a b\n",
        "name;class_id\na b;0\nc;1\n",
        "index\tlabel\n0\ta b\n1\tc\n",
        "1,c\n0,a b\n",
        "1 c\n0 a b\n",
        "0: a b\n1: c\n",
        "names:\n  0: a b\n  1: c\n",
        "0\ta b\n1\tc\n",
        "c000 a b\nc001 c\n",
        "n01440764 a b\nn01443537 c\n",
        "# classes\na b\nc\n",
        "a b,0\nc,1\n",
        "c 1\na b 0\n",
        "a b\t0\nc\t1\n",
        "- a b\n- c\n",
        "# mine\nnames:\n- 'a b'\n- c\n",
        "nc: 2\nnames: ['a b', 'c']\n",
        "'a b'\n'c'\n",
        '{"id": 1, "name": "c"}\n{"id": 0, "name": "a b"}\n',
        json.dumps({"label2id": {"c": 1, "a b": 0}}),
        json.dumps({"class_to_idx": {"c": 1, "a b": 0}}),
        json.dumps({"idx_to_class": {"1": "c", "0": "a b"}}),
        json.dumps({"dataset_meta": {"classes": ["a b", "c"]}}),
        json.dumps({"a b": 0.0, "c": 1.0}),
        "a b\r\nc\r\n".encode("utf-16"),
        "a b\nc\n".encode("utf-8-sig"),
    ],
)
def test_every_form_gives_the_names_in_the_order_of_the_outputs(tmp_path: Path, content: str | bytes) -> None:
    assert read_label_list(write(tmp_path, content)) == (AB, "")


@pytest.mark.parametrize(
    "content",
    [
        '{"1": "a b", "2": "c"}',
        '{"a b": 1, "c": 2}',
        "2 c\n1 a b\n",
        "id,name\n1,a b\n2,c\n",
        "a b 1\nc 2\n",
        'item {\n  name: "a b"\n  id: 1\n}\nitem {\n  name: "/m/01"\n  id: 2\n  display_name: "c"\n}\n',
        "item{id: 2 name: 'c'} item{id: 1 name: 'a b'}",
    ],
)
def test_numbers_from_one_on_are_taken_where_complete_and_said(tmp_path: Path, content: str) -> None:
    names, note = read_label_list(write(tmp_path, content))
    assert names == AB
    assert "numbered from 1 to 2" in note


def test_names_with_commas_and_quotes_stay_whole(tmp_path: Path) -> None:
    text = 'id,name\n0,"tench, Tinca tinca"\n1,"the ""big"" one"\n'
    assert read_label_list(write(tmp_path, text)).names == ("tench, Tinca tinca", 'the "big" one')
    assert read_label_list(write(tmp_path, "a\u2028b\nc\n")).names == ("a\u2028b", "c")


def test_words_of_yaml_are_names(tmp_path: Path) -> None:
    assert read_label_list(write(tmp_path, "names: [yes, no, 1.5, null]\n")).names == ("yes", "no", "1.5", "null")


@pytest.mark.parametrize("text", ["gate 0\ngate 1\n", "step 3\nstep 4\n", "room 101\nhall\n"])
def test_names_that_end_with_a_number_are_names(tmp_path: Path, text: str) -> None:
    assert read_label_list(write(tmp_path, text)).names == tuple(text.splitlines())


def test_names_that_begin_with_a_number_are_names(tmp_path: Path) -> None:
    assert read_label_list(write(tmp_path, "3 point shot\n100 m run\n")).names == ("3 point shot", "100 m run")


@pytest.mark.parametrize("names", [KINETICS, IMAGENET])
def test_the_lists_of_the_package_come_back_from_every_form(tmp_path: Path, names: tuple[str, ...]) -> None:
    forms = (
        "\n".join(names),
        json.dumps({name: index for index, name in reversed(list(enumerate(names)))}) if len(set(names)) == len(names)
        else json.dumps(names),
        "\n".join(f"{index},{name}" for index, name in enumerate(names)),
        "\n".join(f"{index} {name}" for index, name in enumerate(names)),
    )  # fmt: skip
    for form in forms:
        assert read_label_list(write(tmp_path, form)).names == names


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("caf\xe9\nb\n".encode("latin-1"), r"line 1 is not in UTF-8 \(byte 0xe9\)"),
        ("a\nb\n".encode("utf-16-le"), "zero bytes"),
        (b"PK\x03\x04\x14\0\0\0", "zero bytes"),
        ("{0: 'cat', 1: 'dog'}", "Python's notation"),
        ("['cat', 'dog']", "Python's notation"),
        ("<!DOCTYPE html><html></html>\n", "an HTML page"),
        ("version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        ('item {\n  name: "bend"\n  id: 1\n}\nitem {\n  name: "crouch"\n  id: 3\n}\n', "index 2 is missing"),
        ("names:\n  0: a\n  0: b\n", "stands there twice"),
        ("names: [a, b\n", "is not YAML"),
        ("names: &a [*a]\n", "is not YAML"),
        ("a\n\nb\n", "line 2 is empty"),
        ("1: bend\n3: crouch\n", "index 2 is missing"),
        ("id,name\n0,a\nx,b\n", "line 3 has no number"),
        ('{"a": 0, "a": 1}', "stands there twice"),
        ("0,a\n0,b\n", "same index"),
        ("[" * 100_000, "nested too deeply"),
        ('[{"id": [0], "name": "a"}]', "no whole number"),
        ('id,name\n0,"' + "a" * 200_000, "field larger than"),
        (b"a\n" * (MAX_BYTES // 2 + 1), "more than 16 MiB"),
    ],
)
def test_what_is_not_complete_or_too_much_is_refused(tmp_path: Path, content: str | bytes, reason: str) -> None:
    with pytest.raises(CheckpointError, match=reason) as caught:
        read_label_list(write(tmp_path, content))
    assert caught.value.hint


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="a device of Unix")
@pytest.mark.timeout(60)
@pytest.mark.parametrize("line", [",", "a, ", "1 ", "1:", "item {", "id: 1 "])
def test_a_line_of_a_million_signs_is_a_name_soon(tmp_path: Path, line: str) -> None:
    """No pattern goes back over what it has seen: that would take hours."""
    (tmp_path / "list.txt").write_text(line * (1_000_000 // len(line)) + "x")
    assert len(read_label_list(tmp_path / "list.txt").names) == 1


def test_a_device_is_no_list() -> None:
    with pytest.raises(CheckpointError, match="a device, not a file"):
        read_label_list("/dev/zero")
