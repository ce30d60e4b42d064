"""Peak memory of one forward pass.

On a CPU it is the resident memory of a process that does nothing else: libraries, weights, clips and activations. That
process also goes first, so that a batch that does not fit takes it down, and not the whole run.
"""

import json
import re
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mvit_cli.errors import MViTError
from mvit_cli.profiling.child import run_module, why_it_failed
from mvit_cli.profiling.setup import Setup, prepare
from mvit_cli.recognition.device import is_out_of_memory

KILLED = -9  # what the kernel does when memory runs out


class OutOfMemoryError(MViTError):
    """A batch that does not fit into memory."""


def peak_of_process(setup: Setup, batch_size: int) -> tuple[int | None, int | None]:
    """Resident bytes of a process that runs one batch: its peak, and before the batch; None where nobody tells.

    Raises:
        OutOfMemoryError: the process was killed, or could not allocate.
        MViTError: it failed otherwise.
    """
    done = run_module("mvit_cli.profiling.memory", json.dumps(asdict(setup)), str(batch_size))
    if done.returncode == KILLED:
        raise OutOfMemoryError("out of memory: the system killed the process that tried it")
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        raise MViTError(
            f"the network does not run: {why_it_failed(done)}", "try --device cpu --dtype float32"
        ) from None
    if "error" in answer:
        raise OutOfMemoryError(answer["error"])
    return answer["peak_bytes"], answer["resting_bytes"]


def measured_here(setup: Setup, batch_size: int) -> dict[str, Any]:
    """Runs one batch in this process: its peak memory, or why it did not fit."""
    try:
        prepared = prepare(setup)
        resting_bytes = resident_peak_bytes()
        prepared.forward(prepared.batch(batch_size))
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        return {"error": out_of_memory_text(error)}
    return {"peak_bytes": resident_peak_bytes(), "resting_bytes": resting_bytes}


def out_of_memory_text(error: BaseException) -> str:
    """What is said of a batch that does not fit, in one line."""
    asked = re.search(r"[Tt]ried to allocate ([\d.]+) (\w+)", str(error))
    if not asked:
        return "out of memory"
    amount = f"{float(asked[1]) / 1e9:.1f} GB" if asked[2] == "bytes" else f"{asked[1]} {asked[2]}"
    return f"out of memory: {amount} more were asked for"


def resident_peak_bytes() -> int | None:
    """The most memory that this process has had resident.

    Linux gives `ru_maxrss` of a child at least the size of its parent, so there the kernel's own account is read.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return None


def stay_within_free_memory() -> None:
    """On Linux: lets this process allocate what is free now, so that what does not fit fails at once.

    Without it the kernel would promise any amount, and take down some process, perhaps another, when it is used.
    """
    meminfo = Path("/proc/meminfo")
    if not meminfo.is_file():
        return
    import resource

    available = next(line for line in meminfo.read_text().splitlines() if line.startswith("MemAvailable:"))
    free_bytes = 1024 * int(available.split()[1])
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    if most != resource.RLIM_INFINITY:
        free_bytes = min(free_bytes, most)
    resource.setrlimit(resource.RLIMIT_DATA, (free_bytes, most))
    with suppress(OSError):  # in a container whose limit is lower, this process is the one to go
        Path("/proc/self/oom_score_adj").write_text("1000")


def _main() -> None:
    stay_within_free_memory()
    fields = json.loads(sys.argv[1])
    size = fields.pop("size")
    print(json.dumps(measured_here(Setup(**fields, size=tuple(size) if size else None), int(sys.argv[2]))))


if __name__ == "__main__":
    _main()
