"""Features instead of scores, by the loop of `predict`: equal to the plain network's, errors where files are bad."""

from pathlib import Path

import pytest
import torch

import mvit_cli
from mvit_cli.errors import MediaError
from mvit_cli.recognition.local_engine import sources_of
from mvit_cli.recognition.options import PredictOptions
from mvit_cli.recognition.plan import plan
from mvit_cli.recognition.readout import Features, reading

CLIP = str(Path(__file__).parent / "data" / "pan_left.mp4")
pytestmark = pytest.mark.usefixtures("decoding_in_this_process")


@pytest.mark.parametrize("stage", [None, "scale3"])
def test_features_are_the_mean_over_views_of_the_plain_networks(stage: str | None) -> None:
    engine = plan(PredictOptions(preset="camera")).open()
    items = list(reading(engine, Features(stage)).items(sources_of([CLIP, "nowhere.mp4"])))
    assert isinstance(items[1].outcome, MediaError)
    clips = mvit_cli.preprocess(CLIP, "camera")
    with torch.inference_mode():
        expected = mvit_cli.load_model("camera").features(clips, stage)
        if stage:
            expected = torch.stack([grid.reshape(len(grid), -1).sum(1) / grid[0].numel() for grid in expected])
    found = items[0].scores
    assert isinstance(found, torch.Tensor)
    # The fast path adds in another order: float32 sums of values near 1.
    torch.testing.assert_close(found, expected.mean(0), rtol=1e-4, atol=1e-5)


def test_the_engine_itself_still_gives_scores() -> None:
    engine = plan(PredictOptions(preset="camera")).open()
    reading(engine, Features())
    (row,) = engine.predict(CLIP)
    assert row["status"] == "ok"
