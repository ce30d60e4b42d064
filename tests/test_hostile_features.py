"""Files of features from hostile hands: nothing in them runs, takes memory or reaches out; what is wrong is said."""

import io
import json
import pickle
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mvit_cli.cli.main import run
from mvit_cli.embedding.vectors import read_vectors
from mvit_cli.errors import MViTError

FACTS: dict[str, Any] = {
    "preset": "camera_motion",
    "weights": "camera_motion.embedded",
    "weights_sha256": "0" * 64,
    "views": "1x1",
    "stage": None,
    "format": "float32",
    "window_s": None,
    "hop_s": None,
    "sampling": {},
    "transform": {},
}
ROW: dict[str, Any] = {
    "path": "a.mp4",
    "status": "ok",
    "preset": "camera_motion",
    "weights": "camera_motion.embedded",
    "views": "1x1",
    "embedder": FACTS,
    "features": [1.0, 2.0],
}


def npy(descr: str, shape: str, data: bytes = b"") -> bytes:
    """An array file with any header."""
    head = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    head += b" " * (-(len(head) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + data


def of_array(array: Any) -> bytes:
    held = io.BytesIO()
    np.save(held, array, allow_pickle=True)
    return held.getvalue()


def index(path: Path, facts: Any = FACTS, packing: int = zipfile.ZIP_STORED, changed: Any = None) -> Path:
    """An index of two rows, with other members."""
    arrays: dict[str, bytes | None] = {
        "features": of_array(np.eye(2, dtype=np.float32)),
        "paths": of_array(np.array(["a.mp4", "b.mp4"])),
        "status": of_array(np.array(["ok", "ok"])),
        "metadata": of_array(np.array(json.dumps(facts))),
    }
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, data in (arrays | (changed or {})).items():
            if data is not None:
                archive.writestr(f"{name}.npy", data)
    return path


class Called:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def refused(path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What is said of it; one error and a hint."""
    assert run(["similar", str(path), "--duplicates"]) == 1
    said = capsys.readouterr().err
    assert "cannot be read as features" in said
    assert "unexpected" not in said
    return said


def test_the_whole_index_is_read(tmp_path: Path) -> None:
    for packing in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        assert read_vectors(index(tmp_path / "x.npz", packing=packing)).features.tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("features", npy("'<f4'", "(100000000, 100000)")),
        ("features", npy("'<f4'", "(-2, -4)", bytes(32))),
        ("features", npy("'<f4'", "(2,)", bytes(8))),
        ("features", npy("'<c8'", "(2, 2)", bytes(32))),
        ("features", npy("[" * 3000 + "]" * 3000, "(2, 2)")),
        ("features", npy("[('a', '<f4')]", "(2, 2)", bytes(16))),
        ("features", b"\x93NUMPY\x07\x00"),
        ("features", b""),
        ("features", None),
        ("paths", of_array(np.array(["a.mp4"]))),
        ("paths", of_array(np.array(3))),
        ("status", of_array(np.zeros(2))),
        ("status", of_array(np.array("ok"))),
        ("metadata", of_array(np.array("[" * 100_000))),
        ("metadata", of_array(np.array("{}"))),
        ("metadata", of_array(np.array("5"))),
        ("windows", of_array(np.zeros((7, 2)))),
        ("windows", of_array(np.zeros(2))),
    ],
)
@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_array_that_is_none_of_ours_is_refused(
    name: str, data: bytes | None, packing: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused(index(tmp_path / "x.npz", packing=packing, changed={name: data}), capsys)


@pytest.mark.parametrize("name", ["features", "paths", "status", "metadata"])
def test_a_pickle_in_an_index_does_not_run(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    held = np.array([Called(tmp_path / "ran")] * 2, dtype=object)
    refused(index(tmp_path / "x.npz", changed={name: of_array(held)}), capsys)
    (tmp_path / "y.npz").write_bytes(pickle.dumps(Called(tmp_path / "ran")))
    refused(tmp_path / "y.npz", capsys)
    assert not (tmp_path / "ran").exists()


def test_a_small_file_that_becomes_a_large_array_is_refused_before(tmp_path: Path) -> None:
    path = index(tmp_path / "x.npz", changed={"features": None})
    rows = 80_000_000  # of one number each: 320 MB
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("features.npy", "w") as member,
    ):
        member.write(npy("'<f4'", f"({rows}, 1)"))
        for _ in range(rows // 1_000_000):
            member.write(bytes(4_000_000))
    assert path.stat().st_size < 4_000_000
    tracemalloc.start()
    try:
        with pytest.raises(MViTError, match="bytes that become 320,000,"):
            read_vectors(path)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "change",
    [
        {"features": 5},
        {"features": ["1"]},
        {"features": [[1.0], [2.0]]},
        {"features": []},
        {"features": [True, False]},
        {"features": [10**400, 1]},
        {"embedder": 5},
        {"embedder": {}},
        {"embedder": FACTS | {"window_s": "long"}},
        {"embedder": FACTS | {"transform": None}},
    ],
)
def test_a_row_that_is_none_of_ours_is_refused(
    change: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.jsonl").write_text(json.dumps(ROW | change) + "\n")
    refused(tmp_path / "x.jsonl", capsys)


def test_an_index_does_not_say_which_addresses_are_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for weights in ("https://example.org/w.pth", "hf://org/repo/w.pth", "org/repo"):
        path = index(tmp_path / "x.npz", FACTS | {"weights": weights})
        assert run(["similar", str(path), "clip.mp4"]) == 2
        assert "name them with --weights" in capsys.readouterr().err
