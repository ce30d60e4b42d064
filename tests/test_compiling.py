"""A compiled network: the same rows, one shape, and an error that says what to do where the compiler fails."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from media_clips import clip
from test_fast import SAME_SUMS, random_model
from test_model import SMALL as SMALL_V1
from test_model import SMALL_V2
from test_recognition import TRANSFORM, MeanColour, scorer
from tiny_network import write_weights

import mvit_cli
from mvit_cli.arch import MViTConfig
from mvit_cli.errors import MViTError
from mvit_cli.model.fast.network import FastMViT
from mvit_cli.recognition.compiling import compiled
from mvit_cli.recognition.scoring import Scorer


@pytest.fixture
def traced_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Runs the compiler's front, which sees the whole network, without its back, which takes a minute."""
    compile_ = torch.compile

    def front_only(network: Any, **options: Any) -> Any:
        assert options == {"dynamic": False, "mode": None}
        torch.compiler.reset()
        return compile_(network, backend="eager", fullgraph=True, dynamic=False)

    monkeypatch.setattr(torch, "compile", front_only)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))


@pytest.mark.parametrize("config", [SMALL_V1, SMALL_V2])
@pytest.mark.usefixtures("traced_only")
def test_the_fast_path_is_one_graph_with_the_same_logits(config: MViTConfig) -> None:
    model, clips = random_model(config), torch.randn(2, 3, 4, 32, 32)
    runs = compiled(FastMViT(model), clips)
    with torch.inference_mode():
        assert float((runs(clips) - model(clips)).abs().max()) <= SAME_SUMS


@pytest.mark.usefixtures("traced_only")
def test_predict_gives_the_same_rows(tmp_path: Path) -> None:
    weights = write_weights(tmp_path / "tiny.safetensors")
    given = {"weights": weights, "device": "cpu", "batch_size": 4, "workers": 0}
    (plain,) = mvit_cli.predict([clip("rot90.mp4")], **given)
    (fast,) = mvit_cli.predict([clip("rot90.mp4")], compiled=True, **given)
    for ours, theirs in zip(fast["predictions"], plain["predictions"], strict=True):
        assert ours["index"] == theirs["index"]
        assert ours["score"] == pytest.approx(theirs["score"], abs=SAME_SUMS)


def test_a_compiler_that_fails_is_an_error_with_a_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def no_compiler(clips: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no working C++ compiler found")

    monkeypatch.setattr(torch, "compile", lambda network, **options: no_compiler)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    with pytest.raises(MViTError, match="--compile failed: RuntimeError: no working") as caught:
        compiled(MeanColour(), torch.zeros(1, 3, 2, 8, 8))
    assert "leave --compile out" in str(caught.value.hint)


def test_batches_that_are_not_full_are_filled_up() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 2, 8, 8, 3), dtype=np.uint8)
    model = MeanColour()
    whole = Scorer(model, TRANSFORM, torch.device("cpu"), torch.float32, 4, whole_batches=True)
    torch.testing.assert_close(whole.scores(pixels), scorer(MeanColour()).scores(pixels), rtol=0, atol=1e-6)
    assert model.sizes == [4, 4]
