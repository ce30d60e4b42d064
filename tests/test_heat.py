"""Where a network saw what it says: sums that must hold, bookkeeping against loops, and an object that decides."""

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pages import read_page
from tiny_network import CONFIG
from torch import Tensor

import mvit_cli
from mvit_cli.arch.config import MViTConfig
from mvit_cli.cli.main import run
from mvit_cli.insight.files import name_of
from mvit_cli.insight.gradient import gradient, in_cells
from mvit_cli.insight.heat import _attended, _spread, rollout, split
from mvit_cli.insight.heatmaps import Shown
from mvit_cli.media.request import Pictures, Strip
from mvit_cli.media.strips import STRIP_BYTES
from mvit_cli.model import MViT, attention_rows
from mvit_cli.model.attention_rows import AttentionRows
from mvit_cli.model.linearised import linearised
from mvit_cli.training.hyperparameters import Settings
from mvit_cli.training.loop import Batch, Trainer

SPATIAL = {"rel_pos_space": True, "rel_pos_time": True, "residual_pooling": True, "pool_q_everywhere": True}


def network(**changes: object) -> MViT:
    torch.manual_seed(0)
    model = mvit_cli.build_model(replace(CONFIG, **changes))  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.double()


def clips(config: MViTConfig) -> Tensor:
    torch.manual_seed(1)
    return torch.randn(2, 3, *config.input_thw, dtype=torch.float64)


@pytest.mark.parametrize("head_pooling", ["mean", "mean_then_norm"])
@pytest.mark.parametrize("cls_token", [False, True])
def test_the_split_adds_up_to_the_logit(head_pooling: str, cls_token: bool) -> None:
    model = network(head_pooling=head_pooling, cls_token=cls_token)
    shown = clips(model.config)
    with torch.inference_mode():
        logits = model(shown)
        for index in (0, 5):
            parts, rest = split(model, shown, index)
            assert parts.shape[1:] == (2, 4, 4)
            torch.testing.assert_close(parts.sum(dim=(1, 2, 3)) + rest, logits[:, index], atol=1e-12, rtol=0)
            if not cls_token:  # then nothing but the bias is left over
                bias = model.head.projection.bias[index].expand(2)
                torch.testing.assert_close(rest, bias, atol=1e-12, rtol=0)


@pytest.mark.parametrize("changes", [{}, SPATIAL, SPATIAL | {"residual_pooling_cls": True}])
def test_the_rollout_loses_nothing_and_is_never_negative(changes: dict[str, object]) -> None:
    model = network(head_pooling="cls", cls_token=True, **changes)
    shown = clips(model.config)
    with torch.inference_mode():
        heat = rollout(model, shown)
    assert heat.shape == (2, *model.config.patch_thw)
    assert bool((heat >= 0).all())
    assert bool((heat.sum(dim=(1, 2, 3)) < 1).all())  # the class token's own share is the rest


