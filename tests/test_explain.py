"""`mvit summarize --explain`: every number in the prose is recomputed here, from the printed text alone."""

import json
import re
from collections.abc import Iterator
from math import floor, prod
from typing import Any

import pytest
from geometries import CONFIGS
from hypothesis import given, settings

import mvit_cli
from mvit_cli.arch import MViTConfig, get_preset, preset_names
from mvit_cli.arch.summary import summarize_config
from mvit_cli.cli.main import run
from mvit_cli.report.summarize.block_arithmetic import explained_blocks
from mvit_cli.report.summarize.explain import stage_sentences

FLOOR = re.compile(r"floor\(\((\d+) \+ (\d+) - (\d+)\) / (\d+)\) \+ 1 = (\d+)")
TOKENS = re.compile(r"(\d+) × (\d+) × (\d+)( \+ 1)? = ([\d,]+) (tokens|queries|keys)")
POOLING = re.compile(r"(Q|K, V) ((?:max-|average-)?pooled (?:(\d+)×(\d+)×(\d+)), stride (\d+)×(\d+)×(\d+)|not pooled)")


def numbers(texts: tuple[str | Any, ...]) -> list[int]:
    return [int(text.replace(",", "")) for text in texts]


def check_arithmetic(text: str) -> None:
    """Both sides of every equation in the text are equal."""
    equations = re.findall(r"(?<![\w)])([\d(][\d,.×*+/ ()]*|floor\([^=]+) = ([\d,.]+)", text)
    assert equations or "not pooled" in text
    for left, right in equations:
        expression = left.replace(",", "").replace("×", "*")
        assert re.fullmatch(r"(floor)?[\d.*+/() -]+", expression), left
        value = float(right.rstrip(".").replace(",", ""))
        assert eval(expression, {"floor": floor}) == pytest.approx(value, abs=0.005), (left, right)


def told(sentence: str) -> list[tuple[str, list[int], list[int]]]:
    """For each kind of block: its text, its grid of queries and its grid of keys, as printed."""
    kinds = []
    for part in re.split(r"\. (?=Block)", sentence):
        (queries, keys) = (numbers(found[:3]) for found in TOKENS.findall(part))
        kinds.append((part, queries, keys))
    return kinds


