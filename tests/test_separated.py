"""Rows as CSV and TSV: columns, cells that a spreadsheet may have, and the way back for `--resume`."""

import csv
import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_rows import RUN
from media_clips import clip
from test_rows import Unflushed, failed, names, ok, written

from mvit_cli.cli.main import run
from mvit_cli.errors import UsageError
from mvit_cli.media.request import Windows
from mvit_cli.recognition.journal import read_journal
from mvit_cli.recognition.listing import Listing
from mvit_cli.report.predict.separated import (
    ALL_COLUMNS,
    BEGINS_FORMULA,
    SeparatedFile,
    SeparatedValues,
    line_of,
    named_columns,
    usual_columns,
)

Captured = pytest.CaptureFixture[str]


def whole(path: str = "a.mp4", **changes: Any) -> dict[str, Any]:
    """A row with all that an ok row has."""
    return ok(path) | {
        "activation": "softmax",
        "clips": [{"start_s": 0.0, "end_s": 2.13}, {"start_s": 3.5, "end_s": 5.63}],
        "duration_s": 10.0,
        "reader": "av",
        "warnings": ["frames are held", "the video is short"],
        "device": "cpu",
        "dtype": "float32",
        "timing_ms": {"decode": 41.2, "model": 812.0},
        **changes,
    }


def table(text: bytes, separator: str = ",") -> list[list[str]]:
    return list(csv.reader(io.StringIO(text.decode("utf-8", "strict"), newline=""), delimiter=separator))


class TestColumns:
    def test_the_usual_ones_begin_as_they_always_did(self) -> None:
        lines = table(written(SeparatedValues, [whole(), failed()], ",", usual_columns(2, in_windows=False)))
        assert lines[0] == [
            *("path", "status", "preset", "weights", "views", "label_1", "score_1", "label_2", "score_2"),
            *("error_kind", "error_message", "duration_s", "clips", "warnings", "path_bytes"),
        ]
        first = ["a.mp4", "ok", "mvit_b_16x4", "none", "5x1", "class 0", "0.75", "class 1", "0.25", "", ""]
        assert lines[1] == [*first, "10.0", "0.0-2.13 3.5-5.63", "frames are held | the video is short", ""]
        assert lines[2] == ["b.mp4", "error", *[""] * 7, "decode", 'no "video", no\nstream', *[""] * 4]

    def test_of_windows_say_which_seconds(self) -> None:
        rows = [whole(window={"start_s": 2.0, "end_s": 4.5}), failed() | {"window": None}]
        lines = table(written(SeparatedValues, rows, ",", usual_columns(1, in_windows=True)))
        assert [line[:5] for line in lines] == [
            ["path", "status", "start_s", "end_s", "preset"],
            ["a.mp4", "ok", "2.0", "4.5", "mvit_b_16x4"],
            ["b.mp4", "error", "", "", ""],
        ]

    def test_are_those_that_were_asked_for_in_that_order(self) -> None:
        asked = named_columns("score_1, label_3,path,model_ms,dtype,index_2")
        assert table(written(SeparatedValues, [whole(), failed()], ",", asked)) == [
            ["score_1", "label_3", "path", "model_ms", "dtype", "index_2"],
            ["0.75", "", "a.mp4", "812.0", "float32", "1"],
            ["", "", "b.mp4", "", "", ""],
        ]

    @pytest.mark.parametrize("column", ALL_COLUMNS)
    def test_each_has_a_value_in_some_row(self, column: str) -> None:
        stray = os.fsdecode(b"\xe9")
        error = {"kind": "decode", "message": "no", "hint": "convert it"}
        track = {"track": "3", "boxes_digest": "0" * 16}
        rows = [whole(stray, window={"start_s": 0, "end_s": 1}), failed() | {"error": error} | track]
        assert any(line != [""] for line in table(written(SeparatedValues, rows, ",", [column]))[1:])

    @pytest.mark.parametrize(
        ("text", "says"), [("", "no column"), ("path,path", "twice"), ("label_0", "label_1"), ("socre_1", "score_1")]
    )
    def test_that_there_are_not_are_refused(self, text: str, says: str) -> None:
        with pytest.raises(UsageError) as caught:
            named_columns(text)
        assert says in f"{caught.value.message} {caught.value.hint}"


class TestText:
    def test_lines_end_with_a_line_feed_only(self) -> None:
        assert b"\r" not in written(SeparatedValues, [whole()], ",", usual_columns(2, in_windows=False))

    def test_each_row_is_given_on_at_once(self) -> None:
        stream = Unflushed()
        SeparatedValues(stream, ",", ["path"]).take(whole("first.mp4"))  # type: ignore[arg-type]
        assert stream.given_on.endswith(b"first.mp4\n")

    @pytest.mark.parametrize("separator", [",", "\t"])
    @given(path=names)
    def test_any_path_comes_back(self, separator: str, path: str) -> None:
        lines = table(written(SeparatedValues, [whole(path)], separator, ["path", "path_bytes"]), separator)
        assert len(lines) == 2
        assert lines[1][0] == path if not lines[1][1] else r"\x" in lines[1][0]


