"""What a checkpoint of one's own may ask for: published ones of every size are far within it, bombs are not."""

from dataclasses import replace
from pathlib import Path

import pytest
from tiny_network import CONFIG, write_weights

from mvit_cli.arch.presets import get_preset
from mvit_cli.arch.summary import preset_of, summarize_config
from mvit_cli.checkpoints.cards import card_names, load_card
from mvit_cli.errors import CheckpointError
from mvit_cli.protocol import Views
from mvit_cli.recognition.options import PredictOptions
from mvit_cli.recognition.plan import plan
from mvit_cli.recognition.proportion import refuse_out_of_proportion, seconds_of
from mvit_cli.recognition.scoring import auto_batch_size, memory_of_view


@pytest.mark.parametrize("name", card_names())
def test_published_weights_are_in_proportion_also_in_half_precision(name: str) -> None:
    """A fine-tuned copy has no card, but its size, its clips and the views of its protocol."""
    card = load_card(name)
    config = replace(get_preset(card.preset).config, num_classes=card.labels.classes)
    summary = summarize_config(config)
    batch = min(card.views.clips * card.views.crops, auto_batch_size(summary["macs"], "cpu"))
    batch_bytes = batch * memory_of_view(config, 4)
    refuse_out_of_proportion(config, card.views, summary["macs"], batch_bytes, 2 * summary["params"])


def test_work_grows_with_views_clips_and_what_attention_sees() -> None:
    macs = summarize_config(CONFIG)["macs"]
    once = seconds_of(CONFIG, 1, macs)
    assert seconds_of(CONFIG, 30, macs) == pytest.approx(30 * once)
    assert seconds_of(replace(CONFIG, height=64, width=64), 1, macs) > 2 * once
    assert seconds_of(replace(CONFIG, stride_kv=((1, 1, 1), (1, 1, 1))), 1, macs) > once


@pytest.mark.parametrize(
    "changes",
    [
        {"frames": 4096, "height": 64, "width": 64, "pos_embed": "none"},
        {"height": 2048, "width": 2048, "pos_embed": "none"},
        {"frames": 256, "height": 128, "width": 128, "patch_stride": (1, 1, 1), "pos_embed": "none"},
    ],
)
def test_a_small_file_that_asks_for_much_is_refused_until_views_are_named(
    changes: dict[str, object], tmp_path: Path
) -> None:
    path = write_weights(tmp_path / "bomb.safetensors", replace(CONFIG, **changes))  # type: ignore[arg-type]
    assert path.stat().st_size < 1_000_000
    with pytest.raises(CheckpointError, match=r"ask for about .* GB") as caught:
        plan(PredictOptions(weights=str(path), device="cpu")).open()
    assert "--views 1x1" in caught.value.hint
    opened = plan(PredictOptions(weights=str(path), device="cpu", views="1x1")).open()
    assert opened.recipe.views == Views(1, 1)


def test_views_that_were_named_are_bound_by_the_memory_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = replace(CONFIG, height=512, width=512, pos_embed="none")
    path = write_weights(tmp_path / "wide.safetensors", wide)
    monkeypatch.setattr("mvit_cli.recognition.plan.free_memory", lambda *_, **__: 2_000_000_000)
    options = PredictOptions(weights=str(path), device="cpu", views="1x1", batch_size=1)
    assert plan(options).open().recipe.views == Views(1, 1)
    with pytest.raises(CheckpointError, match=r"200x1 views of .* take about .* this machine has 2 GB") as caught:
        plan(replace(options, views="200x1")).open()
    assert "fewer --views" in caught.value.hint


def test_a_clip_too_small_for_some_preset_is_none_of_it() -> None:
    """The patch convolution of `camera` needs 11 pixels a side: a network of 8 is another, not an error."""
    config = replace(CONFIG, height=8, width=8)
    assert preset_of(config) is None
    camera = get_preset("camera").config
    found = preset_of(replace(camera, num_classes=3, frames=8))
    assert found is not None
    assert found.name == "camera_motion"
