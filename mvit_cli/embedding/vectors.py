"""Files of features: npz and Parquet, made of the JSON lines of a run and read again; memory stays flat.

While a run goes on its rows are JSON lines, in `FILE.part` where the file itself is none: a torn last line is cut off
by the next run. At the end the file is made of them beside its place and put there all at once.
"""

import json
import math
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from mvit_cli.embedding.checked import array_header, facts_of, numbers_of, read_array
from mvit_cli.errors import MViTError, UsageError, at_most, how_to_install
from mvit_cli.findings import EmbedderFacts, VectorRow
from mvit_cli.recognition.kept_rows import json_lines

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SUFFIXES = (".npz", ".parquet", ".jsonl", ".ndjson")
GROUP = 1024
"""Rows that are in memory at a time."""
KEY = "mvit"
"""Of the metadata of Parquet."""
# NotImplementedError, RuntimeError: of zipfile, for other ways of compression and for passwords.
UNREADABLE: tuple[type[Exception], ...] = (OSError, ValueError, KeyError, EOFError, RecursionError, MemoryError)
UNREADABLE += (NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error)


@dataclass
class Vectors:
    """Features with what they are of.

    Attributes:
        features: `(rows, dims)`, on disk; not a number where a row is an error.
        windows: seconds of each row; empty where videos were taken whole.
        ok: whether a row has features.
    """

    facts: EmbedderFacts
    features: "NDArray[Any]"
    paths: list[str]
    ok: "NDArray[np.bool_]"
    windows: list[tuple[float, float]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.paths)


def part_of(output: Path) -> Path:
    """Where the rows of a run stand until its file is made."""
    return output if output.suffix.lower() in (".jsonl", ".ndjson") else output.with_name(output.name + ".part")


def rows_of(path: Path) -> Iterator[VectorRow]:
    """Yields the rows of JSON lines; a torn last line is left out.

    Raises:
        UsageError: no such file.
    """
    try:
        for number, _, row, _ in json_lines(path):
            if row is not None:
                if "features" not in row:
                    raise UsageError(f"line {number} of {path} has no features", "")
                yield cast("VectorRow", row)
    except UsageError as error:
        raise UsageError(error.message.removeprefix("--resume: "), "give a file that `mvit embed` wrote") from error


def made_of(part: Path, output: Path, facts: EmbedderFacts) -> None:
    """Makes the file of the rows of a run, all at once, and removes these.

    Raises:
        MViTError: it cannot be written.
    """
    if part == output:
        return
    descriptor, name = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}.")
    try:
        with os.fdopen(descriptor, "w+b") as stream:
            (_write_parquet if output.suffix.lower() == ".parquet" else _write_npz)(part, stream, facts)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, output)
    except OSError as error:
        raise MViTError(f"--output {output}: {error.strerror}", "make room; --resume makes it of its .part") from error
    finally:
        if os.path.exists(name):
            os.unlink(name)
    part.unlink()


def read_vectors(path: Path) -> Vectors:
    """Opens a file of features; these stay on disk, names and windows are read.

    Raises:
        UsageError: no such file.
        MViTError: it cannot be read, or pyarrow is not installed.
    """
    if not path.is_file():
        raise UsageError(f"{path} is not there", "name a file that `mvit embed` wrote")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"{path} is no file of features", f"those end in {', '.join(SUFFIXES[:3])}")
    try:
        return (_read_npz if suffix == ".npz" else _read_parquet if suffix == ".parquet" else _read_lines)(path)
    except UNREADABLE as error:
        hint = "run `mvit embed` again" + (" with --resume" if part_of(path).exists() else "")
        raise MViTError(f"{path} cannot be read as features ({at_most(str(error))})", hint) from error


def need_pyarrow() -> None:
    """Refuses Parquet where it cannot be read or written.

    Raises:
        MViTError: pyarrow is not installed.
    """
    from importlib.util import find_spec

    if not find_spec("pyarrow"):
        raise MViTError("Parquet needs pyarrow, which is not installed", f"{how_to_install('pyarrow')} brings it")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _groups(rows: Iterator[VectorRow]) -> Iterator[list[Any]]:
    group: list[Any] = []
    for row in rows:
        group.append(row)
        if len(group) == GROUP:
            yield group
            group = []
    if group:
        yield group


def _error_of(row: Any) -> str:
    return f"{row['error']['kind']}: {row['error']['message']}" if row["status"] == "error" else ""


