"""`mvit summarize --compare`: presets side by side, in every format, with the numbers of each summary."""

import csv
import io
import json
from collections.abc import Callable

import pytest

import mvit_cli
from mvit_cli.arch import preset_names
from mvit_cli.cli.main import run

Compare = Callable[..., str]
FOUR = ["mvit_s_16x4", "mvit_b_16x4", "mvitv2_s_16x4", "mvitv2_b_32x3"]


@pytest.fixture
def compare(summarize: Compare) -> Compare:
    """Runs the command with `--compare` and gives what it writes to stdout."""
    return lambda names, *arguments: summarize("--compare", names, *arguments)


def rows_of(text: str) -> dict[tuple[str, str], list[str]]:
    """Cells by the line that is not indented above them, and their own label."""
    rows, about = {}, ""
    for line in text.splitlines():
        label, cells = line[:14].rstrip(), line[14:]
        about = about if label.startswith(" ") else label
        rows[about, label.strip()] = [cell.strip() for cell in cells.split("  ") if cell.strip()]
    return rows


def test_each_column_has_the_numbers_of_its_summary(compare: Compare) -> None:
    text = compare("S,B,v2-S,v2-B")
    rows = rows_of(text)
    assert text.split("\n")[0].split() == FOUR
    summaries = [mvit_cli.summarize(name) for name in FOUR]
    stages = [{stage["name"]: stage for stage in summary["stages"]} for summary in summaries]
    for name in ("scale2", "scale3", "scale4"):
        of = [by_name[name] for by_name in stages]
        assert rows[name, "blocks"] == [str(stage["blocks"]) for stage in of]
        assert rows[name, "heads"] == [str(stage["heads"]) for stage in of]
        lengths = [f"{stage['sequence_length']:,} / {stage['kv_sequence_length']:,}" for stage in of]
        assert rows[name, "Q / KV"] == lengths
        assert rows[name, "GMACs"] == [f"{stage['macs'] / 1e9:.2f}" for stage in of]
        assert rows[name, "params (M)"] == [f"{stage['params'] / 1e6:.2f}" for stage in of]
    assert rows["scale5", "blocks"] == ["2", "2", "3"]  # MViT-S ends with scale4
    assert rows["total GMACs", "total GMACs"] == [f"{summary['macs'] / 1e9:.2f}" for summary in summaries]
    assert rows["total GMACs", "paper"] == ["32.9", "70.5", "64", "225"]
    assert rows["total GMACs", "diff."] == ["-9.0 %", "+0.1 %", "+0.3 %", "-0.2 %"]


def test_four_presets_fit_80_columns_and_more_go_on_below(compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = compare("S,B,v2-S,v2-B")
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("\ninput ") == 1
    text = compare(",".join(preset_names()))
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert all(name in text for name in preset_names())


def test_json_lists_the_summaries(compare: Compare) -> None:
    document = json.loads(compare("S,v2-L", "--frames", "8", "--size", "96x128", "--format", "json"))
    expected = [mvit_cli.summarize(name, frames=8, size=(96, 128)) for name in ("S", "v2-L")]
    assert document == {"summaries": expected}


@pytest.mark.parametrize("kind", ["stages", "blocks"])
def test_csv_puts_the_preset_in_front(kind: str, compare: Compare) -> None:
    rows = list(csv.DictReader(io.StringIO(compare("B,camera", "--format", "csv", *["--blocks"] * (kind == "blocks")))))
    entries = [(name, e) for name in ("mvit_b_16x4", "camera_motion") for e in mvit_cli.summarize(name)[kind]]
    assert [(row["preset"], row["macs"]) for row in rows] == [(name, str(entry["macs"])) for name, entry in entries]


def test_markdown_is_one_table_for_github(compare: Compare) -> None:
    lines = compare(",".join(preset_names()), "--format", "markdown").splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert {line.count("|") for line in table} == {len(preset_names()) + 2}
    assert table[1] == "| :--- |" + " ---: |" * len(preset_names())


def test_a_plain_transformer_is_set_beside_with_what_its_long_sequence_costs(compare: Compare) -> None:
    """By hand: 8 x 14 x 14 and a class token of 768 channels; the products of MViT-B by its lengths."""
    text = " ".join(compare("B,vit_b").split())
    each = 2 * 1569 * 1569 * 768
    assert f"2 × 1,569 × 1,569 × 768 = {each / 1e9:.2f} G are Q K^T and A V" in text
    assert f"2 × 25,089 × 25,089 × 768 = {2 * 25089**2 * 768 / 1e9:.1f} G in each block" in text
    lengths = [(25089, 393, 96), (6273, 1569, 192), (6273, 393, 192), (1569, 1569, 384), *[(1569, 393, 384)] * 10]
    of_mvit = sum(2 * q * kv * dim for q, kv, dim in [*lengths, (393, 1569, 768), (393, 393, 768)])
    assert rows_of(compare("B,vit_b"))["total GMACs", "Q K^T, A V"] == [
        f"{of_mvit / 1e9:.2f}",
        f"{12 * each / 1e9:.2f}",
    ]
    assert "pools nothing" not in compare("S,B")


def test_another_geometry_is_not_compared_with_the_papers(compare: Compare) -> None:
    rows = rows_of(compare("S,B", "--frames", "8"))
    assert rows["total GMACs", "paper"] == []
    assert rows["views", "views"] == ["5", "5"]


def test_a_locale_without_unicode_gets_ascii(compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    assert compare("S,B").isascii()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--compare", "B"], "fewer than two presets"),
        (["--compare", ""], "fewer than two presets"),
        (["--compare", "B,b"], "fewer than two presets"),
        (["--compare", "B,nothing"], "no preset 'nothing'"),
        (["--compare", "S,B", "--explain"], "--explain is about one network"),
        (["--compare", "S,B", "--preset", "B"], "--preset is about one network"),
        (["--compare", "S,B", "--weights", "a.pth"], "--weights is about one network"),
        (["--compare", "S,B", "--blocks"], "no rows for blocks"),
        (["--compare", "B,S", "--size", "4"], "mvit_s_16x4 cannot take that input"),
    ],
)
def test_what_cannot_be_compared_is_wrong_usage(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["summarize", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert told in printed.err
