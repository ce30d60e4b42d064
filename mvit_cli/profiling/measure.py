"""What a network costs on this machine, against what the machine can do at most."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvit_cli.arch.summary import summarize_config
from mvit_cli.errors import MViTError
from mvit_cli.profiling.machine import device_name, matmul_macs_per_s
from mvit_cli.profiling.memory import OutOfMemoryError, is_out_of_memory, out_of_memory_text, peak_of_process
from mvit_cli.profiling.setup import Prepared, Setup, prepare
from mvit_cli.profiling.stages import stage_ms
from mvit_cli.profiling.timing import median, quantile, timed, warm_up
from mvit_cli.profiling.trace import write_trace

if TYPE_CHECKING:
    from torch import Tensor

STAGE_RUNS = 5
"""Most runs with hooks at the stages; all others go without."""

NOISY = 1.3
"""From this ratio of p90 to p10 on the result says that it is noisy."""

Say = Callable[[str], None]


@dataclass
class Samples:
    """What was measured of one batch size; `error` says why it could not be."""

    batch_size: int
    seconds: list[float] = field(default_factory=list)
    stages: list[dict[str, float]] = field(default_factory=list)
    peak_bytes: int | None = None
    error: str = ""


def profile(
    setup: Setup,
    batch_sizes: Sequence[int] = (1,),
    runs: int = 10,
    *,
    trace: Path | None = None,
    say: Say = lambda text: None,
) -> dict[str, Any]:
    """Latency, throughput, memory and time of each stage, for each batch size.

    Args:
        runs: timed runs of each batch size, taken in turns, so that a noisy moment meets them all.
        trace: a file for the Chrome trace of one run of the first batch size that fits.
        say: told what is being done.

    Returns:
        The JSON object of `mvit profile`.

    Raises:
        MViTError: the network does not run on this device in this number format.
    """
    import torch

    prepared = prepare(setup)
    say("measuring the matrix products of this machine")
    limits = [matmul_macs_per_s(prepared.device, prepared.dtype)]
    samples = [_first_runs(setup, prepared, batch_size, say) for batch_size in dict.fromkeys(batch_sizes)]
    say(f"timing {runs} runs of each batch size, in turns")
    _timed_in_turns([sample for sample in samples if not sample.error], prepared, setup, runs)
    fitting = [sample.batch_size for sample in samples if not sample.error]
    if trace and fitting:
        say(f"writing {trace}")
        write_trace(prepared, fitting[0], trace)
    limits.append(matmul_macs_per_s(prepared.device, prepared.dtype))
    summary = summarize_config(setup.config)
    threads = torch.get_num_threads()
    return {
        "preset": setup.preset,
        "device": {"type": prepared.device.type, "name": device_name(prepared.device), "threads": threads},
        "dtype": setup.dtype,
        "input": summary["input"],
        "results": [_result(sample, summary, max(limits)) for sample in samples],
        "notes": _notes(setup, samples),
    }


def _first_runs(setup: Setup, prepared: Prepared, batch_size: int, say: Say) -> Samples:
    """Finds out whether a batch fits and how much memory it takes, and warms up."""
    import torch

    samples = Samples(batch_size)
    on_cpu, on_cuda = prepared.device.type == "cpu", prepared.device.type == "cuda"
    say(f"batch of {batch_size}: memory" + " (in a process of its own), warm-up" * on_cpu)
    with _explained(samples, setup):
        if on_cpu:
            samples.peak_bytes = peak_of_process(setup, batch_size)
        clips = prepared.batch(batch_size)
        if on_cuda:
            torch.cuda.reset_peak_memory_stats(prepared.device)
        warm_up(lambda: prepared.forward(clips), prepared.device)
        if on_cuda:
            samples.peak_bytes = torch.cuda.max_memory_allocated(prepared.device)
    return samples


def _timed_in_turns(samples: list[Samples], prepared: Prepared, setup: Setup, runs: int) -> None:
    """Each batch size once, then each again; in the first rounds also with hooks, which a compiled network has not."""
    clips: dict[int, Tensor] = {}
    for turn in range(runs):
        for sample in samples:
            with _explained(sample, setup):
                if sample.batch_size not in clips:
                    clips[sample.batch_size] = prepared.batch(sample.batch_size)
                batch = clips[sample.batch_size]
                sample.seconds.append(timed(lambda batch=batch: prepared.forward(batch), prepared.device))  # type: ignore[misc]
                if turn < STAGE_RUNS and not setup.compiled:
                    sample.stages.append(stage_ms(prepared, batch))


@contextmanager
def _explained(samples: Samples, setup: Setup) -> Iterator[None]:
    """Makes a batch that does not fit a result, and any other failure of torch an error in words."""
    import torch

    try:
        yield
    except OutOfMemoryError as error:
        samples.error = error.message
    except MViTError:
        raise
    except Exception as error:  # a compiler or a kernel can fail in any way
        if not is_out_of_memory(error):
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            how = f"on {setup.device} in {setup.dtype}" + ", compiled" * setup.compiled
            hint = "--compile needs a C++ compiler on a CPU" if setup.compiled else "try --dtype float32"
            raise MViTError(f"the network does not run {how}: {reason}", hint) from error
        samples.error = out_of_memory_text(error)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _result(samples: Samples, summary: dict[str, Any], limit: float) -> dict[str, Any]:
    """One object of `results`; `macs` are those of one clip."""
    if samples.error:
        return {"batch_size": samples.batch_size, "error": samples.error}
    middle = median(samples.seconds)
    clips_per_s = samples.batch_size / middle
    rate = summary["macs"] * clips_per_s
    return {
        "batch_size": samples.batch_size,
        "latency_ms": {
            "median": 1000 * middle,
            "p10": 1000 * quantile(samples.seconds, 0.1),
            "p90": 1000 * quantile(samples.seconds, 0.9),
        },
        "clips_per_s": clips_per_s,
        "peak_memory_bytes": samples.peak_bytes,
        "macs": summary["macs"],
        "achieved_gmacs_per_s": rate / 1e9,
        "machine_gmacs_per_s": limit / 1e9,
        "utilization": rate / limit,
        "stages": _stage_results(samples, summary) if samples.stages else [],
    }


def _stage_results(samples: Samples, summary: dict[str, Any]) -> list[dict[str, Any]]:
    times = {stage["name"]: median([run[stage["name"]] for run in samples.stages]) for stage in summary["stages"]}
    return [
        {
            "name": stage["name"],
            "latency_ms": times[stage["name"]],
            "share": times[stage["name"]] / sum(times.values()),
            "macs": stage["macs"],
            "achieved_gmacs_per_s": samples.batch_size * stage["macs"] / times[stage["name"]] / 1e6,
        }
        for stage in summary["stages"]
    ]


def _notes(setup: Setup, samples: list[Samples]) -> list[str]:
    notes = [
        "random weights and random clips: speed does not depend on their values",
        "the plain network, layer by layer; predict runs a fast path of the same logits",
        "macs are those of one clip",
    ]
    for sample in samples:
        if sample.seconds and not sample.error:
            notes += _noise_notes(sample)
    for sample in samples:
        if not sample.stages or sample.error:
            continue
        hooked = median([sum(run.values()) for run in sample.stages])
        cost = hooked / (1000 * median(sample.seconds)) - 1
        notes.append(
            f"batch of {sample.batch_size}: stages are timed in {len(sample.stages)} runs of their own with hooks, "
            f"which took {100 * cost:+.1f} % of the time without"
        )
    if setup.compiled:
        notes.append("stages are not timed: a compiled network has no borders between them")
    if any(sample.peak_bytes for sample in samples):
        notes.append(
            "peak memory: resident memory of a process that runs one batch, libraries included"
            if setup.device == "cpu"
            else "peak memory: the most that torch had allocated on the device"
        )
    return notes


def _noise_notes(sample: Samples) -> list[str]:
    low, high = quantile(sample.seconds, 0.1), quantile(sample.seconds, 0.9)
    if high < NOISY * low:
        return []
    return [
        f"batch of {sample.batch_size}: noisy, p90 is {high / low:.1f} times p10; something else may be running here"
    ]
