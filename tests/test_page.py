"""The page on a run: whole in itself, true to the rows, safe whatever files are called, small, and never held back."""

import base64
import hashlib
import io
import os
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pages import Element, picture, read_page
from PIL import Image

import mvit_cli
from mvit_cli.checkpoints.cards import load_card
from mvit_cli.checkpoints.inventory import card_record
from mvit_cli.errors import MViTError, UsageError
from mvit_cli.media.request import Pictures, Strip
from mvit_cli.media.strips import POSTER_BYTES, STRIP_BYTES
from mvit_cli.report.page.document import beginning
from mvit_cli.report.predict.page.about import About, Job
from mvit_cli.report.predict.page.overview import MOST_CLASSES
from mvit_cli.report.predict.page.writer import WHOLE_STRIPS, Page

RUN = {
    "preset": "mvit_b_16x4",
    "weights": "mvit_b_16x4.tv_k400",
    "views": "2x1",
    "device": "cpu",
    "dtype": "float32",
}
NOTE = "the weights have no card: normalisation was assumed"
HOSTILE = [
    "</td><script>alert(1)</script>.mp4",
    "\"><img src=x onerror='alert(1)'>.mp4",
    "a & b &amp; <c>.mp4",
    os.fsdecode(b"caf\xe9.mp4"),
    "nul\x00 escape\x1b[31m line\nfeed.mp4",
    "gpj.\u202e4pm.exe",
    "--> ]]> <!-- {{ }} ${x} %s.mp4",
]


def about(**changes: Any) -> About:
    model = mvit_cli.summarize("B")
    return About(
        **{
            "run": RUN,
            "notes": (),
            "model": model,
            "job": Job("videos/"),
            "card": card_record(load_card(RUN["weights"])),
        }
        | changes
    )


def ok(path: str = "videos/a.mp4", score: float = 0.912345678, **changes: Any) -> dict[str, Any]:
    return {
        "path": path,
        "status": "ok",
        "preset": RUN["preset"],
        "weights": RUN["weights"],
        "views": RUN["views"],
        "activation": "softmax",
        "predictions": [
            {"index": 6, "label": "arm wrestling", "score": score},
            {"index": 1, "label": "b", "score": 0.05},
        ],
        "clips": [{"start_s": 0.0, "end_s": 2.13}, {"start_s": 7.87, "end_s": 10.0}],
        "duration_s": 10.0,
        "reader": "decord",
        "warnings": [],
        "device": "cpu",
        "dtype": "float32",
        "timing_ms": {"decode": 41.2, "model": 1812.3},
        **changes,
    }


def error(path: str = "videos/bad.mp4", **told: str) -> dict[str, Any]:
    return {"path": path, "status": "error", "error": {"kind": "decode", "message": "no video stream", **told}}


def strip(clip: int, frames: int, side: int) -> Strip:
    stream = io.BytesIO()
    Image.new("RGB", (frames * side, side), (90, 60, 30)).save(stream, "JPEG")
    return Strip(clip, frames, frames * side, side, stream.getvalue())


PICTURES = Pictures(strip(0, 4, 64), (strip(0, 16, 96), strip(1, 16, 96)))


def page_of(tmp_path: Path, *rows: dict[str, Any], **changes: Any) -> Element:
    target = tmp_path / "report.html"
    with Page(target, about(**changes)) as page:
        for row in rows:
            page.take(row, PICTURES if row["status"] == "ok" else None)
    return read_page(target)


def files(page: Element) -> list[Element]:
    (table,) = page.all("table", "files")
    return [part for part in table.children if isinstance(part, Element) and part.name == "tbody"]


