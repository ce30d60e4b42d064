"""What a network costs on this machine, against what the machine can do at most."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from mvit_cli.arch.summary import summarize_config
from mvit_cli.errors import MViTError, at_most
from mvit_cli.profiling.machine import Limits, device_name, limits_of
from mvit_cli.profiling.memory import OutOfMemoryError, out_of_memory_text, peak_of_process
from mvit_cli.profiling.operators import operator_run
from mvit_cli.profiling.results import notes_of, result_of
from mvit_cli.profiling.samples import Samples
from mvit_cli.profiling.setup import Prepared, Setup, prepare
from mvit_cli.profiling.stage_times import stage_ms
from mvit_cli.profiling.timing import timed, warm_up
from mvit_cli.profiling.trace import write_trace
from mvit_cli.recognition.device import is_out_of_memory
from mvit_cli.records import DtypeName, MachineRates, Profile, ProfiledDevice

if TYPE_CHECKING:
    from torch import Tensor

ATTACHED_RUNS = 5
"""Most runs with hooks at the stages, and as many with timers around the operators; all others go without."""

Say = Callable[[str], None]


def profile(
    setup: Setup,
    batch_sizes: Sequence[int] = (1,),
    runs: int = 10,
    *,
    dtypes: Sequence[str] = (),
    threads: Sequence[int] = (),
    trace: Path | None = None,
    say: Say = lambda text: None,
) -> Profile:
    """Latency, throughput, memory and time of each stage and class of operators, for each batch size.

    Args:
        runs: timed runs of each batch size, taken in turns, so that a noisy moment meets them all.
        dtypes, threads: each is measured with each batch size; default: those of `setup`.
        trace: a file for the Chrome trace of one run of the first batch that fits.
        say: told what is being done.

    Returns:
        The JSON object of `mvit profile`.

    Raises:
        MViTError: the network does not run on this device in this number format.
    """
    setups = [
        replace(setup, dtype=dtype, threads=count)
        for dtype in dict.fromkeys(dtypes or (setup.dtype,))
        for count in dict.fromkeys(threads or (setup.threads,))
    ]
    cases = [_Case(each, prepare(each)) for each in setups]
    say("measuring the matrix products and the copies of this machine")
    for case in cases:
        case.measure_limits()
    only = len(setups) == 1
    samples = [
        (case, _first_runs(case, batch_size, say, only=only))
        for case in cases
        for batch_size in dict.fromkeys(batch_sizes)
    ]
    fitting = [(case, sample) for case, sample in samples if not sample.error]
    say(f"timing {runs} runs of each batch size, in turns")
    _timed_in_turns(fitting, runs)
    fitting = [(case, sample) for case, sample in fitting if not sample.error]
    if trace and fitting:
        say(f"writing {trace}")
        case, sample = fitting[0]
        case.enter()
        write_trace(case.prepared, sample.batch_size, trace)
    for case in cases:
        case.measure_limits()
    return _document(setup, cases, samples)


def _document(setup: Setup, cases: "list[_Case]", samples: "list[tuple[_Case, Samples]]") -> Profile:
    """What was measured, as the JSON of the command."""
    summary = summarize_config(setup.config)
    device = cases[0].prepared.device
    return {
        "preset": setup.preset,
        "device": cast(
            "ProfiledDevice", {"type": device.type, "name": device_name(device), "threads": cases[0].threads}
        ),
        "dtype": cast("DtypeName", cases[0].setup.dtype),
        "network": "fast" if setup.fast else "plain",
        "compiled": setup.compiled,
        "input": summary["input"],
        "machine": [case.as_json() for case in cases],
        "results": [result_of(sample, summary, case.limits) for case, sample in samples],
        "notes": notes_of(setup, [sample for _, sample in samples]),
    }


@dataclass
class _Case:
    """A network in one number format with one number of threads, and the machine's limits for it."""

    setup: Setup
    prepared: Prepared
    threads: int = 0
    _limits: Limits | None = None

    def enter(self) -> None:
        """Sets the number of threads, which is the whole process's."""
        import torch

        if self.setup.threads and torch.get_num_threads() != self.setup.threads:
            torch.set_num_threads(self.setup.threads)
        self.threads = torch.get_num_threads()

    @property
    def limits(self) -> Limits:
        assert self._limits is not None
        return self._limits

    def measure_limits(self) -> None:
        """Before and after the runs; the better counts."""
        self.enter()
        now = limits_of(self.prepared.device, self.prepared.dtype)
        self._limits = now if self._limits is None else self._limits.best(now)

    def as_json(self) -> MachineRates:
        cache = self.limits.cache_bytes_per_s
        return {
            "dtype": cast("DtypeName", self.setup.dtype),
            "threads": self.threads,
            "gmacs_per_s": self.limits.macs_per_s / 1e9,
            "copy_gb_per_s": self.limits.copy_bytes_per_s / 1e9,
            "cache_gb_per_s": cache and cache / 1e9,
        }


