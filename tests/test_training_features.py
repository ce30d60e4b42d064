"""Features are computed once, as predict shows files to the network; copies across a split are found."""

import base64
import shutil
from dataclasses import replace
from io import BytesIO
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from tiny_network import write_weights

import mvit_cli
from mvit_cli.checkpoints.load import load_file
from mvit_cli.recognition.labelled import LabelledClip
from mvit_cli.recognition.local_engine import LocalEngine
from mvit_cli.recognition.options import PredictOptions
from mvit_cli.recognition.plan import plan
from mvit_cli.training.alike import CLIP_ALIKE, MOMENTS, SIDE, STILL_ALIKE, leaks_between, thumbnail_of
from mvit_cli.training.feature_cache import FeatureCache
from mvit_cli.training.features import Features, extracting, features_of, identity_of, seeing_all_blocks

DATA = Path(__file__).parent / "data"
CLIP = str(DATA / "pan_left.mp4")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("w") / "tiny.safetensors")


@pytest.fixture(scope="module")
def engine(path: Path) -> LocalEngine:
    opened = plan(PredictOptions(weights=path, views="2x1", workers=0, device="cpu")).open()
    return extracting(opened, load_file(path))


def clips(*paths: str) -> list[LabelledClip]:
    return [LabelledClip(path, ("a",)) for path in paths]


def cache(folder: Path, engine: LocalEngine) -> FeatureCache:
    return FeatureCache(folder, identity_of(engine, "digest"), 32)


def test_features_are_those_that_predict_classifies_by(engine: LocalEngine, path: Path, tmp_path: Path) -> None:
    with cache(tmp_path, engine) as kept:
        (found,) = features_of(engine, clips(CLIP), kept)
    assert found.rows is not None
    assert found.rows.shape == (2, 32)  # 16 channels after the first block, 16 that the classifier sees
    with mvit_cli.Recogniser(None, path, views="2x1", device="cpu", workers=0) as own:
        clips_ = own.preprocess(CLIP)
        assert np.allclose(found.rows[:, 16:], own.features(clips_).numpy(), atol=1e-5)
        model = seeing_all_blocks(load_file(path))
        with torch.inference_mode():
            assert np.allclose(found.rows, model.features(clips_).numpy(), atol=1e-5)


def test_what_was_computed_is_not_computed_again(engine: LocalEngine, tmp_path: Path) -> None:
    shutil.copy(CLIP, tmp_path / "copy.mp4")
    named = clips(CLIP, str(tmp_path / "copy.mp4"), str(tmp_path / "none.mp4"), CLIP)
    told: list[tuple[int, bool]] = []

    def tell(done: int, found: Features) -> None:
        told.append((done, found.rows is None))

    with cache(tmp_path / "cache", engine) as kept:
        first = list(features_of(engine, named, kept, tell))
        assert len(kept.rows()) == 2  # one file by its bytes
    assert told == [(1, False), (2, False), (3, True), (4, False)]
    assert first[2].error is not None
    assert first[2].error.kind == "not_found"

    class Refusing:
        def __getattr__(self, name: str) -> object:
            raise AssertionError("decoded again")

    blind = replace(engine, scorer=Refusing())  # type: ignore[arg-type]
    with cache(tmp_path / "cache", engine) as kept:
        (again,) = features_of(blind, clips(CLIP), kept)
    assert again.rows is not None
    assert first[0].rows is not None
    assert np.array_equal(again.rows, first[0].rows)
    assert again.thumbnail == first[0].thumbnail != ""


def test_other_weights_or_views_have_a_cache_of_their_own(engine: LocalEngine, tmp_path: Path) -> None:
    own = identity_of(engine, "digest")
    names = set()
    for other in (own, own | {"weights": "x"}, own | {"views": "1x1"}):
        with FeatureCache(tmp_path, other, 24) as kept:
            names.add(kept.path)
    assert len(names) == 3


