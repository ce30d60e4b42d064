"""What the user names becomes files in a defined order; what cannot be read is an error of its own row."""

import base64
import itertools
import json
import os
import shutil
import threading
import time
from pathlib import Path

import pytest

from mvit_cli.media.sources import Source, iter_sources


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """b.mp4, a.jpg, notes.txt, .hidden.mp4, sub/c.MKV, sub/.cache/d.mp4, empty/"""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub" / ".cache").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    for name in ("b.mp4", "a.jpg", "notes.txt", ".hidden.mp4", "sub/c.MKV", "sub/.cache/d.mp4"):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def paths(*names, **options) -> list[str]:
    found = list(iter_sources(names, **options))
    assert [source for source in found if source.error] == []
    return [source.path for source in found]


def error_of(*names, **options) -> tuple[str, str]:
    (source,) = iter_sources(names, **options)
    assert source.error is not None
    assert source.error.kind == "not_found"
    assert source.error.hint
    return source.path, source.error.message


def test_a_file_is_itself_whatever_its_suffix(tree):
    assert paths("b.mp4", "notes.txt", ".hidden.mp4") == ["b.mp4", "notes.txt", ".hidden.mp4"]


def test_folder_gives_its_media_by_name_without_hidden_ones(tree):
    assert paths(".") == ["./a.jpg", "./b.mp4", "./sub/c.MKV"]
    assert paths("sub/") == ["sub/c.MKV"]
    assert paths(str(tree / "sub")) == [str(tree / "sub" / "c.MKV")]


def test_duplicates_stay_in_the_order_they_come(tree):
    assert paths("b.mp4", "sub", "b.mp4") == ["b.mp4", "sub/c.MKV", "b.mp4"]


def test_missing_file_is_an_error_of_its_own(tree):
    assert error_of("none.mp4") == ("none.mp4", "no such file or folder")
    assert error_of("a\0b.mp4")[0] == "a\0b.mp4"
    assert error_of("x" * 5000)[1] == "no such file or folder"
    assert [source.error is None for source in iter_sources(["none.mp4", "b.mp4"])] == [False, True]


def test_folder_without_media_is_an_error_that_names_it(tree):
    assert error_of("empty") == ("empty", "no video or image in this folder")


def test_address_is_told_apart_from_a_missing_file(tree):
    assert paths("https://example.org/a.mp4") == ["https://example.org/a.mp4"]
    assert next(iter_sources(["rtsp://example.org/a.mp4"])).error.message == "addresses of rtsp:// are not read"


def test_glob(tree):
    assert paths("*.mp4") == ["b.mp4"]
    assert paths("**/*.MKV") == ["sub/c.MKV"]
    assert paths("s*") == ["sub/c.MKV"]
    assert error_of("*.avi") == ("*.avi", "nothing matches this pattern")


def test_name_with_pattern_characters_is_a_name_first(tree):
    (tree / "b[1].mp4").write_bytes(b"x")
    assert paths("b[1].mp4") == ["b[1].mp4"]


def test_list_file(tree):
    (tree / "list.txt").write_bytes(b"b.mp4\r\n\n  \nsub\nnone.mp4\nb.mp4")
    found = list(iter_sources(["@list.txt"]))
    assert [source.path for source in found] == ["b.mp4", "sub/c.MKV", "none.mp4", "b.mp4"]
    assert [source.error is None for source in found] == [True, True, False, True]


def test_list_that_cannot_be_read_or_is_empty(tree):
    (tree / "void.txt").write_bytes(b"\n\n")
    assert "cannot be read" in error_of("@none.txt")[1]
    assert "cannot be read" in error_of("@sub")[1]
    assert error_of("@void.txt") == ("@void.txt", "the list names no path")


def test_lines_are_paths_and_neither_patterns_nor_lists(tree):
    (tree / "list.txt").write_text("*.mp4\n@other.txt\n-\n")
    assert [source.error is not None for source in iter_sources(["@list.txt"])] == [True, True, True]


def piped(data: bytes) -> int:
    read, write = os.pipe()
    threading.Thread(target=lambda: (os.write(write, data), os.close(write))).start()
    return read


def test_standard_input(tree):
    descriptor = piped(b"b.mp4\nsub\n")
    assert paths("-", stdin=descriptor) == ["b.mp4", "sub/c.MKV"]
    os.close(descriptor)


def test_standard_input_separated_by_nul(tree):
    (tree / "two\nlines.mp4").write_bytes(b"x")
    descriptor = piped(b"two\nlines.mp4\0b.mp4\0")
    assert paths("-", stdin=descriptor, null_separated=True) == ["two\nlines.mp4", "b.mp4"]
    os.close(descriptor)


def test_first_line_is_there_before_the_second_is_written(tree):
    read, write = os.pipe()
    os.write(write, b"b.mp4\nsub/c.")
    sources = iter_sources(["-"], stdin=read)
    assert next(sources).path == "b.mp4"
    os.write(write, b"MKV")
    os.close(write)
    assert next(sources).path == "sub/c.MKV"
    os.close(read)


def test_endless_input_is_read_piece_by_piece(tree):
    assert len(list(itertools.islice(iter_sources(itertools.repeat("b.mp4")), 1000))) == 1000


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX only")
def test_names_that_are_no_utf8_come_back_as_bytes(tree):
    name = b"\xff\xfe\x80.mp4"
    with open(os.path.join(os.fsencode(tree), name), "wb"):
        pass
    assert os.fsencode("./") + name in [os.fsencode(path) for path in paths(".")]
    descriptor = piped(name + b"\n")
    (path,) = paths("-", stdin=descriptor)
    assert os.fsencode(path) == name
    os.close(descriptor)


