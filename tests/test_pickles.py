"""Checkpoint files from anybody: nothing in them is run, little is believed, and all ends in one kind of error."""

import argparse
import collections
import io
import pickle
import random
import struct
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import golden
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import mvit_cli
from mvit_cli.checkpoints.formats.pickles import read_pickle
from mvit_cli.checkpoints.formats.reading import read_checkpoint, read_shapes
from mvit_cli.checkpoints.formats.settings import read_yaml
from mvit_cli.checkpoints.formats.stand_ins import Inert, PickleError
from mvit_cli.errors import CheckpointError

WATCHED = ("exec", "compile", "import", "open", "os.", "subprocess.", "socket.", "shutil.", "ctypes.", "pickle.")
SEEN: list[str] = []
WATCHING = [False]


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if WATCHING[0] and event.startswith(WATCHED):
        SEEN.append(f"{event} {arguments[0] if arguments else ''}")


sys.addaudithook(_hook)  # which cannot be taken away again: the flag says when it counts


@contextmanager
def watched() -> Iterator[list[str]]:
    """What the interpreter is asked to do inside: runs, imports, files, processes."""
    SEEN.clear()
    WATCHING[0] = True
    try:
        yield SEEN
    finally:
        WATCHING[0] = False


class Call:
    """Pickles to a call of any function."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


def tensors() -> dict[str, torch.Tensor]:
    return golden.state_dict("small_pysf_v2")


def zipped(content: bytes, storages: dict[str, bytes] | None = None) -> bytes:
    """A torch file around a pickle."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", content)
        for key, numbers in (storages or {}).items():
            archive.writestr(f"archive/data/{key}", numbers)
        archive.writestr("archive/version", "3\n")
    return held.getvalue()


