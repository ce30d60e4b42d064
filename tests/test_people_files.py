"""Files as people's training scripts leave them: other classifiers, wrappers around the network, things beside it."""

import pickle
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import golden
import pytest
import torch
from torch import Tensor

from mvit_cli.checkpoints.formats.reading import read_checkpoint, read_shapes
from mvit_cli.checkpoints.load import load_model
from mvit_cli.errors import CheckpointError

State = dict[str, Tensor]
SAME = 1e-4  # as in test_goldens.py: the golden's own float32 error is 4e-6
CLASSIFIERS = {  # of each layout: where it keeps its classifier
    "small_tv_v2": "head.1.",
    "small_timm": "head.fc.",
    "small_ptv_v1": "head.proj.",
    "small_mma": "cls_head.fc_cls.",
    "small_mmpretrain": "head.fc.",
}


def moved(name: str, to: str) -> State:
    """The golden's tensors with the classifier under another name."""
    at = CLASSIFIERS[name]
    return {to + key.removeprefix(at) if key.startswith(at) else key: t for key, t in golden.state_dict(name).items()}


def error_of(content: object, path: Path, name: str = "small_tv_v2") -> CheckpointError:
    torch.save(content, path)
    with pytest.raises(CheckpointError) as caught:
        load_model(golden.small_config(name), path)
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    ("name", "to"),
    [
        ("small_tv_v2", "head."),
        ("small_tv_v2", "head.0."),
        ("small_tv_v2", "head.2."),
        ("small_tv_v2", "head.1.1."),
        ("small_timm", "head."),
        ("small_timm", "head.fc.1."),
        ("small_ptv_v1", "head.proj.1."),
        ("small_ptv_v1", "head.0.classifier."),
        ("small_mma", "cls_head.fc_cls.1."),
        ("small_mmpretrain", "head.layers.0.fc."),
    ],
)
def test_one_linear_layer_is_the_classifier_wherever_it_stands(name: str, to: str, tmp_path: Path) -> None:
    torch.save({"state_dict": moved(name, to)}, tmp_path / "w.pth")
    model = load_model(golden.small_config(name), tmp_path / "w.pth")
    with torch.inference_mode():
        off = model(golden.clips(name)) - torch.tensor(golden.golden(name)["logits"])
    assert float(off.abs().max()) <= SAME


@pytest.mark.parametrize(
    ("added", "told"),
    [
        (
            {"head.3.weight": torch.ones(7, 10), "head.3.bias": torch.ones(7)},
            "more than one layer (head.projection, hea",
        ),
        ({"head.0.weight": torch.ones(96), "head.0.bias": torch.ones(96)}, "more than one layer"),
        ({"head.weight": torch.ones(7, 10), "head.bias": torch.ones(7)}, "are the same part of the network"),
        ({"mean": torch.ones(1, 3, 1, 1, 1)}, "1 unexpected (mean)"),
        ({"adapter.weight": torch.ones(4, 4)}, "1 unexpected (adapter.weight)"),
    ],
)
def test_what_changes_the_scores_is_never_left_out(added: State, told: str, tmp_path: Path) -> None:
    assert told in error_of(golden.state_dict("small_tv_v2") | added, tmp_path / "w.pth").message


def test_a_classifier_around_the_network_is_named(tmp_path: Path) -> None:
    """`self.backbone = mvit; self.fc = Linear`: what the layer is shown, the file cannot tell."""
    headless = {f"backbone.{key}": t for key, t in golden.state_dict("small_tv_v2").items() if "head" not in key}
    beside = {"classifier.1.weight": torch.ones(7, 96), "classifier.1.bias": torch.ones(7)}
    error = error_of(headless | beside, tmp_path / "w.pth")
    assert "no classifier under head., but classifier.1 beside the network" in error.message
    torch.save(headless | {"head.weight": torch.ones(7, 96), "head.bias": torch.ones(7)}, tmp_path / "w.pth")
    assert read_shapes(tmp_path / "w.pth").tensors["head.weight"].shape == (7, 96)  # what its hint says works


def test_a_head_beside_the_network_is_one_wherever_both_lie(tmp_path: Path) -> None:
    """`self.backbone = mvit` without its own head, `self.head = Linear`; Lightning puts `model.` before both."""
    name = "small_tv_v2"
    parts = {key if key.startswith("head.") else f"backbone.{key}": t for key, t in moved(name, "head.").items()}
    losses = {"model.criterion.weight": torch.ones(10)}
    torch.save({"state_dict": {f"model.{key}": tensor for key, tensor in parts.items()} | losses}, tmp_path / "w.ckpt")
    model = load_model(golden.small_config(name), tmp_path / "w.ckpt")
    with torch.inference_mode():
        off = model(golden.clips(name)) - torch.tensor(golden.golden(name)["logits"])
    assert float(off.abs().max()) <= SAME
    second = {"head.weight": torch.ones(7, 10), "head.bias": torch.ones(7)}
    error = error_of({f"model.{key}": tensor for key, tensor in parts.items()} | second, tmp_path / "w.ckpt")
    assert "unexpected (model.head.weight, model.head.bias)" in error.message


