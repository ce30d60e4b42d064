"""Weights of our own making say how they want to be shown a file: nothing is assumed, and nothing believed unread."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from tiny_network import CONFIG, write_weights

import mvit_cli
from mvit_cli.checkpoints.convert import convert
from mvit_cli.checkpoints.find import ResolvedWeights
from mvit_cli.checkpoints.formats.own_protocol import PROTOCOL_KEY, OwnProtocol, protocol_in, protocol_to_json
from mvit_cli.checkpoints.load import CONFIG_KEY, config_to_json
from mvit_cli.errors import CheckpointError
from mvit_cli.protocol import Activation, Sampling, Transform, Views
from mvit_cli.recognition.recipe import recipe_of_file

CLIP = str(Path(__file__).parent / "data" / "pan_left.mp4")
LABELS = tuple(f"class {n}" for n in range(CONFIG.num_classes))
TRANSFORM = Transform((0.4, 0.5, 0.6), (0.2, 0.3, 0.4), 40, 32, "bicubic", True, "uint8", "mmaction2")


def own(activation: Activation = "softmax") -> OwnProtocol:
    return OwnProtocol(Sampling("native", 4, 3), TRANSFORM, Views(2, 1), activation, LABELS)


def written(folder: Path, text: str) -> Path:
    path = write_weights(folder / "mine.safetensors")
    save_file(load_file(path), path, metadata={CONFIG_KEY: config_to_json(CONFIG), PROTOCOL_KEY: text})
    return path


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_predict_assumes_nothing_of_weights_that_say_it_all(tmp_path: Path, activation: Activation) -> None:
    path = written(tmp_path, protocol_to_json(own(activation)))
    found = recipe_of_file(path, CONFIG, None)
    assert (found.sampling, found.transform, found.views) == (Sampling("native", 4, 3), TRANSFORM, Views(2, 1))
    assert found.assumed == ""
    (row,) = mvit_cli.predict(CLIP, weights=path, workers=0)
    assert row["status"] == "ok"
    assert (row["warnings"], row["views"], row["activation"]) == ([], "2x1", activation)
    assert row["predictions"][0]["label"] in LABELS


def test_a_conversion_keeps_what_the_file_says(tmp_path: Path) -> None:
    path = written(tmp_path, protocol_to_json(own()))
    target = convert(ResolvedWeights(path, "mine"), tmp_path / "copy.safetensors").path
    assert recipe_of_file(target, CONFIG, None) == recipe_of_file(path, CONFIG, None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ["a", "b"]}, "for 2 class names, its network for 7"),
        ({"labels": [1] * 7}, "labels are texts"),
        ({"activation": "tanh"}, "softmax or sigmoid"),
        ({"views": {"clips": 10**9, "crops": 1}}, "too large"),
        ({"views": {"clips": 1, "crops": 2}}, "too large"),
        ({"views": {"clips": True, "crops": 1}}, "too large"),
        ({"sampling": {"method": "clip", "frames": 4}}, "needs a frame rate"),
        ({"sampling": {"method": "native", "frames": 8}}, "for 8 frames, its network for 4"),
        ({"sampling": 3}, "not usable"),
        ({"transform": {"mean": [0.4], "std": [1, 1, 1], "resize": 40, "crop": 32}}, "three numbers"),
    ],
)
def test_what_is_no_protocol_is_an_error_that_says_so(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    path = written(tmp_path, json.dumps(json.loads(protocol_to_json(own())) | changes))
    with pytest.raises(CheckpointError, match=message):
        recipe_of_file(path, CONFIG, None)


def test_a_file_that_says_nothing_has_no_protocol() -> None:
    assert protocol_in({}, 4, 32, 7) is None
    text = protocol_to_json(replace(own(), labels=('é\n"x',) * 7))
    found = protocol_in({PROTOCOL_KEY: text}, 4, 32, 7)
    assert found is not None
    assert found.labels[0] == 'é\n"x'