@pytest.mark.parametrize("torn", ["numbers", "line"])
def test_what_a_killed_run_left_is_cut_off(tmp_path: Path, torn: str) -> None:
    rows = np.arange(8, dtype=np.float32).reshape(2, 4)
    with FeatureCache(tmp_path, "x", 4) as kept:
        kept.add("one", rows, "ab")
        kept.add("two", rows + 1, "")
    path = kept.path if torn == "numbers" else kept.path.with_suffix(".jsonl")
    path.write_bytes(path.read_bytes()[:-5])
    with FeatureCache(tmp_path, "x", 4) as kept:
        assert kept.find("one") is not None
        assert kept.find("two") is None
        at = kept.add("two", rows + 2, "").at
        assert np.array_equal(kept.rows()[at : at + 2], rows + 2)
    with FeatureCache(tmp_path, "x", 4) as kept:
        found = kept.find("two")
        assert found is not None
        assert np.array_equal(kept.rows()[found.at : found.at + 2], rows + 2)


def test_two_runs_that_append_at_once_find_their_own_features(tmp_path: Path) -> None:
    rows = np.arange(8, dtype=np.float32).reshape(2, 4)
    with FeatureCache(tmp_path, "x", 4) as one, FeatureCache(tmp_path, "x", 4) as other:
        places = {}
        for number in range(6):
            name = f"clip {number}"
            places[name] = (one, other)[number % 2].add(name, rows + 100 * number, "").at
        for number, (name, at) in enumerate(places.items()):
            for run in (one, other):
                if run.find(name):
                    assert np.array_equal(run.rows()[at : at + 2], rows + 100 * number), name
    with FeatureCache(tmp_path, "x", 4) as later:
        for number, name in enumerate(places):
            found = later.find(name)
            assert found is not None
            assert np.array_equal(later.rows()[found.at : found.at + 2], rows + 100 * number), name


def scene(seed: int, side: int = 64) -> NDArray[np.uint8]:
    """`(1, 4, side, side, 3)`: soft shapes, no two scenes alike."""
    small = np.random.default_rng(seed).integers(0, 255, (4, 5, 5, 3), np.uint8)
    large = [np.asarray(Image.fromarray(one).resize((side, side), Image.Resampling.BICUBIC)) for one in small]
    return np.stack(large)[None]


def correlation(one: str, other: str) -> float:
    """Pearson's, with each moment's brightness taken off, by numpy's own function."""
    cells = [np.frombuffer(base64.b64decode(text), np.uint8).reshape(-1, SIDE * SIDE) for text in (one, other)]
    return float(np.corrcoef(*[(own - own.mean(axis=1, keepdims=True)).ravel() for own in cells])[0, 1])