def blocks_of(text: str, blocks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The blocks of a stage that a part of its sentence is about."""
    named = re.match(r"Blocks? (\d+)(?: to (\d+))?:", text)
    first, last = (int(named[1]), int(named[2] or named[1])) if named else (blocks[0]["index"], blocks[-1]["index"])
    return (block for block in blocks if first <= block["index"] <= last)


def check_against_blocks(config: MViTConfig) -> None:
    summary, sentences = summarize_config(config), stage_sentences(config)
    seen = []
    for stage in summary["stages"]:
        sentence = sentences[stage["name"]]
        check_arithmetic(sentence)
        if not stage["blocks"]:
            continue
        inside = [block for block in summary["blocks"] if block["stage"] == stage["name"]]
        for part, queries, keys in told(sentence):
            for block in blocks_of(part, inside):
                seen.append(block["index"])
                assert (queries, keys) == (block["thw_out"], block["kv_thw"])
                check_pooling(part, block, config)
    assert seen == [block["index"] for block in summary["blocks"]]
    (patches,) = TOKENS.findall(sentences["cube1"])
    assert numbers(patches[:3]) == summary["stages"][0]["thw"]
    assert numbers(patches[4:5]) == [summary["stages"][0]["sequence_length"]]


def check_pooling(part: str, block: dict[str, Any], config: MViTConfig) -> None:
    """Kernels, strides and formulas of one kind of block are those of the block, applied to its own grid."""
    for name, kernel, stride, pooled in zip(
        ("Q", "K, V"),
        (block["kernel_q"], block["kernel_kv"]),
        (block["stride_q"], block["stride_kv"]),
        (block["thw_out"], block["kv_thw"]),
        strict=True,
    ):
        found = next(match for match in POOLING.finditer(part) if match[1] == name)
        if kernel is None:
            assert found[2] == "not pooled"
            continue
        assert found[2].startswith({"conv": "pooled", "max": "max-pooled", "avg": "average-pooled"}[config.pool_mode])
        assert numbers(found.groups()[2:]) == [*kernel, *stride]
        printed = {tuple(numbers(formula)) for formula in FLOOR.findall(part)}
        for length, k, s, result in zip(block["thw_in"], kernel, stride, pooled, strict=True):
            assert length == result or (length, 2 * (k // 2), k, s, result) in printed


@pytest.mark.parametrize("preset", preset_names())
def test_the_prose_of_every_preset_says_what_its_blocks_are(preset: str) -> None:
    check_against_blocks(get_preset(preset).config)


@settings(max_examples=60)
@given(CONFIGS)
def test_the_prose_of_any_architecture_says_what_its_blocks_are(config: MViTConfig) -> None:
    check_against_blocks(config)


# Blocks, step by step


def check_steps(config: MViTConfig) -> None:
    """The factors of each step give its MACs, the steps give the block, and the shapes follow one another."""
    for block, told in zip(summarize_config(config)["blocks"], explained_blocks(config), strict=True):
        steps = {step["name"]: step for step in told["steps"]}
        assert all(step["macs"] == (prod(step["factors"]) if step["factors"] else 0) for step in told["steps"])
        assert sum(step["macs"] for step in told["steps"]) == block["macs"]
        assert sum(step["params"] for step in told["steps"]) == block["params"]
        queries, keys, heads = block["sequence_length"], block["kv_sequence_length"], block["heads"]
        assert steps["Q K^T"]["gives"] == steps["softmax"]["gives"] == [heads, queries, keys]
        assert (
            steps["Q K^T"]["factors"]
            == steps["A V"]["factors"]
            == [heads, queries, keys, steps["W_O"]["factors"][1] // heads]
        )
        assert told["steps"][-1]["gives"] == [queries, block["dim_out"]]
        check_arithmetic(f"{told['queries']}; {told['keys']}")
        for name in ("queries", "keys"):
            length = int(re.findall(rf"= ([\d,]+) {name}", told[name])[0].replace(",", ""))
            assert length == {"queries": queries, "keys": keys}[name]


@pytest.mark.parametrize("preset", preset_names())
def test_the_steps_of_every_preset_add_up_to_its_blocks(preset: str) -> None:
    check_steps(get_preset(preset).config)


@settings(max_examples=40)
@given(CONFIGS)
def test_the_steps_of_any_architecture_add_up_to_its_blocks(config: MViTConfig) -> None:
    check_steps(config)


@pytest.mark.parametrize("preset", preset_names())
@pytest.mark.parametrize("form", ["table", "markdown"])
def test_the_printed_steps_add_up_to_the_printed_sums(
    preset: str, form: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the text alone, 80 columns wide: products, sums, and the sums of all blocks, told once for each kind."""
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["summarize", "--preset", preset, "--blocks", "--explain", "--format", form]) == 0
    text = capsys.readouterr().out
    assert form == "markdown" or max(map(len, text.splitlines())) <= 80
    blocks, seen = mvit_cli.summarize(preset)["blocks"], []
    for part in re.split(r"^(?:\*\*)?(?=Blocks? \d)", text, flags=re.MULTILINE)[1:]:
        first, last = span(part)
        macs = []
        for line in part.splitlines():
            cells = [cell.strip(" *") for cell in (line.strip("|").split("|") if form == "markdown" else [line])]
            line = "  ".join(cells)
            found = re.search(r"  ((?:[\d,]+ × )+[\d,]+)  .* ([\d,]+)$", line)
            if found:
                factors = numbers(tuple(found[1].split(" × ")))
                assert prod(factors) == numbers((found[2],))[0], line
                macs.append(prod(factors))
            elif line.startswith("sum "):
                assert sum(macs) == numbers((line.split()[-1],))[0]
        for index in range(first, last + 1):
            assert sum(macs) == blocks[index]["macs"]
            seen.append(index)
    assert seen == list(range(len(blocks)))


def span(part: str) -> tuple[int, int]:
    """First and last of the blocks that a part is about."""
    named = re.match(r"Blocks? (\d+)(?: to (\d+))?", part)
    assert named
    return int(named[1]), int(named[2] or named[1])


