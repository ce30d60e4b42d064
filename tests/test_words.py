"""The words of files in the spellings that people and code bases write them in."""

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import golden
import numpy as np
import pytest
import torch
import yaml

import mvit_cli
from mvit_cli.checkpoints.formats.literals import read_assignments, read_number
from mvit_cli.checkpoints.formats.reading import Checkpoint, read_shapes
from mvit_cli.checkpoints.formats.said import said_by
from mvit_cli.checkpoints.formats.settings import read_cfg
from mvit_cli.checkpoints.formats.words import Resizing, Said
from mvit_cli.checkpoints.load import describe
from mvit_cli.errors import CheckpointError
from mvit_cli.protocol import Sampling, Transform, Views
from mvit_cli.recognition.scoring import normalised

DATA: dict[str, Any] = {"MEAN": [0.4, 0.5, 0.6], "STD": [0.1, 0.2, 0.3], "NUM_FRAMES": 16, "SAMPLING_RATE": 4}
DATA |= {"TARGET_FPS": 25, "TRAIN_JITTER_SCALES": [256, 320], "TEST_CROP_SIZE": 224, "REVERSE_INPUT_CHANNEL": False}
CFG: dict[str, Any] = {
    "DATA": DATA,
    "TEST": {"DATASET": "kinetics", "NUM_ENSEMBLE_VIEWS": 3, "NUM_SPATIAL_CROPS": 1},
    "MODEL": {"HEAD_ACT": "sigmoid"},
    "MVIT": {"PATCH_KERNEL": [3, 7, 7]},
}


class CfgNode(dict[str, Any]):
    """As yacs has it: a dictionary with attributes of its own."""


CfgNode.__module__, CfgNode.__qualname__ = "yacs.config", "CfgNode"


def told(cfg: str, frames: int = 16) -> Said:
    return said_by(Checkpoint(Path("none/w.pyth"), {}, cfg=cfg), 10, frames)


def tagged() -> str:
    """As `yaml.dump` writes tuples and a dictionary of a class."""
    text = yaml.safe_dump(CFG, default_flow_style=None)
    text = text.replace("MEAN: [", "MEAN: !!python/tuple [").replace("STD: [", "STD: !!python/tuple [")
    body = "".join(f"  {line}\n" for line in text.splitlines())
    return f"!!python/object/new:fvcore.common.config.CfgNode\ndictitems:\n{body}state: {{__immutable__: true}}\n"


