"""A finished file of features as the rows of a run again, so that another run goes on with it."""

import json
import os
from pathlib import Path
from typing import Any

from mvit_cli.embedding.vectors import read_vectors


def taken_apart(output: Path, part: Path) -> None:
    """Makes of a finished file the rows of a run again, so that another run goes on with it."""
    vectors = read_vectors(output)
    facts: Any = vectors.facts
    more = _more_of(output)
    with part.open("wb") as stream:
        for number, path in enumerate(vectors.paths):
            row: dict[str, Any] = {"path": path, "status": "ok" if vectors.ok[number] else "error"}
            if any(0xD800 <= ord(char) <= 0xDFFF for char in path):
                import base64

                row["path_bytes"] = base64.b64encode(os.fsencode(path)).decode()
                row["path"] = path.encode("utf-8", "backslashreplace").decode()
            error, duration_s = more[number]
            if vectors.windows or facts["window_s"]:
                start_s, end_s = vectors.windows[number]
                row["window"] = None if start_s != start_s else {"start_s": start_s, "end_s": end_s}
            if duration_s == duration_s:
                row["duration_s"] = duration_s
            if row["status"] == "ok":
                row |= {key: facts[key] for key in ("preset", "weights", "views")}
                row |= {"embedder": facts, "features": vectors.features[number].tolist()}
            else:
                kind, _, message = error.partition(": ")
                row |= {"error": {"kind": kind, "message": message}, "features": None}
            stream.write(json.dumps(row, ensure_ascii=True).encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())


def _more_of(path: Path) -> list[tuple[str, float]]:
    """Error and duration of each row of a finished file."""
    if path.suffix.lower() == ".parquet":
        import pyarrow.parquet

        table = pyarrow.parquet.read_table(path, columns=["error", "duration_s"]).to_pydict()
        durations = [float("nan") if value is None else value for value in table["duration_s"]]
        return list(zip([text or "" for text in table["error"]], durations, strict=True))
    import numpy as np

    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        return list(zip(arrays["errors"].tolist(), arrays["durations"].tolist(), strict=True))
