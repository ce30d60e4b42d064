"""Counts of rows, and what a person reads of them."""

import re
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from mvit_cli.report.predict import progress
from mvit_cli.report.predict.progress import RunReport, loading
from mvit_cli.report.predict.tally import Tally


def ok(path: str, clips: int = 5, **changes: object) -> dict:
    return {"path": path, "status": "ok", "clips": [{}] * clips, **changes}


def failed(path: str, kind: str = "decode", **changes: object) -> dict:
    return {"path": path, "status": "error", "error": {"kind": kind, "message": "broken"}, **changes}


def piece(path: str, start_s: float, end_s: float) -> dict:
    return ok(path, 1, window={"start_s": start_s, "end_s": end_s}, duration_s=10.0)


def tally(*rows: dict, seconds: float = 10.0, skipped: int = 0) -> Tally:
    counts = Tally(started=time.perf_counter() - seconds, skipped=skipped)
    for row in rows:
        counts.count(row)
    return counts


class TestSummary:
    def test_names_inputs_errors_by_kind_and_clips_a_second(self) -> None:
        text = tally(ok("a"), failed("b"), ok("c"), failed("d"), failed("e", "timeout")).summary()
        assert text == "5 inputs: 2 ok, 3 failed (decode 2, timeout 1); 10.0 s, 1.0 clips/s"

    def test_says_what_was_done_before(self) -> None:
        assert tally(ok("a"), skipped=3).summary() == "4 inputs: 1 ok, 3 skipped (done before); 10.0 s, 0.5 clips/s"

    def test_counts_an_input_once_however_many_windows_it_has(self) -> None:
        rows = [piece("a", 0, 4), piece("a", 4, 8), failed("b", window=None), piece("c", 0, 4), piece("c", 4, 8)]
        assert tally(*rows).summary().startswith("3 inputs in 5 windows: 4 ok, 1 failed (decode 1); ")

    def test_the_same_path_named_twice_is_two_inputs(self) -> None:
        assert tally(ok("a"), ok("a")).inputs == 2
        assert tally(piece("a", 0, 4), piece("a", 4, 8), piece("a", 0, 4)).inputs == 2
        assert tally(piece("a", 4, 8), piece("a", 8, 10)).inputs == 1  # gone on with


class TestStanding:
    def test_says_how_many_of_how_many_and_how_long_still(self) -> None:
        assert tally(ok("a"), failed("b")).standing(6) == "2 of 6 done, 0.5 clips/s, 20 s left, 1 failed"

    def test_counts_what_was_done_before_as_done_but_not_as_fast(self) -> None:
        assert tally(ok("a"), skipped=4).standing(6) == "5 of 6 done, 0.5 clips/s, 10 s left"

    def test_knows_how_far_a_film_is(self) -> None:
        assert tally(piece("a", 0, 2), piece("a", 2, 4)).standing(1) == "0 of 1 done, 2 windows, 0.2 clips/s, 15 s left"

    def test_guesses_nothing_where_the_inputs_are_not_known(self) -> None:
        assert tally(ok("a")).standing(None) == "1 done, 0.5 clips/s"

    @pytest.mark.parametrize(("inputs", "left"), [(5, "40 s"), (101, "17 min"), (2001, "5.6 h")])
    def test_times_that_are_only_guessed_are_coarse(self, inputs: int, left: str) -> None:
        assert tally(ok("a")).standing(inputs).endswith(f"{left} left")


