"""`mvit profile`: what is measured, and that measuring changes nothing."""

import csv
import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from schemas import problems, unnoticed_changes

import mvit_cli
from mvit_cli.cli.main import run
from mvit_cli.cli.profile import parse_counts, parse_dtypes
from mvit_cli.errors import MViTError, UsageError
from mvit_cli.profiling import measure, memory
from mvit_cli.profiling.machine import Limits
from mvit_cli.profiling.setup import Setup, prepare
from mvit_cli.report.profile import costs

TINY = Setup(preset="camera_motion", size=(24, 24), threads=1)
CAMERA = ("profile", "--preset", "camera", "--size", "24", "--device", "cpu")
TOO_MANY = 10**9


@pytest.fixture(scope="module")
def profiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str, Path]:
    """One run of the command for all tests: a batch that fits and one that does not."""
    import contextlib
    import io

    trace = tmp_path_factory.mktemp("trace") / "run.json"
    out, err = io.StringIO(), io.StringIO()
    options = ["--runs", "3", "--threads", "1", "--format", "json", "--trace", str(trace)]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.MonkeyPatch.context() as patch:
        patch.setattr("mvit_cli.profiling.machine.SIZES", {"cpu": (256,)})
        patch.setattr("mvit_cli.profiling.machine.COPY_BYTES", {"cpu": 1 << 20})
        code = run([*CAMERA, *options, "--batch-size", f"2,{TOO_MANY}"])
    assert code == 0
    return json.loads(out.getvalue()), err.getvalue(), trace


def test_json_has_the_keys_of_the_contract(profiled: tuple[dict[str, Any], str, Path]) -> None:
    result = profiled[0]
    assert result.keys() >= {"preset", "device", "dtype", "results", "machine", "network", "notes"}
    assert result["device"].keys() == {"type", "name", "threads"}
    assert (result["preset"], result["dtype"], result["device"]["threads"]) == ("camera_motion", "float32", 1)
    row = result["results"][0]
    keys = "batch_size latency_ms clips_per_s peak_memory_bytes macs achieved_gmacs_per_s machine_gmacs_per_s"
    assert row.keys() >= {*keys.split(), "utilization", "stages", "operators", "executed_macs", "noise", "timers"}
    assert row["latency_ms"].keys() == {"median", "p10", "p90"}
    assert all(
        stage.keys() >= {"name", "latency_ms", "share", "macs", "achieved_gmacs_per_s"} for stage in row["stages"]
    )


def test_numbers_of_a_row_agree_with_each_other(profiled: tuple[dict[str, Any], str, Path]) -> None:
    summary = mvit_cli.summarize("camera", size=24)
    row = profiled[0]["results"][0]
    latency = row["latency_ms"]
    assert latency["p10"] <= latency["median"] <= latency["p90"]
    assert row["clips_per_s"] == pytest.approx(1000 * 2 / latency["median"])
    assert row["macs"] == summary["macs"]  # of one clip
    assert row["achieved_gmacs_per_s"] == pytest.approx(row["clips_per_s"] * row["macs"] / 1e9)
    assert row["utilization"] == pytest.approx(row["achieved_gmacs_per_s"] / row["machine_gmacs_per_s"])
    assert [(x["name"], x["macs"]) for x in row["stages"]] == [(x["name"], x["macs"]) for x in summary["stages"]]
    assert sum(stage["share"] for stage in row["stages"]) == pytest.approx(1)
    for stage in row["stages"]:
        assert stage["achieved_gmacs_per_s"] == pytest.approx(2 * stage["macs"] / stage["latency_ms"] / 1e6)


def test_a_batch_that_does_not_fit_is_a_row(profiled: tuple[dict[str, Any], str, Path]) -> None:
    row = profiled[0]["results"][-1]
    assert row.keys() == {"batch_size", "dtype", "threads", "error"}
    assert row["error"].startswith("out of memory")


def test_peak_memory_is_that_of_a_process_of_its_own(profiled: tuple[dict[str, Any], str, Path]) -> None:
    peak = profiled[0]["results"][0]["peak_memory_bytes"]
    if peak is None:
        pytest.skip("this system does not tell the peak of a process")
    assert 4 * mvit_cli.summarize("camera", size=24)["params"] < peak < 4e9  # torch itself takes a few hundred MB


def test_notes_say_what_the_numbers_are_of(profiled: tuple[dict[str, Any], str, Path]) -> None:
    notes = " ".join(profiled[0]["notes"])
    assert "random weights" in notes
    assert "with hooks" in notes


