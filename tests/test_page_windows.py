"""Windows on the page: one entry an input, spans as they come, bounded whatever the length of the video."""

import tracemalloc
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pages import Element, read_page
from test_page import HOSTILE, PICTURES, about, error, files, ok

from mvit_cli.report.palette import FILLS
from mvit_cli.report.predict.events import Events, Merging
from mvit_cli.report.predict.page.timeline import MOST_SPANS, Key, Timeline
from mvit_cli.report.predict.page.writer import Page


def window(number: int, label: str, of: int, path: str = "film.mp4", score: float = 0.5, **changes: Any) -> Any:
    predictions = [{"index": 0, "label": label, "score": score}, {"index": 1, "label": "other", "score": 0.01}]
    span = {"start_s": 2.0 * number, "end_s": 2.0 * number + 2}
    return ok(path, predictions=predictions, duration_s=2.0 * of, window=span, **changes)


def failed(number: int, of: int, path: str = "film.mp4") -> Any:
    span = {"start_s": 2.0 * number, "end_s": 2.0 * number + 2}
    return {**error(path), "window": span, "duration_s": 2.0 * of}


def page_of(tmp_path: Path, *rows: Any, **changes: Any) -> Element:
    with Page(tmp_path / "report.html", about(**changes)) as page:
        for row in rows:
            page.take(row, PICTURES if row["status"] == "ok" else None)
    return read_page(tmp_path / "report.html")


def spans(part: Element) -> list[tuple[float, float, str]]:
    lines = part.all("table", "spans")[0].all("tbody")[0].all("tr")
    return [(line.values()[0], line.values()[1], line.all("span", "label")[0].text) for line in lines]


def test_windows_of_an_input_are_one_entry_and_neighbours_of_one_class_a_span(tmp_path: Path) -> None:
    labels = ["run", "run", "jump", "run", "run", "run"]
    rows = [window(i, label, 6, score=0.4 + 0.1 * i) for i, label in enumerate(labels)]
    page = page_of(tmp_path, *rows, window(0, "sit", 1, "other.mp4"))
    first, second = files(page)
    assert spans(first) == [(0, 4, "run"), (4, 6, "jump"), (6, 12, "run")]
    assert spans(second) == [(0, 2, "sit")]
    assert first.all("span", "label")[0].text == "run"  # seen longest
    mean = (0.4 + 0.5 + 0.7 + 0.8 + 0.9) / 5
    assert first.all("tr", "line")[0].values() == [1, pytest.approx(mean), 12, 2]
    assert page.all("p", "state")[0].text.startswith("2 inputs in 7 windows: 7 ok;")
    assert first.attributes["data-found"] == "run\njump"


def test_what_is_drawn_is_what_is_listed(tmp_path: Path) -> None:
    (part,) = files(page_of(tmp_path, window(0, "run", 4), window(1, "jump", 4), window(2, "jump", 4), failed(3, 4)))
    (drawn,) = part.all("svg", "large")
    places = [(rect.attributes["x"], rect.attributes["width"]) for rect in drawn.all("rect")]
    assert places == [("0.000%", "25.000%"), ("25.000%", "50.000%"), ("75.000%", "25.000%")]
    told = [title.text for title in drawn.all("title")]
    assert told == [
        "0:00.0 to 0:02.0: run, 50.0 %",
        "0:02.0 to 0:06.0: jump, 50.0 %",
        "0:06.0 to 0:08.0: no video stream",
    ]
    letters = [text.text[0] for text in drawn.all("text")]
    assert letters == ["A", "B", "!"]  # read without colour
    assert [
        line.all("span", "key")[0].text for line in part.all("table", "spans")[0].all("tbody")[0].all("tr")
    ] == letters


def test_windows_that_overlap_end_where_the_next_begins(tmp_path: Path) -> None:
    rows = [
        window(0, "run", 3) | {"window": {"start_s": 0.0, "end_s": 4.0}},
        window(1, "jump", 3) | {"window": {"start_s": 2.0, "end_s": 6.0}},
    ]
    (part,) = files(page_of(tmp_path, *rows))
    assert spans(part) == [(0, 2, "run"), (2, 6, "jump")]


def test_an_input_of_which_some_windows_failed_counts_as_failed(tmp_path: Path) -> None:
    (part,) = files(page_of(tmp_path, window(0, "run", 2), failed(1, 2)))
    assert part.attributes["data-state"] == "error"
    assert part.all("td", "state")[0].text == "error 1 of 2 windows failed: no video stream"
    assert [line.text for line in part.all("ul", "warnings")[0].all("li")] == ["1 of 2 windows failed: no video stream"]
    assert part.text.count("windows failed") == 2


def test_a_file_that_gave_no_window_is_an_entry(tmp_path: Path) -> None:
    page = page_of(tmp_path, {**error("bad.mp4"), "window": None}, window(0, "run", 1, "good.mp4"))
    assert [part.attributes["data-state"] for part in files(page)] == ["error", "ok"]


