"""The page in a browser: it needs Chromium, and says so where there is none."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser
from pages import read_page
from test_page import HOSTILE, PICTURES, about, error, ok

from mvit_cli.errors import printable
from mvit_cli.report.predict.page.writer import Page

pytestmark = pytest.mark.slow

NAMES = "[...document.querySelectorAll('.files .input .name')].map(name => name.textContent)"


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
        browser.ask("document.querySelectorAll('details').forEach(details => { details.open = true; })")
        browser.ask("new Promise(resolve => setTimeout(resolve, 200))", wait=True)
        assert browser.ask("document.images.length") == len(read_page(page).all("img"))
        browser.ask("Promise.all([...document.images].map(image => image.decode()))", wait=True)
        assert browser.ask("[...document.images].every(image => image.complete && image.naturalWidth)")
        bars = "[...document.querySelectorAll('.files .bar rect')].map(bar => bar.getBoundingClientRect().width)"
        assert max(browser.ask(bars)) > 20


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
    assert browser.ask("[...document.querySelectorAll('button')].every(button => !button.checkVisibility())")
    assert browser.ask("document.querySelector('.files thead').innerText").split() == [
        *("#", "input", "class", "score", "length", "status")
    ]
    assert browser.ask("document.querySelector('.controls').hidden")


def test_a_line_opens_without_scripts(browser: Browser, several: Path) -> None:
    browser.open(several, scripts=False)
    height = "document.querySelector('.more').getBoundingClientRect().height"
    assert browser.ask(height) == 0
    browser.ask("document.querySelector('summary').click()")
    assert browser.ask(height) > 100


def test_a_line_opens_by_a_click_anywhere_and_closes_by_escape(browser: Browser, several: Path) -> None:
    browser.open(several)
    opened = "[...document.querySelectorAll('details')].map(details => details.open)"
    browser.ask("document.querySelectorAll('.line .score')[2].click()")
    assert browser.ask(opened) == [False, False, True, False]
    browser.ask("document.querySelectorAll('summary')[2].focus()")
    for key in ("ArrowDown", "ArrowUp", "Escape"):
        browser.do("Input.dispatchKeyEvent", type="keyDown", key=key, code=key)
    assert browser.ask(opened) == [False] * 4
    assert browser.ask("document.activeElement === document.querySelectorAll('summary')[2]")


def test_lines_are_found_by_text_class_and_status(browser: Browser, several: Path) -> None:
    def shown(name: str, value: str) -> list[str]:
        element, event = f"document.querySelector('.{name}')", "input" if name == "find" else "change"
        browser.ask(f"{element}.value = {value!r}; {element}.dispatchEvent(new Event('{event}'))")
        browser.ask("new Promise(resolve => setTimeout(resolve, 200))", wait=True)
        return browser.ask("[...document.querySelectorAll('tbody:not([hidden]) .input .name')].map(n => n.textContent)")

    browser.open(several)
    assert shown("of-state", "error") == ["a.mp4"]
    shown("of-state", "")
    assert shown("of-class", "arm wrestling") == ["b 10.mp4", "b 9.mp4", "c.mp4"]
    assert shown("find", "mp4 10") == ["b 10.mp4"]
    assert browser.ask("document.querySelector('.shown').textContent") == "1 of 4 shown"
    browser.ask("document.querySelector('.classes button').click()")  # the same class again: all classes
    assert shown("find", "") == ["b 10.mp4", "a.mp4", "b 9.mp4", "c.mp4"]


@pytest.mark.parametrize("width", [360, 1280])
def test_a_table_is_a_table_for_those_who_listen(browser: Browser, several: Path, width: int) -> None:
    browser.open(several, width)
    browser.ask("document.querySelector('#results').scrollIntoView()")
    browser.ask("new Promise(resolve => setTimeout(resolve, 300))", wait=True)
    nodes = [node for node in browser.do("Accessibility.getFullAXTree")["nodes"] if not node["ignored"]]
    roles = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes]
    names = [name for role, name in roles if role == "rowheader" and ".mp4" in name]
    assert names == ["4 frames b 10.mp4", "a.mp4", "4 frames b 9.mp4", "4 frames c.mp4"]
    assert ("columnheader", "score") in roles or width == 360


def test_on_a_phone_lines_are_sorted_by_a_list(browser: Browser, several: Path) -> None:
    browser.open(several, 360)
    assert not browser.ask("document.querySelector('.files thead').checkVisibility()")
    by = "document.querySelector('.by')"
    browser.ask(f"{by}.value = '3'; {by}.dispatchEvent(new Event('change'))")
    assert browser.ask(NAMES) == ["c.mp4", "b 10.mp4", "b 9.mp4", "a.mp4"]
    browser.ask("document.querySelector('.turn').click()")
    assert browser.ask(NAMES) == ["b 9.mp4", "b 10.mp4", "c.mp4", "a.mp4"]


def test_the_ground_is_dark_where_it_is_asked_for(browser: Browser, several: Path) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    grounds = []
    for scheme in ("light", "dark"):
        browser.do("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        browser.open(several)
        grounds.append(browser.ask(colour))
        browser.ask("document.querySelector('.ground').click()")
        grounds.append(browser.ask(colour))
    browser.do("Emulation.setEmulatedMedia", features=[])
    light, dark = grounds[:2]
    assert light != dark
    assert grounds == [light, dark, dark, light]


@pytest.mark.parametrize("width", [360, 800, 1024, 1280])
def test_no_width_needs_scrolling_sideways(browser: Browser, several: Path, alone: Path, width: int) -> None:
    for page in (several, alone):
        browser.open(page, width)
        browser.ask("document.querySelectorAll('details').forEach(details => details.open = true)")
        assert browser.ask("document.documentElement.scrollWidth") <= width


def test_names_run_no_script_and_the_policy_stops_what_would(browser: Browser, tmp_path: Path) -> None:
    browser.open(write(tmp_path / "hostile.html", *(ok(name) for name in HOSTILE)))
    names = browser.ask(NAMES)
    assert len(names) == len(HOSTILE)
    # What stood as text until it was asked for is made HTML now: names are in it too.
    browser.ask("document.querySelectorAll('details').forEach(details => { details.open = true; })")
    browser.ask("new Promise(resolve => setTimeout(resolve, 200))", wait=True)
    paths = browser.ask("[...document.querySelectorAll('.more dd:first-of-type')].map(path => path.textContent)")
    assert paths[:: len(paths) // len(names)] == [printable(name) for name in HOSTILE]
    assert not browser.ask("document.querySelectorAll('.files script, .files img:not([width])').length")
    assert not browser.told
    browser.ask("document.body.insertAdjacentHTML('beforeend', '<img src=data:, onerror=\"window.ran = 1\">')")
    browser.ask("const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s)")
    assert browser.ask("window.ran") is None
    assert any("Content Security Policy" in told for told in browser.told)


def test_a_thousand_rows_can_be_sorted(browser: Browser, tmp_path: Path) -> None:
    browser.open(write(tmp_path / "many.html", *(ok(f"{n}.mp4", (n * 7 % 1000) / 1000) for n in range(1000))))
    browser.ask("[...document.querySelectorAll('.files thead button')][3].click()")
    scores = browser.ask("[...document.querySelectorAll('td.score data')].map(data => Number(data.value))")
    assert len(scores) == 1000
    assert scores == sorted(scores)