def test_links_to_folders_above_end(tree):
    (tree / "sub" / "up").symlink_to(tree, target_is_directory=True)
    (tree / "sub" / "self").symlink_to(tree / "sub", target_is_directory=True)
    (tree / "other").mkdir()
    (tree / "other" / "back").symlink_to(tree / "sub", target_is_directory=True)
    assert paths(".") == ["./a.jpg", "./b.mp4", "./other/back/c.MKV", "./sub/c.MKV"]


def test_dangling_link_has_a_row(tree):
    (tree / "sub" / "gone.mp4").symlink_to(tree / "nowhere.mp4")
    assert paths("sub") == ["sub/c.MKV", "sub/gone.mp4"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="everything is readable to root")
def test_unreadable_folder_is_one_error(tree):
    (tree / "sub").chmod(0)
    found = list(iter_sources(["."]))
    (tree / "sub").chmod(0o700)
    assert [(source.path, source.error is None) for source in found][-1] == ("./sub", False)


def test_unreadable_folder_costs_one_row(tree, monkeypatch):
    scandir = os.scandir

    def refuse(folder):
        if os.path.basename(folder) == "sub":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    found = list(iter_sources(["."]))
    assert [source.path for source in found] == ["./a.jpg", "./b.mp4", "./sub"]
    assert found[-1].error.message == "the folder cannot be read: Permission denied"


def test_deep_folders_do_not_overflow(tree):
    folder = tree
    for _ in range(600):
        folder = folder / "d"
    folder.mkdir(parents=True)
    (folder / "e.mp4").write_bytes(b"x")
    assert len([path for path in paths(".") if path.endswith("e.mp4")]) == 1


@pytest.mark.parametrize("links", [[(".", "up")], [("..", "up"), ("../..", "up2")]])
def test_a_pattern_of_all_folders_comes_to_each_once(tmp_path, links):
    inner = tmp_path / "d" / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "d" / "c.mp4").touch()
    (inner / "c.mp4").touch()
    for target, name in links:
        (inner / name).symlink_to(target, target_is_directory=True)
    pattern = os.path.join(str(tmp_path), "d", "**", "*.mp4")
    assert [source.path for source in iter_sources([pattern])] == [str(inner / "c.mp4"), str(tmp_path / "d" / "c.mp4")]
    whole = os.path.join(str(tmp_path), "**")
    assert len(list(iter_sources([whole]))) == 2


def test_a_link_beside_its_folder_is_no_second_way(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.mp4").touch()
    (tmp_path / "also").symlink_to(tmp_path / "real", target_is_directory=True)
    (found,) = iter_sources([str(tmp_path / "**" / "*.mp4")])
    assert found.path == str(tmp_path / "real" / "a.mp4")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_lists_in_the_encodings_of_windows(tmp_path, encoding):
    names = [str(tmp_path / name) for name in ("a.mp4", "\u00e9\u4e2d.mp4")]
    for name in names:
        Path(name).touch()
    (tmp_path / "list.txt").write_bytes("\r\n".join([*names, ""]).encode(encoding))
    found = list(iter_sources([f"@{tmp_path / 'list.txt'}"]))
    assert [(source.path, source.error) for source in found] == [(name, None) for name in names]


def test_a_file_whose_name_begins_like_a_list_is_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("@user.mp4").touch()
    assert list(iter_sources(["@user.mp4"])) == [Source("@user.mp4")]


@pytest.mark.parametrize("name", ["@eaDir", "#recycle", "$RECYCLE.BIN", ".Trash-1000", "System Volume Information"])
def test_folders_of_systems_are_passed_over(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "a.mp4").touch()
    (tmp_path / "._b.mp4").touch()
    (tmp_path / "b.jfif").touch()
    assert [source.path for source in iter_sources([str(tmp_path)])] == [str(tmp_path / "b.jfif")]


def test_a_folder_that_goes_while_it_is_read_has_no_row(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "c.mp4").touch()
    found = iter_sources([str(tmp_path)])
    next(found)
    shutil.rmtree(tmp_path / "b")
    assert list(found) == []


@pytest.mark.parametrize(("null_separated", "byte"), [(False, b"x"), (False, b"\0"), (True, b"\0"), (False, b"\n")])
def test_a_list_without_paths_ends(tmp_path, null_separated, byte):
    (tmp_path / "list").write_bytes(byte * (60 << 20))
    began = time.perf_counter()
    (found,) = iter_sources([f"@{tmp_path / 'list'}"], null_separated=null_separated)
    assert "within 64 KiB" in found.error.message
    assert "-0" in found.error.hint
    assert time.perf_counter() - began < 2


def test_rows_of_an_earlier_run_stand_for_their_paths(tree):
    (tree / "b\xe9.mp4").write_bytes(b"")
    rows = [
        {"path": str(tree / "a.mp4"), "status": "ok"},
        {"path": "shown", "path_bytes": base64.b64encode(os.fsencode(tree) + b"/\xe9.mp4").decode()},
        {"path": 3},
        {"path": "x", "path_bytes": "no base64!"},
    ]
    lines = [json.dumps(row) for row in rows]
    lines.append(json.dumps(rows[0], separators=(",", ":")))  # as jq -c writes it
    (tree / '{"path": "named so"}').write_bytes(b"")
    (tree / "list").write_text("\n".join([*lines, '{"path": "named so"}']))
    here = os.getcwd()
    os.chdir(tree)
    try:
        found = [source.path for source in iter_sources([f"@{tree / 'list'}"])]
    finally:
        os.chdir(here)
    stray = os.fsdecode(os.fsencode(tree) + b"/\xe9.mp4")
    assert found == [str(tree / "a.mp4"), stray, *lines[2:4], str(tree / "a.mp4"), '{"path": "named so"}']