def test_what_scores_too_little_has_no_span_and_the_page_says_so(tmp_path: Path) -> None:
    rows = [window(0, "run", 3, score=0.9), window(1, "jump", 3, score=0.4), window(2, "run", 3, score=0.9)]
    (part,) = files(page_of(tmp_path, *rows, merging=Merging(0.5)))
    assert spans(part) == [(0, 2, "run"), (4, 6, "run")]
    assert part.attributes["data-found"] == "run"
    assert "Spans that score less than 50.0 % are left out. The rows have all windows." in part.text
    (part,) = files(page_of(tmp_path, *rows, merging=Merging(0.95)))
    assert part.all("td", "state")[0].text == "ok nothing reaches the least score"
    (part,) = files(page_of(tmp_path, *rows))
    assert spans(part) == [(0, 2, "run"), (2, 4, "jump"), (4, 6, "run")]
    assert "left out" not in part.text


def test_smoothed_spans_have_frames_and_heat_of_their_own_class_only(tmp_path: Path) -> None:
    """The second of five is another class by itself: the span has its windows, and the pictures of one of its class."""
    hot = replace(PICTURES, heat=PICTURES)
    labels = ["jump", "run", "run", "jump", "run"]
    timeline = Timeline(1, "film.mp4", Key(), (), Events(Merging(smooth_s=20.0)))
    for number, label in enumerate(labels):
        timeline.add(
            window(number, label, 5, score=0.6 if label == "run" else 0.5), hot if number in (0, 3) else PICTURES
        )
    timeline.end()
    (span,) = timeline.spans
    assert (span.label, span.windows, span.picture) == ("run", 5, PICTURES.poster)
    assert span.heat is None  # what there is is of jumps
    assert span.score == pytest.approx(3 * 0.6 / 5)  # a class that a window does not list counts as 0 there


def test_a_run_that_is_killed_leaves_the_windows_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mvit_cli.report.predict.page.writer.OFTEN_S", -1.0)
    target = tmp_path / "report.html"
    with Page(target, about()) as page:
        for number, label in enumerate(["run", "jump", "sit"]):
            page.take(window(number, label, 9), PICTURES)
            (part,) = files(read_page(target, complete=False))
            assert len(spans(part)) == number + 1
    assert len(spans(files(read_page(target))[0])) == 3


def test_an_entry_that_becomes_shorter_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mvit_cli.report.predict.page.writer.OFTEN_S", -1.0)
    monkeypatch.setattr("mvit_cli.report.predict.page.timeline.MOST_SPANS", 8)
    target, lengths = tmp_path / "report.html", []
    with Page(target, about()) as page:
        for number in range(40):
            page.take(window(number, "a long name of a class " * 9 + str(number % 5), 40))
            lengths.append(target.stat().st_size)
            (part,) = files(read_page(target, complete=False))
            assert len(spans(part)) <= 8
    assert any(after < before for before, after in pairwise(lengths))
    assert len(files(read_page(target))) == 1


def test_windows_go_on_where_an_earlier_run_stopped(tmp_path: Path) -> None:
    with Page(tmp_path / "report.html", about()) as page:
        page.look_back(window(0, "run", 3))
        page.take(window(1, "run", 3), PICTURES)
        page.take(window(2, "jump", 3), PICTURES)
    (part,) = files(read_page(tmp_path / "report.html"))
    assert spans(part) == [(0, 4, "run"), (4, 6, "jump")]


def test_memory_and_page_are_bounded_where_every_window_is_another_class(tmp_path: Path) -> None:
    timeline, count = Timeline(1, "film.mp4", Key(), ()), 20_000
    tracemalloc.start()
    for number in range(count):
        timeline.add(window(number, f"class {number % 7}", count), None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.5e6
    assert timeline.windows == count
    assert len(timeline.spans) <= MOST_SPANS
    assert timeline.shortest_s > 0
    assert "are joined with those before them" in timeline.left_out
    assert timeline.spans[0].start_s == 0
    assert timeline.spans[-1].end_s == 2 * count
    for before, after in zip(timeline.spans, timeline.spans[1:], strict=False):
        assert before.end_s == after.start_s


def test_a_class_has_one_colour_on_the_whole_page_and_there_are_as_many_as_colours() -> None:
    key = Key()
    numbers = [key.number(f"class {i}") for i in range(len(FILLS) + 2)]
    assert numbers == [*range(1, len(FILLS) + 1), 0, 0]
    assert [key.number(f"class {i}") for i in range(len(FILLS) + 2)] == numbers
    assert key.letter("class 0") == "A"
    assert key.letter("class 9") == ""


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_labels_stay_text(tmp_path: Path, name: str) -> None:
    def page(word: str) -> Element:
        return page_of(
            tmp_path, window(0, word, 2, word), {**failed(1, 2, word), "error": {"kind": "decode", "message": word}}
        )

    there, plain = page(name), page("plain")
    assert [element.name for element in there.all("*")] == [element.name for element in plain.all("*")]
    assert spans(files(there)[0])[0][2].isprintable()