def hand_made() -> Iterator[bytes]:
    """Pickles that mean harm, as none is written by accident."""
    yield from (
        b"cos\nsystem\n(S'touch ran'\ntR.",
        b"(S'touch ran'\nios\nsystem\n.",
        b"(cos\nsystem\nS'touch ran'\no.",
        b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x0bopen('ran',)\x85R.",
        b"\x80\x02cbuiltins\nexec\nX\x05\x00\x00\x00x = 1\x85\x81.",
        b"\x80\x02csubprocess\nPopen\n)}\x92.",
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nNNNN(tR.",
        b"\x80\x02ctorch._utils\n_rebuild_from_type_v2\ncos\nsystem\nctorch\nTensor\n)N\x86R.",
        b"\x80\x02r\xff\xff\xff\x7f.",
        b"\x80\x02Nr\xff\xff\xff\x7f.",
        b"\x80\x02\x8b\xff\xff\xff\x7f.",
        b"\x80\x02\x8e" + b"\xff" * 8 + b".",
        b"\x80\x02B\xff\xff\xff\xff.",
        b"]" * 200_000 + b"a" * 199_999 + b".",
        b"(" * 200_000 + b"t" * 200_000 + b".",
        b"I" + b"9" * 60_000 + b"\n.",
        b"]q\x00" + b"h\x00h\x00\x86q\x00" * 100_000 + b".",
        b"}(" + b"K\x01" * 3 + b"u.",
        b"Pos.system\n.",
        b"\x82\x01.",
        b"c\xff\n\xfe\n.",
        b"",
        b".",
    )


def mutated(seed: int) -> Iterator[bytes]:
    """Pickles of training files, with bytes changed, taken out, doubled and put together anew."""
    choose = random.Random(seed)
    contents: list[Any] = [
        {"args": argparse.Namespace(lr=1), "model": {"a": 1}},
        {"cfg": "A: 1", "model_state": collections.OrderedDict(a=[1.5, None]), "x": Call(print, "ran")},
        {"best": np.float64(0.9), "h": collections.defaultdict(list), "p": Path("x"), "e": Call(eval, "1")},
    ]
    pieces = [pickle.dumps(content, protocol) for content in contents for protocol in (0, 1, 2, 4, 5)]
    while True:
        data = bytearray(choose.choice(pieces))
        for _ in range(choose.randint(1, 8)):
            at = choose.randrange(len(data))
            match choose.randrange(4):
                case 0:
                    data[at] = choose.randrange(256)
                case 1:
                    del data[at : at + choose.randint(1, 5)]
                case 2:
                    data[at:at] = data[at : at + choose.randint(1, 9)]
                case _:
                    other = choose.choice(pieces)
                    data[at:at] = other[choose.randrange(len(other)) :][:20]
            data = data or bytearray(b".")
        yield bytes(data)


def test_a_thousand_hostile_pickles_run_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the checkpoint itself is opened; nothing is imported, called or started."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "hostile.pth"
    attacks = list(hand_made())
    mutations = mutated(20)
    attacks += [next(mutations) for _ in range(1000 - len(attacks))]
    path.write_bytes(zipped(b"}."))
    for _ in range(2):  # what is imported once is there by now
        with pytest.raises(CheckpointError):
            read_shapes(path)
    seen: set[str] = set()
    for number, attack in enumerate(attacks):
        path.write_bytes(zipped(attack) if number % 2 else attack)
        with watched() as events, pytest.raises(CheckpointError) as caught:  # there is no tensor in any of them
            read_shapes(path)
        assert str(path) in caught.value.message
        assert len(caught.value.message) < 600
        seen |= set(events)
    assert seen == {f"open {path}"}
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("zip_format", [True, False])
def test_training_files_are_read_with_what_stands_beside_the_tensors(zip_format: bool, tmp_path: Path) -> None:
    beside = {
        "args": argparse.Namespace(lr=1),
        "best": np.float64(0.9),
        "path": tmp_path,
        "history": collections.defaultdict(list, a=[1]),
        "array": np.zeros(3),
        "call": Call(print, "ran"),
        "cfg": golden.cfg_yaml("small_pysf_v2"),
    }
    path = tmp_path / "training.pth"
    torch.save({"state_dict": tensors(), **beside}, path, _use_new_zipfile_serialization=zip_format)
    found = read_checkpoint(path)
    assert found.tensors.keys() == tensors().keys()
    assert all(torch.equal(found.tensors[key], tensor) for key, tensor in tensors().items())
    assert mvit_cli.load_model(None, path).config.num_classes == 10


def test_numbers_of_every_kind_and_order_are_read_exactly(tmp_path: Path) -> None:
    """Parts of one storage, transposed ones and halves, as `torch.load` gives them."""
    base = torch.randn(6, 10)
    content = {
        "patch_embed.proj.weight": base,
        "a": base[2:4],
        "b": base.T,
        "c": base.half()[::2],
        "d": base.bfloat16(),
        "e": base.double(),
        "f": torch.nn.Parameter(base[:, 3]),
        "g": torch.empty(0, 5),
        "h": torch.tensor(3.5),
    }
    for zip_format in (True, False):
        path = tmp_path / "kinds.pth"
        torch.save(content, path, _use_new_zipfile_serialization=zip_format)
        found = read_checkpoint(path).tensors
        assert found.keys() == content.keys()
        for key, tensor in content.items():
            assert torch.equal(found[key], tensor)
            assert found[key].dtype == tensor.dtype


def test_a_whole_module_and_torchscript_are_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "module.pth"
    torch.save(torch.nn.Linear(2, 2), path)
    with pytest.raises(CheckpointError, match=r"the class torch\.nn\.modules\.linear\.Linear") as caught:
        read_shapes(path)
    assert "state dict" in caught.value.hint
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/constants.pkl", b".")
        archive.writestr("m/data.pkl", b"}.")
    with pytest.raises(CheckpointError, match="TorchScript") as caught:
        read_checkpoint(path)
    assert "state_dict()" in caught.value.hint


@pytest.mark.parametrize(
    ("kind", "tensor"),
    [
        ("complex64", lambda: torch.zeros(2, dtype=torch.complex64)),
        ("int64", lambda: torch.zeros(2, dtype=torch.int64)),
        ("sparse", lambda: torch.eye(3).to_sparse()),
        ("meta", lambda: torch.zeros(2, device="meta")),
        ("float8", lambda: torch.zeros(2).to(torch.float8_e4m3fn)),
    ],
)
def test_tensors_that_are_no_weights_are_refused_by_name(
    kind: str, tensor: Callable[[], torch.Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "odd.pth"
    torch.save({"state_dict": {**tensors(), "norm.weight": tensor()}}, path)
    for read in (read_shapes, read_checkpoint):
        with pytest.raises(CheckpointError, match=rf"norm\.weight .*{kind}"):
            read(path)


def test_a_tensor_that_repeats_or_leaves_its_numbers_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wide.pth"
    torch.save({**tensors(), "norm.weight": torch.zeros(1).expand(1 << 30)}, path)
    with pytest.raises(CheckpointError, match="repeats the 1 numbers"):
        read_checkpoint(path)
    key = b"X\x01\x00\x00\x000"
    head = b"\x80\x02}X\x17\x00\x00\x00patch_embed.proj.weightctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00"
    head += b"storage"
    head += b"ctorch\nFloatStorage\n" + key + b"X\x03\x00\x00\x00cpuK\x04tQ"
    for offset, entry in ((2, bytes(16)), (0, bytes(12))):
        path.write_bytes(zipped(head + b"K%cK\x03\x85K\x01\x85\x89NtRs." % offset, {"0": entry}))
        with pytest.raises(CheckpointError, match=r"reaches beyond|not as many"):
            read_checkpoint(path)
    path.write_bytes(zipped(head + b"K\x01K\x03\x85K\x01\x85\x89NtRs.", {"0": struct.pack("<4f", 0, 1, 2, 3)}))
    assert read_checkpoint(path).tensors["patch_embed.proj.weight"].tolist() == [1, 2, 3]


def test_what_unpacks_to_many_times_its_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"}." + bytes(200 << 20))
    with pytest.raises(CheckpointError, match="unpack"):
        read_shapes(path)


def test_work_is_bounded() -> None:
    with pytest.raises(PickleError, match="steps"):
        read_pickle(io.BytesIO(b"N0" * 800_000 + b"."))
    pairs = b"]q\x00(" + b"K\x01" * 100_000 + b"e0ccollections\nOrderedDict\nq\x010"
    with pytest.raises(PickleError, match="steps"):
        read_pickle(io.BytesIO(pairs + b"h\x01h\x00\x85R0" * 100 + b"."))
    assert read_pickle(io.BytesIO(b"cos\nsystem\n(S'x'\ntR.")) == Inert("os.system")


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (b'{"a":' * 50_000, "nested|RecursionError"),
        (b'{"a":{"dtype":"F32","shape":[4611686018427387903,9],"data_offsets":[0,4]}}', "not as many numbers"),
        (b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,400]}}', "missing"),
        (b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', "no tensor"),
        (b'{"a":[1]}', "TypeError"),
        (b'{"__metadata__":{"a":1}}', "not text"),
        (b'{"a":null}', "TypeError"),
    ],
)
def test_a_header_of_safetensors_is_not_believed(header: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(CheckpointError, match=rf"damaged safetensors file \(.*({told})"):
        read_shapes(path)
    path.write_bytes((9 << 20).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(CheckpointError, match="header of 9437184 bytes"):
        read_shapes(path)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x,x]\n" + "".join(f"b{i}: &b{i} [{', '.join(['*a'] * 9)}]\n" for i in range(20)),
        "[" * 100,
        "{a: &a {b: 1}, c: {<<: *a}}",
        "- 1\n" * 30_000,
        "a: " + "9" * 10_000,
        "a: !!python/object/apply:os.system ['touch ran']",
        "x" * 200_000,
    ],
)
def test_yaml_is_read_within_bounds(text: str) -> None:
    with pytest.raises(CheckpointError, match="the cfg"):
        read_yaml(text, "the cfg")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n", "Git LFS pointer"),
        (b"\n<!DOCTYPE html><html></html>", "HTML page"),
        (b'{"message": "Not Found"}', "JSON file that says 'Not Found'"),
        (b'{"weight_map": {}}', "index"),
        (b"", "empty"),
        (b"Not found\nat all\n", "plain text"),
    ],
)
def test_files_that_are_something_else_are_named(content: bytes, told: str, tmp_path: Path) -> None:
    for name in ("w.pth", "w.safetensors"):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=told):
            read_checkpoint(path)