SPELLINGS = {
    "blocks": yaml.safe_dump(CFG),
    "flow": yaml.safe_dump(CFG, default_flow_style=True),
    "mixed": yaml.safe_dump(CFG, default_flow_style=None),
    "json": json.dumps(CFG),
    "quoted numbers": yaml.safe_dump(CFG, default_flow_style=None).replace("16", "'16'").replace("224", '"224"'),
    "lists as text": yaml.safe_dump({**CFG, "DATA": {**DATA, "MEAN": "(0.4, 0.5, 0.6)", "STD": "[0.1, .2, 3e-1]"}}),
    "tagged": tagged(),
    "comments": "# of my run\n" + yaml.safe_dump(CFG).replace("TARGET_FPS: 25", "TARGET_FPS: 25  # camera"),
    "windows": yaml.safe_dump(CFG).replace("\n", "\r\n"),
    "anchors": yaml.safe_dump(CFG, default_flow_style=None).replace("STD: [", "STD: &s [") + "OTHER: *s\n",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_cfg_says_the_same_in_every_spelling(spelling: str) -> None:
    found = told(SPELLINGS[spelling])
    assert found.sampling == Sampling("clip", 16, 4, 25.0)
    assert found.statistics == ((0.4, 0.5, 0.6), (0.1, 0.2, 0.3))
    assert found.resizing == Resizing(256, 224, "bilinear", False, "float")
    assert (found.views, found.activation, found.channels) == (Views(3, 1), "sigmoid", "rgb")


@pytest.mark.parametrize("kind", ["dictionary", "CfgNode"])
def test_a_cfg_that_is_no_text_is_heard(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("yacs", "yacs.config"):
        module = ModuleType(name)
        module.CfgNode = CfgNode  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, name, module)
    make = CfgNode if kind == "CfgNode" else dict
    cfg = make({name: make(section) for name, section in CFG.items()})
    if isinstance(cfg, CfgNode):
        cfg.__dict__["__immutable__"] = True
    tensors = {"patch_embed.proj.weight": torch.zeros(8, 3, 3, 7, 7)}
    torch.save({"model_state": tensors, "cfg": cfg}, tmp_path / "w.pyth")
    checkpoint = read_shapes(tmp_path / "w.pyth")
    assert said_by(checkpoint, 10, 16) == told(SPELLINGS["blocks"])


@pytest.mark.parametrize(
    "text",
    [
        "a: !!python/object/apply:os.system ['touch ran']",
        "a: !!python/name:os.system ''",
        "a: !!python/module:os ''",
        "a: &a [*a]",
        "a0: &a0 [1, 1]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 7)),
    ],
)
def test_a_cfg_does_nothing_and_does_not_grow(text: str) -> None:
    with pytest.raises(CheckpointError, match="the file's cfg"):
        read_cfg(text)


def test_the_largest_score_of_all_views_counts_where_the_file_says_so(tmp_path: Path) -> None:
    """`ENSEMBLE_METHOD: max`, as PySlowFast's configurations for Charades have it."""
    sections = {
        "DATA": {**DATA, "ENSEMBLE_METHOD": "max", "NUM_FRAMES": 8, "TEST_CROP_SIZE": 64},
        "MODEL": CFG["MODEL"],
    }
    sections["TEST"] = {"DATASET": "charades", "NUM_ENSEMBLE_VIEWS": 3, "NUM_SPATIAL_CROPS": 3}
    path = tmp_path / "charades.pyth"
    cfg = yaml.safe_load(golden.cfg_yaml("small_pysf_v2") or "")
    cfg |= {name: cfg.get(name, {}) | section for name, section in sections.items()}
    torch.save({"model_state": golden.state_dict("small_pysf_v2"), "cfg": yaml.safe_dump(cfg)}, path)
    clip = Path(__file__).parent / "data" / "pan_left.mp4"
    with mvit_cli.Recogniser(weights=path, top=10) as recogniser:
        (row,) = recogniser.predict([clip])
        each = torch.sigmoid(recogniser.logits(recogniser.preprocess(clip)))  # (views, classes)
    assert row["status"] == "ok"
    assert len(each) == 9
    scores = {one["index"]: one["score"] for one in row["predictions"]}
    assert [scores[index] for index in range(10)] == pytest.approx(each.amax(dim=0).tolist(), abs=1e-6)
    assert told(yaml.safe_dump({**CFG, "DATA": {**DATA, "ENSEMBLE_METHOD": "median"}})).views is None


def test_clips_without_offsets_stand_where_pyslowfast_puts_them() -> None:
    for said, method in ((True, "clip"), (False, "leading")):
        found = told(yaml.safe_dump({**CFG, "DATA": {**DATA, "USE_OFFSET_SAMPLING": said}})).sampling
        assert found == Sampling(method, 16, 4, 25.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "aug", "expected"),
    [
        ({"IN_VAL_CROP_RATIO": 0.9}, True, 248),
        ({"IN_VAL_CROP_RATIO": 1.0}, True, 224),
        ({"VAL_CROP_RATIO": 0.95}, None, 235),  # facebookresearch/mvit, which has neither frames nor PATCH_2D
        ({"IN_VAL_CROP_RATIO": 0.875, "TRAIN_CROP_SIZE": 240}, False, 240),
        ({"IN_VAL_CROP_RATIO": 0.0}, True, None),  # squashed
    ],
)
def test_images_are_cut_by_the_share_that_their_code_base_names(data: Any, aug: bool | None, expected: Any) -> None:
    said: dict[str, Any] = {"DATA": {"TEST_CROP_SIZE": 224, "MEAN": [0.5] * 3, "STD": [0.5] * 3} | data, "MVIT": {}}
    found = told(yaml.safe_dump(said | ({} if aug is None else {"AUG": {"ENABLE": aug}})), frames=1)
    assert (found.resizing.resize if found.resizing else None) == expected
    assert (found.sampling, found.views, found.channels) == (Sampling("image", 1), Views(1, 1), "rgb")


