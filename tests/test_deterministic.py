"""`--deterministic`: what moments decide changes no bit of a row."""

import json
import random
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from media_clips import clip
from test_batching import items, views_of

import mvit_cli
from mvit_cli.cli.main import run
from mvit_cli.errors import MediaError
from mvit_cli.media.request import LULL
from mvit_cli.media.workers.pool import DecodePool
from mvit_cli.protocol import Transform
from mvit_cli.recognition.batching import groups, scored
from mvit_cli.recognition.options import PredictOptions
from mvit_cli.recognition.plan import plan
from mvit_cli.recognition.scoring import Scorer


def with_lulls(views: Iterable[int], seed: int) -> list[Any]:
    """The views of files in their order, with waiting in between at moments of chance."""
    chance = random.Random(seed)
    return [part for count in views for part in [LULL] * chance.randrange(3) + [count]]


def test_the_order_alone_decides_which_files_share_a_batch() -> None:
    views = [1, 2, 5, 1, 1, 3, 9, 1]
    seen = [views_of(groups(items(*with_lulls(views, seed)), lambda: 6, whole=True)) for seed in range(20)]
    assert seen[0] == [[1, 2], [5, 1], [1, 3], [9], [1]]
    assert all(other == seen[0] for other in seen)
    timed = [views_of(groups(items(*with_lulls(views, seed)), lambda: 6)) for seed in range(20)]
    assert any(other != timed[0] for other in timed)  # else nothing was tried


class Batches(torch.nn.Module):
    """A network whose logits tell in how large a batch a clip was, and that takes no more than `fits`."""

    def __init__(self, fits: int = 64) -> None:
        super().__init__()
        self.fits = fits

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        if len(clips) > self.fits:
            raise RuntimeError("can't allocate memory")
        return torch.tensor([[float(len(clips)), 0.0]]).expand(len(clips), 2)


def scorer(model: torch.nn.Module, batch_size: int) -> Scorer:
    transform = Transform(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), resize=4, crop=4)
    return Scorer(model, transform, torch.device("cpu"), torch.float32, batch_size, deterministic=True)


def test_no_batch_is_halved_and_nobody_is_scored_in_another_one() -> None:
    network = scorer(Batches(fits=1), 2)
    results = list(scored(network, groups(items(1, 1, 1), lambda: 2, whole=True)))
    assert network.batch_size == 2
    errors = [item.scores for item in results]
    assert [isinstance(error, MediaError) and error.kind for error in errors] == ["memory", "memory", False]
    assert isinstance(errors[0], MediaError)
    assert "--batch-size 1" in errors[0].hint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in "abcdefg":
        shutil.copy(clip("rot90.mp4"), tmp_path / f"{name}.mp4")
    (tmp_path / "broken.mp4").write_text("no video")
    return tmp_path


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many views each batch had, while decoding is ready at moments of chance."""
    sizes: list[int] = []
    one_batch, outcomes = Scorer._one_batch, DecodePool.imap_with_lulls
    chance = random.Random(len(sizes))

    def counted(self: Scorer, pixels: torch.Tensor) -> torch.Tensor:
        sizes.append(len(pixels))
        return one_batch(self, pixels)

    def at_some_moment(self: DecodePool, jobs: Any) -> Iterator[Any]:
        for outcome in outcomes(self, jobs):
            if outcome is not LULL:
                yield from [LULL] * chance.randrange(2)
                yield outcome

    monkeypatch.setattr(Scorer, "_one_batch", counted)
    monkeypatch.setattr(DecodePool, "imap_with_lulls", at_some_moment)
    return sizes


def timeless(rows: Iterable[Any]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "timing_ms"} for row in rows]


@pytest.mark.usefixtures("decoding_in_this_process")
@pytest.mark.parametrize("face", ["python", "command"])
def test_rows_repeat_from_either_face(
    face: str, folder: Path, weights: str, batches: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    def python() -> list[dict[str, Any]]:
        rows = mvit_cli.predict(folder, weights=weights, batch_size=6, views="2x1", deterministic=True)
        return timeless(rows)

    def command() -> list[dict[str, Any]]:
        options = ["--weights", weights, "--batch-size", "6", "--views", "2x1", "--deterministic", "-q"]
        assert run(["predict", str(folder), *options]) == 1
        return timeless(map(json.loads, capsys.readouterr().out.splitlines()))

    faces: dict[str, Callable[[], list[dict[str, Any]]]] = {"python": python, "command": command}
    seen = [faces[face]() for _ in range(4)]
    assert all(rows == seen[0] for rows in seen)
    assert len(seen[0]) == 8
    assert batches == [6, 6, 2] * 4


def test_weights_lie_where_kernels_add_up_alike(weights: str) -> None:
    """Those of a file lie where its header ends; the same network from a pickle would lie elsewhere."""

    def places(*, deterministic: bool) -> set[int]:
        runs = plan(PredictOptions(weights=weights, fast=False, deterministic=deterministic)).open().scorer.model
        return {tensor.data_ptr() % 64 for tensor in runs.parameters()}

    assert places(deterministic=False) != {0}  # else nothing was tried
    assert places(deterministic=True) == {0}


@pytest.mark.slow
def test_any_number_of_workers_gives_the_same_bits(folder: Path, weights: str) -> None:
    seen = [timeless(mvit_cli.predict(folder, weights=weights, deterministic=True, workers=n)) for n in (1, 4, 2, 1, 4)]
    assert all(rows == seen[0] for rows in seen)