def disturbed(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Noisy, darker and brighter at once."""
    noise = np.random.default_rng(1).normal(0, 3, pixels.shape)
    return np.clip(pixels * 0.8 + 20 + noise, 0, 255).astype(np.uint8)


def test_a_thumbnail_stays_when_pictures_are_scaled_or_disturbed_and_tells_others_apart() -> None:
    own = thumbnail_of(scene(0))
    assert len(base64.b64decode(own)) == MOMENTS * SIDE * SIDE
    assert correlation(own, thumbnail_of(scene(0, 200))) > CLIP_ALIKE
    assert correlation(own, thumbnail_of(disturbed(scene(0)))) > CLIP_ALIKE
    assert max(correlation(own, thumbnail_of(scene(seed))) for seed in range(1, 40)) < 0.5
    assert thumbnail_of(np.full((1, 4, 64, 64, 3), 128, np.uint8)) == ""


def still(seed: int, dots: int = 0) -> NDArray[np.uint8]:
    """`(1, 4, 64, 64, 3)`: a disc on black, the same for all; smaller ones on it are each seed's own."""
    y, x = np.mgrid[:64, :64]
    picture = np.where((y - 32) ** 2 + (x - 32) ** 2 < 26**2, 160, 0)
    rng = np.random.default_rng(seed)
    for _ in range(dots):
        place_y, place_x = rng.integers(16, 48, 2)
        picture[(y - place_y) ** 2 + (x - place_x) ** 2 < 20] = 240
    return np.broadcast_to(picture[None, None, :, :, None], (1, 4, 64, 64, 3)).astype(np.uint8)


def encoded_again(picture: NDArray[np.uint8], side: int, quality: int) -> NDArray[np.uint8]:
    """A still scaled, written as JPEG and read again."""
    file = BytesIO()
    Image.fromarray(picture[0, 0]).resize((side, side), Image.Resampling.BICUBIC).save(file, "JPEG", quality=quality)
    return np.broadcast_to(np.asarray(Image.open(file)), (1, 4, side, side, 3))


def test_stills_that_share_an_outline_are_no_copies_and_copies_are() -> None:
    """Photographs of one kind on a plain ground: three hashes of them were as near as those of copies."""
    pictures = [still(seed, dots=4) for seed in range(30)]
    thumbnails = [thumbnail_of(picture) for picture in pictures]
    assert all(len(base64.b64decode(text)) == SIDE * SIDE for text in thumbnails)
    likeness = [correlation(one, other) for one, other in combinations(thumbnails, 2)]
    assert max(likeness) > CLIP_ALIKE - 0.05  # they are look-alikes
    copies = [encoded_again(pictures[0], 96, 75), encoded_again(pictures[1], 48, 75), disturbed(pictures[2])]
    copies.append(disturbed(encoded_again(pictures[3], 80, 60)))
    shown = [*thumbnails, *map(thumbnail_of, copies)]
    features = np.random.default_rng(0).normal(size=(30, 16)).astype(np.float32)
    features = np.concatenate((features, features[:4] + 0.2))  # copies look alike to the network, no more
    found = leaks_between(range(20, 34), range(20), features, shown)
    assert [(leak.kept, leak.learned) for leak in found] == [(30, 0), (31, 1), (32, 2), (33, 3)]
    assert all(leak.correlation is not None and leak.correlation >= STILL_ALIKE for leak in found)


def test_planted_copies_are_found_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 16)).astype(np.float32)
    thumbnails = [thumbnail_of(scene(seed)) for seed in range(40)]
    features[33] = features[3] + 0.01  # a copy by its features
    thumbnails[34] = thumbnail_of(scene(4, 100))  # by its pictures, and features that are not far
    features[34] = features[4] + 0.4 * rng.normal(size=16)
    thumbnails[37] = thumbnails[7]  # pictures alike, features unlike
    features[35], thumbnails[35] = features[5], thumbnails[5]
    thumbnails[36] = thumbnails[6] = ""
    found = leaks_between(range(30, 40), range(30), features, thumbnails)
    assert [(leak.kept, leak.learned) for leak in found] == [(33, 3), (34, 4), (35, 5)]
    assert [leak.correlation is not None for leak in found] == [False, True, True]
    assert found[1].correlation == pytest.approx(correlation(thumbnails[34], thumbnails[4]), abs=1e-4)  # its digits
    assert [leak.distance < 0.05 for leak in found] == [True, False, True]
    assert leaks_between((), range(30), features, thumbnails) == []


def test_many_clips_are_looked_at_through_one_map_of_the_file(tmp_path: Path) -> None:
    """A process has 65,530 of them on Linux: with one a clip, features of more clips could not be read."""
    with FeatureCache(tmp_path, "x", 4) as kept:
        kept.add("one", np.zeros((2, 4), np.float32), "")
        first = kept.rows()
        assert kept.rows() is first
        kept.add("two", np.ones((2, 4), np.float32), "")
        assert np.array_equal(kept.rows()[:, 0], [0, 0, 1, 1])
        assert np.array_equal(first[:, 0], [0, 0])
