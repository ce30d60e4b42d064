"""`mvit_cli.Recogniser`: a network loaded once, asked of files and of what is in memory, by many threads."""

import asyncio
import io
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import mvit_cli
from mvit_cli import Recogniser
from mvit_cli.errors import UsageError
from mvit_cli.records import OkRow, Row

ROOT = Path(__file__).parent.parent
CLIP = ROOT / "tests" / "data" / "pan_left.mp4"
FOLDER = ROOT / "tests" / "data" / "clips"


@pytest.fixture(scope="module")
def camera() -> Iterator[Recogniser]:
    with Recogniser("camera") as recogniser:
        yield recogniser


@pytest.fixture(scope="module")
def frames() -> NDArray[np.uint8]:
    """All frames of the clip, by PyAV's own loop."""
    with av.open(str(CLIP)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def one(rows: Iterator[Row]) -> OkRow:
    (row,) = rows
    assert row["status"] == "ok", row
    return row


def without_times(row: Row) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in ("timing_ms", "path", "reader")}


def test_files_give_the_rows_of_predict(camera: Recogniser) -> None:
    expected = [without_times(row) for row in mvit_cli.predict([FOLDER, "nowhere.mp4"], preset="camera")]
    found = [without_times(row) for row in camera.predict([FOLDER, "nowhere.mp4"])]
    assert len(found) == len(expected)
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.keys() == theirs.keys()
        for key in mine.keys() - {"predictions"}:
            assert mine[key] == theirs[key]
        for a, b in zip(mine.get("predictions", ()), theirs.get("predictions", ()), strict=True):
            assert a["label"] == b["label"]
            assert a["score"] == pytest.approx(b["score"], abs=1e-6)  # batches follow timing: sums in another order


def test_frames_in_memory_give_the_row_of_their_file(camera: Recogniser, frames: NDArray[np.uint8]) -> None:
    file, memory = one(camera.predict(CLIP)), one(camera.predict(frames, fps=25))
    assert memory["clips"] == file["clips"]
    assert memory["duration_s"] == file["duration_s"]
    assert memory["warnings"] == file["warnings"]
    assert (memory["path"], memory["reader"]) == ("frames", "memory")
    scores = {entry["label"]: entry["score"] for entry in file["predictions"]}
    for entry in memory["predictions"]:  # the same frames; readers convert colours within a rounding
        assert entry["score"] == pytest.approx(scores[entry["label"]], abs=0.02)


def test_the_shape_frames_come_in_does_not_matter(camera: Recogniser, frames: NDArray[np.uint8]) -> None:
    pictures = [Image.fromarray(frame) for frame in frames]
    expected = one(camera.predict(frames, fps=25))["predictions"]
    for same in (torch.from_numpy(frames), list(frames), pictures, tuple(pictures)):
        assert one(camera.predict(same, fps=25))["predictions"] == expected


def test_without_a_rate_each_frame_is_one_of_the_clips(camera: Recogniser, frames: NDArray[np.uint8]) -> None:
    sixteen = frames[::4][:16]
    row = one(camera.predict(sixteen))
    assert row["warnings"] == ["no fps was given: each frame was taken for one of a clip's"]
    clips = camera.preprocess(sixteen)
    assert clips.shape == (3, 3, 16, 96, 96)
    assert torch.equal(clips[0], clips[1])  # there is only one clip in them
    assert not torch.equal(clips[0, :, 0], clips[0, :, 1])


@pytest.mark.parametrize("how", ["bytes", "memory", "file"])
def test_bytes_and_open_files_give_the_row_of_their_file(camera: Recogniser, how: str) -> None:
    expected = one(camera.predict(CLIP))
    with CLIP.open("rb") as opened:
        given: Any = {"bytes": CLIP.read_bytes(), "memory": io.BytesIO(CLIP.read_bytes()), "file": opened}[how]
        row = one(camera.predict(given, name=None if how == "file" else "upload.mp4"))
    assert row["predictions"] == expected["predictions"]
    assert row["path"] == (str(CLIP) if how == "file" else "upload.mp4")