# --- MMEngine

STEPS: list[dict[str, Any]] = [
    {"type": "DecordInit"},
    {"type": "SampleFrames", "clip_len": 16, "frame_interval": 4, "num_clips": 5, "test_mode": True},
    {"type": "DecordDecode"},
    {"type": "Resize", "scale": (-1, 256)},
    {"type": "CenterCrop", "crop_size": 224},
    {"type": "FormatShape", "input_format": "NCTHW"},
]
SHOWN = {"type": "ActionDataPreprocessor", "mean": [114.75] * 3, "std": [57.375] * 3, "format_shape": "NCTHW"}
MODEL = {"type": "Recognizer3D", "data_preprocessor": SHOWN, "cls_head": {"type": "MViTHead", "num_classes": 10}}
META = {"model": MODEL, "test_pipeline": STEPS}


def heard(cfg: Any, frames: int = 16) -> Said:
    return said_by(Checkpoint(Path("none/w.pth"), {}, beside={"meta": {"cfg": cfg}}), 10, frames)


def written(cfg: dict[str, Any]) -> str:
    return "".join(f"{name} = {value!r}\n" for name, value in cfg.items())


def with_step(place: int, **changes: Any) -> dict[str, Any]:
    """The configuration with one step of its pipeline changed."""
    steps = [step | changes if number == place else step for number, step in enumerate(STEPS)]
    return {**META, "test_pipeline": steps}


RAW = """
_base_ = ['../../_base_/models/mvit_small.py']
from mmengine.config import read_base
file_client_args = dict(io_backend='disk')
side = 256
mean = [114.75, 114.75, 114.75]
lr = 1.6e-3 * 2 / 512
names = [round(x) for x in mean[::-1]]
shown = dict(type='ActionDataPreprocessor', mean=mean, std=[57.375, 57.375, 57.375], format_shape='NCTHW')
model = dict(type='Recognizer3D', backbone=dict(init_cfg=dict(checkpoint=  # noqa: E251
    'https://a.b/c.pth', prefix='backbone.')), data_preprocessor=shown, cls_head=dict(type='MViTHead', num_classes=10))
common = dict(frame_interval=4, num_clips=5)
test_pipeline = [
    dict(type='DecordInit', **file_client_args),
    dict(type='SampleFrames', clip_len=4 * 4 if side else 8, **common, test_mode=True),
    dict(type='Resize', scale=(-1, side)),
    dict(type='CenterCrop', crop_size=224),
]
val_dataloader = dict(batch_size=1, dataset=dict(type='VideoDataset', pipeline=test_pipeline))
test_dataloader = val_dataloader
"""


@pytest.mark.parametrize("form", ["text", "dictionary", "references"])
def test_a_configuration_of_mmengine_is_heard_in_every_form(form: str) -> None:
    cfg = {"text": written(META), "dictionary": META, "references": RAW.replace("4 * 4 if side else 8", "16")}[form]
    found = heard(cfg)
    assert found.sampling == Sampling("native", 16, 4)
    assert found.statistics == ((0.45,) * 3, (0.225,) * 3)
    assert found.resizing == Resizing(256, 224, "bilinear", False, "uint8", "mmaction2")
    assert (found.views, found.activation, found.channels) == (Views(5, 1), "softmax", "rgb")
    assert bool(found.missing) == (form == "references")


