"""`mvit calibrate`: ranges found on clips, static layers by the formula, a file of weights that keeps both."""

import json
import shutil
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import golden
import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from test_fast import random_model
from test_model import SMALL as SMALL_V1
from test_model import SMALL_V2

import mvit_cli
from mvit_cli.arch import MViTConfig
from mvit_cli.arch.ranges import STEPS, Range
from mvit_cli.checkpoints.formats.own_ranges import RANGES_KEY
from mvit_cli.cli.main import run
from mvit_cli.errors import CheckpointError, UsageError
from mvit_cli.export import calibrating
from mvit_cli.media.sources import Source
from mvit_cli.model import range_watch
from mvit_cli.model.fast import int8, network
from mvit_cli.model.fast.int8 import Int8Linear, StaticInt8Linear, may_be_static
from mvit_cli.model.fast.network import FastBlock, FastMViT
from mvit_cli.model.range_watch import RangeWatch, as_bytes, best_range
from mvit_cli.recognition import running
from mvit_cli.report.schema import schema_of

DATA = Path(__file__).parent / "data"
CLIP = DATA / "pan_left.mp4"
static = pytest.mark.skipif(not may_be_static(), reason="this CPU, or this torch, multiplies no bytes (VNNI)")
pytestmark = pytest.mark.usefixtures("decoding_in_this_process")


# --- layers


@static
@pytest.mark.parametrize("takes", [Range(-2.0, 2.0), Range(-0.2, 5.0), Range(0.0, 3.0), Range(-3.0, 0.0)])
def test_a_static_layer_is_its_formula(takes: Range) -> None:
    """Bytes by the range, weights by their row's greatest number, whole sums, then the two steps and the bias."""
    torch.manual_seed(0)
    weight, bias, x = torch.randn(6, 40), torch.randn(6), 2 * torch.randn(9, 40)
    steps = weight.abs().amax(1) / 127
    step = (takes.high - takes.low) / 255
    zero = round(-takes.low / step)
    expected = torch.empty(9, 6, dtype=torch.float64)
    for row in range(9):
        for out in range(6):
            total = 0
            for c in range(40):
                byte = min(255, max(0, int(float(x[row, c]) / step + zero + 0.5)))
                total += (byte - zero) * round(float(weight[out, c] / steps[out]))
            expected[row, out] = total * step * float(steps[out]) + float(bias[out])
    layer = StaticInt8Linear(weight, bias, takes)
    # whole sums are exact; the rest is float32 of numbers up to 50
    torch.testing.assert_close(layer(x).double(), expected, rtol=1e-5, atol=1e-5)
    into = torch.ones(9, 6)
    assert torch.equal(layer.add_(into, x), 1 + layer(x))
    assert torch.equal(layer(x, out=torch.empty(9, 6)), layer(x))
    torch.testing.assert_close(layer.gelu(x), F.gelu(layer(x)), rtol=1e-3, atol=1e-3)  # oneDNN's own error function


@static
def test_a_layer_hands_its_bytes_to_the_next() -> None:
    torch.manual_seed(0)
    takes, hidden = Range(-3, 3), Range(-0.17, 4.0)
    first, second = torch.randn(32, 16) / 4, torch.randn(5, 32)
    x = torch.randn(7, 16)
    given = StaticInt8Linear(first, None, takes, gives=hidden).gelu(x)
    assert given.dtype == torch.uint8
    step, zero = hidden.scale
    numbers = StaticInt8Linear(first, None, takes).gelu(x)
    off = (given.float() - (numbers / step + zero).round().clamp(0, STEPS)).abs()
    assert off.max() <= 1  # where a half lies between two bytes
    assert (off > 0).float().mean() < 0.02
    layer = StaticInt8Linear(second, None, hidden)
    assert torch.equal(layer(given), layer((given.float() - zero) * step))


@pytest.mark.parametrize("large", [1.0, 4.0, 20.0])
def test_the_best_range_loses_least_of_all_that_are_tried(large: float) -> None:
    torch.manual_seed(0)
    values = torch.randn(4000)
    values[:3] *= large
    found, low, high = best_range(values), float(values.min()), float(values.max())

    def lost(bounds: Range) -> float:
        step = (bounds.high - bounds.low) / 255
        zero = round(-bounds.low / step)
        bytes_ = [min(255, max(0, round(v / step + zero))) for v in values.tolist()]
        return float(sum(((byte - zero) * step - v) ** 2 for byte, v in zip(bytes_, values.tolist(), strict=True)))

    for below in (0.3, 0.5, 0.9, 1.0):
        for above in (0.3, 0.5, 0.9, 1.0):
            assert lost(found) <= lost(Range(low * below, high * above)) * (1 + 1e-4)  # of float32 sums
    assert float(as_bytes(torch.zeros(1), found)) == 0


