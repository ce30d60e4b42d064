"""Predictions on a terminal: width, stages, colour, unicode, names that would steer it."""

import io
import re

import pytest

from mvit_cli import summarize
from mvit_cli.report.predict.spans import Timelines
from mvit_cli.report.predict.terminal import PredictionBlocks, Screen
from mvit_cli.report.tables import Column, Table, markdown, printable, show, write_data


class Terminal(io.StringIO):
    """Looks like a terminal of a given encoding."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


RUN = {"preset": "mvit_b_16x4", "weights": "none", "views": "5x1", "activation": "softmax"}
RUN |= {"device": "cpu", "dtype": "float32"}
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
        blocks = PredictionBlocks(Screen(screen), RUN, ("random weights: the predictions mean nothing",), model)
        blocks.take(OK_ROW)
        blocks.take(ERROR_ROW)
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

    @pytest.mark.parametrize("columns", [30, 40, 46, 60])
    def test_the_score_is_never_cut(self, columns: int, screen: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", str(columns))
        out = self.shown(screen, None)
        assert max(map(len, out)) <= columns
        assert [line.split()[-2:] for line in out if line.endswith(" %")] == [["93.0", "%"], ["0.0", "%"]]
        assert any(line.split()[:1] == ["arm"] for line in out)

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


def piece(start_s: float, label: str, score: float, **changes: object) -> dict:
    """A window of 2 s of a film of 3725 s."""
    window = {"start_s": start_s, "end_s": min(start_s + 2, 3725.0)}
    best = [{"index": 1, "label": label, "score": score}, {"index": 2, "label": "other", "score": 0.01}]
    return OK_ROW | {"window": window, "duration_s": 3725.0, "predictions": best, "warnings": []} | changes


class TestTimeline:
    @pytest.fixture
    def screen(self, monkeypatch: pytest.MonkeyPatch) -> Terminal:
        for name, value in {"TERM": "xterm", "NO_COLOR": "1", "COLUMNS": "80", "LC_ALL": "C.UTF-8"}.items():
            monkeypatch.setenv(name, value)
        return Terminal()

    def shown(self, screen: Terminal, *rows: dict, model: dict | None = None) -> list[str]:
        timelines = Timelines(Screen(screen), RUN, (), model)
        for row in rows:
            timelines.take(row)
        timelines.close()
        return re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue()).splitlines()

    def test_neighbours_of_the_same_class_are_one_span_with_their_mean_score(self, screen: Terminal) -> None:
        rows = [piece(0, "dancing", 0.5), piece(1, "dancing", 0.7), piece(2, "singing", 0.9), piece(3, "dancing", 1.0)]
        out = self.shown(screen, *rows)
        assert [" ".join(line.split()) for line in out[3:]] == [
            "0:00.0 – 0:02.0 ██████ 60.0 % dancing",
            "0:02.0 – 0:03.0 █████████ 90.0 % singing",
            "0:03.0 – 0:05.0 ██████████ 100.0 % dancing",
        ]
        assert len({line.index("%") for line in out[3:]}) == 1

    def test_the_score_of_a_span_is_never_cut(self, monkeypatch: pytest.MonkeyPatch, screen: Terminal) -> None:
        monkeypatch.setenv("COLUMNS", "40")
        timelines = Timelines(Screen(screen), RUN, (), None)
        timelines.take(piece(0, "a label that is too long for so few columns", 0.875))
        timelines.close()
        lines = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue()).splitlines()
        assert "87.5 %  a l..." in lines[-1]
        assert len(lines[-1]) <= 40

    def test_a_span_is_written_as_soon_as_the_class_changes(self, screen: Terminal) -> None:
        timelines = Timelines(Screen(screen), RUN, (), None)
        timelines.take(piece(0, "dancing", 0.5))
        assert "dancing" not in screen.getvalue()
        timelines.take(piece(1, "singing", 0.5))
        assert "dancing" in screen.getvalue()
        assert "singing" not in screen.getvalue()

    def test_gaps_between_windows_stay_gaps(self, screen: Terminal) -> None:
        out = self.shown(screen, piece(0, "dancing", 0.5), piece(10, "singing", 0.5))
        assert "0:00.0 –    0:02.0" in out[3]

    def test_each_input_has_its_own_spans(self, screen: Terminal) -> None:
        end = piece(3723, "dancing", 0.5)
        out = self.shown(screen, end, piece(0, "dancing", 0.5), piece(0, "dancing", 0.5, path="b.mp4"))
        assert out.count("b.mp4") == 1
        assert sum("dancing" in line for line in out) == 3
        assert "1:02:03.0 – 1:02:05.0" in out[3]

    def test_what_failed_stands_in_its_place(self, screen: Terminal) -> None:
        lost = ERROR_ROW | {"path": OK_ROW["path"], "window": {"start_s": 2, "end_s": 3725.0}, "duration_s": 3725.0}
        out = self.shown(screen, piece(0, "dancing", 0.5), lost, ERROR_ROW | {"window": None})
        assert "dancing" in out[3]
        assert out[4].split("  ")[-1] == "error (decode): no video stream"
        assert "0:02.0 – 1:02:05.0" in out[4]
        assert out[-3:] == ["bad.mp4", "  error (decode): no video stream", "  Look."]

    def test_warnings_are_counted_and_not_repeated(self, screen: Terminal) -> None:
        rows = [piece(n, "dancing", 0.5, warnings=["its last frame was held"]) for n in range(9)]
        rows += [piece(9 + n, "dancing", 0.5, warnings=[f"{n} frames are damaged"]) for n in range(9)]
        text = "\n".join(self.shown(screen, *rows))
        assert "warning: its last frame was held (9 windows)" in text
        assert text.count("frames are damaged (1 window)") == 4
        assert "and 5 others" in text

    def test_80_columns_are_enough_and_no_unicode_too(self, screen: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
        rows = [piece(n, f"{n} {'a label that never ends ' * 4}", 0.5) for n in range(3)]
        assert max(map(len, self.shown(screen, *rows, model=summarize("B")))) <= 80
        monkeypatch.setenv("LC_ALL", "C")
        assert "\n".join(self.shown(Terminal(), *rows)).isascii()
        plain = Terminal()
        assert re.search(r"0:00.0 -    0:01.0  #####", "\n".join(self.shown(plain, *rows)))


STEERING = "\x1b]52;c;ZXZpbA==\x07 \x9b2J \u202egnp.exe \x00 <script>alert(1)</script>"
"""Clipboard, screen, direction of writing, NUL and HTML, as names in a checkpoint may have them."""


class OnTerminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def hostile_table() -> Table:
    columns = (Column(f"{STEERING}\nname", numeric=False), Column("share"))
    return Table(columns, ((STEERING, "<0.01"),), (STEERING, "1"), title=STEERING, notes=(STEERING,))


@pytest.mark.parametrize("stream", [io.StringIO, OnTerminal])
def test_no_text_in_a_table_or_paragraph_steers_the_terminal(stream, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    told = stream()
    show(hostile_table(), f"- {STEERING}", stream=told)
    unstyled = re.sub(r"\x1b\[[0-9;]*m", "", told.getvalue())
    assert r"\x1b]52;c;ZXZpbA==\x07" in unstyled
    assert unstyled.replace("\n", "").isprintable()


def test_markdown_has_neither_control_characters_nor_html():
    text = markdown(hostile_table())
    assert text.replace("\n", "").isprintable()
    assert "&lt;script>" in text
    assert "<script" not in text
    assert "</" not in text
    assert "<0.01" in text, "a number below the last digit is no HTML"


def test_a_line_break_in_a_name_makes_no_row_of_markdown():
    table = Table((Column("name"),), (("a\n| forged |",),))
    assert len(markdown(table).splitlines()) == 3


@pytest.mark.parametrize(("stream", "expected"), [(io.StringIO, f"{STEERING}\n"), (OnTerminal, None)])
def test_data_is_exact_in_a_pipe_and_harmless_on_a_terminal(stream, expected, monkeypatch):
    told = stream()
    monkeypatch.setattr("sys.stdout", told)
    write_data(f"{STEERING}\n")
    if expected:
        assert told.getvalue() == expected
    else:
        assert told.getvalue().endswith("\n")
        assert told.getvalue()[:-1].isprintable()