def test_names_of_another_number_of_classes_are_told_and_not_taken() -> None:
    meta = {"cfg": META, "dataset_meta": {"classes": ["a", "b", "c"]}}
    found = said_by(Checkpoint(Path("none/w.pth"), {}, beside={"meta": meta}), 10, 16)
    assert found.labels is None
    assert found.unfit == "the file's meta names 3 classes, its network tells 10 apart"


OF_ITS_OWN_SIZE = ("small_mma", "small_mma_56px", "small_mma_dim_in_mlp", "small_mma_abspos", "small_mmpretrain")


@pytest.mark.parametrize("name", OF_ITS_OWN_SIZE)
def test_a_network_without_a_preset_is_built_as_its_meta_says(name: str, tmp_path: Path) -> None:
    backbone = {"type": "MViT", **golden.golden(name)["config"]["backbone"]}
    meta = {"cfg": f"model = dict(backbone={backbone!r})\n"}
    torch.save({"state_dict": golden.state_dict(name), "meta": meta}, tmp_path / "w.pth")
    model = mvit_cli.load_model(None, tmp_path / "w.pth", dtype="float64")
    with torch.inference_mode():
        found = model(golden.clips(name).double()).tolist()
    assert np.abs(np.subtract(found, golden.golden(name)["logits_f64"])).max() <= 1e-9


@pytest.mark.parametrize(
    ("backbone", "first", "source"),
    [
        ({"arch": "small"}, (1, 8, 8), "the file's meta"),
        ({"arch": "small", "adaptive_kv_stride": [1, 4, 4]}, (1, 4, 4), "the file's meta"),
        (
            {"arch": {"embed_dims": 96, "num_layers": 16, "num_heads": 1, "downscale_indices": (1, 3, 14)}},
            (1, 8, 8),
            "the file's meta",
        ),
        ({"arch": None}, (1, 8, 8), "preset mvitv2_s_16x4"),  # an expression: not guessed
        ({"arch": "tiny", "adaptive_kv_stride": [1, 4, 4]}, (1, 8, 8), "preset mvitv2_s_16x4"),  # of another network
        ({"type": "SwinTransformer3D"}, (1, 8, 8), "preset mvitv2_s_16x4"),
    ],
)
def test_strides_are_those_of_the_meta(backbone: dict[str, Any], first: tuple[int, ...], source: str) -> None:
    meta = {"cfg": {"model": {"backbone": {"type": "MViT", **backbone}}}}
    tensors = golden.meta_state_dict("mma_k400_mvitv2_s_16x4")
    found = describe(Checkpoint(Path("none/w.pth"), tensors, beside={"meta": meta}))
    assert (found.config.stride_kv[0], found.inferred.strides_from) == (first, source)


def test_an_expression_is_not_guessed() -> None:
    found = heard(RAW)
    assert (found.sampling, found.views) == (None, Views(5, 1))
    assert "mvit_small.py" in found.missing


@pytest.mark.parametrize(
    ("place", "changes", "expected"),
    [
        (1, {"out_of_bound_opt": "repeat_last"}, Sampling("native", 16, 4, past_end="repeat")),
        (1, {"target_fps": 30}, Sampling("clip", 16, 4, 30.0, past_end="loop")),
        (1, {"clip_len": 1}, Sampling("image", 1)),
        (1, {"type": "UniformSample", "num_clips": 1}, Sampling("uniform", 16)),
        (1, {"type": "mmaction.datasets.transforms.SampleFrames"}, Sampling("native", 16, 4)),
        (1, {"type": "DenseSampleFrames"}, None),
        (1, {"out_of_bound_opt": "mirror"}, None),
        (1, {"target_fps": "fast"}, None),
    ],
)
def test_frames_are_taken_as_the_sampler_says(place: int, changes: dict[str, Any], expected: Sampling | None) -> None:
    found = heard(with_step(place, **changes))
    assert found.sampling == expected
    assert found.channels == "rgb"  # of a video, whatever takes its frames