def _window_of(row: Any) -> tuple[float, float]:
    window = row.get("window")
    return (window["start_s"], window["end_s"]) if window else (float("nan"), float("nan"))


# --- npz


NpzColumn = tuple[str, str, tuple[int, ...], Callable[[Any], Any]]
"""Name, format of the numbers, shape of one row's, and how they are taken of a row."""


def _write_npz(part: Path, stream: IO[bytes], facts: EmbedderFacts) -> None:
    """Array after array, each in groups of rows: features, paths, status, errors, durations, windows, metadata."""
    import numpy as np

    count = dims = longest = longest_error = 1
    count = 0
    for row in rows_of(part):
        count += 1
        dims = max(dims, len(row["features"] or ()))
        longest, longest_error = max(longest, len(row["path"])), max(longest_error, len(_error_of(row)))
    nothing = [float("nan")] * dims
    columns: list[NpzColumn] = [
        ("features", f"<f{4 if facts['format'] == 'float32' else 2}", (dims,), lambda row: row["features"] or nothing),
        ("paths", f"<U{longest}", (), lambda row: row["path"]),
        ("status", "<U5", (), lambda row: row["status"]),
        ("errors", f"<U{longest_error}", (), _error_of),
        ("durations", "<f8", (), lambda row: row.get("duration_s", float("nan"))),
    ]
    if facts["window_s"]:
        columns.append(("windows", "<f8", (2,), _window_of))
    first, *others = columns
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, allowZip64=True) as archive, ExitStack() as held:
        kept = [held.enter_context(tempfile.TemporaryFile(dir=part.parent)) for _ in others]
        with _member(archive, first, count) as member:
            for group in _groups(rows_of(part)):
                for (_, kind, _, value), place in zip(columns, (member, *kept), strict=True):
                    place.write(np.array([value(row) for row in group], kind).tobytes())
        for column, place in zip(others, kept, strict=True):
            place.seek(0)
            with _member(archive, column, count) as member:
                shutil.copyfileobj(place, member)
        with archive.open("metadata.npy", "w") as member:
            np.lib.format.write_array(cast("Any", member), np.array(json.dumps(facts)), allow_pickle=False)


def _member(archive: zipfile.ZipFile, column: NpzColumn, count: int) -> IO[bytes]:
    """A new array of an archive, its header written."""
    import numpy as np

    name, kind, shape, _ = column
    member = archive.open(f"{name}.npy", "w", force_zip64=True)
    header = {"descr": kind, "fortran_order": False, "shape": (count, *shape)}
    np.lib.format.write_array_header_1_0(cast("Any", member), header)
    return member


def _read_npz(path: Path) -> Vectors:
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        facts = facts_of(json.loads(str(read_array(archive, "metadata", "U", 0))))
        paths, ok = read_array(archive, "paths", "U", 1).tolist(), read_array(archive, "status", "U", 1) == "ok"
        windows: list[tuple[float, float]] = []
        if "windows.npy" in names:
            windows = [(start, end) for start, end in read_array(archive, "windows", "f", 2).tolist()]
        features = _mapped(path, archive.getinfo("features.npy"))
        if features is None:
            features = read_array(archive, "features", "f", 2)
    if not len(paths) == len(ok) == len(features) or len(windows) != len(paths) * bool(facts["window_s"]):
        raise ValueError("its arrays are of different lengths")
    return Vectors(facts, features, paths, ok, windows)


def _mapped(path: Path, info: zipfile.ZipInfo) -> "NDArray[Any] | None":
    """An array of an npz as it lies on the disk; None where it is compressed."""
    import numpy as np

    if info.compress_type != zipfile.ZIP_STORED:
        return None
    with path.open("rb") as stream:
        stream.seek(info.header_offset)
        header = stream.read(30)
        stream.seek(info.header_offset + 30 + _u16(header[26:28]) + _u16(header[28:30]))
        shape, fortran, kind, _ = array_header(stream, "features", "f", 2, info.file_size)
        if fortran:
            return None
        if not math.prod(shape):
            return np.zeros(shape, kind)
        return np.memmap(path, kind, "r", stream.tell(), shape)


def _u16(data: bytes) -> int:
    return int.from_bytes(data, "little")


# --- JSON lines


