"""What files say of how their network wants to be used is heard; only what nobody says is assumed, and told."""

import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import golden
import jsonschema
import pytest
import torch
import yaml

import mvit_cli
from mvit_cli.arch import MViTConfig, get_preset
from mvit_cli.checkpoints.cards import load_card, weights_dir
from mvit_cli.checkpoints.convert import convert
from mvit_cli.checkpoints.find import ResolvedWeights
from mvit_cli.checkpoints.formats.literals import read_assignments
from mvit_cli.checkpoints.formats.reading import Checkpoint
from mvit_cli.checkpoints.formats.said import said_by
from mvit_cli.checkpoints.formats.words import Said
from mvit_cli.cli.main import run
from mvit_cli.errors import CheckpointError, UsageError
from mvit_cli.protocol import Sampling, Views
from mvit_cli.recognition.options import PredictOptions
from mvit_cli.recognition.plan import plan
from mvit_cli.recognition.recipe import Recipe, assumed_recipe, recipe_of_file
from mvit_cli.recognition.scoring import normalised
from mvit_cli.report.schema import schema_of

NAME = "small_pysf_v2"


def own_file(folder: Path, **sections: dict[str, Any]) -> tuple[Path, MViTConfig]:
    """A PySlowFast file whose cfg says more than its strides."""
    cfg = yaml.safe_load(golden.cfg_yaml(NAME) or "")
    for name, section in sections.items():
        cfg[name] = cfg.get(name, {}) | section
    path = folder / "own.pyth"
    torch.save({"model_state": golden.state_dict(NAME), "cfg": yaml.safe_dump(cfg)}, path)
    return path, mvit_cli.load_model(None, path).config


def full_cfg(config: MViTConfig) -> dict[str, dict[str, Any]]:
    data = {"MEAN": [0.4, 0.5, 0.6], "STD": [0.1, 0.2, 0.3], "NUM_FRAMES": config.frames, "SAMPLING_RATE": 2}
    data |= {"TARGET_FPS": 25, "TEST_CROP_SIZE": config.height, "TRAIN_JITTER_SCALES": [config.height + 8, 99]}
    test = {"NUM_ENSEMBLE_VIEWS": 2, "NUM_SPATIAL_CROPS": 1, "DATASET": "kinetics"}
    return {"DATA": data, "TEST": test, "MODEL": {"HEAD_ACT": "sigmoid", "NUM_CLASSES": 10}}


def recipe(folder: Path, **sections: dict[str, Any]) -> tuple[Recipe, MViTConfig]:
    path, config = own_file(folder, **sections)
    return recipe_of_file(path, config, None), config


def test_a_cfg_that_tells_all_leaves_nothing_to_assume(tmp_path: Path) -> None:
    config = own_file(tmp_path)[1]
    found = recipe(tmp_path, **full_cfg(config))[0]
    assert found.assumed == ""
    assert found.sampling == Sampling("clip", config.frames, 2, 25.0)
    assert (found.transform.mean, found.transform.std) == ((0.4, 0.5, 0.6), (0.1, 0.2, 0.3))
    assert (found.transform.resize, found.transform.crop) == (config.height + 8, config.height)
    assert (found.views, found.activation, found.labels) == (Views(2, 1), "sigmoid", None)


def test_three_crops_are_cut_at_the_size_of_the_crop(tmp_path: Path) -> None:
    told = full_cfg(own_file(tmp_path)[1])
    told["TEST"]["NUM_SPATIAL_CROPS"] = 3
    found, config = recipe(tmp_path, **told)
    assert (found.transform.resize, found.views) == (config.height, Views(2, 3))


def test_the_warning_lists_exactly_what_is_not_said(tmp_path: Path) -> None:
    told = full_cfg(own_file(tmp_path)[1])
    told["DATA"]["MEAN"] = None
    found = recipe(tmp_path, **told)[0]
    assert "normalisation (mean 0.45, std 0.225)" in found.assumed
    assert not any(part in found.assumed for part in ("sampling", "views", "resizing", "class names", "sigmoid"))