class TestRunReport:
    @pytest.mark.parametrize(
        ("rows", "said"),
        [
            ([], ""),
            ([ok("a")], ""),
            ([failed("a")], "error: a: broken\n"),
            ([ok("a"), ok("b")], ""),
        ],
    )
    def test_says_at_the_end_only_what_somebody_must_know(
        self, capsys: pytest.CaptureFixture[str], rows: list[dict], said: str
    ) -> None:
        report = RunReport(quiet=False, rows_are_seen=False)
        with report.showing():
            for row in rows:
                report.take(row)
        report.finish()
        assert capsys.readouterr().err == said

    def test_is_silent_where_that_is_asked(self, capsys: pytest.CaptureFixture[str]) -> None:
        report = RunReport(quiet=True, rows_are_seen=False, count_inputs=lambda: pytest.fail("counted for nobody"))
        with report.showing():
            report.take(failed("a"))
        report.tell(["a note"])
        report.finish()
        assert capsys.readouterr().err == ""

    def test_the_end_names_the_first_failures_and_the_files(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        rows = tmp_path / "rows.jsonl"
        rows.write_text("{}")
        report = RunReport(quiet=False, rows_are_seen=False, written=[rows, tmp_path / "not_there.html"])
        for path in "abcde":
            report.take(failed(path))
        report.finish()
        said = capsys.readouterr().err.splitlines()
        assert said[0].startswith("5 inputs: 0 ok, 5 failed (decode 5)")
        assert said[1:] == [*(f"failed: {path}: broken" for path in "abc"), "failed: 2 more", f"written: {rows}"]

    @pytest.mark.parametrize(("resumes", "further"), [(True, "; the same command with --resume goes on"), (False, "")])
    def test_a_run_that_is_broken_off_says_what_is_kept(
        self, resumes: bool, further: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        report = RunReport(quiet=False, rows_are_seen=False, written=[Path("rows.jsonl")], resumes=resumes)

        def broken_off() -> None:
            with report.showing():
                report.take(ok("a"))
                report.take(ok("b"))
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            broken_off()
        assert capsys.readouterr().err == f"2 rows of this run are kept in rows.jsonl{further}\n"


class TestLog:
    def test_a_log_gets_a_line_with_the_time_now_and_then(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(progress, "EVERY_S", 0.02)
        report = RunReport(quiet=False, rows_are_seen=False, count_inputs=lambda: 4)
        said = ""
        with report.showing():
            list(report.watched([Named("a.mp4"), Named("b.mp4")]))
            report.take(ok("a.mp4"))
            report.take(failed("b.mp4"))
            list(report.watched([Named("c.mp4")]))
            said = until(capsys, "at c.mp4")
        assert re.search(
            r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d 2 of 4 done, .* clips/s, .* left, 1 failed, .* gone; at c.mp4$",
            said,
            re.M,
        )
        report.finish()
        assert "2 inputs: 1 ok, 1 failed" in capsys.readouterr().err

    def test_loading_that_takes_long_is_said_in_a_log(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(progress, "EVERY_S", 0.02)
        with loading("mvit_b and torch", quiet=False):
            assert re.search(r"\d\d:\d\d:\d\d loading mvit_b and torch, 0 s gone", until(capsys, "gone"))
        with loading("mvit_b and torch", quiet=True):
            time.sleep(0.1)
        assert capsys.readouterr().err == ""

    def test_a_quiet_run_says_nothing_in_a_log(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(progress, "EVERY_S", 0.01)
        report = RunReport(quiet=True, rows_are_seen=False)
        with report.showing():
            time.sleep(0.1)
        assert capsys.readouterr().err == ""


class TestLine:
    def test_a_single_input_says_what_is_done_with_it(self) -> None:
        report = RunReport(quiet=False, rows_are_seen=False)
        report._total = 1
        list(report.watched([Named("clip.mp4")]))
        assert re.fullmatch(r"decoding, \d s gone  clip.mp4", report.line(80))
        report.at_view(12, 15)
        assert re.fullmatch(r"view 12 of 15, \d s gone  clip.mp4", report.line(80))

    @pytest.mark.parametrize("width", [20, 40, 60, 80, 120])
    def test_it_fits_and_both_times_say_what_they_are(self, width: int) -> None:
        report = RunReport(quiet=False, rows_are_seen=False)
        report._total = 1000
        list(report.watched([Named("a/very/long/path/" * 5 + "name.mp4")] * 2))
        report.take(ok("x"))
        line = report.line(width)
        assert len(line) <= width
        if width >= 80:
            assert re.search(r"left, \d+ s gone  \.\.\..*name\.mp4$", line)


@dataclass
class Named:
    path: str


def until(capsys: pytest.CaptureFixture[str], text: str) -> str:
    """What is written to stderr until a text comes."""
    said, end = "", time.monotonic() + 20
    while text not in said and time.monotonic() < end:
        time.sleep(0.01)
        said += capsys.readouterr().err
    return said
