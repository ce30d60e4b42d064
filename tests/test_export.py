"""`mvit export`: the file that another runtime reads gives our logits, and says how it wants to be shown a video."""

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import golden
import pytest
import torch

import mvit_cli
from mvit_cli.arch.presets import get_preset
from mvit_cli.checkpoints.load import load_file
from mvit_cli.cli.main import run
from mvit_cli.errors import MViTError
from mvit_cli.export import exporting
from mvit_cli.export.exporting import Export, export
from mvit_cli.export.targets import FORMATS, FormatName, chosen_format
from mvit_cli.recognition.local_engine import LocalEngine
from mvit_cli.recognition.options import PredictOptions
from mvit_cli.recognition.plan import plan
from mvit_cli.recognition.runtimes import KEY, RuntimeName

TARGETS: dict[FormatName, str] = {
    "onnx": "net.onnx",
    "openvino": "net.xml",
    "pt2": "net.pt2",
    "torchscript": "net.torchscript",
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MViTv2 with relative positions, residual pooling and a class token, in small."""
    return golden.write_checkpoint("small_pysf_v2", tmp_path_factory.mktemp("weights"))


def opened(weights: Path, **options: Any) -> LocalEngine:
    return plan(PredictOptions(weights=weights, device="cpu", fast=False, **options)).open()


def needs(format: FormatName) -> None:
    for module in FORMATS[format].modules:
        pytest.importorskip(module)


def described_in(path: Path, format: FormatName) -> dict[str, Any]:
    """The description as each runtime's own tools read it."""
    if format == "onnx":
        import onnx

        (text,) = [entry.value for entry in onnx.load(path).metadata_props if entry.key == KEY]
    elif format == "openvino":
        import openvino

        text = openvino.Core().read_model(path).get_rt_info([KEY]).astype(str)
    else:
        with zipfile.ZipFile(path) as archive:
            (name,) = [name for name in archive.namelist() if name.endswith(f"extra/{KEY}")]
            text = archive.read(name).decode()
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.mark.timeout(400)
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("format", TARGETS)
def test_the_file_gives_our_logits_and_says_what_it_wants(format: FormatName, weights: Path, tmp_path: Path) -> None:
    needs(format)
    target, names = tmp_path / TARGETS[format], tmp_path / "names.txt"
    names.write_text("\n".join(f"class {number} é" for number in range(10)), encoding="utf-8")
    recogniser = opened(weights, labels=names)
    written = export(recogniser, Export(format, target, check=True))
    # The same sums in another order: 1e-6 in float32 for logits near 1; 1e-4 is what --check allows.
    assert written["largest_difference"] is not None
    assert written["largest_difference"] < 1e-4
    assert written["bytes"] >= target.stat().st_size > 0

    run, model = FORMATS[format].open(target), load_file(weights)
    clips = golden.clips("small_pysf_v2")
    for count in (1, 3):
        several = torch.cat([clips] * count)[:count] + torch.arange(count).view(-1, 1, 1, 1, 1)
        with torch.inference_mode():
            torch.testing.assert_close(run(several), model(several), atol=1e-4, rtol=0)

    told = described_in(target, format)
    assert told["labels"] == [f"class {number} é" for number in range(10)]
    assert told["transform"]["mean"] == list(recogniser.recipe.transform.mean)
    assert told["sampling"]["frames"] == recogniser.recipe.sampling.frames
    assert told["views"] == str(recogniser.recipe.views)
    assert told["input"]["shape"] == ["batch", 3, *model.config.input_thw]
    content = target.read_bytes().decode("latin-1")
    assert str(weights.parent) not in content  # neither where the weights lie
    assert "site-packages" not in content  # nor where the network ran


def test_a_file_that_is_not_ours_fails_the_check_and_is_not_written(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "TOLERANCE", -1.0)
    with pytest.raises(MViTError, match=r"a logit of the torchscript file is .* off"):
        export(opened(weights), Export("torchscript", tmp_path / "net.torchscript", check=True))
    assert list(tmp_path.iterdir()) == []


def test_a_format_that_cannot_hold_a_network_leaves_nothing(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("no such operator\nand a page more")

    monkeypatch.setattr(torch.jit, "trace", fails)
    with pytest.raises(MViTError, match=r"cannot hold this network: RuntimeError: no such operator$"):
        export(opened(weights), Export("torchscript", tmp_path / "net.torchscript"))
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_json_in_a_pipe(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "net.torchscript"
    command = ["export", "--weights", str(weights), "-o", str(target), "--check"]
    assert run(command) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["path"], told["format"], told["batch"]) == (str(target), "torchscript", None)
    assert run(command) == 2
    assert f"--output {target} is there already and not empty" in capsys.readouterr().err
    assert run([*command, "--force"]) == 0


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["-o", "net.bin"], 2, "no format has that ending"),
        (["-o", "net.onnx", "--format", "pt2"], 2, "a file of --format pt2 ends in .pt2"),
        (["-o", "net.pt2", "--batch", "0"], 2, "--batch 0 is no number of clips"),
        (["-o", "no/such/net.pt2"], 1, "there is no folder no/such"),
    ],
)
def test_what_cannot_be_is_told_before_any_work(
    more: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["export", "--preset", "camera", *more]) == code
    assert message in " ".join(capsys.readouterr().err.split())


