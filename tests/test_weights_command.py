"""`mvit weights`: list, show, pull, verify, where."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import golden
import pytest
from hub_server import FileServer, own_caches, some_weights

from mvit_cli.arch.presets import preset_names
from mvit_cli.checkpoints import verification
from mvit_cli.checkpoints.cards import card_names, load_card
from mvit_cli.checkpoints.fetch.caches import url_cache_path
from mvit_cli.cli.main import run

TORCHVISION = "mvit_b_16x4.tv_k400"


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("COLUMNS", "LC_ALL", "LC_CTYPE", "LANG"):
        monkeypatch.delenv(name, raising=False)
    return own_caches(tmp_path, monkeypatch)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("went to the network"))


def output(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert run(["weights", *arguments]) == code
    return capsys.readouterr().out


def parsed(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    return json.loads(output(capsys, *arguments, "--format", "json"))


def cached(name: str, content: bytes) -> Path:
    """Puts a file where the card's download would lie."""
    path = url_cache_path(load_card(name).source.url or "", published=True)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


# list


def test_list_names_every_card_with_what_is_known_of_it(offline: None, capsys: pytest.CaptureFixture[str]) -> None:
    entries = {entry["name"]: entry for entry in parsed(capsys, "list")}
    assert entries.keys() == set(card_names())
    torchvision = entries[TORCHVISION]
    assert torchvision["params"] == 36_610_672
    assert (torchvision["dataset"], torchvision["top1"], torchvision["state"]) == ("kinetics400", 78.477, "remote")
    assert torchvision["licence"].startswith("BSD-3-Clause")
    assert all(entry["state"] == "embedded" for name, entry in entries.items() if load_card(name).source.embedded)


def test_list_begins_with_the_default_of_each_preset(capsys: pytest.CaptureFixture[str]) -> None:
    entries = parsed(capsys, "list")
    presets = list(dict.fromkeys(entry["preset"] for entry in entries))
    assert presets == [name for name in preset_names() if name in presets]
    for preset in presets:
        of_preset = [entry["default"] for entry in entries if entry["preset"] == preset]
        assert of_preset == sorted(of_preset, reverse=True)


def test_the_table_fits_80_columns_uncut(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = output(capsys, "list")
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    lines = text.splitlines()
    row = next(number for number, line in enumerate(lines) if line.startswith(TORCHVISION))
    assert lines[row].split() == [TORCHVISION, "78.5", "147", "MB"]
    assert lines[row + 1] == "  video, 400 classes of K400, BSD-3-Clause"  # no column is lost: they go on below
    assert all(name in text for name in card_names())
    monkeypatch.setenv("COLUMNS", "100")
    shown = next(line for line in output(capsys, "list").splitlines() if line.startswith(TORCHVISION))
    assert shown.split() == [TORCHVISION, "video", "400", "K400", "78.5", "147", "MB", "BSD-3-Clause"]


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["--dataset", "k400"], {"kinetics400"}),
        (["--dataset", "Kinetics"], {"kinetics400", "kinetics600"}),
        (["--dataset", "in1k", "--layout", "timm"], {"imagenet1k"}),
        (["--preset", "v2-S", "--dataset", "ssv2"], {"somethingv2"}),
    ],
)
def test_list_shows_only_what_fits(options: list[str], wanted: set[str], capsys: pytest.CaptureFixture[str]) -> None:
    entries = parsed(capsys, "list", *options)
    assert {entry["dataset"] for entry in entries} == wanted
    every = {entry["name"]: entry for entry in parsed(capsys, "list")}
    left_out = [entry for name, entry in every.items() if name not in {one["name"] for one in entries}]
    if "--layout" in options:
        assert {entry["layout"] for entry in entries} == {"timm"}
        assert "timm" not in {entry["layout"] for entry in left_out if entry["dataset"] in wanted}
    elif "--preset" in options:
        assert {entry["preset"] for entry in entries} == {"mvitv2_s_16x4"}
    else:
        assert not wanted & {entry["dataset"] for entry in left_out}


def test_list_shows_what_is_here_and_for_what(capsys: pytest.CaptureFixture[str]) -> None:
    assert [entry["name"] for entry in parsed(capsys, "list", "--cached")] == ["camera_motion.embedded"]
    path = cached(TORCHVISION, b"12345")
    found = parsed(capsys, "list", "--cached", "--use", "video", "--dataset", "k400")
    assert [(entry["name"], entry["path"]) for entry in found] == [(TORCHVISION, str(path))]
    assert parsed(capsys, "list", "--cached", "--use", "images") == []
    assert parsed(capsys, "list", "--dataset", "k400", "--layout", "timm") == []  # either alone has some
    assert {entry["classes"] for entry in parsed(capsys, "list", "--use", "images")} >= {1000}


@pytest.mark.parametrize(("option", "value"), [("--dataset", "kinetix"), ("--dataset", ""), ("--layout", "caffe")])
def test_a_filter_that_nothing_can_fit_says_what_there_is(
    option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["weights", "list", option, value]) == 2
    assert ("K400" if option == "--dataset" else "torchvision") in capsys.readouterr().err


