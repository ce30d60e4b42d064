"""A trace of one forward pass, for chrome://tracing and ui.perfetto.dev."""

from pathlib import Path

from mvit_cli.errors import MViTError
from mvit_cli.profiling.setup import Prepared
from mvit_cli.profiling.timing import synchronize


def write_trace(prepared: Prepared, batch_size: int, path: Path) -> None:
    """Runs one batch under torch's profiler and writes what it saw; `.json` or `.json.gz`.

    Raises:
        MViTError: the file cannot be written.
    """
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as torch_profile

    on_cuda = prepared.device.type == "cuda"
    clips = prepared.batch(batch_size)
    with torch_profile(activities=[ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * on_cuda]) as profiler:
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
