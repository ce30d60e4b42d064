"""`--shard`: which part of the inputs a process does, said in words or by the job that started it."""

import os
import re
from collections.abc import Mapping

from mvit_cli.errors import UsageError
from mvit_cli.recognition.listing import Shard

_HINT = "parts count from 0: --shard 0/4 to --shard 3/4, auto, or auto/4"


def parsed_shard(text: str, environment: Mapping[str, str] = os.environ) -> Shard:
    """`I/N`; `auto`: both from the environment; `auto/N`: the index from it.

    Raises:
        UsageError: another form, a part that is not there, or an environment that does not tell.
    """
    named = re.fullmatch(r"(auto|\d+)(?:/(\d+))?", text.strip())
    if not named or (named[1] != "auto" and named[2] is None):
        raise UsageError(f"--shard {text} is no part of a whole", _HINT)
    index, count = _of_job(environment) if named[1] == "auto" else (int(named[1]), None)
    count = int(named[2]) if named[2] else count
    if index is None or count is None:
        raise UsageError(
            f"--shard {text}: the environment tells no {'part' if index is None else 'number of parts'}",
            "it reads RANK and WORLD_SIZE, SLURM_ARRAY_TASK_ID and _COUNT, JOB_COMPLETION_INDEX (with auto/N); "
            "or say --shard I/N",
        )
    try:
        return Shard(index, count)
    except ValueError as error:
        raise UsageError(f"--shard {text}: {error}", _HINT) from error


def part_not_taken(environment: Mapping[str, str] = os.environ) -> str | None:
    """What is told where the job has several parts and no `--shard` says which inputs are this one's: that all are
    done. Taken unasked, a part would lose inputs of a job that has split its list itself."""
    index, count = _of_job(environment)
    if index is None or (count is not None and count < 2):
        return None
    part = f"part {index} of {count}" if count else f"part {index}"
    return f"this is {part} of a job, and all inputs are done here; --shard auto takes its share of them"


def _of_job(environment: Mapping[str, str]) -> tuple[int | None, int | None]:
    """Index and number of parts as torchrun, a Slurm array or an indexed job of Kubernetes tell them."""

    def number(name: str) -> int | None:
        text = environment.get(name, "")
        return int(text) if text.isdecimal() else None

    if (rank := number("RANK")) is not None:
        return rank, number("WORLD_SIZE")
    if (task := number("SLURM_ARRAY_TASK_ID")) is not None:
        first, last, step = (number(f"SLURM_ARRAY_TASK_{name}") for name in ("MIN", "MAX", "STEP"))
        place = (task - (first or 0)) // (step or 1)
        count = number("SLURM_ARRAY_TASK_COUNT")
        return place, count if count is not None or last is None else (last - (first or 0)) // (step or 1) + 1
    return number("JOB_COMPLETION_INDEX"), None
