"""The configuration that MMEngine writes beside weights: what of its model and its test pipeline matters here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mvit_cli.checkpoints.formats.literals import read_assignments
from mvit_cli.checkpoints.formats.settings import plain
from mvit_cli.errors import CheckpointError


@dataclass(frozen=True)
class Pipeline:
    """What the test pipeline does with a file; None where no step tells.

    Attributes:
        sampler: `SampleFrames` or `UniformSample`; None: none of these two.
        rate: frames a second that `SampleFrames` counts in; None: the video's own.
        past_end: `out_of_bound_opt` of `SampleFrames`.
        clips: None too where `twice_sample` takes them from beyond the end of the video.
        resize: short side; None too where the proportions are not kept.
        way: how pixels are interpolated.
        crops: 1 or 3.
    """

    sampler: Literal["SampleFrames", "UniformSample"] | None = None
    frames: Any = None
    interval: Any = None
    rate: Any = None
    past_end: Any = None
    clips: Any = None
    resize: Any = None
    way: Any = None
    crop: Any = None
    crops: int | None = None


@dataclass(frozen=True)
class Meta:
    """What `meta` says that matters for inference; mean and std of values from 0 to 255.

    Attributes:
        to_rgb: whether the channels are turned round; None where nothing is said of pixels.
        bases: names of the configurations that it builds on, which are not in the file.
    """

    mean: Any = None
    std: Any = None
    to_rgb: bool | None = None
    bases: tuple[str, ...] = ()
    activation: Literal["softmax", "sigmoid"] | None = None
    classes: tuple[str, ...] | None = None
    pipeline: Pipeline = field(default_factory=Pipeline)


def read_meta(meta: Mapping[Any, Any]) -> Meta:
    """What the `meta` of an MMEngine checkpoint says.

    Raises:
        CheckpointError: its configuration is larger than any.
    """
    cfg = _cfg(meta)
    model = _dict(cfg.get("model"))
    shown = _dict(model.get("data_preprocessor")) or _dict(cfg.get("data_preprocessor"))
    head = _dict(model.get("cls_head")) or _dict(model.get("head"))
    steps = _test_steps(cfg)
    shown = shown or next((step for step in steps if _type(step) == "Normalize"), {})  # before MMEngine
    return Meta(
        mean=shown.get("mean"),
        std=shown.get("std"),
        to_rgb=_turns(shown) if shown else None,
        bases=_bases(cfg.get("_base_")),
        activation=_activation(head),
        classes=class_names(meta),
        pipeline=_pipeline(steps),
    )


def _cfg(meta: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """The configuration, which MMEngine writes as text."""
    cfg = meta.get("cfg")
    return read_assignments(cfg) if isinstance(cfg, str) else _dict(cfg)


def _bases(named: Any) -> tuple[str, ...]:
    names = named if isinstance(named, list | tuple) else [named]
    return tuple(name[:120] for name in names if isinstance(name, str))


def _turns(shown: Mapping[str, Any]) -> bool:
    """Whether the channels are turned round before they are normalised; each of the steps has a usual way."""
    usual = _type(shown) == "Normalize" and "to_bgr" not in shown
    return bool(shown.get("to_rgb", shown.get("to_bgr", usual)))


def _test_steps(cfg: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The test pipeline by its name, or of the data that is tested on; else that of validation."""
    for part in ("test", "val"):
        dataset = _dict(_dict(cfg.get(f"{part}_dataloader")).get("dataset")) or _dict(_dict(cfg.get("data")).get(part))
        while isinstance(dataset.get("dataset"), dict):  # wrapped, as to be repeated
            dataset = dataset["dataset"]
        for steps in (dataset.get("pipeline"), cfg.get(f"{part}_pipeline")):
            if isinstance(steps, list) and steps:
                return [step for step in steps if isinstance(step, dict)]
    return []