def test_bytes_that_are_no_video_are_an_error_row(camera: Recogniser) -> None:
    (row,) = camera.predict(b"<html></html>", name="page")
    assert row["status"] == "error"
    assert (row["path"], row["error"]["kind"]) == ("page", "decode")
    assert "/tmp" not in str(row)


def test_eight_threads_get_the_rows_of_one(camera: Recogniser, frames: NDArray[np.uint8]) -> None:
    file, memory = one(camera.predict(CLIP)), one(camera.predict(frames, fps=25))
    start = threading.Barrier(8)

    def ask(number: int) -> list[OkRow]:
        start.wait()
        return [one(camera.predict(CLIP) if (number + turn) % 2 else camera.predict(frames, fps=25)) for turn in (0, 1)]

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(ask, range(8)))
    for number, rows in enumerate(answers):
        for turn, row in enumerate(rows):
            expected = file if (number + turn) % 2 else memory
            assert row["predictions"] == expected["predictions"]  # one file is one batch: to the bit


def test_workers_stay_from_call_to_call(camera: Recogniser) -> None:
    one(camera.predict(CLIP))
    before = [worker for pool in camera._idle for worker in pool.workers]
    assert before
    one(camera.predict(CLIP))
    assert [worker for pool in camera._idle for worker in pool.workers] == before


def test_an_iterator_that_is_dropped_gives_its_workers_back(camera: Recogniser) -> None:
    rows = camera.predict([CLIP, CLIP, CLIP])
    next(rows)
    rows.close()
    assert one(camera.predict(CLIP))["predictions"][0]["label"] == "pan left"


def test_logits_and_features_are_those_of_the_network(camera: Recogniser) -> None:
    clips = camera.preprocess(CLIP)
    assert clips.shape == (3, 3, 16, 96, 96)
    assert clips.dtype == torch.float32
    model = mvit_cli.load_model("camera", "camera_motion.embedded")
    with torch.inference_mode():
        torch.testing.assert_close(camera.logits(clips), model(clips), atol=1e-4, rtol=0)  # the fast path's tolerance
        torch.testing.assert_close(camera.features(clips), model.features(clips), atol=1e-4, rtol=0)
    assert camera.features(clips, "scale3").shape == (3, 128, 4, 4, 4)
    scores = camera.logits(clips).softmax(-1).mean(0)
    assert camera.labels is not None
    assert camera.labels[int(scores.argmax())] == "pan left"
    assert float(scores.max()) == pytest.approx(one(camera.predict(CLIP))["predictions"][0]["score"], abs=1e-5)


def test_preprocess_needs_no_network(frames: NDArray[np.uint8], camera: Recogniser) -> None:
    assert torch.equal(mvit_cli.preprocess(CLIP, "camera"), camera.preprocess(CLIP))
    assert torch.equal(mvit_cli.preprocess(frames, "camera", fps=25), camera.preprocess(frames, fps=25))
    # Published, and not on this machine: its card says how it wants to be shown a file.
    assert mvit_cli.preprocess(CLIP, "B", views=(2, 3)).shape == (6, 3, 16, 224, 224)
    picture = Image.new("RGB", (300, 200), (255, 0, 0))
    clip = mvit_cli.preprocess(picture, "mvitv2_tiny")
    assert clip.shape == (1, 3, 1, 224, 224)
    # ImageNet's statistics, of pure red
    assert clip[0, :, 0, 0, 0].tolist() == pytest.approx([(1 - 0.485) / 0.229, -0.456 / 0.224, -0.406 / 0.225])


def test_a_single_frame_is_refused_where_motion_is_asked_for(camera: Recogniser) -> None:
    (row,) = camera.predict(Image.new("RGB", (64, 64)))
    assert row["status"] == "error"
    assert row["error"]["message"] == "a single frame, where a video is needed"


