"""From samples to the JSON of `mvit profile`.

`macs` are what the architecture asks for, by its formulas; `executed_macs` are what the operators really did, which is
less on the fast path. Rates against the machine's limits are made from the latter wherever operators were seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

from mvit_cli.profiling.counting import CLASSES
from mvit_cli.profiling.machine import Limits
from mvit_cli.profiling.operators import Timed
from mvit_cli.profiling.samples import Samples
from mvit_cli.profiling.setup import Setup
from mvit_cli.profiling.timing import median, quantile
from mvit_cli.recognition.device import INT8
from mvit_cli.records import (
    DtypeName,
    OperatorClass,
    OperatorCost,
    ProfileFailure,
    ProfileResult,
    StageCost,
    Summary,
    TimerCosts,
)

BETWEEN: OperatorClass = "between"
"""Time in which no operator computes: Python, dispatch, looking at tensors in another way; on a GPU also idle time."""

_COSTS: tuple[Literal["stage_cost", "operator_cost"], ...] = ("stage_cost", "operator_cost")

STARVED = 0.6
"""From this share of its threads' time down the result says that the network did not have the processors."""

NOISY = 0.3
"""From this noise on the result says that it is noisy."""


def result_of(samples: Samples, summary: Summary, limits: Limits) -> ProfileResult | ProfileFailure:
    """One object of `results`; `macs` and `executed_macs` are those of one clip, and of a stage or class likewise."""
    setup = samples.setup
    dtype = cast("DtypeName", setup.dtype)
    if samples.error:
        return ProfileFailure(batch_size=samples.batch_size, dtype=dtype, threads=samples.threads, error=samples.error)
    latency_ms = samples.latency_ms
    rate = samples.batch_size * summary["macs"] / latency_ms * 1e3
    executed = sum(timed.work.macs for timed in samples.typical_operators)
    executed_rate = executed / latency_ms * 1e3
    return {
        "batch_size": samples.batch_size,
        "dtype": dtype,
        "threads": samples.threads,
        "runs": len(samples.seconds),
        "warm_up_runs": samples.warm_up_runs,
        "latency_ms": {
            "median": latency_ms,
            "p10": 1000 * quantile(samples.seconds, 0.1),
            "p90": 1000 * quantile(samples.seconds, 0.9),
        },
        "noise": samples.noise,
        "processor_share": samples.processor_share,
        "clips_per_s": 1000 * samples.batch_size / latency_ms,
        "peak_memory_bytes": samples.peak_bytes,
        "resting_memory_bytes": samples.resting_bytes,
        "macs": summary["macs"],
        "achieved_gmacs_per_s": rate / 1e9,
        "machine_gmacs_per_s": limits.macs_per_s / 1e9,
        "utilization": rate / limits.macs_per_s,
        "executed_macs": round(executed / samples.batch_size),
        "executed_gmacs_per_s": executed_rate / 1e9,
        "executed_utilization": executed_rate / limits.macs_per_s,
        "stages": _stages(samples, summary) if samples.stages else [],
        "operators": _operators(samples, limits) if not setup.compiled else [],
        "timers": _timers(samples),
    }


@dataclass
class _Sum:
    """Operators of one class, or of one class in one stage, added up."""

    calls: int = 0
    ms: float = 0.0
    macs: int = 0
    num_bytes: int = 0

    def add(self, timed: Timed) -> None:
        self.calls += 1
        self.ms += timed.ms
        self.macs += timed.work.macs
        self.num_bytes += timed.work.num_bytes


def _stages(samples: Samples, summary: Summary) -> list[StageCost]:
    times = samples.stage_ms
    by_place: dict[tuple[str, OperatorClass], _Sum] = {}
    for timed in samples.typical_operators:
        by_place.setdefault((timed.stage, timed.work.kind), _Sum()).add(timed)
    entries: list[StageCost] = []
    for stage in summary["stages"]:
        name = stage["name"]
        parts = {kind: by_place[name, kind] for kind in CLASSES if (name, kind) in by_place}
        operators_ms = {kind: part.ms for kind, part in parts.items()}
        operators_ms[BETWEEN] = max(0.0, times[name] - sum(operators_ms.values()))
        executed = sum(part.macs for part in parts.values())
        entries.append(
            {
                "name": name,
                "latency_ms": times[name],
                "share": times[name] / sum(times.values()),
                "macs": stage["macs"],
                "achieved_gmacs_per_s": samples.batch_size * stage["macs"] / times[name] / 1e6,
                "executed_macs": round(executed / samples.batch_size),
                "executed_gmacs_per_s": executed / times[name] / 1e6,
                "operators_ms": operators_ms,
            }
        )
    return entries


def _operators(samples: Samples, limits: Limits) -> list[OperatorCost]:
    """A class of operators each, and last the time in which none computes."""
    sums: dict[OperatorClass, _Sum] = {}
    for timed in samples.typical_operators:
        sums.setdefault(timed.work.kind, _Sum()).add(timed)
    inside_ms = sum(entry.ms for entry in sums.values())
    sums[BETWEEN] = _Sum(ms=max(0.0, samples.latency_ms - inside_ms))
    whole_ms = inside_ms + sums[BETWEEN].ms
    return [
        _operator(kind, sums[kind], samples.batch_size, whole_ms, limits)
        for kind in (*CLASSES, BETWEEN)
        if kind in sums
    ]