def test_zero_lies_in_every_range_and_numbers_are_asked_for() -> None:
    assert best_range(torch.tensor([2.0, 3.0, 4.0])).low == 0
    assert best_range(-torch.tensor([2.0, 3.0, 4.0])).high == 0
    for bad in (torch.zeros(4), torch.tensor([1.0, float("nan")]), torch.tensor([1.0, float("inf")])):
        with pytest.raises(ValueError, match="no numbers"):
            best_range(bad)


# --- networks


def ranges_of(config: MViTConfig, clips: torch.Tensor) -> Any:
    model = random_model(config)
    watch = RangeWatch(model)
    with torch.inference_mode(), watch.watching():
        model(clips)
    return model, watch.ranges()


@torch.inference_mode()
def test_what_is_watched_is_what_the_layers_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(range_watch, "SHARES", (1.0,))  # the extremes, which are always kept
    torch.manual_seed(0)
    model, found = ranges_of(SMALL_V2, torch.randn(2, 3, 4, 32, 32))
    torch.manual_seed(0)
    given: dict[int, list[torch.Tensor]] = {}
    for number, block in enumerate(model.blocks):
        layers = (block.attn.qkv, block.mlp.fc1, block.mlp.fc2)
        for layer in layers:
            layer.register_forward_pre_hook(lambda _, x, at=number: given.setdefault(at, []).append(x[0]))
    model(torch.randn(2, 3, 4, 32, 32))
    for number, ranges in enumerate(found):
        for one, seen in zip(astuple(ranges), given[number], strict=True):
            assert tuple(one) == pytest.approx((min(0, float(seen.min())), max(0, float(seen.max()))))
    with RangeWatch(model).watching():
        hooks = len(model.blocks[0].norm1._forward_hooks)
    assert (hooks, len(model.blocks[0].norm1._forward_hooks)) == (1, 0)


