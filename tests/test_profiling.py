"""The parts of a measurement: stages, memory, timing, and that measuring changes nothing."""

import math
import time
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import mvit_cli
from mvit_cli.errors import MViTError
from mvit_cli.profiling import memory
from mvit_cli.profiling import stage_times as stages
from mvit_cli.profiling.machine import Limits, copy_bytes_per_s, matmul_macs_per_s
from mvit_cli.profiling.setup import Setup, prepare
from mvit_cli.profiling.timing import median, quantile, warm_up

CPU = torch.device("cpu")
TINY = Setup(preset="camera_motion", size=(24, 24), threads=1)


# Stages


@pytest.mark.parametrize("fast", [True, False])
def test_stage_times_add_up_to_the_run_and_hooks_are_gone_afterwards(fast: bool) -> None:
    prepared = prepare(replace(TINY, fast=fast))
    clips = prepared.batch(1)
    before = prepared.forward(clips)
    start = time.perf_counter()
    times = stages.stage_ms(prepared, clips)
    whole = 1000 * (time.perf_counter() - start)
    assert list(times) == [stage["name"] for stage in mvit_cli.summarize("camera")["stages"]]
    assert all(value > 0 for value in times.values())
    assert sum(times.values()) <= whole
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in prepared.network.modules())
    assert torch.equal(prepared.forward(clips), before)


def test_a_slow_stage_is_the_one_that_takes_the_time() -> None:
    prepared = prepare(TINY)
    prepared.network.blocks[1].norm1.register_forward_hook(lambda *_: time.sleep(0.5))
    times = stages.stage_ms(prepared, prepared.batch(1))
    assert max(times, key=lambda name: times[name]) == "scale3"
    assert times["scale3"] > 500


def test_a_batch_in_several_passes_counts_every_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mvit_cli.model.fast.network.CPU_TOKEN_ELEMENTS", 1)  # a clip a pass
    prepared = prepare(TINY)
    prepared.network.blocks[1].norm1.register_forward_hook(lambda *_: time.sleep(0.1))
    times = stages.stage_ms(prepared, prepared.batch(3))
    assert list(times) == [stage["name"] for stage in mvit_cli.summarize("camera")["stages"]]
    assert times["scale3"] > 300


# Memory


def test_a_process_that_fails_otherwise_says_why() -> None:
    with pytest.raises(MViTError, match="there is no preset"):
        memory.peak_of_process(replace(TINY, preset="nonsense"), 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has", "out of memory: 20.00 GiB more were asked for"),
        (
            "can't allocate memory: you tried to allocate 49152000000 bytes. Err",
            "out of memory: 49.2 GB more were asked for",
        ),
        ("", "out of memory"),
    ],
)
def test_out_of_memory_is_said_in_one_line(text: str, said: str) -> None:
    assert memory.out_of_memory_text(RuntimeError(text)) == said


# Timing


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 1))
def test_quantiles_are_those_of_torch(values: list[float], share: float) -> None:
    expected = torch.quantile(torch.tensor(values, dtype=torch.float64), share).item()
    assert math.isclose(quantile(values, share), expected, rel_tol=1e-9, abs_tol=1e-9)


def test_the_median_is_the_middle() -> None:
    assert median([5, 1, 3]) == 3


def test_warm_up_ends_when_two_runs_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    durations = iter([9.0, 3.0, 2.0, 1.0, 1.01, 7.0])
    monkeypatch.setattr("mvit_cli.profiling.timing.timed", lambda run, device: next(durations))
    assert warm_up(lambda: None, CPU) == 5
    assert next(durations) == 7.0


def test_warm_up_of_a_restless_machine_ends_too(monkeypatch: pytest.MonkeyPatch) -> None:
    durations = iter(float(1 + i % 2) for i in range(1000))
    monkeypatch.setattr("mvit_cli.profiling.timing.timed", lambda run, device: next(durations))
    assert warm_up(lambda: None, CPU) == 20


def test_the_machines_rate_is_that_of_its_best_product(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mvit_cli.profiling.machine.SIZES", {"cpu": (8, 16)})
    monkeypatch.setattr("mvit_cli.profiling.machine.REPEATS", 5)
    seconds = iter([2.0, 1.0, 4.0, 4.0, 4.0, 4.0, 3.0, 0.5, 8.0, 8.0, 8.0, 8.0])
    monkeypatch.setattr("mvit_cli.profiling.machine.timed", lambda run, device: next(seconds) / 1e6)
    assert matmul_macs_per_s(CPU, torch.float32) == pytest.approx(16**3 / 0.5e-6)


def test_the_copy_rate_counts_what_is_read_and_written(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([9.0, 2.0, 0.5, 2.0, 2.0, 2.0])
    monkeypatch.setattr("mvit_cli.profiling.machine.timed", lambda run, device: next(seconds))
    monkeypatch.setattr("mvit_cli.profiling.machine.REPEATS", 5)
    assert copy_bytes_per_s(CPU, torch.float32, 4096, 10) == pytest.approx(2 * 4096 * 10 / 0.5)


def test_the_better_of_two_measurements_is_the_limit() -> None:
    assert Limits(1.0, 5.0, 7.0).best(Limits(2.0, 4.0, 9.0)) == Limits(2.0, 5.0, 9.0)
    assert Limits(1.0, 5.0, None).best(Limits(2.0, 4.0, None)) == Limits(2.0, 5.0, None)
