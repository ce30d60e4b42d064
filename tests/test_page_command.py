"""`mvit predict --report`: the page has the rows of the run and takes no other file's place."""

import json
import os
import shutil
from itertools import groupby
from pathlib import Path

import pytest
from media_clips import clip
from pages import Element, picture, read_page
from PIL import Image

from mvit_cli.cli.main import run

Captured = pytest.CaptureFixture[str]
CLIP = str(Path(__file__).parent / "data" / "pan_left.mp4")


pytestmark = pytest.mark.usefixtures("decoding_in_this_process")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Good, odd and broken files."""
    folder = tmp_path / "inputs"
    folder.mkdir()
    shutil.copy(clip("rot90.mp4"), folder / "a <b>good<b> & fine.mp4")
    (folder / "b text.mp4").write_text("not a video")
    Image.new("RGB", (60, 40), (200, 30, 90)).save(folder / "c still.png")
    shutil.copy(clip("seventeen_frames.mp4"), os.fsdecode(os.fsencode(folder) + b"/d caf\xe9.mp4"))
    (folder / "e empty.mp4").touch()
    return folder


def names(page: Element) -> list[str]:
    return [cell.all("span", "name")[0].text for cell in page.all("th", "input")]


def test_the_page_has_what_stdout_has(capsys: Captured, tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    assert run(["predict", CLIP, "--preset", "camera", "--report", str(target), "-q"]) == 0
    row = json.loads(capsys.readouterr().out)
    page = read_page(target)
    (line,) = page.all("tr", "line")
    scores = [entry["score"] for entry in row["predictions"]]
    assert line.values() == [1, scores[0], row["duration_s"], 2]
    assert page.all("tr", "more")[0].values() == scores
    assert [title.text for title in page.all("h1")] == [CLIP]
    assert [image.attributes["alt"] for image in page.all("img")][1:] == [
        f"clip {number} of 3, {part['start_s']:.2f} to {part['end_s']:.2f} s, 16 frames"
        for number, part in enumerate(row["clips"], 1)
    ]
    for image in page.all("img"):
        _, opened = picture(image)
        assert len(opened.getcolors(1 << 20) or ()) > 1000  # a photograph, not a plain
    assert "camera_motion.embedded" in page.text
    assert "Apache-2.0 (this project)" in page.text


def test_a_folder_of_strange_and_broken_files_is_an_index(
    capsys: Captured, weights: str, folder: Path, tmp_path: Path
) -> None:
    target = tmp_path / "report.html"
    assert run(["predict", str(folder), "--weights", weights, "--report", str(target), "-q"]) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    page = read_page(target)
    assert names(page) == ["a <b>good<b> & fine.mp4", "b text.mp4", "c still.png", r"d caf\udce9.mp4", "e empty.mp4"]
    states = [cell.text for cell in page.all("td", "state")]
    assert [state.partition(":")[0] for state in states if state.startswith("error")] == ["error decode", "error empty"]
    for row in rows:
        assert row.get("error", {"message": "still image"})["message"] in page.text or row["status"] == "ok"
    assert "5 inputs: 3 ok, 2 failed (decode 1, empty 1)" in page.all("p", "state")[0].text
    assert "normalisation" in page.all("header")[0].text  # what was assumed of weights without a card


def test_without_the_option_the_rows_are_the_same(capsys: Captured, weights: str, tmp_path: Path) -> None:
    def scores(*options: str) -> dict:
        assert run(["predict", clip("rot90.mp4"), "--weights", weights, "-q", *options]) == 0
        row = json.loads(capsys.readouterr().out)
        return {key: value for key, value in row.items() if key != "timing_ms"}

    assert scores() == scores("--report", str(tmp_path / "report.html"))


def test_a_page_of_an_earlier_run_is_replaced(weights: str, tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    target.write_text("older " * 1_000_000)
    assert run(["predict", clip("rot90.mp4"), "--weights", weights, "-q", "--force", "--report", str(target)]) == 0
    assert names(read_page(target)) == ["rot90.mp4"]


def test_paths_on_standard_input_give_a_page(
    weights: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed, target = tmp_path / "list", tmp_path / "report.html"
    listed.write_text("".join(f"{folder / name}\n" for name in ("c still.png", "nowhere.mp4")))
    with listed.open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        assert run(["predict", "-", "--weights", weights, "-q", "--report", str(target)]) == 1
    assert names(read_page(target)) == ["c still.png", "nowhere.mp4"]


def test_fail_fast_leaves_a_complete_page(weights: str, folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    assert run(["predict", str(folder), "--weights", weights, "-q", "--fail-fast", "--report", str(target)]) == 1
    assert len(names(read_page(target))) == 2


def test_windows_of_one_input_are_one_timeline_with_frames(capsys: Captured, weights: str, tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    options = ["--weights", weights, "--window", "0.5", "--report", str(target), "-q"]
    assert run(["predict", clip("rot90.mp4"), *options]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    page = read_page(target)
    assert len(rows) > 1
    assert names(page) == ["rot90.mp4"]
    assert page.all("p", "state")[0].text.startswith(f"1 input in {len(rows)} windows: {len(rows)} ok;")
    spans = page.all("table", "spans")[0].all("tbody")[0].all("tr")
    assert [span.all("span", "label")[0].text for span in spans] == [
        label for label, _ in groupby(row["predictions"][0]["label"] for row in rows)
    ]
    assert spans[0].values()[0] == 0
    assert spans[-1].values()[1] == rows[-1]["window"]["end_s"]
    assert len(page.all("img")) == 1 + len(spans)


class TestResume:
    def options(self, weights: str, folder: Path, tmp_path: Path, *more: str) -> list[str]:
        output, target = str(tmp_path / "rows.jsonl"), str(tmp_path / "report.html")
        return ["predict", str(folder), "--weights", weights, "-q", "--output", output, "--report", target, *more]

    def test_rows_of_earlier_runs_come_first_without_frames(self, weights: str, folder: Path, tmp_path: Path) -> None:
        assert run(self.options(weights, folder, tmp_path)) == 1
        os.unlink(tmp_path / "report.html")
        shutil.copy(clip("rot90.mp4"), folder / "f new.mp4")
        assert run(self.options(weights, folder, tmp_path, "--resume")) == 1
        page = read_page(tmp_path / "report.html")
        assert len(names(page)) == 6
        assert names(page)[-1] == "f new.mp4"
        pictures = [len(part.all("img")) > 0 for part in page.all("tbody") if part.all("th", "input")]
        assert pictures == [False] * 5 + [True]
        assert "6 inputs: 1 ok, 5 skipped (done before)" in page.all("p", "state")[0].text

    def test_where_all_is_done_the_page_has_all(self, weights: str, folder: Path, tmp_path: Path) -> None:
        assert run(self.options(weights, folder, tmp_path)) == 1
        os.unlink(tmp_path / "report.html")
        rows = (tmp_path / "rows.jsonl").read_bytes()
        assert run(self.options(weights, folder, tmp_path, "--resume")) == 1
        assert len(names(read_page(tmp_path / "report.html"))) == 5
        assert (tmp_path / "rows.jsonl").read_bytes() == rows

    def test_errors_that_are_done_again_are_not_told_twice(self, weights: str, folder: Path, tmp_path: Path) -> None:
        assert run(self.options(weights, folder, tmp_path)) == 1
        assert run(self.options(weights, folder, tmp_path, "--resume", "--retry-errors")) == 1
        assert sorted(names(read_page(tmp_path / "report.html"))) == [
            *("a <b>good<b> & fine.mp4", "b text.mp4", "c still.png", r"d caf\udce9.mp4", "e empty.mp4")
        ]


class TestPlaces:
    def refused(self, capsys: Captured, code: int, *options: str) -> str:
        assert run(["predict", *options]) == code
        told = capsys.readouterr()
        assert told.out == ""
        return told.err

    def test_a_missing_folder(self, capsys: Captured, tmp_path: Path) -> None:
        target = tmp_path / "nowhere" / "report.html"
        told = self.refused(capsys, 1, "x.mp4", "--report", str(target))
        assert f"--report {target}: there is no folder {target.parent}" in told
        assert f"mkdir -p {target.parent}" in told

    def test_a_folder(self, capsys: Captured, tmp_path: Path) -> None:
        told = self.refused(capsys, 2, "x.mp4", "--report", str(tmp_path))
        assert f"--report {tmp_path} is a folder" in told
        assert str(tmp_path / "report.html") in told

    def test_what_is_read(self, capsys: Captured, folder: Path) -> None:
        video = folder / "a <b>good<b> & fine.mp4"
        before = video.read_bytes()
        assert "would overwrite" in self.refused(capsys, 2, str(video), "--report", str(video))
        assert video.read_bytes() == before

    def test_the_file_of_the_rows(self, capsys: Captured, tmp_path: Path) -> None:
        target = str(tmp_path / "rows.jsonl")
        assert "name two files" in self.refused(capsys, 2, "x.mp4", "--output", target, "--report", target)
        assert not os.path.exists(target)

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="devices of POSIX")
    def test_a_device(self, capsys: Captured) -> None:
        assert "is no regular file" in self.refused(capsys, 2, "x.mp4", "--report", "/dev/full")

    def test_what_may_not_be_written(self, capsys: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("os.access", lambda path, mode: False)
        assert "no permission" in self.refused(capsys, 1, "x.mp4", "--report", str(tmp_path / "report.html"))

    def test_a_failed_start_leaves_the_older_page(self, weights: str, tmp_path: Path) -> None:
        target = tmp_path / "report.html"
        target.write_text("older")
        assert run(["predict", "x.mp4", "--preset", "B", "--weights", weights, "--force", "--report", str(target)]) == 1
        assert target.read_text() == "older"