def _operator(kind: OperatorClass, entry: _Sum, batch_size: int, whole_ms: float, limits: Limits) -> OperatorCost:
    seconds = entry.ms / 1e3
    macs_per_s, bytes_per_s = (amount / seconds if seconds else 0.0 for amount in (entry.macs, entry.num_bytes))
    compute, memory = macs_per_s / limits.macs_per_s, bytes_per_s / limits.copy_bytes_per_s
    return {
        "class": kind,
        "calls": entry.calls,
        "latency_ms": entry.ms,
        "share": entry.ms / whole_ms,
        "macs": round(entry.macs / batch_size),
        "gmacs_per_s": macs_per_s / 1e9,
        "bytes": entry.num_bytes,
        "gb_per_s": bytes_per_s / 1e9,
        "macs_per_byte": entry.macs / entry.num_bytes if entry.num_bytes else None,
        "compute_utilization": compute,
        "memory_utilization": memory,
        "bound": None if not entry.num_bytes else "compute" if compute >= memory else "memory",
    }


def _timers(samples: Samples) -> TimerCosts:
    """How many runs had something attached, and how much longer they took: 0.02 is 2 %."""
    hooked = [sum(run.values()) for run in samples.stages]
    return {
        "stage_runs": len(samples.stages),
        "stage_cost": median(hooked) / samples.latency_ms - 1 if hooked else None,
        "operator_runs": 0 if samples.setup.compiled else len(samples.operators),
        "operator_cost": None
        if samples.setup.compiled
        else 1000 * median(samples.timer_seconds) / samples.latency_ms - 1,
    }


def notes_of(setup: Setup, samples: Sequence[Samples]) -> list[str]:
    """What the numbers are of, and what they cost."""
    measured = [sample for sample in samples if not sample.error]
    notes = [
        "random weights and random clips: speed does not depend on their values",
        "the fast path, which predict runs; --no-fast measures the plain network"
        if setup.fast
        else "the plain network, layer by layer; predict runs a fast path of the same logits",
        "macs are those of one clip",
    ]
    several = len(samples) > 1
    for sample in measured:
        label = f"{_label(sample, samples)}: " if several else ""
        if sample.noise >= NOISY:
            notes.append(
                f"{label}noisy, ±{50 * sample.noise:.0f} % between p10 and p90; something else may be running here"
            )
        if sample.processor_share is not None and sample.processor_share < STARVED:
            notes.append(
                f"{label}this process had {100 * sample.processor_share:.0f} % of the time of its {sample.threads} "
                f"thread{'s' * (sample.threads > 1)}; on an idle machine it may be faster"
            )
        if sample.stages:
            notes.append(label + _timer_note(sample))
        if told := _memory_of_passes(sample):
            notes.append(label + told)
    if any(sample.setup.dtype == INT8 for sample in measured):
        notes.append("int8: linear layers in 8 bits, all else and the limits in float32")
    if setup.compiled and measured:
        notes.append("stages and operators are not timed: a compiled network has no borders between them")
    if any(sample.peak_bytes for sample in samples):
        notes.append(
            "peak memory: resident memory of a process that runs one batch, libraries and weights included"
            if setup.device == "cpu"
            else "peak memory: the most that torch had allocated on the device"
        )
    return notes


def _label(sample: Samples, samples: Sequence[Samples]) -> str:
    parts = [f"batch of {sample.batch_size}"]
    if len({other.setup.dtype for other in samples}) > 1:
        parts.append(sample.setup.dtype)
    if len({other.threads for other in samples}) > 1:
        parts.append(f"{sample.threads} thread{'s' * (sample.threads > 1)}")
    return ", ".join(parts)


def _memory_of_passes(sample: Samples) -> str:
    """What a pass takes, where several run side by side; with more cores as many more do."""
    if not sample.setup.fast or sample.setup.device != "cpu" or not (sample.peak_bytes and sample.resting_bytes):
        return ""
    from mvit_cli.model.fast.passes import shares

    together = min(sample.threads, len(shares(sample.batch_size, sample.threads, 1)[0]))
    if together < 2:
        return ""
    mib = (sample.peak_bytes - sample.resting_bytes) / together / 2**20
    return f"{together} passes side by side, each of which took {mib:.0f} MiB above the network at rest"


def _timer_note(sample: Samples) -> str:
    cost = _timers(sample)
    stage_cost, operator_cost = (100 * (cost[name] or 0.0) for name in _COSTS)
    return (
        f"stages are timed in {cost['stage_runs']} runs of their own with hooks, which took "
        f"{stage_cost:+.1f} % of the time without; operators in {cost['operator_runs']} with timers, "
        f"{operator_cost:+.1f} %"
        + ", mostly pauses in which the host gets ahead of the GPU" * sample.setup.device.startswith("cuda")
        + "; clips one pass after another, not side by side"
        * (sample.setup.fast and sample.setup.device == "cpu" and sample.threads > 1 and sample.batch_size > 1)
    )
