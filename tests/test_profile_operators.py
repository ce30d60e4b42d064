"""Classes of operators: what each one did is counted from its operands, and timing changes nothing."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from profile_document import document
from torch.utils._python_dispatch import TorchDispatchMode

from mvit_cli.arch.blocks import block_specs
from mvit_cli.arch.presets import preset_names
from mvit_cli.arch.summary import summarize_config
from mvit_cli.profiling import operators, results
from mvit_cli.profiling.counting import Work, bytes_of, place_of, work_of
from mvit_cli.profiling.machine import Limits
from mvit_cli.profiling.operators import Timed, operator_run
from mvit_cli.profiling.samples import Samples
from mvit_cli.profiling.setup import Setup, prepare
from mvit_cli.report.formats import percent
from mvit_cli.report.profile import roofline
from mvit_cli.report.profile.costs import milliseconds

TINY = Setup(preset="camera_motion", size=(24, 24), threads=1)
LIMITS = Limits(50e9, 10e9, 40e9)
WEIGHT = torch.ones(4, 8)


class Seen(TorchDispatchMode):
    """Keeps what `work_of` says of each operator."""

    def __init__(self) -> None:
        super().__init__()
        self.works: list[Work] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        work = work_of(func, args, kwargs or {}, output, frozenset([place_of(WEIGHT)]))
        self.works += [work] if work else []
        return output


def works_of(call: Callable[[], object]) -> list[Work]:
    with torch.inference_mode(), Seen() as seen:
        call()
    return seen.works


X = torch.ones(3, 8)
GRID = torch.ones(2, 6, 4, 5, 5)


@pytest.mark.parametrize(
    ("call", "kind", "macs", "num_bytes"),
    [
        (lambda: F.linear(X, WEIGHT), "linear", 3 * 8 * 4, 4 * (24 + 32 + 12)),
        (lambda: torch.mm(X, WEIGHT.t()), "linear", 3 * 8 * 4, 4 * (24 + 32 + 12)),
        (lambda: torch.ones(3, 4).addmm_(X, WEIGHT.t()), "linear", 3 * 8 * 4, 4 * (12 + 24 + 32 + 12)),
        (lambda: torch.mm(X, X.t()), "attention", 3 * 8 * 3, 4 * (24 + 24 + 9)),
        (lambda: torch.einsum("ab,cb->ac", X, X), "attention", 3 * 8 * 3, 4 * (24 + 24 + 9)),
        (
            lambda: F.scaled_dot_product_attention(
                torch.ones(2, 3, 5, 8), torch.ones(2, 3, 7, 8), torch.ones(2, 3, 7, 8)
            ),
            "attention",
            2 * 2 * 3 * 5 * 7 * 8,
            4 * 2 * 3 * 8 * (5 + 7 + 7 + 5),
        ),
        (lambda: F.conv3d(GRID, torch.ones(9, 6, 1, 2, 2)), "patches", 2 * 9 * 4 * 4 * 4 * 6 * 4, None),
        (lambda: F.conv3d(GRID, torch.ones(6, 1, 1, 2, 2), groups=6), "pooling", 2 * 6 * 4 * 4 * 4 * 4, None),
        (lambda: F.max_pool3d(GRID, (1, 2, 2)), "pooling", 0, 4 * (1200 + 192)),
        (lambda: F.layer_norm(X, (8,)), "norm", 0, 4 * 48),
        (lambda: F.gelu(X), "activation", 0, 4 * 48),
        (lambda: X + X, "addition", 0, 4 * 72),
        (lambda: X + X[:1].expand(3, 8), "addition", 0, 4 * (24 + 8 + 24)),
        (lambda: torch.add(X, X, out=torch.empty(3, 8)), "addition", 0, 4 * 72),
        (lambda: torch.cat((X, X)), "copy", 0, 4 * 96),
        (lambda: torch.empty(3, 8).copy_(X), "copy", 0, 4 * 48),
        (lambda: X.index_select(0, torch.tensor([1])), "copy", 0, 4 * 16),
        (lambda: X.t().contiguous(), "copy", 0, 4 * 48),
        (lambda: X.t().reshape(24), "copy", 0, 4 * 48),
        (lambda: X.sin(), "other", 0, 4 * 48),
    ],
)
def test_an_operator_has_a_class_and_its_cost(
    call: Callable[[], object], kind: str, macs: int, num_bytes: int | None
) -> None:
    work = works_of(call)[-1]
    assert (work.kind, work.macs) == (kind, macs)
    assert num_bytes is None or work.num_bytes == num_bytes


@pytest.mark.parametrize(
    "call",
    [lambda: X.t(), lambda: X.flatten(), lambda: X.contiguous(), lambda: X.chunk(3), lambda: torch.empty_like(X)],
)
def test_looking_at_a_tensor_in_another_way_is_no_work(call: Callable[[], object]) -> None:
    assert works_of(call) == []


def test_an_expanded_tensor_is_read_once() -> None:
    assert bytes_of(X.expand(5, 3, 8)) == bytes_of(X) == 4 * 24
    assert bytes_of(torch.empty(0, 3)) == 0


QUICK = "mvit_b_in1k"


@pytest.mark.parametrize(
    "name",
    [QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in preset_names() if name != QUICK)],
)
def test_the_operators_of_the_plain_network_do_what_the_formulas_say(name: str) -> None:
    """And those of the fast path no more than that, but for the product that sums the axes of relative positions, which
    the formulas do not count: on the `meta` device, where nothing is computed."""
    from mvit_cli.model import MViT
    from mvit_cli.model.fast.network import FastMViT

    config = Setup(preset=name).config
    with torch.device("meta"):
        model = MViT(config)
    clips = torch.empty(1, 3, *config.input_thw, device="meta")
    plain, fast = (
        sum(work.macs for work in works_of(lambda network=network: network(clips)))  # type: ignore[misc]
        for network in (model, FastMViT(model))
    )
    assert plain == summarize_config(config)["macs"]
    sums_of_axes = sum(
        block.heads
        * prod(block.thw_out)
        * sum(length for length, rows in zip(block.thw_kv, block.rel_pos_thw, strict=True) if rows)
        * (prod(block.thw_kv) + block.num_cls)
        for block in block_specs(config)
    )
    assert 0.9 * plain < fast <= plain + sums_of_axes


@pytest.mark.parametrize(
    ("preset", "fast"), [("camera_motion", True), ("camera_motion", False), ("mvitv2_s_16x4", True)]
)
def test_timers_change_nothing_and_find_every_mac_in_its_stage(preset: str, fast: bool) -> None:
    frames, size = (16, 24) if preset == "camera_motion" else (4, 32)
    setup = Setup(preset=preset, frames=frames, size=(size, size), threads=1, fast=fast)
    prepared = prepare(setup)
    clips = prepared.batch(2)
    before = prepared.forward(clips)
    run = operator_run(prepared, clips)
    assert torch.equal(prepared.forward(clips), before)
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in prepared.network.modules())
    macs: Counter[str] = Counter()
    for timed in run:
        macs[timed.stage] += timed.work.macs
    summary = summarize_config(setup.config)
    for stage in summary["stages"]:
        asked = 2 * stage["macs"]
        # the fast path sums the axes of relative positions by a product, which the formulas do not count: 0.1% here
        assert macs[stage["name"]] == asked if not fast else 0.5 * asked <= macs[stage["name"]] <= 1.001 * asked


def test_layers_in_8_bits_are_linear_and_as_large() -> None:
    runs = {dtype: prepare(replace(TINY, dtype=dtype)) for dtype in ("float32", "int8")}
    macs: dict[str, Counter[str]] = {dtype: Counter() for dtype in runs}
    for dtype, prepared in runs.items():
        for entry in operator_run(prepared, prepared.batch(1)):
            macs[dtype][entry.work.kind] += entry.work.macs
    assert macs["int8"] == macs["float32"]


def test_what_the_timers_see_is_what_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = prepare(TINY)
    clips = prepared.batch(1)
    ticks: Iterator[int] = iter(range(10**6))

    def clock() -> Callable[[], float]:
        tick = next(ticks)
        return lambda: float(tick)

    monkeypatch.setattr(operators, "clock_of", lambda device: clock)
    run = operator_run(prepared, clips)
    assert {timed.ms for timed in run} == {1.0}  # two readings an operator, one after the other
    assert 50 < len(run) < 400


# From samples to numbers


def samples(seconds: list[float], **parts: Any) -> Samples:
    return Samples(TINY, 1, 1, 3, seconds, **parts)


def timed(stage: str, kind: str, ms: float, macs: int = 0, num_bytes: int = 0) -> Timed:
    return Timed(stage, Work(kind, macs, num_bytes), ms)


SUMMARY = {"macs": 3000, "stages": [{"name": "cube1", "macs": 1000}, {"name": "head", "macs": 2000}]}


@given(
    st.lists(st.floats(0.001, 10), min_size=1, max_size=12),
    st.lists(st.tuples(st.floats(0.1, 9000), st.floats(0.1, 9000)), min_size=1, max_size=5),
)
def test_stages_add_up_to_the_whole_within_the_stated_noise(
    seconds: list[float], runs: list[tuple[float, float]]
) -> None:
    taken = samples(seconds, stages=[{"cube1": a, "head": b} for a, b in runs], timer_seconds=[1.0])
    result = results.result_of(taken, SUMMARY, LIMITS)
    whole = sum(stage["latency_ms"] for stage in result["stages"])
    latency = result["latency_ms"]
    assert abs(whole - latency["median"]) <= result["noise"] * latency["median"] * (1 + 1e-9)
    assert latency["p90"] - latency["p10"] <= result["noise"] * latency["median"] * (1 + 1e-9)
    assert sum(stage["share"] for stage in result["stages"]) == pytest.approx(1)


def test_operators_and_the_time_between_them_add_up_to_the_median() -> None:
    run = [
        timed("cube1", "linear", 2.0, 500, 40),
        timed("head", "linear", 1.0, 250, 10),
        timed("head", "norm", 3.0, 0, 99),
    ]
    taken = samples([0.010], stages=[{"cube1": 4.0, "head": 6.0}], operators=[run], timer_seconds=[0.012])
    result = results.result_of(taken, SUMMARY, LIMITS)
    assert {entry["class"]: entry["latency_ms"] for entry in result["operators"]} == pytest.approx(
        {"linear": 3.0, "norm": 3.0, "between": 4.0}
    )
    linear, norm, between = result["operators"]
    assert (linear["calls"], linear["macs"], linear["bytes"], linear["bound"]) == (2, 750, 50, "compute")
    assert linear["gmacs_per_s"] == pytest.approx(750 / 3e-3 / 1e9)
    assert linear["compute_utilization"] == pytest.approx(750 / 3e-3 / 50e9)
    assert norm["memory_utilization"] == pytest.approx(99 / 3e-3 / 10e9)
    assert (norm["bound"], between["bound"], linear["macs_per_byte"]) == ("memory", None, 15)
    assert [stage["operators_ms"] for stage in result["stages"]] == [
        {"linear": 2.0, "between": 2.0},
        {"linear": 1.0, "norm": 3.0, "between": 2.0},
    ]
    assert result["executed_macs"] == 750
    assert result["timers"]["operator_cost"] == pytest.approx(0.2)
    assert result["timers"]["stage_cost"] == pytest.approx(0.0)


def test_an_interrupted_operator_does_not_count_its_interruption() -> None:
    runs = [[timed("cube1", "linear", ms)] for ms in (1.0, 48.0, 2.0)]
    assert [entry.ms for entry in samples([1.0], operators=runs).typical_operators] == [2.0]


def test_what_a_pass_takes_is_told_where_several_run_side_by_side() -> None:
    """Four clips on two threads: two passes at once, of what the peak lies above the network at rest."""
    taken = replace(samples([1.0]), setup=replace(TINY, fast=True), batch_size=4, threads=2)
    taken = replace(taken, resting_bytes=100 << 20, peak_bytes=180 << 20)
    told = "2 passes side by side, each of which took 40 MiB above the network at rest"
    assert told in results.notes_of(TINY, [taken])
    alone = (replace(taken, threads=1), replace(taken, batch_size=1), replace(taken, setup=replace(TINY, fast=False)))
    assert not any("side by side, each" in note for one in alone for note in results.notes_of(TINY, [one]))


def test_a_noisy_result_says_so() -> None:
    taken = samples([1.0, 1.0, 2.0], stages=[{"cube1": 1000.0}], timer_seconds=[1.0])
    assert "noisy, ±40 %" in " ".join(results.notes_of(TINY, [taken]))
    assert "noisy" not in " ".join(results.notes_of(TINY, [samples([1.0, 1.01])]))


def test_a_network_that_did_not_get_the_processors_says_so() -> None:
    starved = samples([1.0, 1.0], processor_seconds=[0.2, 0.3])
    assert starved.processor_share == pytest.approx(0.25)
    assert "had 25 % of the time of its 1 thread" in " ".join(results.notes_of(TINY, [starved]))
    well = samples([1.0, 1.0], processor_seconds=[0.9, 1.0])
    assert "of its 1 thread" not in " ".join(results.notes_of(TINY, [well]))
    assert replace(starved, setup=replace(TINY, device="cuda")).processor_share is None


# The picture


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    prepared = prepare(TINY)
    clips = prepared.batch(1)
    summary = summarize_config(TINY.config)
    stages = [{stage["name"]: 2.0 for stage in summary["stages"]}]
    taken = samples([0.010], stages=stages, operators=[operator_run(prepared, clips)], timer_seconds=[0.01])
    return results.result_of(taken, summary, LIMITS)


def test_the_picture_names_what_was_measured_and_its_units(result: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "profile.svg"
    roofline.draw_profile(document(result), path)
    text = path.read_text(encoding="utf-8")
    for part in ("camera_motion, batch of 1", "some CPU (cpu, 1 thread), float32, the fast path", "time (ms)"):
        assert part in text
    for part in ("GMAC/s", "MACs a byte moved", "(GB/s)", "scale3", "attention", "matrix products, 50 GMAC/s"):
        assert part in text


def test_the_bars_are_the_times(result: dict[str, Any]) -> None:
    axes = Figure().subplots()
    roofline._draw_times(axes, result)
    stages = result["stages"]
    lengths = [sum(bars[place].get_width() for bars in axes.containers) for place in range(len(stages))]
    assert lengths == pytest.approx([stage["latency_ms"] for stage in stages])  # what the labels say
    texts = [text.get_text() for text in axes.texts]
    assert texts == [
        f"{milliseconds(length)} ms, {percent(stage['share'])}" for length, stage in zip(lengths, stages, strict=True)
    ]
    linear = [bar.get_width() / length for bar, length in zip(axes.containers[0], lengths, strict=True)]
    shares = [stage["operators_ms"].get("linear", 0) / sum(stage["operators_ms"].values()) for stage in stages]
    assert linear == pytest.approx(shares)
    assert len(axes.containers) == len(roofline.GROUPS)
    assert {kind for _, kinds in roofline.GROUPS for kind in kinds} == {*results.CLASSES, results.BETWEEN}


def test_a_picture_without_cache(result: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "profile.svg"
    roofline.draw_profile(document(result, cache_gb_per_s=None), path)
    text = path.read_text(encoding="utf-8")
    assert "copies in memory, 10 GB/s" in text
    assert "copies in cache" not in text


def test_no_text_of_the_rates_meets_a_line(result: dict[str, Any]) -> None:
    axes = Figure().subplots()
    roofline._draw_rates(axes, result["operators"], {**document()["machine"][0], "cache_gb_per_s": 11.0})
    assert not axes.texts  # rates stand beside the names, the lines are in the legend
    movers = [entry for entry in result["operators"] if entry["bytes"] and not entry["macs"]]
    told = [label.get_text().split("\n")[1] for label in axes.get_yticklabels()]
    assert told == [f"{entry['gb_per_s']:,.3g}" for entry in movers]
    assert [bar.get_width() for bar in axes.patches] == [entry["gb_per_s"] for entry in movers]


def test_a_gpu_gets_its_head_start_and_a_cpu_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[torch.device] = []
    monkeypatch.setattr(operators, "give_head_start", asked.append)
    run = operator_run(prepare(TINY), prepare(TINY).batch(1))
    assert len(run) > operators.HEAD_START_EVERY / 2
    assert len(asked) == 1 + (len(run) - 1) // operators.HEAD_START_EVERY