def test_attention_is_carried_back_as_a_loop_would(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network(head_pooling="cls", cls_token=True, **SPATIAL)
    shown = clips(model.config)
    with torch.inference_mode():
        qkv = model.pooled_qkv(shown, 1)
        scale: Any = model.blocks[1].attn.scale  # type: ignore[union-attr]
        share = torch.rand(2, qkv.q.shape[2], dtype=torch.float64)
        block: Any = model.blocks[1]
        monkeypatch.setattr(attention_rows, "MOST_ELEMENTS", 200)  # a few queries at a time
        rows = AttentionRows(block.attn, qkv.q, qkv.k, qkv.q_thw, qkv.k_thw)
        assert len(list(rows.parts())) > 3
        found = _attended(share, rows)
        expected = torch.zeros_like(found)
        for b, h, q in itertools.product(range(2), range(qkv.q.shape[1]), range(qkv.q.shape[2])):
            assert qkv.bias is not None
            row = torch.stack([scale * (qkv.q[b, h, q] * key).sum() for key in qkv.k[b, h]]) + qkv.bias[b, h, q]
            expected[b] += share[b, q] * row.softmax(0) / qkv.q.shape[1]
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)
    torch.testing.assert_close(found.sum(1), share.sum(1), atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("kernel", "stride", "large"), [((3, 3, 3), (1, 2, 2), (4, 7, 8)), ((1, 3, 3), (1, 4, 4), (2, 8, 9))]
)
def test_pooling_is_undone_as_a_loop_would(
    kernel: tuple[int, int, int], stride: tuple[int, int, int], large: tuple[int, int, int]
) -> None:
    class Pool:
        padding = tuple(k // 2 for k in kernel)

    Pool.kernel, Pool.stride = kernel, stride  # type: ignore[attr-defined]
    small = tuple((n + 2 * p - k) // s + 1 for n, p, k, s in zip(large, Pool.padding, kernel, stride, strict=True))
    share = torch.rand(1, 1 + small[0] * small[1] * small[2], dtype=torch.float64)
    found = _spread(share, Pool, small, large)  # type: ignore[arg-type]
    expected = torch.zeros(large, dtype=torch.float64)
    for place, value in zip(itertools.product(*map(range, small)), share[0, 1:], strict=True):
        window = [
            [i for i in range(o * s - p, o * s - p + k) if 0 <= i < n]
            for o, s, p, k, n in zip(place, stride, Pool.padding, kernel, large, strict=True)
        ]
        cells = list(itertools.product(*window))
        for cell in cells:
            expected[cell] += value / len(cells)
    torch.testing.assert_close(found[0, 1:].view(large), expected, atol=1e-12, rtol=0)
    assert found[0, 0] == share[0, 0]


# Gradient


KINDS: list[dict[str, Any]] = [
    {},
    SPATIAL,
    SPATIAL | {"head_pooling": "mean", "cls_token": False, "expand_in": "attn"},
    {"head_pooling": "mean_then_norm"},
    {"pool_first": True},
    {"pool_mode": "max", "kernel_kv": None},
    {"head_inputs": "blocks"},
    {"reversible": "mlp", "cls_token": False, "head_pooling": "mean", "expand_in": "attn", "stage_depths": (1, 2)},
]


@pytest.mark.parametrize("changes", KINDS)
def test_pixels_biases_and_positions_add_up_to_the_logit(changes: dict[str, Any]) -> None:
    """Euler's theorem for the network that is linear in all of them; a usual gradient misses the logit."""
    model = network(**changes)
    shown = clips(model.config).requires_grad_()
    added = [p for name, p in model.named_parameters() if name.endswith("bias") or name.startswith(("pos_", "cls_"))]
    logit = linearised(model)(shown)[0, 3]
    torch.testing.assert_close(logit, model(shown)[0, 3], atol=1e-12, rtol=0)
    slopes = torch.autograd.grad(logit, [shown, *added], allow_unused=True)
    parts = [(x * slope).sum() for x, slope in zip((shown, *added), slopes, strict=True) if slope is not None]
    torch.testing.assert_close(torch.stack(parts).sum(), logit, atol=1e-12, rtol=0)
    heat = gradient(model, shown, 3)
    assert heat.shape == (2, 2, 8, 8)
    torch.testing.assert_close(heat[0].sum(), parts[0].detach(), atol=1e-12, rtol=0)
    usual = torch.autograd.grad(model(shown)[0, 3], [shown, *added], allow_unused=True)
    missed = sum((x * slope).sum() for x, slope in zip((shown, *added), usual, strict=True) if slope is not None)
    assert abs(float((missed - logit).detach())) > 1e-3


def test_the_gradient_of_one_block_is_that_of_loops_over_the_formula() -> None:
    """A network of one block without MLP weights, positions or pooling: each step by hand, token by token."""
    one: dict[str, Any] = {"stage_depths": (1,), "stage_channels": (4,), "stage_heads": (2,), "stride_q": ((1, 1, 1),)}
    plain = {"stride_kv": ((1, 1, 1),), "kernel_kv": None, "pos_embed": "none", "cls_token": False}
    model = network(**one, **plain, head_pooling="mean", frames=1, height=8, width=8, patch_kernel=(1, 4, 4),
                    patch_stride=(1, 4, 4), patch_padding=(0, 0, 0))  # fmt: skip
    block: Any = model.blocks[0]
    with torch.no_grad():
        block.mlp.fc2.weight.zero_()
        block.mlp.fc2.bias.zero_()
    clip = torch.randn(1, 3, 1, 8, 8, dtype=torch.float64)
    conv: Any = model.patch_embed.proj

    def centred(x: Tensor, by: Tensor, norm: Any) -> Tensor:
        """A norm without its bias, divided by the deviation of another vector."""
        moved: Tensor = (x - x.mean()) / (by.var(unbiased=False) + norm.eps).sqrt() * norm.weight
        return moved

    patches = [clip[0, :, 0, top : top + 4, left : left + 4] for top in (0, 4) for left in (0, 4)]
    with torch.no_grad():
        from_pixels = [torch.stack([(kernel[:, 0] * patch).sum() for kernel in conv.weight]) for patch in patches]
        tokens = [token + conv.bias for token in from_pixels]
        normed = [centred(token, token, block.norm1) + block.norm1.bias for token in tokens]
        q, k, v = (torch.stack([block.attn.qkv(x).chunk(3)[i].view(2, 2) for x in normed]) for i in range(3))
        weight_v = block.attn.qkv.weight.chunk(3)[2]
        out, heat = [], torch.zeros(4, dtype=torch.float64)
        attention = torch.zeros(2, 4, 4, dtype=torch.float64)
        for h, i in itertools.product(range(2), range(4)):
            attention[h, i] = torch.stack([(q[i, h] * k[j, h]).sum() / 2**0.5 for j in range(4)]).softmax(0)
        for i in range(4):
            mixed = torch.cat([attention[h, i] @ v[:, h] for h in range(2)])
            out.append(tokens[i] + block.attn.proj(mixed))
        for source, i in itertools.product(range(4), range(4)):  # what a patch brings to a token of the output
            value = (weight_v @ centred(from_pixels[source], tokens[source], block.norm1)).view(2, 2)
            brought = block.attn.proj.weight @ torch.cat([attention[h, i, source] * value[h] for h in range(2)])
            brought = brought + from_pixels[source] * (i == source)
            heat[source] += model.head.projection.weight[3] @ centred(brought, out[i], model.norm) / 4
    torch.testing.assert_close(gradient(model, clip, 3)[0, 0].flatten(), heat, atol=1e-12, rtol=0)


def test_beside_the_others_is_the_difference_of_logits() -> None:
    model = network()
    shown = clips(model.config)
    own = [gradient(model, shown, index) for index in range(model.config.num_classes)]
    others = sum(own[1:]) / (len(own) - 1)
    torch.testing.assert_close(gradient(model, shown, 0, beside_others=True), own[0] - others, atol=1e-12, rtol=0)


def test_cells_are_sums_and_the_last_may_be_smaller() -> None:
    pixels = torch.randn(1, 3, 5, 6, dtype=torch.float64)
    cells = in_cells(pixels, (2, 4, 4))
    assert cells.shape == (1, 2, 2, 2)
    for t, y, x in itertools.product(range(2), repeat=3):
        part = pixels[0, 2 * t : 2 * t + 2, 4 * y : 4 * y + 4, 4 * x : 4 * x + 4]
        torch.testing.assert_close(cells[0, t, y, x], part.sum(), atol=1e-12, rtol=0)


# An object that decides


OBJECT = MViTConfig(
    frames=4,
    height=64,
    width=64,
    num_classes=3,
    stage_depths=(1, 1),
    stage_channels=(16, 32),
    stage_heads=(1, 2),
    stride_q=((1, 1, 1), (1, 2, 2)),
    stride_kv=((1, 4, 4), (1, 2, 2)),
)
SIDE = 16


def moving_squares(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Clips of noise with a moving square, whose colour is the class, among three moving chequered ones of no colour.

    Returns:
        clips, classes, and where the square is: `(count, T, H, W)`.
    """
    frames, extent = OBJECT.frames, OBJECT.height - SIDE
    shown, kinds = (
        0.1 * torch.randn(count, 3, frames, 64, 64, generator=generator),
        torch.randint(3, (count,), generator=generator),
    )
    mask = torch.zeros(count, frames, 64, 64)
    bars = torch.arange(SIDE) // 4 % 2 * 2.0 - 1
    places = torch.rand(count, 4, 2, generator=generator) * extent
    speeds = 8 * torch.rand(count, 4, 2, generator=generator) - 4
    for clip, square, t in itertools.product(range(count), range(4), range(frames)):  # the coloured one is in front
        top, left = (places[clip, square] + t * speeds[clip, square]).clamp(0, extent).round().int().tolist()
        area = (slice(top, top + SIDE), slice(left, left + SIDE))
        colour = torch.eye(3)[kinds[clip]] * 2 - 1
        shown[clip, :, t][:, *area] = 1.5 * (colour[:, None, None] if square == 3 else bars[:, None] * bars)
        if square == 3:
            mask[clip, t][area] = 1
    return shown, kinds, mask


def density(heat: Tensor, mask: Tensor) -> float:
    """Heat for the class a pixel within the square, over heat a pixel elsewhere."""
    shown = torch.nn.functional.interpolate(heat.clamp(min=0)[:, None], mask.shape[1:], mode="nearest")[:, 0]
    return float((shown * mask).sum() / mask.sum() / ((shown * (1 - mask)).sum() / (1 - mask).sum()))


def trained(config: MViTConfig, *, shuffled: bool = False) -> MViT:
    """A network that was shown 50 batches, by `mvit train`'s own steps."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)

    def loss(logits: Tensor, targets: tuple[Tensor, ...]) -> Tensor:
        return torch.nn.functional.cross_entropy(logits, targets[0], reduction="none")

    trainer = Trainer(mvit_cli.build_model(config), Settings(steps=50, batch_size=16, lr=4e-3), loss)
    for _ in range(50):
        shown, kinds, _ = moving_squares(16, generator)
        if shuffled:
            kinds = kinds[torch.randperm(16, generator=generator)]
        trainer.train_on(Batch(shown, (kinds,)))
    return trainer.model.eval()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("head", [{"cls_token": False, "head_pooling": "mean"}, {"head_pooling": "cls"}])
def test_the_heat_lies_on_the_object_that_decides(head: dict[str, Any]) -> None:
    """At least 5 times denser than elsewhere; the most that cells of 4 x 4 pixels can show is 62 times."""
    model = trained(replace(OBJECT, **head))
    shown, kinds, mask = moving_squares(32, torch.Generator().manual_seed(9))
    with torch.inference_mode():
        assert float((model(shown).argmax(1) == kinds).float().mean()) > 0.9

    def heat_for(classes: Tensor) -> Tensor:
        pairs = zip(shown, classes, strict=True)
        return torch.cat([gradient(model, clip[None], int(index)) for clip, index in pairs])

    # Measured: 21 for the mean of tokens, 17 for the class token. Exact cells alone blur it to this:
    most = density(in_cells(mask, OBJECT.patch_stride), mask)
    assert 40 < most < 80
    assert 5 < density(heat_for(kinds), mask) < most
    assert density(heat_for((kinds + 1) % 3), mask) < 0.5  # another class is not seen there


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_there_is_no_such_heat_in_a_network_that_learned_shuffled_labels() -> None:
    model = trained(replace(OBJECT, cls_token=False, head_pooling="mean"), shuffled=True)
    shown, kinds, mask = moving_squares(32, torch.Generator().manual_seed(9))
    heat = torch.cat([gradient(model, clip[None], int(index)) for clip, index in zip(shown, kinds, strict=True)])
    assert density(heat, mask) < 4  # measured 2.3; with the true labels 21


CLIPS = Path(__file__).parent / "data" / "clips"


@pytest.mark.parametrize("method", ["gradient", "split"])
def test_the_command_leaves_pictures_and_numbers_for_each_row(
    method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import numpy as np
    from PIL import Image

    command = ["predict", str(CLIPS / "rot90.mp4"), str(CLIPS / "audio_only.mp4"), "--preset", "camera"]
    chosen = [] if method == "gradient" else ["--heatmap-method", method]
    assert run([*command, "--heatmap", str(tmp_path / "heat"), *chosen]) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (sheet,) = (tmp_path / "heat").glob("*.png")
    (numbers,) = (tmp_path / "heat").glob("*.npz")
    moving = sorted((tmp_path / "heat").glob("*.webp"))
    assert sheet.name.startswith("rot90.mp4-")
    with Image.open(sheet) as image:
        assert image.size == (8 * (135 + 4) - 4, 3 * (240 + 4) + 28)  # of 180 x 320, the longer side 240, and the key
        assert len(np.unique(np.asarray(image))) > 50
    assert [path.name.removeprefix(sheet.stem) for path in moving] == [f".clip{number}.webp" for number in (1, 2, 3)]
    with Image.open(moving[0]) as animation:
        assert (animation.n_frames, animation.size) == (16, (180, 320))  # type: ignore[attr-defined]
        animation.load()
        span = rows[0]["clips"][0]
        assert animation.info["duration"] == round(1000 * (span["end_s"] - span["start_s"]) / 16)
    with np.load(numbers) as found:
        assert found["heat"].shape == ((3, 4, 2, 2) if method == "split" else (3, 4, 8, 8))
        assert found["boxes"].shape == (1, 4)
        assert found["times_s"].shape == (3, 16)
        assert (np.diff(found["times_s"]) >= 0).all()
        assert found["times_s"][0, 0] == rows[0]["clips"][0]["start_s"]
        assert str(found["label"]) == rows[0]["predictions"][0]["label"]
        assert str(found["method"]) == method
        recogniser = mvit_cli.Recogniser("camera")
        shown, index = recogniser.preprocess(CLIPS / "rot90.mp4"), int(found["index"])
        if method == "split":
            bias = mvit_cli.load_model("camera").head.projection.bias[index]
            expected = (recogniser.logits(shown)[:, index] - bias).detach().numpy()
            assert found["heat"].sum(axis=(1, 2, 3)) == pytest.approx(expected, abs=1e-3)
        else:
            by_gradient = torch.cat([gradient(mvit_cli.load_model("camera"), view[None], index) for view in shown])
            np.testing.assert_allclose(found["heat"], by_gradient.numpy(), atol=1e-4)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--heatmap-method", "rollout"], "does not classify by a class token"),
        (["--heatmap-method", "nothing"], "'nothing' is not one of 'gradient', 'split', 'rollout'"),
    ],
)
def test_a_method_that_the_network_has_not_is_refused(
    more: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["predict", str(CLIPS / "rot90.mp4"), "--preset", "camera", "--heatmap", str(tmp_path / "heat")]
    assert run([*command, *more]) == 2
    assert told in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.rglob("*.png"))


def test_a_method_without_a_folder_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["predict", "a.mp4", "--preset", "camera", "--heatmap-method", "split"]) == 2
    assert "add --heatmap DIR" in capsys.readouterr().err


@pytest.mark.parametrize("more", [["--engine", "onnx"], ["--engine", "openvino"], ["--dtype", "int8"]])
def test_what_has_no_plain_network_is_refused(
    more: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["predict", "a.mp4", "--preset", "camera", "--heatmap", str(tmp_path), *more]) == 2
    assert "--heatmap looks into the plain network" in capsys.readouterr().err


def test_names_are_safe_and_unlike_each_other() -> None:
    rows: list[Any] = [{"path": path} for path in ("a/../b c.mp4", "b c.mp4", "..", "/", "x" * 300 + ".mp4", "\x1b[2J")]
    rows += [{"path": "a.mp4", "part": {"start_s": 1.0, "end_s": end_s}} for end_s in (None, 2.0, 3.0)]
    names = [name_of(row) for row in rows]
    assert len(set(names)) == len(names)
    assert all(not set(name) & set("/\\ \x1b") and not name.startswith(".") and len(name) < 120 for name in names)


# Folders, the page, windows


def test_a_folder_that_is_read_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in (tmp_path, tmp_path / "below"):
        assert run(["predict", str(tmp_path), "--preset", "camera", "--heatmap", str(folder)]) == 2
        assert "would be inputs" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_without_a_folder_there_must_be_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["predict", "a.mp4", "--preset", "camera", "--heatmap"]) == 2
    assert "add --report report.html" in capsys.readouterr().err