def test_a_file_in_the_cache_is_listed_as_cached_with_its_size(capsys: pytest.CaptureFixture[str]) -> None:
    path = cached(TORCHVISION, b"12345")
    entry = next(entry for entry in parsed(capsys, "list") if entry["name"] == TORCHVISION)
    assert (entry["state"], entry["size_bytes"], entry["path"]) == ("cached", 5, str(path))


# show


@pytest.mark.parametrize("name", [TORCHVISION, "MVIT-B-16x4.TV-K400"])
def test_show_says_everything_of_a_card(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    record = parsed(capsys, "show", name)
    card = load_card(TORCHVISION)
    assert record["address"] == card.source.url
    assert record["preprocess"]["mean"] == list(card.preprocess.mean)
    text = " ".join(output(capsys, "show", name).split())
    for note in card.notes:
        assert note in text


def test_a_wrong_name_exits_2_and_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["weights", "show", "mvit_b_16x4.tv_k40"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert TORCHVISION in told.err


@pytest.mark.parametrize("name", ["B", "camera", "mvit-b", TORCHVISION])
def test_show_reads_as_a_model_card_with_the_command_to_run(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = output(capsys, "show", name)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    card = lines[0]
    assert f"mvit predict clip.mp4 --weights {card}" in text
    assert f"preset {load_card(card).preset}" in " ".join(text.split())
    here = next(line for line in lines if line.startswith("on this machine"))
    assert "yes (embedded)" in here if name == "camera" else f"`mvit weights pull {card}`" in here


def test_several_are_pulled_and_one_that_fails_does_not_keep_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    files = {f"/{name}.pth": some_weights(7168) for name in "ab"}
    with FileServer(files=files) as server:
        names = [f"{server.url}/{name}.pth" for name in ("a", "missing", "b")]
        assert run(["weights", "pull", "-q", *names]) == 1
        told = capsys.readouterr()
        assert [Path(line).read_bytes() for line in told.out.splitlines()] == list(files.values())
        assert "missing.pth" in told.err


# pull


def test_pull_downloads_and_prints_the_path_alone(capsys: pytest.CaptureFixture[str]) -> None:
    content = some_weights(7168)
    with FileServer(files={"/model.pth": content}) as server:
        path = Path(output(capsys, "pull", f"{server.url}/model.pth").strip())
        assert path.read_bytes() == content
        assert output(capsys, "pull", "--quiet", f"{server.url}/model.pth").strip() == str(path)
        assert server.methods() == ["GET"]


def test_pull_without_network_fails_with_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MVIT_OFFLINE", "1")
    assert run(["weights", "pull", TORCHVISION]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "MVIT_OFFLINE" in told.err


# verify


def test_verify_loads_a_file_strictly_and_tells_what_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = golden.write_checkpoint("small_fb", tmp_path)
    record = parsed(capsys, "verify", str(path))
    assert record["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert record["params"] == golden.golden("small_fb")["params"]
    assert (record["layout"], record["num_classes"], record["published_as"]) == ("mvit-image", 10, None)
    assert f"sha256        {record['sha256']}" in output(capsys, "verify", str(path))


def test_verify_knows_a_published_file_by_its_digest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = golden.write_checkpoint("small_pysf_v2", tmp_path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    real = verification._is_published
    monkeypatch.setattr(verification, "_is_published", lambda card, of: card.name == TORCHVISION and of == digest)
    assert run(["weights", "verify", str(path)]) == 1
    assert "does not belong to preset mvit_b_16x4" in capsys.readouterr().err  # so it is held against that card
    assert real(load_card(TORCHVISION), "dbeb1030" + 56 * "0")
    assert not real(load_card(TORCHVISION), digest)


def test_verify_refuses_what_does_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = golden.write_checkpoint("small_pysf_v2", tmp_path)
    assert run(["weights", "verify", str(path), "--preset", "B"]) == 1
    assert "does not belong to preset mvit_b_16x4" in capsys.readouterr().err


def test_verify_of_weights_that_are_not_here_says_how_to_get_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["weights", "verify", TORCHVISION]) == 1
    assert f"mvit weights pull {TORCHVISION}" in capsys.readouterr().err


def test_verify_deletes_a_cached_file_that_is_not_the_published_one(capsys: pytest.CaptureFixture[str]) -> None:
    path = cached(TORCHVISION, b"something else")
    assert run(["weights", "verify", TORCHVISION]) == 1
    assert "sha256" in capsys.readouterr().err
    assert not path.exists()


# where


def test_where_counts_the_cards_files_in_each_folder(caches: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = cached(TORCHVISION, bytes(1000))
    shutil.copy(path, path.with_name("of-somebody-else.pth"))
    folders = {entry["kind"]: entry for entry in parsed(capsys, "where")}
    assert folders.keys() == {"embedded", "hub", "url"}
    assert folders["url"]["path"] == str(caches / "torch" / "hub" / "checkpoints")
    assert (folders["url"]["checkpoints"], folders["url"]["size_bytes"]) == (1, 1000)
    assert not folders["hub"]["exists"]
    assert "(not there)" in output(capsys, "where")


def test_no_command_shows_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys)
    assert all(command in text for command in ("list", "show", "pull", "verify", "convert", "where"))