@static
@pytest.mark.parametrize("in_bfloat16", [False, True])
@pytest.mark.parametrize("config", [SMALL_V1, SMALL_V2, replace(SMALL_V2, cls_token=False, head_pooling="mean")])
@torch.inference_mode()
def test_logits_stay_close_to_float32(config: MViTConfig, in_bfloat16: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a tenth of how the logits vary: some 20 layers round to 1 in 255, bfloat16 to 1 in 256."""
    monkeypatch.setattr(network, "multiplies_bfloat16", lambda: in_bfloat16)
    clips = torch.randn(2, 3, 4, 32, 32)
    model, ranges = ranges_of(config, clips)
    quick, expected = FastMViT(model).to_int8(ranges), model(clips)
    assert 0 < float((quick(clips) - expected).abs().max()) < 0.1 * float(expected.std()) + 0.1
    for block in quick.blocks:
        assert isinstance(block, FastBlock)
        kept = {name for name, one in block.named_modules() if isinstance(one, StaticInt8Linear)}
        assert kept - {"proj"} == {"fc1", "fc2", "attn.linear_q", "attn.linear_kv"}
        assert ("proj" in kept) == (block.proj is not None)
    assert torch.equal(model(clips), expected)  # whose parameters it may share


# --- the command


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return golden.write_checkpoint("small_pysf_v2", tmp_path_factory.mktemp("weights"))


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Eight that are the same, and a bad one."""
    folder = tmp_path / "clips"
    folder.mkdir()
    for number in range(8):
        shutil.copy(CLIP, folder / f"{number}.mp4")
    (folder / "bad.mp4").touch()
    return folder


def calibrated(clips: Path, weights: Path, target: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    command = ["calibrate", str(clips), "--weights", str(weights), "-o", str(target), "--format", "json", "-q"]
    assert run(command) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_the_file_has_the_same_weights_and_the_ranges(
    clips: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    target, plain = tmp_path / "int8.safetensors", tmp_path / "plain.safetensors"
    told = calibrated(clips, weights, target, capsys)
    jsonschema.validate(told, schema_of("calibrate"))
    assert (told["seen"] + told["judged"], len(told["failed"])) == (8, 1)
    assert "bad.mp4" in told["failed"][0]
    if may_be_static():
        assert 0 < told["largest_difference"] < 0.2 * told["span"]
    assert run(["weights", "convert", str(weights), str(plain)]) == 0
    one, other = load_file(target), load_file(plain)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    again = tmp_path / "again.safetensors"
    assert run(["weights", "convert", str(target), str(again)]) == 0
    with safe_open(target, "pt") as file, safe_open(again, "pt") as copied:
        assert file.metadata()[RANGES_KEY] == copied.metadata()[RANGES_KEY]
    capsys.readouterr()
    rows: list[Any] = [next(mvit_cli.predict(CLIP, weights=path, views="1x1", workers=0)) for path in (target, plain)]
    assert rows[0]["predictions"] == rows[1]["predictions"]  # in float32 nothing is rounded


def _noting(kind: type, made: list[str]) -> Any:
    real: Any = kind.__init__  # type: ignore[misc]

    def init(self: Any, *arguments: Any, **more: Any) -> None:
        made.append(kind.__name__)
        real(self, *arguments, **more)

    return init


@static
def test_a_run_in_integers_takes_the_ranges(
    clips: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "int8.safetensors"
    calibrated(clips, weights, target, capsys)
    made: list[str] = []
    for kind in (Int8Linear, StaticInt8Linear):
        monkeypatch.setattr(kind, "__init__", _noting(kind, made))
    options: Any = {"views": "1x1", "workers": 0, "dtype": "int8", "device": "cpu"}
    row: Any = next(mvit_cli.predict(CLIP, weights=target, **options))
    assert row["status"] == "ok"
    assert set(made) == {"StaticInt8Linear"}
    made.clear()
    with pytest.raises(UsageError, match="cannot see through"):
        mvit_cli.Recogniser(weights=target, dtype="int8", device="cpu", compiled=True)
    monkeypatch.setattr(int8, "may_be_static", lambda: False)
    row = next(mvit_cli.predict(CLIP, weights=target, **options))
    assert set(made) == {"Int8Linear"}
    assert running.UNUSED_RANGES in row["warnings"]


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told["blocks"].pop(),
        lambda told: told["blocks"][0]["attn"].__setitem__(0, float("nan")),
        lambda told: told["blocks"][0].__setitem__("mlp", [0.0, 0.0]),
        lambda told: told["blocks"][0].__setitem__("mlp", [0.5, 1.0]),
        lambda told: told["blocks"][0].__setitem__("hidden", "12"),
        lambda told: told.pop("files"),
    ],
)
def test_ranges_that_are_none_are_refused(
    change: Any, clips: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "int8.safetensors"
    calibrated(clips, weights, target, capsys)
    with safe_open(target, "pt") as file:
        metadata = file.metadata()
    told = json.loads(metadata[RANGES_KEY])
    change(told)
    save_file(load_file(target), target, metadata | {RANGES_KEY: json.dumps(told)})
    with pytest.raises(CheckpointError, match="ranges in the file's metadata"):
        mvit_cli.Recogniser(weights=target, dtype="int8", device="cpu")
    mvit_cli.Recogniser(weights=target, device="cpu")  # which does not need them


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["{clips}", "--weights", "none", "-o", "new.safetensors"], 2, "random weights"),
        (["{clips}", "--preset", "camera", "-o", "new.pt"], 2, "written as .safetensors"),
        (["{clips}/bad.mp4", "--preset", "camera", "-o", "{folder}/new.safetensors"], 1, "none of the files"),
        (["{clips}", "--preset", "camera", "-o", "{there}"], 2, "--force"),
        (["{clips}", "--weights", "{there}", "-o", "{there}", "--force"], 2, "which this run reads"),
    ],
)
def test_wrong_usage_says_what_and_leaves_nothing(
    arguments: list[str], code: int, said: str, clips: Path, weights: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    there = tmp_path / "there.safetensors"
    shutil.copy(weights, there)
    filled = [text.format(clips=clips, there=there, folder=tmp_path) for text in arguments]
    assert run(["calibrate", *filled]) == code
    assert said in capsys.readouterr().err
    assert there.read_bytes() == weights.read_bytes()
    assert not list(tmp_path.glob("new*"))


def test_files_are_drawn_alike_from_all_and_keep_their_order() -> None:
    sources = [Source(str(number)) for number in range(1000)]
    drawn = calibrating._drawn(sources, 40, 0)
    places = [int(source.path) for source in drawn]
    assert places == sorted(set(places))
    assert len(places) == 40
    assert 300 < sum(places) / 40 < 700  # the middle of all, 499.5, within four standard deviations (46 each)
    assert calibrating._drawn(sources[:5], 40, 0) == sources[:5]
    assert calibrating._drawn(sources, 40, 0) == drawn != calibrating._drawn(sources, 40, 1)
