"""The page in a browser: it needs Chromium, and says so where there is none."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser
from test_page import HOSTILE, PICTURES, about, error, ok

from mvit_cli.report.predict.page.writer import Page

pytestmark = pytest.mark.slow

NAMES = "[...document.querySelectorAll('.files .name')].map(name => name.textContent)"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as browser:
        yield browser


def write(target: Path, *rows: dict) -> Path:
    with Page(target, about()) as page:
        for row in rows:
            page.take(row, PICTURES if row["status"] == "ok" else None)
    return target


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [ok("b 10.mp4", 0.5, duration_s=1.0), error("a.mp4"), ok("b 9.mp4", 0.9), ok("c.mp4", 0.1, duration_s=3.0)]
    return write(tmp_path_factory.mktemp("page") / "several.html", *rows)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("page") / "alone.html", ok())


def test_nothing_is_refused_and_every_picture_is_seen(browser: Browser, several: Path, alone: Path) -> None:
    for page in (several, alone):
        browser.open(page)
        assert not browser.told
        assert browser.ask("[...document.images].every(image => image.complete && image.naturalWidth)")
        assert browser.ask("document.querySelector('.bar rect').getBoundingClientRect().width") > 20


def test_a_click_on_a_title_sorts(browser: Browser, several: Path) -> None:
    def click(title: str) -> list[str]:
        browser.ask(f"[...document.querySelectorAll('thead button')].find(b => b.textContent === '{title}').click()")
        return browser.ask(NAMES)

    browser.open(several)
    assert browser.ask(NAMES) == ["b 10.mp4", "a.mp4", "b 9.mp4", "c.mp4"]
    assert click("score") == ["c.mp4", "b 10.mp4", "b 9.mp4", "a.mp4"]
    assert click("score") == ["b 9.mp4", "b 10.mp4", "c.mp4", "a.mp4"]  # what has no score stays last
    assert browser.ask("document.querySelector('[aria-sort]').getAttribute('aria-sort')") == "descending"
    assert click("input") == ["a.mp4", "b 9.mp4", "b 10.mp4", "c.mp4"]
    assert click("length") == ["b 10.mp4", "c.mp4", "b 9.mp4", "a.mp4"]
    assert click("#") == ["b 10.mp4", "a.mp4", "b 9.mp4", "c.mp4"]


def test_without_scripts_the_table_is_whole(browser: Browser, several: Path) -> None:
    browser.open(several, scripts=False)
    assert len(browser.ask(NAMES)) == 4
    assert browser.ask("document.querySelectorAll('button').length") == 0
    assert browser.ask("document.querySelector('thead').innerText").split() == [
        *("#", "frames", "input", "class", "score", "length", "decode", "network", "state")
    ]


def test_a_line_opens(browser: Browser, several: Path) -> None:
    browser.open(several, scripts=False)
    height = "document.querySelector('details').getBoundingClientRect().height"
    closed = browser.ask(height)
    browser.ask("document.querySelector('summary').click()")
    assert browser.ask(height) > closed + 100


@pytest.mark.parametrize("width", [360, 800, 1024, 1280])
def test_no_width_needs_scrolling_sideways(browser: Browser, several: Path, alone: Path, width: int) -> None:
    for page in (several, alone):
        browser.open(page, width)
        browser.ask("document.querySelectorAll('details').forEach(details => details.open = true)")
        assert browser.ask("document.documentElement.scrollWidth") <= width


def test_names_run_no_script_and_the_policy_stops_what_would(browser: Browser, tmp_path: Path) -> None:
    browser.open(write(tmp_path / "hostile.html", *(ok(name) for name in HOSTILE)))
    assert len(browser.ask(NAMES)) == len(HOSTILE)
    assert not browser.told
    browser.ask("document.body.insertAdjacentHTML('beforeend', '<img src=data:, onerror=\"window.ran = 1\">')")
    browser.ask("const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s)")
    assert browser.ask("window.ran") is None
    assert any("Content Security Policy" in told for told in browser.told)


def test_a_thousand_rows_can_be_sorted(browser: Browser, tmp_path: Path) -> None:
    browser.open(write(tmp_path / "many.html", *(ok(f"{n}.mp4", (n * 7 % 1000) / 1000) for n in range(1000))))
    browser.ask("[...document.querySelectorAll('thead button')][3].click()")
    scores = browser.ask("[...document.querySelectorAll('td.score data')].map(data => Number(data.value))")
    assert len(scores) == 1000
    assert scores == sorted(scores)
