"""Small pictures are trained on from memory, and shown as the decoding processes show their files."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mvit_cli
from mvit_cli.arch.presets import get_preset
from mvit_cli.media.decode import decode
from mvit_cli.media.request import DecodeRequest, Look
from mvit_cli.media.workers.pool import DecodePool
from mvit_cli.protocol import Sampling, Transform
from mvit_cli.recognition.labelled import LabelledClip
from mvit_cli.training.asked import TrainOptions
from mvit_cli.training.finetune import schedule_of, settings_of
from mvit_cli.training.step_memory import memory_of_clip
from mvit_cli.training.stills import MOST_PIXELS, kept_stills

TRANSFORM = Transform((0.5, 0.5, 0.5), (0.2, 0.2, 0.2), 28, 28)
LOOKS = (None, Look(0.0, (0.2, 0.1, 0.9, 0.7), mirrored=True))
DATA = Path(__file__).parent / "data"
POOL = DecodePool(workers=0)


def pictures(folder: Path, number: int, side: int = 28) -> list[str]:
    """Disks and crosses of random places, of grey values, as PNG in folders of their names."""
    paths = []
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side] / side
    for index in range(number):
        for name in ("cross", "disk"):
            left, top = rng.uniform(0.35, 0.65, 2)
            disk = (x - left) ** 2 + (y - top) ** 2 < 0.05
            cross = (abs(x - left) < 0.06) | (abs(y - top) < 0.06)
            picture = 200.0 * (disk if name == "disk" else cross) + rng.uniform(0, 50, (side, side))
            path = folder / name / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture.astype(np.uint8)).save(path)
            paths.append(str(path))
    return paths


def of(paths: list[str]) -> list[LabelledClip]:
    return [LabelledClip(path, ("a",)) for path in paths]


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("crops", [1, 3])
def test_a_kept_picture_is_shown_as_its_file_would_be(tmp_path: Path, look: Look | None, crops: int) -> None:
    paths = pictures(tmp_path, 2)
    kept = kept_stills(of(paths), POOL)
    assert kept is not None
    crops = 1 if look else crops
    requests = [
        DecodeRequest(path, Sampling("image", 1), replace(TRANSFORM, resize=32), 1, crops, look=look) for path in paths
    ]
    for request, shown in zip(requests, kept.imap(requests), strict=True):
        decoded = decode(request)
        assert isinstance(shown, type(decoded))
        assert np.array_equal(shown.pixels, decoded.pixels)
        assert (shown.clips, shown.reader, shown.warnings) == (decoded.clips, decoded.reader, decoded.warnings)


def test_videos_large_pictures_and_too_many_are_left_to_the_processes(tmp_path: Path) -> None:
    paths = pictures(tmp_path, 2)
    assert kept_stills(of([*paths, str(DATA / "pan_left.mp4")]), POOL) is None
    assert kept_stills(of([*paths, str(tmp_path / "gone.png")]), POOL) is None
    assert kept_stills(of(paths), POOL, most_bytes=4 * 28 * 28 * 3) is not None
    assert kept_stills(of(paths), POOL, most_bytes=4 * 28 * 28 * 3 - 1) is None
    large = tmp_path / "large.png"
    Image.new("L", (MOST_PIXELS // 256 + 1, 256)).save(large)
    assert kept_stills(of([*paths, str(large)]), POOL) is None


def test_a_network_of_random_weights_learns_pictures_and_no_file_is_opened_again(
    tmp_path: Path, monkeypatch: Any
) -> None:
    """Two shapes that differ plainly; chance is 50 %, and 12 right of 12 come by chance once in 4,096 times."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data = tmp_path / "data"
    for part, number in (("train", 40), ("test", 6)):
        pictures(data / part, number)
    wanted: dict[str, Any] = {"preset": "pico", "weights": "none", "method": "full", "workers": 0}
    result = mvit_cli.train(data, tmp_path / "mine.safetensors", epochs=10, batch_size=16, least_area=0.8, **wanted)
    assert result["metrics"]["test"] is not None
    assert result["metrics"]["test"]["top1"] == 1.0
    assert any("random weights" in note for note in result["notes"])
    (row,) = mvit_cli.predict(data / "test" / "disk" / "0.png", weights=result["weights"], workers=0)
    assert row["status"] == "ok"
    assert row["predictions"][0]["label"] == "disk"


def test_a_start_from_random_weights_has_numbers_of_its_own() -> None:
    """All blocks learn alike, and faster; the average is of the last twentieth of a short training."""
    asked = TrainOptions(data="", output="", method="full", epochs=3)
    schedule = schedule_of(48_000, asked)
    assert (schedule.batch_size, schedule.steps) == (64, 750)
    own, tuned = (settings_of(48_000, schedule, asked, anew=anew) for anew in (True, False))
    assert (own.layer_decay, tuned.layer_decay) == (1.0, 0.75)
    assert (own.drop_path, tuned.drop_path) == (0.0, 0.2)
    assert own.lr == pytest.approx(4 * tuned.lr)
    assert 1 / (1 - own.ema) == pytest.approx(0.05 * 3 * 750)


@pytest.mark.parametrize("name", ["tiny", "pico", "camera_motion"])
def test_the_memory_of_a_clip_is_not_underrated(name: str) -> None:
    """Beside what torch keeps for the way back: at least that, as gradients come on top, and not twice as much."""
    import torch

    from mvit_cli.model.mvit import MViT

    config = get_preset(name).config
    model = MViT(config).train()
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(torch.randn(1, 3, *config.input_thw))
    assert sum(kept.values()) <= memory_of_clip(config) <= 2 * sum(kept.values())
