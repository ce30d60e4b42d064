"""A trace of one forward pass, for chrome://tracing and ui.perfetto.dev."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mvit_cli.errors import MViTError
from mvit_cli.profiling.clock import synchronize
from mvit_cli.profiling.setup import Prepared
from mvit_cli.profiling.stage_times import FIRST, stage_hooks

STDERR = 2


def write_trace(prepared: Prepared, batch_size: int, path: Path) -> None:
    """Runs one batch under torch's profiler and writes what it saw, with the stages; `.json` or `.json.gz`.

    Raises:
        MViTError: the file cannot be written.
    """
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as torch_profile

    on_cuda = prepared.device.type == "cuda"
    clips = prepared.batch(batch_size)
    activities = [ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * on_cuda]
    with _without_remarks(), torch_profile(activities=activities) as profiler, _stages_as_ranges(prepared):
        prepared.forward(clips)
        synchronize(prepared.device)
    unfinished = path.with_name(f".unfinished-{path.name}")  # keeps the ending, which decides on compression
    try:
        profiler.export_chrome_trace(str(unfinished))
        unfinished.replace(path)
    except OSError as error:
        raise MViTError(
            f"{path} cannot be written: {error.strerror or error}", "check the folder of --trace"
        ) from error
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def _stages_as_ranges(prepared: Prepared) -> Iterator[None]:
    """Marks the stages in the trace; a compiled network is left alone, since hooks would make it compile again."""
    from torch.profiler import record_function

    if prepared.setup.compiled:
        yield
        return
    with ExitStack() as current:

        def begins(stage: str) -> None:
            current.close()
            current.enter_context(record_function(stage))

        begins(FIRST)
        with stage_hooks(prepared.network, begins):
            yield


@contextmanager
def _without_remarks() -> Iterator[None]:
    """Keeps what torch's profiler writes about itself off standard error."""
    kept = os.dup(STDERR)
    try:
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), STDERR)
        yield
    finally:
        os.dup2(kept, STDERR)
        os.close(kept)