class TestWhole:
    def test_every_resource_is_in_the_page(self, tmp_path: Path) -> None:
        page = page_of(tmp_path, ok(), error(), ok())
        assert not {"link", "iframe", "object", "form", "base", "a"} & {element.name for element in page.all("*")}
        for element in page.all("*"):
            names = set(element.attributes)
            assert not names & {"href", "srcset", "style", "action", "background"}
            assert not any(name.startswith("on") for name in names)
            assert element.name == "img" or "src" not in names
            if element.name not in ("meta", "img"):
                assert not any("//" in (value or "") for name, value in element.attributes.items() if name != "src")

    def test_pages_without_rows_have_the_same_policy(self) -> None:
        start = str(beginning("3 classes", "mvit train", ("learned from 48 clips",), ("<b>",)))
        style, script = re.findall(r"<(style|script)>(.*?)</\1>", start, re.DOTALL)
        for name, content in (style, script):
            digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
            assert f"{name}-src 'sha256-{digest}'" in start
        assert "unsafe" not in start
        assert "<li>&lt;b&gt;</li>" in start

    def test_the_policy_allows_this_style_and_this_script_only(self, tmp_path: Path) -> None:
        page = page_of(tmp_path, ok())
        (policy,) = (meta.attributes["content"] for meta in page.all("meta") if "http-equiv" in meta.attributes)
        rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
        for name in ("style", "script"):
            (element,) = page.all(name)
            digest = base64.b64encode(hashlib.sha256(element.text.encode()).digest()).decode()
            assert rules[f"{name}-src"] == f"'sha256-{digest}'"
        assert rules["default-src"] == "'none'"
        assert rules["img-src"] == "data:"
        assert "url(" not in page.all("style")[0].text

    def test_pictures_are_what_they_say(self, tmp_path: Path) -> None:
        images = page_of(tmp_path, ok(), error(), ok()).all("img")
        assert len(images) == 6
        for image in images:
            data, opened = picture(image)
            assert len(data) <= STRIP_BYTES
            assert opened.height <= 224
            assert image.attributes["alt"]
        assert images[1].attributes["alt"] == "clip 1 of 2, 0.00 to 2.13 s, 16 frames"

    def test_headings_and_titles_are_for_everybody(self, tmp_path: Path) -> None:
        page = page_of(tmp_path, ok(), error(), ok())
        assert page.all("html")[0].attributes == {"lang": "en"}
        assert [heading.text for heading in page.all("h1")] == ["videos/"]
        assert page.all("title")[0].text == "videos/: mvit predict"
        assert [heading.text for heading in page.all("h2")] == [
            *("What was found", "Results", "The weights", "The run", "The network")
        ]
        assert all(title.attributes.get("scope") in ("row", "col") for title in page.all("th"))
        assert all(table.all("thead") for table in page.all("table"))
        ids = [element.attributes["id"] for element in page.all("*") if "id" in element.attributes]
        assert len(ids) == len(set(ids))


