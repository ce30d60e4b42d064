"""Predictions on a terminal: width, stages, colour, unicode, names that would steer it."""

import io
import re

import pytest

from mvit_cli import summarize
from mvit_cli.report.terminal import PredictionBlocks, printable


class Terminal(io.StringIO):
    """Looks like a terminal of a given encoding."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


RUN = {"preset": "mvit_b_16x4", "weights": "none", "views": "5x1", "device": "cpu", "dtype": "float32"}
OK_ROW = {
    "path": "clips/\x1b[31ma long name that goes on and on.mp4",
    "status": "ok",
    "predictions": [
        {"index": 1, "label": "arm wrestling", "score": 0.93},
        {"index": 2, "label": "a label that is longer than anybody would like it to be", "score": 0.0004},
    ],
    "duration_s": 10.0,
    "reader": "decord",
    "warnings": ["random weights: the predictions mean nothing", "the video is short " * 6],
    "timing_ms": {"decode": 41.2, "model": 812.0},
}
ERROR_ROW = {
    "path": "bad.mp4",
    "status": "error",
    "error": {"kind": "decode", "message": "no video stream", "hint": "Look."},
}


class TestTerminal:
    @pytest.fixture
    def screen(self, monkeypatch: pytest.MonkeyPatch) -> Terminal:
        for name, value in {"TERM": "xterm", "NO_COLOR": "1", "COLUMNS": "80", "LC_ALL": "C.UTF-8"}.items():
            monkeypatch.setenv(name, value)
        return Terminal()

    def shown(self, screen: Terminal, model: dict | None) -> list[str]:
        blocks = PredictionBlocks(screen, RUN, ("random weights: the predictions mean nothing",), model)
        blocks.write(OK_ROW)
        blocks.write(ERROR_ROW)
        blocks.close()
        return re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue()).splitlines()

    def test_80_columns_are_enough(self, screen: Terminal) -> None:
        out = self.shown(screen, summarize("B"))
        assert max(map(len, out)) <= 80
        assert out[0] == "mvit_b_16x4, random weights, 5x1 views, cpu float32"
        text = "\n".join(out)
        assert text.count("the predictions mean nothing") == 1  # said of the run, not of each file
        assert re.search(r"arm wrestling +█+[▏▎▍▌▋▊▉]? +93\.0 %", text)
        assert "a label that is longer than anybody w..." in text
        assert "error (decode): no video stream" in text

    def test_stages_stand_below_where_there_is_no_room(self, screen: Terminal) -> None:
        out = self.shown(screen, summarize("B"))
        (row,) = [line for line in out if line.startswith("scale4")]
        assert row.split() == ["scale4", "8×14×14", "384", "1,569", "40.76"]
        assert out.index(row) > out.index("bad.mp4")

    def test_stages_stand_beside_the_first_file_where_there_is(
        self, screen: Terminal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "120")
        out = self.shown(screen, summarize("B"))
        (row,) = [line for line in out if "arm wrestling" in line]
        assert "cube1" in "".join(out[2:8])
        assert not row.startswith("cube1")
        assert sum("scale4" in line for line in out) == 1
        assert max(map(len, out)) <= 120

    def test_stages_can_be_left_out(self, screen: Terminal) -> None:
        assert not any("scale" in line for line in self.shown(screen, None))

    def test_a_locale_without_unicode_gets_none(self, screen: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LC_ALL", "C")
        text = "\n".join(self.shown(screen, summarize("B")))
        assert text.isascii()
        assert re.search(r"arm wrestling +#+ +93\.0 %", text)

    def test_no_color_means_no_colour(self, screen: Terminal) -> None:
        self.shown(screen, None)
        assert not re.search(r"\x1b\[3[0-7]m", screen.getvalue())

    def test_a_file_name_cannot_steer_the_terminal(self, screen: Terminal) -> None:
        text = "\n".join(self.shown(screen, None))
        assert "\x1b[31m" not in screen.getvalue()
        assert r"clips/\x1b[31ma long name" in text
        assert printable("a\nb\udce9") == r"a\nb\udce9"