ORDERS = {
    # dataset: (mean of red first, order shown) with REVERSE_INPUT_CHANNEL false, and true
    "kinetics": (((0.4, 0.5, 0.6), "rgb"), ((0.4, 0.5, 0.6), "bgr")),
    "Ptvkinetics": (((0.4, 0.5, 0.6), "rgb"), ((0.4, 0.5, 0.6), "bgr")),
    "ssv2": (((0.6, 0.5, 0.4), "bgr"), ((0.6, 0.5, 0.4), "rgb")),
    "charades": (((0.6, 0.5, 0.4), "bgr"), ((0.6, 0.5, 0.4), "rgb")),
    "ptvssv2": (((0.4, 0.5, 0.6), "bgr"), ((0.4, 0.5, 0.6), "rgb")),
}


@pytest.mark.parametrize("dataset", ORDERS)
@pytest.mark.parametrize("reverse", [False, True])
def test_the_network_is_shown_the_channels_as_its_training_did(tmp_path: Path, dataset: str, reverse: bool) -> None:
    """An oracle in the words of PySlowFast: read, normalised channel by channel, turned round at the end."""
    told = full_cfg(own_file(tmp_path)[1])
    told["DATA"]["REVERSE_INPUT_CHANNEL"] = reverse
    told["TEST"]["DATASET"] = dataset
    found = recipe(tmp_path, **told)[0]
    assert found.assumed == ""
    assert (found.transform.mean, found.transform.channels) == ORDERS[dataset][reverse]
    picture = torch.randint(0, 256, (1, 1, 2, 2, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    read = picture.flip(-1) if dataset in ("ssv2", "charades") else picture
    shown = (read / 255.0 - torch.tensor(told["DATA"]["MEAN"])) / torch.tensor(told["DATA"]["STD"])
    for _ in range(reverse + dataset.startswith("ptvssv2")):
        shown = shown[..., [2, 1, 0]]
    torch.testing.assert_close(normalised(picture, found.transform), shown.permute(0, 4, 1, 2, 3))


def test_an_order_that_nobody_knows_is_assumed_or_refused(tmp_path: Path) -> None:
    told = full_cfg(own_file(tmp_path)[1])
    told["TEST"]["DATASET"] = "my_frames"
    assert "channels (red, green, blue)" in recipe(tmp_path, **told)[0].assumed
    told["DATA"]["REVERSE_INPUT_CHANNEL"] = True
    with pytest.raises(CheckpointError, match="my_frames"):
        recipe(tmp_path, **told)


def test_segments_and_frames_of_lists_are_sampled_as_their_datasets_do(tmp_path: Path) -> None:
    told = full_cfg(own_file(tmp_path)[1])
    told["TEST"]["DATASET"] = "ssv2"
    found, config = recipe(tmp_path, **told)
    assert found.sampling == Sampling("segments", config.frames)
    told["TEST"]["DATASET"] = "charades"
    found, config = recipe(tmp_path, **told)
    assert found.sampling == Sampling("native", config.frames, 2, past_end="hold")
    assert found.transform.resize == config.height


@pytest.mark.parametrize(
    ("data", "aug", "expected"),
    [
        ({}, None, (256, 224, "bicubic")),
        ({"VAL_CROP_RATIO": 0.9}, None, (248, 224, "bicubic")),
        ({"VAL_CROP_RATIO": 0.875, "TEST_CROP_SIZE": 192}, True, (219, 192, "bicubic")),
        ({"TRAIN_CROP_SIZE": 240}, False, (240, 224, "bilinear")),
    ],
)
def test_images_are_cut_as_their_code_base_does(data: dict[str, Any], aug: bool | None, expected: Any) -> None:
    told: dict[str, Any] = {"MVIT": {"PATCH_2D": True}, "DATA": {"TEST_CROP_SIZE": 224} | data}
    told |= {} if aug is None else {"AUG": {"ENABLE": aug}}
    found = said_by(Checkpoint(Path("none/w.pyth"), {}, cfg=yaml.safe_dump(told)), 10, 1).resizing
    assert found is not None
    assert (found.resize, found.crop, found.interpolation) == expected


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ({"HEAD_ACT": "none", "LOSS_FUNC": "bce_logit"}, "sigmoid"),
        ({"HEAD_ACT": "none", "LOSS_FUNC": "soft_cross_entropy"}, "softmax"),
        ({"HEAD_ACT": "softmax", "LOSS_FUNC": "bce"}, "softmax"),
        ({}, None),
    ],
)
def test_the_loss_tells_where_the_head_does_not(model: dict[str, Any], expected: Any) -> None:
    cfg = yaml.safe_dump({"MODEL": model, "MVIT": {"DEPTH": 1}})
    assert said_by(Checkpoint(Path("none/w.pyth"), {}, cfg=cfg), 10, 8).activation == expected


