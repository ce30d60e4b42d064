"""Features are computed once, as predict shows files to the network; copies across a split are found."""

import shutil
from dataclasses import replace
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
from mvit_cli.training.alike import BITS, leaks_between, perceptual_hash
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
    assert again.hashes == first[0].hashes != ""


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


def differing(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


def test_a_hash_stays_when_pictures_are_scaled_or_disturbed_and_tells_others_apart() -> None:
    own = perceptual_hash(scene(0))
    assert len(own) * 4 == BITS
    noise = np.random.default_rng(1).normal(0, 3, scene(0).shape)
    assert differing(own, perceptual_hash(scene(0, 200))) <= 12
    assert differing(own, perceptual_hash(np.clip(scene(0) + noise, 0, 255).astype(np.uint8))) <= 12
    assert differing(own, perceptual_hash(np.clip(scene(0) * 0.8 + 20, 0, 255).astype(np.uint8))) <= 12
    assert min(differing(own, perceptual_hash(scene(seed))) for seed in range(1, 40)) > 50
    assert perceptual_hash(np.full((1, 4, 64, 64, 3), 128, np.uint8)) == ""


def test_planted_copies_are_found_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 16)).astype(np.float32)
    hashes = [perceptual_hash(scene(seed)) for seed in range(40)]
    features[33] = features[3] + 0.01  # a copy by its features
    hashes[34] = perceptual_hash(scene(4, 100))  # by its pictures, and features that are not far
    features[34] = features[4] + 0.4 * rng.normal(size=16)
    hashes[37] = hashes[7]  # plain pictures alike, features unlike
    features[35], hashes[35] = features[5], hashes[5]
    hashes[36] = hashes[6] = ""
    found = leaks_between(range(30, 40), range(30), features, hashes)
    assert [(leak.kept, leak.learned) for leak in found] == [(33, 3), (34, 4), (35, 5)]
    assert [leak.bits is not None for leak in found] == [False, True, True]
    assert [leak.distance < 0.05 for leak in found] == [True, False, True]
    assert leaks_between((), range(30), features, hashes) == []


def test_many_clips_are_looked_at_through_one_map_of_the_file(tmp_path: Path) -> None:
    """A process has 65,530 of them on Linux: with one a clip, features of more clips could not be read."""
    with FeatureCache(tmp_path, "x", 4) as kept:
        kept.add("one", np.zeros((2, 4), np.float32), "")
        first = kept.rows()
        assert kept.rows() is first
        kept.add("two", np.ones((2, 4), np.float32), "")
        assert np.array_equal(kept.rows()[:, 0], [0, 0, 1, 1])
        assert np.array_equal(first[:, 0], [0, 0])
