"""Rows as JSON lines, one JSON document, CSV and TSV."""

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvit_cli.report.predict.writers import JsonDocument, JsonLines, SeparatedValues, to_json

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
def test_any_path_comes_back_from_json_lines(path: str) -> None:
    line = written(JsonLines, [ok(path)])
    assert line.count(b"\n") == 1  # a row is a line, whatever the path
    assert json.loads(line.decode("utf-8", "strict"))["path"] == path


def test_a_stray_byte_is_an_escape_that_python_reads_back() -> None:
    path = b"caf\xe9.mp4".decode("utf-8", "surrogateescape")
    assert to_json(path) == b'"caf\\udce9.mp4"'
    assert json.loads(to_json(path)).encode("utf-8", "surrogateescape") == b"caf\xe9.mp4"


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


@pytest.mark.parametrize("kind", [JsonLines, lambda stream: SeparatedValues(stream, ",", 1)])
def test_each_row_is_given_on_at_once(kind: Any) -> None:
    stream = Unflushed()
    kind(stream).take(ok("first.mp4"))
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


def test_csv_has_a_header_and_one_line_an_input() -> None:
    table = list(csv.reader(io.StringIO(written(SeparatedValues, [ok(), failed()], ",", 2).decode(), newline="")))
    assert table[0] == [
        *("path", "status", "preset", "weights", "views", "label_1", "score_1", "label_2", "score_2"),
        *("error_kind", "error_message"),
    ]
    assert table[1] == ["a.mp4", "ok", "mvit_b_16x4", "none", "5x1", "class 0", "0.75", "class 1", "0.25", "", ""]
    assert table[2] == ["b.mp4", "error", *[""] * 7, "decode", 'no "video", no\nstream']
    assert {len(line) for line in table} == {11}


def test_csv_of_windows_says_which_seconds() -> None:
    piece = ok(scores=(0.75,)) | {"window": {"start_s": 2.0, "end_s": 4.5}}
    text = written(
        lambda stream: SeparatedValues(stream, ",", 1, in_windows=True), [piece, failed() | {"window": None}]
    )
    table = list(csv.reader(io.StringIO(text.decode(), newline="")))
    assert [line[:5] for line in table] == [
        ["path", "status", "start_s", "end_s", "preset"],
        ["a.mp4", "ok", "2.0", "4.5", "mvit_b_16x4"],
        ["b.mp4", "error", "", "", ""],
    ]
    assert {len(line) for line in table} == {11}


def test_csv_ends_lines_with_a_line_feed_only() -> None:
    assert b"\r" not in written(SeparatedValues, [ok()], ",", 2)


@pytest.mark.parametrize("separator", [",", "\t"])
@given(path=names.filter(lambda name: not any(0xD800 <= ord(char) < 0xE000 for char in name)))
def test_csv_gives_any_utf8_path_back(separator: str, path: str) -> None:
    text = written(SeparatedValues, [ok(path)], separator, 2).decode("utf-8", "strict")
    table = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    assert len(table) == 2
    assert table[1][0] == path


def test_csv_is_utf8_even_where_a_path_is_not() -> None:
    path = b"caf\xe9.mp4".decode("utf-8", "surrogateescape")
    assert rb"caf\udce9.mp4" in written(SeparatedValues, [ok(path)], ",", 2)