@pytest.mark.parametrize(("to_rgb", "order", "red"), [(True, "rgb", 0.4), (False, "bgr", 0.2), (None, "bgr", 0.2)])
def test_images_of_mmpretrain_are_read_blue_first(to_rgb: bool | None, order: str, red: float) -> None:
    turn = "" if to_rgb is None else f", to_rgb={to_rgb}"
    text = f"data_preprocessor = dict(mean=[102, 76.5, 51], std=[51, 51, 51]{turn})\n"
    found = said_by(Checkpoint(Path("none/w.pth"), {}, beside={"meta": {"cfg": text}}), 3, 1)
    assert found.channels == order
    assert found.statistics is not None
    assert found.statistics[0][0] == pytest.approx(red)


MMENGINE = """
data_preprocessor = dict(mean=[114.75, 114.75, 114.75], std=[57.375, 57.375, 57.375], type='ActionDataPreprocessor')
model = dict(
    backbone=dict(arch='small', type='MViT'),
    cls_head=dict(loss_cls=dict(type='BCELossWithLogits'), multi_class=True, num_classes=3),
    data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]))
launcher = 'none'  # a comment
lr = -1e-3
fn = __import__('os').system('touch ran')
test_pipeline = [
    dict(type='DecordInit'),
    dict(clip_len=16, frame_interval=4, num_clips=5, test_mode=True, type='SampleFrames'),
    dict(scale=(-1, 224), type='Resize'),
    dict(crop_size=224, type='CenterCrop'),
]
"""

LOADER = MMENGINE.replace("test_pipeline = [", "test_dataloader = dict(batch_size=1, dataset=dict(pipeline=[").replace(
    "type='CenterCrop'),\n]", "type='CenterCrop'),\n]))"
)
MMENGINE_FORMS = {
    "as it is": MMENGINE,
    "in the loader": LOADER,
    "wrapped": LOADER.replace("dataset=dict(", "dataset=dict(times=2, type='RepeatDataset', dataset=dict(", 1).replace(
        ",\n]))", ",\n])))"
    ),
    "validation only": MMENGINE.replace("test_pipeline", "val_pipeline"),
    "beside a training pipeline": "train_pipeline = [dict(clip_len=8, frame_interval=2, type='SampleFrames'),"
    " dict(crop_size=112, type='CenterCrop')]\n" + MMENGINE,
    "braces": MMENGINE.replace(
        "dict(clip_len=16, frame_interval=4, num_clips=5, test_mode=True, type='SampleFrames')",
        "{'type': 'mmaction.SampleFrames', 'clip_len': 16, 'frame_interval': 4, 'num_clips': 5}",
    ),
    "pairs": MMENGINE.replace("crop_size=224", "crop_size=(224, 224)"),
    "windows": MMENGINE.replace("\n", "\r\n"),
}


@pytest.mark.parametrize("form", MMENGINE_FORMS)
def test_a_test_pipeline_is_found_however_it_is_written(form: str) -> None:
    found = said_by(Checkpoint(Path("none/w.pth"), {}, beside={"meta": {"cfg": MMENGINE_FORMS[form]}}), 3, 16)
    assert found.sampling == Sampling("native", 16, 4)
    assert found.views == Views(5, 1)
    assert found.resizing is not None
    assert (found.resizing.resize, found.resizing.crop) == (224, 224)
    assert found.activation == "sigmoid"


def test_images_of_the_time_before_mmengine_are_heard() -> None:
    text = (
        "data = dict(test=dict(pipeline=[dict(type='LoadImageFromFile'), dict(type='Resize', size=(256, -1),"
        " backend='pillow', interpolation='bicubic'), dict(type='CenterCrop', crop_size=224), dict(type='Normalize',"
        " mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)]))\n"
    )
    found = said_by(Checkpoint(Path("none/w.pth"), {}, beside={"meta": {"cfg": text, "CLASSES": ["a", "b"]}}), 2, 1)
    assert found.statistics == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert (found.channels, found.labels, found.views) == ("rgb", ("a", "b"), Views(1, 1))
    assert found.resizing is not None
    assert (found.resizing.resize, found.resizing.interpolation) == (256, "bicubic")