@pytest.mark.parametrize(
    ("place", "changes", "expected"),
    [
        (3, {"scale": (256, -1)}, (256, 224)),
        (3, {"scale": [-1, 224]}, (224, 224)),
        (3, {"scale": (340, 256)}, None),  # within a box: no side is told
        (3, {"scale": (224, 224), "keep_ratio": False}, None),
        (3, {"interpolation": "bicubic"}, None),  # not low-passed, which no network here was shown
        (3, {"scale": (-1, 200)}, None),  # the crop would not fit
        (4, {"type": "ThreeCrop", "crop_size": (224, 224)}, (256, 224)),
        (4, {"crop_size": (224, 192)}, None),
    ],
)
def test_frames_are_cut_as_the_pipeline_says(place: int, changes: dict[str, Any], expected: Any) -> None:
    found = heard(with_step(place, **changes)).resizing
    assert (None if found is None else (found.resize, found.crop)) == expected


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ({"type": "MViTHead"}, "softmax"),
        ({"type": "MViTHead", "loss_cls": {"type": "BCELossWithLogits"}}, "sigmoid"),
        ({"type": "MViTHead", "loss_cls": {"type": "CBFocalLoss"}}, "sigmoid"),
        ({"type": "MultiLabelLinearClsHead"}, "sigmoid"),
        ({"type": "LinearClsHead", "loss": {"type": "CrossEntropyLoss", "use_sigmoid": True}}, "sigmoid"),
        ({"type": "LinearClsHead", "loss": {"type": "LabelSmoothLoss", "mode": "multi_label"}}, "sigmoid"),
        ({"type": "LinearClsHead", "loss": {"type": "LabelSmoothLoss", "mode": "original"}}, "softmax"),
    ],
)
def test_the_head_says_what_its_outputs_are(head: dict[str, Any], expected: str) -> None:
    assert heard({**META, "model": {**MODEL, "cls_head": head}}).activation == expected


def test_a_video_whose_channels_are_turned_round_is_shown_blue_first() -> None:
    """`to_rgb` of MMAction2 swaps what the decoder gave red first; the mean is of what comes out of that."""
    shown = {**SHOWN, "mean": [25.5, 51.0, 76.5], "to_rgb": True}
    found = heard({**META, "model": {**MODEL, "data_preprocessor": shown}})
    assert (found.channels, found.statistics) == ("bgr", ((0.3, 0.2, 0.1), (0.225,) * 3))
    assert found.statistics
    mean, std = found.statistics
    picture = torch.randint(0, 256, (1, 2, 3, 3, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    swapped = picture.float()[..., [2, 1, 0]]  # MMAction2's preprocessor in its own words
    expected = (swapped - torch.tensor(shown["mean"])) / torch.tensor(shown["std"])
    transform = Transform(mean, std, 4, 3, channels=found.channels or "rgb")
    torch.testing.assert_close(normalised(picture, transform), expected.permute(0, 4, 1, 2, 3))


def test_numbers_in_text_are_numbers_and_all_else_is_text() -> None:
    found = [read_number(text) for text in ("16", "1e-3", "(3, 7, 7)", "[[1, 2.0]]", "True", "None", "-1.5")]
    assert found == [16, 1e-3, (3, 7, 7), [[1, 2.0]], True, None, -1.5]
    for text in ("softmax", "16x4", "", "1 2", "()(", "1.2.3", "--", "0x10", "9" * 500):
        assert read_number(text) == text


def test_strings_are_read_without_their_quotes() -> None:
    text = "a = 'it\\'s'\nb = \"x\\\\y\"\nc = '''three'''\nd = ['a' 'b', r'raw']\ne = f'{1}'\n"
    assert read_assignments(text) == {"a": "it's", "b": "x\\y", "c": "three", "d": ["ab", None], "e": None}
