"""Rows of a run with `--output`, as the tests of its journal write and read them."""

import json
from pathlib import Path

RUN = {"preset": "mvit_b_16x4", "weights": "mvit_b_16x4.tv_k400", "views": "5x1"}


def ok(path: str, **changes: str) -> dict:
    return {"path": path, "status": "ok", **RUN, **changes, "predictions": []}


def error(path: str) -> dict:
    return {"path": path, "status": "error", "error": {"kind": "decode", "message": "broken"}}


def write_rows(path: Path, *rows: dict, torn: bytes = b"") -> Path:
    path.write_bytes(b"".join(json.dumps(row).encode() + b"\n" for row in rows) + torn)
    return path


def read_rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]