TIMM = {"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0], "input_size": [3, 224, 224], "interpolation": "bicubic"}


@pytest.mark.parametrize("share", [0.875, 0.9, 0.95, 1.0])
def test_the_crop_of_timm_is_cut_off_after_the_division(share: float, tmp_path: Path) -> None:
    told = {"architecture": "mvitv2_tiny", "num_classes": 2, "pretrained_cfg": TIMM | {"crop_pct": share}}
    (tmp_path / "config.json").write_text(json.dumps(told))
    found = said_by(Checkpoint(tmp_path / "model.safetensors", {}), 2, 1)
    assert found.resizing is not None
    assert found.resizing.resize == math.floor(224 / share)
    assert found.statistics == ((0.0,) * 3, (1.0,) * 3)
    assert said_by(Checkpoint(tmp_path / "mine.safetensors", {}), 7, 1) == Said()  # of other weights in the folder


def test_old_and_squashing_configurations_of_timm(tmp_path: Path) -> None:
    told = {"architecture": "mvitv2_tiny", "num_classes": 2, "labels": ["x", "y"], "crop_pct": 0.9, **TIMM}
    (tmp_path / "config.json").write_text(json.dumps(told))
    found = said_by(Checkpoint(tmp_path / "model.safetensors", {}), 2, 1)
    assert (found.labels, found.resizing is None) == (("x", "y"), False)
    (tmp_path / "config.json").write_text(json.dumps(told | {"crop_mode": "squash"}))
    assert said_by(Checkpoint(tmp_path / "model.safetensors", {}), 2, 1).resizing is None


@pytest.mark.parametrize("names", [["x", "y"], {"0": "x", "1": "y"}])
def test_names_of_timm_are_a_list_or_numbered(names: Any, tmp_path: Path) -> None:
    told = {"architecture": "mvitv2_tiny", "num_classes": 2, "label_names": names, "pretrained_cfg": TIMM}
    (tmp_path / "config.json").write_text(json.dumps(told))
    found = said_by(Checkpoint(tmp_path / "model.safetensors", {}), 2, 1)
    assert (found.labels, found.activation) == (("x", "y"), "softmax")


def test_crops_of_ten_leave_the_views_open() -> None:
    text = MMENGINE.replace("crop_size=224, type='CenterCrop'", "crop_size=(224, 224), type='TenCrop'")
    found = said_by(Checkpoint(Path("none/w.pth"), {}, beside={"meta": {"cfg": text}}), 3, 16)
    assert found.views is None
    assert found.resizing is not None


def test_sampling_twice_leaves_the_views_open() -> None:
    """MMAction2 takes the second half of those clips from beyond the end of the video."""
    text = MMENGINE.replace("num_clips=5", "num_clips=5, twice_sample=True")
    assert said_by(Checkpoint(Path("none/w.pth"), {}, beside={"meta": {"cfg": text}}), 3, 16).views is None


def test_another_classifier_does_not_inherit_the_names_of_the_card(tmp_path: Path) -> None:
    """Fine-tuned from a converted file, metadata and number of classes kept: the classes are others."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    target, tuned = tmp_path / "converted.safetensors", tmp_path / "tuned.safetensors"
    card = load_card("camera_motion.embedded")
    convert(ResolvedWeights(weights_dir() / "camera_motion.safetensors", card.name, card), target)
    config = mvit_cli.load_model(None, target).config
    same = recipe_of_file(target, config, "camera_motion")
    assert (same.assumed, same.labels is None) == ("", False)
    with safe_open(target, "pt") as file:
        tensors, metadata = {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118
    tensors["blocks.0.norm1.bias"] = tensors["blocks.0.norm1.bias"] + 1
    save_file(tensors, tuned, metadata)
    assert recipe_of_file(tuned, config, "camera_motion").labels == same.labels
    tensors["head.projection.bias"] = tensors["head.projection.bias"] + 1
    save_file(tensors, tuned, metadata)
    found = recipe_of_file(tuned, config, "camera_motion")
    assert found.labels is None
    assert "class names" not in found.assumed


def test_names_of_a_file_that_an_earlier_version_converted_are_assumed_and_told(tmp_path: Path) -> None:
    """It did not keep which classifier it had, so it may be another: all else is the card's."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    card = load_card("camera_motion.embedded")
    converted, old = tmp_path / "converted.safetensors", tmp_path / "old.safetensors"
    convert(ResolvedWeights(weights_dir() / "camera_motion.safetensors", card.name, card), converted)
    with safe_open(converted, "pt") as file:
        tensors, metadata = {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118
    del metadata["classifier_sha256"]
    save_file(tensors, old, metadata)
    config = mvit_cli.load_model(None, old).config
    found, whole = (recipe_of_file(path, config, "camera_motion") for path in (old, converted))
    assert whole.assumed == ""
    same = replace(whole, assumptions=found.assumptions, assumed_of=found.assumed_of, why=found.why)
    assert found == replace(same, origins=found.origins)
    assert found.assumed.endswith("assumed as of camera_motion.embedded: class names")
    assert {part for part, who in found.origins.items() if who.startswith("assumed")} == {"labels"}


def test_a_converted_file_says_what_its_origin_said(tmp_path: Path) -> None:
    path, config = own_file(tmp_path, **full_cfg(own_file(tmp_path)[1]))
    target = tmp_path / "converted.safetensors"
    convert(ResolvedWeights(path, "own.pyth"), target)
    assert recipe_of_file(target, config, None) == recipe_of_file(path, config, None)


def test_a_configuration_of_mmengine_is_never_evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    meta = {"cfg": MMENGINE, "dataset_meta": {"classes": ["a", "b", "c"]}}
    found = said_by(Checkpoint(tmp_path / "w.pth", {}, beside={"meta": meta}), 3, 16)
    assert found.sampling == Sampling("native", 16, 4)
    assert found.statistics == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert found.resizing is not None
    assert (found.resizing.resize, found.resizing.crop) == (224, 224)
    assert (found.views, found.activation, found.labels) == (Views(5, 1), "sigmoid", ("a", "b", "c"))
    assert set(found.places.values()) == {"the file's meta"}
    assert list(tmp_path.iterdir()) == []


def test_the_notation_of_python_is_read_as_literals() -> None:
    text = "a = dict(b=[1, -2.5, (3,)], c='x' 'y', d={'e': True, 4: None})\nf = g(1=2)\nh = (5)\n"
    assert read_assignments(text.replace("f = g(1=2)\n", "f = g(i=2)\n")) == {
        "a": {"b": [1, -2.5, (3,)], "c": "xy", "d": {"e": True, 4: None}},
        "f": None,
        "h": 5,
    }
    with pytest.raises(CheckpointError, match="nested too deep"):
        read_assignments("a = " + "[" * 90)
    with pytest.raises(CheckpointError, match="letters"):
        read_assignments("a = 1\n" * 50_000)


def test_a_config_json_of_timm_beside_the_file_is_heard(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        '{"architecture": "mvitv2_tiny", "label_names": ["x", "y"], "pretrained_cfg": {"mean": [0.5, 0.5, 0.5],'
        ' "std": [0.25, 0.25, 0.25], "crop_pct": 0.9, "interpolation": "bicubic", "input_size": [3, 224, 224]}}'
    )
    found = said_by(Checkpoint(tmp_path / "model.safetensors", {}), 2, 1)
    assert found.statistics == ((0.5,) * 3, (0.25,) * 3)
    assert found.resizing is not None
    assert (found.resizing.resize, found.resizing.interpolation, found.labels) == (248, "bicubic", ("x", "y"))


def test_the_nearest_card_is_of_the_same_layout() -> None:
    config = get_preset("v2-S").config
    assert "pysf_k400" in assumed_recipe(config, "mvitv2_s_16x4", layout="pyslowfast").assumed
    assert "mma_k400" in assumed_recipe(config, "mvitv2_s_16x4", layout="mmaction2").assumed
    ssv2 = replace(config, num_classes=174)
    assert "pysf_ssv2" in assumed_recipe(ssv2, "mvitv2_s_16x4", layout="pyslowfast").assumed


def test_the_embedded_file_is_its_card_whatever_it_is_called(tmp_path: Path) -> None:
    path = tmp_path / "copy.safetensors"
    model = mvit_cli.load_model("camera", "camera_motion.embedded")
    path.write_bytes((weights_dir() / "camera_motion.safetensors").read_bytes())
    found = recipe_of_file(path, model.config, "camera_motion")
    card = load_card("camera_motion.embedded")
    assert card.source.sha256 is not None
    assert found.assumed == ""
    assert found.labels is not None


def test_one_output_is_a_sigmoid_or_refused() -> None:
    config = replace(get_preset("mvitv2_tiny").config, num_classes=1)
    found = assumed_recipe(config, "mvitv2_tiny")
    assert found.activation == "sigmoid"
    assert "a sigmoid, as there is one output" in found.assumed
    with pytest.raises(CheckpointError, match="one output and a softmax"):
        assumed_recipe(config, "mvitv2_tiny", Said(activation="softmax"))


def test_rows_of_a_sigmoid_say_so_and_their_scores_stand_alone(tmp_path: Path) -> None:
    path, config = own_file(tmp_path, **full_cfg(own_file(tmp_path)[1]))
    clip = Path(__file__).parent / "data" / "pan_left.mp4"
    (row,) = mvit_cli.predict([str(clip)], weights=str(path), top=config.num_classes, workers=0)
    assert row["status"] == "ok"
    assert row["activation"] == "sigmoid"
    assert row["warnings"] == []
    assert abs(sum(each["score"] for each in row["predictions"]) - 1) > 0.1


def test_a_threshold_lists_what_reaches_it_and_the_best(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, config = own_file(tmp_path, **full_cfg(own_file(tmp_path)[1]))
    clip = str(Path(__file__).parent / "data" / "pan_left.mp4")
    weights = str(path)
    (whole,) = mvit_cli.predict([clip], top=config.num_classes, weights=weights, workers=0)
    assert whole["status"] == "ok"
    scores = [entry["score"] for entry in whole["predictions"]]
    for threshold in (0.0, scores[2], scores[0], 1.0):
        (row,) = mvit_cli.predict([clip], top=1, threshold=threshold, weights=weights, workers=0)
        assert row["status"] == "ok"
        listed = [entry["score"] for entry in row["predictions"]]
        assert listed == ([score for score in scores if score >= threshold] or scores[:1])
    options = ["--weights", str(path), "--workers", "1", "-q", "--threshold", f"{scores[2]}"]
    assert run(["predict", clip, *options, "--format", "csv"]) == 0
    header, line = capsys.readouterr().out.splitlines()
    assert header.count("label_") == config.num_classes
    assert f"{scores[2]}" in line
    assert run(["predict", clip, *options, "--format", "table"]) == 0
    assert "scores by sigmoid: each class for itself" in " ".join(capsys.readouterr().out.split())
    page = tmp_path / "page.html"
    assert run(["predict", clip, *options, "--report", str(page), "--format", "jsonl"]) == 0
    assert json.loads(capsys.readouterr().out)["activation"] == "sigmoid"
    assert "sigmoid: each class for itself" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("threshold", [-0.1, 1.5, float("nan")])
def test_a_threshold_is_a_score(threshold: float) -> None:
    with pytest.raises(UsageError, match="threshold"):
        mvit_cli.predict([], preset="camera", threshold=threshold)


def test_one_of_several_networks_is_taken_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tensors, both = golden.state_dict(NAME), tmp_path / "both.pyth"
    other = {key: tensor + 0.05 if key.startswith("head.") else tensor for key, tensor in tensors.items()}
    other = {key: tensor.roll(1, 0) if key.startswith("head.") else tensor for key, tensor in other.items()}
    torch.save({"model_state": tensors, "model_ema": other, "cfg": golden.cfg_yaml(NAME)}, both)
    clip = str(Path(__file__).parent / "data" / "pan_left.mp4")
    found = []
    for name in ("model_state", "model_ema"):
        (row,) = mvit_cli.predict([clip], weights=str(both), weights_key=name, top=1000, workers=0)
        assert row["status"] == "ok"
        found.append({entry["index"]: entry["score"] for entry in row["predictions"]})
    assert found[0] != found[1]
    assert run(["summarize", "--weights", str(both), "--weights-key", "model_ema", "--format", "json"]) == 0
    capsys.readouterr()
    assert run(["summarize", "--weights", str(both), "--weights-key", "nowhere"]) == 1
    assert "--weights-key 'nowhere' is no network in the file" in capsys.readouterr().err
    assert run(["predict", "x.mp4", "--weights", str(both), "--weights-key", "nowhere"]) == 1
    assert "--weights-key 'nowhere' is no network in the file" in capsys.readouterr().err
    assert run(["predict", "x.mp4", "--weights", "none", "--weights-key", "model"]) == 2
    assert run(["weights", "verify", str(both), "--weights-key", "model_ema"]) == 0
    converted = tmp_path / "ema.safetensors"
    assert run(["weights", "convert", str(both), str(converted), "--weights-key", "model_ema"]) == 0
    (row,) = mvit_cli.predict([clip], weights=str(converted), top=1000, workers=0)
    assert row["status"] == "ok"
    assert {entry["index"]: entry["score"] for entry in row["predictions"]} == found[1]
    rows = tmp_path / "rows.jsonl"
    again = ["predict", clip, "--weights", str(both), "--workers", "1", "-q", "-o", str(rows), "--format", "jsonl"]
    assert run([*again, "--weights-key", "model_ema"]) == 0
    capsys.readouterr()
    assert run([*again, "--weights-key", "model_state", "--resume"]) == 2
    assert "both.pyth#model_ema" in " ".join(capsys.readouterr().err.split())
    assert run([*again, "--weights-key", "model_ema", "--resume"]) == 0
    assert run(["summarize", "--weights-key", "model"]) == 2


class TestSummarize:
    """`mvit summarize --weights` shows what predict would do, and who says so."""

    def described(self, path: Path | str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
        assert run(["summarize", "--weights", str(path), "--format", "json"]) == 0
        summary: dict[str, Any] = json.loads(capsys.readouterr().out)
        jsonschema.validate(summary, schema_of("summarize"))
        found: dict[str, Any] = summary["weights"]
        return found

    def test_a_cfg_that_tells_all_is_named_for_each_part(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path, _ = own_file(tmp_path, **full_cfg(own_file(tmp_path)[1]))
        protocol = self.described(path, capsys)["protocol"]
        origins = {part: told["origin"] for part, told in protocol.items()}
        assert origins.pop("labels") == "nobody names them"
        assert set(origins.values()) == {"the file's cfg"}
        assert protocol["statistics"] == {"mean": [0.4, 0.5, 0.6], "std": [0.1, 0.2, 0.3], "origin": "the file's cfg"}
        assert protocol["sampling"]["fps"] == 25
        assert (protocol["views"]["views"], protocol["activation"]["activation"]) == ("2x1", "sigmoid")

    @pytest.mark.parametrize("told", ["all", "nothing", "half", "blue"])
    def test_it_is_what_predict_does(self, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        full = full_cfg(own_file(tmp_path)[1])
        sections = {
            "all": full,
            "nothing": {},
            "half": {"DATA": {"MEAN": [0.1, 0.1, 0.1], "STD": [0.2, 0.2, 0.2]}},
            "blue": {"DATA": {"REVERSE_INPUT_CHANNEL": True}},
        }[told]
        path, _ = own_file(tmp_path, **sections)
        protocol = self.described(path, capsys)["protocol"]
        recogniser = plan(PredictOptions(weights=path)).open()
        found = recogniser.recipe
        sampling = {**asdict(found.sampling), "past_end": found.sampling.beyond, "origin": None}
        assert protocol["sampling"] | {"origin": None} == sampling
        assert (tuple(protocol["statistics"]["mean"]), protocol["resizing"]["crop"]) == (
            found.transform.mean,
            found.transform.crop,
        )
        assert protocol["channels"]["order"] == found.transform.channels
        assert protocol["views"]["views"] == recogniser.run["views"]
        assumed = {part for part, said in protocol.items() if said["origin"].startswith("assumed as of ")}
        assert bool(assumed) == bool(found.assumed)

    def test_a_card_says_all(self, capsys: pytest.CaptureFixture[str]) -> None:
        protocol = self.described("mvitv2_s_16x4.mma_k400", capsys)["protocol"]  # not on this machine
        assert {told["origin"] for told in protocol.values()} == {"card mvitv2_s_16x4.mma_k400"}
        assert protocol["labels"]["first"][0] == "abseiling"

    def test_the_lines_for_people_fit_the_terminal(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", "80")
        path, _ = own_file(tmp_path, **full_cfg(own_file(tmp_path)[1]))
        assert run(["summarize", "--weights", str(path)]) == 0
        told = capsys.readouterr().out
        assert "- mean 0.4 0.5 0.6, std 0.1 0.2 0.3 (the file's cfg)" in told
        assert "- red first (the file's cfg)" in told
        assert all(len(line) <= 80 for line in told.splitlines() if not line.startswith(("stage", "─")))

    def test_what_predict_refuses_is_a_note(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        told = full_cfg(own_file(tmp_path)[1])
        told["DATA"]["REVERSE_INPUT_CHANNEL"] = True
        told["TEST"]["DATASET"] = "my_frames"
        record = self.described(own_file(tmp_path, **told)[0], capsys)
        assert record["protocol"] is None
        assert record["notes"][-1].startswith("predict refuses it: ")
