"""`--boxes`: files of boxes, and rows of their tracks."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from media_clips import write_lossless
from schemas import problems

import mvit_cli
from mvit_cli.cli.main import run
from mvit_cli.errors import MViTError, UsageError
from mvit_cli.media.sources import iter_sources
from mvit_cli.recognition.listing import Listing, Shard
from mvit_cli.recognition.rows import told_of
from mvit_cli.recognition.tracked import Boxes, read_boxes

Boxed = dict[str, Any]
SQUARES = {"left": (20, 20), "right": (200, 120)}
"""Upper left corners of two windows of 90 x 90 pixels, in a film of 320 x 240."""


def box(at: float = 0, name: Any = 1, path: str | None = "film.mkv", **changed: Any) -> Boxed:
    row = {"path": path, "frame": at, "id": name, "x": 20, "y": 20, "w": 90, "h": 90} | changed
    return {key: value for key, value in row.items() if value is not None}


def written(folder: Path, *rows: Boxed, name: str = "tracks.jsonl") -> Path:
    file = folder / name
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def tracks_in(boxes: Boxes, *paths: str) -> list[tuple[str, str, Any]]:
    found = boxes.sources(iter_sources(paths or boxes.names))
    return [(one.path, one.track.name, one.track.boxes) if one.track else (one.path, "", one.error) for one in found]


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    """In the left window a texture goes left by 2 pixels a frame, as if a camera panned right; the right one stands."""
    texture = np.kron(np.random.default_rng(0).integers(0, 255, (15, 67, 3)), np.ones((6, 6, 1))).astype(np.uint8)
    pictures = []
    for number in range(56):
        picture = np.full((240, 320, 3), 90, np.uint8)
        picture[20:110, 20:110] = texture[:, 2 * number : 2 * number + 90]
        picture[120:210, 200:290] = texture[:, 300:390]
        pictures.append(picture)
    return pictures


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory, frames: list[np.ndarray]) -> Path:
    folder = tmp_path_factory.mktemp("film")
    write_lossless(folder / "film.mkv", frames)
    written(folder, *(box(at, name, x=x, y=y) for name, (x, y) in SQUARES.items() for at in (0, 55)))
    return folder


# --- files


def test_boxes_of_one_path_and_id_are_a_track_in_any_order(tmp_path: Path) -> None:
    file = written(tmp_path, box(9, 2), box(3, 1), box(1, "1", x=5), box(0, 1, "other.mkv", score=0.5), box(4, 2))
    path, other = str(tmp_path / "film.mkv"), str(tmp_path / "other.mkv")
    boxes = read_boxes(file)
    assert boxes.names == (path, other)
    assert [(name, [one[0] for one in track.boxes()]) for name, track in boxes.tracks[path].items()] == [
        ("2", [4, 9]),
        ("1", [1, 3]),
    ]
    assert next(boxes.tracks[path]["1"].boxes()) == (1, 5, 20, 90, 90)
    assert list(boxes.tracks[other]) == ["1"]


def test_tables_and_motchallenge_say_the_same_as_json_lines(tmp_path: Path) -> None:
    lines = written(tmp_path, box(0, 3, x=4.5), box(2, 3))
    (tmp_path / "t.csv").write_text(
        "\ufeffid,path,frame,x,y,w,h,score\n3,film.mkv,0,4.5,20,90,90,\n3,film.mkv,2,20,20,90,90,1\n"
    )
    (tmp_path / "t.tsv").write_text(
        "path\tid\tframe\tx\ty\tw\th\r\nfilm.mkv\t3\t0\t4.5\t20\t90\t90\r\nfilm.mkv\t3\t2\t20\t20\t90\t90\r\n"
    )
    (tmp_path / "t.txt").write_text("1,3,4.5,20,90,90,1,-1,-1,-1\n3, 3,20,20,90,90,0.9,-1,-1,-1\n")
    film = str(tmp_path / "film.mkv")
    (tmp_path / "film.mkv").touch()
    expected = tracks_in(read_boxes(lines), film)
    assert [one[:2] for one in expected] == [(film, "3")]
    for name in ("t.csv", "t.tsv", "t.txt"):
        assert tracks_in(read_boxes(tmp_path / name), film) == expected


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "ü.mp4", "x,y"]),
            st.sampled_from([1, "left", "7"]),
            st.integers(0, 10**9),
            *[st.floats(-1e6, 1e6) for _ in range(2)],
            *[st.floats(1, 1e6) for _ in range(2)],
        ),
        min_size=1,
        unique_by=lambda one: (one[0], str(one[1]), one[2]),
    )
)
def test_all_boxes_come_back_sorted(tmp_path_factory: pytest.TempPathFactory, rows: list[Any]) -> None:
    keys = ("path", "id", "frame", "x", "y", "w", "h")
    file = written(tmp_path_factory.mktemp("any"), *(dict(zip(keys, row, strict=True)) for row in rows))
    found = [
        (os.path.basename(path), name, *one)
        for path, tracks in read_boxes(file).tracks.items()
        for name, track in tracks.items()
        for one in track.boxes()
    ]
    assert sorted(found) == sorted((path, str(name), *map(float, rest)) for path, name, *rest in rows)
    for _, group in _grouped(found).items():
        assert group == sorted(group)


def _grouped(found: list[Any]) -> dict[Any, list[float]]:
    groups: dict[Any, list[float]] = {}
    for path, name, at, *_ in found:
        groups.setdefault((path, name), []).append(at)
    return groups


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode), st.sampled_from(["jsonl", "csv", "tsv", "txt"]))
def test_whatever_a_file_has_it_is_boxes_or_one_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, suffix: str
) -> None:
    file = tmp_path_factory.mktemp("any") / f"tracks.{suffix}"
    file.write_bytes(data)
    with pytest.raises(MViTError) as caught:
        read_boxes(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (box(x=None), "line 2: no x; it has 'path', 'frame', 'id', 'y', 'w', 'h'"),
        (box(x=float("nan")), "line 2: x is NaN, which is no number of pixels"),
        (box(y=1e300), r"line 2: y is 1e\+300"),
        (box(w="wide"), 'line 2: w is "wide"'),
        (box(h=True), "line 2: h is true"),
        (box(h=10**400), "line 2: h is 1000"),
        (box(w=-4), "line 2: a box of -4 x 90 pixels"),
        (box(h=0), "line 2: a box of 90 x 0 pixels"),
        (box(w=0.2, h=0.5), "line 2: a box of 0.2 x 0.5 pixels"),
        (box(name=None), "line 2: no id"),
        (box(name=[1]), r"line 2: an id that is \[1\]"),
        (box(name="a\ud800"), "line 2: a id that has letters that are none"),
        (box(frame=None), "line 2: neither frame nor second"),
        (box(second=1), "line 2: both frame and second"),
        (box(at=1.5), "line 2: frame 1.5 is no number of a frame"),
        (box(at=-1), "line 2: frame -1 is no number of a frame"),
        (box(frame=None, second=-0.1), "line 2: second -0.1 is no time"),
        (box(frame=None, second=2), "line 2: track 1 has boxes by frame and by second"),
        (box(path=None), "line 2: some boxes have a path and others have none"),
        (box(path=7), "line 2: a path that is 7"),  # type: ignore[arg-type]
        (box(7), "line 2: track 1 has a box at this frame already, in line 1"),
    ],
)
def test_a_line_that_is_no_box_is_an_error_before_any_work(tmp_path: Path, row: Boxed, said: str) -> None:
    with pytest.raises(MViTError, match=said) as caught:
        read_boxes(written(tmp_path, box(7), row))
    assert caught.value.hint


def test_files_that_are_none_say_what_they_are(tmp_path: Path) -> None:
    def refused(name: str, data: bytes | str, said: str) -> None:
        file = tmp_path / name
        file.write_bytes(data if isinstance(data, bytes) else data.encode())
        with pytest.raises(MViTError, match=said):
            read_boxes(file)

    refused("empty.jsonl", "\n\n", "has no boxes")
    refused("list.jsonl", json.dumps([box()]), "line 1: no object")
    refused("long.jsonl", json.dumps(box(name="7" * 70_000)), "line 1: longer than 65,536 letters")
    refused("deep.jsonl", "[" * 60_000, "line 1: not JSON")
    refused("latin.csv", "path,id,é".encode("latin-1"), "is not UTF-8")
    refused("ragged.csv", "path,id,frame,x,y,w,h\na,1,2\n", "line 2: 3 values, and 7 columns")
    refused("yolo.txt", "0 0.5 0.5 0.1 0.2\n", "line 1: 1 values with commas")
    refused("zero.txt", "0,1,2,3,4,5\n", "frame 0, and MOTChallenge counts from 1")
    for missing in (tmp_path, tmp_path / "none.jsonl"):
        with pytest.raises(UsageError, match=r"is a folder|is not there"):
            read_boxes(missing)
    with pytest.raises(UsageError, match="--box-margin nan is no margin"):
        read_boxes(written(tmp_path, box()), float("nan"))


def test_a_path_is_found_as_it_is_named_where_it_leads_or_by_its_name(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("videos/a.mkv", "videos/b.mkv", "other/a.mkv"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    file = written(tmp_path, box(path="videos/a.mkv"), box(path="/gone/b.mkv"), box(path="c.mkv"))

    def found(*paths: str) -> list[tuple[str, str]]:
        return [one[:2] for one in tracks_in(read_boxes(file.name), *paths)]

    assert found("videos/a.mkv") == [("videos/a.mkv", "1")]
    assert found(str(tmp_path / "videos" / "a.mkv")) == [(str(tmp_path / "videos" / "a.mkv"), "1")]
    assert found("videos/b.mkv") == [("videos/b.mkv", "1")]  # nothing lies where it was said to
    boxes = read_boxes(file.name)
    ((path, track, error),) = tracks_in(boxes, "other/a.mkv")  # the boxes are of another file of this name
    assert (path, track, error.message) == ("other/a.mkv", "", "tracks.jsonl has no boxes of it")
    assert boxes.unused() == "3 tracks of 3 files in tracks.jsonl are of no input"


@pytest.mark.slow
def test_a_million_boxes_take_a_tenth_of_a_gigabyte(tmp_path: Path) -> None:
    """Of numbers there are 48 MB; the rest is the interpreter with what it loads."""
    file = tmp_path / "many.txt"
    with file.open("w") as lines:
        for number in range(1_000_000):
            lines.write(f"{number // 100 + 1},{number % 100},1,2,3,4\n")
    code = "import resource, sys; from mvit_cli.recognition.tracked import read_boxes; read_boxes(sys.argv[1]); "
    code += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 150_000  # KiB; measured: 74,124


def test_parts_of_a_run_have_all_tracks_of_one_film_once(tmp_path: Path) -> None:
    (tmp_path / "film.mkv").touch()
    file = written(tmp_path, *(box(0, number) for number in range(40)))
    parts = [Listing((), shard=Shard(index, 3), boxes=read_boxes(file)) for index in range(3)]
    found = [[source.track.name for source in part.sources() if source.track] for part in parts]
    assert sorted(map(int, (name for part in found for name in part))) == list(range(40))
    assert all(found)


# --- rows


def rows_of(output: str) -> list[Any]:
    return [json.loads(line) for line in output.splitlines()]


def scores(row: Any) -> dict[str, float]:
    return {entry["label"]: entry["score"] for entry in row["predictions"]}


@pytest.mark.usefixtures("decoding_in_this_process")
@pytest.mark.parametrize("margin", ["0", "0.25"])
def test_each_track_has_the_row_of_a_video_that_is_cropped(
    film: Path, frames: list[np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str], margin: str
) -> None:
    asked = ["predict", str(film / "film.mkv"), "--boxes", str(film / "tracks.jsonl"), "--box-margin", margin]
    assert run([*asked, "--preset", "camera", "--views", "1x1", "--top", "10", "--format", "jsonl"]) == 0
    rows = rows_of(capsys.readouterr().out)
    assert [fault for row in rows for fault in problems("predict", row)] == []
    assert [row["track"] for row in rows] == ["left", "right"]
    if margin == "0":  # else the surroundings stand still, and it is the camera that is asked about
        assert [row["predictions"][0]["label"] for row in rows] == ["pan right", "static"]
    side = 90 + int(180 * float(margin))
    for row, (x, y) in zip(rows, SQUARES.values(), strict=True):
        left = min(max(0, int(x + 45 - side / 2 + 0.5)), 320 - side)
        top = min(max(0, int(y + 45 - side / 2 + 0.5)), 240 - side)
        cut = [frame[top : top + side, left : left + side] for frame in frames]
        (alone,) = mvit_cli.predict(write_lossless(tmp_path / "cut.mkv", cut), preset="camera", views="1x1", top=10)
        # The same pixels; a batch of two has its sums in another order than one of one.
        assert scores(row) == pytest.approx(scores(alone), abs=1e-5)
        assert row["clips"] == alone.get("clips")


@pytest.mark.usefixtures("decoding_in_this_process")
def test_the_heat_of_a_track_is_that_of_a_video_that_is_cropped(
    film: Path, frames: list[np.ndarray], tmp_path: Path, weights: str
) -> None:
    alike = written(
        tmp_path, *(box(at, name, path=str(film / "film.mkv")) for name in ("a b", "a/b") for at in (0, 55))
    )
    cut = write_lossless(tmp_path / "cut.mkv", [frame[20:110, 20:110] for frame in frames])
    options = ["--weights", weights, "--views", "2x1", "--quiet", "-o", str(tmp_path / "rows.jsonl"), "--heatmap"]
    assert run(["predict", "--boxes", str(alike), "--box-margin", "0", *options, str(tmp_path / "tracks")]) == 0
    assert run(["predict", cut, "--force", *options, str(tmp_path / "alone")]) == 0
    (expected,) = (np.load(path) for path in (tmp_path / "alone").glob("*.npz"))
    found = sorted((tmp_path / "tracks").glob("*.npz"))
    assert [path.name.partition("-a_b-")[0] for path in found] == ["film.mkv.track"] * 2  # and what tells them apart
    assert {str(np.load(path)["track"]) for path in found} == {"a b", "a/b"}
    for path in found:
        heat = np.load(path)
        # Pixels are the same; sums of float32 come in another order where a batch has other views beside them.
        np.testing.assert_allclose(heat["heat"], expected["heat"], atol=1e-5 * np.abs(expected["heat"]).max())
        assert heat["boxes"].shape == (2, 1, 4)
        np.testing.assert_array_equal(heat["boxes"][1], expected["boxes"])
        np.testing.assert_array_equal(heat["times_s"], expected["times_s"])
    assert len(list((tmp_path / "tracks").glob("*.webp"))) == 4


@pytest.mark.usefixtures("decoding_in_this_process")
def test_a_run_goes_on_with_the_tracks_that_have_no_row(film: Path, tmp_path: Path, weights: str) -> None:
    def done(output: Path, boxes: Path, *more: str, code: int = 0) -> None:
        asked = ["predict", str(film / "film.mkv"), "--boxes", str(boxes), "--weights", weights, "-o", str(output)]
        assert run([*asked, "--quiet", *more]) == code

    whole = film / "tracks.jsonl"
    left = written(tmp_path, *(row for row in rows_of(whole.read_text()) if row["id"] == "left"))
    for name in ("rows.jsonl", "rows.csv"):
        output = tmp_path / name
        done(output, left)
        before = output.read_bytes()
        done(output, whole, "--resume")
        assert output.read_bytes().startswith(before)
        lines = output.read_text().splitlines()
        assert [("left" in line, "right" in line) for line in lines[-2:]] == [(True, False), (False, True)]
        after = output.read_bytes()
        done(output, whole, "--resume")
        assert output.read_bytes() == after
        done(output, whole, "--resume", "--box-margin", "0.5")  # shown otherwise: other rows
        assert len(output.read_text().splitlines()) == len(lines) + 2


@pytest.mark.usefixtures("decoding_in_this_process")
def test_errors_of_tracks_are_done_again(film: Path, tmp_path: Path, weights: str) -> None:
    output = tmp_path / "rows.jsonl"
    far = written(tmp_path, box(0, "here", path=str(film / "film.mkv")), box(500, "far", path=str(film / "film.mkv")))
    asked = ["predict", "--boxes", str(far), "--weights", weights, "-o", str(output), "--quiet"]
    assert run(asked) == 1
    here, there = rows_of(output.read_text())
    assert problems("predict", here) == problems("predict", there) == []
    assert (here["status"], there["status"], there["track"]) == ("ok", "error", "far")
    assert there["error"]["message"] == "its boxes begin at frame 500, the file has 56 frames, from 0"
    assert run([*asked, "--resume", "--retry-errors"]) == 1
    again = rows_of(output.read_text())
    assert again[0] == here
    assert again[1] == there


@pytest.mark.usefixtures("decoding_in_this_process")
def test_what_is_wrong_with_the_request_is_one_line(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(film)
    unnamed = str(written(tmp_path, box(path=None)))

    def refused(*asked: str) -> str:
        assert run(["predict", *asked]) == 2
        error, hint = capsys.readouterr().err.splitlines()
        assert hint.startswith("hint: ")
        return error.removeprefix("error: ")

    assert refused() == "Missing argument 'INPUT...'"
    assert refused("film.mkv", "--box-margin", "1").startswith("--box-margin says how boxes are shown")
    assert refused("film.mkv", "--boxes", "none.jsonl") == "--boxes none.jsonl is not there"
    assert refused("film.mkv", "--boxes", "tracks.jsonl", "--window", "1").startswith("--boxes gives a row")
    assert refused("film.mkv", "--boxes", "tracks.jsonl", "--box-margin", "-1") == "--box-margin -1 is no margin"
    assert "does not say of which file" in refused("--boxes", unnamed)
    assert "2 inputs are named" in refused("film.mkv", "film.mkv", "--boxes", unnamed)
    assert ". is a folder" in refused(".", "--boxes", unnamed)


@pytest.mark.usefixtures("decoding_in_this_process")
def test_page_table_and_log_name_the_track(
    film: Path, tmp_path: Path, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    page, log = tmp_path / "page.html", tmp_path / "log.jsonl"
    both = written(tmp_path, box(0, "<b>", path=str(film / "film.mkv")), box(90, "late", path=str(film / "film.mkv")))
    asked = ["predict", "--boxes", str(both), "--weights", weights, "--format", "table", "--no-stages"]
    assert run([*asked, "--report", str(page), "--log", str(log)]) == 1
    assert "film.mkv, track <b>\n" in capsys.readouterr().out
    assert ", track &lt;b&gt;</span>" in page.read_text()
    (event,) = [event for event in rows_of(log.read_text()) if event["event"] == "error"]
    assert event["track"] == "late"
    assert [fault for line in rows_of(log.read_text()) for fault in problems("log", line)] == []


@pytest.mark.usefixtures("decoding_in_this_process")
def test_python_has_tracks_too(film: Path, weights: str) -> None:
    file = film / "tracks.jsonl"
    rows = list(mvit_cli.predict(boxes=file, weights=weights))
    assert [row.get("track") for row in rows] == ["left", "right"]
    with mvit_cli.Recogniser(weights=weights) as recogniser:
        again = list(recogniser.predict(film / "film.mkv", boxes=mvit_cli.read_boxes(file, margin=0.25)))
        with pytest.raises(UsageError, match="not of what is in memory"):
            list(recogniser.predict(b"bytes", boxes=mvit_cli.read_boxes(file)))
    for one, other in zip(rows, again, strict=True):
        assert one.get("boxes_digest") == other.get("boxes_digest")
        assert scores(one) == pytest.approx(scores(other))
    with pytest.raises(UsageError, match="window_s"):
        mvit_cli.predict(boxes=file, weights=weights, window_s=1.0)


def test_a_row_without_a_track_is_as_it_was() -> None:
    row: Any = {"path": "a", "status": "error"}
    assert told_of("a", None, row) is row


def test_what_a_detector_says_becomes_tracks_by_the_recipe(tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs" / "recipes.md").read_text()
    names: dict[str, Any] = {}
    exec(next(block.split("```")[0] for block in page.split("```python\n") if "def write_tracks" in block), names)
    seen = SimpleNamespace(id=np.array([3.0, 4.0]), xyxy=np.array([[1.0, 2.0, 11.0, 22.0], [0.0, 0.0, 9.0, 8.0]]))
    results = [SimpleNamespace(boxes=boxes) for boxes in (seen, SimpleNamespace(id=None, xyxy=np.zeros((0, 4))), seen)]
    file = tmp_path / "tracks.jsonl"
    with file.open("w") as out:
        names["write_tracks"](results, "film.mp4", out)
    tracks = read_boxes(file).tracks[str(tmp_path / "film.mp4")]
    assert list(tracks["3"].boxes()) == [(0, 1, 2, 10, 20), (2, 1, 2, 10, 20)]
    assert list(tracks["4"].boxes()) == [(0, 0, 0, 9, 8), (2, 0, 0, 9, 8)]
