"""Rows as JSON lines and as one JSON document."""

import base64
import io
import json
import os
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvit_cli.records import Row, Summary
from mvit_cli.report.predict.writers import JsonDocument, JsonLines, path_bytes, to_json

# File names as Python has them: any character but NUL, stray bytes as lone surrogates.
names = st.text(st.characters(exclude_characters="\0", exclude_categories=()), min_size=1).map(
    lambda text: text.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")
)


def ok(path: str = "a.mp4", scores: tuple[float, ...] = (0.75, 0.25)) -> dict[str, Any]:
    return {
        "path": path,
        "status": "ok",
        "preset": "mvit_b_16x4",
        "weights": "none",
        "views": "5x1",
        "predictions": [{"index": i, "label": f"class {i}", "score": score} for i, score in enumerate(scores)],
    }


def failed(path: str = "b.mp4") -> dict[str, Any]:
    return {"path": path, "status": "error", "error": {"kind": "decode", "message": 'no "video", no\nstream'}}


def written(kind: Any, rows: list[dict[str, Any]], *arguments: Any) -> bytes:
    stream = io.BytesIO()
    writer = kind(stream, *arguments)
    for row in rows:
        writer.take(row)
    writer.close()
    return stream.getvalue()


@given(names)
def test_any_path_comes_back_from_json_lines_that_are_unicode(path: str) -> None:
    line = written(JsonLines, [ok(path)])
    assert line.count(b"\n") == 1  # a row is a line, whatever the path
    row = json.loads(line.decode("utf-8", "strict"))
    row["path"].encode("utf-8", "strict")  # no escape of half a character either, which DuckDB and Polars refuse
    exact = row.get("path_bytes")
    assert (os.fsdecode(base64.b64decode(exact)) if exact else row["path"]) == path
    assert list(row)[:2] == (["path", "path_bytes"] if exact else ["path", "status"])


def test_a_stray_byte_is_shown_and_its_path_stands_beside_it_exactly() -> None:
    path = os.fsdecode(b"caf\xe9.mp4")
    assert json.loads(to_json({"message": path})) == {"message": r"caf\xe9.mp4"}
    for writer in (JsonLines, lambda stream: JsonDocument(stream, cast("Summary", {}))):
        text = written(writer, [failed(path)])
        (row,) = (json.loads(text),) if writer is JsonLines else json.loads(text)["results"]
        assert (row["path"], row["path_bytes"]) == (r"caf\xe9.mp4", base64.b64encode(b"caf\xe9.mp4").decode())
    assert path_bytes("café.mp4") is None


def test_letters_of_other_languages_stay_letters() -> None:
    assert to_json("Straße/影片.mp4") == '"Straße/影片.mp4"'.encode()


def test_json_has_no_nan() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json({"score": float("nan")})


class Unflushed(io.BytesIO):
    """Remembers what had been given on by the last flush."""

    given_on = b""

    def flush(self) -> None:
        self.given_on = self.getvalue()


def test_each_row_is_given_on_at_once() -> None:
    stream = Unflushed()
    JsonLines(stream).take(cast("Row", ok("first.mp4")))
    assert b"first.mp4" in stream.given_on
    assert stream.given_on.endswith(b"\n")


@pytest.mark.parametrize("rows", [[], [ok()], [ok(), failed(), ok("c.mp4")]])
def test_the_json_document_holds_model_rows_and_counts(rows: list[dict[str, Any]]) -> None:
    document = json.loads(written(JsonDocument, rows, {"preset": "mvit_b_16x4"}))
    assert list(document) == ["model", "results", "counts"]
    assert document["model"] == {"preset": "mvit_b_16x4"}
    assert document["results"] == rows
    good = sum(row["status"] == "ok" for row in rows)
    assert document["counts"] == {"ok": good, "error": len(rows) - good}