def test_a_page_that_is_not_wanted_loads_no_templates() -> None:
    code = (
        "import sys, mvit_cli.cli.main, mvit_cli.cli.predict, mvit_cli.report.predict.page.writer; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"jinja2", "markupsafe", "torch"} & set(done.stdout.split())


class TestTrue:
    def test_numbers_are_those_of_the_rows(self, tmp_path: Path) -> None:
        rows = [ok("a.mp4", 0.1 + 0.2), error("b.mp4"), ok("c.mp4", 1.5e-7, duration_s=3.04)]
        for place, (row, part) in enumerate(zip(rows, files(page_of(tmp_path, *rows)), strict=True), 1):
            line, below = part.all("tr")[0], part.all("tr", "more")[0]
            if row["status"] == "error":
                assert part.values() == [place, 0]
                continue
            scores = [entry["score"] for entry in row["predictions"]]
            assert line.values() == [place, scores[0], row["duration_s"], 2]
            assert below.values() == scores
            assert "41.2 ms to decode, 1,812.3 ms in the network" in below.text
            assert [title.text for title in below.all("table")[0].all("th")[2:]] == ["arm wrestling", "b"]

    def test_bars_are_as_long_as_scores(self, tmp_path: Path) -> None:
        (part,) = files(page_of(tmp_path, ok(score=0.5)))
        assert [bar.attributes["width"] for bar in part.all("rect")] == ["50.0%", "50.0%", "5.0%"]

    def test_an_error_is_a_row_with_what_to_do(self, tmp_path: Path) -> None:
        (part,) = files(page_of(tmp_path, error(hint="check that the file is a video")))
        assert part.attributes["data-state"] == "error"
        assert part.all("td", "state")[0].text == "error decode: no video stream"
        for told in ("videos/bad.mp4", "no video stream", "check that the file is a video"):
            assert told in part.text

    def test_warnings_of_a_file_are_at_it_and_those_of_all_are_said_once(self, tmp_path: Path) -> None:
        row = ok(warnings=[NOTE, "3 of 16 frames are damaged"])
        page = page_of(tmp_path, row, row, notes=(NOTE,))
        assert page.text.count(NOTE) == 1
        assert [line.text for line in page.all("header")[0].all("li")] == [NOTE]
        for part in files(page):
            assert [line.text for line in part.all("li")] == ["3 of 16 frames are damaged"]
            assert part.attributes["data-state"] == "warned"
            assert part.all("td", "state")[0].text == "warning 3 of 16 frames are damaged"

    def test_the_stages_are_those_of_summarize(self, tmp_path: Path) -> None:
        (table,) = page_of(tmp_path, ok()).all("table", "figures")
        lines = [[cell.text for cell in line.children if isinstance(cell, Element)] for line in table.all("tr")]
        model = mvit_cli.summarize("B")
        names = ["stage", "data", *(stage["name"] for stage in model["stages"])]
        assert [line[0] for line in lines[:-1]] == names
        assert lines[-1][0].startswith("total")
        for stage, line, bar in zip(model["stages"], lines[2:], table.all("rect"), strict=False):
            share = f"{100 * stage['macs'] / model['macs']:.1f}"
            assert f"{share} %" in line
            assert bar.attributes["width"] == f"{share}%"

    def test_the_card_is_told(self, tmp_path: Path) -> None:
        page = page_of(tmp_path, ok())
        card = load_card(RUN["weights"])
        (told,) = (section.text for section in page.all("section") if section.attributes.get("id") == "weights")
        for part in (card.name, card.licence, card.source.url, card.reported.source, "top-1 78.48 %", "kinetics400"):
            assert part in told

    def test_weights_without_a_card_say_so(self, tmp_path: Path) -> None:
        page = page_of(tmp_path, ok(), card=None, run={**RUN, "weights": "my/file.pth"})
        assert "No card tells of these weights" in page.text
        assert "my/file.pth" in page.text

    def test_what_our_own_weights_were_measured_at_is_told(self, tmp_path: Path) -> None:
        card = load_card("camera_motion.embedded")
        told = page_of(tmp_path, ok(), card=card_record(card)).text
        found = re.search(r"([\d.]+) % of 2,000 clips: held out photographs", told)
        measured = card.evaluation["held_out_photographs"]
        assert isinstance(measured, Mapping)
        assert found
        assert float(found[1]) == pytest.approx(100 * measured["accuracy"], abs=0.0501)  # one decimal

    def test_the_settings_are_told(self, tmp_path: Path) -> None:
        page = page_of(tmp_path, ok(), settings={"reader": "av", "made": "today by mvit 0.1.0"})
        (told,) = (section.text for section in page.all("section") if section.attributes.get("id") == "run")
        for part in (*RUN.values(), "reader", "av", "today by mvit 0.1.0"):
            assert part in told

    def test_classes_are_counted(self, tmp_path: Path) -> None:
        other = ok(predictions=[{"index": 0, "label": "abseiling", "score": 0.4}])
        page = page_of(tmp_path, ok(), other, ok(), error())
        (section,) = (section for section in page.all("section") if section.attributes.get("id") == "found")
        assert [title.text for title in section.all("span", "name")] == ["arm wrestling", "abseiling"]
        assert [cell.text for cell in section.all("td", "n")] == ["2", "1"]
        assert [bar.attributes["width"] for bar in section.all("table")[0].all("rect")] == ["66.7%", "33.3%"]
        assert section.all("dl", "states")[0].values() == [3, 0, 1]

    def test_scores_of_each_class_for_itself_count_from_a_half_on(self, tmp_path: Path) -> None:
        def scored(path: str, **scores: float) -> dict[str, Any]:
            predictions = [
                {"index": i, "label": label, "score": score} for i, (label, score) in enumerate(scores.items())
            ]
            return ok(path, predictions=predictions, activation="sigmoid")

        rows = [scored("a", run=0.9, jump=0.6, sit=0.4), scored("b", jump=0.3, run=0.2), scored("c", run=0.8, sit=0.5)]
        page = page_of(tmp_path, *rows)
        (section,) = (section for section in page.all("section") if section.attributes.get("id") == "found")
        counted = dict(
            zip([name.text for name in section.all("span", "name")], section.all("table")[0].values(), strict=True)
        )
        assert counted == {"run": 2, "jump": 2, "sit": 1}
        assert "scores of at least 50 %" in section.text
        assert [part.attributes.get("data-found") for part in files(page)] == ["run\njump", None, "run\nsit"]

    def test_the_histogram_is_of_the_best_scores(self, tmp_path: Path) -> None:
        scores = (0.0, 0.05, 0.1, 0.31, 0.39, 0.99, 1.0)
        page = page_of(tmp_path, *(ok(score=score) for score in scores), error())
        (drawn,) = page.all("figure", "histogram")[0].all("svg")
        bars = [float(rect.attributes["height"] or 0) for rect in drawn.all("rect")]
        assert bars == [100, 50, 0, 100, 0, 0, 0, 0, 0, 100]  # counts 2, 1, 0, 2, 0, 0, 0, 0, 0, 2
        assert [text.text for text in drawn.all("text")][:4] == ["2", "1", "2", "2"]
        assert drawn.attributes["aria-label"] == "0 to 10 %: 2; 10 to 20 %: 1; 30 to 40 %: 2; 90 to 100 %: 2"

    def test_labels_as_long_as_they_like_leave_room(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("mvit_cli.report.predict.page.writer.OVERVIEW_BYTES", 6000)
        rows = [
            ok(
                predictions=[{"index": i, "label": f"{i}" + "\U000f0000" * 900, "score": 0.5}],
                warnings=["\u202e" * 9],
            )
            for i in range(30)
        ]
        page = page_of(tmp_path, *rows)
        (section,) = (section for section in page.all("section") if section.attributes.get("id") == "found")
        assert "more classes" in section.text
        assert 0 < len(section.all("span", "name")) < MOST_CLASSES
        assert len(files(page)) == 30

    def test_errors_alone_are_a_table_without_classes(self, tmp_path: Path) -> None:
        page = page_of(tmp_path, *(error(f"{number}.mp4") for number in range(3)))
        assert [part.attributes["data-state"] for part in files(page)] == ["error"] * 3
        assert not [section for section in page.all("section") if section.attributes.get("id") == "found"]

    def test_a_still_image_has_no_length(self, tmp_path: Path) -> None:
        still = ok("a.png", duration_s=0.0, clips=[{"start_s": 0.0, "end_s": 0.0}], reader="pillow")
        target = tmp_path / "report.html"
        with Page(target, about()) as page:
            page.take(still, Pictures(strip(0, 1, 64), (strip(0, 1, 224),)))
        (part,) = files(read_page(target))
        assert "a still image" in part.text
        assert [image.attributes["alt"] for image in part.all("img")] == [
            "the picture",
            "the picture as the network sees it",
        ]


class TestHostileNames:
    @pytest.mark.parametrize("name", HOSTILE)
    def test_stay_text_wherever_they_stand(self, tmp_path: Path, name: str) -> None:
        def texts(word: str) -> Element:
            label = [{"index": 0, "label": word, "score": 0.5}]
            rows = [ok(word, predictions=label, warnings=[word], reader=word), error(word, message=word, hint=word)]
            run = {**RUN, "weights": word, "device": word, "preset": word}
            return page_of(tmp_path, *rows, run=run, notes=(word + "!",), card=None, settings={word: word})

        page, plain = texts(name), texts("plain.mp4")
        shape = [(element.name, list(element.attributes)) for element in page.all("*")]
        assert shape == [(element.name, list(element.attributes)) for element in plain.all("*")]
        told = files(page)[0].all("span", "label")[0].text
        assert told.isprintable()
        assert page.text.count(told) == plain.text.count("plain.mp4")

    def test_bytes_that_are_no_utf8_are_named(self, tmp_path: Path) -> None:
        (part,) = files(page_of(tmp_path, ok(os.fsdecode(b"caf\xe9.mp4"))))
        assert part.all("span", "name")[0].text == r"caf\udce9.mp4"

    def test_a_page_of_wrong_clips_counts_these(self, tmp_path: Path) -> None:
        job = Job("Wrong clips of list.csv", "mvit eval", "What they were taken for", only_wrong=True)
        page = page_of(tmp_path, ok(), error(), ok(), job=job)
        assert page.all("p", "state")[0].text == "2 clips are wrong, 1 failed"
        assert page.all("h2")[0].text == "What they were taken for"


class TestWhileItIsWritten:
    def test_a_run_that_is_killed_leaves_its_rows_and_says_so(self, tmp_path: Path) -> None:
        target = tmp_path / "report.html"
        with Page(target, about()) as page:
            assert "just begun" in read_page(target, complete=False).text
            for count in (1, 2, 3):
                page.take(ok(f"{count}.mp4"), PICTURES)
                there = read_page(target, complete=False)
                assert [part.all("span", "name")[0].text for part in files(there)][-1] == f"{count}.mp4"
                (state,) = there.all("p", "unfinished")
                assert f"{count} input" in state.text
                assert state.text.startswith("Not finished")
        (state,) = read_page(target).all("p", "state")
        assert state.text.startswith("3 inputs: 3 ok;")
        assert state.attributes["class"] == "state"

    def test_a_run_that_is_interrupted_leaves_a_complete_page(self, tmp_path: Path) -> None:
        target = tmp_path / "report.html"

        def interrupted() -> None:
            with Page(target, about()) as page:
                page.take(ok(), PICTURES)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        there = read_page(target)
        assert there.all("p", "unfinished")[0].text.startswith("Stopped before the end. 1 input: 1 ok;")
        assert there.all("table", "figures")

    def test_one_input_is_shown_in_full_and_several_as_an_index(self, tmp_path: Path) -> None:
        alone = page_of(tmp_path, ok())
        assert alone.all("table", "one")
        assert ["open" in details.attributes for details in alone.all("details")] == [True]
        several = page_of(tmp_path, ok(), ok(), ok())
        assert not several.all("table", "one")
        assert ["open" in details.attributes for details in several.all("details")] == [False] * 3

    def test_the_line_on_the_state_keeps_its_length(self, tmp_path: Path) -> None:
        kinds = ("not_found", "unsupported", "empty", "decode", "timeout", "crash", "memory", "internal")
        rows = [error(f"{number}", kind=kind) for number, kind in enumerate(kinds)] * 30
        page = page_of(tmp_path, *rows)
        assert "240 inputs: 0 ok, 240 failed" in page.all("p", "state")[0].text
        assert len(files(page)) == 240
        assert not page.all("p", "unfinished")

    def test_no_input_gives_a_page_too(self, tmp_path: Path) -> None:
        page = page_of(tmp_path)
        assert not files(page)
        assert page.all("p", "state")[0].text.startswith("0 inputs")

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
    def test_a_full_disk_is_told(self) -> None:
        with pytest.raises(MViTError, match=r"--report /dev/full: No space left"), Page(Path("/dev/full"), about()):
            pass

    def test_a_row_of_an_older_mvit_is_taken(self, tmp_path: Path) -> None:
        row = ok()
        del row["activation"]
        with Page(tmp_path / "report.html", about()) as page:
            page.look_back(row)
        assert len(files(read_page(tmp_path / "report.html"))) == 1

    def test_a_row_of_another_program_is_refused(self, tmp_path: Path) -> None:
        with Page(tmp_path / "report.html", about()) as page, pytest.raises(UsageError, match="row 1 of earlier runs"):
            page.look_back({"path": "a.mp4", "status": "ok"})


class TestSize:
    WORST = Strip(0, 4, 268, 64, os.urandom(POSTER_BYTES))  # a poster as large as it may be

    def write(self, target: Path, rows: int) -> int:
        """Writes rows; returns the bytes they took."""
        with Page(target, about()) as page:
            start = target.stat().st_size
            for number in range(rows):
                page.take(ok(f"some/folder/of/videos/{number:04}.mp4"), Pictures(self.WORST))
            return target.stat().st_size - start

    def test_a_thousand_rows_stay_small(self, tmp_path: Path) -> None:
        assert self.write(tmp_path / "report.html", 1000) < 12e6  # a row: 8.2 kB of base64 and 3 kB of text
        assert (tmp_path / "report.html").read_bytes().count(b'<tr class="more"') == 1000

    def test_memory_holds_no_rows(self, tmp_path: Path) -> None:
        tracemalloc.start()
        written = self.write(tmp_path / "report.html", 200)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert written > 1.9e6
        assert peak < 0.5e6

    def test_strips_are_wanted_of_the_first_inputs_only(self, tmp_path: Path) -> None:
        with Page(tmp_path / "report.html", about()) as page:
            wanted = [page.wanted(number) for number in range(1000)]
        assert wanted == ["strips"] * WHOLE_STRIPS + ["poster"] * (1000 - WHOLE_STRIPS)

    def test_it_is_said_where_clips_are_not_shown(self, tmp_path: Path) -> None:
        said = f"Every clip is shown of the first {WHOLE_STRIPS} inputs"
        assert said not in page_of(tmp_path, ok(), error(), ok()).text
        with Page(tmp_path / "report.html", about()) as page:
            page.take(ok(), PICTURES)
            page.take(ok(), Pictures(PICTURES.poster))
        assert said in read_page(tmp_path / "report.html").text
