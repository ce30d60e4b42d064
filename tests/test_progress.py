"""Counts of rows, and what a person reads of them."""

import time

import pytest

from mvit_cli.report.predict.progress import RunReport, Tally


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