def _read_lines(path: Path) -> Vectors:
    facts: EmbedderFacts | None = None

    def entries() -> Iterator[tuple[str, Any, tuple[float, float]]]:
        nonlocal facts
        for row in rows_of(path):
            if row["status"] == "ok":
                facts = facts or facts_of(row["embedder"])
            yield row["path"], row["features"], _window_of(row)

    vectors = _stored(entries())
    if facts is None:
        raise ValueError("no row of it has features")
    vectors.facts = facts
    if not facts["window_s"]:
        vectors.windows = []
    return vectors


def _stored(entries: Iterator[tuple[str, Any, tuple[float, float]]]) -> Vectors:
    """Features laid down in a file that is gone with the program, and read from there."""
    import numpy as np

    paths: list[str] = []
    ok: list[bool] = []
    windows: list[tuple[float, float]] = []
    dims = 0
    waiting = 0  # bad rows before the first good one
    with tempfile.TemporaryFile(prefix="mvit-") as stream:
        for path, told, window in entries:
            features = numbers_of(told)
            paths.append(path)
            ok.append(features is not None)
            windows.append(window)
            if not dims and features is None:
                waiting += 1
                continue
            if not dims and features is not None:
                dims = len(features)
                stream.write(np.full((waiting, dims), np.nan, np.float32).tobytes())
            values = np.full(dims, np.nan, np.float32) if features is None else features
            if len(values) != dims:
                raise ValueError(f"row {len(paths)} has {len(values)} numbers, those before it {dims}")
            stream.write(values.tobytes())
        stream.flush()
        mapped = np.memmap(stream, np.float32, "r", 0, (len(paths), dims)) if dims else np.zeros((len(paths), 0))
    return Vectors(cast("EmbedderFacts", {}), mapped, paths, np.array(ok, bool), windows)


# --- Parquet


def _write_parquet(part: Path, stream: IO[bytes], facts: EmbedderFacts) -> None:
    """A row group for each group of rows."""
    import pyarrow
    import pyarrow.parquet

    dims = next((len(row["features"]) for row in rows_of(part) if row["features"]), 1)
    number = pyarrow.float32() if facts["format"] == "float32" else pyarrow.float16()
    schema = pyarrow.schema(
        [
            ("path", pyarrow.string()),
            ("path_bytes", pyarrow.binary()),
            ("status", pyarrow.string()),
            ("error", pyarrow.string()),
            ("start_s", pyarrow.float64()),
            ("end_s", pyarrow.float64()),
            ("duration_s", pyarrow.float64()),
            ("features", pyarrow.list_(number, dims)),
        ],
        metadata={KEY: json.dumps(facts)},
    )
    with pyarrow.parquet.ParquetWriter(stream, schema) as writer:
        for group in _groups(rows_of(part)):
            writer.write_table(pyarrow.Table.from_pylist([_parquet_row(row, facts) for row in group], schema=schema))


def _parquet_row(row: Any, facts: EmbedderFacts) -> dict[str, Any]:
    shown = row["path"].encode("utf-8", "backslashreplace").decode()
    window = row.get("window") or {}
    features = row["features"]
    if features is not None and facts["format"] == "float16":
        import numpy as np

        features = list(np.array(features, np.float16))
    return {
        "path": shown,
        "path_bytes": os.fsencode(row["path"]) if shown != row["path"] else None,
        "status": row["status"],
        "error": _error_of(row) or None,
        "start_s": window.get("start_s"),
        "end_s": window.get("end_s"),
        "duration_s": row.get("duration_s"),
        "features": features,
    }


def _read_parquet(path: Path) -> Vectors:
    need_pyarrow()
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
        facts = facts_of(json.loads((file.schema_arrow.metadata or {})[KEY.encode()]))
        columns = ["path", "path_bytes", "start_s", "end_s", "features"]

        def entries() -> Iterator[tuple[str, Any, tuple[float, float]]]:
            for batch in file.iter_batches(GROUP, columns=columns):
                for row in batch.to_pylist():
                    name = os.fsdecode(row["path_bytes"]) if row["path_bytes"] else row["path"]
                    start_s = float("nan") if row["start_s"] is None else row["start_s"]
                    yield name, row["features"], (start_s, row["end_s"] if row["end_s"] is not None else start_s)

        vectors = _stored(entries())
    except pyarrow.ArrowException as error:
        raise ValueError(str(error).splitlines()[0]) from error
    vectors.facts = facts
    if not facts["window_s"]:
        vectors.windows = []
    return vectors