@pytest.mark.parametrize("prefix", ["module.", "model.", "net.", "encoder.", "model._orig_mod.", "a.module.b.", ""])
def test_the_prefix_is_found_by_the_structure_of_the_keys(prefix: str, tmp_path: Path) -> None:
    path = tmp_path / "prefixed.ckpt"
    state = {prefix + key: tensor for key, tensor in tensors().items()}
    state |= {"criterion.weight": torch.ones(10), "n_averaged": torch.tensor(3), f"{prefix}total_ops": torch.zeros(1)}
    torch.save({"anything": {"below": state}, "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}}}, path)
    found = read_shapes(path)
    assert found.tensors.keys() == tensors().keys()
    assert "criterion.weight" in found.notes[0]


def test_averaged_weights_are_preferred_and_a_key_chooses(tmp_path: Path) -> None:
    path = tmp_path / "ema.pth"
    raw = {key: tensor + 1 for key, tensor in tensors().items()}
    torch.save({"state_dict": raw, "state_dict_ema": tensors()}, path)
    found = read_checkpoint(path)
    assert torch.equal(found.tensors["norm.weight"], tensors()["norm.weight"])
    assert "the averaged weights state_dict_ema were taken" in found.notes[0]
    chosen = read_checkpoint(path, "state_dict")
    assert torch.equal(chosen.tensors["norm.weight"], raw["norm.weight"])
    with pytest.raises(CheckpointError, match="no network") as caught:
        read_checkpoint(path, "teacher")
    assert "state_dict, state_dict_ema" in caught.value.hint
    torch.save({"student": raw, "teacher": tensors()}, path)
    with pytest.raises(CheckpointError, match="2 networks: student, teacher"):
        read_checkpoint(path)


def test_mmengine_keeps_the_averaged_weights_under_state_dict(tmp_path: Path) -> None:
    """Source: mmengine, `EMAHook._swap_ema_state_dict`, which saves the raw ones as `ema_state_dict`."""
    path = tmp_path / "mmengine.pth"
    raw = {f"module.{key}": tensor + 1 for key, tensor in tensors().items()} | {"steps": torch.tensor(4)}
    torch.save({"meta": {"mmengine_version": "0.10"}, "state_dict": tensors(), "ema_state_dict": raw}, path)
    assert torch.equal(read_checkpoint(path).tensors["norm.weight"], tensors()["norm.weight"])


def test_anything_unknown_beside_the_network_is_still_an_error(tmp_path: Path) -> None:
    path = tmp_path / "more.pth"
    content = {"model_state": {**tensors(), "decoder.weight": torch.ones(2)}, "cfg": golden.cfg_yaml("small_pysf_v2")}
    torch.save(content, path)
    with pytest.raises(CheckpointError, match=r"unexpected \(decoder\.weight\)"):
        mvit_cli.load_model(None, path)


def test_a_linear_layer_in_the_place_of_the_head_is_the_classifier(tmp_path: Path) -> None:
    path = tmp_path / "replaced.pth"
    state = {key.replace("head.projection.", "head."): tensor for key, tensor in tensors().items()}
    torch.save({"model_state": state, "cfg": golden.cfg_yaml("small_pysf_v2")}, path)
    expected = dict(mvit_cli.load_model(None, golden.write_checkpoint("small_pysf_v2", tmp_path)).state_dict())
    assert all(
        torch.equal(tensor, expected[key]) for key, tensor in mvit_cli.load_model(None, path).state_dict().items()
    )


def test_metadata_that_claims_another_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "claims.safetensors"
    wrong = ('{"stage_depths": [1000000000]}', '{"num_classes": 999999999}', '{"odd": 1}', '{"frames": "x"}', "[1]")
    for claim in (*wrong, "[" * 3000):
        save_file(tensors(), path, {"mvit_config": claim})
        with pytest.raises(CheckpointError, match=r"claims\.safetensors"):
            mvit_cli.load_model(None, path)
