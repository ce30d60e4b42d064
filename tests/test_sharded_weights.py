"""Checkpoints in several safetensors files: read like one, refused with a sentence where they are not of one piece."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hub_server import COMMIT, FileServer, own_caches
from safetensors.torch import load_file as read_safetensors
from safetensors.torch import save_file
from tiny_network import CONFIG, write_weights

from mvit_cli.checkpoints.find import find
from mvit_cli.checkpoints.formats.reading import read_checkpoint, read_shapes
from mvit_cli.checkpoints.formats.shards import INDEX, MAX_SHARDS
from mvit_cli.checkpoints.load import CONFIG_KEY, config_to_json, load_model
from mvit_cli.cli.main import run
from mvit_cli.errors import CheckpointError, UsageError

SHARDS = [f"model-{number:05}-of-00003.safetensors" for number in (1, 2, 3)]
LOST, FIRST = SHARDS[1], SHARDS[0]


def split(folder: Path) -> Path:
    """A tiny network in three files and their index, as the Hub's tools write them."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = read_safetensors(write_weights(folder / "whole.safetensors"))
    (folder / "whole.safetensors").rename(folder.parent / "whole.safetensors")
    names = sorted(tensors)
    places = {name: SHARDS[place * 3 // len(names)] for place, name in enumerate(names)}
    for shard in SHARDS:
        save_file({name: tensors[name] for name in names if places[name] == shard}, folder / shard, {"format": "pt"})
    size = sum(tensor.nbytes for tensor in tensors.values())
    index = {"metadata": {"total_size": size, CONFIG_KEY: config_to_json(CONFIG)}, "weight_map": places}
    (folder / INDEX).write_text(json.dumps(index, indent=2))
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    own_caches(tmp_path, monkeypatch)
    return split(tmp_path / "net")


def changed(index: Path, change: Callable[[dict[str, Any]], object]) -> None:
    said = json.loads(index.read_text())
    change(said["weight_map"])
    index.write_text(json.dumps(said))


def replaced_by_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


# --- read like one


def test_they_are_the_network_in_one_file_to_the_bit(folder: Path) -> None:
    whole = load_model(None, folder.parent / "whole.safetensors")
    for named in (folder, folder / INDEX, str(folder)):
        model = load_model(None, named)
        assert model.config == whole.config
        parts = zip(model.named_parameters(), whole.named_parameters(), strict=True)
        assert all(name == its_name and torch.equal(one, other) for (name, one), (its_name, other) in parts)


def test_shapes_and_numbers_are_those_of_the_files(folder: Path) -> None:
    tensors, shapes = read_checkpoint(folder / INDEX).tensors, read_shapes(folder / INDEX).tensors
    expected = read_safetensors(folder.parent / "whole.safetensors")
    assert tensors.keys() == shapes.keys() == expected.keys()
    assert all(torch.equal(tensors[name], tensor) for name, tensor in expected.items())
    assert all(shapes[name].shape == tuple(tensor.shape) for name, tensor in expected.items())


def test_an_index_of_any_name_is_known_by_what_it_holds(folder: Path) -> None:
    (folder / INDEX).rename(folder / "weights.json")
    assert read_shapes(folder / "weights.json").tensors


def test_folder_and_index_have_one_name_in_rows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    assert {find(named).name for named in ("net", "net/", f"net/{INDEX}", Path("net"))} == {f"net/{INDEX}"}


def test_a_folder_that_holds_more_is_not_guessed_at(folder: Path) -> None:
    shutil.copy(folder.parent / "whole.safetensors", folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="is a folder") as caught:
        find(folder)
    assert caught.value.hint == f"name the file in it: model.safetensors, {INDEX}"
    assert find(folder / INDEX).kind == "file"


def test_every_command_takes_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["summarize", "--weights", str(folder), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["weights"]["path"] == str(folder / INDEX)
    target = folder.parent / "joined.safetensors"
    assert run(["weights", "convert", str(folder), str(target)]) == 0
    joined = read_safetensors(target)
    whole = read_safetensors(folder.parent / "whole.safetensors")
    assert all(torch.equal(joined[name], whole[name]) for name in whole)
    capsys.readouterr()
    assert run(["weights", "verify", str(folder), "--format", "json"]) == 0
    record = json.loads(capsys.readouterr().out)
    files = sorted((path.name, path.read_bytes()) for path in folder.iterdir())
    listed = "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files)
    assert record["sha256"] == hashlib.sha256(listed.encode()).hexdigest()
    assert record["params"] == sum(tensor.numel() for tensor in whole.values())


def test_rows_of_a_run_go_on_however_it_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    rows = folder.parent / "rows.jsonl"
    for name in ("a", "b"):
        Image.new("RGB", (40, 40), "red").save(folder.parent / f"{name}.png")
    first = ["predict", str(folder.parent / "a.png"), "--weights", str(folder), "--output", str(rows)]
    assert run([*first, "--format", "jsonl"]) == 0
    again = ["predict", str(folder.parent / "a.png"), str(folder.parent / "b.png"), "--weights", str(folder / INDEX)]
    assert run([*again, "--output", str(rows), "--format", "jsonl", "--resume"]) == 0
    written = [json.loads(line) for line in rows.read_text().splitlines()]
    assert [Path(row["path"]).name for row in written] == ["a.png", "b.png"]
    assert {row["weights"] for row in written} == {str(folder / INDEX)}


# --- not of one piece


ASTRAY = ["../net.safetensors", "/etc/net.safetensors", "a/net.safetensors", "a\\net.safetensors", "C:net.safetensors"]
FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a shard is missing": (
        lambda folder: (folder / LOST).unlink(),
        f"{LOST} is not there, and {INDEX} names it",
    ),
    "a shard is a pointer": (
        lambda folder: (folder / LOST).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n"),
        f"{LOST}: a Git LFS pointer",
    ),
    "a shard is a page": (lambda folder: (folder / LOST).write_text("<!DOCTYPE html>"), f"{LOST}: an HTML page"),
    "a shard is cut": (
        lambda folder: os.truncate(folder / LOST, (folder / LOST).stat().st_size - 1),
        f"{LOST}: damaged safetensors file",
    ),
    "a shard is a pickle": (lambda folder: torch.save({}, folder / LOST), f"{LOST}: damaged safetensors file"),
    "a shard is a pipe": (lambda folder: replaced_by_a_pipe(folder / LOST), f"{LOST} is no file, and {INDEX} names it"),
    "a tensor is elsewhere": (
        lambda folder: changed(folder / INDEX, lambda places: places.update({min(places): SHARDS[2]})),
        f"into {SHARDS[2]}, which does not hold it",
    ),
    "a tensor is nowhere": (
        lambda folder: changed(folder / INDEX, lambda places: places.update({"ghost.weight": FIRST})),
        f"the index puts ghost.weight into {FIRST}, which does not hold it",
    ),
    "a tensor is not named": (
        lambda folder: changed(folder / INDEX, lambda places: places.pop("head.projection.bias")),
        "holds head.projection.bias, which the index does not put there",
    ),
    "a tensor is there twice": (
        lambda folder: save_file(
            {**read_safetensors(folder / FIRST), **read_safetensors(folder / LOST)}, folder / FIRST
        ),
        "which the index does not put there",
    ),
    "shards are torch files": (
        lambda folder: changed(folder / INDEX, lambda places: places.update({"x": "model-00001-of-00002.bin"})),
        "only checkpoints in several safetensors files are read",
    ),
    "more files than any": (
        lambda folder: changed(
            folder / INDEX,
            lambda places: places.update({f"x{n}": f"{n}.safetensors" for n in range(MAX_SHARDS + 1)}),
        ),
        "are more than any MViT has",
    ),
    "no places": (lambda folder: changed(folder / INDEX, lambda places: places.clear()), "without a weight_map"),
    "places that are none": (
        lambda folder: changed(folder / INDEX, lambda places: places.update({"x": 5})),
        "without a weight_map",
    ),
    "metadata in pieces": (
        lambda folder: [
            save_file(read_safetensors(folder / shard), folder / shard, {shard: "x" * 400_000}) for shard in SHARDS
        ],
        "metadata of more than 1048576 letters",
    ),
    "a list": (lambda folder: (folder / INDEX).write_text('["weight_map"]'), "without a weight_map"),
    "half of it": (lambda folder: os.truncate(folder / INDEX, 900), "an index that is not JSON"),
    "nested too deep": (
        lambda folder: (folder / INDEX).write_text('{"weight_map": ' + "[" * 100_000),
        "an index that is not JSON",
    ),
    "larger than any": (
        lambda folder: (folder / INDEX).write_text('{"weight_map": ' + " " * (4 << 20) + "{}}"),
        "an index of more than 4194304 bytes",
    ),
    **{
        f"a shard at {place}": (
            lambda folder, place=place: changed(folder / INDEX, lambda places: places.update({"x": place})),  # type: ignore[misc]
            f"the index names {place!r}, which does not lie beside it",
        )
        for place in ASTRAY
    },
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_of_one_piece_is_refused(fault: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage, message = FAULTS[fault]
    damage(folder)
    for read in (read_checkpoint, read_shapes):
        with pytest.raises(CheckpointError) as caught:
            read(folder / INDEX)
        assert message in caught.value.message
        assert caught.value.hint
    assert run(["summarize", "--weights", str(folder)]) == 1
    told = capsys.readouterr()
    assert message in told.err.replace("\n", " ") or len(message) > 60  # long lines are broken
    assert told.out == ""


def test_a_part_that_is_named_alone_says_what_to_name(folder: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        load_model(None, folder / LOST)
    assert caught.value.hint == "it is a part of a checkpoint: name the .index.json beside it"


def test_from_an_address_only_whole_files_are_fetched() -> None:
    with pytest.raises(UsageError, match="fetched from the Hub only"):
        find("https://host/model.safetensors.index.json?download=true")


# --- from the Hub


REPO = "org/mvit"


@pytest.fixture
def hub(folder: Path) -> Iterator[FileServer]:
    with FileServer() as running:
        for revision in ("main", COMMIT):
            for path in folder.iterdir():
                running.put_on_hub(REPO, path.name, path.read_bytes(), revision)
            running.put_on_hub(REPO, "config.json", b'{"label_names": ["x"]}', revision)
        names = ["README.md", "config.json", *(path.name for path in folder.iterdir())]
        listed = {"id": REPO, "sha": COMMIT, "siblings": [{"rfilename": name} for name in names]}
        running.files[f"/api/models/{REPO}/revision/main"] = json.dumps(listed).encode()
        yield running


def mvit(hub: FileServer, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A process of its own: huggingface_hub reads its endpoint when it is imported."""
    return subprocess.run(
        [sys.executable, "-m", "mvit_cli", *arguments],
        env={**os.environ, "HF_ENDPOINT": hub.url, "COLUMNS": "500", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_repository_in_several_files_is_fetched_whole_and_once(hub: FileServer, folder: Path) -> None:
    pulled = mvit(hub, "weights", "pull", REPO)
    assert pulled.returncode == 0, pulled.stderr
    index = Path(pulled.stdout.strip())
    assert (index.name, index.parent.name) == (INDEX, COMMIT)
    assert {path.name: path.read_bytes() for path in index.parent.iterdir() if path.name != "config.json"} == {
        path.name: path.read_bytes() for path in folder.iterdir()
    }
    assert (index.parent / "config.json").is_file()  # what it says of itself comes along
    assert "MB" in pulled.stderr
    before = len(hub.requests)
    described = mvit(hub, "summarize", "--weights", REPO, "--format", "json", MVIT_OFFLINE="1")
    assert described.returncode == 0, described.stderr
    assert json.loads(described.stdout)["weights"]["path"] == str(index)
    assert len(hub.requests) == before
    blob = (index.parent / LOST).resolve()
    blob.write_bytes(blob.read_bytes()[:-1] + b"?")
    damaged = mvit(hub, "weights", "verify", REPO, MVIT_OFFLINE="1")
    assert damaged.returncode == 1
    assert f"{LOST} is not the published file" in damaged.stderr
    assert not blob.exists()
    half = mvit(hub, "summarize", "--weights", REPO)
    assert half.returncode == 1
    assert f"{REPO} is not on this machine" in half.stderr


def test_a_shard_that_the_hub_has_not_or_has_wrong_is_told(hub: FileServer) -> None:
    gone = hub.files.pop(f"/{REPO}/resolve/{COMMIT}/{LOST}")
    missing = mvit(hub, "weights", "pull", f"hf://{REPO}/{INDEX}")
    assert missing.returncode == 1
    assert f"hf://{REPO}/{INDEX} is 3 files, and one is missing: hf://{REPO}@{COMMIT}/{LOST}" in missing.stderr
    hub.files[f"/{REPO}/resolve/{COMMIT}/{LOST}"] = gone
    hub.replaced = bytes(len(gone))
    wrong = mvit(hub, "weights", "pull", f"hf://{REPO}/{INDEX}")
    assert wrong.returncode == 1
    assert "is not the published one" in wrong.stderr
    hub.replaced = None
    hub.files[f"/{REPO}/resolve/{COMMIT}/config.json"] = b"<html>"
    good = mvit(hub, "weights", "pull", f"hf://{REPO}/{INDEX}", "--force")
    assert good.returncode == 0
    assert "config.json beside the weights is left out" in good.stderr
    assert not (Path(good.stdout.strip()).parent / "config.json").exists()
