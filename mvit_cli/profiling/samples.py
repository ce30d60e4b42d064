"""What was measured of one case, and the runs that stand for all of them."""

from dataclasses import dataclass, field, replace

from mvit_cli.profiling.operators import Timed
from mvit_cli.profiling.setup import Setup
from mvit_cli.profiling.timing import median, quantile


@dataclass
class Samples:
    """One batch size in one number format with one number of threads.

    Attributes:
        threads: of the CPU, as they were.
        seconds: of runs with nothing attached.
        processor_seconds: of all threads, of the same runs.
        stages: milliseconds of each stage, a dict a run with hooks.
        operators: all operators, a list a run with timers.
        timer_seconds: of the runs with timers, from begin to end.
        resting_bytes: memory in use before the first batch.
        error: why it could not be measured.
    """

    setup: Setup
    batch_size: int
    threads: int = 0
    warm_up_runs: int = 0
    seconds: list[float] = field(default_factory=list)
    processor_seconds: list[float] = field(default_factory=list)
    stages: list[dict[str, float]] = field(default_factory=list)
    operators: list[list[Timed]] = field(default_factory=list)
    timer_seconds: list[float] = field(default_factory=list)
    peak_bytes: int | None = None
    resting_bytes: int | None = None
    error: str = ""

    @property
    def latency_ms(self) -> float:
        """The median of the runs with nothing attached."""
        return 1000 * median(self.seconds)

    @property
    def stage_ms(self) -> dict[str, float]:
        """The median of each stage over the hooked runs."""
        return {name: median([run[name] for run in self.stages]) for name in (self.stages or [{}])[0]}

    @property
    def typical_operators(self) -> list[Timed]:
        """The operators of a run, each with its median over the runs: they are the same ones, in the same order."""
        alike = [run for run in self.operators if len(run) == len(self.operators[-1])]
        return [replace(calls[0], ms=median([call.ms for call in calls])) for calls in zip(*alike, strict=True)]

    @property
    def processor_share(self) -> float | None:
        """How much of its threads' time a network on a CPU had; less than 1 where it waited or was kept waiting."""
        if self.setup.device != "cpu" or not self.processor_seconds:
            return None
        return sum(self.processor_seconds) / (sum(self.seconds) * self.threads)

    @property
    def noise(self) -> float:
        """How far these numbers can be trusted, as a share of the median.

        From p10 to p90 of the runs, or what the stages' sum differs from the median, if that is more: so the stages
        add up to the whole within it.
        """
        spread = quantile(self.seconds, 0.9) - quantile(self.seconds, 0.1)
        apart = abs(sum(self.stage_ms.values()) - self.latency_ms) if self.stages else 0.0
        return max(1000 * spread, apart) / self.latency_ms