def test_libraries_that_are_not_here_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert run(["export", "--preset", "camera", "-o", str(tmp_path / "net.xml")]) == 1
    assert "--format openvino needs openvino" in capsys.readouterr().err


def test_the_format_is_that_of_the_ending() -> None:
    assert {chosen_format(None, Path(target)) for target in TARGETS.values()} == set(FORMATS)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("preset", ["mvit_b_16x4", "mvitv2_s_16x4", "mvitv2_tiny"])
@pytest.mark.parametrize("format", TARGETS)
def test_full_size_networks_pass_the_check(format: FormatName, preset: str, tmp_path: Path) -> None:
    needs(format)
    recogniser = plan(PredictOptions(preset=preset, weights="none", device="cpu", fast=False)).open()
    written = export(recogniser, Export(format, tmp_path / TARGETS[format], check=True))
    assert written["preset"] == get_preset(preset).name


@pytest.mark.timeout(400)
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(("engine", "batch"), [("onnx", "dynamic"), ("onnx", "2"), ("openvino", "dynamic")])
def test_an_exported_file_gives_the_rows_of_predict(
    engine: RuntimeName, batch: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    needs(engine)
    clips = Path(__file__).parent / "data" / "clips"
    target = tmp_path / TARGETS[engine]
    assert run(["export", "--preset", "camera", "-o", str(target), "--batch", batch]) == 0
    capsys.readouterr()
    theirs = list(mvit_cli.predict([clips], engine=engine, weights=target, workers=1))
    ours = list(mvit_cli.predict([clips], preset="camera", workers=1))
    assert len(theirs) == len(ours)
    for their, our in zip(theirs, ours, strict=True):
        assert their.get("error") == our.get("error")
        if their["status"] == "ok" and our["status"] == "ok":
            assert (their["weights"], their["preset"]) == (str(target), "camera_motion")
            assert (their["views"], their["clips"]) == (our["views"], our["clips"])
            assert their["warnings"] == [f"the network runs in {engine}", *our["warnings"]]
            scores = {entry["label"]: entry["score"] for entry in our["predictions"]}
            for entry in their["predictions"][:3]:
                assert entry["score"] == pytest.approx(scores[entry["label"]], abs=1e-4)  # as of --check


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "--engine onnx runs a file"),
        (["--weights", "camera_motion.embedded"], "and --weights camera_motion.embedded is none"),
        (["--weights", "net.onnx", "--device", "cuda"], "--device is about our own network"),
        (["--weights", "net.onnx", "--dtype", "int8"], "--dtype is about our own network"),
        (["--weights", "net.onnx", "--preset", "B"], "--preset is about our own network"),
        (["--weights", "net.onnx"], "no onnx file of `mvit export`"),
    ],
)
def test_what_a_runtime_cannot_do_is_refused(
    more: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    needs("onnx")
    monkeypatch.chdir(tmp_path)
    Path("net.onnx").write_bytes(b"no such thing")
    assert run(["predict", "clip.mp4", "--engine", "onnx", *more]) in (1, 2)
    assert message in " ".join(capsys.readouterr().err.split())