class TestSafeCells:
    @pytest.mark.parametrize("separator", [",", "\t"])
    @given(texts=st.lists(st.text(st.sampled_from("=+-@\t\r\n＝＋－＠'\",;ab1")), min_size=1, max_size=4))
    def test_none_begins_a_formula_and_each_has_one_way_back(self, separator: str, texts: list[str]) -> None:
        text = line_of(texts, separator, safe=True)
        (cells,) = table(text, separator)
        assert not any(cell.startswith(BEGINS_FORMULA) for cell in cells)
        assert [cell.removeprefix("'") for cell in cells] == texts

    def test_other_separators_begin_no_cell_either(self) -> None:
        """A spreadsheet of another country separates by semicolons."""
        (cells,) = csv.reader([line_of(["a;=1+1", "b"], "\t", safe=True).decode()], delimiter=";")
        assert not any(cell.startswith(BEGINS_FORMULA) for cell in cells)

    def test_numbers_stay_numbers(self) -> None:
        assert line_of(["-a", -0.5], ",", safe=True) == b'"\'-a",-0.5\n'
        assert line_of(["-a", -0.5], ",") == b"-a,-0.5\n"


def left(
    file: Path, form: SeparatedFile, *inputs: str, windows: Windows | None = None, retry: bool = False
) -> list[str]:
    journal = read_journal(file, windows, reader=form.lines, retry_errors=retry)
    return [source.path for source in journal.remaining(Listing(tuple(inputs))) or ()]


