"""`--plot`: what is drawn is what was computed, readable without colour, and refused early where it cannot be drawn."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

import mvit_cli
from mvit_cli.cli.main import run
from mvit_cli.errors import MViTError
from mvit_cli.report.figures import FILLS, picture
from mvit_cli.report.summarize import compare, pyramid


def drawn(tmp_path: Path, *arguments: str, suffix: str = ".svg") -> Path:
    path = tmp_path / f"picture{suffix}"
    assert run(["summarize", *arguments, "--plot", str(path), "--format", "csv"]) == 0
    return path


@pytest.mark.parametrize("preset", ["B", "camera", "mvitv2_huge_cls"])
def test_the_area_of_a_stage_is_its_gmacs(preset: str) -> None:
    summary, axes = mvit_cli.summarize(preset), Figure().subplots()
    pyramid._draw_costs(axes, summary, pyramid._spans(summary))
    areas = [float((data.values * np.diff(data.edges)).sum()) for data in (part.get_data() for part in axes.patches)]
    assert areas == pytest.approx([stage["macs"] / 1e9 for stage in summary["stages"][:-1]])


def test_the_steps_are_the_sequence_lengths_of_each_block() -> None:
    summary, axes = mvit_cli.summarize("v2-S"), Figure().subplots()
    pyramid._draw_lengths(axes, summary, pyramid._spans(summary))
    queries, keys = (part.get_data() for part in axes.patches[-2:])
    assert list(queries.values[1:]) == [block["sequence_length"] for block in summary["blocks"]]
    assert list(keys.values) == [block["kv_sequence_length"] for block in summary["blocks"]]
    assert list(keys.edges) == [index - 0.5 for index in range(len(summary["blocks"]) + 1)]


def test_the_bars_of_a_comparison_are_its_numbers(tmp_path: Path) -> None:
    names, axes = ("S", "B", "camera"), Figure().subplots()
    summaries = [mvit_cli.summarize(name) for name in names]
    compare._draw_bars(axes, summaries, "macs", 1e9)
    widths = np.array([bar.get_width() for bar in axes.patches]).reshape(-1, len(names))  # a row a stage
    assert widths.sum(axis=0) == pytest.approx([summary["macs"] / 1e9 for summary in summaries])
    text = drawn(tmp_path, "--compare", "S,B,camera").read_text(encoding="utf-8")
    for part in ("mvit_s_16x4", "16×96×96", "29.95", "0.1210", "36.61", "GMACs per view", "scale5"):
        assert part in text


def test_a_vector_picture_carries_its_numbers_as_text(tmp_path: Path) -> None:
    text = drawn(tmp_path, "--preset", "B").read_text(encoding="utf-8")
    for part in ("mvit_b_16x4: 16 frames of 224×224", "scale4, 8×14×14: 40.76 GMACs, 57.7 %", "25,089", "tokens"):
        assert part in text


def test_stages_are_told_apart_in_grey_and_in_the_dark(tmp_path: Path) -> None:
    for suffix, ground in ((".png", 255), (".dark.png", 19)):
        path = drawn(tmp_path, "--preset", "B", suffix=suffix)
        grey = np.asarray(Image.open(path).convert("L"))
        assert abs(int(grey[1, 1]) - ground) <= 1
        costs = grey[grey.shape[0] * 6 // 10 :]
        values, counts = np.unique(costs, return_counts=True)
        areas = values[counts > 1500]  # paper, five stages; edges and letters are smaller
        fills = [255 * float(np.dot((0.299, 0.587, 0.114), to_rgb(fill["facecolor"]))) for fill in FILLS[:5]]
        assert all(np.abs(areas - fill).min() < 2 for fill in fills)
        assert np.diff(np.sort(fills)).min() > 10


def test_the_same_picture_is_the_same_file(tmp_path: Path) -> None:
    assert drawn(tmp_path, "--preset", "S").read_bytes() == drawn(tmp_path, "--preset", "S").read_bytes()


def test_what_is_no_picture_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["summarize", "--plot", str(tmp_path / "pyramid.jpg")]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "pyramid.jpg: a picture is .svg, .png or .pdf" in told.err
    (tmp_path / "folder.svg").mkdir()
    assert run(["summarize", "--plot", str(tmp_path / "folder.svg")]) == 2
    assert run(["summarize", "--plot", str(tmp_path / "nowhere" / "a.svg")]) == 1


def test_a_missing_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "matplotlib" else there(name))
    assert run(["summarize", "--plot", str(tmp_path / "a.svg")]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert "--plot needs matplotlib" in told.err
    assert "install matplotlib brings it" in told.err


def test_a_disk_that_does_not_take_the_picture_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(MViTError, match=r"--plot .*gone.*a\.svg"),
        picture(tmp_path / "gone" / "a.svg", "title", width=1, height=1),
    ):
        pass