@pytest.mark.parametrize(
    ("frames", "fps", "message"),
    [
        (np.zeros((4, 3, 32, 32), np.uint8), 25, r"\(T, H, W, 3\)"),
        (np.zeros((4, 32, 32, 3), np.float32), 25, "float32"),
        (np.zeros((0, 32, 32, 3), np.uint8), 25, "shape"),
        ([np.zeros((32, 32, 3), np.uint8), np.zeros((16, 32, 3), np.uint8)], 25, "one size"),
        (np.zeros((4, 32, 32, 3), np.uint8), 0, "no rate"),
    ],
)
def test_frames_that_are_none_say_what_is_wanted(camera: Recogniser, frames: Any, fps: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list(camera.predict(frames, fps=fps))


def test_progress_is_told(camera: Recogniser) -> None:
    told: list[tuple[int, str]] = []
    list(camera.predict([CLIP, "nowhere.mp4"], progress=lambda number, row: told.append((number, row["status"]))))
    assert told == [(1, "ok"), (2, "error")]


def test_asyncio_asks_in_a_thread(camera: Recogniser) -> None:
    rows = asyncio.run(asyncio.wait_for(asyncio.to_thread(lambda: list(camera.predict(CLIP))), 60))
    assert one(iter(rows))["predictions"][0]["label"] == "pan left"


def test_pythons_own_words_are_heard_and_said() -> None:
    with Recogniser("camera", views=(2, 1), device=torch.device("cpu"), dtype=torch.float32, workers=0) as recogniser:
        assert (recogniser.run["views"], recogniser.run["device"], recogniser.run["dtype"]) == ("2x1", "cpu", "float32")
    for options, message in (
        ({"top": 0}, "^top 0 is less than 1"),
        ({"batch_size": 0}, "^batch_size 0"),
        ({"timeout_s": -1}, "^timeout_s -1"),
        ({"views": (0, 1)}, "views"),
    ):
        with pytest.raises(UsageError, match=message):
            mvit_cli.predict(CLIP, preset="camera", **options)


def test_nothing_is_printed(camera: Recogniser, capfd: pytest.CaptureFixture[str]) -> None:
    list(camera.predict([FOLDER]))
    assert capfd.readouterr() == ("", "")


def test_a_network_has_the_weights_of_the_package_or_says_that_it_is_random(caplog: pytest.LogCaptureFixture) -> None:
    clip = mvit_cli.preprocess(CLIP, "camera", views="1x1")
    with torch.inference_mode():
        trained, named = (mvit_cli.load_model("camera", *weights) for weights in ((), ("camera_motion.embedded",)))
        assert torch.equal(trained(clip), named(clip))
        assert caplog.messages == []
        assert not torch.equal(mvit_cli.load_model("camera", "none")(clip), named(clip))  # as it was asked for
        assert caplog.messages == []
        mvit_cli.load_model("mvitv2_tiny")
    assert caplog.messages == ["load_model('mvitv2_tiny'): random weights; weights= names published ones or a file"]


@pytest.mark.timeout(400)
def test_a_type_checker_sees_rows_and_refuses_names_that_are_not_there(tmp_path: Path) -> None:
    example = tmp_path / "example.py"
    example.write_text(
        "import mvit_cli\n"
        "for row in mvit_cli.predict('clips/', preset='camera', views=(5, 1)):\n"
        "    if row['status'] == 'ok':\n"
        "        reveal_type(row['predictions'][0]['score'])\n"
        "with mvit_cli.Recogniser('camera', top=1) as recogniser:\n"
        "    reveal_type(recogniser.labels)\n"
        "mvit_cli.predict('clips/', tpo=1)\n"
        "mvit_cli.prdict('clips/')\n"
    )
    # The project's own settings and cache: the gate's check goes on from there.
    done = subprocess.run([sys.executable, "-m", "mypy", str(example)], cwd=ROOT, capture_output=True, text=True)
    said = [
        line.split(": ", 1)[1] for line in done.stdout.splitlines() if ": note: Reveal" in line or ": error: " in line
    ]
    assert said == [
        'note: Revealed type is "float"',
        'note: Revealed type is "tuple[str, ...] | None"',
        'error: Unexpected keyword argument "tpo" for "predict"  [call-arg]',
        'error: Module has no attribute "prdict"; maybe "predict"?  [attr-defined]',
    ]