class TestWayBack:
    @pytest.mark.parametrize("safe", [False, True])
    @settings(deadline=None)
    @given(path=names)
    def test_the_row_of_any_path_is_known_again(
        self, safe: bool, path: str, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        file = tmp_path_factory.mktemp("rows") / "rows.csv"
        columns = usual_columns(1, in_windows=False)
        text = written(lambda stream: SeparatedValues(stream, ",", columns, safe=safe), [whole(path), failed("b")])
        file.write_bytes(text + b'"torn')
        lines = list(SeparatedFile(",", safe=safe).lines(file))
        assert [line[2] and line[2]["path"] for line in lines] == [None, path, "b", None]
        assert [line[3] for line in lines] == [True, True, True, False]
        assert b"".join(line[1] for line in lines) == text + b'"torn'

    def write(self, file: Path, *rows: dict[str, Any], safe: bool = False, in_windows: bool = False) -> Path:
        columns = usual_columns(1, in_windows=in_windows)
        file.write_bytes(written(lambda stream: SeparatedValues(stream, ",", columns, safe=safe), list(rows)))
        return file

    def test_errors_are_dropped_and_the_heading_stays(self, tmp_path: Path) -> None:
        file = self.write(tmp_path / "rows.csv", whole("a"), failed("b"), whole("c"))
        journal = read_journal(file, reader=SeparatedFile(",").lines, retry_errors=True)
        assert [
            source.path
            for source in journal.remaining(
                Listing(
                    (
                        "a",
                        "b",
                        "c",
                    )
                )
            )
            or ()
        ] == ["b"]
        journal.open().close()
        assert [line[0] for line in table(file.read_bytes())] == ["path", "a", "c"]

    def test_a_torn_row_of_several_lines_is_cut_off(self, tmp_path: Path) -> None:
        file = self.write(tmp_path / "rows.csv", whole("a"))
        kept = file.read_bytes()
        file.write_bytes(kept + b'"b\n\nc')
        read_journal(file, reader=SeparatedFile(",").lines).open().close()
        assert file.read_bytes() == kept

    def test_windows_go_on_where_they_ended(self, tmp_path: Path) -> None:
        windows, form = Windows(2.0, 2.0), SeparatedFile(",", in_windows=True)
        rows = [whole("a", window={"start_s": float(at), "end_s": at + 2.0}) for at in (0, 2)]
        file = self.write(tmp_path / "rows.csv", *rows, failed("b") | {"window": None}, in_windows=True)
        journal = read_journal(file, windows, reader=form.lines)
        assert [
            (s.path, s.first_window)
            for s in journal.remaining(
                Listing(
                    (
                        "a",
                        "b",
                        "c",
                    )
                )
            )
            or ()
        ] == [("a", 2), ("c", 0)]
        with pytest.raises(UsageError, match="not of this run's --window"):
            read_journal(file, reader=SeparatedFile(",").lines)

    @pytest.mark.parametrize(
        ("form", "says"),
        [
            (SeparatedFile(",", safe=True), "without --csv-safe"),
            (SeparatedFile(",", ("path", "status")), "has the columns"),
            (SeparatedFile(",", in_windows=True), "lacks the columns end_s, start_s"),
            (SeparatedFile("\t"), "line 1 of"),
        ],
    )
    def test_a_file_of_another_form_is_refused(self, tmp_path: Path, form: SeparatedFile, says: str) -> None:
        file = self.write(tmp_path / "rows.csv", whole("a"))
        with pytest.raises(UsageError, match=says):
            left(file, form, "a")

    @pytest.mark.parametrize("text", [b"notes", b"notes\n", b"path,status\n", b"path,status\n\xff\n", b"path,nobody\n"])
    def test_any_other_file_is_left_alone(self, tmp_path: Path, text: bytes) -> None:
        (tmp_path / "rows.csv").write_bytes(text)
        with pytest.raises(UsageError):
            left(tmp_path / "rows.csv", SeparatedFile(","), "a")
        assert (tmp_path / "rows.csv").read_bytes() == text


@pytest.mark.usefixtures("decoding_in_this_process")
class TestCommand:
    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Files whose names are formulas, or are none but have what marks them."""
        monkeypatch.chdir(tmp_path)
        for name in ("=1+1.mp4", "@SUM(A1).mp4", "'quoted.mp4", "plain.mp4"):
            shutil.copy(clip("rot90.mp4"), tmp_path / name)
        return tmp_path

    @pytest.mark.parametrize("format", ["csv", "tsv"])
    def test_a_safe_file_is_gone_on_with(self, folder: Path, weights: str, format: str, capsys: Captured) -> None:
        inputs = ["=1+1.mp4", "./@SUM(A1).mp4", "'quoted.mp4", "plain.mp4"]
        options = ["--weights", weights, "-q", "--csv-safe", "--output", f"rows.{format}"]
        assert run(["predict", *inputs, *options]) == 0
        file, separator = folder / f"rows.{format}", {"csv": ",", "tsv": "\t"}[format]
        text = file.read_bytes()
        shown = [line[0] for line in table(text, separator)]
        assert shown == ["path", "'=1+1.mp4", "./@SUM(A1).mp4", "''quoted.mp4", "plain.mp4"]
        file.write_bytes(b"".join(text.splitlines(keepends=True)[:2]) + b'"torn')
        assert run(["predict", *inputs, *options, "--resume"]) == 0
        assert [line[0] for line in table(file.read_bytes(), separator)] == shown
        assert run(["predict", *inputs, *(o for o in options if o != "--csv-safe"), "--resume"]) == 2
        assert "written with --csv-safe" in capsys.readouterr().err

    def test_columns_of_a_file_are_kept_whatever_this_run_lists(self, folder: Path, weights: str) -> None:
        options = ["--weights", weights, "-q", "-o", "rows.csv"]
        assert run(["predict", "plain.mp4", *options, "--top", "2"]) == 0
        assert run(["predict", "plain.mp4", "'quoted.mp4", *options, "--top", "1", "--resume"]) == 0
        lines = table((folder / "rows.csv").read_bytes())
        assert [line[0] for line in lines] == ["path", "plain.mp4", "'quoted.mp4"]
        assert {len(line) for line in lines} == {len(usual_columns(2, in_windows=False))}
        assert [line[lines[0].index("label_2")] == "" for line in lines[1:]] == [False, True]

    @pytest.mark.parametrize(
        ("options", "says"),
        [
            (["--columns", "path", "--format", "jsonl"], "--columns is about csv and tsv"),
            (["--csv-safe", "--format", "json"], "--csv-safe is about csv and tsv"),
            (["--columns", "pahts", "--format", "csv"], "nearest: path"),
            (["--format", "csv", "-o", "r.csv", "--resume", "--report", "r.html"], "leave --report out"),
        ],
    )
    def test_what_has_no_meaning_is_refused(self, options: list[str], says: str, capsys: Captured) -> None:
        assert run(["predict", "x.mp4", *options]) == 2
        assert says in capsys.readouterr().err


def test_rows_that_json_lines_and_csv_know_are_the_same(tmp_path: Path) -> None:
    """What `--resume` asks of a row is the same whichever format it stands in."""
    rows = [whole(os.fsdecode(b"\xe9")), failed("b"), whole("c")]
    columns = usual_columns(1, in_windows=False)
    (tmp_path / "r.csv").write_bytes(written(SeparatedValues, rows, ",", columns))
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    csv_kept = read_journal(tmp_path / "r.csv", reader=SeparatedFile(",").lines)._kept
    json_kept = read_journal(tmp_path / "r.jsonl")._kept
    known = [(sorted(kept.done), kept.failing, kept.ok) for kept in (csv_kept, json_kept)]
    assert known[0] == known[1]
    assert list(RUN) == ["preset", "weights", "views"]