def test_without_a_folder_heat_is_a_row_of_the_page_and_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["predict", "--heatmap", "--report", "page.html", str(CLIPS / "rot90.mp4"), "--preset", "camera"]
    assert run([*command, "--views", "2x3"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    label = json.loads(capsys.readouterr().out)["predictions"][0]["label"]
    page = read_page(tmp_path / "page.html")
    films = page.all("div", "film")
    assert len(films) == 2
    for film in films:
        frames, heat = film.all("img")
        assert heat.attributes["alt"] == f"the same frames with heat: where {label} was seen"
        assert [heat.attributes[side] for side in ("width", "height")] == [
            frames.attributes[side] for side in ("width", "height")
        ]
        assert len(heat.attributes["src"] or "") < STRIP_BYTES * 4 / 3 + 100
    (key,) = page.all("p", "heat-key")
    assert f"what each cell of pixels adds to the logit of {label}" in key.text
    assert key.text.endswith("Of the 3 crops of a clip the middle one.")
    assert run([*command, "--views", "2x1"]) == 0
    (key,) = read_page(tmp_path / "page.html").all("p", "heat-key")
    assert key.text.endswith("the most in this input.")  # one crop has no middle one


def test_heat_of_windows_is_of_the_first_of_each_span() -> None:
    def taken(*labels: str | None, path: str = "a.mp4") -> list[bool]:
        window = {"start_s": 0.0, "end_s": 1.0}
        rows: list[Any] = [
            {"path": path, "window": window, "status": "ok", "predictions": [{"label": label}]}
            if label
            else {"path": path, "window": window, "status": "error"}
            for label in labels
        ]
        return [shown.takes(row, None if row["status"] == "error" else poster) for row in rows]

    shown, poster = Shown(), Pictures(Strip(0, 1, 1, 1, b""))
    assert taken("x", "x", "y", None, "y", "x") == [True, False, True, False, True, True]
    assert taken("x", path="b.mp4") == [True]
    whole: Any = {"path": "c.mp4", "status": "ok"}
    assert not shown.takes(whole, poster)  # which has no strips


def test_windows_have_heat_in_the_page_and_files_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["predict", str(CLIPS / "rot90.mp4"), "--preset", "camera", "--window", "1"]
    assert run([*command, "--heatmap", str(tmp_path / "heat"), "--report", str(tmp_path / "page.html")]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == 2
    assert sorted(path.name for path in (tmp_path / "heat").glob("*.npz")) == sorted(
        f"{name_of(row)}.npz" for row in rows
    )
    page = read_page(tmp_path / "page.html")
    (table,) = page.all("table", "spans")
    pictures = table.all("img")
    assert len(pictures) == 2 * len(table.all("tbody")[0].all("tr"))


def test_files_are_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mvit_cli.whole_files.os.replace", full)
    monkeypatch.chdir(tmp_path)
    assert run(["predict", str(CLIPS / "rot90.mp4"), "--preset", "camera", "--heatmap", "heat"]) == 1
    assert not list((tmp_path / "heat").iterdir())
