"""Files to rows: order, scores, labels, warnings, errors."""

import itertools
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from media_clips import clip, write_video
from PIL import Image
from tiny_network import CONFIG, write_weights

import mvit_cli
from mvit_cli.errors import CheckpointError, MViTError, UsageError
from mvit_cli.media.decode import decode
from mvit_cli.media.request import DecodeRequest, Detail, Windows
from mvit_cli.recognition.local_engine import Inputs, LocalEngine, sources_of
from mvit_cli.recognition.options import PredictArguments, PredictOptions
from mvit_cli.recognition.plan import RANDOM_WEIGHTS, plan
from mvit_cli.report.predict.writers import ends_input


def rows_of(recogniser: LocalEngine, inputs: Inputs, workers: int) -> Iterator[dict]:
    """The rows, with another number of decoding processes."""
    return replace(recogniser, options=replace(recogniser.options, workers=workers)).predict(inputs)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


@pytest.fixture(scope="module")
def recogniser(weights: Path) -> LocalEngine:
    return plan(PredictOptions(weights=weights, top=7)).open()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good, odd and broken files; their names say the order of a folder."""
    folder = tmp_path_factory.mktemp("inputs")
    shutil.copy(clip("rot90.mp4"), folder / "a good.mp4")
    (folder / "b text.mp4").write_text("not a video")
    shutil.copy(clip("seventeen_frames.mp4"), folder / "c short.mp4")
    (folder / "d empty.mp4").touch()
    Image.new("RGB", (60, 40), (200, 30, 90)).save(folder / "e still.png")
    shutil.copy(clip("audio_only.mp4"), folder / "f sound.mp4")
    shutil.copy(clip("tiny_16x16.mp4"), folder / "g small.mp4")
    (folder / "notes.txt").write_text("no media file")
    return folder


@pytest.fixture(scope="module")
def rows(recogniser: LocalEngine, folder: Path) -> list[dict]:
    inputs = [str(folder), str(folder / "nowhere.mp4"), folder / "a good.mp4"]
    return list(rows_of(recogniser, inputs, workers=2))


def test_each_input_has_one_row_in_input_order(rows: list[dict], folder: Path) -> None:
    names = ["a good", "b text", "c short", "d empty", "e still", "f sound", "g small", "nowhere", "a good"]
    assert [Path(row["path"]).stem for row in rows] == names
    assert {row["path"] for row in rows} <= {str(path) for path in folder.iterdir()} | {str(folder / "nowhere.mp4")}


def test_what_is_wrong_stays_with_its_file(rows: list[dict]) -> None:
    kinds = {Path(row["path"]).stem: row["error"]["kind"] for row in rows if row["status"] == "error"}
    assert kinds == {"b text": "decode", "d empty": "empty", "f sound": "decode", "nowhere": "not_found"}


def test_the_same_file_gives_the_same_scores(rows: list[dict]) -> None:
    first, last = ({entry["index"]: entry["score"] for entry in row["predictions"]} for row in (rows[0], rows[-1]))
    # at another place of a batch float32 sums are added in another order; `--deterministic` gives equal bytes
    assert first == pytest.approx(last, abs=1e-6)


def test_scores_are_the_mean_over_the_views_of_the_decoded_file(
    rows: list[dict], recogniser: LocalEngine, weights: Path, folder: Path
) -> None:
    recipe = recogniser.recipe
    request = DecodeRequest(str(folder / "a good.mp4"), recipe.sampling, recipe.transform, num_clips=5)
    model = mvit_cli.load_model(None, weights=weights)
    total = np.zeros(CONFIG.num_classes)
    for view in decode(request).pixels:
        colours = (view.astype(np.float32) / 255 - 0.45) / 0.225
        with torch.no_grad():
            logits = model(torch.from_numpy(colours.transpose(3, 0, 1, 2))[None])[0].double().numpy()
        total += np.exp(logits) / np.exp(logits).sum()
    expected = total / 5
    found = {entry["index"]: entry["score"] for entry in rows[0]["predictions"]}
    # Sums of float32 in another order, through two blocks.
    np.testing.assert_allclose([found[i] for i in range(7)], expected, atol=1e-5)
    assert [entry["index"] for entry in rows[0]["predictions"]] == list(np.argsort(-expected))


def test_all_scores_sum_to_one(rows: list[dict]) -> None:
    for row in rows:
        if row["status"] == "ok":
            assert sum(entry["score"] for entry in row["predictions"]) == pytest.approx(1, abs=1e-5)


def test_clips_are_told_in_seconds(rows: list[dict]) -> None:
    row = rows[0]
    assert row["views"] == "5x1"
    assert len(row["clips"]) == 5
    assert row["clips"][0]["start_s"] == 0
    assert row["clips"][-1]["end_s"] == pytest.approx(row["duration_s"], abs=0.05)  # a frame of 25 a second
    assert all(part["start_s"] < part["end_s"] for part in row["clips"])


def test_a_still_image_stands_for_a_video_with_a_warning(rows: list[dict]) -> None:
    still = rows[4]
    assert (still["reader"], still["duration_s"]) == ("pillow", 0)
    assert any("still image" in text for text in still["warnings"])


def test_a_network_that_needs_motion_refuses_a_still_image(recogniser: LocalEngine, folder: Path) -> None:
    moving = replace(recogniser, recipe=replace(recogniser.recipe, stills=False))
    (row,) = rows_of(moving, folder / "e still.png", workers=0)
    assert (row["status"], row["error"]["kind"]) == ("error", "unsupported")


def test_what_was_assumed_is_said_in_every_row(rows: list[dict]) -> None:
    assert all("mean 0.45, std 0.225" in row["warnings"][0] for row in rows if row["status"] == "ok")


def test_a_file_alone_tells_its_network(rows: list[dict], weights: Path) -> None:
    assert (rows[0]["preset"], rows[0]["weights"]) == (None, str(weights))


def test_rows_are_made_as_they_are_asked_for(recogniser: LocalEngine) -> None:
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        for name in itertools.repeat(clip("seventeen_frames.mp4")):
            taken += 1
            yield name

    rows = rows_of(recogniser, endless(), workers=1)
    assert [next(rows)["status"] for _ in range(3)] == ["ok"] * 3
    rows.close()
    assert taken <= 3 + 16 + 4 + 1  # decoding runs ahead only so far


def test_rows_of_windows_are_those_of_the_same_seconds_as_files(
    recogniser: LocalEngine, tmp_path: Path, folder: Path
) -> None:
    recipe = replace(recogniser.recipe, windows=Windows(2.4, 1.2), views=replace(recogniser.recipe.views, clips=1))
    in_windows, alone = (replace(recogniser, recipe=replace(recipe, windows=w)) for w in (recipe.windows, None))
    lossless = {"codec": "ffv1"}
    film = write_video(tmp_path / "film.mkv", 130, **lossless)
    inputs = [film, str(folder / "b text.mp4"), film]
    found = list(rows_of(in_windows, inputs, workers=1))
    assert [row["path"] for row in found] == [film] * 4 + inputs[1:2] + [film] * 4
    for row in found[:4]:
        first, last = (round(row["window"][end] * 25) for end in ("start_s", "end_s"))
        cut = write_video(tmp_path / "cut.mkv", last - first, **lossless, first=first)
        (whole,) = rows_of(alone, cut, workers=0)
        expected = {entry["index"]: entry["score"] for entry in whole["predictions"]}
        for entry in row["predictions"]:
            assert entry["score"] == pytest.approx(expected[entry["index"]], abs=1e-6)  # the same pixels
    for again, before in zip(found[5:], found[:4], strict=True):  # float32 sums at another place of a batch
        first_scores, scores = ({e["index"]: e["score"] for e in row["predictions"]} for row in (before, again))
        assert scores == pytest.approx(first_scores, abs=1e-6)


def test_one_row_of_an_input_says_that_it_is_the_last(recogniser: LocalEngine, tmp_path: Path) -> None:
    film = write_video(tmp_path / "film.mp4", 130)
    for windows in (Windows(2.0, 1.0), Windows(1.0, 2.1), Windows(1.0, 1.0, 2)):
        cut = replace(recogniser, recipe=replace(recogniser.recipe, windows=windows))
        rows = list(rows_of(cut, [film, film], workers=0))
        assert [ends_input(row) for row in rows] == [False, *[False] * (len(rows) // 2 - 2), True] * 2
        goes_on = [row["window"]["end_s"] < row["duration_s"] for row in rows]
        assert ["last" in row["window"] for row in rows] == [
            ends and more for ends, more in zip(map(ends_input, rows), goes_on, strict=True)
        ]
    assert rows[-1]["error"]["kind"] == "unsupported"


@pytest.mark.parametrize(
    "wrong",
    [
        {"hop_s": 1.0},
        {"window_s": 0.0},
        {"window_s": 1.0, "hop_s": -1.0},
        {"window_s": 1.0, "reader": "decord"},
        {"window_s": 1.0, "max_windows": 0},
    ],
)
def test_impossible_windows_are_wrong_usage(weights: Path, wrong: dict) -> None:
    with pytest.raises(UsageError, match=r"window_s|hop_s|max_windows"):
        mvit_cli.predict(["nowhere.mp4"], weights=weights, **wrong)


def test_a_single_path_is_one_input(recogniser: LocalEngine, folder: Path) -> None:
    assert len(list(rows_of(recogniser, folder / "c short.mp4", workers=0))) == 1
    assert len(list(rows_of(recogniser, str(folder / "c short.mp4"), workers=0))) == 1


def test_an_error_inside_one_file_is_its_own_row(recogniser: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = recogniser.scorer.model.forward
    calls = itertools.count()

    def fails_once(clips: torch.Tensor) -> torch.Tensor:
        if next(calls) == 0:
            raise ArithmeticError("a bug\nof many lines")
        return forward(clips)

    monkeypatch.setattr(recogniser.scorer.model, "forward", fails_once)
    first, second = rows_of(recogniser, [clip("seventeen_frames.mp4")] * 2, workers=0)
    assert first["error"] == {"kind": "internal", "message": "ArithmeticError: a bug"}
    assert second["status"] == "ok"


def test_a_gpu_that_fails_ends_the_run(recogniser: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(clips: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nmore lines")

    monkeypatch.setattr(recogniser.scorer.model, "forward", fails)
    with pytest.raises(MViTError, match=r"the GPU failed: CUDA error: an illegal memory access was encountered$"):
        list(rows_of(recogniser, [clip("seventeen_frames.mp4")] * 2, workers=0))


def test_views_of_the_user_replace_those_of_the_weights(weights: Path) -> None:
    (row,) = mvit_cli.predict([clip("rot90.mp4")], weights=weights, views="2x3", top=2, workers=0)
    assert row["views"] == "2x3"
    assert len(row["clips"]) == 2
    assert len(row["predictions"]) == 2


def test_random_weights_say_so_in_every_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    preset = mvit_cli.arch.presets.get_preset("B")
    monkeypatch.setattr(mvit_cli.recognition.plan, "get_preset", lambda name: replace(preset, config=CONFIG))
    rows = list(mvit_cli.predict([clip("rot90.mp4")] * 2, preset="B", weights="none", workers=0))
    assert [row["warnings"][0] for row in rows] == [RANDOM_WEIGHTS] * 2
    assert {row["weights"] for row in rows} == {"none"}


def test_int8_tells_how_far_the_logits_drift(weights: Path) -> None:
    first, second = mvit_cli.predict([clip("rot90.mp4")] * 2, weights=weights, dtype="int8", device="cpu", workers=0)
    (drift,) = [
        told for told in first["warnings"] if told.startswith("int8: logits of the first view differ by up to ")
    ]
    differ, span = float(drift.split("up to ")[1].split()[0]), float(drift.split()[-1])
    assert 0 < differ < 0.2 * span  # some 20 layers, each rounded to 1 in 127
    assert not any("logits" in told for told in second["warnings"])
    assert first["dtype"] == "int8"


def test_int8_is_refused_where_it_does_not_run(weights: Path) -> None:
    with pytest.raises(UsageError, match="part of the fast path"):
        mvit_cli.predict([], weights=weights, dtype="int8", fast=False)


class TestLabels:
    def test_a_class_without_a_name_goes_by_its_index(self, rows: list[dict]) -> None:
        assert all(entry["label"] == str(entry["index"]) for entry in rows[0]["predictions"])

    def test_names_come_from_the_users_file(self, weights: Path, tmp_path: Path) -> None:
        (tmp_path / "names.txt").write_text("\n".join(f"class {letter}" for letter in "abcdefg"))
        (row,) = mvit_cli.predict([clip("rot90.mp4")], weights=weights, labels=tmp_path / "names.txt", workers=0)
        assert all(entry["label"] == f"class {'abcdefg'[entry['index']]}" for entry in row["predictions"])

    def test_a_list_of_another_length_is_refused(self, weights: Path, tmp_path: Path) -> None:
        (tmp_path / "names.txt").write_text("one\ntwo\n")
        with pytest.raises(CheckpointError, match=r"names 2 classes.*tells 7 apart"):
            mvit_cli.predict([], weights=weights, labels=tmp_path / "names.txt")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> LocalEngine:
    """A network for images."""
    config = replace(CONFIG, frames=1, patch_kernel=(1, 7, 7), patch_stride=(1, 4, 4), patch_padding=(0, 3, 3))
    return plan(
        PredictOptions(weights=write_weights(tmp_path_factory.mktemp("weights") / "image.safetensors", config))
    ).open()


class TestImageNetwork:
    def test_sees_the_middle_frame_of_a_video(self, network: LocalEngine) -> None:
        (row,) = rows_of(network, clip("rot90.mp4"), workers=0)
        assert row["views"] == "1x1"
        middle = (row["clips"][0]["start_s"] + row["clips"][0]["end_s"]) / 2
        assert middle == pytest.approx(row["duration_s"] / 2, abs=0.05)  # a frame of 25 a second

    def test_sees_an_image_without_a_warning(self, network: LocalEngine, folder: Path) -> None:
        (row,) = rows_of(network, folder / "e still.png", workers=0)
        assert row["status"] == "ok"
        assert not any("still" in text for text in row["warnings"])

    def test_several_clips_are_several_frames(self, network: LocalEngine) -> None:
        three = replace(network, recipe=replace(network.recipe, views=replace(network.recipe.views, clips=3)))
        (row,) = rows_of(three, clip("rot90.mp4"), workers=0)
        starts = [part["start_s"] for part in row["clips"]]
        assert len(starts) == 3
        assert starts == sorted(set(starts))


@pytest.mark.parametrize(
    "option", [{"top": 0}, {"batch_size": 0}, {"views": "5"}, {"device": "tpu"}, {"dtype": "int4"}]
)
def test_wrong_values_are_told_before_any_file_is_read(weights: Path, option: dict) -> None:
    with pytest.raises(UsageError):
        mvit_cli.predict(["nowhere.mp4"], weights=weights, **option)


def test_the_plain_network_gives_the_scores_of_the_fast_path(weights: Path, folder: Path) -> None:
    fast, plain = (
        next(iter(mvit_cli.predict(folder / "a good.mp4", weights=weights, top=7, fast=way, workers=0)))
        for way in (True, False)
    )
    expected = {entry["index"]: entry["score"] for entry in plain["predictions"]}
    for entry in fast["predictions"]:
        assert entry["score"] == pytest.approx(expected[entry["index"]], abs=1e-5)  # other summation order in float32


def test_each_row_comes_with_the_pictures_of_its_file(recogniser: LocalEngine, folder: Path) -> None:
    def every_second_in_strips(number: int) -> Detail:
        return "strips" if number % 2 else "poster"

    inputs = [folder / name for name in ("a good.mp4", "b text.mp4", "c short.mp4", "g small.mp4")]
    seen = list(recogniser.rows(sources_of(inputs), every_second_in_strips))
    strips = [pictures and len(pictures.strips) for _, pictures in seen]
    assert strips == [0, None, 0, 5]
    assert "pictures" not in seen[0][0]
    assert [row["path"] for row, _ in seen] == [str(path) for path in inputs]


def test_keyword_arguments_are_the_options() -> None:
    assert PredictArguments.__annotations__.keys() == PredictOptions.__annotations__.keys()
    with pytest.raises(TypeError, match="colour"):
        mvit_cli.predict([], colour="red")