def _first_runs(case: _Case, batch_size: int, say: Say, *, only: bool) -> Samples:
    """Finds out whether a batch fits and how much memory it takes, and warms up."""
    import torch

    case.enter()
    setup, prepared = case.setup, case.prepared
    samples = Samples(setup, batch_size, case.threads)
    on_cpu, on_cuda = prepared.device.type == "cpu", prepared.device.type == "cuda"
    which = "" if only else f"{setup.dtype}, {case.threads} thread{'s' * (case.threads > 1)}, "
    say(f"{which}batch of {batch_size}: memory" + " (in a process of its own), warm-up" * on_cpu)
    with _explained(samples, only=only):
        if on_cpu:
            samples.peak_bytes, samples.resting_bytes = peak_of_process(setup, batch_size)
        clips = prepared.batch(batch_size)
        if on_cuda:
            torch.cuda.reset_peak_memory_stats(prepared.device)
            samples.resting_bytes = torch.cuda.memory_allocated(prepared.device)
        samples.warm_up_runs = warm_up(lambda: prepared.forward(clips), prepared.device)
        if on_cuda:
            samples.peak_bytes = torch.cuda.max_memory_allocated(prepared.device)
    return samples


def _timed_in_turns(cases: list[tuple[_Case, Samples]], runs: int) -> None:
    """Each case once, then each again; in the first rounds also with hooks and timers, which `compile` has not."""
    clips: dict[int, Tensor] = {}
    for turn in range(runs):
        for number, (case, sample) in enumerate(cases):
            if sample.error:
                continue
            case.enter()
            with _explained(sample, only=len(cases) == 1):
                if number not in clips:
                    clips[number] = case.prepared.batch(sample.batch_size)
                _one_turn(case.prepared, sample, clips[number], turn)


def _one_turn(prepared: Prepared, sample: Samples, clips: "Tensor", turn: int) -> None:
    before = time.process_time()
    sample.seconds.append(timed(lambda: prepared.forward(clips), prepared.device))
    sample.processor_seconds.append(time.process_time() - before)
    if turn < ATTACHED_RUNS and not prepared.setup.compiled:
        sample.stages.append(stage_ms(prepared, clips))
    if turn < (1 if prepared.setup.compiled else ATTACHED_RUNS):
        sample.timer_seconds.append(
            timed(lambda: sample.operators.append(operator_run(prepared, clips)), prepared.device)
        )


@contextmanager
def _explained(samples: Samples, *, only: bool) -> Iterator[None]:
    """Makes a batch that does not fit a result, and any other failure of torch an error in words.

    Args:
        only: nothing else is measured, so that a failure is the run's, and not a row's.
    """
    import torch

    setup = samples.setup
    try:
        yield
    except OutOfMemoryError as error:
        samples.error = error.message
    except Exception as error:  # a compiler or a kernel can fail in any way
        if not is_out_of_memory(error) and not is_out_of_memory(error.__cause__):
            failure = _failure(error, setup)
            if only:
                raise failure from error
            samples.error = failure.message
            return
        samples.error = out_of_memory_text(error)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _failure(error: Exception, setup: Setup) -> MViTError:
    if isinstance(error, MViTError):
        return error
    reason = at_most(" ".join(str(error).split())) or type(error).__name__
    how = f"on {setup.device} in {setup.dtype}" + ", compiled" * setup.compiled
    hint = "--compile needs a C++ compiler on a CPU" if setup.compiled else "try --dtype float32"
    return MViTError(f"the network does not run {how}: {reason}", hint)