@pytest.mark.parametrize(
    ("preset", "index", "key", "words"),
    [
        ("B", 0, "keys", "(s_T × s_H × s_W = 1 × 8 × 8 = 64; 25,088 / 64 = 392)"),
        ("B", 0, "width", "96 → 192 channels, in MLP 2: in the MLP of the last block before the next stage"),
        ("B", 0, "skip", "normalised and through a linear layer 96 → 192"),
        ("B", 1, "skip", "the incoming tokens, max-pooled 1×3×3, stride 1×2×2 as the queries are: 6,273 tokens"),
        ("B", 2, "skip", "to the attention's output the incoming tokens; to the MLP's that sum normalised"),
        ("v2-S", 1, "width", "96 → 192 channels, in W_Q, W_K and W_V: in the attention of the first block"),
        ("v2-S", 1, "skip", "the normalised input through a linear layer 96 → 192, max-pooled 1×3×3, stride 1×2×2"),
        ("v2-S", 2, "width", "192 channels, in and out"),
        ("vit_b", 0, "keys", "K, V not pooled: 8 × 14 × 14 + 1 = 1,569 keys"),
        ("rev-B", 0, "skip", "the MLP sees that sum and is added to the second"),
        ("rev-B", 1, "skip", "joined: their mean"),
    ],
)
def test_skip_connections_widths_and_factors_are_told(preset: str, index: int, key: str, words: str) -> None:
    assert words in explained_blocks(get_preset(preset).config)[index][key]  # type: ignore[literal-required]


def test_it_is_told_why_keys_and_values_share_a_stride(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["summarize", "--blocks", "--explain"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "there must be as many values as keys, in the same order: s_K = s_V" in text
    assert "Q R^T" not in text  # MViT has no relative positions
    assert run(["summarize", "--preset", "v2-S", "--blocks", "--explain"]) == 0
    assert "Q R^T: places" in capsys.readouterr().out


def test_the_example_of_the_paper() -> None:
    sentence = stage_sentences(get_preset("B").config)["scale3"]
    assert (
        "K, V pooled 3×3×3, stride 1×4×4: floor((56 + 2 - 3) / 4) + 1 = 14, so 8 × 14 × 14 + 1 = 1,569 keys" in sentence
    )


def test_the_head_counts_what_the_classifier_has() -> None:
    for preset in ("B", "mvitv2_small", "camera"):
        head, sentence = mvit_cli.summarize(preset)["stages"][-1], stage_sentences(get_preset(preset).config)["head"]
        params = numbers(tuple(re.findall(r"= ([\d,]+) parameters", sentence)))
        macs = numbers(tuple(re.findall(r"= ([\d,]+) MACs", sentence)))
        assert (sum(params), macs) == (head["params"], [head["macs"]])


def test_each_row_has_its_line_right_below(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert run(["summarize", "--preset", "v2-S", "--explain"]) == 0
    lines = capsys.readouterr().out.splitlines()
    sentences = stage_sentences(get_preset("v2-S").config, 4)
    for name, sentence in sentences.items():
        row = next(i for i, line in enumerate(lines) if line.startswith(f"{name} "))
        assert lines[row + 1].strip() == sentence


def test_80_columns_wrap_the_prose_but_tear_no_formula(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run(["summarize", "--explain"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    formulas = re.findall(r"floor\(.*?\) \+ 1 = \d+", " ".join(stage_sentences(get_preset("B").config).values()))
    assert all(any(formula in line for line in lines) for formula in formulas)


def test_files_carry_the_prose_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["summarize", "--explain", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document.pop("explanation") == stage_sentences(get_preset("B").config, 4)
    assert document.pop("explained_blocks") == explained_blocks(get_preset("B").config)
    assert document == mvit_cli.summarize("B")
    assert run(["summarize", "--explain", "--format", "markdown"]) == 0
    text = capsys.readouterr().out
    assert all(
        f"- **{name}**: {sentence}\n" in text for name, sentence in stage_sentences(get_preset("B").config, 4).items()
    )


def test_the_span_of_a_clip_is_told_where_the_frame_stride_is_known() -> None:
    config = get_preset("B").config
    assert "16 × 4 = 64 frames of the video, 64 / 30 = 2.13 s" in stage_sentences(config, 4)["data"]
    assert stage_sentences(config)["data"] == f"3×16×224×224 = {3 * prod(config.input_thw):,} numbers"
