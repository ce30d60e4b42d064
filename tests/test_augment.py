"""`--rand-augment`: all frames of a clip are changed alike, by the seed, the epoch and the clip."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from mvit_cli.errors import UsageError
from mvit_cli.training.augment import MOST, RandAugment, operations
from mvit_cli.training.loop import generator_of

PICTURE = np.random.default_rng(0).integers(256, size=(32, 40, 3), dtype=np.uint8)


def changed(name: str, much: float, picture: NDArray[np.uint8] = PICTURE) -> NDArray[Any]:
    return np.asarray(operations()[name](Image.fromarray(picture), much)).astype(int)


@pytest.mark.parametrize("text", ["2", "2,9,1", "0,9", "2,31", "-1,9", "two,9", ""])
def test_what_is_not_operations_and_magnitude_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="operations,magnitude"):
        RandAugment.of(text)


def test_frames_of_a_clip_are_changed_alike_and_by_the_seed_alone() -> None:
    still = torch.from_numpy(PICTURE)[None].expand(4, -1, -1, -1)
    augment = RandAugment.of("2,15")
    looks = [augment(still, generator_of(0, "augment", 0, place)) for place in range(12)]
    assert all(look.shape == still.shape and look.dtype == torch.uint8 for look in looks)
    assert all(torch.equal(frame, look[0]) for look in looks for frame in look)
    assert len({look.numpy().tobytes() for look in looks}) >= 6  # 196 pairs of operations, two signs
    assert torch.equal(looks[3], augment(still, generator_of(0, "augment", 0, 3)))


@pytest.mark.parametrize("name", sorted(set(operations()) - {"auto contrast", "equalize"}))
def test_of_no_magnitude_nothing_is_changed(name: str) -> None:
    assert np.abs(changed(name, 0.0) - PICTURE).max() <= 1, name  # rounding


def test_operations_are_those_of_the_formulas() -> None:
    assert (changed("shift x", 1.0)[:, :22] == PICTURE[:, 18:]).all()  # 0.45 of 40
    assert (changed("shift x", 1.0)[:, 22:] == 128).all()
    assert (changed("shift y", -0.5 / 0.45 * 0.5)[8:] == PICTURE[:-8]).all()  # a quarter of 32, the other way
    assert (changed("posterize", -1.0) == PICTURE // 16 * 16).all()
    assert (changed("solarize", 0.5) == np.where(PICTURE < 128, PICTURE, 255 - PICTURE.astype(int))).all()
    assert np.abs(changed("brightness", -1.0) - 0.1 * PICTURE).max() <= 1  # rounding
    bar = np.zeros((41, 41, 3), np.uint8)
    bar[20] = 255
    lit = changed("turn", 1.0, bar)[:, :, 0]
    x, y = np.nonzero(lit.T > 140)  # more than the grey that comes in
    slope = np.cov(x, y)[0, 1] / x.var(ddof=1)  # downwards: 30 degrees against the clock
    assert slope == pytest.approx(-np.tan(np.pi / 6), abs=0.03)  # of whole pixels


def test_the_magnitude_is_of_thirty() -> None:
    assert RandAugment.of("2, 9") == RandAugment(2, 9)
    assert MOST == 30