def _type(step: Mapping[str, Any]) -> str:
    """The class of a step, without its modules."""
    return str(step.get("type", ""))[:80].rpartition(".")[2]


def backbone_of(meta: Any) -> Mapping[str, Any]:
    """What a file's `meta` says of its MViT; empty where it says nothing, or has another backbone."""
    backbone = _dict(_dict(_cfg(plain(_dict(meta), "the file's meta")).get("model")).get("backbone"))
    return backbone if _type(backbone) == "MViT" else {}


def class_names(meta: Mapping[Any, Any]) -> tuple[str, ...] | None:
    """Names of the classes, under any of the keys that MMEngine and MMCV have had for them."""
    dataset = _dict(meta.get("dataset_meta"))
    names = dataset.get("classes") or dataset.get("CLASSES") or meta.get("CLASSES")
    return tuple(names) if isinstance(names, list | tuple) and all(isinstance(n, str) for n in names) else None


def refuse_other_outputs(backbone: Mapping[str, Any]) -> None:
    """Raises CheckpointError if a class token stands in the file that its backbone does without."""
    for switch in ("with_cls_token", "output_cls_token"):
        if backbone.get(switch) is False:
            raise CheckpointError(
                f"the file's meta says {switch}=False: the classifier sees another token than this network's",
                "mvit runs MMAction2's MViT with its class token",
            )


def _activation(head: Mapping[str, Any]) -> Literal["softmax", "sigmoid"] | None:
    if not head:
        return None
    loss = _dict(head.get("loss_cls") or head.get("loss"))
    sigmoid = (
        head.get("multi_class") is True
        or _type(head).startswith("MultiLabel")
        or "BCE" in _type(loss)
        or _type(loss) in _LOSSES_OF_SIGMOIDS
        or loss.get("use_sigmoid") is True
        or loss.get("mode") == "multi_label"
    )
    return "sigmoid" if sigmoid else "softmax"


_LOSSES_OF_SIGMOIDS = ("AsymmetricLoss", "FocalLoss", "CBFocalLoss", "HVULoss")
"""Losses of MMAction2 and mmpretrain that see each output for itself; others may by a switch."""


def _pipeline(steps: list[dict[str, Any]]) -> Pipeline:
    told: dict[str, Any] = {}
    for step in steps:
        match _type(step):
            case "SampleFrames" | "UniformSample" as sampler:
                clips = None if step.get("twice_sample") is True else step.get("num_clips", 1)
                told |= {"sampler": sampler, "frames": step.get("clip_len"), "clips": clips}
                told |= {"interval": step.get("frame_interval", 1), "rate": step.get("target_fps")}
                told |= {"past_end": step.get("out_of_bound_opt", "loop")}
            case "Resize":
                told |= {"resize": _short_side(step), "way": step.get("interpolation", "bilinear")}
            case "ResizeEdge":
                short = step.get("scale") if step.get("edge", "short") == "short" else None
                told |= {"resize": short, "way": step.get("interpolation", "bilinear")}
            case "CenterCrop" | "ThreeCrop" | "TenCrop" as cut:
                crops = {"CenterCrop": 1, "ThreeCrop": 3}.get(cut)  # ten are five and their mirror images
                told |= {"crop": _side(step.get("crop_size")), "crops": crops}
    return Pipeline(**told)


def _short_side(step: Mapping[str, Any]) -> Any:
    """Of a step that keeps the proportions: `scale=(-1, 256)`, and before MMEngine `size=(256, -1)` for images."""
    pair = step.get("scale") or step.get("size")
    if step.get("keep_ratio", True) is False or not isinstance(pair, tuple | list) or len(pair) != 2:
        return None
    return next((side for side in pair if side != -1), None) if -1 in pair else None


def _side(size: Any) -> Any:
    """The side of a crop: a number, or two equal ones."""
    return size[0] if isinstance(size, tuple | list) and len(size) == 2 and size[0] == size[1] else size


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
