"""`mvit env`: what a report about a fault needs to say of this machine."""

import os
import platform
import sys
from importlib import metadata
from typing import Annotated, Any, Literal

import typer

from mvit_cli import __version__

Format = Annotated[Literal["table", "json"], typer.Option("--format", help="How the result is written.")]

LIBRARIES = ("torch", "torchvision", "av", "decord", "pillow", "numpy", "safetensors", "huggingface-hub", "matplotlib")
FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8", "asimd", "sve", "bf16")
SWITCHES = (
    "MVIT_OFFLINE",
    "HF_HUB_OFFLINE",
    "HF_HOME",
    "HF_ENDPOINT",
    "TORCH_HOME",
    "MVIT_PRIVATE_HOSTS",
    "OMP_NUM_THREADS",
)
"""Variables that change what mvit does; of none that may hold a secret more is told than that it is set."""


def env_command(output: Format = "table") -> None:
    """Show versions, devices, caches and processor flags, for reports. No token and no password is shown."""
    from mvit_cli.report.card_tables import show_record
    from mvit_cli.report.tables import write_json

    record = environment()
    write_json(record) if output == "json" else show_record(record | {"notes": []})


def environment() -> dict[str, Any]:
    """What this installation and this machine are."""
    from mvit_cli.checkpoints.fetch.locate import cache_dirs

    return {
        "mvit": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "libraries": {name: _version(name) for name in LIBRARIES},
        "processor": processor(),
        "devices": _devices(),
        "caches": {name: str(path) for name, path in cache_dirs().items()},
        "variables": {
            name: os.environ[name] for name in SWITCHES if name in os.environ and "@" not in os.environ[name]
        },
        "HF_TOKEN": "set" if os.environ.get("HF_TOKEN") else "not set",
    }


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def processor() -> dict[str, Any]:
    """Which one this is, how many of its cores may be used and, on Linux, its name and the flags that matter here."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"machine": platform.machine(), "usable": usable, **_told_by_linux()}


def _told_by_linux() -> dict[str, Any]:
    """Name and flags; nothing elsewhere, where no file tells them."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            lines = [line.partition(":") for line in file]
    except OSError:
        return {}
    told = {name.strip().lower(): value.strip() for name, _, value in reversed(lines)}
    flags = (told.get("flags") or told.get("features") or "").split()
    return {"name": told.get("model name", ""), "flags": [flag for flag in FLAGS if flag in flags]}


def _devices() -> list[str]:
    """What torch can compute on; loads torch."""
    try:
        import torch
    except ImportError:
        return ["none: torch is not installed"]
    found = [f"cpu, {torch.get_num_threads()} threads"]
    found += [f"cuda:{number} {torch.cuda.get_device_name(number)}" for number in range(torch.cuda.device_count())]
    if sys.platform == "darwin" and torch.backends.mps.is_available():
        found.append("mps")
    return found