def test_a_layer_around_a_whole_network_is_no_second_name_of_its_classifier(tmp_path: Path) -> None:
    """Logits of 10 classes into another layer: the last one written must not win."""
    whole = {f"backbone.{key}": tensor for key, tensor in moved("small_tv_v2", "head.").items()}
    error = error_of(whole | {"head.weight": torch.ones(7, 10), "head.bias": torch.ones(7)}, tmp_path / "w.pth")
    assert "head.bias stands beside backbone.head.bias" in error.message


NESTINGS: dict[str, Callable[[State], object]] = {
    "Lightning, compiled, data parallel": lambda s: {
        "state_dict": {f"model._orig_mod.module.backbone.{key}": t for key, t in s.items()},
        "pytorch-lightning_version": "2.4.0",
        "hyper_parameters": {"lr": 1e-3},
    },
    "Lightning with metrics and losses": lambda s: {
        "state_dict": {f"model.{key}": t for key, t in s.items()}
        | {"train_acc.tp": torch.ones(5), "val_confmat.confmat": torch.ones(5, 5)}
        | {"loss_fn.pos_weight": torch.ones(5), "criterion.weight": torch.ones(5), "val_metrics.acc.tp": torch.ones(1)}
    },
    "raw and averaged in one dictionary": lambda s: {
        "state_dict": {f"model.{key}": t + 1 for key, t in s.items()}
        | {f"ema_model.module.{key}": t for key, t in s.items()}
        | {"ema_model.n_averaged": torch.tensor(3)}
    },
    "averaged of data parallel": lambda s: (
        {"n_averaged": torch.tensor(3)} | {f"module.module.{key}": t for key, t in s.items()}
    ),
    "DeepSpeed": lambda s: {"module": {f"module.{key}": t for key, t in s.items()}, "ds_config": {"x": 1}},
    "a list of networks": lambda s: {"epoch": 3, "nets": [s]},
    "a pair": lambda s: (s, {"epoch": 3}),
    "wrappers inside names": lambda s: {
        "model": {key.replace(".attn.", ".attn._checkpoint_wrapped_module."): t for key, t in s.items()}
    },
}


@pytest.mark.parametrize("nesting", NESTINGS)
def test_the_one_network_is_found_and_is_the_averaged_one(nesting: str, tmp_path: Path) -> None:
    expected = golden.state_dict("small_tv_v2")
    torch.save(NESTINGS[nesting](expected), tmp_path / "w.ckpt")
    found = read_checkpoint(tmp_path / "w.ckpt").tensors
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], tensor) for key, tensor in expected.items())


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\x1f\x8b" + bytes(99), "a gzip archive"),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), "a PNG picture"),
        (b"\0\0\0\x20ftypisom" + bytes(99), "an MP4 video"),
        (b"\x93NUMPY\x01\0" + bytes(99), "a numpy array"),
        (b"%PDF-1.7\n" + bytes(99), "a PDF"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "an XML document"),
        (b"\x08\x0a\x12\x07pytorch" + bytes(99), "an ONNX model"),
        (b'<?xml version="1.0"?>\n<net name="Model0" version="11">', "an OpenVINO model"),
        (b'<?xml version="1.0"?><html><body>Sign in</body></html>', "an HTML page"),
    ],
)
def test_what_is_named_by_mistake_is_named_for_what_it_is(content: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{told}, not a checkpoint"):
        read_checkpoint(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["a.npy", "b.npy"], r"a file of numpy arrays \(.npz\)"),
        (["m/archive_format", "m/models/model.json"], r"an exported program \(.pt2\)"),
        (["run/best.pth", "run/log.txt"], "a zip archive with best.pth in it"),
        (["log.txt"], "a zip archive, not"),
    ],
)
def test_an_archive_that_is_no_checkpoint_is_named(names: list[str], told: str, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    with pytest.raises(CheckpointError, match=told) as caught:
        read_checkpoint(path)
    assert caught.value.hint


def test_numpy_arrays_and_old_modules_are_named(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(pickle.dumps({"head.weight": torch.ones(2, 2).numpy()}))
    with pytest.raises(CheckpointError, match="holds numpy arrays, not tensors"):
        read_checkpoint(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch cannot find the source of a class that is defined in a test
        torch.save({"model": torch.nn.Linear(2, 2)}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match=r"an object of the class torch\.nn\.modules\.linear\.Linear"):
        read_checkpoint(path)


def test_a_tensor_alone_is_called_one(tmp_path: Path) -> None:
    assert "a single tensor" in error_of(torch.ones(3), tmp_path / "w.pth").message