def test_progress_goes_to_stderr(profiled: tuple[dict[str, Any], str, Path]) -> None:
    assert "in turns" in profiled[1]


def test_the_trace_is_one_for_chrome(profiled: tuple[dict[str, Any], str, Path]) -> None:
    events = json.loads(profiled[2].read_text())["traceEvents"]
    assert any("conv3d" in event.get("name", "") for event in events)
    assert {"cube1", "scale2", "scale3", "scale4", "head"} <= {event.get("name") for event in events}
    assert [path.name for path in profiled[2].parent.iterdir()] == [profiled[2].name]


@pytest.fixture
def without_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Peak memory without starting a process, which takes seconds."""
    monkeypatch.setattr(measure, "peak_of_process", lambda setup, batch_size: (10**8 * batch_size, 10**7))
    monkeypatch.setattr(measure, "limits_of", lambda device, dtype: Limits(50e9, 10e9, 40e9))
    monkeypatch.setattr(measure, "warm_up", warmed_up_at_once)


def warmed_up_at_once(run: Callable[[], object], device: torch.device) -> int:
    run()
    return 1


def test_the_table_says_first_what_the_architecture_implies(
    without_processes: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run([*CAMERA, "--runs", "1", "--batch-size", "3,1,3", "--quiet"]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    lines = told.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("camera_motion: 16 frames of 24×24")
    assert "matrix products here reach 50 GMAC/s, copies 10 GB/s" in told.out
    titles = [line for line in lines if line.endswith("by stage")]
    assert titles == ["batch of 3, by stage", "batch of 1, by stage"]  # in the order asked for, each once
    assert "…" not in told.out


def test_if_nothing_fits_the_run_has_failed(
    without_processes: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def killed(setup: Setup, batch_size: int) -> tuple[int, int]:
        raise memory.OutOfMemoryError("out of memory: the system killed the process that tried it")

    monkeypatch.setattr(measure, "peak_of_process", killed)
    assert run([*CAMERA, "--format", "json"]) == 1
    (row,) = json.loads(capsys.readouterr().out)["results"]
    assert row["error"] == "out of memory: the system killed the process that tried it"
    assert "latency_ms" not in row


def test_a_network_that_does_not_run_is_an_error_in_words(
    without_processes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(run: Callable[[], object], device: torch.device) -> int:
        raise RuntimeError('"conv3d" not implemented\nfor this type')

    monkeypatch.setattr(measure, "warm_up", broken)
    with pytest.raises(MViTError, match=r'does not run on cpu in float32: "conv3d" not implemented for this type'):
        measure.profile(TINY)


def test_a_batch_that_stops_fitting_later_is_a_row(without_processes: None, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = measure.timed, iter(range(100))

    def sometimes(run: Callable[[], object], device: torch.device) -> float:
        if next(calls) == 6:  # a turn takes two for each batch size, the second with timers
            raise RuntimeError(
                "[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 8000000000 bytes."
            )
        return real(run, device)

    monkeypatch.setattr(measure, "timed", sometimes)
    one, two = measure.profile(TINY, (1, 2), 2)["results"]
    assert "latency_ms" in one
    assert two["error"] == "out of memory: 8.0 GB more were asked for"


def test_a_sweep_has_a_row_for_each_number_format_threads_and_batch(
    without_processes: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    threads = [1]  # more than one would wait for each other on a busy machine
    monkeypatch.setattr(torch, "set_num_threads", lambda count: threads.__setitem__(0, count))
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads[0])
    result = measure.profile(TINY, (1, 2), 1, dtypes=("float32", "bfloat16"), threads=(1, 2))
    cases = [(row["dtype"], row["threads"], row["batch_size"]) for row in result["results"]]
    assert cases == [(d, t, b) for d in ("float32", "bfloat16") for t in (1, 2) for b in (1, 2)]
    assert [(limit["dtype"], limit["threads"]) for limit in result["machine"]] == cases_without_batch(cases)
    costs.show_profile(result, mvit_cli.summarize("camera", size=24))
    told = capsys.readouterr().out
    assert "bfloat16, 2 threads: matrix products here reach" in told
    assert "batch of 2, bfloat16, 1 thread, by class of operators" in told
    assert max(map(len, told.splitlines())) <= 80


def cases_without_batch(cases: list[tuple[str, int, int]]) -> list[tuple[str, int]]:
    return list(dict.fromkeys((dtype, threads) for dtype, threads, _ in cases))


def test_in_a_sweep_a_format_that_does_not_run_is_a_row(
    without_processes: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(run: Callable[[], object], device: torch.device) -> int:
        if next(calls) == 1:
            raise RuntimeError("not implemented for 'Half'")
        return warmed_up_at_once(run, device)

    calls = iter(range(10))
    monkeypatch.setattr(measure, "warm_up", broken)
    one, two = measure.profile(TINY, (1,), 1, dtypes=("float32", "float16"))["results"]
    assert "latency_ms" in one
    assert two["error"] == "the network does not run on cpu in float16: not implemented for 'Half'"


def test_csv_and_markdown_hold_every_part(
    without_processes: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run([*CAMERA, "--runs", "1", "--quiet", "--format", "csv"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    by_part = {part: [row for row in rows if row["part"] == part] for part in ("whole", "stage", "operators")}
    assert [row["name"] for row in by_part["stage"]] == ["cube1", "scale2", "scale3", "scale4", "head"]
    assert int(by_part["whole"][0]["macs"]) == sum(int(row["macs"]) for row in by_part["stage"])
    assert float(by_part["operators"][-1]["share"]) >= 0
    assert run([*CAMERA, "--runs", "1", "--quiet", "--format", "markdown"]) == 0
    told = capsys.readouterr().out
    assert "| stage | time ms | share |" in told
    assert "| linear |" in told


# Usage


@pytest.mark.parametrize(("text", "sizes"), [("1", (1,)), ("1,4", (1, 4)), (" 2 , 8 ", (2, 8))])
def test_batch_sizes_are_a_list(text: str, sizes: tuple[int, ...]) -> None:
    assert parse_counts(text, "--batch-size", "numbers") == sizes


@pytest.mark.parametrize("text", ["", "0", "1,", "a", "-1", "1.5", "²"])
def test_anything_else_is_no_list_of_batch_sizes(text: str) -> None:
    with pytest.raises(UsageError, match="batch-size"):
        parse_counts(text, "--batch-size", "numbers")


def test_dtypes_are_a_list_of_known_names() -> None:
    assert parse_dtypes("float32, bfloat16") == ("float32", "bfloat16")
    with pytest.raises(UsageError, match="there is no dtype 'int4'"):
        parse_dtypes("float32,int4")


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ("--dtype float32,int8 --no-fast", 2, "int8 is part of the fast path"),
        ("--threads 0", 2, "--threads '0' is not a list"),
        ("--plot a.jpg", 2, "a picture is .svg, .png or .pdf"),
        ("--device tpu", 2, "there is no device 'tpu'"),
        ("--device cuda:99", 1, "--device cuda:99"),
        ("--preset S --size 4", 2, "cannot take that input"),
        ("--preset nonsense", 2, "there is no preset"),
        ("--trace nowhere/run.json", 2, "there is no folder"),
        ("--runs 0", 2, "--runs"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_measured(
    options: str, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["profile", *options.split()]) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert said in told.err


def test_a_trace_can_be_compressed(tmp_path: Path) -> None:
    from mvit_cli.profiling.trace import write_trace

    path = tmp_path / "run.json.gz"
    write_trace(prepare(TINY), 1, path)
    assert "traceEvents" in json.loads(gzip.decompress(path.read_bytes()))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*script_method:DeprecationWarning")  # torch's own
def test_a_compiled_network_is_measured_as_a_whole(without_processes: None) -> None:
    result = measure.profile(replace(TINY, compiled=True), (1,), 2)
    assert result["results"][0]["stages"] == []
    assert "not timed" in " ".join(result["notes"])


@pytest.mark.cuda
def test_a_gpu_is_measured_with_its_own_clock_and_memory() -> None:
    result = measure.profile(replace(TINY, device="cuda", dtype="bfloat16"), (1, 4), 3)
    for row in result["results"]:
        assert row["peak_memory_bytes"] > 2 * mvit_cli.summarize("camera", size=24)["params"]
        assert sum(stage["share"] for stage in row["stages"]) == pytest.approx(1)
        assert all(stage["latency_ms"] > 0 for stage in row["stages"])


# The shipped schema


def test_the_document_is_what_the_schema_says(profiled: tuple[dict[str, Any], str, Path]) -> None:
    assert problems("profile", profiled[0]) == []
    assert unnoticed_changes("profile", profiled[0]) == []
    assert {"error" in result for result in profiled[0]["results"]} == {True, False}  # both kinds are there
