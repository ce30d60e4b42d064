"""Rows as Parquet and back, without loss: a column for each key of a row, lists and structures as such.

A key that a row has not is null. Row groups of 10,000 rows, compressed with zstd; made of JSON lines, beside the place
of the file and put there all at once, so that it is whole or is not there.
"""

import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, cast

from mvit_cli.errors import MViTError, UsageError
from mvit_cli.recognition.kept_rows import OTHER_FILE, Line, json_lines
from mvit_cli.records import Row

GROUP = 10_000
IN_WINDOWS, MADE_OF = b"mvit.in_windows", b"mvit.made_of"
NULL_IN_ROWS = ("preset",)
"""Keys whose null stands in a row that was recognised."""


def need_pyarrow() -> None:
    """Refuses Parquet where it cannot be read or written.

    Raises:
        MViTError: pyarrow is not installed.
    """
    from importlib.util import find_spec

    if not find_spec("pyarrow"):
        raise MViTError("Parquet needs pyarrow, which is not installed", "pip install 'mvit[parquet]' brings it")


def schema_of_rows() -> Any:
    """The columns, as pyarrow's schema."""
    import pyarrow as pa

    text, number = pa.string(), pa.float64()
    return pa.schema(
        {
            "path": text,
            "path_bytes": text,
            "track": text,
            "boxes_digest": text,
            "status": text,
            "window": pa.struct({"start_s": number, "end_s": number, "last": pa.bool_()}),
            "preset": text,
            "weights": text,
            "views": text,
            "activation": text,
            "predictions": pa.list_(pa.struct({"index": pa.int32(), "label": text, "score": number})),
            "clips": pa.list_(pa.struct({"start_s": number, "end_s": number})),
            "duration_s": number,
            "reader": text,
            "warnings": pa.list_(text),
            "device": text,
            "dtype": text,
            "timing_ms": pa.struct({"decode": number, "model": number}),
            "error": pa.struct({"kind": text, "message": text, "hint": text}),
        }
    )


def packed(begun: Path, full: Path, *, anew: bool = False) -> None:
    """Makes the file of what it has already and of JSON lines, which are removed when it is there.

    Args:
        anew: of the lines only.

    Raises:
        MViTError: it cannot be written; the lines stay.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if full.exists() and not begun.exists():
        return
    lines = (json.loads(text) for _, text, _, is_whole in json_lines(begun) if is_whole)
    rows = lines if anew else _chained(full, lines)
    first = next(rows, None)
    told = {IN_WINDOWS: b"1" if first and "window" in first else b"0", MADE_OF: _digest(begun)}
    schema = schema_of_rows().with_metadata(told)
    descriptor, name = tempfile.mkstemp(dir=full.parent, prefix=f".{full.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            with pq.ParquetWriter(stream, schema, compression="zstd") as writer:
                rows = iter([] if first is None else _with(first, rows))
                while group := list(islice(rows, GROUP)):
                    writer.write_table(pa.Table.from_pylist(group, schema=schema))
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, begun.stat().st_mode & 0o777)
        os.replace(name, full)
    except OSError as error:
        raise MViTError(
            f"--output {full}: {error.strerror or error}", f"make room; its rows are in {begun}, --resume packs them"
        ) from error
    finally:
        with suppress(FileNotFoundError):
            os.unlink(name)
    begun.unlink()


def _with(first: Any, others: Iterable[Any]) -> Iterator[Any]:
    yield first
    yield from others


def _chained(full: Path, lines: Iterable[Any]) -> Iterator[Any]:
    if full.exists():
        yield from rows_in(full)
    yield from lines


def finish(begun: Path, full: Path) -> None:
    """Removes lines that the file was made of already: the run ended before it could."""
    import pyarrow.parquet as pq

    if full.exists() and begun.exists() and begun.stat().st_size:
        with suppress(OSError, ValueError):
            if (pq.read_schema(full).metadata or {}).get(MADE_OF) == _digest(begun):
                begun.unlink()


def _digest(path: Path) -> bytes:
    digest = blake2b(digest_size=16)
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest().encode()


def rows_in(path: Path) -> Iterator[Row]:
    """Yields the rows of a file, as they were.

    Raises:
        UsageError: it is no such file.
    """
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            metadata = file.schema_arrow.metadata or {}
            if IN_WINDOWS not in metadata:
                raise ValueError("mvit predict did not write it")
            in_windows = metadata[IN_WINDOWS] == b"1"
            for batch in file.iter_batches(GROUP):
                for values in batch.to_pylist():
                    yield _row(values, in_windows)
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"--resume: {path} is no Parquet of rows ({error})", OTHER_FILE) from error


def _row(values: dict[str, Any], in_windows: bool) -> Row:
    is_ok = values["status"] == "ok"
    row = {
        key: value
        for key, value in values.items()
        if value is not None or (is_ok and key in NULL_IN_ROWS) or (key == "window" and in_windows)
    }
    for key in ("window", "error"):
        if row.get(key):
            row[key] = {name: value for name, value in row[key].items() if value is not None}
    return cast("Row", row)


def parquet_lines(path: Path) -> Iterator[Line]:
    """Yields the rows of a file as a reader of a journal does; they have no text."""
    import base64

    for number, row in enumerate(rows_in(path), 1):
        if exact := row.get("path_bytes"):
            row["path"] = os.fsdecode(base64.b64decode(exact))
        yield number, b"", row, True
